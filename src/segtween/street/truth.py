"""Exact truth of a frame: labels, backward flow, and what was not visible in the previous frame.

Flow follows the pixel centre's own point of its triangle, which lies at the same barycentric coordinates a
frame earlier, so that moving and bending actors are exact too. Pixel coordinates (x, y), centres on integers:
current(x, y) = previous(x + dx, y + dy).

Occlusion asks the previous frame's triangles at the exact place, not its depth grid (an irregular depth buffer:
Johnson et al., 2005). Only where the four samples around the place disagree is the test needed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.street.kernels import _cutout_level, _jit, _opaque
from segtween.street.shade import _skyline

A = NDArray[Any]

CLOSER = 1.0002
"""How much nearer (as a ratio of depths) a surface must be to hide a point: keeps neighbours of one surface apart."""


@_jit
def labels_and_flow(
    ids: A, edge: A, past: A, face: A, env: A, cam_before: A, line: A, labels: A, flow: A, inverse_before: A
) -> None:
    """Train ids, backward flow and 1 / (depth in the previous frame) (0 at infinity, -1 behind the camera)."""
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            t = ids[2 * y + 1, 2 * x + 1]
            if t < 0:
                fx, fy = (x - env[37]) / env[27], (y - env[38]) / env[27]
                dx = env[28] + env[31] * fx + env[34] * fy
                dy = env[29] + env[32] * fx + env[35] * fy
                dz = env[30] + env[33] * fx + env[36] * fy
                labels[y, x] = 10
                rise = dz / math.sqrt(dx * dx + dy * dy)
                if rise < 0.14:
                    tall, label = _skyline(line, dx, dy)
                    if rise < tall:
                        labels[y, x] = label
                qx = cam_before[0, 0] * dx + cam_before[0, 1] * dy + cam_before[0, 2] * dz
                qy = cam_before[1, 0] * dx + cam_before[1, 1] * dy + cam_before[1, 2] * dz
                qw = cam_before[2, 0] * dx + cam_before[2, 1] * dy + cam_before[2, 2] * dz
                inverse_before[y, x] = 0.0
            else:
                e, p = edge[t], past[t]
                labels[y, x] = np.uint8(face[t, 6])
                e0, e1, e2 = e[0] * x + e[1] * y + e[2], e[3] * x + e[4] * y + e[5], e[6] * x + e[7] * y + e[8]
                s = 1.0 / (e0 + e1 + e2)
                qx = (e0 * p[0, 0] + e1 * p[1, 0] + e2 * p[2, 0]) * s
                qy = (e0 * p[0, 1] + e1 * p[1, 1] + e2 * p[2, 1]) * s
                qw = (e0 * p[0, 2] + e1 * p[1, 2] + e2 * p[2, 2]) * s
                inverse_before[y, x] = 1.0 / qw if qw > 0.01 else -1.0
            qw = max(qw, 0.01)
            flow[y, x, 0] = qx / qw - x
            flow[y, x, 1] = qy / qw - y


@_jit
def hidden(
    ids: A, uid: A, flow: A, inverse_now: A, ids_before: A, uid_before: A, count_before: int,
    edge_before: A, geo_before: A, face_before: A, box_before: A, textures: A, levels: A, head: A, rows: A, after: A,
    query: A, pixel: A, own_uid: A, occlusion: A,
) -> int:  # fmt: skip
    """True where the pixel's point was hidden in, or outside of, the previous frame; returns the exact tests asked.

    `head` .. `own_uid` are scratch: the questions, by the previous frame's pixel they fall into.
    """
    height, width = occlusion.shape
    head[:] = -1
    rows[:] = False
    asked = 0
    for y in range(height):
        for x in range(width):
            occlusion[y, x] = True
            t = ids[2 * y + 1, 2 * x + 1]
            own = uid[t] if t >= 0 else np.int64(-2)
            if own == -1 or inverse_now[y, x] < 0:
                continue
            qx, qy = x + float(flow[y, x, 0]), y + float(flow[y, x, 1])
            if not (qx >= 0 and qy >= 0 and qx <= width - 1 and qy <= height - 1):
                continue
            i, j = math.floor(2 * qx + 1), math.floor(2 * qy + 1)
            agree = 0
            for dj in range(2):
                for di in range(2):
                    b = ids_before[j + dj, i + di]
                    if (uid_before[b] if b >= 0 else np.int64(-2)) == own:
                        agree += 1
            if agree == 4:
                occlusion[y, x] = False
                continue
            first = ids_before[j, i]
            if (
                agree == 0 and first >= 0 and first == ids_before[j + 1, i] and first == ids_before[j, i + 1]
                and first == ids_before[j + 1, i + 1] and not int(face_before[first, 7]) & 2
            ):  # fmt: skip
                e = edge_before[first]
                here = (e[0] + e[3] + e[6]) * qx + (e[1] + e[4] + e[7]) * qy + e[2] + e[5] + e[8]
                occlusion[y, x] = here > inverse_now[y, x] * CLOSER + 1e-7
                continue
            occlusion[y, x] = False
            cy, cx = int(qy + 0.5), int(qx + 0.5)
            query[asked, 0], query[asked, 1], query[asked, 2] = qx, qy, inverse_now[y, x] * CLOSER + 1e-7
            own_uid[asked] = own
            pixel[asked, 0], pixel[asked, 1] = y, x
            after[asked] = head[cy, cx]
            head[cy, cx] = asked
            rows[cy] = True
            asked += 1
    for t in range(count_before):
        e, g = edge_before[t], geo_before[t]
        cut = int(face_before[t, 7]) & 2
        level, layer = -1, int(face_before[t, 1])
        x0, x1 = max(0, (box_before[t, 0] - 2) // 2), min(width - 1, (box_before[t, 1] + 2) // 2)
        y0, y1 = max(0, (box_before[t, 2] - 2) // 2), min(height - 1, (box_before[t, 3] + 2) // 2)
        for cy in range(y0, y1 + 1):
            if not rows[cy]:
                continue
            # Columns that the triangle may touch anywhere within this row of pixels.
            lo, hi = float(x0), float(x1)
            for k in range(0, 9 if x1 - x0 > 2 else 0, 3):
                q = e[k + 1] * cy + e[k + 2] + 0.5 * abs(e[k + 1])
                if e[k] > 0:
                    lo = max(lo, -q / e[k] - 0.5)
                elif e[k] < 0:
                    hi = min(hi, -q / e[k] + 0.5)
                elif q < 0:
                    hi = -2.0
            for cx in range(math.ceil(lo), math.floor(hi) + 1):
                at = head[cy, cx]
                while at >= 0:
                    qx, qy = query[at, 0], query[at, 1]
                    e0 = e[0] * qx + e[1] * qy + e[2]
                    e1 = e[3] * qx + e[4] * qy + e[5]
                    e2 = e[6] * qx + e[7] * qy + e[8]
                    if e0 >= 0 and e1 >= 0 and e2 >= 0:
                        here = e0 + e1 + e2
                        nearer = here > query[at, 2] and here < 4.0
                        # A cut-out may have a hole here where this frame, seeing it larger, has a leaf.
                        itself = cut != 0 and uid_before[t] == own_uid[at]
                        if nearer or itself:
                            solid = True
                            if cut:
                                if level < 0:
                                    level = _cutout_level(
                                        e, g, 0.25 * (box_before[t, 0] + box_before[t, 1]) - 0.5,
                                        0.25 * (box_before[t, 2] + box_before[t, 3]) - 0.5,
                                    )  # fmt: skip
                                u = (e0 * g[0, 6] + e1 * g[1, 6] + e2 * g[2, 6]) / here
                                v = (e0 * g[0, 7] + e1 * g[1, 7] + e2 * g[2, 7]) / here
                                solid = _opaque(textures, levels, layer, level, u, v)
                            if solid != itself:
                                occlusion[pixel[at, 0], pixel[at, 1]] = True
                    at = after[at]
    return asked
