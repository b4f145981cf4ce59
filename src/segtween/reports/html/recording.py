"""What a report of a run needs of each frame: its films, the figures of its timeline, its least certain frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from segtween.labels import LabelSet
from segtween.run.comparison import ComparedFrame
from segtween.types import Frame, Labels, Result, Rgb, SizeHW, SourceInfo
from segtween.video.frame_bins import FrameBins
from segtween.video.jpeg import encode_jpeg
from segtween.video.paint import Painter, class_counts
from segtween.video.side_by_side import smaller, smaller_labels
from segtween.video.sinks import Film

PICTURE_FILM, LABELS_FILM = "report-picture.mp4", "report-labels.mp4"
WIDEST = 960
"""Films of a report are at most this wide."""
MOST_BINS = 600
MOST_TIMES = 20_000
"""Of longer clips the page knows the mean frame rate instead of every frame's time."""
MOST_LEVELS = 40
"""With more classes their grey levels lie too near to each other, and the film of labels is in colours."""
UNCERTAIN, APART = 8, 10
"""So many uncertain frames are shown, at least so many frames apart."""

# A key frame every 12 frames, so that a page reaches any frame soon; so fine that grey levels stay what they are.
_SOON = {"g": "12"}
_EXACT = {**_SOON, "crf": "2"}

ROWS = ("confidence", "flicker", "flicker_before")
"""Of each frame, besides the share of each class."""


class Uncertain(NamedTuple):
    """A frame, its mean confidence in 0..1, and its picture with its labels, as JPEG."""

    frame: int
    confidence: float
    jpeg: bytes


class RunRecorder:
    """Follows a run; `bins` has the rows of `ROWS`, then the share of each class, 0..1."""

    def __init__(
        self,
        info: SourceInfo,
        labels: LabelSet,
        compared: Callable[[int], ComparedFrame] | None = None,
        *,
        widest: int = WIDEST,
    ) -> None:
        self.info, self.labels, self._compared, self._widest = info, labels, compared, widest
        self.bins = FrameBins(len(ROWS) + len(labels), frames=info.n_frames, most=MOST_BINS)
        self.keys: list[int] = []
        self.times_ms: list[int] = []
        self.last_ms = 0
        self.shares = np.zeros(len(labels))
        self._uncertain: list[Uncertain] = []
        self._painter = Painter(labels, legend=False)

    @property
    def has_before(self) -> bool:
        """Whether another method was run too."""
        return self._compared is not None

    @property
    def has_levels(self) -> bool:
        """Whether the film of labels holds grey levels, one for each class."""
        return len(self.labels) <= MOST_LEVELS

    @property
    def uncertain(self) -> list[Uncertain]:
        """In order of time."""
        return sorted(self._uncertain)

    def films(self) -> Mapping[str, Film]:
        return {PICTURE_FILM: Film(self._picture, _SOON), LABELS_FILM: Film(self._labels, _EXACT)}

    def add(self, frame: Frame, result: Result, flicker: float | None) -> None:
        """See `run.options.Recorder`."""
        before = None if self._compared is None else self._compared(frame.index).flicker[0]
        shares = class_counts(result.labels)[: len(self.labels)] / result.labels.size
        confidence = result.mean_confidence
        self.bins.add([confidence, flicker, before, *shares.tolist()])
        self.shares += shares
        if result.is_key:
            self.keys.append(frame.index)
        self.last_ms = round(1000 * frame.pts_seconds)
        if len(self.times_ms) <= MOST_TIMES:
            self.times_ms.append(self.last_ms)
        self._keep(frame, result, confidence)

    def _keep(self, frame: Frame, result: Result, confidence: float) -> None:
        """The frame, if it is among the least certain; in place of a near one that is more certain."""
        near = [one for one in self._uncertain if frame.index - one.frame < APART]
        rivals = near or (self._uncertain if len(self._uncertain) >= UNCERTAIN else [])
        worst = max(rivals, key=lambda one: one.confidence, default=None)
        if worst is not None:
            if confidence >= worst.confidence:
                return
            self._uncertain.remove(worst)
        self._uncertain.append(Uncertain(frame.index, confidence, self._small(frame.rgb, result.labels)))

    def _small(self, rgb: Rgb, labels: Labels) -> bytes:
        size_hw = fitted((rgb.shape[0], rgb.shape[1]), 320)
        shown = self._painter(smaller(rgb, size_hw), smaller_labels(labels, size_hw))
        return encode_jpeg(shown, quality=80)

    def _picture(self, frame: Frame, _: Result) -> NDArray[np.uint8]:
        return smaller(frame.rgb, fitted(frame.size_hw, self._widest))

    def _labels(self, frame: Frame, result: Result) -> NDArray[np.uint8]:
        """Those of the other method, if there is one, and below them those of this one."""
        size_hw = fitted(frame.size_hw, self._widest)
        both = [] if self._compared is None else [self._compared(frame.index).labels]
        stacked = np.concatenate([smaller_labels(labels, size_hw) for labels in [*both, result.labels]], axis=0)
        return level_colours(self.labels, grey=self.has_levels)[stacked]


class Recorders:
    """Makes a recorder for each input of a run, and finds it again. Its films are at most `widest` pixels wide."""

    def __init__(self, *, widest: int = WIDEST) -> None:
        self._widest = widest
        self._made: list[RunRecorder] = []

    def __call__(
        self, info: SourceInfo, labels: LabelSet, compared: Callable[[int], ComparedFrame] | None
    ) -> RunRecorder:
        self._made.append(RunRecorder(info, labels, compared, widest=self._widest))
        return self._made[-1]

    def of(self, info: SourceInfo) -> RunRecorder:
        return next(one for one in self._made if one.info is info)


def level_colours(labels: LabelSet, *, grey: bool) -> NDArray[np.uint8]:
    """(256, 3): the colour of each train id in the film of labels. Grey: level (i + 1/2) / n of class i, where n counts
    the classes and "none of them", which is the last."""
    if not grey:
        return labels.palette
    levels = len(labels) + 1
    table = np.full(256, levels - 1)
    table[: len(labels)] = np.arange(len(labels))
    return np.repeat(np.rint((table + 0.5) / levels * 255).astype(np.uint8)[:, None], 3, axis=1)


def fitted(size_hw: SizeHW, width: int) -> SizeHW:
    """The size, at most so wide; even, as films are."""
    shown = min(size_hw[1], width)
    height = round(size_hw[0] * shown / size_hw[1])
    return max(2, height - height % 2), max(2, shown - shown % 2)
