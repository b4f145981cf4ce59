# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-calls
# ruff: noqa: N803
"""The heaviest loops as one kernel each, in Triton: the same functions as in `segtween.device.eager`, which says what
they give. Importing this needs Triton.

Convention (docs/conventions.md): backward flow (dx, dy) in pixels of its own grid, pixel centres on integers,
half-pixel-centred, borders clamp. Places are a whole number and a fraction, exact in float32.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from segtween.device import eager
from segtween.device.preprocess import Normalisation, table
from segtween.device.sampling import FAR as FAR_PIXELS
from segtween.device.sampling import whole_ratio
from segtween.device.search import DAMPING, PATCH, SHARP, STEPS, STRIDE, Level
from segtween.segmenters.resampling import reads_neighbours
from segtween.types import SizeHW

FAR = tl.constexpr(FAR_PIXELS)
BLOCK, PATCHES = 256, 4


@triton.jit
def _axis(start, shift, length):
    """`sampling.samples`: the sample before start + shift, the one after, the latter's weight, and whether inside."""
    shift = tl.where(shift == shift, shift, -FAR)  # not so for NaN
    shift = tl.minimum(tl.maximum(shift, -FAR), FAR)
    whole = tl.floor(shift)
    weight = shift - whole
    at = start + whole.to(tl.int32)
    inside = (at >= 0) & ((at < length - 1) | ((at == length - 1) & (weight == 0.0)))
    weight = tl.where((at < 0) | (at >= length - 1), 0.0, weight)
    left = tl.minimum(tl.maximum(at, 0), length - 1)
    return left, tl.minimum(left + 1, length - 1), weight, inside


@triton.jit
def _centre(at, target, source):
    """Where the centre of cell `at` of `target` lies among `source` samples: whole part and fraction in 0..1."""
    numerator = (2 * at + 1) * source + target  # of the place + 1, which is never below 0
    whole = numerator // (2 * target)
    return whole - 1, (numerator - whole * 2 * target).to(tl.float32) / (2 * target)


@triton.jit
def _between(at, x0, x1, fx, y0, y1, fy, width, step, ok):
    """Bilinear between four values of a plane whose neighbours lie `step` apart."""
    a = tl.load(at + (y0 * width + x0) * step, mask=ok, other=0).to(tl.float32)
    b = tl.load(at + (y0 * width + x1) * step, mask=ok, other=0).to(tl.float32)
    c = tl.load(at + (y1 * width + x0) * step, mask=ok, other=0).to(tl.float32)
    d = tl.load(at + (y1 * width + x1) * step, mask=ok, other=0).to(tl.float32)
    upper = a + fx * (b - a)
    return upper + fy * (c + fx * (d - c) - upper)


@triton.jit
def _labels(
    values,
    composed,
    out,
    classes,
    h,
    w,
    gh,
    gw,
    height,
    width,
    scale_x,
    scale_y,
    HAS_COMPOSED: tl.constexpr,
    N: tl.constexpr,
):
    y = tl.program_id(0)
    x = tl.program_id(1) * N + tl.arange(0, N)
    ok = x < width
    column, across = _centre(x, width, w)
    row, down = _centre(y, height, h)
    down = down + tl.zeros([N], tl.float32)
    if HAS_COMPOSED:
        px, fx = _centre(x, width, gw)
        py, fy = _centre(y, height, gh)
        x0, x1 = tl.minimum(tl.maximum(px, 0), gw - 1), tl.minimum(px + 1, gw - 1)
        y0, y1 = tl.minimum(tl.maximum(py, 0), gh - 1), tl.minimum(py + 1, gh - 1)
        across += scale_x * _between(composed, x0, x1, fx, y0, y1, fy, gw, 2, ok)
        down += scale_y * _between(composed + 1, x0, x1, fx, y0, y1, fy, gw, 2, ok)
    left, right, fx, _ = _axis(column, across, w)
    above, below, fy, _ = _axis(row, down, h)
    best = tl.zeros([N], tl.int32)
    top = tl.full([N], float("-inf"), tl.float32)
    for label in range(classes):
        v = _between(values + label * h * w, left, right, fx, above, below, fy, w, 1, ok)
        better = v > top
        best = tl.where(better, label, best)
        top = tl.where(better, v, top)
    tl.store(out + y * width + x, best.to(tl.uint8), mask=ok)


