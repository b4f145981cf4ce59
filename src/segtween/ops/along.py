"""The compiled loops for labels read along a path: from one frame's scores, or from two frames' mixed.

A path (gh, gw, 2) is bilinear between its samples, and so is the place it leads to within one of its cells. So the
places of a block of pixels lie in the box of those of its corners; where one class is largest at every score centre
around that box it is largest for the whole block (bilinear weights are a convex combination), which is filled without
interpolation: cell by cell first, then in tiles of 8 x 8 pixels. What is left is interpolated, 64 pixels at a time,
for those classes only that can win there.
Convention (docs/conventions.md): a path leads from a pixel of the frame to a place in another frame, here in pixels of
what is read there; border clamped, pixel centres on integers, half-pixel-centred.
A source is (scores (C, h, w) float32, best, runs, rivals, path): `best` and `rivals` are those of `rivals.rivals_rows`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from segtween.ops.rivals import named

Array = Any
SIDE, LANES = 8, 64  # pixels along a tile, and in it
CONTRACT = {"contract"}


@njit(nogil=True, cache=True, error_model="numpy")
def runs_of(best: Array, out: Array) -> None:
    """out[y, x] = the most n up to 255 so that best[y..y+n, x..x+n] is one class; outside, the border goes on."""
    h, w = best.shape
    for y in range(h - 1, -1, -1):
        y1 = min(y + 1, h - 1)
        for x in range(w - 1, -1, -1):
            x1 = min(x + 1, w - 1)
            own = best[y, x]
            n = 255
            if x1 > x:
                n = min(n, out[y, x1] + 1 if best[y, x1] == own else 0)
            if y1 > y:
                n = min(n, out[y1, x] + 1 if best[y1, x] == own else 0)
            if x1 > x and y1 > y:
                n = min(n, out[y1, x1] + 1 if best[y1, x1] == own else 0)
            out[y, x] = n


@njit(nogil=True, inline="always", error_model="numpy")
def _plane(a: Any, b: Any, c: Any, d: Any, fx: Any, step_x: Any, fy: Any, step_y: Any) -> Any:
    """(p, q, r, s): p + q i + r j + s i j lies between a, b, c and d at (fx + i step_x, fy + j step_y)."""
    u, v = b - a, c - a
    t = d - c - u
    return a + fx * u + fy * (v + fx * t), step_x * (u + fy * t), step_y * (v + fx * t), step_x * step_y * t


@njit(nogil=True, inline="always", error_model="numpy")
def _span(plane: Any, n: Any, m: Any, end: int) -> Any:
    """The first and the last of 0..end that bilinear reading needs for a plane over 0..n, 0..m."""
    a, b, c = plane[0], plane[0] + n * plane[1], plane[0] + m * plane[2]
    d = b + m * (plane[2] + n * plane[3])
    low, high = min(min(a, b), min(c, d)), max(max(a, b), max(c, d))
    low = min(low, np.float64(end)) if low > 0.0 else 0.0  # NaN is 0
    high = min(high, np.float64(end)) if high > 0.0 else 0.0
    first = min(max(int(low), 0), end)
    return first, max(first, min(max(int(high), 0) + 1, end))


@njit(nogil=True, inline="always", error_model="numpy")
def _places(path: Array, h: Any, w: Any, size: Any, cell: Any, block: Any) -> Any:
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


@njit(nogil=True, inline="always", error_model="numpy")
def _sole(source: Any, places: Any) -> int:
    """The class that is largest at every score centre around the places, or -1."""
    x, y = places[2], places[4]
    return np.int64(source[1][y, x]) if source[2][y, x] >= max(places[3] - x, places[5] - y) else np.int64(-1)


@njit(nogil=True, inline="always", error_model="numpy")
def _parts(share: Array, size: Any, cell: Any, block: Any) -> Any:
    gh, gw = share.shape
    top, left = max(cell[0] - 1, 0), max(cell[1] - 1, 0)
    below, right = min(cell[0], gh - 1), min(cell[1], gw - 1)
    fy = (block[0] + 0.5) * gh / size[0] + 0.5 - cell[0]
    fx = (block[2] + 0.5) * gw / size[1] + 0.5 - cell[1]
    a, b = np.float64(share[top, left]), np.float64(share[top, right])
    c, d = np.float64(share[below, left]), np.float64(share[below, right])
    return _plane(a, b, c, d, fx, gw / size[1], fy, gh / size[0])


@njit(nogil=True, inline="always", error_model="numpy")
def _heard(share: Array, cell: Any) -> int:
    """Who speaks in a cell of the grid: 0 the first only, 1 the second only, 2 both."""
    gh, gw = share.shape
    top, left = max(cell[0] - 1, 0), max(cell[1] - 1, 0)
    below, right = min(cell[0], gh - 1), min(cell[1], gw - 1)
    a, b, c, d = share[top, left], share[top, right], share[below, left], share[below, right]
    if a == 0 and b == 0 and c == 0 and d == 0:
        return 0
    return 1 if a == 1 and b == 1 and c == 1 and d == 1 else 2


@njit(nogil=True, inline="always", error_model="numpy")
def _weigh(lanes: Array, at: int, places: Any) -> None:
    """For every pixel of a tile how far left of the second of four score centres it is, and how far right of the second
    and of the third; the same up and down."""
    p, q = places[0], places[1]
    a, b, c, d = np.float32(p[0] - places[2]), np.float32(p[1]), np.float32(p[2]), np.float32(p[3])
    e, f, g, k = np.float32(q[0] - places[4]), np.float32(q[1]), np.float32(q[2]), np.float32(q[3])
    right, bottom = np.float32(places[3] - places[2]), np.float32(places[5] - places[4])
    none, one, two = np.float32(0), np.float32(1), np.float32(2)
    for i in range(LANES):
        column, row = np.float32(i & 7), np.float32(i >> 3)
        x = min(max(a + column * b + row * (c + column * d), none), right)
        y = min(max(e + column * f + row * (g + column * k), none), bottom)
        lanes[at + i] = max(one - x, none)
        lanes[at + LANES + i] = max(x - one, none)
        lanes[at + 2 * LANES + i] = max(x - two, none)
        lanes[at + 3 * LANES + i] = max(one - y, none)
        lanes[at + 4 * LANES + i] = max(y - one, none)
        lanes[at + 5 * LANES + i] = max(y - two, none)


@njit(nogil=True, inline="always", error_model="numpy")
def _bends(values: Array, c: Any, base: Any, y: Any, places: Any) -> Any:
    """By how much class c exceeds `base` at the second of four score centres of a row, and what `_weigh` multiplies."""
    x, x3 = places[2], places[3]
    x1, x2 = min(x + 1, x3), min(x + 2, x3)
    a, b = values[c, y, x] - values[base, y, x], values[c, y, x1] - values[base, y, x1]
    d, e = values[c, y, x2] - values[base, y, x2], values[c, y, x3] - values[base, y, x3]
    return b, a - b, d - b, (e - d) - (d - b)


@njit(nogil=True, inline="always", error_model="numpy")
def _centres(values: Array, c: Any, base: Any, places: Any) -> Any:
    """`_bends` of four rows of score centres."""
    y, y3 = places[4], places[5]
    y1, y2 = min(y + 1, y3), min(y + 2, y3)
    return (
        _bends(values, c, base, y, places), _bends(values, c, base, y1, places),
        _bends(values, c, base, y2, places), _bends(values, c, base, y3, places),
    )  # fmt: skip


@njit(nogil=True, inline="always", error_model="numpy")
def _lead(n: Any, lanes: Array, i: Any) -> Any:
    p, q, r = lanes[i], lanes[LANES + i], lanes[2 * LANES + i]
    u, v, w = lanes[3 * LANES + i], lanes[4 * LANES + i], lanes[5 * LANES + i]
    a = n[0][0] + p * n[0][1] + q * n[0][2] + r * n[0][3]
    b = n[1][0] + p * n[1][1] + q * n[1][2] + r * n[1][3]
    d = n[2][0] + p * n[2][1] + q * n[2][2] + r * n[2][3]
    e = n[3][0] + p * n[3][1] + q * n[3][2] + r * n[3][3]
    return b + u * (a - b) + v * (d - b) + w * ((e - d) - (d - b))


@njit(nogil=True, inline="always", error_model="numpy")
def _candidates(source: Any, places: Any, names: Array) -> int:
    """Which classes can be largest somewhere in the box of a tile, ascending; returns how many."""
    found = np.uint64(0)
    for y in range(places[4], max(places[4] + 1, places[5])):
        for x in range(places[2], max(places[2] + 1, places[3])):
            found |= source[3][y, x]
    return named(found, source[0].shape[0], names)


@njit(nogil=True, inline="always", error_model="numpy")
def _loses(values: Array, c: Any, one: Any, other: Any, places: Any) -> bool:
    """Whether class c is below the mean of two classes at every score centre around the places."""
    for y in range(places[4], places[5] + 1):
        for x in range(places[2], places[3] + 1):
            v = values[c, y, x]
            if not (v - values[one, y, x]) + (v - values[other, y, x]) < 0:
                return False
    return True


@njit(nogil=True, inline="always", error_model="numpy")
def _another(best: Array, places: Any, label: Any) -> int:
    """A class that is largest at one of the score centres around the places and is not `label`, or `label`."""
    for y in range(places[4], places[5] + 1):
        for x in range(places[2], places[3] + 1):
            if best[y, x] != label:
                return np.int64(best[y, x])
    return np.int64(label)


@njit(nogil=True, inline="always", error_model="numpy")
def _undominated(first: Any, near: Any, second: Any, far: Any, names: Array) -> int:
    """Which classes can be largest in the mixture, ascending; returns how many. None can that loses everywhere to one
    other, or to the mean of two others."""
    one = np.int64(first[1][near[4], near[2]])
    other = _another(first[1], near, one)
    if other == one:
        other = _another(second[1], far, one)
    n = 0
    for c in range(first[0].shape[0]):
        if _loses(first[0], c, one, other, near) and _loses(second[0], c, one, other, far):
            continue
        names[n] = c
        n += 1
    several, n = n, 0
    for k in range(several):
        c = names[k]
        if _loses(first[0], c, one, one, near) and _loses(second[0], c, one, one, far):
            continue
        if _loses(first[0], c, other, other, near) and _loses(second[0], c, other, other, far):
            continue
        names[n] = c
        n += 1
    return n


@njit(nogil=True, inline="always", error_model="numpy")
def _tile_of_pair(values: Array, one: Any, other: Any, places: Any, winner: Array) -> None:
    """Where only two classes compete, which is nearly everywhere: `_weigh` and `_lead` with nothing stored between."""
    n = _centres(values, other, one, places)
    p, q = places[0], places[1]
    a, b, c, d = np.float32(p[0] - places[2]), np.float32(p[1]), np.float32(p[2]), np.float32(p[3])
    e, f, g, k = np.float32(q[0] - places[4]), np.float32(q[1]), np.float32(q[2]), np.float32(q[3])
    right, bottom = np.float32(places[3] - places[2]), np.float32(places[5] - places[4])
    none, unit, two = np.float32(0), np.float32(1), np.float32(2)
    lower, upper = np.uint8(one), np.uint8(other)
    for i in range(LANES):
        column, row = np.float32(i & 7), np.float32(i >> 3)
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


@njit(nogil=True, inline="always", error_model="numpy")
def _tile_of_one(source: Any, places: Any, lanes: Array, names: Array, winner: Array) -> None:
    n = _candidates(source, places, names)
    if n <= 2:
        _tile_of_pair(source[0], names[0], names[n - 1], places, winner)
        return
    _weigh(lanes, 0, places)
    for i in range(LANES):
        winner[i] = names[0]
        lanes[12 * LANES + i] = np.float32(0)
    for k in range(1, n):
        name = np.uint8(names[k])
        nodes = _centres(source[0], names[k], names[0], places)
        for i in range(LANES):
            v = _lead(nodes, lanes, i)
            best = lanes[12 * LANES + i]
            better = v > best
            lanes[12 * LANES + i] = v if better else best
            winner[i] = name if better else winner[i]


@njit(nogil=True, inline="always", error_model="numpy")
def _tile_of_two(
    first: Any, near: Any, second: Any, far: Any, part: Any, lanes: Array, names: Array, winner: Array
) -> None:
    n = _undominated(first, near, second, far, names)
    _weigh(lanes, 0, near)
    _weigh(lanes, 6 * LANES, far)
    a, b, c, d = np.float32(part[0]), np.float32(part[1]), np.float32(part[2]), np.float32(part[3])
    for i in range(LANES):
        column, row = np.float32(i & 7), np.float32(i >> 3)
        winner[i] = names[0]
        lanes[12 * LANES + i] = np.float32(0)
        lanes[13 * LANES + i] = a + column * b + row * (c + column * d)
    for k in range(1, n):
        name = np.uint8(names[k])
        nodes = _centres(first[0], names[k], names[0], near)
        others = _centres(second[0], names[k], names[0], far)
        for i in range(LANES):
            one = _lead(nodes, lanes, i)
            v = one + lanes[13 * LANES + i] * (_lead(others, lanes, 6 * LANES + i) - one)
            best = lanes[12 * LANES + i]
            better = v > best
            lanes[12 * LANES + i] = v if better else best
            winner[i] = name if better else winner[i]


@njit(nogil=True, inline="always", error_model="numpy")
def _put(winner: Array, block: Any, out: Array) -> None:
    """The labels of a tile into a block of at most its size."""
    for y in range(block[0], block[1]):
        line, at = out[y, block[2] : block[3]], (y - block[0]) * SIDE
        if line.shape[0] == SIDE:  # all read before any is written, or it would go byte by byte
            a, b, c, d = winner[at], winner[at + 1], winner[at + 2], winner[at + 3]
            e, f, g, h = winner[at + 4], winner[at + 5], winner[at + 6], winner[at + 7]
            line[0], line[1], line[2], line[3], line[4], line[5], line[6], line[7] = a, b, c, d, e, f, g, h
        else:
            for i in range(line.shape[0]):
                line[i] = winner[at + i]


@njit(nogil=True, inline="always", error_model="numpy")
def _place(plane: Any, column: Any, row: Any, end: Any) -> Any:
    """The score centre before a pixel's place and how far it is from it."""
    v = plane[0] + column * plane[1] + row * (plane[2] + column * plane[3])
    v = min(v, np.float64(end)) if v > 0.0 else 0.0
    before = min(max(int(v), 0), end)
    return before, np.float32(v - before)


