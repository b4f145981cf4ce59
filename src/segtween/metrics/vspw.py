"""The measures as VSPW's public evaluation scripts compute them, for comparison with published figures only.

Miao et al.: VSPW: A Large-scale Dataset for Video Scene Parsing in the Wild, CVPR 2021; scripts at
github.com/VSPW-dataset/VSPW_code (`evaluator_test.py`, `TC_cal.py`, `VC_perclip.py`). Their rules, compared with those
of `segmentation` and `temporal`:

mIoU  One confusion matrix is pooled over all frames, void pixels of the truth left out; the mean is over the classes
      that the truth holds.
TC    The flow is forward, from a frame to the next one. The *next* prediction is sampled where the flow leads and
      compared with the prediction of this frame, which stands as the truth: one pooled matrix, the mean over the
      classes that stand as the truth. Sampling is nearest, but coordinates are scaled as if pixels were points and
      read as if they were areas, x W / (W - 1) - 1/2: a bias of half a pixel to the left at the left border, to the
      right at the right one, none in the middle; rows alike. What comes from outside counts as class 0. Pixels that
      the truth calls void count. The scripts take the first 100 videos of the split; here the caller chooses.
VC n  Of the pixels whose true label is the same in n consecutive frames, the share whose predicted label is: a mean
      over all windows of all clips, each window with equal weight. Void is a label like any other. A window counts
      once a frame follows it (of a clip of f frames f - n windows, not f - n + 1); one without a constant pixel is
      left out.

The scripts' flow is RAFT's, whose weights are not part of this package. The arithmetic here is theirs, the flow is an
argument: `judging_flow` where there is nothing better.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError
from segtween.metrics.segmentation import Counts, confusion, fraction, miou, overlap
from segtween.metrics.temporal import farneback, judging_view, share
from segtween.types import Flow, Labels, Rgb, format_size

WINDOWS = (8, 16)
"""Frames of the windows of VC8 and VC16."""

Direction = Literal["forward", "backward"]
"""forward: earlier(x, y) = later(x + dx, y + dy), as in the scripts; backward: later(x, y) = earlier(x + dx, y + dy).

With a backward flow the two frames change places: the scripts' figure for the clip played backwards."""


@dataclass(frozen=True, slots=True, eq=False)
class Sampling:
    """Where the scripts sample: `source` (H, W) flat index, `inside` (H, W). Several methods may share it."""

    source: NDArray[np.intp]
    inside: NDArray[np.bool_]

    def __call__(self, labels: Labels) -> Labels:
        """(H, W) labels sampled there; 0 where that is outside."""
        sampled = labels.ravel().take(self.source)
        sampled *= self.inside
        return sampled


def sampling(flow: Flow) -> Sampling:
    """From a flow (H, W, 2) in pixels of the labels' own grid; vectors that are not finite count as outside.

    The scripts' arithmetic in their own precision, since ties are rounded by it: PyTorch's `grid_sample` with
    `align_corners=False` on coordinates that were scaled for `align_corners=True`. With zero flow the last column comes
    from outside where the width is even, the last row where the height is. Raises SettingError for another shape.
    """
    flow = np.asarray(flow, np.float32)
    if flow.ndim != 3 or flow.shape[2] != 2 or 0 in flow.shape:
        raise SettingError(
            f"flow of shape {flow.shape}",
            expected="(height, width, 2) on the labels' grid",
            do="resize it to the labels' size, its vectors scaled",
        )
    h, w = flow.shape[:2]
    with np.errstate(invalid="ignore", over="ignore"):
        x = _sampled_at(flow[..., 0] + np.arange(w, dtype=np.float32), w)
        y = _sampled_at(flow[..., 1] + np.arange(h, dtype=np.float32)[:, None], h)
    inside = (x >= 0) & (x < w) & (y >= 0) & (y < h)
    columns, rows = (np.where(inside, v, 0).astype(np.intp) for v in (x, y))
    return Sampling(rows * w + columns, inside)


def _sampled_at(positions: NDArray[np.floating[Any]], size: int) -> NDArray[np.floating[Any]]:
    """Positions in pixels, scaled to -1..1 over the pixel centres, scaled back over the pixel areas, rounded."""
    scaled = positions * 2.0 / max(size - 1, 1) - 1.0
    return np.rint((scaled + 1.0) * (size / 2) - 0.5)


def judging_flow(first: Rgb, second: Rgb) -> Flow:
    """(H, W, 2) Farneback's flow with first(x, y) = second(x + dx, y + dy), estimated as in `temporal.Farneback`.

    Forward is `judging_flow(previous, current)`, backward `judging_flow(current, previous)`.
    """
    return farneback(judging_view(first), judging_view(second), size_hw=(first.shape[0], first.shape[1]))


@dataclass(frozen=True, slots=True, eq=False)
class VspwCounts:
    """What one frame, or any sum of frames, adds.

    accuracy  (3, classes) intersection, union and pixels of the truth
    pairs     (3, classes) the same of pairs of consecutive predictions
    windows   (2, 2) for each of `WINDOWS`: sum of the windows' shares, number of windows; float64
    """

    accuracy: Counts
    pairs: Counts
    windows: NDArray[np.float64]

    @classmethod
    def zeros(cls, classes: int) -> VspwCounts:
        """Nothing counted yet."""
        accuracy, pairs = np.zeros((2, 3, classes), np.int64)
        return cls(accuracy, pairs, np.zeros((len(WINDOWS), 2)))

    def __add__(self, other: VspwCounts) -> VspwCounts:
        return VspwCounts(self.accuracy + other.accuracy, self.pairs + other.pairs, self.windows + other.windows)

    def compute(self) -> dict[str, float | None]:
        """`vspw_miou`, `vspw_tc`, `vspw_vc8`, `vspw_vc16` in 0..1; None where nothing was counted."""
        return {
            "vspw_miou": fraction(miou(self.accuracy)),
            "vspw_tc": fraction(miou(self.pairs)),
            **{f"vspw_vc{n}": fraction(v) for n, v in zip(WINDOWS, share(self.windows), strict=True)},
        }


