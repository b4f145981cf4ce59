"""Grids: their sizes, and where their samples lie in the image.

Convention: a grid of (h, w) cells spans the whole image; the centre of cell (x, y) lies at
((x + 0.5) * W / w - 0.5, (y + 0.5) * H / h - 0.5) in pixels of an image of (H, W), pixel centres on
integers (half-pixel-centred, `align_corners=False`). Sizes are (height, width).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError
from segtween.types import SizeHW


def shrink_to(size_hw: SizeHW, *, cells: int, first: int = 1) -> SizeHW:
    """`size_hw` divided by the smallest of first, 2 first, 4 first, ... that leaves at most `cells` cells.

    Sides are rounded up, so the grid still spans the whole image, and are never below 1.
    """
    if cells < 1 or first < 1:
        raise SettingError(f"grid limit {cells} cells, first stride {first}", expected="both at least 1", do="raise it")
    stride = first
    while True:
        grid = -(-size_hw[0] // stride), -(-size_hw[1] // stride)
        if grid[0] * grid[1] <= cells or grid == (1, 1):
            return grid
        stride *= 2


def stride_grid(size_hw: SizeHW, stride: int) -> SizeHW:
    """The grid of cells of `stride` x `stride` pixels, sides rounded up."""
    if stride < 1:
        raise SettingError(f"grid stride {stride}", expected="1 or more", do="choose 1, 2, 4, 8 or 16")
    return max(1, -(-size_hw[0] // stride)), max(1, -(-size_hw[1] // stride))


def sample_positions(target: int, source: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Along one axis: for each of `target` samples the left source sample and the weight of the right one.

    Borders clamp: left + 1 may be used wherever source > 1, with weight 0 or 1 at the ends.
    """
    centre = (np.arange(target, dtype=np.float64) + 0.5) * (source / target) - 0.5
    centre = np.clip(centre, 0.0, source - 1.0)
    left = np.minimum(np.floor(centre), max(source - 2, 0)).astype(np.int32)
    return left, (centre - left).astype(np.float32)
