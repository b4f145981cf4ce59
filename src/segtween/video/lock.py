"""Locks: a folder belongs to one run at a time."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from segtween.errors import SinkError
from segtween.video.staging import sink_errors

LOCK_NAME = ".segtween.lock"
TOUCHED_EVERY_SECONDS = 10.0
DEAD_AFTER_SECONDS = 60.0


class FolderLock:
    """Holds `folder` for this process by a file in it, `.segtween.lock`, until `release` or the end of the process. A
    folder that is not there is made, and gone again if nothing is written into it by then.

    The file says process, host and start. A lock that another run left is taken over where that run is dead:

    - on the same host, since the same boot and in the same process namespace, the process table decides: the process is
      gone, or its number belongs to one that started later;
    - elsewhere (another host or container, before a reboot, not POSIX) the file's age decides: a run touches its lock
      every 10 seconds, and one that has not done so for 60 is dead. The age is taken by the clock of the file system.

    Raises SinkError where a run is under way, or where no file can be written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / LOCK_NAME
        record = {**_this_process(), "started": datetime.now(timezone.utc).isoformat(timespec="seconds")}
        self._text = json.dumps(record) + "\n"
        with sink_errors(folder):
            made = [one for one in (folder, *folder.parents) if not one.exists()]
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with sink_errors(self.path):
                while not _create(self.path, self._text):
                    _take_away_if_dead(self.path)
        except SinkError:
            _remove_empty(made)
            raise
        ended = threading.Event()
        self._release = weakref.finalize(self, _release, self.path, self._text, ended, made)
        threading.Thread(target=_touch, args=(self.path, self._text, ended), name="segtween-lock", daemon=True).start()

    def release(self) -> None:
        """Removes the file, and what was made and is empty. Safe to call twice."""
        self._release()


def _create(path: Path, text: str) -> bool:
    """False where it is there already."""
    try:
        number = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
    except FileExistsError:
        return False
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return True


def _take_away_if_dead(path: Path) -> None:
    """SinkError where the run that holds `path` is alive."""
    text = _text_of(path)
    if text is None:
        return
    if _is_alive(_record(text), path):
        raise _under_way(path.parent, _record(text))
    aside = path.with_name(f"{LOCK_NAME}.{os.getpid()}-{threading.get_ident()}")
    try:
        os.replace(path, aside)
    except FileNotFoundError:
        return  # another run was faster
    taken = _text_of(aside)
    if taken is not None and taken != text:  # the lock of a run that took over between the two steps
        os.replace(aside, path)
        raise _under_way(path.parent, _record(taken))
    aside.unlink(missing_ok=True)


def _is_alive(record: dict[str, Any], path: Path) -> bool:
    here = _this_process()
    if os.name == "posix" and all(record.get(key) == here[key] for key in ("host", "boot", "namespace")):
        process = record.get("process")
        return isinstance(process, int) and _is_running(process, record.get("ticks"))
    return _age_seconds(path) < DEAD_AFTER_SECONDS


def _is_running(process: int, ticks: Any) -> bool:
    if process <= 0:
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # it belongs to another user
    fields = _stat_fields(process)
    return not fields or (fields[0] not in "ZX" and _start_ticks(process) == ticks)


def _age_seconds(path: Path) -> float:
    """How long ago `path` was touched, by the clock that its file system gives a file that is written now."""
    probe = path.with_name(f"{LOCK_NAME}.{os.getpid()}-{threading.get_ident()}")
    try:
        probe.write_bytes(b"")
        now = probe.stat().st_mtime
    except OSError:
        now = time.time()
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    try:
        return now - path.stat().st_mtime
    except OSError:
        return float("inf")


def _under_way(folder: Path, record: dict[str, Any]) -> SinkError:
    process = f"process {record.get('process', 'unknown')} on {record.get('host', 'an unknown host')}"
    return SinkError(
        f"a run is under way in {folder} ({process}, since {record.get('started', 'an unknown time')})",
        expected="a folder that no other run writes into",
        do="wait for that run or stop it, or choose another folder",
    )


def _this_process() -> dict[str, Any]:
    """What tells this process from all others: `ticks` is when it started, as its system counts."""
    namespace = ""
    with suppress(OSError):
        namespace = os.readlink("/proc/self/ns/pid")
    return {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "boot": _read_or_empty("/proc/sys/kernel/random/boot_id"),
        "namespace": namespace,
        "ticks": _start_ticks(os.getpid()),
    }


def _start_ticks(process: int) -> int | None:
    """Clock ticks from the boot to the start of a process; None where that is not told."""
    fields = _stat_fields(process)
    return int(fields[19]) if len(fields) > 19 else None


def _stat_fields(process: int) -> list[str]:
    """proc(5), stat, from field 3 on: the state (Z and X: it has ended), field 22 is the start; none without /proc."""
    return _read_or_empty(f"/proc/{process}/stat").rpartition(")")[2].split()


def _read_or_empty(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _text_of(path: Path) -> str | None:
    """None where it is gone."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None


def _record(text: str) -> dict[str, Any]:
    """What the file says; nothing while it is being written, or where it was spoiled: then its age decides."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _touch(path: Path, text: str, ended: threading.Event) -> None:
    while not ended.wait(TOUCHED_EVERY_SECONDS):
        with suppress(OSError):  # a disk or a share that is gone for a while
            if _text_of(path) != text:
                return
            os.utime(path)


def _release(path: Path, text: str, ended: threading.Event, made: Sequence[Path]) -> None:
    ended.set()
    # It holds outputs, is gone, or may no longer be written to: then the lock is stale when the process ends.
    with suppress(OSError):
        if _record(text)["process"] == os.getpid() and _text_of(path) == text:  # not in a fork of the run's process
            path.unlink(missing_ok=True)
            _remove_empty(made)


def _remove_empty(folders: Sequence[Path]) -> None:
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
