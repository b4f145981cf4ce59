"""What all engines of an evaluation share: each frame's scores, and the flow of the current pair of frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.interfaces import FlowEstimator, Segmenter
from segtween.labels import LabelSet
from segtween.types import Flow, Rgb


class SharedSegmenter:
    """Computes the scores of a frame once for all engines that are shown the same array.

    `at_once` says that late keys call it in the engine's own thread: it keeps one frame at a time."""

    at_once = True

    def __init__(self, inner: Segmenter) -> None:
        self._inner = inner
        self._last: tuple[Rgb, NDArray[np.float32]] | None = None

    @property
    def labels(self) -> LabelSet:
        return self._inner.labels

    def __call__(self, rgb: Rgb) -> NDArray[np.float32]:
        if self._last is None or self._last[0] is not rgb:
            self._last = rgb, self._inner(rgb)
        return self._last[1]

    def describe(self) -> dict[str, Any]:
        return self._inner.describe()


class SharedFlow:
    """Prepares each frame once and computes the flow of a pair of prepared frames once, in each direction."""

    def __init__(self, inner: FlowEstimator) -> None:
        self._inner = inner
        self._view: tuple[Rgb, NDArray[np.uint8]] | None = None
        self._flows: list[tuple[NDArray[np.uint8], NDArray[np.uint8], Flow]] = []

    def prepare(self, rgb: Rgb) -> NDArray[np.uint8]:
        if self._view is None or self._view[0] is not rgb:
            self._view = rgb, self._inner.prepare(rgb)
        return self._view[1]

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:
        for known in self._flows:
            if known[0] is current and known[1] is previous:
                return known[2]
        found = self._inner(current, previous)
        self._flows = [*self._flows[-1:], (current, previous, found)]
        return found

    def describe(self) -> dict[str, Any]:
        return self._inner.describe()
