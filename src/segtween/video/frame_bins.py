"""Means of figures over the frames of a clip, in a bounded number of bins, however long the clip is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

UNKNOWN_FRAMES = 120
"""So many frames have room at first where the clip's length is not known; each time it is longer, twice as many."""


class FrameBins:
    """`rows` figures of every frame, in at most `most` bins of equally many frames. `total` frames have room."""

    def __init__(self, rows: int, *, frames: int | None, most: int) -> None:
        self.total = max(2, frames or UNKNOWN_FRAMES)
        self.count = min(most, self.total)
        self.frames = 0
        self._sums, self._known = np.zeros((rows, self.count)), np.zeros((rows, self.count))

    def add(self, values: Sequence[float | None]) -> None:
        """The next frame's figures; None: not known."""
        while self.frames >= self.total:
            self._halve()
        at = self.frames * self.count // self.total
        for row, value in enumerate(values):
            if value is not None:
                self._sums[row, at] += value
                self._known[row, at] += 1
        self.frames += 1

    @property
    def means(self) -> NDArray[np.float64]:
        """(rows, count); NaN where nothing is known."""
        return np.where(self._known > 0, self._sums / np.maximum(self._known, 1), np.nan)

    @property
    def filled(self) -> int:
        """The bins that hold a frame."""
        return (self.frames - 1) * self.count // self.total + 1 if self.frames else 0

    def _halve(self) -> None:
        """Twice as many frames in as many bins."""
        self.total *= 2
        self._sums, self._known = (self._halved(values) for values in (self._sums, self._known))

    def _halved(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        pairs = np.pad(values, ((0, 0), (0, self.count % 2))).reshape(len(values), -1, 2).sum(axis=2)
        return np.pad(pairs, ((0, 0), (0, self.count - pairs.shape[1])))
