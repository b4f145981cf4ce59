"""Light: the colour of one point of a triangle, of the sky, and of the whole frame.

`env` is one vector of plain numbers (see `ENV`). Colours are linear; `tone` maps them to sRGB. Textures are
sampled with a footprint of up to four taps along its long side, and road markings are integrated over the
footprint in closed form, so that neither shimmers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.street.kernels import _inlined, _jit

A = NDArray[Any]

ENV = {
    "sun": 0, "sun_colour": 3, "sky_colour": 6, "haze_colour": 9, "bounce": 12, "haze": 15, "exposure": 16,
    "clouds": 17, "eye": 18, "noise": 21, "noise_seed": 22, "per_metre": 23, "shadow_origin": 24, "shadow_reach": 26,
    "focal": 27, "forward": 28, "right": 31, "down": 34, "centre": 37, "cloud_seed": 39, "markings": 40, "wear": 41,
    "vignette": 42, "contact_cells": 43, "tree_colour": 44, "contact_origin": 47, "half": 49,
}  # fmt: skip
ENV_SIZE = 50


@_inlined
def _texel(textures: A, levels: A, layer: int, level: int, u: float, v: float, channels: int, out: A) -> None:
    """Adds the bilinear sample; `v` points up, rows of the texture point down."""
    size = 256 >> level
    x, y = u * size - 0.5, -v * size - 0.5
    fx, fy = math.floor(x), math.floor(y)
    ax, ay = x - fx, y - fy
    x0, y0 = int(fx) & (size - 1), int(fy) & (size - 1)
    x1, y1 = (x0 + 1) & (size - 1), (y0 + 1) & (size - 1)
    base = levels[level]
    p, q = base + (y0 * size + x0) * 4, base + (y0 * size + x1) * 4
    r, s = base + (y1 * size + x0) * 4, base + (y1 * size + x1) * 4
    a, b, c, d = (1 - ax) * (1 - ay), ax * (1 - ay), (1 - ax) * ay, ax * ay
    for k in range(channels):
        out[k] += (
            a * textures[layer, p + k] + b * textures[layer, q + k] + c * textures[layer, r + k]
            + d * textures[layer, s + k]
        )  # fmt: skip


@_jit
def _texture(
    textures: A, levels: A, layer: int, u: float, v: float, ux: float, vx: float, uy: float, vy: float, most: int,
    channels: int, out: A,
) -> None:  # fmt: skip
    """Footprint-filtered sample in 0..1; derivatives are per pixel in x and y."""
    a, b = math.sqrt(ux * ux + vx * vx) * 256.0, math.sqrt(uy * uy + vy * vy) * 256.0
    if a < b:
        a, b, ux, vx = b, a, uy, vy
    taps = 1
    if a > 1.3 * b:
        taps = min(most, int(a / max(b, 0.7) + 0.5))
    taps = max(taps, 1)
    size = max(a / taps, b)
    level = 0
    while size > 1.46 and level < 8:
        size *= 0.5
        level += 1
    for k in range(channels):
        out[k] = 0.0
    for i in range(taps):
        o = (i + 0.5) / taps - 0.5
        _texel(textures, levels, layer, level, u + o * ux, v + o * vx, channels, out)
    gain = 1.0 / (255.0 * taps)
    for k in range(channels):
        out[k] *= gain


@_jit
def _covered(x: float, w: float, low: float, high: float) -> float:
    """Share of the interval [x - w/2, x + w/2] that lies in [low, high]."""
    return max(0.0, min(x + 0.5 * w, high) - max(x - 0.5 * w, low)) / w


@_jit
def _dashes(x: float, w: float, period: float, on: float) -> float:
    """Share of the interval around x that lies on the first `on` metres of every period."""
    a, b = (x - 0.5 * w) / period, (x + 0.5 * w) / period
    fa, fb = math.floor(a), math.floor(b)
    d = on / period
    return (fb * d + min(b - fb, d) - fa * d - min(a - fa, d)) * period / w


@_jit
def _markings(layout: int, style: int, half: float, s: float, t: float, ws: float, wt: float) -> tuple[float, float]:
    """White and yellow paint on the road at (s along, t across), both in metres."""
    white, yellow = 0.0, 0.0
    if layout == 4:
        return 0.0, 0.0
    if layout == 2:
        return _dashes(t + 20.0, wt, 1.1, 0.55) * _covered(abs(t), wt, 0.0, half - 0.15), 0.0
    centre = _covered(t, wt, -0.06, 0.06)
    if layout == 1:
        white += _covered(abs(t), wt, 0.08, 0.19)
    elif style == 0:
        white += centre * _dashes(s, ws, 6.0, 3.0)
    elif style == 1:
        white += centre * _dashes(s, ws, 6.0, 4.0)
    else:
        white += centre * _dashes(s, ws, 9.0, 3.0)
    if layout == 0 or layout == 1:
        if style == 1:
            yellow += _covered(abs(t), wt, half - 0.43, half - 0.35) + _covered(abs(t), wt, half - 0.25, half - 0.17)
        elif half > 5.0:
            white += _covered(abs(t), wt, 3.45, 3.55) * (_dashes(s, ws, 2.0, 1.0) if style == 2 else 1.0)
    elif layout == 5:
        white += _covered(abs(t), wt, 3.45, 3.55) + 0.9 * _covered(abs(t), wt, 3.45, half - 0.05) * _dashes(
            s, ws, 6.0, 0.1
        )
    elif layout == 6:
        white += _covered(abs(t), wt, half - 0.3, half - 0.18) * _dashes(s, ws, 1.0, 0.5)
    return min(white, 1.0), min(yellow, 1.0)


@_inlined
def _clouds(cloud: A, u: float, v: float) -> float:
    n = cloud.shape[0]
    x, y = u * n, v * n
    fx, fy = math.floor(x), math.floor(y)
    ax, ay = x - fx, y - fy
    x0, y0 = int(fx) & (n - 1), int(fy) & (n - 1)
    x1, y1 = (x0 + 1) & (n - 1), (y0 + 1) & (n - 1)
    return (cloud[y0, x0] * (1 - ax) + cloud[y0, x1] * ax) * (1 - ay) + (
        cloud[y1, x0] * (1 - ax) + cloud[y1, x1] * ax
    ) * ay


@_jit
def _skyline(line: A, dx: float, dy: float) -> tuple[float, int]:
    """Height (tangent of the elevation) of the far skyline in a direction, and what stands there."""
    n = line.shape[1]
    a = (math.atan2(dy, dx) / (2 * math.pi) + 0.5) * n
    i = math.floor(a)
    f = a - i
    i, j = i % n, (i + 1) % n
    return line[0, i] * (1 - f) + line[0, j] * f, int(line[1, i])


@_jit
def sky(env: A, cloud: A, line: A, dx: float, dy: float, dz: float, bare: bool, out: A) -> int:
    """Colour of a direction at infinity; returns the Cityscapes train id found there. `bare`: no skyline."""
    flat = math.sqrt(dx * dx + dy * dy) + 1e-9
    rise = dz / flat
    length = math.sqrt(dx * dx + dy * dy + dz * dz)
    label = 10
    if not bare and rise < 0.14:
        height, label = _skyline(line, dx, dy)
        if rise < height:
            shade = 0.75 if label == 2 else 0.6
            for k in range(3):
                base = 0.35 if label == 2 else 0.3 * env[44 + k]
                lit = base * (0.6 * env[6 + k] + 0.3 * env[3 + k] * max(0.2, env[2]))
                out[k] = lit * (1 - shade) + env[9 + k] * shade
            return label
        label = 10
    z = max(dz / length, 0.0)
    a = 1.0 - z
    a = a * a * a * math.sqrt(a)
    for k in range(3):
        out[k] = env[6 + k] * (1 - a) + env[9 + k] * a
    facing = (dx * env[0] + dy * env[1] + dz * env[2]) / length
    if facing > 0:
        wide = facing * facing * facing
        wide = wide * wide
        wide = wide * wide
        disc = wide * wide
        disc = disc * disc
        disc = disc * disc
        disc = disc * disc
        disc = disc * disc
        glow = 0.35 * wide + 2.5 * disc
        for k in range(3):
            out[k] += glow * env[3 + k] * 0.35
    if z > 0.01 and env[17] > 0:
        s = 0.32 / (z + 0.10)
        density = _clouds(cloud, dx / length * s + env[39], dy / length * s + env[39] * 1.7)
        cover = min(1.0, max(0.0, (density - (1.0 - env[17])) * 2.6)) * min(1.0, z * 9.0)
        thick = min(1.0, max(0.0, density - 0.35) * 1.4)
        for k in range(3):
            bright = (env[3 + k] * 0.42 + env[9 + k] * 0.55) * (1.12 - 0.5 * thick)
            out[k] = out[k] * (1 - cover) + bright * cover
    return label


@_inlined
def _sunlit(env: A, basis: A, shadow: A, x: float, y: float, z: float) -> float:
    """Share of sunlight that reaches a point, four shadow cells blended."""
    u = (basis[0, 0] * x + basis[0, 1] * y + basis[0, 2] * z - env[24]) * env[23]
    v = (basis[1, 0] * x + basis[1, 1] * y + basis[1, 2] * z - env[25]) * env[23]
    d = basis[2, 0] * x + basis[2, 1] * y + basis[2, 2] * z
    i, j = math.floor(u), math.floor(v)
    n = shadow.shape[0]
    if i < 0 or j < 0 or i >= n - 1 or j >= n - 1:
        return 0.7
    a, b = u - i, v - j
    lit = 0.0
    if d >= shadow[j, i]:
        lit += (1 - a) * (1 - b)
    if d >= shadow[j, i + 1]:
        lit += a * (1 - b)
    if d >= shadow[j + 1, i]:
        lit += (1 - a) * b
    if d >= shadow[j + 1, i + 1]:
        lit += a * b
    return lit


@_inlined
def _touch(contact: A, env: A, x: float, y: float) -> float:
    """Share of the sky's light left on the ground beside and under things."""
    u, v = (x - env[47]) * env[43] - 0.5, (y - env[48]) * env[43] - 0.5
    i, j = math.floor(u), math.floor(v)
    n = contact.shape[0]
    if i < 0 or j < 0 or i >= n - 1 or j >= n - 1:
        return 1.0
    a, b = u - i, v - j
    return (contact[j, i] * (1 - a) + contact[j, i + 1] * a) * (1 - b) + (
        contact[j + 1, i] * (1 - a) + contact[j + 1, i + 1] * a
    ) * b


