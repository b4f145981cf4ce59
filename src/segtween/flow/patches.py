"""The compiled loops of the inverse patch search. Each works on some rows of its output, releases the GIL and shares no
state, so that results do not depend on the number of threads.

A level is a grey image (h + 2 PAD, w + 2 PAD) float32 with its border repeated outwards. Patches of SIDE x SIDE pixels
lie at (xs[j], ys[i]) in the current frame's level; a patch's flow (u, v) leads from it to the frame before.
The search is given levels, and keeps patches, column by column (w + 2 PAD, h + 2 PAD): compilers take its sums for all
rows of a patch at once, which then lie side by side.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from segtween.flow.weighing import SIDE, add_weighted
from segtween.ops.kernels import double_rows
from segtween.ops.phases import all_finished, claimed, finished, phases_of, piece_of, pieces_of

Array = Any
PAD = SIDE + 2
NEAR, SAME = 0.5, 0.25
"""In pixels. Neighbours whose flow differs by less than NEAR are not tried; flows closer than SAME agree."""
STOP = 0.05
"""A patch has converged when a step is shorter than this many pixels."""
FAST = {"contract", "reassoc", "nsz", "arcp"}
_P = np.uintp  # an index that is never negative


@njit(nogil=True, cache=True, error_model="numpy")
def pad_rows(image: Array, out: Array, first: int, last: int) -> None:
    """Rows first..last of a level (h + 2 PAD, w + 2 PAD): an image (h, w), the border repeated."""
    h, w = image.shape
    for row in range(first, last):
        source, line = image[min(max(row - PAD, 0), h - 1)], out[row]
        for x in range(w):
            line[PAD + x] = source[x]
        line[:PAD] = line[PAD]
        line[PAD + w :] = line[PAD + w - 1]


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def halve_rows(image: Array, out: Array, first: int, last: int) -> None:
    """Rows first..last of a level (h + 2 PAD, w + 2 PAD): means of 2 x 2 pixels of an image (2h, 2w), the border
    repeated."""
    h, w = image.shape[0] // 2, image.shape[1] // 2
    quarter = np.float32(0.25)
    for row in range(first, last):
        y = min(max(row - PAD, 0), h - 1)
        upper, lower, line = image[2 * y], image[2 * y + 1], out[row]
        for x in range(w):
            above = np.float32(upper[2 * x]) + np.float32(upper[2 * x + 1])
            line[PAD + x] = quarter * (above + (np.float32(lower[2 * x]) + np.float32(lower[2 * x + 1])))
        line[:PAD] = line[PAD]
        line[PAD + w :] = line[PAD + w - 1]


@njit(nogil=True, inline="always", error_model="numpy")
def _place(image: Array, x: Any, y: Any, u: Any, v: Any) -> Any:
    """Where a moved patch begins in a level, column by column, and the weights of the four pixels around each of its
    samples."""
    one, least = np.float32(1), np.float32(-SIDE)
    sx = min(max(np.float32(x) + u, least), np.float32(image.shape[0] - 2 * PAD + 1)) + np.float32(PAD)
    sy = min(max(np.float32(y) + v, least), np.float32(image.shape[1] - 2 * PAD + 1)) + np.float32(PAD)
    x0, y0 = int(sx), int(sy)
    fx, fy = sx - np.float32(x0), sy - np.float32(y0)
    return _P(x0), _P(y0), (one - fx) * (one - fy), fx * (one - fy), (one - fx) * fy, fx * fy


@njit(nogil=True, inline="always", error_model="numpy")
def _residual(image: Array, patch: Array, gx: Array, gy: Array, x: Any, y: Any, u: Any, v: Any) -> Any:
    """Of the moved patch minus the patch: the sum, the squares' sum about the mean, and the sums of its products with
    the gradients."""
    x0, y0, a, b, c, d = _place(image, x, y, u, v)
    total, squares, along_x, along_y = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for i in range(SIDE):
        row = y0 + _P(i)
        for j in range(SIDE):
            column, k = x0 + _P(j), j * SIDE + i
            e = a * image[column, row] + b * image[column + _P(1), row]
            e += c * image[column, row + _P(1)] + d * image[column + _P(1), row + _P(1)] - patch[k]
            total += e
            squares += e * e
            along_x += e * gx[k]
            along_y += e * gy[k]
    return total, squares - total * total / np.float32(SIDE * SIDE), along_x, along_y


@njit(nogil=True, inline="always", error_model="numpy")
def _is_far(u: Any, v: Any, p: Any, q: Any, most: float) -> bool:
    return (p - u) * (p - u) + (q - v) * (q - v) > np.float32(most * most)


@njit(nogil=True, inline="always", error_model="numpy")
def _cut_out(image: Array, x: Any, y: Any, patch: Array) -> None:
    for r in range(SIDE):
        row = _P(y + PAD + r)
        for c in range(SIDE):
            patch[c * SIDE + r] = image[_P(x + PAD + c), row]


@njit(nogil=True, inline="always", error_model="numpy")
def _gradients(image: Array, x: Any, y: Any, gx: Array, gy: Array) -> Any:
    """A patch's gradients; the sums of their products xx, xy and yy about their means; and their own sums."""
    half, count = np.float32(0.5), np.float32(SIDE * SIDE)
    xx, xy, yy, sx, sy = np.float32(0), np.float32(0), np.float32(0), np.float32(0), np.float32(0)
    for r in range(SIDE):
        row = _P(y + PAD + r)
        for c in range(SIDE):
            column, k = _P(x + PAD + c), c * SIDE + r
            p = half * (image[column + _P(1), row] - image[column - _P(1), row])
            q = half * (image[column, row + _P(1)] - image[column, row - _P(1)])
            gx[k], gy[k] = p, q
            xx += p * p
            xy += p * q
            yy += q * q
            sx += p
            sy += q
    return xx - sx * sx / count, xy - sx * sy / count, yy - sy * sy / count, sx, sy


