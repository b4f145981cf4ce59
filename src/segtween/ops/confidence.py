"""The compiled loops for confidence: the largest class probability where composed flow leads, of the cells that are
asked for; the scores of the frame are never stored.

Convention (docs/conventions.md): backward flow, in pixels of the scores' grid; border clamped, pixel centres on
integers.
A source is (scores (C, h, w) float32, flow (h, w, 2) float32); without rows the flow leads from every cell to itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = Any
CONTRACT = {"contract"}


@njit(nogil=True, inline="always", error_model="numpy")
def _exponential(x: Any) -> Any:
    """e^x of a float32 that is not above 0, within 3e-7 of it; in a loop over an array it is vectorised.

    2^(n + f) by the exponent's bits and Taylor's polynomial of 2^f, f in -1/2..1/2.
    """
    power = max(x * np.float32(1.4426950408889634), np.float32(-126))  # NaN is e^0: scores are finite
    n = np.int32(power - np.float32(0.5))
    f = power - np.float32(n)
    value = np.float32(1.5403530393381610e-4)
    value = value * f + np.float32(1.3333558146428443e-3)
    value = value * f + np.float32(9.6181291076284772e-3)
    value = value * f + np.float32(5.5504108664821580e-2)
    value = value * f + np.float32(2.4022650695910071e-1)
    value = value * f + np.float32(6.9314718055994531e-1)
    value = value * f + np.float32(1)
    return value * np.int32((n + np.int32(127)) << np.int32(23)).view(np.float32)


@njit(nogil=True, inline="always", error_model="numpy")
def _read_row(source: Any, y: Any, step: Any, corner: Array, weight: Array, out: Array) -> None:
    """out[c, k] = the scores where the flow leads from cell step k of row y."""
    values, flow = source
    classes, h, w = values.shape
    if flow.shape[0] == 0:
        for c in range(classes):
            line = values[c, y]
            for k in range(out.shape[1]):
                out[c, k] = line[step * k]
        return
    right, below = min(1, w - 1), w * min(1, h - 1)
    for k in range(out.shape[1]):
        x = np.int64(step) * k
        sx, sy = np.float64(x) + flow[y, x, 0], np.float64(y) + flow[y, x, 1]
        sx = min(sx, w - 1.0) if sx > 0.0 else 0.0  # NaN is 0
        sy = min(sy, h - 1.0) if sy > 0.0 else 0.0
        x0, y0 = min(int(sx), max(w - 2, 0)), min(int(sy), max(h - 2, 0))
        corner[k], weight[0, k], weight[1, k] = y0 * w + x0, sx - x0, sy - y0
    flat = values.reshape(classes, h * w)
    for c in range(classes):
        plane, to = flat[c], out[c]
        for k in range(out.shape[1]):
            i, fx = corner[k], weight[0, k]
            upper = plane[i] + fx * (plane[i + right] - plane[i])
            lower = plane[i + below] + fx * (plane[i + below + right] - plane[i + below])
            to[k] = upper + weight[1, k] * (lower - upper)


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def confidence_rows(
    one: Any, two: Any, share: Array, is_logits: bool, step: int, out: Array, first: int, last: int
) -> None:
    """out[j, k] = the largest class probability of cell (step j, step k): of the scores of source `one`, or where
    `share` (h, w), 0..1, has rows of (1 - share) one + share two. Scores are logits, or probabilities.
    """
    classes, columns = one[0].shape[0], out.shape[1]
    corner, weight = np.empty(columns, np.int32), np.empty((2, columns), np.float32)
    scores, others = np.empty((classes, columns), np.float32), np.empty((classes, columns), np.float32)
    top, total = np.empty(columns, np.float32), np.empty(columns, np.float32)
    for j in range(first, last):
        y = step * j
        _read_row(one, y, step, corner, weight, scores)
        if share.shape[0] > 0:
            _read_row(two, y, step, corner, weight, others)
            for k in range(columns):
                weight[0, k] = share[y, step * k]
            for c in range(classes):
                for k in range(columns):
                    scores[c, k] += weight[0, k] * (others[c, k] - scores[c, k])
        for k in range(columns):
            top[k] = scores[0, k]
        for c in range(1, classes):
            for k in range(columns):
                top[k] = max(top[k], scores[c, k])
        if not is_logits:
            for k in range(columns):
                out[j, k] = min(top[k], np.float32(1))
            continue
        for k in range(columns):
            total[k] = 0
        for c in range(classes):
            for k in range(columns):
                total[k] += _exponential(scores[c, k] - top[k])
        for k in range(columns):
            out[j, k] = np.float32(1) / total[k]