class VspwMeasures:
    """mIoU, TC, VC8 and VC16 by the scripts' rules (at the top of this file), frame by frame.

    `begin` starts a new clip and keeps the counts; `take` hands them over and keeps the clip. Memory: five maps of the
    frame's size, whatever the clip's length. A prediction of 255 (no class), which the scripts cannot count, is a
    miss of the class that stands as the truth, and is not counted where it stands as the truth itself.
    """

    counts: VspwCounts

    def __init__(self, classes: int, *, direction: Direction = "forward") -> None:
        if direction not in ("forward", "backward"):
            raise SettingError(f"direction {direction!r}", expected="'forward' or 'backward'")
        self.classes, self.direction = classes, direction
        self.reset()

    def begin(self) -> None:
        """The next frame is a clip's first."""
        self._previous: Labels | None = None
        self._begin_windows()

    def _begin_windows(self) -> None:
        self._predicted_since, self._true_since, self._frames = _LastChange(), _LastChange(), 0
        self._complete = np.zeros((len(WINDOWS), 2))

    def update(self, prediction: Labels, truth: Labels | None, flow: Flow | Sampling | None) -> None:
        """The next frame's labels (H, W), the true ones, and the flow (H, W, 2) between the frame before and this one.

        truth  None: unknown; the frame counts for TC alone, and windows begin anew after it
        flow   in `direction`, or what `sampling` made of it; None: this pair does not count (a cut, a first frame)

        Raises SettingError where sizes differ.
        """
        previous, self._previous = self._previous, prediction
        if previous is not None and previous.shape != prediction.shape:
            raise SettingError(
                f"labels of {format_size(prediction.shape)} after labels of {format_size(previous.shape)}",
                expected="one size within a clip",
                do="call begin() where a new clip starts",
            )
        if previous is not None and flow is not None:
            self.counts.pairs[:] += self._pair(previous, prediction, flow)
        if truth is None:
            self._begin_windows()
            return
        self.counts.accuracy[:] += _overlap(prediction, truth, classes=self.classes)
        self.counts.windows[:] += self._complete
        self._complete = self._windows(prediction, truth)

    def _pair(self, previous: Labels, current: Labels, flow: Flow | Sampling) -> Counts:
        """(3, classes) of one pair: the sampled frame stands as the prediction, the other one as the truth."""
        sampled = flow if isinstance(flow, Sampling) else sampling(flow)
        fixed, moving = (previous, current) if self.direction == "forward" else (current, previous)
        if sampled.source.shape != moving.shape:
            raise SettingError(
                f"flow of size {format_size(sampled.source.shape)} for labels of {format_size(moving.shape)}",
                expected="one vector per pixel of the labels",
                do="resize the flow to the labels' size, its vectors scaled",
            )
        return _overlap(sampled(moving), fixed, classes=self.classes)

    def _windows(self, prediction: Labels, truth: Labels) -> NDArray[np.float64]:
        """(2, 2) as in `VspwCounts`, of the windows that end with this frame: they count once another one follows."""
        predicted_since, true_since = self._predicted_since(prediction), self._true_since(truth)
        found = np.zeros((len(WINDOWS), 2))
        for row, window in enumerate(WINDOWS):
            first = self._frames - window + 1
            constant = true_since <= first
            pixels = np.count_nonzero(constant) if first >= 0 else 0
            if pixels:
                found[row] = np.count_nonzero(constant & (predicted_since <= first)) / pixels, 1
        self._frames += 1
        return found

    def take(self) -> VspwCounts:
        """The counts since the last `take`."""
        counts, self.counts = self.counts, VspwCounts.zeros(self.classes)
        return counts

    def compute(self) -> dict[str, float | None]:
        """As `VspwCounts.compute`, over all that was counted since the last `take`."""
        return self.counts.compute()

    def reset(self) -> None:
        self.begin()
        self.counts = VspwCounts.zeros(self.classes)


class _LastChange:
    """Since which frame, counted from 0, each pixel has had its label."""

    def __init__(self) -> None:
        self._labels: Labels | None = None
        self._since = np.zeros(0, np.int32)
        self._frame = 0

    def __call__(self, labels: Labels) -> NDArray[np.int32]:
        if self._labels is None:
            self._since = np.zeros(labels.shape, np.int32)
        else:
            self._since[labels != self._labels] = self._frame
        self._labels, self._frame = labels, self._frame + 1
        return self._since


def _overlap(prediction: Labels, truth: Labels, *, classes: int) -> Counts:
    """(3, classes) intersection, union and pixels of the truth; pixels whose truth is void are left out."""
    if prediction.shape != truth.shape:
        raise SettingError(
            f"predicted labels of {format_size(prediction.shape)}, true ones of {format_size(truth.shape)}",
            expected="equal sizes",
            do="bring the predicted labels to the size of the true ones",
        )
    return overlap(confusion(prediction, truth, classes=classes))
