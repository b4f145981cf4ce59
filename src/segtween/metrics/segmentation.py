"""How well labels agree with the truth: confusion counts and intersection over union.

Counts are int64 and additive: those of a data set are the sum of those of its frames. A label outside
0..classes-1 (255) in the truth is not counted; in the prediction it is a miss of the true class.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.labels import LabelSet
from segtween.types import Labels

Counts = NDArray[np.int64]
Fractions = NDArray[np.float64]


def pair_counts(first: Labels, second: Labels, *, classes: int) -> Counts:
    """(classes + 1, classes + 1): how many pixels have which pair of labels.

    The last row and column hold all labels outside 0..classes-1.
    """
    if first.shape != second.shape:
        raise ValueError(f"label maps of shapes {first.shape} and {second.shape}; expected equal ones")
    width = classes + 1
    index = np.minimum(first, np.uint8(classes)).astype(np.uint16)
    index *= np.uint16(width)
    index += np.minimum(second, np.uint8(classes))
    return np.bincount(index.ravel(), minlength=width * width).reshape(width, width)


def confusion(prediction: Labels, truth: Labels, *, classes: int) -> Counts:
    """(classes, classes + 1): rows truth, columns prediction; the last column is "none of the classes"."""
    return pair_counts(truth, prediction, classes=classes)[:classes]


def overlap(confusions: Counts) -> Counts:
    """(..., classes, classes or more) -> (..., 2, classes): intersection and union of each class; additive too."""
    classes = confusions.shape[-2]
    hits = np.diagonal(confusions, axis1=-2, axis2=-1)
    union = confusions.sum(axis=-1) + confusions[..., :classes].sum(axis=-2) - hits
    return np.stack([hits, union], axis=-2)


def class_iou(overlaps: NDArray[Any]) -> Fractions:
    """(..., 2, classes) -> (..., classes) in 0..1; NaN for a class in neither truth nor prediction."""
    hits, union = overlaps[..., 0, :], overlaps[..., 1, :]
    return np.where(union > 0, hits / np.maximum(union, 1), np.nan)


def miou(overlaps: NDArray[Any]) -> Fractions:
    """(..., 2, classes) -> (...): mean over the classes that occur; NaN where none does."""
    iou = class_iou(overlaps)
    present = ~np.isnan(iou)
    return np.where(
        present.any(axis=-1), np.where(present, iou, 0.0).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1), np.nan
    )


def miou_absent_as_zero(overlaps: NDArray[Any]) -> Fractions:
    """As `miou`, but a class that occurs nowhere counts as 0: the reference system's habit, for comparison only."""
    return np.asarray(np.nan_to_num(class_iou(overlaps)).mean(axis=-1))


def reference_scores(confusions: Counts) -> dict[str, float]:
    """The reference system's four figures with its habits: absent classes count as 0 in both means."""
    classes = confusions.shape[0]
    total, rows, hits = confusions.sum(), confusions.sum(axis=1), np.diagonal(confusions)
    overlaps = overlap(confusions)
    return {
        "pixel_accuracy": float(hits.sum() / (total + 1e-6)),
        "class_accuracy": float((hits / (rows + 1e-6)).mean()),
        "miou_absent_as_zero": float(miou_absent_as_zero(overlaps)),
        "frequency_weighted_iou": float((rows[:classes] / max(total, 1) * np.nan_to_num(class_iou(overlaps))).sum()),
    }


class Segmentation:
    """Pooled confusion of one stream of frames."""

    def __init__(self, labels: LabelSet) -> None:
        self.labels = labels
        self.reset()

    def update(self, prediction: Labels, truth: Labels) -> None:
        self.confusion += confusion(prediction, truth, classes=len(self.labels))

    def compute(self) -> dict[str, Any]:
        """`miou`, `miou_absent_as_zero`, `per_class` (None: absent) and the `absent` classes' names."""
        overlaps = overlap(self.confusion)
        return {
            "miou": fraction(miou(overlaps)),
            "miou_absent_as_zero": fraction(miou_absent_as_zero(overlaps)),
            **per_class(overlaps, self.labels),
        }

    def reset(self) -> None:
        self.confusion = np.zeros((len(self.labels), len(self.labels) + 1), np.int64)


def per_class(overlaps: Counts, labels: LabelSet) -> dict[str, Any]:
    """`per_class`: IoU by name, None for a class that occurs nowhere; `absent`: the names of those."""
    values = {name: fraction(value) for name, value in zip(labels.names, class_iou(overlaps), strict=True)}
    return {"per_class": values, "absent": [name for name, value in values.items() if value is None]}


def fraction(value: Any) -> float | None:
    """A plain number for JSON; None for NaN (nothing to measure)."""
    return None if np.isnan(value) else float(value)