@njit(nogil=True, inline="always", error_model="numpy")
def _at(values: Array, c: Any, x: int, fx: Any, y: int, fy: Any) -> Any:
    x1, y1 = min(x + 1, values.shape[2] - 1), min(y + 1, values.shape[1] - 1)
    upper = values[c, y, x] + fx * (values[c, y, x1] - values[c, y, x])
    lower = values[c, y1, x] + fx * (values[c, y1, x1] - values[c, y1, x])
    return upper + fy * (lower - upper)


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def _pixels_of_one(source: Any, places: Any, block: Any, out: Array) -> None:
    """The labels of a block one by one, wherever its pixels are led."""
    values, best, runs, rivals = source[0], source[1], source[2], source[3]
    classes, h, w = values.shape
    one, low = np.uint64(1), np.uint64(63)
    for y in range(block[0], block[1]):
        for x in range(block[2], block[3]):
            i, j = np.float64(x - block[2]), np.float64(y - block[0])
            left, fx = _place(places[0], i, j, w - 1)
            top, fy = _place(places[1], i, j, h - 1)
            if runs[top, left] > 0:
                out[y, x] = best[top, left]
                continue
            found = rivals[top, left]
            winner, highest = 0, np.float32(-np.inf)
            for c in range(classes):
                left_over = found >> (np.uint64(c) & low)
                if left_over & one:
                    v = _at(values, c, left, fx, top, fy)
                    if v > highest:
                        winner, highest = c, v
                elif left_over == 0 and classes <= 64:
                    break
            out[y, x] = winner


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def _pixels_of_two(
    first: Any, near: Any, second: Any, far: Any, part: Any, block: Any, names: Array, out: Array
) -> None:
    """The labels of a block one by one, wherever its pixels are led."""
    n = _undominated(first, near, second, far, names)
    h, w = first[1].shape
    oh, ow = second[1].shape
    for y in range(block[0], block[1]):
        for x in range(block[2], block[3]):
            i, j = np.float64(x - block[2]), np.float64(y - block[0])
            ax, fx = _place(near[0], i, j, w - 1)
            ay, fy = _place(near[1], i, j, h - 1)
            bx, gx = _place(far[0], i, j, ow - 1)
            by, gy = _place(far[1], i, j, oh - 1)
            if first[2][ay, ax] > 0 and second[2][by, bx] > 0 and first[1][ay, ax] == second[1][by, bx]:
                out[y, x] = first[1][ay, ax]
                continue
            p = np.float32(part[0] + i * part[1] + j * (part[2] + i * part[3]))
            winner, highest = 0, np.float32(-np.inf)
            for k in range(n):
                c = names[k]
                v = _at(first[0], c, ax, fx, ay, fy)
                v += p * (_at(second[0], c, bx, gx, by, gy) - v)
                if v > highest:
                    winner, highest = c, v
            out[y, x] = winner


