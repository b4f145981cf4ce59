"""Frames padded as the reference system pads them, for any estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.interfaces import FlowEstimator
from segtween.ops.reference import pad_image
from segtween.types import Flow, Rgb


class PaddedFlow:
    """Shows another estimator the frame padded right and bottom to multiples of 32 by its last row and column."""

    def __init__(self, inner: FlowEstimator) -> None:
        self.inner = inner

    def prepare(self, rgb: Rgb) -> NDArray[np.uint8]:
        return self.inner.prepare(pad_image(rgb))

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:
        return self.inner(current, previous)

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()
