"""A segmenter that gives the true labels: what propagation alone loses, apart from any network."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from segtween.errors import ScoresError
from segtween.labels import LabelSet
from segtween.segmenters.scores import Scores, logits_from_labels
from segtween.types import Labels, Rgb, SizeHW, check_rgb


class TrueLabels:
    """Each frame's true labels as scores, on a grid as fine as the frame: `scores.LABEL_LOGIT` for the labelled class,
    its negative for the others, and for all where the label is 255.

    `read` gives the labels (H, W) of a frame by its name; `names` are the frames that have some. `select` says which
    frame comes next.
    """

    def __init__(self, labels: LabelSet, read: Callable[[str, SizeHW], Labels], names: Collection[str]) -> None:
        self.labels, self._read, self._names = labels, read, frozenset(names)
        self._name: str | None = None

    def select(self, key: str | int) -> None:
        """The next call returns the labels of this frame. Raises ScoresError for one without labels."""
        if key not in self._names:
            raise ScoresError(
                f"frame {key!r} has no true labels",
                expected="one of the data set's labelled frames",
                do="give data with a label for every frame",
            )
        self._name = str(key)

    def __call__(self, rgb: Rgb) -> Scores:
        size_hw: SizeHW = check_rgb(rgb).shape[0], rgb.shape[1]
        if self._name is None:
            raise ScoresError(
                "true labels were asked for before a frame was chosen",
                expected="select(name) before each frame",
                do="call select()",
            )
        labels = np.asarray(self._read(self._name, size_hw))
        return logits_from_labels(labels, labels_of=self.labels, grid_hw=size_hw, who=f"the truth of {self._name}")

    def describe(self) -> dict[str, Any]:
        return {"name": "true labels", "runtime": "given labels", "labels": self.labels.name}
