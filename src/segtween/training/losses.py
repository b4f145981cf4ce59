"""What losses of several tasks share: class weights."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


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
