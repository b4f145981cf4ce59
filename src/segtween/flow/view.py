"""The input of the classical estimators: a small grey image."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numba import njit
from numpy.typing import NDArray

from segtween.flow.grid import FlowGrid
from segtween.ops.kernels import add_rows
from segtween.ops.threads import Rows
from segtween.types import Rgb


class GreyView(FlowGrid):
    """Reduces a frame to a grey image on the flow grid (area mean). `stride` None chooses by size."""

    def __init__(self, *, stride: int | None = None, threads: int = 0) -> None:
        super().__init__(stride=stride)
        self._rows = Rows(threads)

    def __call__(self, rgb: Rgb) -> NDArray[np.uint8]:
        (h, w), size_hw = self.grid((rgb.shape[0], rgb.shape[1])), rgb.shape[:2]
        if size_hw[0] * w == size_hw[1] * h and size_hw[0] % (4 * h) == 0 and rgb.flags.c_contiguous:
            view = np.empty((h, w), np.uint8)
            self._rows(lambda a, b: shrink_rows(rgb, view, a, b), h)
            return view
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        if (h, w) == grey.shape:
            return np.asarray(grey)
        return np.asarray(cv2.resize(grey, (w, h), interpolation=cv2.INTER_AREA))


@njit(nogil=True, inline="always", error_model="numpy")
def _luma_of_four(sums: Any, k: Any) -> Any:
    """Of four RGB pixels from sums[k] on, summed, times 2^14 (ITU-R BT.601)."""
    red = np.int32(sums[k]) + sums[k + 3] + sums[k + 6] + sums[k + 9]
    green = np.int32(sums[k + 1]) + sums[k + 4] + sums[k + 7] + sums[k + 10]
    blue = np.int32(sums[k + 2]) + sums[k + 5] + sums[k + 8] + sums[k + 11]
    return red * 4899 + green * 9617 + blue * 1868


@njit(nogil=True, cache=True, error_model="numpy")
def shrink_rows(rgb: Any, out: Any, first: int, last: int) -> None:
    """Rows first..last of a grey image (h, w): the luma of the means of side x side pixels of an RGB image (side h,
    side w, 3); the side is 4 or a multiple of it."""
    w = out.shape[1]
    side = rgb.shape[1] // w
    sums = np.empty(3 * side * w, np.uint16)
    part, half = np.float32(1.0 / (16384 * side * side)), np.float32(0.5)
    for y in range(first, last):
        add_rows(rgb, side * y, side, sums)
        if side == 4:  # without the loop within it is vectorised
            for x in range(w):
                out[y, x] = np.uint8(np.float32(_luma_of_four(sums, 12 * x)) * part + half)
            continue
        for x in range(w):
            luma = np.int32(0)
            for k in range(3 * side * x, 3 * side * (x + 1), 12):
                luma += _luma_of_four(sums, k)
            out[y, x] = np.uint8(np.float32(luma) * part + half)