@_inlined
def shade(
    t: int, edge: A, geo: A, face: A, x: float, y: float, env: A, basis: A, shadow: A, contact: A, textures: A,
    levels: A, cloud: A, line: A, tmp: A, out: A,
) -> None:  # fmt: skip
    """Linear colour of the triangle's plane at pixel coordinates (x, y)."""
    kind = int(face[t, 0])
    e0, e1, e2 = (
        edge[t, 0] * x + edge[t, 1] * y + edge[t, 2],
        edge[t, 3] * x + edge[t, 4] * y + edge[t, 5],
        edge[t, 6] * x + edge[t, 7] * y + edge[t, 8],
    )
    w = 1.0 / max(e0 + e1 + e2, 1e-9)
    a, b, c = e0 * w, e1 * w, e2 * w
    px = a * geo[t, 0, 0] + b * geo[t, 1, 0] + c * geo[t, 2, 0]
    py = a * geo[t, 0, 1] + b * geo[t, 1, 1] + c * geo[t, 2, 1]
    pz = a * geo[t, 0, 2] + b * geo[t, 1, 2] + c * geo[t, 2, 2]
    nx = a * geo[t, 0, 3] + b * geo[t, 1, 3] + c * geo[t, 2, 3]
    ny = a * geo[t, 0, 4] + b * geo[t, 1, 4] + c * geo[t, 2, 4]
    nz = a * geo[t, 0, 5] + b * geo[t, 1, 5] + c * geo[t, 2, 5]
    n = 1.0 / math.sqrt(nx * nx + ny * ny + nz * nz + 1e-12)
    nx, ny, nz = nx * n, ny * n, nz * n
    vx, vy, vz = env[18] - px, env[19] - py, env[20] - pz
    distance = math.sqrt(vx * vx + vy * vy + vz * vz)
    vx, vy, vz = vx / distance, vy / distance, vz / distance
    facing = nx * vx + ny * vy + nz * vz
    if facing < 0 and kind != 6:
        if int(face[t, 7]) & 1:
            nx, ny, nz = -nx, -ny, -nz
        facing = abs(facing)
    light = min(1.0, max(0.0, a * geo[t, 0, 8] + b * geo[t, 1, 8] + c * geo[t, 2, 8]))
    if nz > 0.9 and pz < 0.3:
        light *= _touch(contact, env, px, py)
    r0, g0, b0 = face[t, 2], face[t, 3], face[t, 4]
    if kind <= 1 or kind == 6:
        u = a * geo[t, 0, 6] + b * geo[t, 1, 6] + c * geo[t, 2, 6]
        v = a * geo[t, 0, 7] + b * geo[t, 1, 7] + c * geo[t, 2, 7]
        wx = 1.0 / max(e0 + e1 + e2 + edge[t, 0] + edge[t, 3] + edge[t, 6], 1e-6)
        ux = (
            (e0 + edge[t, 0]) * geo[t, 0, 6] + (e1 + edge[t, 3]) * geo[t, 1, 6] + (e2 + edge[t, 6]) * geo[t, 2, 6]
        ) * wx - u
        vx1 = (
            (e0 + edge[t, 0]) * geo[t, 0, 7] + (e1 + edge[t, 3]) * geo[t, 1, 7] + (e2 + edge[t, 6]) * geo[t, 2, 7]
        ) * wx - v
        wy = 1.0 / max(e0 + e1 + e2 + edge[t, 1] + edge[t, 4] + edge[t, 7], 1e-6)
        uy = (
            (e0 + edge[t, 1]) * geo[t, 0, 6] + (e1 + edge[t, 4]) * geo[t, 1, 6] + (e2 + edge[t, 7]) * geo[t, 2, 6]
        ) * wy - u
        vy1 = (
            (e0 + edge[t, 1]) * geo[t, 0, 7] + (e1 + edge[t, 4]) * geo[t, 1, 7] + (e2 + edge[t, 7]) * geo[t, 2, 7]
        ) * wy - v
        if kind == 1:
            s = 0.25
            _texture(textures, levels, int(face[t, 1]), u * s, v * s, ux * s, vx1 * s, uy * s, vy1 * s, 3, 1, tmp)
            tone = tmp[0]
            s = 1.0 / 37.0
            _texture(textures, levels, int(face[t, 1]) + 1, u * s, v * s, ux * s, vx1 * s, uy * s, vy1 * s, 1, 2, tmp)
            tracks = abs(abs(v) - 1.65)
            tracks = max(0.0, 1.0 - 5.0 * (tracks - 0.75) ** 2)
            tracks = 0.06 * tracks * tracks
            base = tone * tone * (0.55 + 0.9 * tmp[0]) * (1.0 - tracks)
            ws, wt = abs(ux) + abs(uy) + 0.02, abs(vx1) + abs(vy1) + 0.015
            white, yellow = _markings(int(face[t, 5]), int(env[40]), env[49], u, v, ws, wt)
            worn = 1.0 - env[41] * min(1.0, 2.2 * abs(tmp[1] - 0.5) + 0.9 * max(0.0, 0.62 - tone))
            white, yellow = white * worn, yellow * worn
            rest = 1.0 - white - yellow
            r0 = r0 * base * rest + 0.62 * white + 0.55 * yellow
            g0 = g0 * base * rest + 0.62 * white + 0.38 * yellow
            b0 = b0 * base * rest + 0.60 * white + 0.06 * yellow
        else:
            _texture(textures, levels, int(face[t, 1]), u, v, ux, vx1, uy, vy1, 4, 4, tmp)
            tint = tmp[3]
            if int(face[t, 7]) & 2 or kind == 6:
                tint = 1.0
            r0 = tmp[0] * tmp[0] * (1 - tint + tint * r0)
            g0 = tmp[1] * tmp[1] * (1 - tint + tint * g0)
            b0 = tmp[2] * tmp[2] * (1 - tint + tint * b0)
    sun = nx * env[0] + ny * env[1] + nz * env[2]
    if kind == 6:
        sun = 0.35 + 0.65 * sun + 0.25 * max(0.0, -(vx * env[0] + vy * env[1] + vz * env[2]))
    lit = 0.0
    if sun > 0 and env[3] > 0:
        lit = 1.0
        fade = distance / env[26]
        if fade < 1.0:
            o = 0.5 if kind == 6 else 0.09
            lit = _sunlit(env, basis, shadow, px + nx * o + env[0] * 0.05, py + ny * o + env[1] * 0.05,
                          pz + nz * o + env[2] * 0.05)  # fmt: skip
            k = max(0.0, fade * 5.0 - 4.0)
            lit = lit * (1 - k) + 0.8 * k
        else:
            lit = 0.8
        lit *= min(1.0, light * 1.5)
    sun = max(sun, 0.0) * lit
    up = 0.5 + 0.5 * nz
    for k in range(3):
        ambient = (env[6 + k] * 0.55 + env[9 + k] * 0.45) * up + env[12 + k] * (1 - up)
        albedo = r0 if k == 0 else (g0 if k == 1 else b0)
        out[k] = albedo * (env[3 + k] * sun + ambient * light)
    if kind == 3 or kind == 4:
        k2 = 2.0 * (nx * vx + ny * vy + nz * vz)
        rx, ry, rz = k2 * nx - vx, k2 * ny - vy, k2 * nz - vz
        m = 1.0 - min(1.0, abs(facing))
        fresnel = 0.05 + 0.75 * m * m * m * m * m if kind == 3 else 0.16 + 0.75 * m * m * m * m
        spark = max(0.0, rx * env[0] + ry * env[1] + rz * env[2])
        spark = spark * spark * spark
        spark = spark * spark
        spark = spark * spark
        spark = spark * spark
        spark = spark * spark
        spark = spark * spark * 2.2 * lit
        if rz > 0.0:
            sky(env, cloud, line, rx, ry, rz + 0.02, True, tmp)
            dim = min(1.0, 0.35 + rz * 1.6)
        else:
            dim = 0.5
            for k in range(3):
                tmp[k] = env[12 + k]
        for k in range(3):
            out[k] = out[k] * (1 - fresnel) + (tmp[k] * dim * fresnel + spark * env[3 + k] * 0.4) * (0.3 + 0.7 * light)
    elif kind == 5:
        out[0] += face[t, 2] * face[t, 5]
        out[1] += face[t, 3] * face[t, 5]
        out[2] += face[t, 4] * face[t, 5]
    d = distance * env[15]
    # exp(-d) to about 0.002 where it matters: this runs for every pixel.
    haze = 1.0 - 1.0 / (1.0 + d * (1.0 + d * (0.5 + d * (0.1667 + d * 0.045))))
    for k in range(3):
        out[k] = out[k] * (1 - haze) + env[9 + k] * haze


