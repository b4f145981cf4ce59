"""Outputs that fail do so alone; what is interrupted is interrupted between frames."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import signal
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest

from segtween.errors import SinkError
from segtween.labels import CAMVID11
from segtween.reports.html.page import check_target
from segtween.types import OutputState
from segtween.video import SaveOptions
from segtween.video.interrupt import Terminated, raise_terminated, sigterm_raises
from segtween.video.lock import FolderLock
from segtween.video.outputs import Outputs
from segtween.video.saving import open_sinks
from segtween.video.staging import Staged, check_folder, check_writable, refuse_existing


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines()))


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")


class FullAfter:
    """Stands in for an output container: the disk is full after `n` packets."""

    def __init__(self, container, n: int) -> None:
        self._container, self._left = container, n

    def mux(self, packets) -> None:
        self._left -= 1
        if self._left < 0:
            raise av.error.OSError(errno.ENOSPC, "No space left on device")
        self._container.mux(packets)

    def __getattr__(self, name):
        return getattr(self._container, name)


def test_full_disk_in_a_video_keeps_the_other_outputs_to_the_end(make_frames, make_result, tmp_path, monkeypatch):
    info, frames = make_frames()
    real = av.open
    monkeypatch.setattr(av, "open", lambda *a, **k: FullAfter(real(*a, **k), 1 if "overlay" in str(a[0]) else 99))
    sink = open_sinks(tmp_path, SaveOptions(["labels", "overlay", "labels-video"]), info=info, labels=CAMVID11)
    for frame in frames[:4]:
        sink.write(frame, make_result(frame))
    assert not (tmp_path / ".overlay.mp4.part").exists(), "it is closed and removed at once"
    for frame in frames[4:]:
        sink.write(frame, make_result(frame))
    with pytest.raises(
        SinkError,
        match=r"no space is left to write .*overlay.mp4 .*; expected room .*; what was .* "
        r"\(finished: labels, labels.mkv, frames.csv\)",
    ):
        sink.close()
    monkeypatch.undo()
    assert names(tmp_path) == ["frames.csv", "labels", "labels.mkv"]
    assert len(table(tmp_path / "frames.csv")) == len(names(tmp_path / "labels")) == len(frames)
    assert [(o["name"], o["frames"], o["error"] is None) for o in sink.report.to_json()] == [
        ("labels", 6, True), ("overlay.mp4", 0, False), ("labels.mkv", 6, True), ("frames.csv", 6, True),
    ]  # fmt: skip


def test_full_disk_at_an_image(make_frames, make_result, tmp_path, monkeypatch):
    info, frames = make_frames()
    sink = open_sinks(tmp_path, SaveOptions(["labels"]), info=info, labels=CAMVID11)
    sink.write(frames[0], make_result(frames[0]))
    monkeypatch.setattr(Path, "write_bytes", no_space)
    sink.write(frames[1], make_result(frames[1]))
    monkeypatch.undo()
    sink.write(frames[2], make_result(frames[2]))
    with pytest.raises(
        SinkError, match=r"no space is left to write .*labels/000001.png .*\(finished: frames.csv; in part: labels\)"
    ):
        sink.close()
    assert names(tmp_path / "labels") == ["000000.png"]
    assert [(o.name, o.frames) for o in sink.report.outputs] == [("labels", 1), ("frames.csv", 3)]


def test_full_disk_in_an_archive(make_frames, make_result, tmp_path, monkeypatch):
    info, frames = make_frames()
    sink = open_sinks(tmp_path, SaveOptions(["cvat"]), info=info, labels=CAMVID11)
    sink.write(frames[0], make_result(frames[0]))
    monkeypatch.setattr(zipfile.ZipFile, "writestr", no_space)
    sink.write(frames[1], make_result(frames[1]))
    monkeypatch.undo()
    with pytest.raises(SinkError, match=r"no space is left to write .*cvat.zip"):
        sink.close()
    assert names(tmp_path) == ["frames.csv"]


def test_an_archive_whose_file_is_closed(make_frames, make_result, tmp_path):
    info, frames = make_frames()
    sink = open_sinks(tmp_path, SaveOptions(["cvat"]), info=info, labels=CAMVID11)
    sink.write(frames[0], make_result(frames[0]))
    sink._open[0][0]._file.close()
    with pytest.raises(SinkError, match=r"cvat.zip cannot be written \(.*closed file.*\(finished: frames.csv\)"):
        sink.close()
    assert names(tmp_path) == ["frames.csv"]


def test_full_disk_at_the_end_of_a_video(make_frames, make_result, tmp_path, monkeypatch):
    info, frames = make_frames()
    sink = open_sinks(tmp_path, SaveOptions(["labels-video", "labels"]), info=info, labels=CAMVID11)
    for frame in frames:
        sink.write(frame, make_result(frame))
    real = os.replace
    monkeypatch.setattr("segtween.video.staging.os.replace", lambda a, b: no_space() if "mkv" in str(a) else real(a, b))
    with pytest.raises(SinkError, match=r"no space is left to write .*labels.mkv .*\(finished: labels, frames.csv\)"):
        sink.close()
    monkeypatch.undo()
    assert names(tmp_path) == ["frames.csv", "labels"]


def test_when_no_output_is_left_the_run_ends(make_frames, make_result, tmp_path, monkeypatch):
    info, frames = make_frames()
    sink = open_sinks(tmp_path, SaveOptions(["labels"]), info=info, labels=CAMVID11)
    monkeypatch.setattr(Path, "write_bytes", no_space)
    monkeypatch.setattr(sink._open[1][0], "write", no_room)
    with pytest.raises(SinkError, match=r"labels/000000.png .* and full; .*\(finished: none\)"):
        sink.write(frames[0], make_result(frames[0]))
    sink.abort()
    assert names(tmp_path) == []


def no_room(*_):
    raise SinkError("full")


@pytest.mark.parametrize("part", [".labels.part", ".overlay.mp4.part", ".cvat.zip.part", ".labels.mkv.part"])
def test_a_part_that_is_removed_meanwhile_costs_itself_only(make_frames, make_result, tmp_path, part):
    info, frames = make_frames()
    sink = open_sinks(tmp_path, SaveOptions(["overlay", "labels", "labels-video", "cvat"]), info=info, labels=CAMVID11)
    for frame in frames[:3]:
        sink.write(frame, make_result(frame))
    path = tmp_path / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    for frame in frames[3:]:
        sink.write(frame, make_result(frame))
    name = part[1:].removesuffix(".part")
    with pytest.raises(SinkError, match=rf"{name}.* cannot be written .*; make the folder, and leave"):
        sink.close()
    wanted = {"overlay.mp4", "labels", "labels.mkv", "cvat.zip", "frames.csv"} - {name}
    assert set(names(tmp_path)) == wanted
    assert {o.name for o in sink.report.finished} == wanted
    assert all(o.frames == len(frames) for o in sink.report.finished)


def test_a_folder_that_cannot_be_replaced_stays(make_frames, make_result, tmp_path):
    info, frames = make_frames()
    for kept in (3, 1):
        sink = open_sinks(tmp_path, SaveOptions(["labels"], overwrite=True), info=info, labels=CAMVID11)
        for frame in frames[:kept]:
            sink.write(frame, make_result(frame))
        if kept == 3:
            sink.close()
    shutil.rmtree(tmp_path / ".labels.part")
    with pytest.raises(SinkError, match="labels cannot be written"):
        sink.close()
    assert names(tmp_path) == ["frames.csv", "labels"]
    assert len(names(tmp_path / "labels")) == 3, "the old ones, whole"


def test_a_fault_of_the_program_in_one_output_does_not_leave_the_others_open(make_frames, make_result, tmp_path):
    info, frames = make_frames()
    sink = open_sinks(tmp_path, SaveOptions(["labels", "overlay"]), info=info, labels=CAMVID11)
    sink.write(frames[0], make_result(frames[0]))
    sink._open[0][0].close = lambda: [][1]
    with pytest.raises(IndexError):
        sink.close()
    assert {"overlay.mp4", "frames.csv"} <= set(names(tmp_path))


def test_a_picture_that_cannot_be_encoded_leaves_no_part(make_frames, make_result, tmp_path):
    info, frames = make_frames(2, size_hw=(16, 16400))  # wider than x264 takes
    sink = open_sinks(tmp_path, SaveOptions(["overlay", "labels"]), info=info, labels=CAMVID11)
    for frame in frames:
        sink.write(frame, make_result(frame))
    with pytest.raises(SinkError, match=r"overlay.mp4 cannot be written"):
        sink.close()
    assert names(tmp_path) == ["frames.csv", "labels"]


class CtrlC:
    """An output during whose write or close the user presses Ctrl-C."""

    def __init__(self, at: str, folder: Path) -> None:
        self._at, self.staged = at, Staged(folder / "ctrl-c")

    def write(self, frame, _) -> None:
        if self._at == "write" and frame.index == 2:
            signal.raise_signal(signal.SIGINT)

    def close(self) -> None:
        if self._at == "close":
            signal.raise_signal(signal.SIGINT)

    abort = close


def interruptible(folder: Path, info, *, at: str) -> Outputs:
    sink = open_sinks(folder, SaveOptions(["labels", "overlay"]), info=info, labels=CAMVID11)
    assert isinstance(sink, Outputs)
    sink._open.insert(1, (CtrlC(at, folder), OutputState("ctrl-c")))
    return sink


def test_ctrl_c_waits_for_the_end_of_the_frame(make_frames, make_result, read_back, tmp_path):
    info, frames = make_frames()
    sink = interruptible(tmp_path, info, at="write")
    for frame in frames[:3]:
        sink.write(frame, make_result(frame))
    with pytest.raises(KeyboardInterrupt):
        sink.write(frames[3], make_result(frames[3]))
    sink.abort()
    assert len(names(tmp_path / "labels")) == len(read_back(tmp_path / "overlay.mp4")) == 3
    assert len(table(tmp_path / "frames.csv")) == 3
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_while_closing_comes_when_all_is_whole(make_frames, make_result, read_back, tmp_path):
    info, frames = make_frames()
    sink = interruptible(tmp_path, info, at="close")
    for frame in frames:
        sink.write(frame, make_result(frame))
    with pytest.raises(KeyboardInterrupt):
        sink.close()
    assert len(names(tmp_path / "labels")) == len(read_back(tmp_path / "overlay.mp4")) == 6


def test_ctrl_c_between_frames_comes_at_once(make_frames, make_result, tmp_path):
    info, frames = make_frames()
    sink = open_sinks(tmp_path, SaveOptions(["labels"]), info=info, labels=CAMVID11)
    sink.write(frames[0], make_result(frames[0]))
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    sink.abort()
    assert names(tmp_path / "labels") == ["000000.png"]


def test_sigterm_waits_as_ctrl_c_does(make_frames, make_result, tmp_path):
    info, frames = make_frames()
    before = signal.getsignal(signal.SIGTERM)
    with sigterm_raises():
        sink = open_sinks(tmp_path, SaveOptions(["labels"]), info=info, labels=CAMVID11)
        real = sink._open[0][0].write
        sink._open[0][0].write = lambda *given: (signal.raise_signal(signal.SIGTERM), real(*given))
        sink.write(frames[0], make_result(frames[0]))
        with pytest.raises(Terminated):
            sink.write(frames[1], make_result(frames[1]))
        assert signal.getsignal(signal.SIGTERM) is raise_terminated
        sink.abort()
    assert signal.getsignal(signal.SIGTERM) is before
    assert len(names(tmp_path / "labels")) == len(table(tmp_path / "frames.csv")) == 1


def test_a_folder_is_checked_without_a_trace(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "new" / "folder"):
        check_folder(folder)
    assert not [*tmp_path.iterdir()]
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "folder"):
        with pytest.raises(SinkError, match=r"file.* cannot be written \(.*\); expected a writable folder"):
            check_folder(folder)


def test_no_folder_takes_the_place_of_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to(tmp_path / "gone" / "folder")
    (tmp_path / "itself").symlink_to("itself")
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    check_folder(tmp_path / "link" / "new")
    for folder in ("nowhere", "nowhere/new", "itself"):
        with pytest.raises(SinkError, match=rf"{folder} cannot be written \(.*\); expected a .*folder"):
            check_folder(tmp_path / folder)
    with pytest.raises(SinkError, match="nowhere exists; expected no such file yet"):
        refuse_existing(tmp_path / "nowhere", overwrite=False)
    refuse_existing(tmp_path / "nowhere", overwrite=True)


def test_what_cannot_be_looked_into_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(*_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "stat", denied)
    monkeypatch.setattr(Path, "lstat", denied)
    monkeypatch.setattr(Path, "open", denied)
    monkeypatch.setattr(os, "mkdir", denied)
    target = tmp_path / "closed" / "file"
    checks = (check_writable, check_folder, FolderLock, check_target, partial(refuse_existing, overwrite=False))
    for check in checks:
        with pytest.raises(SinkError, match=r"cannot be written \(Permission denied\); expected a folder that you may"):
            check(target)


def test_a_check_leaves_what_another_run_is_writing(tmp_path: Path) -> None:
    staged = Staged(tmp_path / "scores.npz")
    staged.part.write_text("half")
    check_writable(tmp_path / "scores.npz")
    staged.commit()
    assert (tmp_path / "scores.npz").read_text() == "half"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_is_not_offered_to_be_replaced(tmp_path: Path, overwrite: bool) -> None:
    with pytest.raises(SinkError, match="is a folder; expected the name of a file; choose a name that no folder has"):
        refuse_existing(tmp_path, overwrite=overwrite)


def test_a_file_never_takes_the_place_of_a_folder(tmp_path: Path) -> None:
    (kept := tmp_path / "folder" / "kept.txt").parent.mkdir()
    kept.write_text("kept")
    with pytest.raises(SinkError, match="folder is a folder; expected the name of a file"):
        check_writable(kept.parent)
    staged = Staged(kept.parent)
    staged.part.write_text("new")
    with pytest.raises(SinkError, match="folder is a folder; expected the name of a file"):
        staged.commit()
    assert kept.read_text() == "kept"
    assert not staged.committed
    assert [*tmp_path.iterdir()] == [kept.parent], "no part is left"
