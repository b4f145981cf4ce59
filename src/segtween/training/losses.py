"""What losses of several tasks share: class weights, and the overlap of scores with labels."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segtween.types import IGNORE


class Weighting(Protocol):
    """How classes are weighed against each other."""

    @property
    def class_power(self) -> float: ...
    @property
    def weight_limit(self) -> float: ...


def class_weights(
    shares: NDArray[np.float64], settings: Weighting, *, device: torch.device | None = None
) -> Tensor | None:
    """(classes,) weights share ** -power, limited, so that a pixel weighs 1 on average; None where all are equal."""
    if settings.class_power == 0:
        return None
    raw = np.maximum(shares, 1e-9) ** -settings.class_power
    raw = np.minimum(raw, raw.min() * settings.weight_limit)
    return torch.from_numpy(raw / float((raw * shares).sum())).float().to(device)


def overlap_loss(p: Tensor, labels: Tensor, *, least: int = 1) -> Tensor:
    """1 - soft IoU, averaged over the classes of which the batch's labels hold at least this many pixels (Rahman and
    Wang, ISVC 2016, section 3).

    p (N, classes, H, W) probabilities, labels (N, H, W). Thin and rare classes weigh as much as large ones.
    """
    classes = p.shape[1]
    valid = labels != IGNORE
    of_truth = p.gather(1, labels.clamp(max=classes - 1).unsqueeze(1)).squeeze(1)  # (N, H, W)
    truth = labels.clamp(max=classes).flatten()  # what is ignored has a bin of its own
    hits = p.new_zeros(classes + 1).index_add(0, truth, of_truth.flatten())[:classes]
    counts = torch.bincount(truth, minlength=classes + 1)[:classes]
    union = (p * valid.unsqueeze(1)).sum((0, 2, 3)) + counts - hits
    present = counts >= least
    if not present.any():
        return p.sum() * 0
    return (1 - hits[present] / union[present]).mean()
