"""Matching by appearance in torch, the twin of `segtween.ops.appearance` and `segtween.ops.matching`.

Every cell is computed, and what does not count is masked: the same comparisons in the same order as on the processor.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from segtween.device.sampling import resize_planes, whole_ratio
from segtween.geometry import stride_grid
from segtween.ops.searches import CROSS, MOST_SIDE, NEAR, SIDES, Search
from segtween.types import Appearance, SizeHW

AROUND = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))


class Views(NamedTuple):
    """The cells of a frame with their border once more, (h + 2, w + 2, 3), and those of a key frame in half cells,
    (4, h + 2, w + 2, 3)."""

    now: Tensor
    key: Tensor


def appearance(rgb: Tensor, grid_hw: SizeHW) -> Appearance:
    """The colours of a frame (H, W, 3) uint8 on a grid, and on one half as fine."""
    fine = _shrunk(rgb, grid_hw).clone()
    made: Any = Appearance(fine, _shrunk(fine, stride_grid(grid_hw, 2)))
    return made


def _shrunk(image: Tensor, grid_hw: SizeHW) -> Tensor:
    size_hw = image.shape[0], image.shape[1]
    if size_hw == grid_hw:
        return image
    mean = resize_planes(image.permute(2, 0, 1).float(), grid_hw).permute(1, 2, 0)
    ratio = whole_ratio(size_hw, grid_hw)
    alike = ratio is not None and ratio[0] == ratio[1] <= MOST_SIDE and ratio[0] % 2 == 0  # halves are rounded up
    return ((mean + 0.5).floor() if alike else mean.round()).to(torch.uint8)


def match(composed: Tensor, now: Tensor, key: Tensor, search: Search) -> Tensor:
    """Composed flow (h, w, 2), better where a neighbour's fits the colours (h, w, 3) better."""
    return _search(composed, _views(now, key), search)[0]


def match_fine(flow: Tensor, now: Tensor, key: Tensor, search: Search, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The flow of the fine grid, and where it was changed. `labels` (h, w) are what the flow gives."""
    return _search(flow, _views(now, key), search, labels)


def enlarged_cells(values: Tensor, size_hw: SizeHW) -> Tensor:
    """(h, w, ...) -> (H, W, ...): each pixel the value of the cell it lies in."""
    rows, columns = (_cell_of(s, n, values.device) for s, n in zip(size_hw, values.shape, strict=False))
    return values[rows][:, columns]


def _cell_of(length: int, cells: int, device: torch.device) -> Tensor:
    begins = np.arange(1, cells) * length // cells
    return torch.from_numpy(np.searchsorted(begins, np.arange(length), side="right")).to(device)


def _search(flow: Tensor, views: Views, search: Search, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """What the flow becomes, and where it was changed."""
    h, w = flow.shape[:2]
    places = _places(flow)
    costs = _cost(views, places)
    doubtful = costs > int(search.gate * CROSS) + search.contrast * _contrast(views)
    if labels is not None:
        doubtful &= _edges(labels, search.edge)
    best, found, at = costs - int(search.margin * CROSS), flow, places
    for step in search.steps:
        field = found
        for dx, dy in SIDES:
            shifted, exists = _shifted(field, dx * step, dy * step)
            other = _places(shifted)
            far = ((other[0] - at[0]).abs() > NEAR) | ((other[1] - at[1]).abs() > NEAR)
            cost = _cost(views, other)
            better = doubtful & exists & far & (cost < best)
            best = torch.where(better, cost, best)
            found = torch.where(better[..., None], shifted, found)
            at = torch.where(better, other[0], at[0]), torch.where(better, other[1], at[1])
    return found, (found != flow).any(2).reshape(h, w)


def _shifted(field: Tensor, dx: int, dy: int) -> tuple[Tensor, Tensor]:
    """What the cells (dx, dy) away have, and which of them exist."""
    h, w = field.shape[:2]
    x, y = torch.arange(w, device=field.device) + dx, torch.arange(h, device=field.device) + dy
    exists = ((y >= 0) & (y < h))[:, None] & ((x >= 0) & (x < w))[None, :]
    return field[y.clamp(0, h - 1)][:, x.clamp(0, w - 1)], exists


def _places(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Where a flow leads, x and y in half cells."""
    h, w = flow.shape[:2]
    columns = torch.arange(w, device=flow.device, dtype=torch.float32)[None, :]
    rows = torch.arange(h, device=flow.device, dtype=torch.float32)[:, None]
    x, y = 2 * (columns + flow[..., 0]) + 0.5, 2 * (rows + flow[..., 1]) + 0.5
    x, y = torch.nan_to_num(x).clamp(0, 2 * w - 1.5), torch.nan_to_num(y).clamp(0, 2 * h - 1.5)
    return x.to(torch.int64), y.to(torch.int64)


def _views(now: Tensor, key: Tensor) -> Views:
    cells = _padded(key)
    right, below = torch.cat((cells[:, 1:], cells[:, -1:]), 1), torch.cat((cells[1:], cells[-1:]), 0)
    corner = torch.cat((right[1:], right[-1:]), 0)
    halves = (
        (cells, cells, cells, cells), (cells, right, cells, right), (cells, cells, below, below),
        (cells, right, below, corner),
    )  # fmt: skip
    return Views(_padded(now), torch.stack([(a + b + c + d + 2) >> 2 for a, b, c, d in halves]))


def _padded(image: Tensor) -> Tensor:
    """(h, w, 3) with its border once more."""
    padded = pad(image.permute(2, 0, 1).float()[None], (1, 1, 1, 1), mode="replicate")[0]
    return padded.permute(1, 2, 0).to(torch.int32)


def _cost(views: Views, places: tuple[Tensor, Tensor]) -> Tensor:
    """The sum of the absolute differences over a cross, (h, w) whole numbers."""
    (u, v), (h, w) = places, places[0].shape
    flat, phase = views.key.reshape(4, -1, 3), (v & 1) * 2 + (u & 1)
    total = torch.zeros((h, w), dtype=torch.int32, device=u.device)
    for dy, dx in AROUND:
        seen = views.now[1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w]
        other = flat[phase, ((v >> 1) + 1 + dy) * (w + 2) + (u >> 1) + 1 + dx]
        total += (seen - other).abs().sum(2, dtype=torch.int32)
    return total


def _contrast(views: Views) -> Tensor:
    """The sum of the absolute differences of each cell from its four neighbours, (h, w) whole numbers."""
    h, w = views.now.shape[0] - 2, views.now.shape[1] - 2
    cells = views.now[1:-1, 1:-1]
    beside = [views.now[1 + dy : 1 + dy + h, 1 + dx : 1 + dx + w] for dy, dx in AROUND[1:]]
    return torch.stack([(cells - other).abs().sum(2, dtype=torch.int32) for other in beside]).sum(0)


def _edges(labels: Tensor, away: int) -> Tensor:
    """Whether the labels within `away` cells, along the axes and diagonals, are not all one."""
    found = torch.zeros(labels.shape, dtype=torch.bool, device=labels.device)
    h, w = labels.shape
    for dy in (-away, 0, away):
        for dx in (-away, 0, away):
            y = (torch.arange(h, device=labels.device) + dy).clamp(0, h - 1)
            x = (torch.arange(w, device=labels.device) + dx).clamp(0, w - 1)
            found |= labels[y][:, x] != labels
    return found
