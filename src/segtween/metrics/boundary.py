"""Agreement along label edges: boundary F, and mIoU of the pixels near an edge.

Boundary F is that of DAVIS (Perazzi et al.: A Benchmark Dataset and Evaluation Methodology for Video Object
Segmentation, CVPR 2016, section 4.1; Martin, Fowlkes and Malik, PAMI 2004): a pixel of a class's outline is right if
the other outline has one within 0.8% of the image's diagonal. mIoU near an edge is that of a trimap (Kohli, Ladicky
and Torr: Robust Higher Order Potentials for Enforcing Label Consistency, IJCV 2009, section 5).

A label of 255 in the truth is not counted, and does not make an edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.metrics.segmentation import Counts, confusion, mean_of_known, overlap
from segtween.types import IGNORE, Labels

TOLERANCE = 0.008
"""How far outlines may be apart, as a share of the image's diagonal; rounded up to whole pixels."""

TRIMAP = (3, 5)
"""Pixels from an edge."""

Mask = NDArray[np.bool_]


def near_edge(labels: Labels, pixels: int) -> Mask:
    """(H, W) True where a pixel of another class lies at most so many pixels away, from centre to centre."""
    import cv2

    disc = _disc(pixels)
    # 255 is the largest label, and one more is the smallest: neither extreme sees what is not counted.
    highest, lowest = cv2.dilate(labels + np.uint8(1), disc), cv2.erode(labels, disc) + np.uint8(1)
    return np.asarray((highest != lowest) & (labels != IGNORE))


def outline(mask: Mask) -> Mask:
    """(H, W) True where the pixel to the right, below, or below to the right is on the other side of the outline."""
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    here = padded[:-1, :-1]
    return np.asarray((here ^ padded[:-1, 1:]) | (here ^ padded[1:, :-1]) | (here ^ padded[1:, 1:]))


def widened(mask: Mask, pixels: int) -> Mask:
    """(H, W) True at most so many pixels from a True one, from centre to centre."""
    import cv2

    return np.asarray(cv2.dilate(mask.astype(np.uint8), _disc(pixels)) > 0)


def _disc(radius: int) -> NDArray[np.uint8]:
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    return (y * y + x * x <= radius * radius).astype(np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class BoundaryCounts:
    """Of one frame: `f` (2, classes), F of each class that the truth holds, and 1 for each of them; `bands`
    (len(TRIMAP), 3, classes), intersection, union and true pixels near an edge."""

    f: NDArray[np.float64]
    bands: Counts


class TruthEdges:
    """The edges of one frame's true labels (H, W), to which any number of predictions are compared."""

    def __init__(self, truth: Labels, *, classes: int) -> None:
        self.truth, self.classes = truth, classes
        self._pixels = int(np.ceil(TOLERANCE * np.hypot(*truth.shape)))
        known = np.pad(truth != IGNORE, ((0, 1), (0, 1)), mode="edge")
        self._counted = known[:-1, :-1] & known[:-1, 1:] & known[1:, :-1] & known[1:, 1:]
        self._bands = [near_edge(truth, pixels) for pixels in TRIMAP]
        held = np.bincount(truth.ravel(), minlength=256)[:classes]
        outlines = {int(c): outline(truth == c) & self._counted for c in np.flatnonzero(held)}
        self._outlines = {c: (true, widened(true, self._pixels)) for c, true in outlines.items()}

    def agreement(self, prediction: Labels) -> BoundaryCounts:
        """Of a prediction (H, W) with the truth."""
        f = np.zeros((2, self.classes))
        for of, (true, wide) in self._outlines.items():
            f[:, of] = self._f(outline(prediction == of) & self._counted, true, wide), 1
        bands = [overlap(confusion(prediction[b], self.truth[b], classes=self.classes)) for b in self._bands]
        return BoundaryCounts(f, np.stack(bands))

    def _f(self, found: Mask, true: Mask, wide: Mask) -> float:
        """F of an outline; `wide` is the true one, widened."""
        either = found | true
        rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
        if not len(rows):
            return 1.0
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        found, true = found[part], true[part]
        precision, recall = _share(found, wide[part]), _share(true, widened(found, self._pixels))
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _share(pixels: Mask, right: Mask) -> float:
    """How many of the pixels are right; all of none."""
    count = np.count_nonzero(pixels)
    return np.count_nonzero(pixels & right) / count if count else 1.0


def mean_f(counts: NDArray[Any]) -> NDArray[np.float64]:
    """(..., 2, classes), sums of `BoundaryCounts.f` -> (...): each class's mean over the frames whose truth holds it,
    then the mean over classes; NaN without any."""
    total, frames = counts[..., 0, :], counts[..., 1, :]
    return mean_of_known(np.where(frames > 0, total / np.maximum(frames, 1), np.nan))


class BoundaryTally:
    """Sums over the frames of a row, per block and distance; `before_key`: of those just before the next key frame,
    where that is no matter of distance."""

    def __init__(self, *, blocks: int, distances: int, classes: int) -> None:
        self.f = np.zeros((blocks, distances, 2, classes))
        self.bands = np.zeros((blocks, distances, len(TRIMAP), 3, classes), np.int64)
        self.f_before_key = np.zeros((blocks, 2, classes))
        self.bands_before_key = np.zeros((blocks, len(TRIMAP), 3, classes), np.int64)

    def add(self, counts: BoundaryCounts, *, block: int, distance: int) -> None:
        self.f[block, distance] += counts.f
        self.bands[block, distance] += counts.bands

    def add_before_key(self, counts: BoundaryCounts, *, block: int) -> None:
        self.f_before_key[block] += counts.f
        self.bands_before_key[block] += counts.bands
