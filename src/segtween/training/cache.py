"""The cache of a training: what is rendered, decoded and computed once, each file and folder only when it is whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from segtween.validation import whole_folder, write_whole
from segtween.video.staging import sink_errors

Row = Mapping[str, NDArray[Any]]
T = TypeVar("T")


def tracked(items: Iterable[T], title: str, count: int | None = None) -> Iterable[T]:
    """The items, of which there are `count`, with a bar of the progress on a terminal."""
    console = Console(stderr=True)
    return track(items, title, count, console=console, disable=not console.is_terminal)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes `folder` when all went well and is gone otherwise. Raises SinkError."""
    with sink_errors(folder), whole_folder(folder) as part:
        yield part


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """(H, W, 3) BGR or (H, W) as a PNG file, packed little."""
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    write_whole(path, data.tobytes())


def computed_once(folder: Path, rows: Iterable[Row], *, count: int, title: str) -> dict[str, NDArray[Any]]:
    """The arrays of `folder`, by name, mapped from disk; it is filled from `count` rows where it is not there yet.

    There is a row for every frame. It gives one array for each name, of the same shape and type in every row. The
    folder has its name only when it is whole. SinkError if it cannot be written.
    """
    if not folder.is_dir():
        with new_folder(folder) as part:
            _fill(part, rows, count=count, title=title)
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}


def _fill(folder: Path, rows: Iterable[Row], *, count: int, title: str) -> None:
    arrays: dict[str, Any] = {}
    for number, row in enumerate(tracked(rows, title, count)):
        for name, value in row.items():
            if number == 0:
                shape = (count, *value.shape)
                path = folder / f"{name}.npy"
                arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=value.dtype, shape=shape)
            arrays[name][number] = value
    for array in arrays.values():
        array.flush()
