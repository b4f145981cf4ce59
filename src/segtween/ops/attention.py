"""The compiled loops of `refine.attention`: scores looked up along composed flow on a coarse grid, and
their aggregation.

Convention (docs/conventions.md): bilinear, border clamped, pixel centres on integers, half-pixel-centred.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = Any
NOTHING = np.float32(-18)
"""exp of it is lost when it is added to a float32 of 1 or more."""


@njit(nogil=True, cache=True, fastmath=False, error_model="numpy")
def read_rows(values: Array, path: Array, out: Array, cells: Array, first: int, last: int) -> None:
    """out[y, x] = `values` (h, w, C) where the path (gh, gw, 2), in pixels of `out`'s grid (gh, gw, C), leads from
    there; cells[0] and cells[1] (gh, gw) = the largest class probability of these scores, and its lead over the next
    (`cells` of length 0: not computed).
    """
    h, w, classes = values.shape
    gh, gw = path.shape[:2]
    step_x, step_y = np.float32(w / gw), np.float32(h / gh)
    half, none, one = np.float32(0.5), np.float32(0), np.float32(1)
    right, bottom = np.float32(w - 1), np.float32(h - 1)
    for y in range(first, last):
        for x in range(gw):
            sx = min(max((x + path[y, x, 0] + half) * step_x - half, none), right)
            sy = min(max((y + path[y, x, 1] + half) * step_y - half, none), bottom)
            x0, y0 = int(sx), int(sy)
            x1, y1 = min(x0 + 1, w - 1), min(y0 + 1, h - 1)
            fx, fy = sx - np.float32(x0), sy - np.float32(y0)
            for c in range(classes):
                upper = values[y0, x0, c] + fx * (values[y0, x1, c] - values[y0, x0, c])
                lower = values[y1, x0, c] + fx * (values[y1, x1, c] - values[y1, x0, c])
                out[y, x, c] = upper + fy * (lower - upper)
            if cells.shape[0] == 0:
                continue
            highest, next_highest = np.float32(-np.inf), np.float32(-np.inf)
            for c in range(classes):
                v = out[y, x, c]
                if v > highest:
                    highest, next_highest = v, highest
                elif v > next_highest:
                    next_highest = v
            total = none
            for c in range(classes):
                below = out[y, x, c] - highest
                if below > NOTHING:
                    total += np.exp(below)
            cells[0, y, x] = one / total
            cells[1, y, x] = (one - np.exp(next_highest - highest)) / total


@njit(nogil=True, cache=True, fastmath=False, error_model="numpy")
def aggregate_rows(
    read: Array, attention: Array, offsets: Array, share: Array, least: float, out: Array, first: int, last: int
) -> None:
    """out[:, y, x] = the mean of `read` (2h, 2w, C) at twice the `offsets` (n, 2) from there (x, y), border clamped,
    weighted by the softmax of `attention` (n, h, w) of the cell that it is in, of which weights below `least` are left
    out; where `share` (h, w) is 0, `read` itself. Rows are those of cells."""
    h, w = share.shape
    classes, n = read.shape[2], offsets.shape[0]
    weights, sums = np.empty(n, np.float32), np.empty(classes, np.float32)
    for y in range(first, last):
        for x in range(w):
            if share[y, x] == 0:
                for yy in range(2 * y, 2 * y + 2):
                    for xx in range(2 * x, 2 * x + 2):
                        for c in range(classes):
                            out[c, yy, xx] = read[yy, xx, c]
                continue
            highest, all_of_them, kept = np.float32(-np.inf), np.float32(0), np.float32(0)
            for i in range(n):
                highest = max(highest, attention[i, y, x])
            for i in range(n):
                weights[i] = np.exp(attention[i, y, x] - highest)
                all_of_them += weights[i]
            for i in range(n):
                if weights[i] < least * all_of_them:
                    weights[i] = 0
                kept += weights[i]
            for yy in range(2 * y, 2 * y + 2):
                for xx in range(2 * x, 2 * x + 2):
                    for c in range(classes):
                        sums[c] = 0
                    for i in range(n):
                        if weights[i] == 0:
                            continue
                        from_y = min(max(yy + 2 * offsets[i, 1], 0), 2 * h - 1)
                        from_x = min(max(xx + 2 * offsets[i, 0], 0), 2 * w - 1)
                        weight = weights[i] / kept
                        for c in range(classes):
                            sums[c] += weight * read[from_y, from_x, c]
                    for c in range(classes):
                        out[c, yy, xx] = sums[c]
