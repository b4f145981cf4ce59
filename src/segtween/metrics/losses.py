"""What propagation loses against the network on every frame, by the kind of place where it is lost.

A pixel is lost where the network on every frame gives its true class and the method does not, won back where it is the
other way round. Lost pixels are sorted by the truth alone, each into the first kind that applies:

    thin       part of a thing of at most 6 pixels: gone when its class's mask is opened with a square of 7 (the white
               top-hat: Soille: Morphological Image Analysis, 2003, section 4.5)
    hidden     hidden or outside the image in the key frame, or on the way there
    edge       within 2 pixels of another class, from centre to centre
    elsewhere
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.metrics.bootstrap import Bootstrap, Interval, difference
from segtween.metrics.boundary import near_edge
from segtween.metrics.segmentation import Counts, mean_of_known
from segtween.types import IGNORE, Flow, Labels

KINDS = ("thin", "hidden", "edge", "elsewhere")
WIDEST, NEAR = 6, 2
"""Pixels: how wide thin things are at most, and how near an edge is."""

Mask = NDArray[np.bool_]


def thin(labels: Labels, *, widest: int = WIDEST) -> Mask:
    """(H, W) True where a region of one label is nowhere as high and wide as `widest` + 1 pixels. What the image cuts
    off counts as going on outside."""
    import cv2

    square = np.ones((widest + 1, widest + 1), np.uint8)
    found = np.zeros(labels.shape, np.bool_)
    for label in np.flatnonzero(np.bincount(labels.ravel(), minlength=256)[:IGNORE]):
        mask = np.pad((labels == label).astype(np.uint8), widest, mode="edge")
        wide = cv2.morphologyEx(mask, cv2.MORPH_OPEN, square)[widest:-widest, widest:-widest]
        found |= (labels == label) & (wide == 0)
    return found


def visible_before(steps: Sequence[tuple[Flow, Mask]]) -> Mask:
    """(H, W) whether a point of the last frame was visible as many frames before as there are steps, and in between.

    `steps` are the backward flows (H, W, 2) and occlusions (H, W) of the frames in order of time. Places are followed
    exactly; the flow at a place is that of the nearest pixel.
    """
    height, width = steps[-1][1].shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    visible = np.ones((height, width), np.bool_)
    for flow, occlusion in reversed(steps):
        rows, columns = (np.rint(np.clip(v, 0, n - 1)).astype(np.intp) for v, n in ((y, height), (x, width)))
        vectors = flow[rows, columns]
        x, y = x + vectors[..., 0], y + vectors[..., 1]
        visible &= ~occlusion[rows, columns] & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return visible


def sort_pixels(truth: Labels, visible: Mask | None) -> NDArray[np.uint8]:
    """(H, W) each pixel's place in `KINDS`; without `visible`, where it is not known, nothing counts as hidden."""
    kinds = np.full(truth.shape, KINDS.index("elsewhere"), np.uint8)
    kinds[near_edge(truth, NEAR)] = KINDS.index("edge")
    if visible is not None:
        kinds[~visible] = KINDS.index("hidden")
    kinds[thin(truth)] = KINDS.index("thin")
    return kinds


class LossCounts:
    """Sums over frames, per block: `lost` and `won` (blocks, kinds, classes), pixels by their true class; `plain` and
    `own` (blocks, 2, classes), right pixels and all true ones, of the network on every frame and of the method.

    `clips` (blocks,): the clip of each block, blocks of a clip in order of time.
    """

    def __init__(self, clips: NDArray[np.intp], *, classes: int) -> None:
        self.clips, self.classes, self.frames = clips, classes, 0
        blocks = len(clips)
        self.lost = np.zeros((blocks, len(KINDS), classes), np.int64)
        self.won = np.zeros_like(self.lost)
        self.plain = np.zeros((blocks, 2, classes), np.int64)
        self.own = np.zeros_like(self.plain)

    def add(self, labels: Labels, *, plain: Labels, truth: Labels, kinds: NDArray[np.uint8], block: int) -> None:
        """One frame, all (H, W): the method's labels, those of the network on every frame, the true ones, and what
        `sort_pixels` says."""
        counted = truth < self.classes
        was, now = counted & (plain == truth), counted & (labels == truth)
        self.lost[block] += self._by_kind(was & ~now, truth, kinds)
        self.won[block] += self._by_kind(now & ~was, truth, kinds)
        true = self._by_class(truth[counted])
        self.plain[block] += self._by_class(truth[was]), true
        self.own[block] += self._by_class(truth[now]), true
        self.frames += 1

    def _by_class(self, labels: Labels) -> Counts:
        return np.bincount(labels, minlength=self.classes)

    def _by_kind(self, pixels: Mask, truth: Labels, kinds: NDArray[np.uint8]) -> Counts:
        index = kinds[pixels].astype(np.intp) * self.classes + truth[pixels]
        return np.bincount(index, minlength=len(KINDS) * self.classes).reshape(len(KINDS), self.classes)

    def per_class(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """(blocks, ..., classes) -> (..., classes), as shares of the true pixels; NaN for a class without any."""
        true = self.plain[:, 1].sum(axis=0)
        return np.where(true > 0, pixels.sum(axis=0) / np.maximum(true, 1), np.nan)

    def net(self, settings: Bootstrap) -> Interval:
        """Mean recall of the network on every frame less that of the method: what is lost less what is won back."""
        return difference(mean_recall, self.plain, self.own, clips=self.clips, settings=settings)

    def mean(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """(blocks, ..., classes) -> (...): the mean of `per_class` over the classes that the truth holds."""
        return mean_of_known(self.per_class(pixels))


def mean_recall(counts: NDArray[Any]) -> NDArray[np.float64]:
    """(..., 2, classes) right and true pixels -> (...): mean recall over the classes that the truth holds."""
    right, true = counts[..., 0, :], counts[..., 1, :]
    return mean_of_known(np.where(true > 0, right / np.maximum(true, 1), np.nan))