@njit(nogil=True, fastmath=FAST, error_model="numpy", _nrt=False)
def _descend(now: Array, before: Array, patch: Array, gradients: Any, place: Any, steps: int) -> Any:
    """A patch's flow and the squared residual about its mean, after at most `steps` steps from (u, v) of inverse
    compositional Gauss-Newton, as long as they lower that residual."""
    (gx, gy), (x, y, u, v), count = gradients, place, np.float32(SIDE * SIDE)
    xx, xy, yy, sx, sy = _gradients(now, x, y, gx, gy)
    total, best, bx, by = _residual(before, patch, gx, gy, x, y, u, v)
    area = xx * yy - xy * xy
    if not (xx + yy > np.float32(1e-3) and area > np.float32(1e-5) * (xx + yy) * (xx + yy)):
        return u, v, best  # one edge, or nothing at all: its motion is ambiguous
    from_u, from_v, from_best = u, v, best
    for _ in range(steps):
        bx, by = bx - total * sx / count, by - total * sy / count
        du, dv = (yy * bx - xy * by) / area, (xx * by - xy * bx) / area
        total, cost, bx, by = _residual(before, patch, gx, gy, x, y, u - du, v - dv)
        if not cost < best:
            break
        best, u, v = cost, u - du, v - dv
        if du * du + dv * dv < np.float32(STOP * STOP):
            break
    if (u - from_u) * (u - from_u) + (v - from_v) * (v - from_v) <= np.float32(SIDE * SIDE):
        return u, v, best
    return from_u, from_v, from_best


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def search_rows(
    now: Array, before: Array, places: Any, start: Array, nearest: Any, limits: Any, out: Any, first: int, last: int
) -> None:
    """`out` = (flow, costs, changed): each patch's flow and its squared residual about its mean, after at most `steps`
    steps from a coarser level's flow `start` (Kroeger et al., ECCV 2016, section 2.1).

    `places` are (xs, ys). `nearest` says which of the coarser level's rows and columns each patch takes, and how many
    pixels of this level one of that is, along x and y. `limits` are (steps, settled): a patch whose squared residual is
    below `settled` from the start keeps the coarser level's flow.
    """
    (xs, ys), (rows, columns, scale_x, scale_y), patch = places, nearest, np.empty(SIDE * SIDE, np.float32)
    (flow, costs, changed), (steps, settled) = out, limits
    gx, gy = np.empty(SIDE * SIDE, np.float32), np.empty(SIDE * SIDE, np.float32)
    for i in range(first, last):
        for j in range(xs.shape[0]):
            x, y = xs[j], ys[i]
            u, v = start[rows[i], columns[j], 0] * scale_x, start[rows[i], columns[j], 1] * scale_y
            _cut_out(now, x, y, patch)
            cost = np.float32(0)
            if settled > np.float32(0):
                _, cost, _, _ = _residual(before, patch, gx, gy, x, y, u, v)
            if cost >= settled:
                u, v, cost = _descend(now, before, patch, (gx, gy), (x, y, u, v), steps)
            flow[i, j, 0], flow[i, j, 1], costs[i, j], changed[i, j] = u, v, cost, True


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def spread_rows(
    now: Array, before: Array, places: Any, start: Any, limits: Any, out: Any, first: int, last: int
) -> None:
    """A round after `search_rows`: a patch that is not settled takes a neighbour's flow that leaves less of it than its
    own, and then at most `steps` steps.

    `start` and `out` are (flow, costs, changed). Two patches that the round before left as they were are not compared
    again.
    """
    (flow, costs, changed), (to_flow, to_costs, to_changed), (xs, ys), (steps, settled) = start, out, places, limits
    patch = np.empty(SIDE * SIDE, np.float32)
    gx, gy = np.empty(SIDE * SIDE, np.float32), np.empty(SIDE * SIDE, np.float32)
    for i in range(first, last):
        for j in range(xs.shape[0]):
            x, y, own_u, own_v, best = xs[j], ys[i], flow[i, j, 0], flow[i, j, 1], costs[i, j]
            u, v, is_new, is_cut_out = own_u, own_v, False, False
            for k in range(4 if best >= settled else 0):
                n, m = i + (k == 1) - (k == 0), j + (k == 3) - (k == 2)
                if n < 0 or m < 0 or n >= flow.shape[0] or m >= flow.shape[1]:
                    continue
                p, q = flow[n, m, 0], flow[n, m, 1]
                if not _is_far(u, v, p, q, NEAR):
                    continue
                if not (changed[i, j] or changed[n, m]) and _is_far(own_u, own_v, p, q, NEAR):
                    continue
                if not is_cut_out:
                    is_cut_out = True
                    _cut_out(now, x, y, patch)
                _, cost, _, _ = _residual(before, patch, gx, gy, x, y, p, q)
                if cost < best:
                    best, u, v, is_new = cost, p, q, True
            if is_new:
                u, v, best = _descend(now, before, patch, (gx, gy), (x, y, u, v), steps)
            to_flow[i, j, 0], to_flow[i, j, 1], to_costs[i, j], to_changed[i, j] = u, v, best, is_new


