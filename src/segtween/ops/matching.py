"""The compiled loops for matching by appearance: a cell takes its neighbours' flow where that fits the colours better.

Good matches spread to neighbours as in PatchMatch (Barnes, Shechtman, Finkelstein, Goldman: PatchMatch: A Randomized
Correspondence Algorithm for Structural Image Editing, SIGGRAPH 2009, section 3.2), in rounds whose steps become shorter
(jump flooding: Rong, Tan: Jump Flooding in GPU with Applications to Voronoi Diagram and Distance Transform, I3D 2006).
Nothing is random.

A flow's cost is the sum of the absolute differences of colour over a cross, a cell and its four neighbours: 15
differences. Convention (docs/conventions.md): current(x, y) = key(x + dx, y + dy), border clamped; places are rounded
to half cells, for which the key frame's colours are kept interpolated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from segtween.ops.along import largest_of_two, score_at
from segtween.ops.bytes import differences_of_4, differences_of_12
from segtween.ops.candidates import named
from segtween.ops.kernels import add_rows, double_rows
from segtween.ops.phases import all_finished, claimed, finished, phases_of, piece_of, pieces_of
from segtween.ops.searches import NEAR, SIDES

Array = Any
CONTRACT = {"contract"}
_at_once = njit(nogil=True, inline="always", error_model="numpy")
_jit = njit(nogil=True, fastmath=CONTRACT, error_model="numpy", _nrt=False)
# LLVM inlines these where it pays; numba's own inlining of them takes three times as long to compile.
_P = np.uintp  # an index that is never negative


@njit(nogil=True, cache=True, error_model="numpy")
def pad_rows(view: Array, out: Array, first: int, last: int) -> None:
    """out (h + 2, w + 2) uint32 = a view (h, w, 3) with its border once more on each side: the first colour in the
    lowest byte, 0 in the highest."""
    h, w = view.shape[0], view.shape[1]
    for y in range(first, last):
        row, to = view[min(max(y - 1, 0), h - 1)].reshape(-1), out[y]
        for x in range(w):
            k = _P(3 * x)
            to[x + 1] = row[k] | (np.uint32(row[k + _P(1)]) << 8) | (np.uint32(row[k + _P(2)]) << 16)
        to[0], to[w + 1] = to[1], to[w]


@njit(nogil=True, cache=True, error_model="numpy")
def halve_cells_rows(padded: Array, out: Array, first: int, last: int) -> None:
    """out[j, i, y, x] = what `pad_rows` made of a view, at (x + i / 2, y + j / 2)."""
    h, n = padded.shape[0], 4 * padded.shape[1]
    for y in range(first, last):
        above, below = padded[y].reshape(-1), padded[min(y + 1, h - 1)].reshape(-1)
        for j in range(2):
            other = below if j == 1 else above
            for i in range(2):
                row, away = out[j, i, y].reshape(-1), 4 * i
                for k in range(n - 4):
                    upper = np.int32(above[k]) + np.int32(above[k + away])
                    lower = np.int32(other[k]) + np.int32(other[k + away])
                    row[k] = np.uint8((upper + lower + 2) >> 2)
                for k in range(n - 4, n):
                    row[k] = np.uint8((np.int32(above[k]) + np.int32(other[k]) + 1) >> 1)


@njit(nogil=True, cache=True, error_model="numpy")
def shrink_rows(rgb: Array, out: Array, first: int, last: int) -> None:
    """out (h, w, 3) = the means of side x side pixels of an RGB image (side h, side w, 3), halves rounded up; the side
    is even, 16 at most."""
    w = out.shape[1]
    side = rgb.shape[1] // w
    sums, half, area = np.empty(3 * side * w, np.uint16), np.uint32(side * side // 2), np.uint32(side * side)
    for y in range(first, last):
        add_rows(rgb, side * y, side, sums)
        to = out[y].reshape(-1)
        if side == 4:
            for x in range(w):
                for c in range(3):
                    k = 12 * x + c
                    total = np.uint32(sums[k]) + sums[k + 3] + sums[k + 6] + sums[k + 9]
                    to[3 * x + c] = (total + half) >> np.uint32(4)
        else:
            for x in range(w):
                for c in range(3):
                    total = half
                    for k in range(3 * side * x + c, 3 * side * (x + 1), 3):
                        total += sums[k]
                    to[3 * x + c] = total // area


@_jit
def _half_cells(v: Any, d: Any, end: Any) -> Any:
    """Where a flow leads along one axis, in half cells."""
    place = np.float32(2) * (np.float32(v) + d) + np.float32(0.5)
    place = min(place, np.float32(2 * end - 1.5)) if place > np.float32(0) else np.float32(0)  # NaN is 0
    return np.uint32(place)


@_at_once
def _cell(half: Any) -> Any:
    return half >> np.uint32(1)


@_jit
def _cost(now: Array, key: Array, size: Any, x: Any, y: Any, u: Any, v: Any) -> Any:
    """Of the place (u, v) in half cells for cell (x, y); `now` and `key` are flat, of `pad_rows` and
    `halve_cells_rows`."""
    pitch = _P(4 * (size[1] + 2))
    plane = pitch * _P(size[0] + 2)
    a = pitch * _P(y + 1) + _P(4) * _P(x + 1)
    b = plane * _P((v & np.uint32(1)) * np.uint32(2) + (u & np.uint32(1)))
    b += pitch * (_P(_cell(v)) + _P(1)) + _P(4) * (_P(_cell(u)) + _P(1))
    beside = differences_of_12(now, a - _P(4), key, b - _P(4))  # the cell and those to its left and right
    return beside + differences_of_4(now, a - pitch, key, b - pitch) + differences_of_4(now, a + pitch, key, b + pitch)


@_jit
def _contrast(now: Array, size: Any, x: Any, y: Any) -> Any:
    """The sum of the absolute differences of a cell from its four neighbours."""
    pitch = _P(4 * (size[1] + 2))
    a = pitch * _P(y + 1) + _P(4) * _P(x + 1)
    beside = differences_of_4(now, a, now, a - _P(4)) + differences_of_4(now, a, now, a + _P(4))
    return beside + differences_of_4(now, a, now, a - pitch) + differences_of_4(now, a, now, a + pitch)


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def costs_rows(
    views: Any, flow: Array, where: Array, gate: int, contrast: float, cells: Array, costs: Array, first: int, last: int
) -> int:
    """The cells of rows first..last with `where` (h, w; empty: all) whose flow (h, w, 2) costs more than `gate` and
    `contrast` times the differences from their neighbours: x and y into `cells` (n, 2), the costs into `costs`, from
    row first * w of these on; returns how many."""
    now, key = views
    h, w = flow.shape[0], flow.shape[1]
    everywhere = where.shape[0] == 0
    n = first * w
    for y in range(first, last):
        for x in range(w):
            if not everywhere and not where[y, x]:
                continue
            u, v = _half_cells(x, flow[y, x, 0], w), _half_cells(y, flow[y, x, 1], h)
            cost = _cost(now, key, (h, w), x, y, u, v)
            if cost > gate and cost > gate + contrast * _contrast(now, (h, w), x, y):
                cells[n, 0], cells[n, 1], costs[n] = x, y, cost
                n += 1
    return n - first * w


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def spread_rows(
    now: Array,
    key: Array,
    flow: Array,
    cells: Array,
    step: int,
    costs: Array,
    found: Array,
    first: int,
    last: int,
) -> None:
    """For cells first..last of a list: found[i] becomes the flow that costs least of the one in it and those that
    `flow` has `step` cells to the right, left, below and above; costs[i] what it costs."""
    h, w = flow.shape[0], flow.shape[1]
    for i in range(first, last):
        x, y = cells[i, 0], cells[i, 1]
        best, bx, by = costs[i], found[i, 0], found[i, 1]
        bu, bv = _half_cells(x, bx, w), _half_cells(y, by, h)
        for k in range(4):
            xx, yy = x + step * SIDES[k][0], y + step * SIDES[k][1]
            if xx < 0 or xx >= w or yy < 0 or yy >= h:
                continue
            dx, dy = flow[yy, xx, 0], flow[yy, xx, 1]
            u, v = _half_cells(x, dx, w), _half_cells(y, dy, h)
            if abs(np.int32(u) - np.int32(bu)) <= NEAR and abs(np.int32(v) - np.int32(bv)) <= NEAR:
                continue
            cost = _cost(now, key, (h, w), x, y, u, v)
            if cost < best:
                best, bx, by, bu, bv = cost, dx, dy, u, v
        costs[i], found[i, 0], found[i, 1] = best, bx, by


@njit(nogil=True, cache=True, error_model="numpy")
def edges_rows(labels: Array, away: int, out: Array, first: int, last: int) -> None:
    """out[y, x] = whether the labels (h, w) within `away` cells, along the axes and diagonals, are not all one."""
    h, w = labels.shape
    side = _P(away)
    own, differs = np.empty(w + 2 * away, np.uint8), np.empty(w + 2 * away, np.uint8)  # the border repeated
    for y in range(first, last):
        above, row, below = max(y - away, 0), y, min(y + away, h - 1)
        for x in range(w):
            k = _P(x)
            label = labels[row, k]
            own[k + side], differs[k + side] = label, (labels[above, k] ^ label) | (labels[below, k] ^ label)
        for line in (own, differs):
            line[:away] = line[away]
            line[w + away :] = line[w + away - 1]
        for x in range(w):
            left, k, right = _P(x), _P(x) + side, _P(x) + side + side
            beside = (own[left] ^ own[k]) | (own[right] ^ own[k])
            out[y, x] = (beside | differs[left] | differs[k] | differs[right]) != 0


@njit(nogil=True, error_model="numpy")
def _begin(source: Array, flow: Array, labels: Array, away: int, edges: Array, first: int, last: int) -> None:
    """Rows of the flow that is matched, from a source of its size or of half of it; with labels also of their edges."""
    if source.shape[0] != flow.shape[0]:
        double_rows(source, flow, first, last)
    else:
        for y in range(first, last):  # by hand: numba takes seconds to compile an assignment of slices
            for x in range(flow.shape[1]):
                flow[y, x, 0], flow[y, x, 1] = source[y, x, 0], source[y, x, 1]
    if labels.shape[0] > 0:
        edges_rows(labels, away, edges, first, last)


@njit(nogil=True, error_model="numpy")
def _gather(flow: Array, margin: int, room: Any, counts: Array, pieces: int) -> int:
    """The cells that the pieces of `costs_rows` found, one after the other, their costs less the margin and their flow;
    returns how many."""
    (cells, costs, found, before), (h, w), n = room, flow.shape[:2], 0
    for piece in range(pieces):
        begin = piece_of(h, piece, pieces)[0] * w
        for i in range(begin, begin + counts[piece]):
            x, y = cells[i, 0], cells[i, 1]
            cells[n, 0], cells[n, 1], costs[n] = x, y, costs[i] - margin
            for axis in range(2):
                found[n, axis] = before[n, axis] = flow[y, x, axis]
            n += 1
    return n


@njit(nogil=True, error_model="numpy")
def _put(found: Array, cells: Array, flow: Array, first: int, last: int) -> None:
    for i in range(first, last):
        x, y = cells[i, 0], cells[i, 1]
        flow[y, x, 0], flow[y, x, 1] = found[i, 0], found[i, 1]


@njit(nogil=True, error_model="numpy")
def _changed(room: Any, count: int) -> int:
    """Keeps those of `count` cells whose flow is another than before; returns how many."""
    (cells, _, found, before), n = room, 0
    for i in range(count):
        if found[i, 0] != before[i, 0] or found[i, 1] != before[i, 1]:
            cells[n, 0], cells[n, 1] = cells[i, 0], cells[i, 1]
            n += 1
    return n


@njit(nogil=True, cache=True, error_model="numpy")
def match_phases(
    counters: Array,
    side: int,
    first: int,
    views: Any,
    source: Array,
    flow: Array,
    near: Any,
    limits: Any,
    steps: Array,
    room: Any,
) -> int:
    """A flow (h, w, 2) matched by appearance, from phase `first` on (`ops.phases`): `flow` becomes that of the `source`
    (of its size or half of it), better where a neighbour's fits better.

    `views` are of the frame and of the key frame. `near` is (labels, away, edges): with labels (h, w) only cells that
    `edges_rows` finds are matched. `limits` are (gate, contrast, margin) of a cost. `room` is (cells, costs, found,
    before, counts) for h * w cells; the cells whose flow changed are the first of `cells`, counts[-1] in number.
    """
    (labels, away, edges), (gate, contrast, margin), (cells, costs, found, before, counts) = near, limits, room
    (now, key), lists, rows, phases = views, (cells, costs, found, before), flow.shape[0], phases_of(counters)
    for phase in range(first, phases):
        if phase == 0:
            total = rows
        elif phase == 1 or phase == phases - 1:
            total = 1
        else:
            total = counts[-1]
        pieces = pieces_of(total)
        piece = claimed(counters, phase, pieces, side)
        while piece >= 0:
            a, b = piece_of(total, piece, pieces)
            if phase == 0:
                _begin(source, flow, labels, away, edges, a, b)
                counts[piece] = costs_rows(views, flow, edges, gate, contrast, cells, costs, a, b)
            elif phase == 1:
                counts[-1] = _gather(flow, margin, lists, counts, pieces_of(rows))
            elif phase == phases - 1:
                counts[-1] = _changed(lists, counts[-1])
            elif phase % 2 == 0:
                spread_rows(now, key, flow, cells, steps[phase // 2 - 1], costs, found, a, b)
            else:
                _put(found, cells, flow, a, b)
            finished(counters, phase)
            piece = claimed(counters, phase, pieces, side)
        if not all_finished(counters, phase, pieces):
            return phase
    return phases


@njit(nogil=True, cache=True, error_model="numpy")
def centres_rows(labels: Array, rows: Array, columns: Array, out: Array, first: int, last: int) -> None:
    """out[y, x] = the label (H, W) in row rows[y] and column columns[x]."""
    for y in range(first, last):
        row = labels[rows[y]]
        for x in range(out.shape[1]):
            out[y, x] = row[columns[x]]


@_at_once
def _place(v: Any, length: Any) -> Any:
    """The score centre before a place and how far the place is from it, border clamped."""
    v = min(v, np.float32(length - 1)) if v > np.float32(0) else np.float32(0)  # NaN is 0
    before = min(int(v), max(length - 2, 0))
    return before, v - np.float32(before)


@_jit
def _on_scores(pixel: Any, size: Any, d: Any, cells: Any, length: Any) -> Any:
    """Where a pixel of `size` lies among `length` score centres, moved by d cells of a grid of `cells`."""
    at = (np.float32(pixel) + np.float32(0.5)) / np.float32(size) + d / np.float32(cells)
    return _place(at * np.float32(length) - np.float32(0.5), length)


@_at_once
def _is_alone(found: Any) -> Any:
    return found & (found - np.uint64(1)) == np.uint64(0)


@_jit
def _alone(among: Array, rows: Any, columns: Any, flow: Any, size: Any, grid: Any) -> Any:
    """The set of the one class that can be largest where the pixels of a cell lead to, or 0."""
    (height, width), (h, w) = size, among.shape
    top, _ = _on_scores(rows[0], height, flow[1], grid[0], h)
    below, _ = _on_scores(rows[1] - 1, height, flow[1], grid[0], h)
    left, _ = _on_scores(columns[0], width, flow[0], grid[1], w)
    right, _ = _on_scores(columns[1] - 1, width, flow[0], grid[1], w)
    found = among[top, left]
    for y in range(top, below + 1):
        for x in range(left, right + 1):
            found |= among[y, x]
    return found if _is_alone(found) else np.uint64(0)


@_jit
def _pixels(cell: Any, length: Any, cells: Any) -> Any:
    """The first pixel of a cell along one axis, and that of the next cell."""
    return cell * length // cells, (cell + 1) * length // cells


@_jit
def _fill(out: Array, rows: Any, columns: Any, label: Any) -> None:
    for row in range(rows[0], rows[1]):
        for column in range(columns[0], columns[1]):
            out[row, column] = label


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def relabel_rows(
    values: Array, among: Array, cells: Array, flows: Array, grid: Any, out: Array, first: int, last: int
) -> None:
    """The pixels of a list of cells of a `grid` over labels out (H, W): the largest class of scores (C, h, w) where the
    cell's flow, in its cells, leads from the pixel; the lowest of equal ones. `among` is of `candidates_rows`."""
    (height, width), (classes, h, w) = out.shape, values.shape
    names = np.empty(classes, np.int64)
    for i in range(first, last):
        x, y = cells[i, 0], cells[i, 1]
        rows, columns = _pixels(y, height, grid[0]), _pixels(x, width, grid[1])
        flow = flows[i, 0], flows[i, 1]
        alone = _alone(among, rows, columns, flow, (height, width), grid)
        if alone != np.uint64(0) and classes <= 64:
            named(alone, classes, names)
            _fill(out, rows, columns, names[0])
            continue
        for row in range(rows[0], rows[1]):
            y0, fy = _on_scores(row, height, flow[1], grid[0], h)
            for column in range(columns[0], columns[1]):
                x0, fx = _on_scores(column, width, flow[0], grid[1], w)
                n, highest, winner = named(among[y0, x0], classes, names), np.float32(-np.inf), 0
                for k in range(n):
                    value = score_at(values, names[k], x0, fx, y0, fy)
                    if value > highest:
                        highest, winner = value, k
                out[row, column] = names[winner]


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def relabel_mixed_rows(
    sources: Any, classes: int, share: Array, cells: Array, flows: Array, grid: Any, out: Array, first: int, last: int
) -> None:
    """`relabel_rows` of (1 - share) first + share second: two sources (`along.classes_last` of their scores, among),
    flows (n, 2, 2) to each, and the share (n) of each cell."""
    (one, among_one), (other, among_other) = sources
    (height, width), (h, w) = out.shape, among_one.shape
    names = np.empty(classes, np.int64)
    for i in range(first, last):
        x, y, part = cells[i, 0], cells[i, 1], share[i]
        rows, columns = _pixels(y, height, grid[0]), _pixels(x, width, grid[1])
        near, far = (flows[i, 0, 0], flows[i, 0, 1]), (flows[i, 1, 0], flows[i, 1, 1])
        alone = _alone(among_one, rows, columns, near, (height, width), grid)
        alike = alone == _alone(among_other, rows, columns, far, (height, width), grid)
        if alike and alone != np.uint64(0) and classes <= 64:
            named(alone, classes, names)
            _fill(out, rows, columns, names[0])
            continue
        for row in range(rows[0], rows[1]):
            y0, fy = _on_scores(row, height, near[1], grid[0], h)
            y1, gy = _on_scores(row, height, far[1], grid[0], h)
            for column in range(columns[0], columns[1]):
                x0, fx = _on_scores(column, width, near[0], grid[1], w)
                x1, gx = _on_scores(column, width, far[0], grid[1], w)
                # What is largest in a mixture need not be a candidate of either: all classes compete.
                out[row, column] = largest_of_two(classes, one, (x0, fx, y0, fy), other, (x1, gx, y1, gy), part)
