"""The cache of a training: files and folders that have their name only when they are whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.errors import SinkError
from segtween.validation import whole_folder, write_whole


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
    with writing(folder), whole_folder(folder) as part:
        yield part


def write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    """(H, W, 3) BGR or (H, W) as a PNG file, packed little."""
    done, data = cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    assert done
    write_whole(path, data.tobytes())