@njit(nogil=True, fastmath=FAST, error_model="numpy", _nrt=False)
def _agreeing(flow: Array, rows: Any, columns: Any) -> Any:
    """Whether the flow of all patches in these rows and columns agrees, and its mean."""
    u, v, sum_u, sum_v, many, agree = flow[rows[0], columns[0], 0], flow[rows[0], columns[0], 1], 0.0, 0.0, 0, True
    for k in range(rows[0], rows[1] + 1):
        for m in range(columns[0], columns[1] + 1):
            p, q = flow[k, m, 0], flow[k, m, 1]
            agree = agree and not _is_far(u, v, p, q, SAME)
            sum_u, sum_v, many = sum_u + p, sum_v + q, many + 1
    return agree, np.float32(sum_u / many), np.float32(sum_v / many)


@njit(nogil=True, cache=True, fastmath=FAST, error_model="numpy")
def densify_columns(
    now: Array, before: Array, places: Any, flow: Array, bands: Any, out: Array, first: int, last: int
) -> None:
    """out (h, w, 2): each pixel's flow, a mean over the patches that cover it, weighted by how small
    its residual in each is (section 2.2); where they agree all have the same weight.

    `places` are (xs, ys); `bands` say for columns, then for rows, where bands of pixels begin that the same patches
    cover, and the first and the last of these. Works on bands first..last of the columns: a patch's rows lie side by
    side.
    """
    (xs, ys), (edges_x, from_x, to_x, edges_y, from_y, to_y), h = places, bands, out.shape[0]
    cells, pitch = edges_y.shape[0] - 1, _P(before.shape[1])
    agree, mean = np.empty(cells, np.bool_), np.empty((cells, 2), np.float32)
    sums, flat_now, flat_before = np.empty((SIDE, 3, h), np.float32), now.reshape(-1), before.reshape(-1)
    flat_sums = sums.reshape(-1)
    for j in range(first, last):
        left, width = edges_x[j], edges_x[j + 1] - edges_x[j]
        for i in range(cells):
            agree[i], mean[i, 0], mean[i, 1] = _agreeing(flow, (from_y[i], to_y[i]), (from_x[j], to_x[j]))
        flat_sums[: width * 3 * h] = np.float32(0)
        cell = 0
        for k in range(ys.shape[0]):
            while edges_y[cell + 1] <= ys[k]:
                cell += 1
            i, is_needed = cell, False
            while i < cells and edges_y[i] < ys[k] + SIDE:
                i, is_needed = i + 1, is_needed or not agree[i]
            if not is_needed:
                continue
            for m in range(from_x[j], to_x[j] + 1):
                u, v = flow[k, m, 0], flow[k, m, 1]
                x0, y0, a, b, c, d = _place(before, xs[m], ys[k], u, v)
                for x in range(width):
                    here = (x0 + _P(left - xs[m] + x)) * pitch + y0
                    own = _P(left + PAD + x) * pitch + _P(ys[k] + PAD)
                    to = _P(3 * h * x + ys[k])
                    add_weighted(
                        flat_before, here, here + pitch, flat_now, own, flat_sums, to, _P(h), (a, b, c, d, u, v)
                    )
        for i in range(cells):
            for y in range(edges_y[i], edges_y[i + 1]):
                for x in range(width):
                    if agree[i]:
                        out[y, left + x, 0], out[y, left + x, 1] = mean[i, 0], mean[i, 1]
                    else:
                        whole = np.float32(1) / sums[x, 0, y]
                        out[y, left + x, 0], out[y, left + x, 1] = sums[x, 1, y] * whole, sums[x, 2, y] * whole


