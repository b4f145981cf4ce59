"""What the classical estimators look at: a small grey image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.geometry import shrink_to, stride_grid
from segtween.types import Rgb, SizeHW

MOST_CELLS = 260_000
"""Flow is estimated on the image divided by 1, 2, 4, ... until it has no more pixels than this."""

STRIDE_FOR_NETWORKS = 8
"""Flow networks of the propagation literature see the image at an eighth of its size."""


class GreyView:
    """Reduces a frame to a grey image on the flow grid (area mean). `stride` None chooses by size."""

    def __init__(self, *, stride: int | None = None) -> None:
        self.stride = stride

    def grid(self, size_hw: SizeHW) -> SizeHW:
        return shrink_to(size_hw, cells=MOST_CELLS) if self.stride is None else stride_grid(size_hw, self.stride)

    def __call__(self, rgb: Rgb) -> NDArray[np.uint8]:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        grid = self.grid(grey.shape)
        if grid == grey.shape:
            return np.asarray(grey)
        return np.asarray(cv2.resize(grey, grid[::-1], interpolation=cv2.INTER_AREA))
