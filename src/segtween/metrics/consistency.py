"""Temporal consistency of labels without ground truth: for any video.

Convention (docs/conventions.md): backward flow; labels of the frame before are moved onto the current frame, nearest
neighbour (`temporal.Correspondence`). A mask that never changes is perfectly consistent: read it with accuracy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.metrics.temporal import Correspondence, Farneback, TemporalConsistency, flicker, share
from segtween.types import IGNORE, Labels, Rgb

BACK_WITHIN = 8
"""A label that a pixel lost at most this many frames ago and takes again flickers, whatever it had in between."""

_UNKNOWN = np.uint64(0xFFFF_FFFF_FFFF_FFFF)
_ONES, _HIGH_BITS = np.uint64(0x0101_0101_0101_0101), np.uint64(0x8080_8080_8080_8080)


@dataclass(frozen=True, slots=True)
class _Trace:
    """Of each pixel, along the motion: the label, and the 8 before it, a byte each (255: none), the latest lowest."""

    labels: Labels
    earlier: NDArray[np.uint64]

    def moved(self, motion: Correspondence) -> _Trace:
        earlier = self.earlier.ravel().take(motion.source)
        earlier[~motion.inside] = _UNKNOWN
        return _Trace(motion.warp(self.labels), earlier)


def _holds(earlier: NDArray[np.uint64], labels: Labels) -> NDArray[np.bool_]:
    """Whether one of the eight bytes is the label: their difference has then a byte of 0."""
    found = earlier ^ (labels.astype(np.uint64) * _ONES)
    return ((found - _ONES) & ~found & _HIGH_BITS) != 0


class ConsistencyMeter:
    """Follows one video: TC (docs/evaluation.md), changes at key frames and at the others, and flicker.

    Changes are counted against the labels of the frame before, moved along Farneback's flow. Flicker in the narrow
    sense: a pixel changes to a label that it lost at most 8 frames ago, followed along the motion; A, B, C, A is one
    such change. Nearly all the time goes into that flow.
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
            self._trace = _Trace(labels, np.full(labels.shape, _UNKNOWN))
            return None
        before = self._trace.moved(motion)
        counted = motion.inside & (labels != IGNORE) & (before.labels != IGNORE)
        changed = counted & (labels != before.labels)
        back = changed & _holds(before.earlier, labels)
        size = np.count_nonzero(counted)
        self._changes[0 if is_key else 1] += np.count_nonzero(changed), size
        self._back += np.count_nonzero(back), size
        self._trace = _Trace(labels, (before.earlier << np.uint64(8)) | before.labels)
        return np.count_nonzero(back) / size if size else None

    @property
    def seen(self) -> NDArray[np.bool_]:
        """(classes,) whether a class has occurred."""
        return self._seen[: self._tc.classes].copy()

    def compute(self, *, counted: NDArray[np.bool_] | None = None) -> dict[str, Any]:
        """Shares in 0..1, None where there was nothing to compare. Two methods are compared over the same classes,
        those that are `counted` (classes,) in both; None: all that occurred.

        tc                     pooled mIoU with the labels of the frame before, moved
        flicker                pixels per frame that change back
        change_rate_at_keys    pixels that change at key frames
        change_rate_elsewhere  and at the others
        flicker_at_keys        the former over the latter
        classes_seen           how many classes occurred at all
        """
        back = float(share(self._back))
        return {
            **self._tc.compute(counted=counted),
            "flicker": None if np.isnan(back) else back,
            **flicker(self._changes),
            "classes_seen": int(np.count_nonzero(self._seen[:IGNORE])),
        }
