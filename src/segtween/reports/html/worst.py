"""The worst frames of an evaluation: picture, labels, truth, and what is wrong."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from segtween.evaluation.runs import Judged
from segtween.labels import LabelSet
from segtween.metrics.segmentation import miou, overlap
from segtween.reports.figures import panels
from segtween.reports.html.page import Html, picture
from segtween.types import Rgb

SHOWN, PANEL_WIDTH = 6, 280


class WorstFrame(NamedTuple):
    """A frame's mIoU in 0..1, where it is, and its four panels next to each other, as a JPEG in markup."""

    miou: float
    title: str
    image: Html


class WorstFrames:
    """Keeps, of each row, the frames with the lowest mIoU of their own: at most one of each block of frames."""

    def __init__(self, labels: LabelSet) -> None:
        self._labels = labels
        self._found: dict[str, dict[int, WorstFrame]] = {}

    def __call__(self, frame: Judged) -> None:
        """See `evaluation.runs.Observe`."""
        value = float(miou(overlap(frame.confusion)))
        if np.isnan(value):
            return
        found = self._found.setdefault(frame.row, {})
        if frame.block in found:
            if value >= found[frame.block].miou:
                return
        elif len(found) >= SHOWN:
            best = max(found, key=lambda block: found[block].miou)
            if value >= found[best].miou:
                return
            del found[best]
        since = "key frame" if frame.distance == 0 else f"{frame.distance} since key frame"
        title = f"{frame.name}, {since}: mIoU {100 * value:.1f}%"
        found[frame.block] = WorstFrame(value, title, picture(self._panels(frame), alt=f"{title}: {ALT}", quality=75))

    @property
    def rows(self) -> dict[str, list[WorstFrame]]:
        """By row, the worst first."""
        return {row: sorted(found.values(), key=lambda one: one.miou) for row, found in self._found.items()}

    def _panels(self, frame: Judged) -> Rgb:
        height, width = frame.truth.shape
        size_hw = max(1, round(height * PANEL_WIDTH / width)), PANEL_WIDTH
        shown = panels.judged(frame.rgb, frame.labels, frame.truth, of=self._labels, size_hw=size_hw)
        return np.concatenate(shown, axis=1)


ALT = "picture, prediction, truth, what is wrong"
