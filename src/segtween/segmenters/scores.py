"""From network outputs to class scores: logits float32 (C, h, w) whose grid spans the image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import ScoresError
from segtween.labels import LabelSet
from segtween.types import IGNORE, SizeHW

Scores = NDArray[np.float32]

REDUCED_STRIDE = 4
"""Scores on a finer grid than one cell per 4x4 pixels are reduced to it: they are mostly enlarged ones."""

LABEL_LOGIT = 4.0
"""Where only labels are known, a cell's logit is linear in the share of its pixels that a class covers: -4 for
none, +4 for all. Linear, so that enlarging puts the border between two classes where it was."""

LEAST_PROBABILITY = 1e-6


def as_planes(answer: NDArray[Any], layout: str) -> NDArray[Any]:
    """Drops the batch of an answer in `layout` and puts classes first: (C, h, w), or (h, w) where there is no C."""
    axes = layout
    if axes.startswith("N"):
        answer, axes = answer[0], axes[1:]
    return np.moveaxis(answer, axes.index("C"), 0) if "C" in axes else answer


def reduced_size(size_hw: SizeHW, stride: int) -> SizeHW:
    """The grid that scores of this size and stride are kept on."""
    if stride >= REDUCED_STRIDE:
        return size_hw
    return max(1, round(size_hw[0] * stride / REDUCED_STRIDE)), max(1, round(size_hw[1] * stride / REDUCED_STRIDE))


def reduce_planes(planes: NDArray[Any], grid_hw: SizeHW) -> Scores:
    """(C, H, W) -> float32 (C, h, w): the values at the cells' centres; the grid still spans the image.

    Where h and w divide H and W by the same even number, a centre lies in the middle of four pixels in each
    direction, and the straight lines through the two on either side give its value: scores that a network
    had enlarged bilinearly by that number (from 4 on also by an even multiple of it) come back exactly, where
    a mean over the cell would blur them. Other sizes are sampled cubically.
    """
    import cv2

    size_hw = planes.shape[1], planes.shape[2]
    if size_hw == grid_hw:
        return np.ascontiguousarray(planes, np.float32)
    factor = size_hw[0] // grid_hw[0]
    exact = factor >= 2 and factor % 2 == 0 and size_hw == (grid_hw[0] * factor, grid_hw[1] * factor)
    out = np.empty((planes.shape[0], *grid_hw), np.float32)
    for plane, target in zip(planes, out, strict=True):
        whole = np.ascontiguousarray(plane, np.float32)
        if exact:
            target[:] = _at_centres(_at_centres(whole, factor).T, factor).T
        else:
            cv2.resize(whole, grid_hw[::-1], dst=target, interpolation=cv2.INTER_CUBIC)
    return out


def _at_centres(rows: Scores, factor: int) -> Scores:
    """(H, W) -> (H / factor, W): the value in the middle of each group of rows, from the four rows around it."""
    groups, first = len(rows) // factor, factor // 2 - 2
    if first < 0:  # groups of two: the outer rows are those of the neighbours, at the border the last one again
        rows, first = np.concatenate([rows[:1], rows, rows[-1:]]), 0
    a, b, c, d = (rows[first + k :: factor][:groups] for k in range(4))
    centre: Scores = np.float32(0.75) * (b + c) - np.float32(0.25) * (a + d)
    return centre


def logits_from_probabilities(probabilities: Scores) -> Scores:
    """Natural logarithms, from 1e-6 up."""
    out: Scores = np.log(np.maximum(probabilities, np.float32(LEAST_PROBABILITY)))
    return out


def logits_from_labels(labels: NDArray[Any], *, labels_of: LabelSet, grid_hw: SizeHW, who: str) -> Scores:
    """(H, W) class numbers -> (C, h, w), see `LABEL_LOGIT`. 255 counts for no class; ScoresError for other numbers."""
    import cv2

    present = np.unique(labels)
    foreign = [int(v) for v in present if v != IGNORE and not 0 <= v < len(labels_of)]
    if foreign:
        raise ScoresError(
            f"{who} gave class {foreign[0]}",
            expected=f"0..{len(labels_of) - 1} of label set {labels_of.name!r}, or 255",
            do="give the label set that belongs to it",
        )
    out = np.full((len(labels_of), *grid_hw), -LABEL_LOGIT, np.float32)
    for value in present[present != IGNORE]:
        mask = (labels == value).astype(np.float32)
        share = cv2.resize(mask, grid_hw[::-1], interpolation=cv2.INTER_AREA)
        out[int(value)] += np.float32(2 * LABEL_LOGIT) * share
    return out


def check_finite(scores: Scores, *, labels_of: LabelSet, who: str, do: str) -> Scores:
    """`scores` itself, or ScoresError naming `who` and the first class with NaN or infinity."""
    if not np.isfinite(scores).all():
        bad = next(c for c, plane in enumerate(scores) if not np.isfinite(plane).all())
        kind = "NaN" if np.isnan(scores[bad]).any() else "infinite"
        raise ScoresError(
            f"{who} gave {kind} scores, first in class {labels_of.names[bad]!r}", expected="finite numbers", do=do
        )
    return scores
