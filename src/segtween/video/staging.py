"""Atomic outputs: they get their final name only when they are complete."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from segtween.errors import SinkError
from segtween.validation import whole_file

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class Staged:
    """A file or folder `target`, written as `.target.part` beside it until `commit` or `discard`.

    `committed` says whether what was written has its final name. A `commit` that fails leaves no part, and what had
    the name before where it was.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.part = target.with_name(f".{target.name}.part")
        self.committed = False
        with sink_errors(target):
            _remove(self.part)

    def commit(self) -> None:
        """Gives the part its final name; what had it before is gone, a folder with all its old files.

        A file never takes a folder's place: SinkError.
        """
        if self.part.is_file() and self.target.is_dir():
            _try_remove(self.part)
            raise _no_file(self.target)
        old = self.target.with_name(f".{self.target.name}.old")
        with sink_errors(self.target):
            try:
                if not self.target.is_dir():
                    os.replace(self.part, self.target)
                else:
                    _remove(old)
                    os.replace(self.target, old)
                    _replace_or_restore(self.part, self.target, old)
            except OSError:
                _try_remove(self.part)
                raise
            self.committed = True
            _try_remove(old)

    def discard(self) -> None:
        with sink_errors(self.target):
            _remove(self.part)


def check_writable(target: Path) -> None:
    """Says before long work that the file `target` cannot be written: SinkError."""
    part = target.with_name(f".{target.name}.part")
    with sink_errors(target):
        if target.is_dir():
            raise _no_file(target)
        is_new = not part.exists()
        with part.open("ab"):  # what another run has written there so far stays
            pass
        if is_new:
            part.unlink()


def check_folder(folder: Path) -> None:
    """Says before long work that nothing can be written into `folder`, or that it cannot be made: SinkError. Neither
    makes it nor leaves anything in it."""
    with sink_errors(folder):
        there = next(one for one in (folder, *folder.absolute().parents) if _is_there(one))
        os.rmdir(tempfile.mkdtemp(prefix=".segtween.", dir=there))


def _is_there(path: Path) -> bool:
    """A link that leads nowhere is there, too: no folder can be made of its name. Raises OSError."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def refuse_existing(target: Path, *, overwrite: bool) -> None:
    """SinkError where something is there that is not to be replaced, or no file can take its place."""
    with sink_errors(target):
        if target.is_dir():
            raise _no_file(target)
        if not overwrite and _is_there(target):
            raise SinkError(f"{target} exists", expected="no such file yet", do="give overwrite=True to replace it")


def _no_file(target: Path) -> SinkError:
    return SinkError(f"{target} is a folder", expected="the name of a file", do="choose a name that no folder has")


@contextmanager
def written(target: Path) -> Iterator[Path]:
    """A path to write the file `target` to, which gets its name when all went well; SinkError where that fails."""
    with sink_errors(target), whole_file(target) as part:
        yield part


def write_text(text: str, target: Path) -> Path:
    """A text file, UTF-8, under its final name when it is whole. Raises SinkError."""
    with written(target) as part:
        part.write_text(text, encoding="utf-8")
    return target


@contextmanager
def sink_errors(path: Path) -> Iterator[None]:
    """Turns what PyAV and the system raise on writing `path` into a SinkError."""
    try:
        yield
    except OSError as error:
        raise sink_error(path, error) from None
    except Exception as error:
        # PyAV's own errors carry FFmpeg's number and text but not all of them are OSErrors.
        if type(error).__module__.startswith("av"):
            raise sink_error(path, error) from None
        raise


def sink_error(path: Path, error: Exception) -> SinkError:
    number, text = getattr(error, "errno", None), getattr(error, "strerror", None) or str(error)
    if number in _FULL:
        return SinkError(
            f"no space is left to write {path} ({text})",
            expected="room on the disk",
            do="what was finished is kept; free some space or write to another folder",
        )
    if number in _FORBIDDEN:
        return SinkError(
            f"{path} cannot be written ({text})", expected="a folder that you may write to", do="choose another folder"
        )
    if number == errno.ENOENT:
        return SinkError(
            f"{path} cannot be written ({text})",
            expected="a folder that is there, from which nothing is removed meanwhile",
            do="make the folder, and leave what begins with a dot in it alone until the end",
        )
    return SinkError(f"{path} cannot be written ({text})", expected="a writable folder", do="choose another folder")


def is_about_storage(error: Exception) -> bool:
    """Whether the disk or the folder is at fault, and not what is written into it."""
    return getattr(error, "errno", None) in _FULL | _FORBIDDEN | {errno.EIO, errno.ENOENT, errno.ESTALE}


def _replace_or_restore(part: Path, target: Path, old: Path) -> None:
    try:
        os.replace(part, target)
    except OSError:
        os.replace(old, target)
        raise


def _try_remove(path: Path) -> None:
    with suppress(OSError):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
