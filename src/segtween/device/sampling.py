"""Sampling grids and interpolation: what `ops.cpu` has from OpenCV and Numba, in torch.

Convention (docs/conventions.md): pixel centres on integers, resizing is half-pixel-centred, borders clamp. Coordinates
are kept as a whole part and a fraction, so that they are exact in float32: zero displacement is the identity and whole
ones are exact shifts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from segtween.geometry import sample_positions
from segtween.types import SizeHW

FAR = 1e6  # displacements end here: outside in any case


class Samples(NamedTuple):
    """Along one axis: the sample before each place, the one after, the latter's weight, and whether the place lies
    between the first and the last sample."""

    left: Tensor
    right: Tensor
    weight: Tensor
    inside: Tensor


def samples(start: Tensor, shift: Tensor, length: int) -> Samples:
    """The places `start` (whole numbers) + `shift`, among `length` samples. NaN is outside, before the first."""
    shift = torch.nan_to_num(shift, nan=-FAR, posinf=FAR, neginf=-FAR).clamp(-FAR, FAR)
    whole = shift.floor()
    weight, at = shift - whole, start + whole.to(start.dtype)
    inside = (at >= 0) & ((at < length - 1) | ((at == length - 1) & (weight == 0)))
    weight = torch.where((at < 0) | (at >= length - 1), torch.zeros_like(weight), weight)
    left = at.clamp(0, length - 1)
    return Samples(left, (left + 1).clamp(max=length - 1), weight, inside)


def gather(values: Tensor, x: Samples, y: Samples) -> Tensor:
    """(C, h, w) -> (C, ...): bilinear at the places x, y, which broadcast with each other."""
    width = values.shape[2]
    flat = values.reshape(values.shape[0], -1)
    fx, fy = x.weight, y.weight
    return (
        (1 - fy) * (1 - fx) * flat[:, y.left * width + x.left]
        + (1 - fy) * fx * flat[:, y.left * width + x.right]
        + fy * (1 - fx) * flat[:, y.right * width + x.left]
        + fy * fx * flat[:, y.right * width + x.right]
    )


def along(flow: Tensor) -> tuple[Samples, Samples]:
    """The places where a flow (h, w, 2) leads from each of its cells, x and y."""
    h, w = flow.shape[:2]
    columns = torch.arange(w, device=flow.device)[None, :]
    rows = torch.arange(h, device=flow.device)[:, None]
    return samples(columns, flow[..., 0], w), samples(rows, flow[..., 1], h)


# ── Resizing ──────────────────────────────────────────────────────────────────────────────────


def resize_planes(values: Tensor, grid_hw: SizeHW) -> Tensor:
    """(C, h, w) float32 on another grid: area mean when it has fewer cells, bilinear when it has more."""
    size_hw = values.shape[1], values.shape[2]
    if size_hw == grid_hw:
        return values
    if grid_hw[0] * grid_hw[1] < size_hw[0] * size_hw[1]:
        return _area(values, grid_hw)
    return enlarge(enlarge(values, grid_hw[0], axis=1), grid_hw[1], axis=2)


def resize_flow(flow: Tensor, grid_hw: SizeHW) -> Tensor:
    """(h, w, 2) on another grid; its vectors are scaled with it."""
    h, w = flow.shape[:2]
    if (h, w) == grid_hw:
        return flow
    x, y = resize_planes(flow.permute(2, 0, 1), grid_hw)
    return torch.stack((x * (grid_hw[1] / w), y * (grid_hw[0] / h)), 2)


def enlarge(values: Tensor, target: int, *, axis: int) -> Tensor:
    """Bilinear along one axis."""
    left, right, weight = positions(target, values.shape[axis], values.device)
    shape = [1] * values.ndim
    shape[axis] = target
    before = values.index_select(axis, left)
    return before + weight.view(shape) * (values.index_select(axis, right) - before)


@lru_cache(maxsize=64)
def positions(target: int, source: int, device: Any) -> tuple[Tensor, Tensor, Tensor]:
    """`geometry.sample_positions` on a device: the samples before and after, and the latter's weight."""
    left, weight = sample_positions(target, source)
    right = np.minimum(left + 1, source - 1)
    return (
        torch.from_numpy(left.astype(np.int64)).to(device),
        torch.from_numpy(right.astype(np.int64)).to(device),
        torch.from_numpy(weight).to(device),
    )


@lru_cache(maxsize=64)
def centres(target: int, source: int, device: Any) -> tuple[Tensor, Tensor]:
    """The centres of `target` cells among `source` samples, not clamped: whole parts and fractions in 0..1."""
    centre = (np.arange(target, dtype=np.float64) + 0.5) * (source / target) - 0.5
    whole = np.floor(centre)
    return (
        torch.from_numpy(whole.astype(np.int64)).to(device),
        torch.from_numpy((centre - whole).astype(np.float32)).to(device),
    )


def whole_ratio(size_hw: SizeHW, grid_hw: SizeHW) -> tuple[int, int] | None:
    """How many pixels make a cell in each direction, where that is a whole number."""
    if size_hw[0] % grid_hw[0] or size_hw[1] % grid_hw[1]:
        return None
    return size_hw[0] // grid_hw[0], size_hw[1] // grid_hw[1]


def _area(values: Tensor, grid_hw: SizeHW) -> Tensor:
    size_hw = values.shape[1], values.shape[2]
    ratio = whole_ratio(size_hw, grid_hw)
    if ratio is not None:
        return torch.nn.functional.avg_pool2d(values[None], ratio)[0]
    kind: Literal["area", "steps"] = "area" if grid_hw[0] <= size_hw[0] and grid_hw[1] <= size_hw[1] else "steps"
    # In float64, which no setting of torch rounds.
    rows = weights(grid_hw[0], size_hw[0], kind, values.device)
    columns = weights(grid_hw[1], size_hw[1], kind, values.device)
    return (rows @ values.double() @ columns.T).float()


@lru_cache(maxsize=64)
def weights(target: int, source: int, kind: Literal["area", "steps"], device: Any) -> Tensor:
    """(target, source) float64: what each sample of an axis has of each cell, as OpenCV's INTER_AREA has it.

    `area` is the mean over a cell, for axes that shrink. `steps`, where the other axis shrinks and this one may grow:
    a sample's own value, and a blend of two where a cell covers both.
    """
    matrix = np.zeros((target, source))
    scale = source / target
    for cell in range(target):
        begin, end = cell * scale, min((cell + 1) * scale, source)
        if kind == "area":
            for sample in range(int(begin), min(int(np.ceil(end)), source)):
                part = min(end, sample + 1) - max(begin, sample)
                matrix[cell, sample] = part / (end - begin) if part > 1e-3 else 0.0
        else:
            sample = int(np.floor(begin))
            part = (cell + 1) - (sample + 1) * (target / source)
            part = part - np.floor(part) if part > 0 and sample < source - 1 else 0.0
            matrix[cell, min(sample, source - 1)] = 1 - part
            matrix[cell, min(sample + 1, source - 1)] += part
    return torch.from_numpy(matrix).to(device)
