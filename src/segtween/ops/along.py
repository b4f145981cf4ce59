"""The compiled loops for labels looked up along composed flow (here: a path): from one frame's scores, or from two
frames' mixed.

A path (gh, gw, 2) is bilinear between its samples, and so is the place it leads to within one of its cells. So the
places of a cell lie in the box of those of its corners; where one class is largest at every score centre around that
box it is largest for the whole cell (bilinear weights are a convex combination), which is filled without
interpolation. What is left is read in tiles of 8 x 8 pixels, or pixel by pixel where cells are much smaller than that.
Convention (docs/conventions.md): a path leads from a pixel of the frame to a place in another frame, here in pixels of
what is read there; border clamped, pixel centres on integers, half-pixel-centred.
A source is (scores (C, h, w) float32, best, uniform, candidates, path): `best` and `candidates` are those of
`candidates.candidates_rows`, `uniform` is the map of `uniform_regions`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from segtween.ops.tiles import LANES, SIDE, WIDE, parts, places, put, tile_of, tile_of_one, tile_of_two, uniform_label

Array = Any
CONTRACT = {"contract"}
# As in `tiles`; what is called for every pixel stays with numba's inlining, which is 15% faster there.
_jit = njit(nogil=True, fastmath=CONTRACT, error_model="numpy", _nrt=False)
FINE = 24  # with fewer pixels a cell, on average, a tile would mostly be empty
LOWEST = np.float32(-1e30)  # of a class that is not there


@_jit
def _fine(size: Any, path: Array) -> bool:
    return size[0] * size[1] < FINE * path.shape[0] * path.shape[1]


@njit(nogil=True, cache=True, error_model="numpy")
def classes_last(values: Array, out: Array, first: int, last: int) -> None:
    """out[y, x, c // WIDE, c % WIDE] = values[c, y, x], filled up with classes that are lowest everywhere."""
    classes, _, w = values.shape
    for y in range(first, last):
        for begin in range(0, w, WIDE):  # a block of them stays near
            end = min(begin + WIDE, w)
            for c in range(classes):
                for x in range(begin, end):
                    out[y, x, c // WIDE, c % WIDE] = values[c, y, x]
            for c in range(classes, out.shape[2] * WIDE):
                out[y, begin:end, c // WIDE, c % WIDE] = LOWEST


@njit(nogil=True, cache=True, error_model="numpy")
def uniform_regions(best: Array, out: Array) -> None:
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


@_jit
def _sources_in(share: Array, cell_y: Any, cell_x: Any) -> int:
    """Which sources have any weight in a cell of the grid: 0 the first only, 1 the second only, 2 both."""
    gh, gw = share.shape
    top, left = max(cell_y - 1, 0), max(cell_x - 1, 0)
    below, right = min(cell_y, gh - 1), min(cell_x, gw - 1)
    a, b, c, d = share[top, left], share[top, right], share[below, left], share[below, right]
    if a == 0 and b == 0 and c == 0 and d == 0:
        return 0
    return 1 if a == 1 and b == 1 and c == 1 and d == 1 else 2


@njit(nogil=True, inline="always", error_model="numpy")
def _on(plane: Any, column: Any, row: Any) -> Any:
    return np.float32(plane[0] + column * plane[1] + row * (plane[2] + column * plane[3]))


@njit(nogil=True, inline="always", error_model="numpy")
def _near(v: Any, end: int) -> Any:
    """The score centre before a place and how far the place is from it."""
    v = min(v, np.float32(end)) if v > np.float32(0) else np.float32(0)  # NaN is 0
    before = min(max(int(v), 0), end)
    return before, v - np.float32(before)


@njit(nogil=True, inline="always", error_model="numpy")
def score_at(values: Array, c: Any, x: int, fx: Any, y: int, fy: Any) -> Any:
    x1, y1 = min(x + 1, values.shape[2] - 1), min(y + 1, values.shape[1] - 1)
    upper = values[c, y, x] + fx * (values[c, y, x1] - values[c, y, x])
    lower = values[c, y1, x] + fx * (values[c, y1, x1] - values[c, y1, x])
    return upper + fy * (lower - upper)


@njit(nogil=True, inline="always", error_model="numpy")
def _corners(last: Array, x: Any, fx: Any, y: Any, fy: Any, part: Any) -> Any:
    """The rows and columns of four score centres, and how much of each is read."""
    x1, y1 = min(x + 1, last.shape[1] - 1), min(y + 1, last.shape[0] - 1)
    one = np.float32(1)
    upper, lower = part * (one - fy), part * fy
    return x, x1, y, y1, upper * (one - fx), upper * fx, lower * (one - fx), lower * fx


@njit(nogil=True, inline="always", error_model="numpy")
def largest_of_two(classes: Any, p: Array, a: Any, q: Array, b: Any, part: Any) -> int:
    """The largest class of a mixture of `classes_last`, the lowest of equal ones; `a` and `b` are places as `_near`
    gives them for x and for y. All classes at once, which costs less than to find out which can win."""
    x, x1, y, y1, c0, c1, c2, c3 = _corners(p, a[0], a[1], a[2], a[3], np.float32(1) - part)
    u, u1, v, v1, d0, d1, d2, d3 = _corners(q, b[0], b[1], b[2], b[3], part)
    top = np.int64(-(2**62))
    for k in range(p.shape[2]):
        for i in range(WIDE):
            value = c0 * p[y, x, k, i] + c1 * p[y, x1, k, i] + c2 * p[y1, x, k, i] + c3 * p[y1, x1, k, i]
            value += d0 * q[v, u, k, i] + d1 * q[v, u1, k, i] + d2 * q[v1, u, k, i] + d3 * q[v1, u1, k, i]
            bits = np.int64(np.float32(value + np.float32(0)).view(np.int32))  # + 0: there is but one zero
            order = bits ^ ((bits >> 63) & 0x7FFFFFFF)  # ascends with the value; the class decides among equal ones
            top = max(top, (order << 8) | (255 - k * WIDE - i))
    winner = 255 - (top & 255)
    return winner if winner < classes else 0


@njit(nogil=True, inline="always", error_model="numpy")
def _place(plane: Any, column: Any, row: Any, end: Any) -> Any:
    """The score centre before a pixel's place and how far it is from it."""
    v = plane[0] + column * plane[1] + row * (plane[2] + column * plane[3])
    v = min(v, np.float64(end)) if v > 0.0 else 0.0
    before = min(max(int(v), 0), end)
    return before, np.float32(v - before)


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def _pixels_of_one(source: Any, places: Any, block: Any, out: Array) -> None:
    """The labels of a block one by one, wherever its pixels are led."""
    values, best, uniform, candidates = source[0], source[1], source[2], source[3]
    classes, h, w = values.shape
    one, low = np.uint64(1), np.uint64(63)
    for y in range(block[0], block[1]):
        for x in range(block[2], block[3]):
            i, j = np.float64(x - block[2]), np.float64(y - block[0])
            left, fx = _place(places[0], i, j, w - 1)
            top, fy = _place(places[1], i, j, h - 1)
            if uniform[top, left] > 0:
                out[y, x] = best[top, left]
                continue
            found = candidates[top, left]
            winner, highest = 0, np.float32(-np.inf)
            for c in range(classes):
                left_over = found >> (np.uint64(c) & low)
                if left_over & one:
                    v = score_at(values, c, left, fx, top, fy)
                    if v > highest:
                        winner, highest = c, v
                elif left_over == 0 and classes <= 64:
                    break
            out[y, x] = winner


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def _cell_of_one(
    source: Any, cell: Any, rows: Any, columns: Any, lanes: Array, names: Array, winner: Array, out: Array
) -> None:
    """The labels of one cell of the path's grid, which covers some rows and columns of pixels."""
    h, w = source[1].shape
    for y in range(rows[0], rows[1], SIDE):
        for x in range(columns[0], columns[1], SIDE):
            block = (y, min(y + SIDE, rows[1]), x, min(x + SIDE, columns[1]))
            at = places(source[4], h, w, out.shape, cell, block)
            label = uniform_label(source[1], source[2], at)
            if label >= 0:
                winner[:] = label
            elif at[3] - at[2] < 4 and at[5] - at[4] < 4:
                tile_of_one(source, at, tile_of(block), lanes, names, winner)
            else:
                _pixels_of_one(source, at, block, out)
                continue
            put(winner, block, out)


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def _cell_of_two(
    sources: Any, lasts: Any, share: Array, cell: Any, rows: Any, columns: Any, lanes: Array, worst: Array,
    names: Array, winner: Array, out: Array,
) -> None:  # fmt: skip
    """The same of two sources.

    Their arrays go on one by one: a tuple of them would have its references counted for every tile and pixel.
    """
    values, best, uniform, _, path = sources[0]
    other_values, other_best, other_uniform, _, other_path = sources[1]
    last, other_last = lasts
    h, w = best.shape
    oh, ow = other_best.shape
    for y in range(rows[0], rows[1], SIDE):
        for x in range(columns[0], columns[1], SIDE):
            block = (y, min(y + SIDE, rows[1]), x, min(x + SIDE, columns[1]))
            near = places(path, h, w, out.shape, cell, block)
            far = places(other_path, oh, ow, out.shape, cell, block)
            label = uniform_label(best, uniform, near)
            if label >= 0 and label == uniform_label(other_best, other_uniform, far):
                winner[:] = label
                put(winner, block, out)
                continue
            part = parts(share, out.shape, cell, block)
            if near[3] - near[2] < 4 and near[5] - near[4] < 4 and far[3] - far[2] < 4 and far[5] - far[4] < 4:
                tile_of_two(
                    values, best, last, near, other_values, other_best, other_last, far, part,
                    tile_of(block), lanes, worst, names, winner,
                )  # fmt: skip
                put(winner, block, out)
                continue
            for v in range(block[0], block[1]):
                for u in range(block[2], block[3]):
                    i, j = np.float64(u - block[2]), np.float64(v - block[0])
                    a = _near(_on(near[0], i, j), w - 1) + _near(_on(near[1], i, j), h - 1)
                    b = _near(_on(far[0], i, j), ow - 1) + _near(_on(far[1], i, j), oh - 1)
                    alike = uniform[a[2], a[0]] > 0 and other_uniform[b[2], b[0]] > 0
                    if alike and best[a[2], a[0]] == other_best[b[2], b[0]]:
                        out[v, u] = best[a[2], a[0]]
                    else:
                        out[v, u] = largest_of_two(values.shape[0], last, a, other_last, b, _on(part, i, j))


@_jit
def _nodes(path: Array, row: Any, base_y: Any, step_x: Any, end: Any, xs: Array, ys: Array) -> None:
    """Where a row of the path's samples is led, and the image's edges left and right of it."""
    gw = path.shape[1]
    for k in range(gw):
        xs[k + 1] = path[row, k, 0] + ((np.float32(k) + np.float32(0.5)) * step_x - np.float32(0.5))
        ys[k + 1] = path[row, k, 1] + base_y
    xs[0], xs[gw + 1] = path[row, 0, 0] - np.float32(0.5), path[row, gw - 1, 0] + end
    ys[0], ys[gw + 1] = ys[1], ys[gw]


@_jit
def _samples(path: Array, h: Any, w: Any, row: Any, xs: Array, ys: Array) -> None:
    """`_nodes` of row 0..gh - 1 of a path, or of the image's edge above and below."""
    gh, gw = path.shape[:2]
    half, step_x, step_y = np.float32(0.5), np.float32(w / gw), np.float32(h / gh)
    base = np.float32(h) - half if row == gh else (np.float32(row) + half) * step_y - half
    if row < 0:
        base = -half
    _nodes(path, min(max(row, 0), gh - 1), base, step_x, np.float32(w) - half, xs, ys)


@_jit
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


@_jit
def _uniform_cells(source: Any, xs: Array, ys: Array, box: Array, labels: Array) -> None:
    """For a row of cells the class that is largest wherever each is led, or -1."""
    best, uniform = source[1], source[2]
    h, w = best.shape
    x0, x1, y0, y1 = box[0], box[1], box[2], box[3]
    _bounds(xs[0], xs[1], w - 1, x0, x1)
    _bounds(ys[0], ys[1], h - 1, y0, y1)
    for k in range(x0.shape[0]):
        label = np.int64(best[y0[k], x0[k]])
        labels[k] = label if uniform[y0[k], x0[k]] >= max(x1[k] - x0[k], y1[k] - y0[k]) else -1


@_jit
def _within(starts: Array, size: Any, weights: Array) -> None:
    """How far each of `size` pixels is from the path's sample, or the image's edge, before it to the next."""
    samples = starts.shape[0] - 2
    for k in range(samples + 1):
        for x in range(starts[k], starts[k + 1]):
            place = (x + 0.5) * samples / size
            weights[x] = place + 0.5 - k if 0 < k < samples else 2 * (place - max(k - 0.5, 0.0))


@_jit
def _line(two: Array, upper: Any, f: Any, out: Array) -> None:
    """A row of pixels between two rows of nodes, of which `upper` is the first."""
    a, b = two[upper], two[1 - upper]
    for k in range(out.shape[0]):
        out[k] = a[k] + f * (b[k] - a[k])


@njit(nogil=True, inline="always", error_model="numpy")
def _pixel(h: Any, w: Any, xs: Array, ys: Array, cell: int, f: Any) -> Any:
    """`_near` of a pixel's place, for x and for y."""
    x = _near(xs[cell] + f * (xs[cell + 1] - xs[cell]), w - 1)
    return x + _near(ys[cell] + f * (ys[cell + 1] - ys[cell]), h - 1)


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def _line_of_two(
    sources: Any, lasts: Any, labels: Array, starts_x: Array, within: Array, nodes: Array, line: Array
) -> None:
    """A row of pixels, where the cells' labels say -1; `nodes` are x and y of both sources, and the share."""
    values, best, uniform, _, _ = sources[0]
    _, other_best, other_uniform, _, _ = sources[1]
    last, other_last = lasts
    h, w = best.shape
    oh, ow = other_best.shape
    for k in range(labels.shape[0] - 1):
        for x in range(starts_x[k], starts_x[k + 1]):
            if labels[k] >= 0:
                line[x] = labels[k]
                continue
            f = within[x]
            part = nodes[4, k] + f * (nodes[4, k + 1] - nodes[4, k])
            a = _pixel(h, w, nodes[0], nodes[1], k, f)
            b = _pixel(oh, ow, nodes[2], nodes[3], k, f)
            alike = uniform[a[2], a[0]] > 0 and other_uniform[b[2], b[0]] > 0
            if alike and best[a[2], a[0]] == other_best[b[2], b[0]]:
                line[x] = best[a[2], a[0]]
            else:
                line[x] = largest_of_two(values.shape[0], last, a, other_last, b, part)


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def read_rows(source: Any, starts_y: Array, starts_x: Array, out: Array, first: int, last: int) -> int:
    """out[y, x] = argmax over classes of the scores where the path leads; returns the number of cells of the path's
    grid that are not of one class. Ties go to the lowest class.

    Row i of the cells, between the path's rows i - 1 and i, covers the pixel rows starts_y[i]..starts_y[i + 1]; columns
    likewise. Works on rows first..last of the cells, of gh + 1.
    """
    size = out.shape
    best, uniform, path = source[1], source[2], source[4]
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
            labels[k] = label if uniform[y0[k], x0[k]] >= max(x1[k] - x0[k], y1[k] - y0[k]) else -1
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
            cell = (np.int64(cell_y), np.int64(start))
            for y in range(begin, end, SIDE):
                for x in range(starts_x[start], starts_x[cell_x], SIDE):
                    block = (y, min(y + SIDE, end), x, min(x + SIDE, starts_x[cell_x]))
                    at = places(path, h, w, size, cell, block)
                    label = uniform_label(best, uniform, at)
                    if label >= 0:
                        winner[:] = label
                    elif at[3] - at[2] < 4 and at[5] - at[4] < 4:
                        tile_of_one(source, at, tile_of(block), lanes, names, winner)
                    else:
                        _pixels_of_one(source, at, block, out)
                        continue
                    put(winner, block, out)
    return mixed


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def mix_rows(
    sources: Any, lasts: Any, share: Array, starts_y: Array, starts_x: Array, out: Array, first: int, last: int
) -> int:
    """out[y, x] = argmax over classes of (1 - share) first + share second, each read where its path leads; returns the
    number of cells of the grid that are not of one class. Ties go to the lowest class. `lasts`: both's `classes_last`.

    Paths and `share` (gh, gw), 0..1, have one grid; row i of its cells, between its rows i - 1 and i, covers the pixel
    rows starts_y[i]..starts_y[i + 1]; columns likewise. Works on rows first..last of the cells, of gh + 1.
    """
    size = out.shape
    gh, gw = share.shape
    one, two = sources
    labels, others = np.empty(gw + 2, np.int64), np.empty(gw + 2, np.int64)
    used, box = np.empty(gw + 1, np.uint8), np.empty((4, gw + 1), np.int32)
    lanes, winner = np.empty(14 * LANES, np.float32), np.empty(LANES, np.uint8)
    names, worst = np.empty(one[0].shape[0], np.int64), np.empty((3, *lasts[0].shape[2:]), np.float32)
    h, w = one[1].shape
    oh, ow = two[1].shape
    nodes, line = np.empty((5, 2, gw + 2), np.float32), np.empty((5, gw + 2), np.float32)
    fine = _fine(size, one[4])
    within_y, within_x = np.empty(size[0], np.float32), np.empty(size[1], np.float32)
    _within(starts_y, size[0], within_y)
    _within(starts_x, size[1], within_x)
    mixed = 0
    for row in range(first - 1, last):
        below = (row + 1) & 1
        _samples(one[4], h, w, row, nodes[0, below], nodes[1, below])
        _samples(two[4], oh, ow, row, nodes[2, below], nodes[3, below])
        for k in range(gw + 2):
            nodes[4, below, k] = share[min(max(row, 0), gh - 1), min(max(k - 1, 0), gw - 1)]
        begin, end = starts_y[max(row, 0)], starts_y[row + 1]
        if row < first or begin == end:
            continue
        quiet = True
        for k in range(gw + 1):
            used[k] = _sources_in(share, row, k)
            quiet = quiet and used[k] == 0
        _uniform_cells(one, nodes[0], nodes[1], box, labels)
        if not quiet:
            _uniform_cells(two, nodes[2], nodes[3], box, others)
            for k in range(gw + 1):
                if used[k] == 1 or (used[k] == 2 and labels[k] != others[k]):
                    labels[k] = others[k] if used[k] == 1 else -1
        labels[gw + 1] = -2
        if fine:
            for k in range(gw + 1):
                mixed += labels[k] < 0
            for y in range(begin, end):
                for i in range(5):
                    _line(nodes[i], row & 1, within_y[y], line[i])
                _line_of_two(sources, lasts, labels, starts_x, within_x, line, out[y])
            continue
        cell_x = 0
        while cell_x < gw + 1:
            label, start = labels[cell_x], cell_x
            cell_x += 1
            if label >= 0:
                while labels[cell_x] == label:
                    cell_x += 1
                for y in range(begin, end):
                    out[y, starts_x[start] : starts_x[cell_x]] = label
                continue
            mixed += 1
            # int64: what takes the cell would be compiled a second time, for the literal that `start` is at first
            cell, rows, columns = (np.int64(row), np.int64(start)), (begin, end), (starts_x[start], starts_x[cell_x])
            if used[start] == 0:
                _cell_of_one(one, cell, rows, columns, lanes, names, winner, out)
            elif used[start] == 1:
                _cell_of_one(two, cell, rows, columns, lanes, names, winner, out)
            else:
                _cell_of_two(sources, lasts, share, cell, rows, columns, lanes, worst, names, winner, out)
    return mixed
