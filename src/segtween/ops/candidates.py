"""Which classes can be largest somewhere: sets of classes as bits, class c being bit c % 64 of an unsigned integer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = Any
SPREAD = 0x03F79D71B4CB0A89  # times a power of two: its top six bits name it
BIT_OF = np.zeros(64, np.int64)
BIT_OF[[((1 << _bit) * SPREAD % 2**64) >> 58 for _bit in range(64)]] = np.arange(64)


@njit(nogil=True, cache=True, error_model="numpy")
def candidates_rows(values: Array, best: Array, out: Array, first: int, last: int) -> None:
    """out[y, x] (uint64) = the classes that can be largest between four score centres, of scores `values` (C, h, w).

    A class can only be where its largest corner reaches the largest of all classes' smallest corners. Where all four
    have one `best` class it is alone.
    """
    classes, h, w = values.shape
    floor, found = np.empty(w, np.float32), np.empty(w, np.uint64)
    for y in range(first, last):
        below = min(y + 1, h - 1)
        floor[:], found[:] = np.float32(-np.inf), np.uint64(0)
        for c in range(classes):
            p, q = values[c, y], values[c, below]
            for x in range(w - 1):
                least = min(min(p[x], p[x + 1]), min(q[x], q[x + 1]))
                floor[x] = max(floor[x], least)
            floor[w - 1] = max(floor[w - 1], min(p[w - 1], q[w - 1]))
        for c in range(classes):
            p, q, bit = values[c, y], values[c, below], np.uint64(1) << (np.uint64(c) & np.uint64(63))
            for x in range(w - 1):
                most = max(max(p[x], p[x + 1]), max(q[x], q[x + 1]))
                found[x] |= bit if most >= floor[x] else np.uint64(0)
            found[w - 1] |= bit if max(p[w - 1], q[w - 1]) >= floor[w - 1] else np.uint64(0)
        upper, lower = best[y], best[below]
        for x in range(w):
            right = min(x + 1, w - 1)
            uniform = upper[x] == upper[right] and upper[x] == lower[x] and upper[x] == lower[right]
            out[y, x] = np.uint64(1) << (np.uint64(upper[x]) & np.uint64(63)) if uniform else found[x]


@njit(nogil=True, inline="always", error_model="numpy")
def named(found: Any, classes: Any, names: Array) -> int:
    """The classes of a set, ascending, into `names`; returns how many. Beyond 64 classes some may be too many."""
    n = 0
    if classes <= 64:
        while found != np.uint64(0):
            lowest = found & (~found + np.uint64(1))
            names[n] = BIT_OF[(lowest * np.uint64(SPREAD)) >> np.uint64(58)]
            n += 1
            found ^= lowest
        return n
    for c in range(classes):
        if (found >> (np.uint64(c) & np.uint64(63))) & np.uint64(1):
            names[n] = c
            n += 1
    return n
