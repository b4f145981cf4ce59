"""Instances and queries, merged to one map of classes by the rule of the library whose networks give them.

| kind | outputs, `name` and `masks` | rule |
| --- | --- | --- |
| `yolo-seg` | boxes (1, 4 + classes + M, N) or (1, N, 6 + M), prototypes (1, M, h, w) | Ultralytics: boxes above the least confidence, without those that overlap a better one of their class; a mask is where its coefficients times the prototypes, enlarged to the image, are above 0 within the box. Of masks that overlap the most confident one is on top |
| `maskformer`, `oneformer` | classes (1, Q, C + 1), masks (1, Q, h, w), logits | transformers: sum over the queries of class probability times mask probability (Cheng et al., arXiv 2107.06278, section 3.4) |
| `mask2former` | the same | the same, masks resized to 384x384 first |
"""  # noqa: E501

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.models.records import OutputKind
from segtween.segmenters.scores import Scores
from segtween.types import SizeHW

LEAST_CONFIDENCE, LARGEST_OVERLAP, MOST_INSTANCES = 0.25, 0.7, 300
"""What Ultralytics predicts with, unless it is asked for others."""
MASKS_AT: dict[str, SizeHW | None] = {"maskformer": None, "mask2former": (384, 384), "oneformer": None}
"""The size that mask queries are resized to before they are merged; None: as they are (transformers 5,
`post_process_semantic_segmentation`)."""
_MOST_BOXES = 30_000
_HAS_CORNERS = 6
"""Columns of a row that holds two corners, confidence and class before the coefficients."""


def classes_of(kind: OutputKind, table: NDArray[Any], masks: NDArray[Any]) -> int | None:
    """How many classes two outputs say, without background; None where their shapes do not."""
    if kind != "yolo-seg":
        return int(table.shape[2]) - 1
    return None if _is_sorted(table, masks) else int(table.shape[1]) - 4 - int(masks.shape[1])


def _is_sorted(table: NDArray[Any], masks: NDArray[Any]) -> bool:
    """Whether boxes come as rows of those that are to be kept: the graph has done the rest."""
    return bool(table.shape[2] == _HAS_CORNERS + masks.shape[1] and table.shape[2] < table.shape[1])


def merged_queries(kind: OutputKind, table: NDArray[Any], masks: NDArray[Any]) -> Scores:
    """(1, Q, C + 1) and (1, Q, h, w) logits -> (C, h, w), the sum of each class over all queries, 0 and more."""
    from segtween.ops.cpu import resize_planes

    planes, size_hw = masks[0].astype(np.float32), MASKS_AT[kind]
    if size_hw is not None:
        planes = resize_planes(planes, size_hw)
    with np.errstate(over="ignore"):
        merged: Scores = class_sums(table[0].astype(np.float32), planes, xp=np)
    return merged


def class_sums(table: Any, masks: Any, *, xp: Any) -> Any:
    """Class queries (..., Q, C + 1), the last class being none, and mask queries (..., Q, h, w), both logits -> the sum
    over the queries of class probability times mask probability, (..., C, h, w), 0 and more (Cheng et al., NeurIPS
    2021, "Per-Pixel Classification is Not All You Need", section 3.4).

    `xp` is the library of the arrays, `numpy` or `torch`: one rule for what runs on answers and inside of graphs.
    """
    odds = xp.exp(table - xp.amax(table, -1)[..., None])
    shares = xp.swapaxes((odds / odds.sum(-1)[..., None])[..., :-1], -1, -2)
    there = 1 / (1 + xp.exp(-masks))
    sums = shares @ there.reshape((*masks.shape[:-2], -1))
    return sums.reshape((*sums.shape[:-1], *masks.shape[-2:]))


def merged_instances(
    table: NDArray[Any], prototypes: NDArray[Any], *, size_hw: SizeHW, least: float, overlap: float
) -> NDArray[np.uint8]:
    """(H, W) of the image that the network saw: 0 for background, 1 + class for an instance."""
    import cv2

    boxes, confidence, classes, coefficients = _kept(table, prototypes, least, overlap)
    planes, labels = prototypes[0].astype(np.float32), np.zeros(size_hw, np.uint8)
    for i in np.argsort(confidence, kind="stable"):
        mask = np.tensordot(coefficients[i], planes, axes=1)
        left, top, right, bottom = np.clip(np.ceil(boxes[i]), 0, [size_hw[1], size_hw[0]] * 2).astype(int)
        there = cv2.resize(mask, size_hw[::-1], interpolation=cv2.INTER_LINEAR)[top:bottom, left:right] > 0
        labels[top:bottom, left:right][there] = 1 + int(classes[i])
    return labels


def _kept(
    table: NDArray[Any], prototypes: NDArray[Any], least: float, overlap: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Corners (n, 4) left, top, right, bottom; confidence, class, coefficients (n, M) of the instances."""
    rows = table[0].astype(np.float32)
    if _is_sorted(table, prototypes):
        rows = rows[rows[:, 4] > least][:MOST_INSTANCES]
        return rows[:, :4], rows[:, 4], rows[:, 5], rows[:, _HAS_CORNERS:]
    rows, of_classes = rows.T, slice(4, -prototypes.shape[1])
    rows = rows[rows[:, of_classes].max(axis=1) > least]
    confidence, classes = rows[:, of_classes].max(axis=1), rows[:, of_classes].argmax(axis=1)
    half = rows[:, 2:4] / 2
    corners = np.concatenate([rows[:, :2] - half, rows[:, :2] + half], axis=1)
    best = _without_overlaps(corners, confidence, classes, overlap)
    return corners[best], confidence[best], classes[best], rows[best, of_classes.stop :]


def _without_overlaps(
    corners: NDArray[Any], confidence: NDArray[Any], classes: NDArray[Any], overlap: float
) -> NDArray[np.int64]:
    """Boxes, the most confident first, that overlap no better one of their class by more than this share of both
    (non-maximum suppression)."""
    left, kept = np.argsort(-confidence, kind="stable")[:_MOST_BOXES], list[int]()
    area = np.prod(np.maximum(corners[:, 2:] - corners[:, :2], 0), axis=1)
    while len(left) and len(kept) < MOST_INSTANCES:
        first, left = left[0], left[1:]
        kept.append(int(first))
        sides = np.minimum(corners[first, 2:], corners[left, 2:]) - np.maximum(corners[first, :2], corners[left, :2])
        common = np.prod(np.maximum(sides, 0), axis=1)
        share = common / np.maximum(area[first] + area[left] - common, 1e-9)
        left = left[(share <= overlap) | (classes[left] != classes[first])]
    return np.array(kept, np.int64)
