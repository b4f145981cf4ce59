"""The compiled loops. Each works on rows first..last of its output, releases the GIL and shares no state.

Compiled once and cached on disk, so a new process starts without compiling.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from segtween.ops.candidates import named

Array = Any
CONTRACT = {"contract"}


@njit(nogil=True, inline="always", fastmath=False, error_model="numpy")
def _gather_row(flat: Array, corner: Array, weight: Array, out: Array, y: int) -> None:
    """out[c, y, x] = sum over k of weight[k, x] * flat[c, corner[k, x]], four corners."""
    for c in range(flat.shape[0]):
        plane = flat[c]
        for x in range(corner.shape[1]):
            out[c, y, x] = (
                weight[0, x] * plane[corner[0, x]]
                + weight[1, x] * plane[corner[1, x]]
                + weight[2, x] * plane[corner[2, x]]
                + weight[3, x] * plane[corner[3, x]]
            )


@njit(nogil=True, cache=True, fastmath=False, error_model="numpy")
def warp_rows(values: Array, flow: Array, out: Array, valid: Array, first: int, last: int) -> None:
    """out[c, y, x] = values[c] at (x + dx, y + dy), bilinear, float32 weights from exact coordinates.

    Convention: backward flow (dx, dy) in pixels of this grid, pixel centres on integers. A sample
    outside [0, w-1] x [0, h-1] is clamped to the border and reported in `valid` as False.
    """
    classes, h, w = values.shape
    corner = np.empty((4, w), np.int32)
    weight = np.empty((4, w), np.float32)
    flat = values.reshape(classes, h * w)
    for y in range(first, last):
        for x in range(w):
            sx = np.float64(x) + flow[y, x, 0]
            sy = np.float64(y) + flow[y, x, 1]
            inside = (sx >= 0.0) and (sx <= w - 1.0) and (sy >= 0.0) and (sy <= h - 1.0)
            valid[y, x] = inside
            if not (sx >= 0.0):  # NaN falls in here as well
                sx = 0.0
            if sx > w - 1.0:
                sx = w - 1.0
            if not (sy >= 0.0):
                sy = 0.0
            if sy > h - 1.0:
                sy = h - 1.0
            x0 = int(sx)
            y0 = int(sy)
            fx = np.float32(sx - x0)
            fy = np.float32(sy - y0)
            x1 = min(x0 + 1, w - 1)
            y1 = min(y0 + 1, h - 1)
            corner[0, x] = y0 * w + x0
            corner[1, x] = y0 * w + x1
            corner[2, x] = y1 * w + x0
            corner[3, x] = y1 * w + x1
            one = np.float32(1.0)
            weight[0, x] = (one - fy) * (one - fx)
            weight[1, x] = (one - fy) * fx
            weight[2, x] = fy * (one - fx)
            weight[3, x] = fy * fx
        _gather_row(flat, corner, weight, out, y)


@njit(nogil=True, cache=True, fastmath=False, error_model="numpy")
def warp_stretched_rows(values: Array, flow: Array, out: Array, inside: Array, first: int, last: int) -> None:
    """out[c, y, x] = values[c] at ((x + dx) w/(w-1) - 1/2, (y + dy) h/(h-1) - 1/2), bilinear, zeros outside.

    `inside` says where that lies in [0, w-1] x [0, h-1].
    """
    classes, h, w = values.shape
    flat = values.reshape(classes, h * w)
    corner = np.empty((4, w), np.int32)
    weight = np.empty((4, w), np.float32)
    for y in range(first, last):
        for x in range(w):
            sx = (np.float64(x) + flow[y, x, 0]) * w / max(w - 1, 1) - 0.5
            sy = (np.float64(y) + flow[y, x, 1]) * h / max(h - 1, 1) - 0.5
            inside[y, x] = (sx >= 0.0) and (sx <= w - 1.0) and (sy >= 0.0) and (sy <= h - 1.0)
            near = (sx > -1.0) and (sx < w) and (sy > -1.0) and (sy < h)  # NaN is not
            x0 = int(np.floor(sx)) if near else 0
            y0 = int(np.floor(sy)) if near else 0
            for k in range(4):
                xx = x0 + (k & 1)
                yy = y0 + (k >> 1)
                inside_image = near and xx >= 0 and xx < w and yy >= 0 and yy < h
                corner[k, x] = yy * w + xx if inside_image else 0
                fx = 1.0 - abs(sx - xx)
                fy = 1.0 - abs(sy - yy)
                weight[k, x] = np.float32(fx * fy) if inside_image else np.float32(0.0)
        _gather_row(flat, corner, weight, out, y)


@njit(nogil=True, cache=True, fastmath=False, error_model="numpy")
def resample_planes(values: Array, top: Array, weight_y: Array, left: Array, weight_x: Array, out: Array) -> None:
    """out[c, y, x] = values[c] at (left + weight_x, top + weight_y), bilinear."""
    classes, h, w = values.shape
    for c in range(classes):
        for y in range(out.shape[1]):
            y0 = top[y]
            y1 = min(y0 + 1, h - 1)
            fy = weight_y[y]
            for x in range(out.shape[2]):
                x0 = left[x]
                x1 = min(x0 + 1, w - 1)
                fx = weight_x[x]
                upper = values[c, y0, x0] + fx * (values[c, y0, x1] - values[c, y0, x0])
                lower = values[c, y1, x0] + fx * (values[c, y1, x1] - values[c, y1, x0])
                out[c, y, x] = upper + fy * (lower - upper)


@njit(nogil=True, cache=True, fastmath=False, error_model="numpy")
def resample_pixels(image: Array, top: Array, weight_y: Array, left: Array, weight_x: Array, out: Array) -> None:
    """out[y, x, c] = image[..., c] at (left + weight_x, top + weight_y), bilinear, as float32."""
    h, w, channels = image.shape
    for y in range(out.shape[0]):
        y0 = top[y]
        y1 = min(y0 + 1, h - 1)
        fy = weight_y[y]
        for x in range(out.shape[1]):
            x0 = left[x]
            x1 = min(x0 + 1, w - 1)
            fx = weight_x[x]
            for c in range(channels):
                a = np.float32(image[y0, x0, c])
                b = np.float32(image[y0, x1, c])
                p = np.float32(image[y1, x0, c])
                q = np.float32(image[y1, x1, c])
                upper = a + fx * (b - a)
                out[y, x, c] = upper + fy * (p + fx * (q - p) - upper)


@njit(nogil=True, cache=True, fastmath=False, error_model="numpy")
def argmax_rows(values: Array, out: Array, first: int, last: int) -> None:
    """out[y, x] = the class of the largest values[:, y, x], ties to the lowest class."""
    classes, _, w = values.shape
    top = np.empty(w, np.float32)
    best = np.empty(w, np.uint8)
    for y in range(first, last):
        for x in range(w):
            top[x] = values[0, y, x]
            best[x] = 0
        for c in range(1, classes):
            for x in range(w):
                v = values[c, y, x]
                better = v > top[x]
                best[x] = np.uint8(c) if better else best[x]
                top[x] = v if better else top[x]
        for x in range(w):
            out[y, x] = best[x]


@njit(nogil=True, cache=True, fastmath=False, error_model="numpy")
def enlarge_labels_rows(
    values: Array,
    best: Array,
    candidates: Array,
    weight_x: Array,
    starts_x: Array,
    top: Array,
    weight_y: Array,
    out: Array,
    first: int,
    last: int,
) -> int:
    """out[y, x] = argmax over classes of the bilinearly enlarged `values`; returns the number of mixed cells.

    `best` is the argmax at the score centres. A cell lies between four centres; where its corners agree
    the label is theirs without interpolation: bilinear weights are a convex combination, so the class that
    is largest at every corner is largest in between. In a mixed cell only its `candidates` compete.
    `weight_x`, `top`, `weight_y` come from `geometry.sample_positions`; cell i covers the columns
    starts_x[i]..starts_x[i + 1].
    """
    classes, h, w = values.shape
    cells = starts_x.shape[0] - 1
    names = np.empty(classes, np.int64)
    corner = np.empty((4, classes), np.float32)
    mixed = 0
    y = first
    while y < last:
        y0 = top[y]
        y1 = min(y0 + 1, h - 1)
        stop = y + 1
        while stop < last and top[stop] == y0:
            stop += 1
        x0 = 0
        while x0 < cells:
            x1 = min(x0 + 1, w - 1)
            a = best[y0, x0]
            begin = starts_x[x0]
            if a == best[y0, x1] and a == best[y1, x0] and a == best[y1, x1]:
                # Neighbouring cells of one label are filled in one go.
                end = x0 + 1
                while end < cells:
                    right = min(end + 1, w - 1)
                    if best[y0, right] != a or best[y1, right] != a:
                        break
                    end += 1
                for yy in range(y, stop):
                    out[yy, begin : starts_x[end]] = a
                x0 = end
                continue
            mixed += 1
            n = named(candidates[y0, x0], classes, names)
            for k in range(n):
                c = names[k]
                corner[0, k], corner[1, k] = values[c, y0, x0], values[c, y0, x1]
                corner[2, k], corner[3, k] = values[c, y1, x0], values[c, y1, x1]
            for yy in range(y, stop):
                fy = weight_y[yy]
                for xx in range(begin, starts_x[x0 + 1]):
                    fx = weight_x[xx]
                    winner = 0
                    highest = np.float32(-np.inf)
                    for k in range(n):
                        upper = corner[0, k] + fx * (corner[1, k] - corner[0, k])
                        lower = corner[2, k] + fx * (corner[3, k] - corner[2, k])
                        v = upper + fy * (lower - upper)
                        if v > highest:
                            highest = v
                            winner = k
                    out[yy, xx] = names[winner]
            x0 += 1
        y = stop
    return mixed


@njit(nogil=True, fastmath=False, error_model="numpy")
def _limits(here: Array, most: Array, before: Array, h: int, w: int) -> None:
    """For the places of a row, x and y in turns: where it is without flow (of y to be filled in), the largest there is,
    and the largest that has another after it."""
    for x in range(w):
        here[2 * x], most[2 * x], most[2 * x + 1] = x, w - 1, h - 1
        before[2 * x], before[2 * x + 1] = max(w - 2, 0), max(h - 2, 0)


@njit(nogil=True, fastmath=False, error_model="numpy")
def _locate(here: Array, most: Array, before: Array, vectors: Array, y: int, whole: Array, part: Array) -> None:
    """Where the flow of row y leads: the pixel before each place, and how far the place is from it."""
    none = np.float32(0)
    for x in range(here.shape[0] // 2):
        here[2 * x + 1] = y
    for k in range(here.shape[0]):
        place = here[k] + vectors[k]
        place = place if place > none else none  # NaN is 0
        place = place if place < most[k] else most[k]
        whole[k] = min(np.int32(place), before[k])
        part[k] = place - np.float32(whole[k])


@njit(nogil=True, fastmath=False, error_model="numpy")
def _leave(here: Array, most: Array, vectors: Array, is_out: Array) -> None:
    """Which of these places are outside the image."""
    for k in range(here.shape[0]):
        place = here[k] + vectors[k]
        is_out[k] = not ((place >= np.float32(0)) & (place <= most[k]))


@njit(nogil=True, cache=True, fastmath=False, error_model="numpy")
def residual_rows(current: Array, previous: Array, flow: Array, out: Array, first: int, last: int) -> None:
    """out[y, x] = |current - previous moved onto it|, 0..255, of uint8 images (h, w); 255 outside the image.

    Row by row: places and what is outside, x and y in turns as the flow has them; the four pixels around each place;
    residuals. All but the second are vectorised, which takes few arrays in a loop, read one after the other.
    """
    h, w = current.shape
    flat, right, below = previous.reshape(-1), np.uintp(min(1, w - 1)), np.uintp(w * min(1, h - 1))
    here, most, before = np.empty(2 * w, np.float32), np.empty(2 * w, np.float32), np.empty(2 * w, np.int32)
    _limits(here, most, before, h, w)
    whole, part, is_out = np.empty(2 * w, np.int32), np.empty(2 * w, np.float32), np.empty(2 * w, np.int32)
    upper, lower, pitch = np.empty(w, np.uint16), np.empty(w, np.uint16), np.int32(w)
    byte, bits = np.int32(255), np.int32(8)
    for y in range(first, last):
        vectors, now, to = flow[y].reshape(-1), current[y], out[y]
        _locate(here, most, before, vectors, y, whole, part)
        _leave(here, most, vectors, is_out)
        for x in range(w):
            k = np.uintp(whole[2 * x + 1] * pitch + whole[2 * x])
            upper[x] = flat[k] | (np.uint16(flat[k + right]) << 8)
            lower[x] = flat[k + below] | (np.uint16(flat[k + below + right]) << 8)
        for x in range(w):
            high, low = np.int32(upper[x]), np.int32(lower[x])
            a, b = np.float32(high & byte), np.float32(high >> bits)
            p, q = np.float32(low & byte), np.float32(low >> bits)
            a, p = a + part[2 * x] * (b - a), p + part[2 * x] * (q - p)
            residual = abs(np.float32(now[x]) - (a + part[2 * x + 1] * (p - a)))
            to[x] = np.float32(255) if is_out[2 * x] | is_out[2 * x + 1] else residual


@njit(nogil=True, inline="always", error_model="numpy")
def _spread(plane: Array, top: Array, weight_y: Array, left: Array, weight_x: Array, y: int, out: Array) -> None:
    """Row y of a plane that is enlarged to the grid of these positions (`geometry.sample_positions`)."""
    upper, lower = plane[top[y]], plane[min(top[y] + 1, plane.shape[0] - 1)]
    fy, end = weight_y[y], plane.shape[1] - 1
    for x in range(out.shape[0]):
        x0 = left[x]
        x1 = min(x0 + 1, end)
        a = upper[x0] + fy * (lower[x0] - upper[x0])
        b = upper[x1] + fy * (lower[x1] - upper[x1])
        out[x] = a + weight_x[x] * (b - a)


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def blend_rows(
    fresh: Array, history: Array, composed: Array, share: Array, positions: Any, out: Array, first: int, last: int
) -> None:
    """out[c, y, x] = fresh + share (history where the composed flow leads - fresh).

    `composed` (gh, gw, 2), in pixels of the scores' grid, and `share` (gh, gw) are enlarged to it; `positions` are
    (top, weight_y, left, weight_x) of `geometry.sample_positions`.
    """
    classes, h, w = fresh.shape
    top, weight_y, left, weight_x = positions
    rows = np.empty((3, w), np.float32)
    corner, fx, fy = np.empty(w, np.int64), np.empty(w, np.float32), np.empty(w, np.float32)
    flat = history.reshape(classes, h * w)
    right, below = min(1, w - 1), w * min(1, h - 1)
    for y in range(first, last):
        _spread(composed[:, :, 0], top, weight_y, left, weight_x, y, rows[0])
        _spread(composed[:, :, 1], top, weight_y, left, weight_x, y, rows[1])
        _spread(share, top, weight_y, left, weight_x, y, rows[2])
        for x in range(w):
            sx, sy = np.float64(x) + rows[0, x], np.float64(y) + rows[1, x]
            sx = min(sx, w - 1.0) if sx > 0.0 else 0.0  # NaN is 0
            sy = min(sy, h - 1.0) if sy > 0.0 else 0.0
            x0, y0 = min(int(sx), max(w - 2, 0)), min(int(sy), max(h - 2, 0))
            corner[x], fx[x], fy[x] = y0 * w + x0, sx - x0, sy - y0
        for c in range(classes):
            plane, line, to, part = flat[c], fresh[c, y], out[c, y], rows[2]
            for x in range(w):
                k = corner[x]
                upper = plane[k] + fx[x] * (plane[k + right] - plane[k])
                lower = plane[k + below] + fx[x] * (plane[k + below + right] - plane[k + below])
                to[x] = line[x] + part[x] * (upper + fy[x] * (lower - upper) - line[x])


@njit(nogil=True, cache=True, fastmath=CONTRACT, error_model="numpy")
def follow_rows(
    reliability: Array,
    composed: Array,
    flow: Array,
    error: Array,
    rate: float,
    reliability_out: Array,
    composed_out: Array,
    first: int,
    last: int,
) -> None:
    """Reliability and composed flow one frame farther from the key frame, on a grid half as fine as the flow's.

    `reliability` (gh, gw) and `composed` (gh, gw, 2) are those of the frame before; empty where it is the key frame
    itself. Motion and error (2gh, 2gw) are averaged over 2 x 2; reliability is multiplied by exp(-(rate error)^2), and
    is 0 for what came from outside the image.
    """
    h, w = reliability_out.shape
    is_far, eighth, quarter, scale = composed.shape[0] > 0, np.float32(0.125), np.float32(0.25), np.float32(rate)
    faded, far, one = reliability.reshape(-1), composed.reshape(-1), np.uintp(1)
    right, below, pitch = np.uintp(min(1, w - 1)), np.uintp(w * min(1, h - 1)), np.int32(w)
    here, most, before = np.empty(2 * w, np.float32), np.empty(2 * w, np.float32), np.empty(2 * w, np.int32)
    _limits(here, most, before, h, w)
    near, left = np.empty(2 * w, np.float32), np.empty(w, np.float32)
    whole, part, is_out = np.empty(2 * w, np.int32), np.empty(2 * w, np.float32), np.empty(2 * w, np.int32)
    for y in range(first, last):
        above, under = flow[2 * y].reshape(-1), flow[2 * y + 1].reshape(-1)
        to, moved = reliability_out[y], composed_out[y].reshape(-1)
        for x in range(w):
            k = 4 * x
            near[2 * x] = ((above[k] + above[k + 2]) + (under[k] + under[k + 2])) * eighth
            near[2 * x + 1] = ((above[k + 1] + above[k + 3]) + (under[k + 1] + under[k + 3])) * eighth
        for x in range(w):
            a, b = error[2 * y, 2 * x] + error[2 * y, 2 * x + 1], error[2 * y + 1, 2 * x] + error[2 * y + 1, 2 * x + 1]
            e = (a + b) * quarter * scale
            left[x] = np.exp(-e * e)
        _locate(here, most, before, near, y, whole, part)
        _leave(here, most, near, is_out)
        if is_far:
            for x in range(w):
                k, fx, fy = np.uintp(whole[2 * x + 1] * pitch + whole[2 * x]), part[2 * x], part[2 * x + 1]
                a, b, c, d = k + k, k + k + right + right, k + k + below + below, k + k + below + below + right + right
                p, q = far[a] + fx * (far[b] - far[a]), far[c] + fx * (far[d] - far[c])
                moved[2 * x] = near[2 * x] + (p + fy * (q - p))
                a, b, c, d = a + one, b + one, c + one, d + one
                p, q = far[a] + fx * (far[b] - far[a]), far[c] + fx * (far[d] - far[c])
                moved[2 * x + 1] = near[2 * x + 1] + (p + fy * (q - p))
                p = faded[k] + fx * (faded[k + right] - faded[k])
                q = faded[k + below] + fx * (faded[k + below + right] - faded[k + below])
                left[x] *= p + fy * (q - p)
        else:
            for k in range(2 * w):
                moved[k] = near[k]
        for x in range(w):
            to[x] = np.float32(0) if is_out[2 * x] | is_out[2 * x + 1] else left[x]


@njit(nogil=True, cache=True, fastmath={"contract", "reassoc", "nsz", "arcp"}, error_model="numpy")
def double_rows(flow: Array, out: Array, first: int, last: int) -> None:
    """Rows first..last of a flow on a grid twice as fine, in pixels of that grid; bilinear, half-pixel-centred."""
    h, w = flow.shape[:2]
    near, far = np.float32(1.5), np.float32(0.5)  # 3/4 and 1/4 of a vector twice as long, and once more across
    line = np.empty((2, w + 2), np.float32)
    for row in range(first, last):
        y = row // 2
        other = max(y - 1, 0) if row % 2 == 0 else min(y + 1, h - 1)
        for k in range(2):
            for x in range(w):
                line[k, x + 1] = near * flow[y, x, k] + far * flow[other, x, k]
            line[k, 0], line[k, w + 1] = line[k, 1], line[k, w]
        for x in range(w):
            for k in range(2):
                own = np.float32(0.75) * line[k, x + 1]
                out[row, 2 * x, k] = own + np.float32(0.25) * line[k, x]
                out[row, 2 * x + 1, k] = own + np.float32(0.25) * line[k, x + 2]


@njit(nogil=True, inline="always", error_model="numpy")
def add_rows(rgb: Array, first: Any, rows: Any, sums: Array) -> None:
    """sums = so many rows of an image (H, W, 3) uint8 from `first` on, added up; as many values as `sums` has."""
    row = rgb[first].reshape(-1)
    for k in range(sums.shape[0]):
        sums[k] = row[k]
    for other in range(1, rows):
        row = rgb[first + other].reshape(-1)
        for k in range(sums.shape[0]):
            sums[k] += row[k]
