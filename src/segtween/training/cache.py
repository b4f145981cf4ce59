"""The cache of a training: files and folders that have their name only when they are whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from segtween.errors import SinkError


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """SinkError where something cannot be written into a folder of the cache."""
    try:
        yield
    except OSError as error:
        raise SinkError(
            f"cache folder {folder} cannot be written ({error.strerror})",
            expected="a writable folder with some room",
            do="give another out=",
        ) from None


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `folder` when all went well and is gone otherwise; SinkError as `writing`."""
    with writing(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".part", dir=folder.parent))
        try:
            yield part
            part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def write_whole(path: Path, write: Callable[[IO[bytes]], Any]) -> None:
    """Let `write` fill a file."""
    part = path.with_name(f".{path.name}.part")
    with open(part, "wb") as file:
        write(file)
    os.replace(part, path)


def put(content: bytes, file: IO[bytes]) -> None:
    """What `write_whole` calls to write plain bytes."""
    file.write(content)
