"""Matching by appearance cell by cell, in plain NumPy: what `segtween.ops` must give."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.ops.appearance import Search

CROSS = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
"""The cells that are compared, x and y."""
NEIGHBOURS = ((1, 0), (-1, 0), (0, 1), (0, -1))
"""In the order in which they are tried, x and y."""


def halves(view: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(2, 2, h, w, 3): [j, i, y, x] is the view at (x + i / 2, y + j / 2), bilinear, halves up, border clamped."""
    (h, w, _), out = view.shape, np.empty((2, 2, *view.shape), np.uint8)
    for j in range(2):
        for i in range(2):
            y, x = np.arange(h) + j / 2, np.arange(w) + i / 2
            out[j, i] = np.floor(bilinear(view, x, y) + 0.5)
    return out


def bilinear(view: NDArray[np.uint8], x: Any, y: Any) -> NDArray[np.float64]:
    """The view at all of the rows y and columns x."""
    (h, w, _), values = view.shape, view.astype(np.float64)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.minimum(x0 + 1, w - 1), np.minimum(y0 + 1, h - 1)
    fx, fy = (x - x0)[None, :, None], (y - y0)[:, None, None]
    upper = values[y0][:, x0] * (1 - fx) + values[y0][:, x1] * fx
    lower = values[y1][:, x0] * (1 - fx) + values[y1][:, x1] * fx
    return upper * (1 - fy) + lower * fy


def half_cells(v: int, d: Any, end: int) -> int:
    """Where a flow leads along one axis, in half cells: to the nearest, half up, inside; no number: the first."""
    place = np.float32(2) * (np.float32(v) + np.float32(d)) + np.float32(0.5)
    return 0 if np.isnan(place) else int(min(max(place, np.float32(0)), np.float32(2 * end - 1.5)))


def cost(now: NDArray[np.uint8], key: NDArray[np.uint8], x: int, y: int, flow: Any) -> int:
    """The sum of the absolute differences over the cross; `key` is of `halves`."""
    (h, w, _), total = now.shape, 0
    u, v = half_cells(x, flow[0], w), half_cells(y, flow[1], h)
    for dx, dy in CROSS:
        here = now[min(max(y + dy, 0), h - 1), min(max(x + dx, 0), w - 1)].astype(int)
        there = key[v % 2, u % 2, min(max(v // 2 + dy, 0), h - 1), min(max(u // 2 + dx, 0), w - 1)].astype(int)
        total += int(np.abs(here - there).sum())
    return total


def matched(flow: Any, now: Any, key: Any, search: Search, *, where: Any = None) -> tuple[Any, Any]:
    """The flow (h, w, 2) after all rounds, and (h, w) where it was changed. `where` (h, w): the cells that look."""
    (h, w), key = flow.shape[:2], halves(key)
    found = flow.copy()
    best = np.array([[cost(now, key, x, y, flow[y, x]) for x in range(w)] for y in range(h)])
    looks = best > search.gate * 15
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
                other = cost(now, key, x, y, before[yy, xx])
                if other < best[y, x]:
                    best[y, x], found[y, x], changed[y, x] = other, before[yy, xx], True
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
