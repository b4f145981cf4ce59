"""The compiled loop for a frame between two others: labels looked up along composed flow (here: a path) to each
and mixed.

Both paths and the share lie on one grid over the frame and are enlarged bilinearly to its size; `weight_x`, `starts_x`,
`top`, `weight_y` say how (`geometry.sample_positions`; cell i covers the columns starts_x[i]..starts_x[i + 1]).
Convention (docs/conventions.md): a path leads from a pixel of the frame to a place in another frame, in pixels of what
is read there; bilinear, border clamped, pixel centres on integers, half-pixel-centred.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = Any


@njit(nogil=True, inline="always", error_model="numpy")
def _between(a: Any, b: Any, c: Any, d: Any, fx: Any, fy: Any) -> Any:
    upper = a + fx * (b - a)
    return upper + fy * (c + fx * (d - c) - upper)


@njit(nogil=True, inline="always", error_model="numpy")
def _step(path: Array, axis: int, g0: Any, g1: Any, cell: Any, near: Any, fx: Any, fy: Any) -> Any:
    """How far the path leads along x (0) or y (1), between four of its samples."""
    return _between(path[g0, cell, axis], path[g0, near, axis], path[g1, cell, axis], path[g1, near, axis], fx, fy)


@njit(nogil=True, cache=True, fastmath=False, error_model="numpy")
def mix_label_maps_rows(
    first_labels: Array,
    first_path: Array,
    second_labels: Array,
    second_path: Array,
    share: Array,
    weight_x: Array,
    starts_x: Array,
    top: Array,
    weight_y: Array,
    out: Array,
    begin: int,
    end: int,
) -> None:
    """out[y, x] = the label with the largest weight among the four pixels around the place where each path leads.

    Labels are (H, W) uint8 of any values, of the same size as `out`. A pixel's weight is bilinear, times
    1 - share for the first and share for the second. Ties go to the value that was met first.
    """
    gh, gw = share.shape
    height, width = out.shape
    none, one = np.float32(0), np.float32(1)
    right, bottom = np.float32(width - 1), np.float32(height - 1)
    values, weights = np.empty(8, np.uint8), np.empty(8, np.float32)
    for y in range(begin, end):
        g0 = top[y]
        g1 = min(g0 + 1, gh - 1)
        fy = weight_y[y]
        for cell in range(starts_x.shape[0] - 1):
            near = min(cell + 1, gw - 1)
            for x in range(starts_x[cell], starts_x[cell + 1]):
                fx = weight_x[x]
                ax = min(max(x + _step(first_path, 0, g0, g1, cell, near, fx, fy), none), right)
                ay = min(max(y + _step(first_path, 1, g0, g1, cell, near, fx, fy), none), bottom)
                bx = min(max(x + _step(second_path, 0, g0, g1, cell, near, fx, fy), none), right)
                by = min(max(y + _step(second_path, 1, g0, g1, cell, near, fx, fy), none), bottom)
                ax0, ay0, bx0, by0 = int(ax), int(ay), int(bx), int(by)
                ax1, ay1 = min(ax0 + 1, width - 1), min(ay0 + 1, height - 1)
                bx1, by1 = min(bx0 + 1, width - 1), min(by0 + 1, height - 1)
                ax -= np.float32(ax0)
                ay -= np.float32(ay0)
                bx -= np.float32(bx0)
                by -= np.float32(by0)
                part = _between(share[g0, cell], share[g0, near], share[g1, cell], share[g1, near], fx, fy)
                rest = one - part
                values[0], weights[0] = first_labels[ay0, ax0], rest * (one - ax) * (one - ay)
                values[1], weights[1] = first_labels[ay0, ax1], rest * ax * (one - ay)
                values[2], weights[2] = first_labels[ay1, ax0], rest * (one - ax) * ay
                values[3], weights[3] = first_labels[ay1, ax1], rest * ax * ay
                values[4], weights[4] = second_labels[by0, bx0], part * (one - bx) * (one - by)
                values[5], weights[5] = second_labels[by0, bx1], part * bx * (one - by)
                values[6], weights[6] = second_labels[by1, bx0], part * (one - bx) * by
                values[7], weights[7] = second_labels[by1, bx1], part * bx * by
                same = True
                for i in range(1, 8):
                    same = same and values[i] == values[0]
                if same:
                    out[y, x] = values[0]
                    continue
                winner, highest = values[0], np.float32(-1)
                for i in range(8):
                    total = none
                    for j in range(8):
                        if values[j] == values[i]:
                            total += weights[j]
                    if total > highest:
                        highest, winner = total, values[i]
                out[y, x] = winner
