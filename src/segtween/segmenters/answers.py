"""From a network's answer to planes on its own grid, by the kind that its record says."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import ModelError, ScoresError
from segtween.labels import LabelSet
from segtween.models.records import ModelRecord, OutputRecord
from segtween.segmenters.merging import (
    LARGEST_OVERLAP,
    LEAST_CONFIDENCE,
    classes_of,
    merged_instances,
    merged_queries,
)
from segtween.segmenters.scores import (
    LEAST_PROBABILITY,
    REDUCED_STRIDE,
    Scores,
    as_planes,
    logits_from_labels,
    logits_from_probabilities,
    reduce_planes,
    reduced_size,
)
from segtween.types import IGNORE, SizeHW, format_size

ROUNDING = 0.01
"""By which a probability may be below 0 or above 1 where it is computed in few bits."""


@dataclass(frozen=True)
class Answer:
    """A network's answer to one image, on a grid that spans it.

    planes  logits (C, h, w), float32
    stride  pixels of the network's input in a cell
    labels  train ids (h, w) with 255 = ignore, where the network gives no scores; `planes` is None then
    shown   scores (C, h, w) whose enlarged argmax is the network's labels, where those of `planes` are others
    """

    planes: Scores | None = None
    stride: int = 1
    labels: NDArray[Any] | None = None
    shown: Scores | None = None

    @property
    def grid_hw(self) -> SizeHW:
        values = self.labels if self.planes is None else self.planes
        assert values is not None, "it has one of the two"
        return values.shape[-2], values.shape[-1]

    def scores(self, *, labels_of: LabelSet, who: str, grid_hw: SizeHW | None = None) -> Scores:
        """Logits (C, h, w), on the network's own grid unless another is given; of labels as `logits_from_labels` has
        them. ScoresError for labels that are none of the label set."""
        grid_hw = self.grid_hw if grid_hw is None else grid_hw
        if self.planes is not None:
            return reduce_planes(self.planes, grid_hw)
        assert self.labels is not None, "it has one of the two"
        return logits_from_labels(self.labels, labels_of=labels_of, grid_hw=grid_hw, who=who)

    def detail(self, size_hw: SizeHW, kept_hw: SizeHW, *, labels_of: LabelSet, who: str) -> NDArray[Any] | None:
        """What `interfaces.Detailed` gives beside logits on a grid `kept_hw` for a frame of `size_hw`."""
        if self.shown is not None:
            return self.shown
        if self.grid_hw == kept_hw:
            return None
        if self.labels is not None and self.grid_hw == size_hw:
            return self.labels.astype(np.uint8, copy=False)
        return self.scores(labels_of=labels_of, who=who)

    @property
    def kept_hw(self) -> SizeHW:
        """The grid that scores are kept on."""
        return reduced_size(self.grid_hw, self.stride)


def read_answer(answers: Sequence[NDArray[Any]], record: ModelRecord, *, size_hw: SizeHW, who: str) -> Answer:
    """What the outputs that `record.output.names` lists say of an image of `size_hw`. ScoresError for labels that are
    none of its `values`."""
    output = record.output
    if output.is_merged:
        return _merged(answers, output, size_hw)
    planes, stride = as_planes(answers[0], output.layout), output.stride
    if output.kind == "labels":
        labels = planes[0] if planes.ndim == 3 else planes
        if output.values is not None:
            labels = _renumbered(labels, output.values, who)
        return Answer(labels=labels.astype(np.uint8) if labels.dtype.kind == "b" else labels, stride=stride)
    return Answer(scored(planes, output), stride)


def scored(planes: NDArray[Any], output: OutputRecord) -> Scores:
    """Logits (classes, h, w) of an output's logits or probabilities (C, h, w), or (h, w) of one class."""
    is_probability = output.kind == "probabilities"
    if output.threshold is not None:
        return with_background(planes, output.threshold, is_probability=is_probability)
    planes = planes.astype(np.float32, copy=False)
    # Logarithms before anything is resized: between the centres of an enlarged grid it is they that follow straight
    # lines.
    return logits_from_probabilities(planes) if is_probability else planes


def _merged(answers: Sequence[NDArray[Any]], output: OutputRecord, size_hw: SizeHW) -> Answer:
    table, masks = answers
    if output.kind == "yolo-seg":
        least, overlap = output.threshold or LEAST_CONFIDENCE, output.iou or LARGEST_OVERLAP
        return Answer(labels=merged_instances(table, masks, size_hw=size_hw, least=least, overlap=overlap))
    sums = merged_queries(output.kind, table, masks)
    return Answer(logits_from_probabilities(sums), REDUCED_STRIDE, shown=sums)


