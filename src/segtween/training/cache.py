"""The cache of a training: files and folders only when they are whole, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from segtween.validation import whole_folder, write_whole
from segtween.video.staging import sink_errors

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
