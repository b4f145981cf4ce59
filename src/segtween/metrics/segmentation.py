"""Segmentation accuracy: confusion counts and intersection over union.

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
    """(..., classes, classes or more) -> (..., 3, classes): intersection, union and true pixels of each class.

    Additive: those of several frames are the sum of each one's.
    """
    classes = confusions.shape[-2]
    hits, true = np.diagonal(confusions, axis1=-2, axis2=-1), confusions.sum(axis=-1)
    union = true + confusions[..., :classes].sum(axis=-2) - hits
    return np.stack([hits, union, true], axis=-2)


def class_iou(overlaps: NDArray[Any]) -> Fractions:
    """(..., 3, classes) -> (..., classes) in 0..1; NaN for a class that the truth does not hold."""
    hits, union, true = (overlaps[..., i, :] for i in range(3))
    return np.where(true > 0, hits / np.maximum(union, 1), np.nan)


def miou(overlaps: NDArray[Any]) -> Fractions:
    """(..., 3, classes) -> (...): mean over the classes that the truth holds; NaN where it holds none.

    What is predicted as a class that is not there counts against the class that is: it is a miss of that one. So all
    methods that are measured on the same frames are averaged over the same classes.
    """
    return mean_of_known(class_iou(overlaps))


def mean_of_known(values: Fractions) -> Fractions:
    """(..., classes) -> (...): mean of what is not NaN; NaN where nothing is."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=-1)
    return np.where(known.any(axis=-1), total / np.maximum(known.sum(axis=-1), 1), np.nan)


def miou_absent_as_zero(overlaps: NDArray[Any]) -> Fractions:
    """Mean over all classes, of which one that the truth does not hold counts as 0, predicted or not: the reference
    system's average, for comparison only."""
    return np.asarray(np.nan_to_num(class_iou(overlaps)).mean(axis=-1))


def predicted_only(overlaps: Counts, labels: LabelSet) -> dict[str, int]:
    """Pixels by class name that were predicted as a class that the truth (3, classes) does not hold."""
    _, union, true = overlaps
    return {name: int(union[i]) for i, name in enumerate(labels.names) if true[i] == 0 and union[i] > 0}


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
        """`miou`, `miou_absent_as_zero` and what `per_class` says."""
        overlaps = overlap(self.confusion)
        return {
            "miou": fraction(miou(overlaps)),
            "miou_absent_as_zero": fraction(miou_absent_as_zero(overlaps)),
            **per_class(overlaps, self.labels),
        }

    def reset(self) -> None:
        self.confusion = np.zeros((len(self.labels), len(self.labels) + 1), np.int64)


def per_class(overlaps: Counts, labels: LabelSet) -> dict[str, Any]:
    """`per_class`: IoU by name, None for a class that the truth (3, classes) does not hold; `absent`: the names of
    those; `predicted_only`: the pixels that were predicted as one of them, by name."""
    values = {name: fraction(value) for name, value in zip(labels.names, class_iou(overlaps), strict=True)}
    absent = [name for name, value in values.items() if value is None]
    return {"per_class": values, "absent": absent, "predicted_only": predicted_only(overlaps, labels)}


def fraction(value: Any) -> float | None:
    """A plain number for JSON; None for NaN (nothing to measure)."""
    return None if np.isnan(value) else float(value)
