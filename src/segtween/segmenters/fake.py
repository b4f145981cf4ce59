"""A segmenter without a network, for tests: it is given the labels, or reads them as colours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from segtween.labels import CAMVID11, LabelSet
from segtween.segmenters.scores import LABEL_LOGIT, Scores, logits_from_labels
from segtween.types import Labels, Rgb, SizeHW, check_rgb


class FakeSegmenter:
    """Logits from -4 to 4 on a grid of `stride`; the same for the same frame, always.

    With `frames`, label maps (H, W), the frame's own are used: those that `select` names, otherwise one
    after the other. Without, a pixel belongs to the class of the nearest colour of `labels`. `calls`
    counts.
    """

    def __init__(self, labels: LabelSet = CAMVID11, *, stride: int = 8, frames: Sequence[Labels] | None = None) -> None:
        self.labels, self.stride, self.frames = labels, stride, frames
        self.calls = 0
        self._next = 0

    def select(self, key: str | int) -> None:
        self._next = int(key)

    def __call__(self, rgb: Rgb) -> Scores:
        check_rgb(rgb)
        self.calls += 1
        size = rgb.shape[0], rgb.shape[1]
        grid = max(1, round(size[0] / self.stride)), max(1, round(size[1] / self.stride))
        if self.frames is None:
            return self._from_colours(rgb, grid)
        labels = self.frames[self._next]
        self._next += 1
        return logits_from_labels(labels, labels_of=self.labels, grid_hw=grid, who="the fake segmenter")

    def describe(self) -> dict[str, Any]:
        return {"name": "fake", "runtime": "fake", "labels": self.labels.name, "stride": self.stride}

    def _from_colours(self, rgb: Rgb, grid_hw: SizeHW) -> Scores:
        import cv2

        colours = np.array(self.labels.colours, np.float32)
        small = cv2.resize(rgb.astype(np.float32), grid_hw[::-1], interpolation=cv2.INTER_AREA)
        distance = np.square(small[None] - colours[:, None, None]).sum(axis=-1)
        near: Scores = np.exp(-distance / np.float32(2 * 20**2))
        return np.float32(LABEL_LOGIT) * (2 * near / np.maximum(near.sum(axis=0), 1e-6) - 1)