@_jit
def _tone(tone: A, value: float) -> float:
    at = value * 512.0
    if not at > 0.0:
        return tone[0]
    if at >= tone.shape[0] - 2:
        return tone[tone.shape[0] - 1]
    i = int(at)
    return tone[i] + (tone[i + 1] - tone[i]) * (at - i)


@_jit
def plan(ids: A, job: A, at: A, share: A, first: A, source: A, weight: A, seen: A, sums: A) -> int:
    """What has to be shaded, and how pixels are mixed from it.

    Job k < H W is the centre of pixel k. Where samples of other surfaces lie around a centre, a 3x3 tent mixes
    them in, each from the nearest pixel whose centre shows the same surface, or as a job of its own. `share` is a
    pixel's own weight; its other parts are `source` and `weight` from `first[k]` to `first[k + 1]`. Returns the
    number of jobs. `seen` (9,) int64 and `sums` (3, 9) are scratch.
    """
    height, width = (ids.shape[0] - 1) // 2, (ids.shape[1] - 1) // 2
    jobs, parts = height * width, 0
    mass, mx, my = sums[0], sums[1], sums[2]
    for y in range(height):
        for x in range(width):
            i, j, p = 2 * x + 1, 2 * y + 1, y * width + x
            c = ids[j, i]
            job[p], at[p, 0], at[p, 1], share[p], first[p] = c, x, y, 1.0, parts
            if (
                ids[j - 1, i - 1] == c and ids[j - 1, i] == c and ids[j - 1, i + 1] == c and ids[j, i - 1] == c
                and ids[j, i + 1] == c and ids[j + 1, i - 1] == c and ids[j + 1, i] == c and ids[j + 1, i + 1] == c
            ):  # fmt: skip
                continue
            n, own = 0, 0.0
            for dj in range(-1, 2):
                for di in range(-1, 2):
                    s = ids[j + dj, i + di]
                    a = (2 - abs(di)) * (2 - abs(dj)) / 16.0
                    if s == c:
                        own += a
                        continue
                    k = 0
                    while k < n and seen[k] != s:
                        k += 1
                    if k == n:
                        seen[k], mass[k], mx[k], my[k] = s, 0.0, 0.0, 0.0
                        n += 1
                    mass[k] += a
                    mx[k] += a * di
                    my[k] += a * dj
            share[p] = own
            for k in range(n):
                gx, gy = int(np.sign(mx[k])), int(np.sign(my[k]))
                found = -1
                for attempt in range(3):
                    nx, ny = x + (gx if attempt != 2 else 0), y + (gy if attempt != 1 else 0)
                    inside = 0 <= nx < width and 0 <= ny < height
                    if inside and ids[2 * ny + 1, 2 * nx + 1] == seen[k]:
                        found = ny * width + nx
                        break
                if found < 0 and jobs < job.shape[0]:
                    w = 0.5 / mass[k]
                    job[jobs], at[jobs, 0], at[jobs, 1] = seen[k], x + mx[k] * w, y + my[k] * w
                    found = jobs
                    jobs += 1
                source[parts], weight[parts] = max(found, 0), mass[k]
                parts += 1
    first[height * width] = parts
    return jobs


