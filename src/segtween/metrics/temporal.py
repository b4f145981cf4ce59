"""Temporal consistency of labels.

Convention (docs/conventions.md): backward flow, current(x, y) = previous(x + dx, y + dy); pixel centres
on integers; a sample is inside where it lies in [0, W-1] x [0, H-1].

Each class follows one run of frames. `begin` starts a new run and keeps the counts, `take` hands the
counts over and keeps the run: pooled figures are sums of counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.metrics.segmentation import Counts, fraction, mean_of_known, overlap, pair_counts
from segtween.types import IGNORE, Flow, Labels, Rgb, SizeHW

FARNEBACK: dict[str, Any] = {
    "pyr_scale": 0.5, "levels": 4, "winsize": 21, "iterations": 3, "poly_n": 5, "poly_sigma": 1.2, "flags": 0,
}  # fmt: skip
"""OpenCV's settings of the flow that judges temporal consistency. They are part of the measure: never change them."""

WIDEST = 1024
"""Wider frames are halved (area mean) until they are no wider before this flow is estimated."""


@dataclass(frozen=True, slots=True, eq=False)
class Correspondence:
    """Where each pixel was one frame before: `source` (H, W) flat index of the nearest pixel, `inside` (H, W) whether
    it was seen there: inside the image and, where that is known, not occluded."""

    source: NDArray[np.intp]
    inside: NDArray[np.bool_]

    def warp(self, previous: Labels) -> Labels:
        """The previous frame's labels moved onto this frame, nearest neighbour; 255 where they were not seen."""
        moved = previous.ravel().take(self.source)
        moved[~self.inside] = IGNORE
        return moved


def correspondence(flow: Flow, occlusion: NDArray[np.bool_] | None = None) -> Correspondence:
    """From a backward flow (H, W, 2) in pixels of the labels' own grid; NaN vectors count as outside.

    `occlusion` (H, W) is True where a pixel was not visible in the previous frame: exact flow leads such a pixel to
    whatever hid it, so that it is not compared.
    """
    h, w = flow.shape[:2]
    x, y = flow[..., 0] + np.arange(w, dtype=np.float32), flow[..., 1] + np.arange(h, dtype=np.float32)[:, None]
    inside = (x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1)
    columns, rows = (np.rint(np.where(inside, v, 0)).astype(np.intp) for v in (x, y))
    return Correspondence(rows * w + columns, inside if occlusion is None else inside & ~occlusion)