@triton.jit
def _blend(fresh, history, composed, share, out, classes, h, w, N: tl.constexpr):
    at = tl.program_id(0) * N + tl.arange(0, N)
    ok = at < h * w
    left, right, fx, _ = _axis(at % w, tl.load(composed + 2 * at, mask=ok, other=0.0), w)
    above, below, fy, _ = _axis(at // w, tl.load(composed + 2 * at + 1, mask=ok, other=0.0), h)
    part = tl.load(share + at, mask=ok, other=0.0)
    for label in range(classes):
        plane = label * h * w
        new = tl.load(fresh + plane + at, mask=ok, other=0.0)
        old = _between(history + plane, left, right, fx, above, below, fy, w, 1, ok)
        tl.store(out + plane + at, new + part * (old - new), mask=ok)


@triton.jit
def _difference(current, previous, flow, out, h, w, N: tl.constexpr):
    at = tl.program_id(0) * N + tl.arange(0, N)
    ok = at < h * w
    left, right, fx, inside_x = _axis(at % w, tl.load(flow + 2 * at, mask=ok, other=0.0), w)
    above, below, fy, inside_y = _axis(at // w, tl.load(flow + 2 * at + 1, mask=ok, other=0.0), h)
    moved = _between(previous, left, right, fx, above, below, fy, w, 1, ok)
    now = tl.load(current + at, mask=ok, other=0).to(tl.float32)
    tl.store(out + at, tl.where(inside_x & inside_y, tl.abs(now - moved), 255.0), mask=ok)


@triton.jit
def _follow(
    reliability, composed, flow, error, new_reliability, new_composed, gh, gw, w, tolerance,
    KY: tl.constexpr, KX: tl.constexpr, HAS_RELIABILITY: tl.constexpr, HAS_COMPOSED: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * N + tl.arange(0, N)
    ok = at < gh * gw
    x, y = at % gw, at // gw
    dx = tl.zeros([N], tl.float32)
    dy = tl.zeros([N], tl.float32)
    e = tl.zeros([N], tl.float32)
    for ky in range(KY):
        for kx in range(KX):
            pixel = (y * KY + ky) * w + x * KX + kx
            dx += tl.load(flow + 2 * pixel, mask=ok, other=0.0)
            dy += tl.load(flow + 2 * pixel + 1, mask=ok, other=0.0)
            e += tl.load(error + pixel, mask=ok, other=0.0)
    dx, dy, e = dx / (KX * KY * KX), dy / (KX * KY * KY), e / (KX * KY * tolerance)
    left, right, fx, inside_x = _axis(x, dx, gw)
    above, below, fy, inside_y = _axis(y, dy, gh)
    fading = tl.where(inside_x & inside_y, tl.exp(-e * e), 0.0)
    if HAS_RELIABILITY:
        fading *= _between(reliability, left, right, fx, above, below, fy, gw, 1, ok)
    if HAS_COMPOSED:
        dx += _between(composed, left, right, fx, above, below, fy, gw, 2, ok)
        dy += _between(composed + 1, left, right, fx, above, below, fy, gw, 2, ok)
    tl.store(new_reliability + at, fading, mask=ok)
    tl.store(new_composed + 2 * at, dx, mask=ok)
    tl.store(new_composed + 2 * at + 1, dy, mask=ok)


@triton.jit
def _grey(rgb, out, h, w, width, K: tl.constexpr, N: tl.constexpr):
    at = tl.program_id(0) * N + tl.arange(0, N)
    ok = at < h * w
    x, y = at % w, at // w
    red = tl.zeros([N], tl.int32)
    green = tl.zeros([N], tl.int32)
    blue = tl.zeros([N], tl.int32)
    total = tl.zeros([N], tl.int32)
    for ky in range(K):
        for kx in range(K):
            pixel = rgb + 3 * ((y * K + ky) * width + x * K + kx)
            r = tl.load(pixel, mask=ok, other=0).to(tl.int32)
            g = tl.load(pixel + 1, mask=ok, other=0).to(tl.int32)
            b = tl.load(pixel + 2, mask=ok, other=0).to(tl.int32)
            red, green, blue = red + r, green + g, blue + b
            total += (r * 9798 + g * 19235 + b * 3735 + 16384) >> 15
    cells: tl.constexpr = K * K
    if K % 4 == 0:  # luma of the mean, not mean of lumas
        luma = (red * 4899 + green * 9617 + blue * 1868).to(tl.float32)
        tl.store(out + at, tl.floor(luma * (1.0 / (16384 * cells)) + 0.5).to(tl.uint8), mask=ok)
    else:
        mean, rest = total // cells, total % cells
        up = (2 * rest > cells) | ((2 * rest == cells) & ((mean % 2 == 1) | (K == 2)))  # half to even, of four up
        tl.store(out + at, (mean + up.to(tl.int32)).to(tl.uint8), mask=ok)


@triton.jit
def _preprocess(
    rgb, left_x, right_x, before_x, after_x, left_y, right_y, before_y, after_y, out, h, w, width,
    red_factor, green_factor, blue_factor, red_offset, green_offset, blue_offset,
    IS_BGR: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    at = tl.program_id(0) * N + tl.arange(0, N)
    ok = at < h * w
    x, y = at % w, at // w
    x0, x1 = tl.load(left_x + x, mask=ok, other=0), tl.load(right_x + x, mask=ok, other=0)
    y0, y1 = tl.load(left_y + y, mask=ok, other=0), tl.load(right_y + y, mask=ok, other=0)
    a, b = tl.load(before_x + x, mask=ok, other=0), tl.load(after_x + x, mask=ok, other=0)
    c, d = tl.load(before_y + y, mask=ok, other=0), tl.load(after_y + y, mask=ok, other=0)
    for channel in tl.static_range(3):
        source = rgb + (2 - channel if IS_BGR else channel)
        p = tl.load(source + 3 * (y0 * width + x0), mask=ok, other=0).to(tl.int32)
        q = tl.load(source + 3 * (y0 * width + x1), mask=ok, other=0).to(tl.int32)
        r = tl.load(source + 3 * (y1 * width + x0), mask=ok, other=0).to(tl.int32)
        s = tl.load(source + 3 * (y1 * width + x1), mask=ok, other=0).to(tl.int32)
        value = (((c * ((p * a + q * b) >> 4)) >> 16) + ((d * ((r * a + s * b) >> 4)) >> 16) + 2) >> 2
        factor = red_factor if channel == 0 else (green_factor if channel == 1 else blue_factor)
        offset = red_offset if channel == 0 else (green_offset if channel == 1 else blue_offset)
        normalised = value.to(tl.float32) * factor + offset
        tl.store(out + 3 * at + channel, normalised.to(out.dtype.element_ty), mask=ok)


@triton.jit
def _pixel(image, y, x, h, w, ok):
    """A pixel; outside the image its border goes on."""
    y, x = tl.minimum(tl.maximum(y, 0), h - 1), tl.minimum(tl.maximum(x, 0), w - 1)
    return tl.load(image + y * w + x, mask=ok, other=0.0)


@triton.jit
def _residual(previous, template, x, y, u, v, h, w, ok, SIZE: tl.constexpr):
    """What patches moved by (u, v) leave of their templates, less its mean, and the sum of its squares."""
    left, right, fx, _ = _axis(x, u[:, None] + tl.zeros_like(template), w)
    above, below, fy, _ = _axis(y, v[:, None] + tl.zeros_like(template), h)
    off = _between(previous, left, right, fx, above, below, fy, w, 1, ok) - template
    off = off - (tl.sum(off, axis=1) / SIZE)[:, None]
    return off, tl.sum(off * off, axis=1)


@triton.jit
def _search(
    current, previous, start, out, h, w, gh, gw, damping,
    SIDE: tl.constexpr, APART: tl.constexpr, STEPS: tl.constexpr, N: tl.constexpr,
):  # fmt: skip
    patch = tl.program_id(0) * N + tl.arange(0, N)
    real = patch < gh * gw
    py, px = patch // gw, patch % gw
    pixel = tl.arange(0, SIDE * SIDE)
    y = (py * APART)[:, None] + (pixel // SIDE)[None, :]
    x = (px * APART)[:, None] + (pixel % SIDE)[None, :]
    ok = real[:, None] & (pixel >= 0)[None, :]
    template = _pixel(current, y, x, h, w, ok)
    a = _pixel(current, y - 1, x - 1, h, w, ok)
    b = _pixel(current, y - 1, x, h, w, ok)
    c = _pixel(current, y - 1, x + 1, h, w, ok)
    d = _pixel(current, y, x - 1, h, w, ok)
    e = _pixel(current, y, x + 1, h, w, ok)
    f = _pixel(current, y + 1, x - 1, h, w, ok)
    g = _pixel(current, y + 1, x, h, w, ok)
    k = _pixel(current, y + 1, x + 1, h, w, ok)
    gx = ((c - a) + 2 * (e - d) + (k - f)) / 8
    gy = ((f - a) + 2 * (g - b) + (k - c)) / 8
    size: tl.constexpr = SIDE * SIDE
    gx = gx - (tl.sum(gx, axis=1) / size)[:, None]
    gy = gy - (tl.sum(gy, axis=1) / size)[:, None]
    xx = tl.sum(gx * gx, axis=1) + damping
    xy = tl.sum(gx * gy, axis=1)
    yy = tl.sum(gy * gy, axis=1) + damping
    scale = 1.0 / (xx * yy - xy * xy)

    u = tl.load(start + 2 * patch, mask=real, other=0.0)
    v = tl.load(start + 2 * patch + 1, mask=real, other=0.0)
    _, least = _residual(previous, template, x, y, u, v, h, w, ok, size)
    for side in tl.static_range(4):  # left, right, above, below
        dx = -1 if side == 0 else (1 if side == 1 else 0)
        dy = -1 if side == 2 else (1 if side == 3 else 0)
        ny = tl.minimum(tl.maximum(py + dy, 0), gh - 1)
        nx = tl.minimum(tl.maximum(px + dx, 0), gw - 1)
        other_u = tl.load(start + 2 * (ny * gw + nx), mask=real, other=0.0)
        other_v = tl.load(start + 2 * (ny * gw + nx) + 1, mask=real, other=0.0)
        _, cost = _residual(previous, template, x, y, other_u, other_v, h, w, ok, size)
        better = cost < least
        u, v, least = tl.where(better, other_u, u), tl.where(better, other_v, v), tl.where(better, cost, least)

    first_u, first_v, at_u, at_v = u, v, u, v
    least = tl.full([N], float("inf"), tl.float32)
    falls = patch >= 0
    for _step in tl.static_range(STEPS):
        off, cost = _residual(previous, template, x, y, at_u, at_v, h, w, ok, size)
        falls = falls & (cost < least)
        u, v, least = tl.where(falls, at_u, u), tl.where(falls, at_v, v), tl.where(falls, cost, least)
        bx, by = tl.sum(gx * off, axis=1), tl.sum(gy * off, axis=1)
        at_u -= (yy * bx - xy * by) * scale
        at_v -= (xx * by - xy * bx) * scale
    near = (u - first_u) * (u - first_u) + (v - first_v) * (v - first_v) <= SIDE * SIDE
    tl.store(out + 2 * patch, tl.where(near, u, first_u), mask=real)
    tl.store(out + 2 * patch + 1, tl.where(near, v, first_v), mask=real)


@triton.jit
def _densify(
    current, previous, patches, out, h, w, gh, gw, sharp, OVER: tl.constexpr, APART: tl.constexpr, N: tl.constexpr
):
    at = tl.program_id(0) * N + tl.arange(0, N)
    ok = at < h * w
    x, y = at % w, at // w
    now = tl.load(current + at, mask=ok, other=0.0)
    sum_u = tl.zeros([N], tl.float32)
    sum_v = tl.zeros([N], tl.float32)
    weight = tl.zeros([N], tl.float32)
    for above in tl.static_range(OVER):
        for before in tl.static_range(OVER):
            py, px = y // APART - above, x // APART - before
            covers = ok & (py >= 0) & (py < gh) & (px >= 0) & (px < gw)
            u = tl.load(patches + 2 * (py * gw + px), mask=covers, other=0.0)
            v = tl.load(patches + 2 * (py * gw + px) + 1, mask=covers, other=0.0)
            left, right, fx, _ = _axis(x, u, w)
            top, bottom, fy, _ = _axis(y, v, h)
            rest = tl.abs(_between(previous, left, right, fx, top, bottom, fy, w, 1, ok) - now)
            rest = rest * rest
            part = tl.where(covers, 1.0 / (sharp + rest * rest), 0.0)
            sum_u += part * u
            sum_v += part * v
            weight += part
    weight = tl.maximum(weight, 1e-12)  # which it exceeds but where there is no pixel
    tl.store(out + 2 * at, sum_u / weight, mask=ok)
    tl.store(out + 2 * at + 1, sum_v / weight, mask=ok)


@triton.jit
def _finer(flow, out, h, w, gh, gw, height, width, APART: tl.constexpr, MIDDLE: tl.constexpr, N: tl.constexpr):
    """A flow (h, w, 2) as one of (height, width), at every `APART`th pixel from `MIDDLE` on."""
    at = tl.program_id(0) * N + tl.arange(0, N)
    ok = at < gh * gw
    x = tl.minimum((at % gw) * APART + MIDDLE, width - 1)
    y = tl.minimum((at // gw) * APART + MIDDLE, height - 1)
    px, fx = _centre(x, width, w)
    py, fy = _centre(y, height, h)
    x0, x1 = tl.minimum(tl.maximum(px, 0), w - 1), tl.minimum(px + 1, w - 1)
    y0, y1 = tl.minimum(tl.maximum(py, 0), h - 1), tl.minimum(py + 1, h - 1)
    u = _between(flow, x0, x1, fx, y0, y1, fy, w, 2, ok) * (width / w)
    v = _between(flow + 1, x0, x1, fx, y0, y1, fy, w, 2, ok) * (height / h)
    tl.store(out + 2 * at, u, mask=ok)
    tl.store(out + 2 * at + 1, v, mask=ok)


# ── As in `eager` ─────────────────────────────────────────────────────────────────────────────


def labels_along(values: Tensor, composed: Tensor | None, size_hw: SizeHW) -> Tensor:
    values = values.contiguous()
    classes, h, w = values.shape
    out = torch.empty(size_hw, dtype=torch.uint8, device=values.device)
    gh, gw = (h, w) if composed is None else composed.shape[:2]
    flow = values if composed is None else composed.contiguous()
    sizes = classes, h, w, gh, gw, *size_hw, w / gw, h / gh
    grid = size_hw[0], triton.cdiv(size_hw[1], BLOCK)
    _labels[grid](values, flow, out, *sizes, HAS_COMPOSED=composed is not None, N=BLOCK)
    return out


def blend_along(fresh: Tensor, history: Tensor, composed: Tensor, share: Tensor) -> Tensor:
    classes, h, w = fresh.shape
    given = [values.contiguous() for values in (fresh, history, composed, share)]
    out = torch.empty_like(given[0])
    _blend[(triton.cdiv(h * w, BLOCK),)](*given, out, classes, h, w, N=BLOCK)
    return out


def residual(current: Tensor, previous: Tensor, flow: Tensor) -> Tensor:
    h, w = current.shape
    out = torch.empty((h, w), dtype=torch.float32, device=current.device)
    given = [values.contiguous() for values in (current, previous, flow)]
    _difference[(triton.cdiv(h * w, BLOCK),)](*given, out, h, w, N=BLOCK)
    return out


def follow(
    reliability: Tensor | None,
    composed: Tensor | None,
    flow: Tensor,
    error: Tensor,
    *,
    grid_hw: SizeHW,
    tolerance: float,
) -> tuple[Tensor, Tensor]:
    size_hw = flow.shape[0], flow.shape[1]
    ratio = whole_ratio(size_hw, grid_hw)
    if ratio is None:
        return eager.follow(reliability, composed, flow, error, grid_hw=grid_hw, tolerance=tolerance)
    cells = grid_hw[0] * grid_hw[1]
    new_reliability = torch.empty(grid_hw, dtype=torch.float32, device=flow.device)
    new_composed = torch.empty((*grid_hw, 2), dtype=torch.float32, device=flow.device)
    flow, error = flow.contiguous(), error.contiguous()
    _follow[(triton.cdiv(cells, BLOCK),)](
        new_reliability if reliability is None else reliability.contiguous(),
        new_composed if composed is None else composed.contiguous(),
        flow, error, new_reliability, new_composed, *grid_hw, size_hw[1], tolerance,
        KY=ratio[0], KX=ratio[1], HAS_RELIABILITY=reliability is not None, HAS_COMPOSED=composed is not None, N=BLOCK,
    )  # fmt: skip
    return new_reliability, new_composed


def grey_view(rgb: Tensor, grid_hw: SizeHW) -> Tensor:
    size_hw = rgb.shape[0], rgb.shape[1]
    ratio = whole_ratio(size_hw, grid_hw)
    if ratio is None or ratio[0] != ratio[1]:
        return eager.grey_view(rgb, grid_hw)
    out = torch.empty(grid_hw, dtype=torch.uint8, device=rgb.device)
    cells = grid_hw[0] * grid_hw[1]
    # Without fusing, which would round once where the processor rounds twice.
    _grey[(triton.cdiv(cells, BLOCK),)](
        rgb.contiguous(), out, *grid_hw, size_hw[1], K=ratio[0], N=BLOCK, enable_fp_fusion=False
    )
    return out


def preprocess(rgb: Tensor, size_hw: SizeHW, normalisation: Normalisation) -> Tensor:
    h, w = rgb.shape[:2]
    if not reads_neighbours(size_hw, (h, w), normalisation.resampling):
        return eager.preprocess(rgb, size_hw, normalisation)
    x, y = table(size_hw[1], w, rgb.device), table(size_hw[0], h, rgb.device)
    out = torch.empty((*size_hw, 3), dtype=normalisation.dtype, device=rgb.device)
    grid = (triton.cdiv(size_hw[0] * size_hw[1], BLOCK),)
    _preprocess[grid](
        rgb.contiguous(),
        *x,
        *y,
        out,
        *size_hw,
        w,
        *normalisation.factor,
        *normalisation.offset,
        IS_BGR=normalisation.is_bgr,
        N=BLOCK,
    )
    return out.permute(2, 0, 1)[None]


# ── As in `segtween.device.search` ────────────────────────────────────────────────────────────


def begin(flow: Tensor, level: Level) -> Tensor:
    return _at(flow, level.patches_hw, level.size_hw, apart=STRIDE, middle=PATCH // 2)


def enlarged(flow: Tensor, size_hw: SizeHW) -> Tensor:
    return _at(flow, size_hw, size_hw, apart=1, middle=0)


def _at(flow: Tensor, grid_hw: SizeHW, size_hw: SizeHW, *, apart: int, middle: int) -> Tensor:
    out = torch.empty((*grid_hw, 2), dtype=torch.float32, device=flow.device)
    grid = (triton.cdiv(grid_hw[0] * grid_hw[1], BLOCK),)
    sizes = flow.shape[0], flow.shape[1], *grid_hw, *size_hw
    _finer[grid](flow.contiguous(), out, *sizes, APART=apart, MIDDLE=middle, N=BLOCK)
    return out


def search(level: Level, start: Tensor) -> Tensor:
    start = start.contiguous()
    out = torch.empty_like(start)
    gh, gw = level.patches_hw
    images = level.current.contiguous(), level.previous.contiguous()
    _search[(triton.cdiv(gh * gw, PATCHES),)](
        *images, start, out, *level.size_hw, gh, gw, DAMPING, SIDE=PATCH, APART=STRIDE, STEPS=STEPS, N=PATCHES
    )
    return out


def densify(level: Level, patches: Tensor) -> Tensor:
    h, w = level.size_hw
    out = torch.empty((h, w, 2), dtype=torch.float32, device=patches.device)
    images = level.current.contiguous(), level.previous.contiguous()
    sizes = h, w, *level.patches_hw, SHARP
    grid = (triton.cdiv(h * w, BLOCK),)
    _densify[grid](*images, patches.contiguous(), out, *sizes, OVER=PATCH // STRIDE, APART=STRIDE, N=BLOCK)
    return out
