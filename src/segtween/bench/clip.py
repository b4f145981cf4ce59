"""The frames that are timed: a textured picture that moves, played forwards and backwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from segtween.types import Rgb, SizeHW

CLIP_FRAMES = 8
FrameT = TypeVar("FrameT")


def moving_clip(size_hw: SizeHW, *, frames: int = CLIP_FRAMES, seed: int = 0) -> list[Rgb]:
    """RGB frames that look at a textured picture from a place moving by 0.4% of the width from frame to frame.

    Played forwards and backwards they go on without end and without a cut.
    """
    import cv2

    height, width = size_hw
    step = max(1, round(0.004 * width))
    rng = np.random.default_rng(seed)
    picture = np.zeros((height + step * frames, width + 2 * step * frames, 3), np.float32)
    for cell, strength in ((64, 110.0), (24, 90.0), (8, 55.0)):
        coarse = rng.random((picture.shape[0] // cell + 2, picture.shape[1] // cell + 2, 3), dtype=np.float32)
        picture += strength * cv2.resize(coarse, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    texture = np.clip(picture, 0, 255).astype(np.uint8)
    corners = [(step * i, 2 * step * i) for i in range(frames)]
    return [np.ascontiguousarray(texture[y : y + height, x : x + width]) for y, x in corners]


def to_and_fro(frames: Sequence[FrameT], position: int) -> FrameT:
    """The frame at a position of a clip that is played forwards and backwards without end."""
    at = position % (2 * len(frames) - 2)
    return frames[min(at, 2 * len(frames) - 2 - at)]