def with_background(planes: NDArray[Any], threshold: float, *, is_probability: bool) -> Scores:
    """(C, h, w), or (h, w) of one class -> (C + 1, h, w): logits of background and classes, whose argmax is the class
    of the highest probability, the sigmoid of a logit, where that is above the threshold."""
    scores = planes.reshape(-1, *planes.shape[-2:]).astype(np.float32)
    if is_probability:
        shares = np.clip(scores, np.float32(LEAST_PROBABILITY), np.float32(1 - LEAST_PROBABILITY))
        scores = np.log(shares) - np.log1p(-shares)
    above = scores - np.float32(math.log(threshold / (1 - threshold)))
    mean = above.sum(axis=0) / np.float32(len(above) + 1)
    return np.concatenate([-mean[None], above - mean])


def _renumbered(labels: NDArray[Any], values: Sequence[int], who: str) -> NDArray[np.uint8]:
    """Train ids of labels that the network numbers by `values`; 255 for itself where it is none of these."""
    out = np.full(labels.shape, IGNORE, np.uint8)
    known = labels == IGNORE
    for train_id, value in enumerate(values):
        own = labels == value
        out[own] = train_id
        known |= own
    if not known.all():
        raise ScoresError(
            f"{who} gave the value {labels[~known].ravel()[0]}",
            expected=f"one of {', '.join(map(str, values))}, as output.values says",
            do="correct `output.values` in its record",
        )
    return out


def check_answer(answers: Sequence[NDArray[Any]], record: ModelRecord, *, labels_of: LabelSet, size_hw: SizeHW) -> None:
    """ModelError where what the network answers to an image of this size is not what its record says."""
    output, answer = record.output, answers[0]
    if output.is_merged:
        _check_merged(answers, record, labels_of, size_hw)
        return
    if answer.ndim != len(output.layout):
        raise misfit(record, "layout", output.layout, f"has shape {answer.shape}")
    planes = as_planes(answer, output.layout)
    channels = planes.size // (planes.shape[-2] * planes.shape[-1])
    if output.kind == "labels" and channels != 1:
        raise misfit(record, "kind", output.kind, f"has shape {answer.shape}")
    if output.kind == "probabilities":
        least, most = float(answer.min()), float(answer.max())
        if least < -ROUNDING or most > 1 + ROUNDING:
            raise misfit(record, "kind", output.kind, f"has values from {least:.3g} to {most:.3g}")
    if output.kind != "labels" and not output.has_background and channels == 1 and len(labels_of) == 2:
        raise misfit(record, "threshold", "0.5 or another", f"has one channel (shape {answer.shape})")
    classes = len(output.values or labels_of) if output.kind == "labels" else channels + output.has_background
    if classes != len(labels_of):
        raise ModelError(
            f"output {output.name!r} of {record.called} has {classes} classes "
            f"(shape {answer.shape}, read as {output.layout})",
            expected=f"{len(labels_of)}, as label set {labels_of.name!r} has",
            do=f"correct `labels` or `output.layout` in {record.path.name}",
        )
    check_grid(record, (planes.shape[-2], planes.shape[-1]), size_hw)


def _check_merged(answers: Sequence[NDArray[Any]], record: ModelRecord, labels_of: LabelSet, size_hw: SizeHW) -> None:
    table, masks = answers
    kind, own = record.output.kind, len(labels_of) - (record.output.kind == "yolo-seg")
    fits = table.ndim == 3 and masks.ndim == 4 and table.shape[0] == masks.shape[0] == 1
    if not fits or (kind != "yolo-seg" and table.shape[1] != masks.shape[1]):
        raise misfit(record, "kind", kind, f"has shape {table.shape}, and {record.output.masks!r} {masks.shape}")
    classes = classes_of(kind, table, masks)
    if classes is not None and classes != own:
        raise ModelError(
            f"output {record.output.name!r} of {record.called} has {classes} classes (shape {table.shape})",
            expected=f"{own}, as label set {labels_of.name!r} has" + (" beside its background" * (kind == "yolo-seg")),
            do=f"correct `labels` in {record.path.name}",
        )
    check_grid(record, (masks.shape[2], masks.shape[3]), size_hw)


def check_grid(record: ModelRecord, grid_hw: SizeHW, size_hw: SizeHW) -> None:
    """ModelError where a grid does not span an image of this size at the record's stride."""
    stride = record.output.stride
    if any(abs(cells * stride - side) >= stride for cells, side in zip(grid_hw, size_hw, strict=True)):
        found = f"has {format_size(grid_hw)} cells for an image of {format_size(size_hw)}"
        raise misfit(record, "stride", str(stride), found)


def misfit(record: ModelRecord, field: str, value: str, found: str) -> ModelError:
    return ModelError(
        f"output {record.output.name!r} of {record.called} {found}",
        expected=f"{field} {value}, as {record.path.name} says",
        do=f"correct `output.{field}`, or take what `segtween models inspect {record.graph_path}` proposes",
    )
