"""Preprocessing: a frame as a network's input."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from segtween.models.records import InputRecord, Resampling
from segtween.segmenters.resampling import filter_weights


class Normalisation(NamedTuple):
    """A network's input normalisation: value = pixel * factor + offset, for each channel in its own order; and how it
    has frames resized."""

    factor: tuple[float, float, float]
    offset: tuple[float, float, float]
    is_bgr: bool
    dtype: torch.dtype
    resampling: Resampling | None = None

    @classmethod
    def of(cls, record: InputRecord, dtype: torch.dtype) -> Normalisation:
        factor = [record.scale / 255 / std for std in record.std]
        offset = [-mean / std for mean, std in zip(record.mean, record.std, strict=True)]
        return cls(tuple(factor), tuple(offset), record.channels == "BGR", dtype, record.resampling)  # type: ignore[arg-type]


class Table(NamedTuple):
    """Along one axis: the pixels before and after each place, and their weights, which sum to 2048."""

    left: Tensor
    right: Tensor
    before: Tensor
    after: Tensor


@lru_cache(maxsize=32)
def table(target: int, source: int, device: Any) -> Table:
    """Where OpenCV's bilinear resizing of bytes reads, in whole numbers of 11 bits."""
    place = ((np.arange(target) + 0.5) * (source / target) - 0.5).astype(np.float32)
    left = np.floor(place).astype(np.int64)
    weight = place - left
    weight[(left < 0) | (left >= source - 1)] = 0
    left = np.clip(left, 0, source - 1)
    after, before = np.rint(weight * 2048), np.rint((1 - weight) * 2048)
    whole = (left, np.minimum(left + 1, source - 1), before, after)
    return Table(*(torch.from_numpy(values.astype(np.int32)).to(device) for values in whole))


@lru_cache(maxsize=32)
def taps(target: int, source: int, how: Resampling, device: Any) -> tuple[Tensor, Tensor]:
    """What each place along an axis is made of, see `segmenters.resampling`: (taps, target) pixels and weights."""
    first, weights = filter_weights(target, source, how)
    at = np.minimum(first + np.arange(weights.shape[1])[:, None], source - 1)
    return torch.from_numpy(at).to(device), torch.from_numpy(weights.T.copy()).to(device)


@lru_cache(maxsize=32)
def constants(values: tuple[float, ...], device: Any) -> Tensor:
    """The numbers on a device, sent once: a call that is recorded must not send any."""
    return torch.tensor(values, device=device)
