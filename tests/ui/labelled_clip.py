"""A small video to label: a bright square on a dark, textured ground that moves to the right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from fakes import textured

SIZE, FRAMES, STEP = (96, 128), 12, 3
GROUND, SQUARE = 0, 1


def place(index: int) -> tuple[slice, slice]:
    """Rows and columns of the square."""
    return slice(30, 62), slice(20 + STEP * index, 52 + STEP * index)


def picture(index: int) -> NDArray[np.uint8]:
    rgb = (textured(SIZE, seed=1, cell=8) // 3).astype(np.uint8)
    rgb[place(index)] = 150 + textured((32, 32), seed=2, cell=6) // 3
    return rgb


def truth(index: int) -> NDArray[np.uint8]:
    labels = np.full(SIZE, GROUND, np.uint8)
    labels[place(index)] = SQUARE
    return labels


def write_clip(path: Path, frames: int = FRAMES) -> Path:
    """Lossless, whatever the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=25, width=SIZE[1], height=SIZE[0], pix_fmt="bgr0")
        for index in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(index), format="rgb24")))
        container.mux(stream.encode(None))
    return path


def video_of(path: Path) -> Any:
    """As a session holds it."""
    from segtween.ui.sessions import Video

    return Video("v", "square.mkv", path, SIZE, FRAMES, 25.0)
