"""Resizing with a filter that is widened where an image shrinks, so that no pixel is skipped (antialiasing).

OpenCV has none of these; image processors of transformers and torchvision's transforms resize in this way, as Pillow
does.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segtween.models.records import Resampling
from segtween.types import Rgb, SizeHW

BITS = 22
"""Weights are whole numbers of 2 ** -22, in which a pixel's sum is exact."""
CUBIC = -0.5
"""Keys, "Cubic convolution interpolation for digital image processing", 1981: the slope of a third-order error."""


def _triangle(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum(0, 1 - np.abs(x))


def _cubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    x, a = np.abs(x), CUBIC
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


ANTIALIASED: dict[Resampling, tuple[Callable[[NDArray[np.float64]], NDArray[np.float64]], float]] = {
    "antialiased-bilinear": (_triangle, 1.0),
    "antialiased-bicubic": (_cubic, 2.0),
}
"""Filters by name, and where they end, in pixels of the coarser image."""


def antialiased(rgb: Rgb, size_hw: SizeHW, how: Resampling) -> Rgb:
    """(H, W, 3) uint8 in another size, half-pixel-centred: along rows, then along columns, rounded after each."""
    from segtween.ops.resampling import across  # on a device Numba may be missing

    height, width = size_hw
    image = np.ascontiguousarray(rgb)
    if width != image.shape[1]:
        image = across(image, *filter_weights(width, image.shape[1], how), BITS)
    if height != image.shape[0]:
        columns = np.ascontiguousarray(image.transpose(1, 0, 2))
        image = np.ascontiguousarray(
            across(columns, *filter_weights(height, image.shape[0], how), BITS).transpose(1, 0, 2)
        )
    return image


def reads_neighbours(size_hw: SizeHW, source_hw: SizeHW, how: Resampling | None) -> bool:
    """Whether each pixel of a resized frame is made of four neighbours of it, bilinearly; with None for `how` not below
    half size, where that would skip pixels."""
    shrinks = min(side / own for side, own in zip(size_hw, source_hw, strict=True)) < 0.5
    return how == "bilinear" or (how is None and not shrinks) or size_hw == source_hw


@lru_cache(maxsize=32)
def filter_weights(target: int, source: int, how: Resampling) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each of `target` pixels the first of `source` that it is made of, and their weights: (target, taps)."""
    weigh, reach = ANTIALIASED[how]
    step = source / target
    wide = max(1.0, step)
    centre = (np.arange(target) + 0.5) * step
    first = np.maximum(0, (centre - reach * wide + 0.5).astype(np.int64))
    end = np.minimum(source, (centre + reach * wide + 0.5).astype(np.int64))
    at = first[:, None] + np.arange((end - first).max())
    values = np.where(at < end[:, None], weigh((at + 0.5 - centre[:, None]) / wide), 0)
    return first, np.rint(values / values.sum(axis=1, keepdims=True) * 2**BITS).astype(np.int64)