def judging_view(rgb: Rgb) -> NDArray[np.uint8]:
    """The grey picture that the judging flow sees of a frame (H, W, 3): halved until it is at most `WIDEST` wide."""
    import cv2

    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    while grey.shape[1] > WIDEST:
        half = ((grey.shape[1] + 1) // 2, (grey.shape[0] + 1) // 2)
        grey = cv2.resize(grey, half, interpolation=cv2.INTER_AREA)
    return np.asarray(grey)


def farneback(first: NDArray[np.uint8], second: NDArray[np.uint8], *, size_hw: SizeHW) -> Flow:
    """(H, W, 2) with first(x, y) = second(x + dx, y + dy), from two `judging_view`s of frames of `size_hw`."""
    import cv2

    flow = cv2.calcOpticalFlowFarneback(first, second, None, **FARNEBACK)
    if first.shape != size_hw:
        h, w = size_hw
        flow = cv2.resize(flow, (w, h), interpolation=cv2.INTER_LINEAR)
        flow *= np.array([w / first.shape[1], h / first.shape[0]], np.float32)
    return np.asarray(flow, np.float32)


class Farneback:
    """The judging flow (Farneback: Two-Frame Motion Estimation Based on Polynomial Expansion, SCIA 2003).

    Used by no method here, so that no method is judged by its own flow.
    """

    def __init__(self) -> None:
        self._previous: NDArray[np.uint8] | None = None

    def begin(self) -> None:
        """The next frame has no predecessor."""
        self._previous = None

    def __call__(self, rgb: Rgb) -> Correspondence | None:
        """Correspondence of this frame to the one given before; None for the first."""
        grey = judging_view(rgb)
        previous, self._previous = self._previous, grey
        if previous is None:
            return None
        flow = farneback(grey, previous, size_hw=(rgb.shape[0], rgb.shape[1]))
        return correspondence(flow)


def consistency(overlaps: NDArray[Any], *, counted: NDArray[np.bool_] | None = None) -> NDArray[np.float64]:
    """(..., 3, classes) of `TemporalConsistency` -> (...): mean IoU of the two predictions; NaN where there is none.

    The mean is over the `counted` classes (classes,), by default all, that occur in either prediction. Methods that are
    compared on labelled clips count the classes that the truth holds, so that a class seen once by one of them does not
    move its mean.
    """
    hits, union = overlaps[..., 0, :], overlaps[..., 1, :]
    iou = np.where(union > 0, hits / np.maximum(union, 1), np.nan)
    return mean_of_known(iou if counted is None else np.where(counted, iou, np.nan))


class RunCounts:
    """Whole numbers of a `shape` that are summed up over runs of frames."""

    counts: Counts

    def __init__(self, *shape: int) -> None:
        self._shape = shape
        self.reset()

    def begin(self) -> None:
        """The next frame is a run's first."""
        self._previous: Labels | None = None

    def take(self) -> Counts:
        """Those since the last `take`, as the class says."""
        counts, self.counts = self.counts, np.zeros(self._shape, np.int64)
        return counts

    def reset(self) -> None:
        self.begin()
        self.counts = np.zeros(self._shape, np.int64)


class TemporalConsistency(RunCounts):
    """TC: pooled mIoU between the previous prediction, moved along the flow, and the current one.

    Samples from outside the image or from where they were hidden, and pixels without a class, are not counted. A
    constant mask scores 1. Counts are (3, classes): intersection, union, and pixels of the previous prediction.
    """

    def __init__(self, classes: int) -> None:
        self.classes = classes
        super().__init__(3, classes)

    def update(self, prediction: Labels, motion: Correspondence | None) -> None:
        """`motion` leads from this frame to the one before; None: no pair to compare."""
        previous, self._previous = self._previous, prediction
        if previous is not None and motion is not None:
            pairs = pair_counts(motion.warp(previous), prediction, classes=self.classes)
            self.counts += overlap(pairs[:-1, :-1])

    def compute(self, *, counted: NDArray[np.bool_] | None = None) -> dict[str, float | None]:
        """`tc`, over the classes that are `counted`, as in `consistency`."""
        return {"tc": fraction(consistency(self.counts, counted=counted))}


class VideoConsistency(RunCounts):
    """VC: among the pixels whose true label (not ignore) is constant over a window of frames, the share whose
    prediction is constant too (Miao et al.: VSPW, CVPR 2021). All windows of consecutive frames are pooled.
    Counts are (windows, 2): pixels constant in both, pixels constant in truth."""

    def __init__(self, windows: Sequence[int] = (8, 16)) -> None:
        self.windows = tuple(windows)
        super().__init__(len(self.windows), 2)

    def begin(self) -> None:
        cap = max(self.windows)
        self._predicted, self._true, self._frames = _RunLength(cap), _RunLength(cap), 0

    @property
    def full(self) -> NDArray[np.bool_]:
        """(windows,) whether the run has had as many frames as the window."""
        return np.array([self._frames >= window for window in self.windows])

    def update(self, prediction: Labels, truth: Labels) -> None:
        predicted, true = self._predicted(prediction), self._true(truth)
        self._frames += 1
        for row, window in enumerate(self.windows):
            if self._frames >= window:
                constant = (true >= window) & (truth != IGNORE)
                self.counts[row] += np.count_nonzero(constant & (predicted >= window)), np.count_nonzero(constant)

    def compute(self) -> dict[str, float | None]:
        return {f"vc{n}": fraction(v) for n, v in zip(self.windows, share(self.counts), strict=True)}


class _RunLength:
    """For how many frames each pixel has had its label, counted up to `cap` (at most 255)."""

    def __init__(self, cap: int) -> None:
        self._top = np.uint8(cap - 1)
        self._labels: Labels | None = None
        self._run = np.zeros(0, np.uint8)

    def __call__(self, labels: Labels) -> NDArray[np.uint8]:
        if self._labels is None:
            self._run = np.ones(labels.shape, np.uint8)
        else:
            run = np.minimum(self._run, self._top)
            run *= labels == self._labels
            run += np.uint8(1)
            self._run = run
        self._labels = labels
        return self._run


class KeyFlicker(RunCounts):
    """How much more labels change at key frames than elsewhere; 1 = no visible rhythm. Counts are (2, 2): changed
    pixels and all pixels, at key frames and at the others."""

    def __init__(self) -> None:
        super().__init__(2, 2)

    def update(self, prediction: Labels, *, is_key: bool, is_cut: bool = False) -> None:
        """The next frame's labels (H, W); nothing is compared at a scene cut."""
        previous, self._previous = self._previous, prediction
        if previous is not None and not is_cut:
            self.counts[0 if is_key else 1] += np.count_nonzero(prediction != previous), prediction.size

    def compute(self) -> dict[str, float | None]:
        return flicker(self.counts)


def flicker(counts: Counts) -> dict[str, float | None]:
    """From counts as `KeyFlicker` has them; None where a rate or the ratio does not exist."""
    at_keys, elsewhere = share(counts)
    ratio = at_keys / elsewhere if elsewhere > 0 else np.nan
    return {
        "flicker_at_keys": fraction(ratio),
        "change_rate_at_keys": fraction(at_keys),
        "change_rate_elsewhere": fraction(elsewhere),
    }


def share(counts: NDArray[np.generic]) -> NDArray[np.float64]:
    """(..., 2) part and whole -> (...) part / whole; NaN where the whole is 0."""
    part, whole = np.asarray(counts, np.float64)[..., 0], np.asarray(counts, np.float64)[..., 1]
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
