"""Matching by appearance cell by cell, in plain NumPy: what `segtween.ops` must give."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.ops.searches import Search

CROSS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
"""The cells that are compared, x and y."""
NEIGHBOURS = ((1, 0), (-1, 0), (0, 1), (0, -1))
"""In the order in which they are tried, x and y."""
NEAR = 1
"""Half cells: what leads no farther from where a cell is led already is not tried."""


def between(view: NDArray[np.uint8], u: int, v: int) -> NDArray[np.int64]:
    """The colours at the place (u, v) in half cells, bilinear, border clamped, halves rounded up."""
    h, w = view.shape[:2]
    rows = [min(max(y, 0), h - 1) for y in (v // 2, (v + 1) // 2)]
    columns = [min(max(x, 0), w - 1) for x in (u // 2, (u + 1) // 2)]
    return np.floor(view[np.ix_(rows, columns)].astype(np.float64).mean((0, 1)) + 0.5).astype(np.int64)


def half_cells(v: int, d: Any, end: int) -> int:
    """Where a flow leads along one axis, in half cells: to the nearest, half up, inside; no number: the first."""
    place = np.float32(2) * (np.float32(v) + np.float32(d)) + np.float32(0.5)
    return 0 if np.isnan(place) else int(min(max(place, np.float32(0)), np.float32(2 * end - 1.5)))


def place(x: int, y: int, flow: Any, size: tuple[int, int]) -> tuple[int, int]:
    return half_cells(x, flow[0], size[1]), half_cells(y, flow[1], size[0])


def all_between(view: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(2h + 4, 2w + 4, 3): `between` of the places from -2 on, both ways."""
    h, w = view.shape[:2]
    return np.array([[between(view, u, v) for u in range(-2, 2 * w + 2)] for v in range(-2, 2 * h + 2)])


def cost(now: Any, key: Any, x: int, y: int, flow: Any) -> int:
    """The sum of the absolute differences over the cross; both pictures of `all_between`."""
    u, v = place(x, y, flow, (now.shape[0] // 2 - 2, now.shape[1] // 2 - 2))
    dx, dy = 2 * np.array(CROSS).T + 2
    return int(np.abs(now[2 * y + dy, 2 * x + dx] - key[v + dy, u + dx]).sum())


def contrast(view: Any) -> Any:
    """The sum of the absolute differences of each cell from its four neighbours, (h, w)."""
    around, total = np.pad(view, ((1, 1), (1, 1), (0, 0)), mode="edge"), 0
    for dx, dy in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        total = total + np.abs(view - np.roll(around, (-dy, -dx), (0, 1))[1:-1, 1:-1]).sum(2)
    return total


def matched(flow: Any, now: Any, key: Any, search: Search, *, where: Any = None) -> tuple[Any, Any]:
    """The flow (h, w, 2) after all rounds, and (h, w) where it was changed. `where` (h, w): the cells that look."""
    view, (h, w), found = np.asarray(now, int), flow.shape[:2], flow.copy()
    now, key = all_between(now), all_between(key)
    best = np.array([[cost(now, key, x, y, flow[y, x]) for x in range(w)] for y in range(h)])
    looks = best > search.gate * 15 + search.contrast * contrast(view)
    if where is not None:
        looks &= where
    best, changed = best - search.margin * 15, np.zeros((h, w), bool)
    for step in search.steps:
        before = found.copy()
        for y, x in np.argwhere(looks):
            for dx, dy in NEIGHBOURS:
                xx, yy = x + dx * step, y + dy * step
                if not (0 <= xx < w and 0 <= yy < h):
                    continue
                other, own = (place(x, y, at, (h, w)) for at in (before[yy, xx], found[y, x]))
                if max(abs(other[0] - own[0]), abs(other[1] - own[1])) <= NEAR:
                    continue
                value = cost(now, key, x, y, before[yy, xx])
                if value < best[y, x]:
                    best[y, x], found[y, x], changed[y, x] = value, before[yy, xx], True
    return found, changed


def near_edges(labels: NDArray[np.uint8], away: int) -> NDArray[np.bool_]:
    """(h, w): whether one of the eight labels `away` cells along the axes and diagonals, border clamped, is another."""
    (h, w), out = labels.shape, np.zeros(labels.shape, np.bool_)
    for y in range(h):
        for x in range(w):
            rows = [max(y - away, 0), y, min(y + away, h - 1)]
            columns = [max(x - away, 0), x, min(x + away, w - 1)]
            out[y, x] = (labels[np.ix_(rows, columns)] != labels[y, x]).any()
    return out


def read(values: Any, x: float, y: float) -> NDArray[np.float64]:
    """Scores (C, h, w) at a place, bilinear, border clamped."""
    _, h, w = values.shape
    x, y = min(max(x, 0.0), w - 1.0), min(max(y, 0.0), h - 1.0)
    x0, y0 = int(x), int(y)
    x1, y1, fx, fy = min(x0 + 1, w - 1), min(y0 + 1, h - 1), x - x0, y - y0
    upper = values[:, y0, x0] * (1 - fx) + values[:, y0, x1] * fx
    lower = values[:, y1, x0] * (1 - fx) + values[:, y1, x1] * fx
    return np.asarray(upper * (1 - fy) + lower * fy, np.float64)


def moved_scores(values: Any, pixel: tuple[int, int], size_hw: Any, flow: Any, grid: Any) -> NDArray[np.float64]:
    """The scores where a flow, in cells of a grid, leads from a pixel (row, column) of a frame."""
    _, h, w = values.shape
    y = ((pixel[0] + 0.5) / size_hw[0] + flow[1] / grid[0]) * h - 0.5
    x = ((pixel[1] + 0.5) / size_hw[1] + flow[0] / grid[1]) * w - 0.5
    return read(values, x, y)
