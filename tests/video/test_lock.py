"""A folder belongs to one run; locks of dead runs are told from those of living ones."""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from segtween.errors import SinkError
from segtween.labels import CAMVID11
from segtween.video import SaveOptions
from segtween.video import lock as lock_module
from segtween.video.lock import DEAD_AFTER_SECONDS, LOCK_NAME, FolderLock, _this_process
from segtween.video.saving import open_sinks


def write_lock(folder: Path, *, age_seconds: float = 0.0, **changes) -> Path:
    path = folder / LOCK_NAME
    path.write_text(json.dumps({**_this_process(), "started": "2026-01-02T03:04:05+00:00", **changes}))
    then = time.time() - age_seconds
    os.utime(path, (then, then))
    return path


def taken_over(folder: Path) -> bool:
    try:
        FolderLock(folder).release()
    except SinkError:
        return False
    assert list(folder.iterdir()) == []
    return True


def test_the_second_is_told_of_the_first(tmp_path):
    first = FolderLock(tmp_path)
    record = json.loads((tmp_path / LOCK_NAME).read_text())
    assert record["process"] == os.getpid()
    with pytest.raises(
        SinkError,
        match=rf"a run is under way in {tmp_path} \(process {os.getpid()} on {record['host']}, since 20.*\); "
        r"expected a folder that no other run writes into; wait for that run or stop it, or choose another folder",
    ):
        FolderLock(tmp_path)
    first.release()
    first.release()
    assert taken_over(tmp_path)


def test_a_folder_that_cannot_be_locked_is_not_left_behind(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(SinkError, match="no space is left to write"):
        FolderLock(tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_gone_holds_nothing(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_lock(tmp_path, process=gone.pid)
    assert taken_over(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc")
def test_a_number_that_another_process_has_now_and_a_process_that_has_ended(tmp_path):
    write_lock(tmp_path, ticks=1)
    assert taken_over(tmp_path)
    ended = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    ticks = lock_module._start_ticks(ended.pid)
    write_lock(tmp_path, process=ended.pid, ticks=ticks)
    assert not taken_over(tmp_path)
    os.kill(ended.pid, signal.SIGKILL)
    os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has asked how
    assert taken_over(tmp_path)
    ended.communicate()


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"boot": "another"}, {"namespace": "pid:[1]"}])
def test_elsewhere_the_age_decides(tmp_path, change):
    write_lock(tmp_path, age_seconds=DEAD_AFTER_SECONDS - 20, **change)
    assert not taken_over(tmp_path)
    write_lock(tmp_path, age_seconds=DEAD_AFTER_SECONDS + 20, **change)
    assert taken_over(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '{"process": "4"}'])
def test_a_spoiled_lock_counts_until_it_is_old(tmp_path, text):
    path = tmp_path / LOCK_NAME
    path.write_text(text)
    with pytest.raises(SinkError, match=r"a run is under way in .* \(process .* on an unknown host, since an unknown"):
        FolderLock(tmp_path)
    os.utime(path, (1, 1))
    assert taken_over(tmp_path)


def test_a_living_run_touches_its_lock_and_one_that_lost_it_leaves_it(tmp_path, monkeypatch):
    monkeypatch.setattr(lock_module, "TOUCHED_EVERY_SECONDS", 0.02)
    mine = FolderLock(tmp_path)
    path = tmp_path / LOCK_NAME
    os.utime(path, (1, 1))
    deadline = time.monotonic() + 10
    while path.stat().st_mtime == 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert path.stat().st_mtime > 1
    write_lock(tmp_path, process=1)
    mine.release()
    assert path.exists(), "it is another run's"


def test_a_lock_that_is_taken_over_meanwhile_is_left_to_its_run(tmp_path, monkeypatch):
    path = write_lock(tmp_path, ticks=1)

    def another_run_is_faster(*_):
        write_lock(tmp_path, process=1, host="elsewhere")
        return False

    monkeypatch.setattr(lock_module, "_is_alive", another_run_is_faster)
    with pytest.raises(SinkError, match=r"\(process 1 on elsewhere, since"):
        FolderLock(tmp_path)
    assert json.loads(path.read_text())["host"] == "elsewhere"
    assert [p.name for p in tmp_path.iterdir()] == [LOCK_NAME]


def test_outputs_that_nobody_closes_hold_the_folder_only_while_they_live(make_frames, tmp_path):
    sink = open_sinks(tmp_path, SaveOptions(["labels"]), info=make_frames()[0], labels=CAMVID11)
    with pytest.raises(SinkError, match="a run is under way"):
        open_sinks(tmp_path, SaveOptions(["overlay"], overwrite=True), info=make_frames()[0], labels=CAMVID11)
    sink._open[-1][0]._file.close()
    del sink
    gc.collect()
    open_sinks(tmp_path, SaveOptions(["labels"]), info=make_frames()[0], labels=CAMVID11).abort()
    assert list(tmp_path.iterdir()) == []


def test_what_is_refused_leaves_no_lock(make_frames, tmp_path):
    (tmp_path / "frames.csv").write_text("mine")
    with pytest.raises(SinkError, match="exists already"):
        open_sinks(tmp_path, SaveOptions([]), info=make_frames()[0], labels=CAMVID11)
    assert [p.name for p in tmp_path.iterdir()] == ["frames.csv"]
