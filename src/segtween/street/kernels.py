"""The rasteriser: compiled loops over triangles, samples and pixels.

Triangles are drawn by their homogeneous edge functions (Olano and Greer, "Triangle Scan Conversion using
2D Homogeneous Coordinates", 1997), so that nothing has to be clipped: e_i(x, y) = barycentric_i / depth, and
their sum is 1 / depth. Samples lie on a grid of half pixels; sample (2x+1, 2y+1) is the centre of pixel (x, y).
A pixel's colour is a 3x3 tent over its samples with one shading per visible surface; its truth is that of its
centre sample. Pixel coordinates: (x, y), y down, centres on integers. Everything releases the GIL.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

NEAR = 0.25
TEXTURE_SIZE = 256
# Start of each level in the flat texture array, per layer: sizes 256, 128, ..., 1.
LEVELS = np.array([sum((TEXTURE_SIZE >> k) ** 2 for k in range(i)) * 4 for i in range(10)], np.int64)

A = NDArray[Any]
# Without counting references to arrays, which is atomic and costs more than the work of a pixel: such functions
# make no arrays, they are given their scratch.
_FAST = {"contract", "arcp", "nsz", "afn"}
_jit = njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST, _nrt=False)
# For functions with many arrays: passing them costs as much as the work.
_inlined = njit(cache=True, nogil=True, error_model="numpy", fastmath=_FAST, _nrt=False, inline="always")


@_jit
def place(
    verts: A, faces: A, spans: A, now: A, before: A, colours: A, uids: A, fresh: A, cam: A, cam_before: A, height: int,
    width: int, edge: A, past: A, geo: A, face: A, box: A, uid: A, count: int, p: A,
) -> int:  # fmt: skip
    """Transforms instances and appends what may be seen: edge functions, attributes, bounds in samples.

    `now` and `before` are (N, 12) rows of 3x4 matrices to the world; `cam` is 3x4 to (x w, y w, w);
    `p` (3, 3) is scratch.
    """
    for k in range(spans.shape[0]):
        m, b = now[k], before[k]
        for t in range(spans[k, 0], spans[k, 1]):
            inside = 0
            x0, x1, y0, y1 = 1e30, -1e30, 1e30, -1e30
            for i in range(3):
                vx, vy, vz = verts[t, i, 0], verts[t, i, 1], verts[t, i, 2]
                wx = m[0] * vx + m[1] * vy + m[2] * vz + m[3]
                wy = m[4] * vx + m[5] * vy + m[6] * vz + m[7]
                wz = m[8] * vx + m[9] * vy + m[10] * vz + m[11]
                p[i, 0] = cam[0, 0] * wx + cam[0, 1] * wy + cam[0, 2] * wz + cam[0, 3]
                p[i, 1] = cam[1, 0] * wx + cam[1, 1] * wy + cam[1, 2] * wz + cam[1, 3]
                p[i, 2] = cam[2, 0] * wx + cam[2, 1] * wy + cam[2, 2] * wz + cam[2, 3]
                if p[i, 2] > NEAR:
                    inside += 1
                    sx, sy = p[i, 0] / p[i, 2], p[i, 1] / p[i, 2]
                    x0, x1, y0, y1 = min(x0, sx), max(x1, sx), min(y0, sy), max(y1, sy)
            if inside == 0:
                continue
            if inside < 3:
                for i in range(3):
                    j = (i + 1) % 3
                    if (p[i, 2] > NEAR) != (p[j, 2] > NEAR):
                        a = (NEAR - p[i, 2]) / (p[j, 2] - p[i, 2])
                        sx = (p[i, 0] + a * (p[j, 0] - p[i, 0])) / NEAR
                        sy = (p[i, 1] + a * (p[j, 1] - p[i, 1])) / NEAR
                        x0, x1, y0, y1 = min(x0, sx), max(x1, sx), min(y0, sy), max(y1, sy)
            if x1 < -0.5 or y1 < -0.5 or x0 > width - 0.5 or y0 > height - 0.5:
                continue
            ax = p[1, 1] * p[2, 2] - p[1, 2] * p[2, 1]
            ay = p[1, 2] * p[2, 0] - p[1, 0] * p[2, 2]
            az = p[1, 0] * p[2, 1] - p[1, 1] * p[2, 0]
            det = p[0, 0] * ax + p[0, 1] * ay + p[0, 2] * az
            flags = int(faces[t, 7])
            if abs(det) < 1e-9 or (det > 0 and not flags & 1) or count >= edge.shape[0]:
                continue
            i0, i1 = max(0, int(np.ceil(2 * x0 + 1))), min(2 * width, int(np.floor(2 * x1 + 1)))
            j0, j1 = max(0, int(np.ceil(2 * y0 + 1))), min(2 * height, int(np.floor(2 * y1 + 1)))
            if i0 > i1 or j0 > j1:
                continue
            inv = 1.0 / det
            e = edge[count]
            e[0], e[1], e[2] = ax * inv, ay * inv, az * inv
            e[3] = (p[2, 1] * p[0, 2] - p[2, 2] * p[0, 1]) * inv
            e[4] = (p[2, 2] * p[0, 0] - p[2, 0] * p[0, 2]) * inv
            e[5] = (p[2, 0] * p[0, 1] - p[2, 1] * p[0, 0]) * inv
            e[6] = (p[0, 1] * p[1, 2] - p[0, 2] * p[1, 1]) * inv
            e[7] = (p[0, 2] * p[1, 0] - p[0, 0] * p[1, 2]) * inv
            e[8] = (p[0, 0] * p[1, 1] - p[0, 1] * p[1, 0]) * inv
            g = geo[count]
            for i in range(3):
                vx, vy, vz = verts[t, i, 0], verts[t, i, 1], verts[t, i, 2]
                g[i, 0] = m[0] * vx + m[1] * vy + m[2] * vz + m[3]
                g[i, 1] = m[4] * vx + m[5] * vy + m[6] * vz + m[7]
                g[i, 2] = m[8] * vx + m[9] * vy + m[10] * vz + m[11]
                nx, ny, nz = verts[t, i, 3], verts[t, i, 4], verts[t, i, 5]
                g[i, 3] = m[0] * nx + m[1] * ny + m[2] * nz
                g[i, 4] = m[4] * nx + m[5] * ny + m[6] * nz
                g[i, 5] = m[8] * nx + m[9] * ny + m[10] * nz
                g[i, 6], g[i, 7], g[i, 8] = verts[t, i, 6], verts[t, i, 7], verts[t, i, 8]
                wx = b[0] * vx + b[1] * vy + b[2] * vz + b[3]
                wy = b[4] * vx + b[5] * vy + b[6] * vz + b[7]
                wz = b[8] * vx + b[9] * vy + b[10] * vz + b[11]
                for r in range(3):
                    past[count, i, r] = (
                        cam_before[r, 0] * wx + cam_before[r, 1] * wy + cam_before[r, 2] * wz + cam_before[r, 3]
                    )
            for c in range(8):
                face[count, c] = faces[t, c]
            if faces[t, 2] < 0:
                s = int(-faces[t, 2] - 1) * 3
                face[count, 2], face[count, 3], face[count, 4] = colours[k, s], colours[k, s + 1], colours[k, s + 2]
            box[count, 0], box[count, 1], box[count, 2], box[count, 3] = i0, i1, j0, j1
            uid[count] = -1 if fresh[k] else uids[k] * 1048576 + (t - spans[k, 0])
            count += 1
    return count


@_jit
def _coordinates(e: A, g: A, x: float, y: float) -> tuple[float, float]:
    e0, e1, e2 = e[0] * x + e[1] * y + e[2], e[3] * x + e[4] * y + e[5], e[6] * x + e[7] * y + e[8]
    w = 1.0 / (e0 + e1 + e2)
    return (e0 * g[0, 6] + e1 * g[1, 6] + e2 * g[2, 6]) * w, (e0 * g[0, 7] + e1 * g[1, 7] + e2 * g[2, 7]) * w


@_jit
def _cutout_level(e: A, g: A, x: float, y: float) -> int:
    """The texture level whose texels are as large as half a pixel, at one point of a triangle."""
    u, v = _coordinates(e, g, x, y)
    ux, vx = _coordinates(e, g, x + 0.5, y)
    uy, vy = _coordinates(e, g, x, y + 0.5)
    a, b = abs(ux - u) + abs(uy - u), abs(vx - v) + abs(vy - v)
    size = 0.7 * np.sqrt(a * b) * 256.0
    if not size > 1.0:
        return 0
    return min(8, int(np.log2(size) + 0.5))


@_jit
def _opaque(textures: A, levels: A, layer: int, level: int, u: float, v: float) -> bool:
    size = 256 >> level
    x, y = int(np.floor(u * size)) & (size - 1), int(np.floor(-v * size)) & (size - 1)
    return textures[layer, levels[level] + (y * size + x) * 4 + 3] > 127


@_jit
def draw(count: int, edge: A, geo: A, face: A, box: A, textures: A, levels: A, inverse: A, ids: A) -> None:
    """Nearest triangle (index or -1) and 1 / depth at every sample."""
    inverse[:] = 0.0
    ids[:] = -1
    limit = 1.0 / NEAR
    for t in range(count):
        e, g = edge[t], geo[t]
        cut = int(face[t, 7]) & 2
        level, layer = 0, int(face[t, 1])
        if cut:
            cx, cy = 0.25 * (box[t, 0] + box[t, 1]) - 0.5, 0.25 * (box[t, 2] + box[t, 3]) - 0.5
            level = _cutout_level(e, g, cx, cy)
        step = 0.5 * (e[0] + e[3] + e[6])
        r0 = -2.0 / e[0] if e[0] != 0 else 0.0
        r1 = -2.0 / e[3] if e[3] != 0 else 0.0
        r2 = -2.0 / e[6] if e[6] != 0 else 0.0
        for j in range(box[t, 2], box[t, 3] + 1):
            y = 0.5 * (j - 1)
            lo, hi = float(box[t, 0]), float(box[t, 1])
            for k in range(0, 9, 3):
                q, r = e[k + 1] * y + e[k + 2] - 0.5 * e[k], r0 if k == 0 else (r1 if k == 3 else r2)
                if r < 0:
                    lo = max(lo, q * r)
                elif r > 0:
                    hi = min(hi, q * r)
                elif q < 0:
                    hi = -1.0
            if not lo <= hi:
                continue
            first, last = int(np.ceil(lo)), int(np.floor(hi))
            start = (e[1] + e[4] + e[7]) * y + (e[2] + e[5] + e[8]) - step
            for i in range(first, last + 1):
                near = start + step * i
                if near > inverse[j, i] and near < limit:
                    if cut:
                        x = 0.5 * (i - 1)
                        e0, e1 = e[0] * x + e[1] * y + e[2], e[3] * x + e[4] * y + e[5]
                        e2 = near - e0 - e1
                        u = (e0 * g[0, 6] + e1 * g[1, 6] + e2 * g[2, 6]) / near
                        v = (e0 * g[0, 7] + e1 * g[1, 7] + e2 * g[2, 7]) / near
                        if not _opaque(textures, levels, layer, level, u, v):
                            continue
                    inverse[j, i] = near
                    ids[j, i] = t


@_jit
def cast(
    verts: A, faces: A, spans: A, now: A, basis: A, origin: A, per_metre: float, textures: A, levels: A, shadow: A,
    q: A,
) -> None:  # fmt: skip
    """Draws instances into the shadow map: the largest distance towards the sun at every cell; `q` (3, 3) is
    scratch."""
    n = shadow.shape[0]
    for k in range(spans.shape[0]):
        m = now[k]
        for t in range(spans[k, 0], spans[k, 1]):
            flags = int(faces[t, 7])
            if flags & 4:
                continue
            for i in range(3):
                vx, vy, vz = verts[t, i, 0], verts[t, i, 1], verts[t, i, 2]
                wx = m[0] * vx + m[1] * vy + m[2] * vz + m[3]
                wy = m[4] * vx + m[5] * vy + m[6] * vz + m[7]
                wz = m[8] * vx + m[9] * vy + m[10] * vz + m[11]
                for r in range(3):
                    q[i, r] = basis[r, 0] * wx + basis[r, 1] * wy + basis[r, 2] * wz
                q[i, 0] = (q[i, 0] - origin[0]) * per_metre
                q[i, 1] = (q[i, 1] - origin[1]) * per_metre
            x0, x1 = min(q[0, 0], q[1, 0], q[2, 0]), max(q[0, 0], q[1, 0], q[2, 0])
            y0, y1 = min(q[0, 1], q[1, 1], q[2, 1]), max(q[0, 1], q[1, 1], q[2, 1])
            area = (q[1, 0] - q[0, 0]) * (q[2, 1] - q[0, 1]) - (q[1, 1] - q[0, 1]) * (q[2, 0] - q[0, 0])
            if abs(area) < 1e-6:
                continue
            for y in range(max(0, int(np.ceil(y0))), min(n - 1, int(np.floor(y1))) + 1):
                for x in range(max(0, int(np.ceil(x0))), min(n - 1, int(np.floor(x1))) + 1):
                    b1 = ((x - q[0, 0]) * (q[2, 1] - q[0, 1]) - (y - q[0, 1]) * (q[2, 0] - q[0, 0])) / area
                    b2 = ((q[1, 0] - q[0, 0]) * (y - q[0, 1]) - (q[1, 1] - q[0, 1]) * (x - q[0, 0])) / area
                    b0 = 1.0 - b1 - b2
                    if b0 < 0 or b1 < 0 or b2 < 0:
                        continue
                    depth = b0 * q[0, 2] + b1 * q[1, 2] + b2 * q[2, 2]
                    if depth > shadow[y, x]:
                        if flags & 2:
                            u = b0 * verts[t, 0, 6] + b1 * verts[t, 1, 6] + b2 * verts[t, 2, 6]
                            v = b0 * verts[t, 0, 7] + b1 * verts[t, 1, 7] + b2 * verts[t, 2, 7]
                            if not _opaque(textures, levels, int(faces[t, 1]), 3, u, v):
                                continue
                        shadow[y, x] = depth


@_jit
def stamp(contacts: A, origin: A, cells: float, ground: A) -> None:
    """Darkens the ground map under and softly around things."""
    n = ground.shape[0]
    soft = 0.6
    for k in range(contacts.shape[0]):
        x, y, heading, hl, hw, dark = contacts[k]
        c, s = np.cos(heading), np.sin(heading)
        r = np.sqrt(hl * hl + hw * hw) + soft
        i0, i1 = int((x - r - origin[0]) * cells), int((x + r - origin[0]) * cells) + 1
        j0, j1 = int((y - r - origin[1]) * cells), int((y + r - origin[1]) * cells) + 1
        for j in range(max(0, j0), min(n, j1)):
            for i in range(max(0, i0), min(n, i1)):
                dx, dy = (i + 0.5) / cells + origin[0] - x, (j + 0.5) / cells + origin[1] - y
                a = max(0.0, abs(c * dx + s * dy) - hl + 0.05)
                b = max(0.0, abs(-s * dx + c * dy) - hw + 0.05)
                d = np.sqrt(a * a + b * b) / soft
                if d < 1.0:
                    ground[j, i] *= 1.0 - dark * (1.0 - d) * (1.0 - d) * (1.0 + 2.0 * d)