@njit(nogil=True, inline="always", error_model="numpy")
def _level(flat: Array, size: Any, begin: Any) -> Array:
    """A level of `size` (w, h), column by column, of an image's levels end to end."""
    w, h = size[0] + 2 * PAD, size[1] + 2 * PAD
    return flat[begin : begin + w * h].reshape(w, h)


@njit(nogil=True, inline="always", error_model="numpy")
def _found(rooms: Any, side: int, shape: Any) -> Any:
    """Room for the patches (n, m) of a level: their flow, what it leaves of them, which of them a round has changed."""
    (flow, costs, changed), (n, m) = rooms, shape
    return (
        flow[side, : n * m].reshape(n, m, 2),
        costs[side, : n * m].reshape(n, m),
        changed[side, : n * m].reshape(n, m),
    )


@njit(nogil=True, cache=True, error_model="numpy")
def flow_phases(
    counters: Array, side: int, first: int, images: Any, plan: Any, limits: Any, rooms: Any, bands: Any, outs: Any
) -> int:
    """The flow between two images from phase `first` on (`ops.phases`): of every level, from coarse to fine, a search
    and the `rounds`; then each pixel's flow, outs[0] (h, w, 2), and the same enlarged, outs[1] (2h, 2w, 2), if that is
    not empty.

    `images` are the levels of each, end to end. `plan` is (levels, xs, ys, columns, rows, scales), of each level its
    size, where it begins in the images, and which part of xs and columns, and of ys and rows, is its own. `limits` are
    (steps, settled, rounds). `rooms` are twice what `_found` takes: what one phase writes, the next one reads. Their
    flow is 0 at first.
    """
    (levels, xs, ys, columns, rows, scales), (steps, settled, rounds), (out, enlarged) = plan, limits, outs
    each, count = 1 + rounds, levels.shape[0]
    phases = phases_of(counters)
    for phase in range(first, phases):
        k = min(phase // each, count - 1)
        w, h, begin, from_x, to_x, from_y, to_y = levels[k]
        now, before = _level(images[0], (w, h), begin), _level(images[1], (w, h), begin)
        places, shape = (xs[from_x:to_x], ys[from_y:to_y]), (to_y - from_y, to_x - from_x)
        least = settled if k == count - 1 else np.float32(0)
        target = _found(rooms, phase % 2, shape)
        if phase < each * count:
            total = shape[0]
        elif phase == each * count:
            total = bands[0].shape[0] - 1
        else:
            total = enlarged.shape[0]
        pieces = pieces_of(total)
        piece = claimed(counters, phase, pieces, side)
        while piece >= 0:
            a, b = piece_of(total, piece, pieces)
            if phase == each * count:
                densify_columns(now, before, places, _found(rooms, (phase + 1) % 2, shape)[0], bands, out, a, b)
            elif phase > each * count:
                double_rows(out, enlarged, a, b)
            elif phase % each > 0:
                spread_rows(now, before, places, _found(rooms, (phase + 1) % 2, shape), (steps, least), target, a, b)
            else:
                coarser = (
                    (1, 1) if k == 0 else (levels[k - 1, 6] - levels[k - 1, 5], levels[k - 1, 4] - levels[k - 1, 3])
                )
                start = _found(rooms, (phase + 1) % 2, coarser)[0]
                nearest = rows[from_y:to_y], columns[from_x:to_x], scales[k, 0], scales[k, 1]
                search_rows(now, before, places, start, nearest, (steps, least), target, a, b)
            finished(counters, phase)
            piece = claimed(counters, phase, pieces, side)
        if not all_finished(counters, phase, pieces):
            return phase
    return phases
