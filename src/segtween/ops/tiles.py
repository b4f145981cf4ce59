"""Labels looked up along composed flow (here: a path) in tiles of 8 x 8 pixels, each within one cell of its grid: from
one frame's scores, or from two frames' mixed. Small functions that are compiled into the loops of `along`.

A path (gh, gw, 2) is bilinear between its samples, and so is the place it leads to within one of its cells. So the
places of a tile lie in the box of those of its corners; only classes that can win in that box are interpolated there,
64 pixels at a time.
Conventions and sources: as in `along`. The compiled loops on disk know of changes in their own file alone: after a
change here, `along.py` must look changed too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from segtween.ops.candidates import named

Array = Any
# Compiled once and inlined by LLVM: numba's own inlining repeats typing for every call and took four times as long.
# References to arrays are not counted, as that is atomic: such functions make no arrays, they are given their scratch.
_jit = njit(nogil=True, fastmath={"contract"}, error_model="numpy", _nrt=False)
SIDE, LANES = 8, 64  # pixels along a tile, and in it
WIDE = 16  # classes last, their number is a multiple of this


@_jit
def _plane(a: Any, b: Any, c: Any, d: Any, fx: Any, step_x: Any, fy: Any, step_y: Any) -> Any:
    """(p, q, r, s): p + q i + r j + s i j lies between a, b, c and d at (fx + i step_x, fy + j step_y)."""
    u, v = b - a, c - a
    t = d - c - u
    return a + fx * u + fy * (v + fx * t), step_x * (u + fy * t), step_y * (v + fx * t), step_x * step_y * t


@_jit
def _span(plane: Any, n: Any, m: Any, end: int) -> Any:
    """The first and the last of 0..end that bilinear reading needs for a plane over 0..n, 0..m."""
    a, b, c = plane[0], plane[0] + n * plane[1], plane[0] + m * plane[2]
    d = b + m * (plane[2] + n * plane[3])
    low, high = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
    low = min(low, np.float64(end)) if low > 0.0 else 0.0  # NaN is 0
    high = min(high, np.float64(end)) if high > 0.0 else 0.0
    first = min(max(int(low), 0), end)
    return first, max(first, min(max(int(high), 0) + 1, end))


@_jit
def places(path: Array, h: Any, w: Any, size: Any, cell: Any, block: Any) -> Any:
    """Where a block (y, y end, x, x end) of one cell (row, column) of the path is led: (x plane, y plane, and the score
    centres x first, x last, y first, y last)."""
    gh, gw = path.shape[:2]
    top, left = max(cell[0] - 1, 0), max(cell[1] - 1, 0)
    below, right = min(cell[0], gh - 1), min(cell[1], gw - 1)
    dy, dx, step_y, step_x = gh / size[0], gw / size[1], h / size[0], w / size[1]
    middle_y, middle_x = block[0] + 0.5, block[2] + 0.5
    fy, fx = middle_y * dy + 0.5 - cell[0], middle_x * dx + 0.5 - cell[1]
    a, b = np.float64(path[top, left, 0]), np.float64(path[top, right, 0])
    p = _plane(a, b, np.float64(path[below, left, 0]), np.float64(path[below, right, 0]), fx, dx, fy, dy)
    a, b = np.float64(path[top, left, 1]), np.float64(path[top, right, 1])
    q = _plane(a, b, np.float64(path[below, left, 1]), np.float64(path[below, right, 1]), fx, dx, fy, dy)
    along_x = (p[0] + middle_x * step_x - 0.5, p[1] + step_x, p[2], p[3])
    along_y = (q[0] + middle_y * step_y - 0.5, q[1], q[2] + step_y, q[3])
    n, m = np.float64(block[3] - block[2] - 1), np.float64(block[1] - block[0] - 1)
    x_first, x_last = _span(along_x, n, m, w - 1)
    y_first, y_last = _span(along_y, n, m, h - 1)
    return along_x, along_y, x_first, x_last, y_first, y_last


@_jit
def uniform_label(best: Array, uniform: Array, at: Any) -> int:
    """The class that is largest at every score centre around the places, or -1."""
    x, y = at[2], at[4]
    return np.int64(best[y, x]) if uniform[y, x] >= max(at[3] - x, at[5] - y) else np.int64(-1)


@_jit
def parts(share: Array, size: Any, cell: Any, block: Any) -> Any:
    gh, gw = share.shape
    top, left = max(cell[0] - 1, 0), max(cell[1] - 1, 0)
    below, right = min(cell[0], gh - 1), min(cell[1], gw - 1)
    fy = (block[0] + 0.5) * gh / size[0] + 0.5 - cell[0]
    fx = (block[2] + 0.5) * gw / size[1] + 0.5 - cell[1]
    a, b = np.float64(share[top, left]), np.float64(share[top, right])
    c, d = np.float64(share[below, left]), np.float64(share[below, right])
    return _plane(a, b, c, d, fx, gw / size[1], fy, gh / size[0])


@_jit
def tile_of(block: Any) -> Any:
    """Of a block (y, y end, x, x end): how many pixels its tile has, a multiple of 8, and whether that is 4 wide."""
    height, narrow = block[1] - block[0], block[3] - block[2] <= 4
    return (4 * (height + (height & 1)), True) if narrow else (SIDE * height, False)


@_jit
def _weigh(lanes: Array, at: int, places: Any, tile: Any) -> None:
    """For every pixel of a tile how far left of the second of four score centres it is, and how far right of the second
    and of the third; the same up and down."""
    p, q = places[0], places[1]
    a, b, c, d = np.float32(p[0] - places[2]), np.float32(p[1]), np.float32(p[2]), np.float32(p[3])
    e, f, g, k = np.float32(q[0] - places[4]), np.float32(q[1]), np.float32(q[2]), np.float32(q[3])
    right, bottom = np.float32(places[3] - places[2]), np.float32(places[5] - places[4])
    narrow = tile[1]
    none, one, two = np.float32(0), np.float32(1), np.float32(2)
    for i in range(tile[0]):
        column, row = (np.float32(i & 3), np.float32(i >> 2)) if narrow else (np.float32(i & 7), np.float32(i >> 3))
        x = min(max(a + column * b + row * (c + column * d), none), right)
        y = min(max(e + column * f + row * (g + column * k), none), bottom)
        lanes[at + i] = max(one - x, none)
        lanes[at + LANES + i] = max(x - one, none)
        lanes[at + 2 * LANES + i] = max(x - two, none)
        lanes[at + 3 * LANES + i] = max(one - y, none)
        lanes[at + 4 * LANES + i] = max(y - one, none)
        lanes[at + 5 * LANES + i] = max(y - two, none)


@_jit
def _bends(values: Array, c: Any, base: Any, y: Any, places: Any) -> Any:
    """By how much class c exceeds `base` at the second of four score centres of a row, and what `_weigh` multiplies."""
    x, x3 = places[2], places[3]
    x1, x2 = min(x + 1, x3), min(x + 2, x3)
    a, b = values[c, y, x] - values[base, y, x], values[c, y, x1] - values[base, y, x1]
    d, e = values[c, y, x2] - values[base, y, x2], values[c, y, x3] - values[base, y, x3]
    return b, a - b, d - b, (e - d) - (d - b)


@_jit
def _centres(values: Array, c: Any, base: Any, places: Any) -> Any:
    """`_bends` of four rows of score centres."""
    y, y3 = places[4], places[5]
    y1, y2 = min(y + 1, y3), min(y + 2, y3)
    return (
        _bends(values, c, base, y, places), _bends(values, c, base, y1, places),
        _bends(values, c, base, y2, places), _bends(values, c, base, y3, places),
    )  # fmt: skip


@_jit
def _lead(n: Any, lanes: Array, i: Any) -> Any:
    p, q, r = lanes[i], lanes[LANES + i], lanes[2 * LANES + i]
    u, v, w = lanes[3 * LANES + i], lanes[4 * LANES + i], lanes[5 * LANES + i]
    a = n[0][0] + p * n[0][1] + q * n[0][2] + r * n[0][3]
    b = n[1][0] + p * n[1][1] + q * n[1][2] + r * n[1][3]
    d = n[2][0] + p * n[2][1] + q * n[2][2] + r * n[2][3]
    e = n[3][0] + p * n[3][1] + q * n[3][2] + r * n[3][3]
    return b + u * (a - b) + v * (d - b) + w * ((e - d) - (d - b))


@_jit
def _leads(values: Array, one: Any, other: Any, places: Any, tile: Any, lanes: Array) -> None:
    """By how much `other` exceeds `one` at every pixel of a tile: `_weigh` and `_lead` with no weight stored."""
    n = _centres(values, other, one, places)
    p, q = places[0], places[1]
    a, b, c, d = np.float32(p[0] - places[2]), np.float32(p[1]), np.float32(p[2]), np.float32(p[3])
    e, f, g, k = np.float32(q[0] - places[4]), np.float32(q[1]), np.float32(q[2]), np.float32(q[3])
    right, bottom = np.float32(places[3] - places[2]), np.float32(places[5] - places[4])
    narrow = tile[1]
    none, unit, two = np.float32(0), np.float32(1), np.float32(2)
    for i in range(tile[0]):
        column, row = (np.float32(i & 3), np.float32(i >> 2)) if narrow else (np.float32(i & 7), np.float32(i >> 3))
        x = min(max(a + column * b + row * (c + column * d), none), right)
        y = min(max(e + column * f + row * (g + column * k), none), bottom)
        r, s, t = max(unit - x, none), max(x - unit, none), max(x - two, none)
        u, v, w = max(unit - y, none), max(y - unit, none), max(y - two, none)
        first = n[0][0] + r * n[0][1] + s * n[0][2] + t * n[0][3]
        second = n[1][0] + r * n[1][1] + s * n[1][2] + t * n[1][3]
        third = n[2][0] + r * n[2][1] + s * n[2][2] + t * n[2][3]
        fourth = n[3][0] + r * n[3][1] + s * n[3][2] + t * n[3][3]
        lanes[i] = second + u * (first - second) + v * (third - second) + w * ((fourth - third) - (third - second))


@_jit
def _candidates(source: Any, places: Any, names: Array) -> int:
    """Which classes can be largest somewhere in the box of a tile, ascending; returns how many."""
    found = np.uint64(0)
    for y in range(places[4], max(places[4] + 1, places[5])):
        for x in range(places[2], max(places[2] + 1, places[3])):
            found |= source[3][y, x]
    return named(found, source[0].shape[0], names)


@_jit
def _another(best: Array, places: Any, label: Any) -> int:
    """A class that is largest at one of the score centres around the places and is not `label`, or `label`."""
    for y in range(places[4], places[5] + 1):
        for x in range(places[2], places[3] + 1):
            if best[y, x] != label:
                return np.int64(best[y, x])
    return np.int64(label)


@_jit
def _behind(last: Array, one: Any, other: Any, places: Any, worst: Array) -> None:
    """worst[i, c] = at least by how much class c exceeds the mean of two classes (i = 0), the one (1) and the other
    (2), at the score centres around the places."""
    half = np.float32(0.5)
    for y in range(places[4], places[5] + 1):
        for x in range(places[2], places[3] + 1):
            u, v = last[y, x, one // WIDE, one % WIDE], last[y, x, other // WIDE, other % WIDE]
            mean = half * (u + v)
            for k in range(last.shape[2]):
                for i in range(WIDE):
                    value = last[y, x, k, i]
                    worst[0, k, i] = max(worst[0, k, i], value - mean)
                    worst[1, k, i] = max(worst[1, k, i], value - u)
                    worst[2, k, i] = max(worst[2, k, i], value - v)


@_jit
def _contenders(
    classes: Any, best: Array, last: Array, near: Any, other_best: Array, other_last: Array, far: Any, worst: Array,
    names: Array,
) -> int:  # fmt: skip
    """Which classes can be largest in the mixture, ascending; returns how many. None can that loses everywhere to one
    other, or to the mean of two others: neither source's candidates alone decide that, as the second of both may win in
    between."""
    one = np.int64(best[near[4], near[2]])
    other = _another(best, near, one)
    if other == one:
        other = _another(other_best, far, one)
    worst[:] = np.float32(-np.inf)
    _behind(last, one, other, near, worst)
    _behind(other_last, one, other, far, worst)
    n, none = 0, np.float32(0)
    for c in range(classes):
        k, i = c // WIDE, c % WIDE
        if not (worst[0, k, i] < none or worst[1, k, i] < none or worst[2, k, i] < none):
            names[n] = c
            n += 1
    if n == 0:  # only where scores are no numbers
        names[0], n = one, 1
    return n


@_jit
def _tile_of_pair(values: Array, one: Any, other: Any, places: Any, tile: Any, winner: Array) -> None:
    """Where only two classes compete, which is nearly everywhere: `_weigh` and `_lead` with nothing stored between."""
    n = _centres(values, other, one, places)
    p, q = places[0], places[1]
    a, b, c, d = np.float32(p[0] - places[2]), np.float32(p[1]), np.float32(p[2]), np.float32(p[3])
    e, f, g, k = np.float32(q[0] - places[4]), np.float32(q[1]), np.float32(q[2]), np.float32(q[3])
    right, bottom = np.float32(places[3] - places[2]), np.float32(places[5] - places[4])
    narrow = tile[1]
    none, unit, two = np.float32(0), np.float32(1), np.float32(2)
    lower, upper = np.uint8(one), np.uint8(other)
    for i in range(tile[0]):
        column, row = (np.float32(i & 3), np.float32(i >> 2)) if narrow else (np.float32(i & 7), np.float32(i >> 3))
        x = min(max(a + column * b + row * (c + column * d), none), right)
        y = min(max(e + column * f + row * (g + column * k), none), bottom)
        r, s, t = max(unit - x, none), max(x - unit, none), max(x - two, none)
        u, v, w = max(unit - y, none), max(y - unit, none), max(y - two, none)
        first = n[0][0] + r * n[0][1] + s * n[0][2] + t * n[0][3]
        second = n[1][0] + r * n[1][1] + s * n[1][2] + t * n[1][3]
        third = n[2][0] + r * n[2][1] + s * n[2][2] + t * n[2][3]
        fourth = n[3][0] + r * n[3][1] + s * n[3][2] + t * n[3][3]
        lead = second + u * (first - second) + v * (third - second) + w * ((fourth - third) - (third - second))
        winner[i] = upper if lead > none else lower


@_jit
def tile_of_one(source: Any, places: Any, tile: Any, lanes: Array, names: Array, winner: Array) -> None:
    """The labels of a tile (`tile_of`), row by row, into `winner`."""
    n = _candidates(source, places, names)
    if n <= 2:
        _tile_of_pair(source[0], names[0], names[n - 1], places, tile, winner)
        return
    _weigh(lanes, 0, places, tile)
    for i in range(tile[0]):
        winner[i] = names[0]
        lanes[12 * LANES + i] = np.float32(0)
    for k in range(1, n):
        name = np.uint8(names[k])
        nodes = _centres(source[0], names[k], names[0], places)
        for i in range(tile[0]):
            v = _lead(nodes, lanes, i)
            best = lanes[12 * LANES + i]
            better = v > best
            lanes[12 * LANES + i] = v if better else best
            winner[i] = name if better else winner[i]


@_jit
def tile_of_two(
    values: Array, best: Array, last: Array, near: Any, other_values: Array, other_best: Array, other_last: Array,
    far: Any, part: Any, tile: Any, lanes: Array, worst: Array, names: Array, winner: Array,
) -> None:  # fmt: skip
    n = _contenders(values.shape[0], best, last, near, other_best, other_last, far, worst, names)
    a, b, c, d = np.float32(part[0]), np.float32(part[1]), np.float32(part[2]), np.float32(part[3])
    narrow = tile[1]
    for i in range(tile[0]):
        column, row = (np.float32(i & 3), np.float32(i >> 2)) if narrow else (np.float32(i & 7), np.float32(i >> 3))
        lanes[13 * LANES + i] = a + column * b + row * (c + column * d)
    if n <= 2:
        _leads(values, names[0], names[n - 1], near, tile, lanes[:LANES])
        _leads(other_values, names[0], names[n - 1], far, tile, lanes[LANES:])
        lower, upper = np.uint8(names[0]), np.uint8(names[n - 1])
        for i in range(tile[0]):
            v = lanes[i] + lanes[13 * LANES + i] * (lanes[LANES + i] - lanes[i])
            winner[i] = upper if v > np.float32(0) else lower
        return
    _weigh(lanes, 0, near, tile)
    _weigh(lanes, 6 * LANES, far, tile)
    for i in range(tile[0]):
        winner[i] = names[0]
        lanes[12 * LANES + i] = np.float32(0)
    for k in range(1, n):
        name = np.uint8(names[k])
        nodes = _centres(values, names[k], names[0], near)
        others = _centres(other_values, names[k], names[0], far)
        for i in range(tile[0]):
            one = _lead(nodes, lanes, i)
            v = one + lanes[13 * LANES + i] * (_lead(others, lanes, 6 * LANES + i) - one)
            best = lanes[12 * LANES + i]
            better = v > best
            lanes[12 * LANES + i] = v if better else best
            winner[i] = name if better else winner[i]


@_jit
def put(winner: Array, block: Any, out: Array) -> None:
    """The labels of a tile into a block of at most its size."""
    side = 4 if block[3] - block[2] <= 4 else SIDE
    for y in range(block[0], block[1]):
        line, at = out[y, block[2] : block[3]], (y - block[0]) * side
        if line.shape[0] == SIDE:  # all read before any is written, or it would go byte by byte
            a, b, c, d = winner[at], winner[at + 1], winner[at + 2], winner[at + 3]
            e, f, g, h = winner[at + 4], winner[at + 5], winner[at + 6], winner[at + 7]
            line[0], line[1], line[2], line[3], line[4], line[5], line[6], line[7] = a, b, c, d, e, f, g, h
        elif line.shape[0] == 4:
            a, b, c, d = winner[at], winner[at + 1], winner[at + 2], winner[at + 3]
            line[0], line[1], line[2], line[3] = a, b, c, d
        else:
            for i in range(line.shape[0]):
                line[i] = winner[at + i]
