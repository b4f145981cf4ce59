"""Arrays on disk, computed once for every frame or clip of a source, one row each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from segtween.training.cache import new_folder

Row = Mapping[str, NDArray[Any]]


def computed_once(
    folder: Path, rows: Callable[[], Iterator[Row]], *, count: int, title: str
) -> dict[str, NDArray[Any]]:
    """The arrays of `folder`, by name, mapped from disk; it is filled from `count` rows where it is not there yet.

    A row gives one array for each name, of the same shape and type in every row. The folder has its name only when it
    is whole. SinkError if it cannot be written.
    """
    if not folder.is_dir():
        with new_folder(folder) as part:
            _fill(part, rows(), count=count, title=title)
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}


def _fill(folder: Path, rows: Iterator[Row], *, count: int, title: str) -> None:
    arrays: dict[str, Any] = {}
    console = Console(stderr=True)
    for number, row in enumerate(track(rows, title, count, console=console, disable=not console.is_terminal)):
        for name, value in row.items():
            if number == 0:
                shape = (count, *value.shape)
                path = folder / f"{name}.npy"
                arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=value.dtype, shape=shape)
            arrays[name][number] = value
    for array in arrays.values():
        array.flush()
