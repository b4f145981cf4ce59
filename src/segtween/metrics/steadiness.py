"""How steady labels are where nobody knows the true ones: for any video.

Convention (docs/conventions.md): backward flow; labels of the frame before are moved onto the current frame, nearest
neighbour (`temporal.Correspondence`). A mask that never changes is perfectly steady: never read it without accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.metrics.temporal import Correspondence, Farneback, TemporalConsistency, flicker, share
from segtween.types import IGNORE, Labels, Rgb

BACK_WITHIN = 8
"""A label that comes back so many frames after it was lost, or earlier, flickers."""


@dataclass(frozen=True, slots=True)
class _Trace:
    """Of each pixel, along the motion: the label, the one before its last change (255: none), frames since that."""

    labels: Labels
    earlier: Labels
    age: NDArray[np.uint8]

    def moved(self, motion: Correspondence) -> _Trace:
        return _Trace(*(motion.carry(plane) for plane in (self.labels, self.earlier, self.age)))


class SteadinessMeter:
    """Follows one video: TC (docs/evaluation.md), changes at key frames and at the others, and flicker.

    Changes are counted against the labels of the frame before, moved along Farneback's flow. Flicker in the narrow
    sense: a pixel changes back to a label that it lost at most 8 frames ago, followed along the motion. Nearly all the
    time goes into that flow.
    """

    def __init__(self, classes: int) -> None:
        self._farneback, self._tc = Farneback(), TemporalConsistency(classes)
        self._trace: _Trace | None = None
        self._changes = np.zeros((2, 2), np.int64)
        self._back = np.zeros(2, np.int64)
        self._seen = np.zeros(256, np.bool_)

    def update(self, rgb: Rgb, labels: Labels, *, is_key: bool, is_cut: bool = False) -> float | None:
        """The next frame, (H, W, 3), and its labels (H, W); nothing is compared at a cut. Returns as `follow` does."""
        if is_cut:
            self._farneback.begin()
        return self.follow(labels, self._farneback(rgb), is_key=is_key)

    def follow(self, labels: Labels, motion: Correspondence | None, *, is_key: bool) -> float | None:
        """`update` where the motion to the frame before is known; None: there is no such frame.

        Returns the share of the frame's pixels that changed back, None where there was nothing to compare.
        """
        self._tc.update(labels, motion)
        self._seen[np.bincount(labels.ravel(), minlength=256) > 0] = True
        if self._trace is None or motion is None:
            unknown = np.full(labels.shape, IGNORE, np.uint8)
            self._trace = _Trace(labels, unknown, unknown)
            return None
        before = self._trace.moved(motion)
        counted = motion.inside & (labels != IGNORE) & (before.labels != IGNORE)
        changed = counted & (labels != before.labels)
        back = changed & (labels == before.earlier) & (before.age <= BACK_WITHIN)
        size = np.count_nonzero(counted)
        self._changes[0 if is_key else 1] += np.count_nonzero(changed), size
        self._back += np.count_nonzero(back), size
        older = np.minimum(before.age, IGNORE - 1) + np.uint8(1)
        self._trace = _Trace(
            labels,
            np.where(changed, before.labels, np.where(counted, before.earlier, np.uint8(IGNORE))),
            np.where(changed, np.uint8(1), older),
        )
        return np.count_nonzero(back) / size if size else None

    def compute(self) -> dict[str, Any]:
        """Shares in 0..1, None where there was nothing to compare:

        tc                     pooled mIoU with the labels of the frame before, moved
        flicker                pixels per frame that change back
        change_rate_at_keys    pixels that change at key frames
        change_rate_elsewhere  and at the others
        flicker_at_keys        the former over the latter
        classes_seen           how many classes occurred at all
        """
        back = float(share(self._back))
        return {
            **self._tc.compute(),
            "flicker": None if np.isnan(back) else back,
            **flicker(self._changes),
            "classes_seen": int(np.count_nonzero(self._seen[:IGNORE])),
        }