@_jit
def light(
    jobs: int, job: A, at: A, edge: A, geo: A, face: A, env: A, basis: A, shadow: A, contact: A, textures: A,
    levels: A, cloud: A, line: A, colours: A, tmp: A, out: A,
) -> None:  # fmt: skip
    """Linear colour of every job; `tmp` (4,) and `out` (3,) are scratch."""
    for k in range(jobs):
        t, x, y = job[k], at[k, 0], at[k, 1]
        if t < 0:
            fx, fy = (x - env[37]) / env[27], (y - env[38]) / env[27]
            sky(env, cloud, line, env[28] + env[31] * fx + env[34] * fy, env[29] + env[32] * fx + env[35] * fy,
                env[30] + env[33] * fx + env[36] * fy, False, out)  # fmt: skip
            for q in range(3):
                out[q] *= 1.2
        else:
            shade(t, edge, geo, face, x, y, env, basis, shadow, contact, textures, levels, cloud, line, tmp, out)
        for q in range(3):
            colours[k, q] = min(out[q], 6.0)


@_jit
def develop(colours: A, share: A, first: A, source: A, weight: A, env: A, tone: A, total: A, rgb: A) -> None:
    """Mixes, exposes and tones the picture, and adds the sensor's noise; `total` (3,) is scratch."""
    height, width = rgb.shape[0], rgb.shape[1]
    for y in range(height):
        for x in range(width):
            p = y * width + x
            for q in range(3):
                total[q] = share[p] * colours[p, q]
            for k in range(first[p], first[p + 1]):
                for q in range(3):
                    total[q] += weight[k] * colours[source[k], q]
            rx, ry = (x - 0.5 * width) / width, (y - 0.5 * height) / height
            gain = env[16] * (1.0 - env[42] * (rx * rx + ry * ry) * 1.4)
            h = np.uint64(env[22]) + np.uint64(p) * np.uint64(0x9E3779B97F4A7C15)
            h = (h ^ (h >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            h = (h ^ (h >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
            h = h ^ (h >> np.uint64(31))
            common = (float(h & np.uint64(0xFFFF)) + float((h >> np.uint64(16)) & np.uint64(0xFFFF))) / 65536.0 - 1.0
            for q in range(3):
                own = float((h >> np.uint64(32 + 10 * q)) & np.uint64(0x3FF)) / 512.0 - 1.0
                value = _tone(tone, total[q] * gain) + env[21] * (1.8 * common + 0.8 * own)
                rgb[y, x, q] = np.uint8(min(255.0, max(0.0, value + 0.5)))