@njit(nogil=True, inline="always", error_model="numpy")
def _nodes(path: Array, row: Any, base_y: Any, step_x: Any, end: Any, xs: Array, ys: Array) -> None:
    """Where a row of the path's samples is led, and the image's edges left and right of it."""
    gw = path.shape[1]
    for k in range(gw):
        xs[k + 1] = path[row, k, 0] + ((np.float32(k) + np.float32(0.5)) * step_x - np.float32(0.5))
        ys[k + 1] = path[row, k, 1] + base_y
    xs[0], xs[gw + 1] = path[row, 0, 0] - np.float32(0.5), path[row, gw - 1, 0] + end
    ys[0], ys[gw + 1] = ys[1], ys[gw]


@njit(nogil=True, inline="always", error_model="numpy")
def _bounds(a: Array, b: Array, end: Any, first: Array, last: Array) -> None:
    """The first and the last score centre that bilinear reading can need between two nodes of two rows."""
    none, most, near = np.float32(0), np.float32(end), np.float32(0.001)
    for k in range(first.shape[0]):
        low = min(min(a[k], a[k + 1]), min(b[k], b[k + 1])) - near
        high = max(max(a[k], a[k + 1]), max(b[k], b[k + 1])) + near
        low = min(low, most) if low > none else none
        high = min(high, most) if high > none else none
        first[k] = np.int32(low)
        last[k] = min(np.int32(high) + 1, np.int32(end))


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def read_rows(source: Any, starts_y: Array, starts_x: Array, out: Array, first: int, last: int) -> int:
    """out[y, x] = argmax over classes of the scores where the path leads; returns the number of cells of the path's
    grid that are not of one class. Ties go to the lowest class.

    Row i of the cells, between the path's rows i - 1 and i, covers the pixel rows starts_y[i]..starts_y[i + 1]; columns
    likewise. Works on rows first..last of the cells, of gh + 1.
    """
    size = out.shape
    best, runs, path = source[1], source[2], source[4]
    h, w = best.shape
    gh, gw = path.shape[:2]
    cells = gw + 1
    labels = np.empty(cells + 1, np.int64)
    lanes, winner = np.empty(14 * LANES, np.float32), np.empty(LANES, np.uint8)
    names = np.empty(source[0].shape[0], np.int64)
    step_x, step_y = np.float32(w / gw), np.float32(h / gh)
    xs, ys = np.empty((2, gw + 2), np.float32), np.empty((2, gw + 2), np.float32)
    x0, x1 = np.empty(cells, np.int32), np.empty(cells, np.int32)
    y0, y1 = np.empty(cells, np.int32), np.empty(cells, np.int32)
    half = np.float32(0.5)
    mixed = 0
    base = -half if first == 0 else (np.float32(first - 1) + half) * step_y - half
    _nodes(path, max(first - 1, 0), base, step_x, np.float32(w) - half, xs[first & 1], ys[first & 1])
    for cell_y in range(first, last):
        below = (cell_y + 1) & 1
        base = np.float32(h) - half if cell_y == gh else (np.float32(cell_y) + half) * step_y - half
        _nodes(path, min(cell_y, gh - 1), base, step_x, np.float32(w) - half, xs[below], ys[below])
        begin, end = starts_y[cell_y], starts_y[cell_y + 1]
        if begin == end:
            continue
        _bounds(xs[0], xs[1], w - 1, x0, x1)
        _bounds(ys[0], ys[1], h - 1, y0, y1)
        for k in range(cells):
            label = np.int64(best[y0[k], x0[k]])
            labels[k] = label if runs[y0[k], x0[k]] >= max(x1[k] - x0[k], y1[k] - y0[k]) else -1
        labels[cells] = -2
        cell_x = 0
        while cell_x < cells:
            label, start = labels[cell_x], cell_x
            cell_x += 1
            if label >= 0:
                while labels[cell_x] == label:
                    cell_x += 1
                for y in range(begin, end):
                    out[y, starts_x[start] : starts_x[cell_x]] = label
                continue
            mixed += 1
            cell = (cell_y, start)
            for y in range(begin, end, SIDE):
                for x in range(starts_x[start], starts_x[cell_x], SIDE):
                    block = (y, min(y + SIDE, end), x, min(x + SIDE, starts_x[cell_x]))
                    places = _places(path, h, w, size, cell, block)
                    label = _sole(source, places)
                    if label >= 0:
                        winner[:] = label
                    elif places[3] - places[2] < 4 and places[5] - places[4] < 4:
                        _tile_of_one(source, places, lanes, names, winner)
                    else:
                        _pixels_of_one(source, places, block, out)
                        continue
                    _put(winner, block, out)
    return mixed


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def mix_rows(sources: Any, share: Array, starts_y: Array, starts_x: Array, out: Array, first: int, last: int) -> int:
    """out[y, x] = argmax over classes of (1 - share) first + share second, each read where its path leads; returns the
    number of cells of the grid that are not of one class. Ties go to the lowest class.

    Paths and `share` (gh, gw), 0..1, have one grid; row i of its cells, between its rows i - 1 and i, covers the pixel
    rows starts_y[i]..starts_y[i + 1]; columns likewise. Works on rows first..last of the cells, of gh + 1.
    """
    size = out.shape
    cells = starts_x.shape[0] - 1
    labels = np.empty(cells + 1, np.int64)
    lanes, winner = np.empty(14 * LANES, np.float32), np.empty(LANES, np.uint8)
    names = np.empty(sources[0][0].shape[0], np.int64)
    shapes = ((sources[0][0].shape[1], sources[0][0].shape[2]), (sources[1][0].shape[1], sources[1][0].shape[2]))
    mixed = 0
    for cell_y in range(first, last):
        begin, end = starts_y[cell_y], starts_y[cell_y + 1]
        if begin == end:
            continue
        for cell_x in range(cells):
            cell, block = (cell_y, cell_x), (begin, end, starts_x[cell_x], starts_x[cell_x + 1])
            if block[2] == block[3]:
                labels[cell_x] = labels[max(cell_x - 1, 0)] if cell_x > 0 else -1
                continue
            heard = _heard(share, cell)
            k = 1 if heard == 1 else 0
            places = _places(sources[k][4], shapes[k][0], shapes[k][1], size, cell, block)
            label = _sole(sources[k], places)
            if heard == 2 and label >= 0:
                places = _places(sources[1][4], shapes[1][0], shapes[1][1], size, cell, block)
                if _sole(sources[1], places) != label:
                    label = -1
            labels[cell_x] = label
            mixed += label < 0
        labels[cells] = -2
        cell_x = 0
        while cell_x < cells:
            label, start = labels[cell_x], cell_x
            cell_x += 1
            if label >= 0:
                while labels[cell_x] == label:
                    cell_x += 1
                for y in range(begin, end):
                    out[y, starts_x[start] : starts_x[cell_x]] = label
                continue
            cell = (cell_y, start)
            heard = _heard(share, cell)
            for y in range(begin, end, SIDE):
                for x in range(starts_x[start], starts_x[cell_x], SIDE):
                    block = (y, min(y + SIDE, end), x, min(x + SIDE, starts_x[cell_x]))
                    k = 1 if heard == 1 else 0
                    near = _places(sources[k][4], shapes[k][0], shapes[k][1], size, cell, block)
                    label = _sole(sources[k], near)
                    far = near
                    if heard == 2:
                        far = _places(sources[1][4], shapes[1][0], shapes[1][1], size, cell, block)
                        if _sole(sources[1], far) != label:
                            label = -1
                    if label >= 0:
                        winner[:] = label
                        _put(winner, block, out)
                        continue
                    small = near[3] - near[2] < 4 and near[5] - near[4] < 4
                    small = small and far[3] - far[2] < 4 and far[5] - far[4] < 4
                    if not small:
                        if heard == 2:
                            part = _parts(share, size, cell, block)
                            _pixels_of_two(sources[0], near, sources[1], far, part, block, names, out)
                        else:
                            _pixels_of_one(sources[k], near, block, out)
                        continue
                    if heard == 2:
                        part = _parts(share, size, cell, block)
                        _tile_of_two(sources[0], near, sources[1], far, part, lanes, names, winner)
                    else:
                        _tile_of_one(sources[k], near, lanes, names, winner)
                    _put(winner, block, out)
    return mixed
