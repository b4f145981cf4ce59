"""The compiled loop of resizing with weights in whole numbers (`segmenters.resampling`)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(nogil=True, cache=True, error_model="numpy")
def across(image: Any, first: Any, weights: Any, bits: int) -> Any:
    """(rows, source, 3) uint8 -> (rows, target, 3): sums of pixels from `first` on with `weights` of 2 ** -bits."""
    rows, source, channels = image.shape
    target, taps = weights.shape
    out = np.empty((rows, target, channels), np.uint8)
    for y in range(rows):
        for x in range(target):
            for c in range(channels):
                total = 1 << (bits - 1)
                for tap in range(min(taps, source - first[x])):
                    total += weights[x, tap] * image[y, first[x] + tap, c]
                out[y, x, c] = min(max(total >> bits, 0), 255)
    return out
