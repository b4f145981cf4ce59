"""Dense Inverse Search (Kroeger, Timofte, Dai, Van Gool: Fast Optical Flow using Dense Inverse Search, ECCV 2016) in
torch, all patches at once and with fixed numbers of steps, so that it can be recorded and replayed.

    from coarse to fine      the flow so far, doubled, is where each patch begins
    each patch, in rounds    takes the displacement of its best neighbour, then descends (section 2.1: inverse
                             compositional, each patch less its mean)
    dense flow               the mean of the patches over a pixel, weighted by how well each explains it (section 2.2)

Convention (docs/conventions.md): backward flow, current(x, y) = previous(x + dx, y + dy); pixel centres on integers,
half-pixel-centred; outside an image its border goes on.
`begin`, `search`, `densify` and `enlarged` have fused forms in `segtween.device.kernels`.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from segtween.device.sampling import gather, resize_flow, resize_planes, samples
from segtween.types import SizeHW

PATCH, STRIDE = 8, 4
FINEST = {"fast": 2, "balanced": 1, "fine": 0}
"""By quality: matching ends at the view's resolution, halved this many times, as in `segtween.flow.dis`."""
ROUNDS, STEPS = 4, 3
DAMPING = 10.0
"""Added to the diagonal of every patch's matrix, in squared grey levels: what has no texture stays where it is."""
SHARP = 16.0
AROUND = ((0, -1), (0, 1), (-1, 0), (1, 0))


class Level(NamedTuple):
    """One scale of a pair: two images (h, w) float32."""

    current: Tensor
    previous: Tensor

    @property
    def size_hw(self) -> SizeHW:
        return self.current.shape[0], self.current.shape[1]

    @property
    def patches_hw(self) -> SizeHW:
        """Patches 4 pixels apart that cover the image, the last of them perhaps more."""
        rows, columns = (max(0, -(-(side - PATCH) // STRIDE)) + 1 for side in self.size_hw)
        return rows, columns


def dense_flow(current: Tensor, previous: Tensor, *, by: Any, finest: int) -> Tensor:
    """(h, w, 2) float32 between two grey images (h, w) uint8; `by` has the four loops, `finest` is of `FINEST`."""
    flow: Tensor | None = None
    for level in pyramid(current, previous, finest):
        patches = level.current.new_zeros((*level.patches_hw, 2)) if flow is None else by.begin(flow, level)
        for _ in range(ROUNDS):
            patches = by.search(level, patches)
        flow = by.densify(level, patches)
    assert flow is not None
    size_hw = current.shape[0], current.shape[1]
    return flow if tuple(flow.shape[:2]) == size_hw else by.enlarged(flow, size_hw)


def pyramid(current: Tensor, previous: Tensor, finest: int) -> list[Level]:
    """The scales, coarsest first: as many as leave room for about four patches across."""
    h, w = current.shape
    most = min(int(math.log2(max(h, w) / (4 * PATCH)) + 0.5), int(math.log2(max(1.0, min(h, w) / PATCH))))
    pair, levels = torch.stack((current, previous)).float(), []
    for scale in range(max(finest, most) + 1):
        if scale > 0:
            pair = resize_planes(pair, (-(-pair.shape[1] // 2), -(-pair.shape[2] // 2)))
        if scale >= finest:
            levels.append(Level(*pair))
    return levels[::-1]


# ── The four loops, in plain torch ────────────────────────────────────────────────────────────


enlarged = resize_flow


def begin(flow: Tensor, level: Level) -> Tensor:
    """(gh, gw, 2): a coarser flow in the middle of every patch of a level."""
    finer = enlarged(flow, level.size_hw)
    rows, columns = (
        (torch.arange(count, device=flow.device) * STRIDE + PATCH // 2).clamp(max=side - 1)
        for count, side in zip(level.patches_hw, level.size_hw, strict=True)
    )
    return finer[rows[:, None], columns[None]]


def search(level: Level, start: Tensor) -> Tensor:
    """(gh, gw, 2): a round for every patch, whose displacement was `start` (gh, gw, 2)."""
    still = torch.zeros_like(start)
    template = _moved(level.current, still)
    gx, gy = (_centred(_moved(plane, still)) for plane in _gradients(level.current, level.patches_hw))
    xx, xy, yy = (gx * gx).sum((2, 3)) + DAMPING, (gx * gy).sum((2, 3)), (gy * gy).sum((2, 3)) + DAMPING
    scale = 1 / (xx * yy - xy * xy)

    def residual(at: Tensor) -> tuple[Tensor, Tensor]:
        off = _centred(_moved(level.previous, at) - template)
        return off, (off * off).sum((2, 3))

    best, least = start, residual(start)[1]
    for step in AROUND:
        other = _neighbours(start, *step)
        cost = residual(other)[1]
        better = cost < least
        best, least = torch.where(better[..., None], other, best), torch.where(better, cost, least)
    first = at = best
    least, falls = torch.full_like(least, math.inf), torch.ones_like(least, dtype=torch.bool)
    for _ in range(STEPS):
        off, cost = residual(at)
        falls = falls & (cost < least)
        best, least = torch.where(falls[..., None], at, best), torch.where(falls, cost, least)
        bx, by = (gx * off).sum((2, 3)), (gy * off).sum((2, 3))
        at = at - torch.stack(((yy * bx - xy * by) * scale, (xx * by - xy * bx) * scale), 2)
    near = (best - first).square().sum(2, keepdim=True) <= PATCH * PATCH
    return torch.where(near, best, first)


def densify(level: Level, patches: Tensor) -> Tensor:
    """(h, w, 2): of the patches (gh, gw, 2) that cover a pixel the mean, each by 1 / (SHARP + e^4), e being what it
    leaves there in grey levels, as in `segtween.flow.search`."""
    (h, w), (gh, gw), device = level.size_hw, patches.shape[:2], patches.device
    rows, columns = torch.arange(h, device=device)[:, None], torch.arange(w, device=device)[None]
    total, weight = patches.new_zeros((h, w, 2)), patches.new_zeros((h, w, 1))
    for above in range(PATCH // STRIDE):
        for before in range(PATCH // STRIDE):
            py, px = rows // STRIDE - above, columns // STRIDE - before
            covers = (py >= 0) & (py < gh) & (px >= 0) & (px < gw)
            flow = patches[py.clamp(0, gh - 1), px.clamp(0, gw - 1)]
            x, y = samples(columns, flow[..., 0], w), samples(rows, flow[..., 1], h)
            left = (gather(level.previous[None], x, y)[0] - level.current).abs()
            part = (covers / (SHARP + left.square().square()))[..., None]
            total, weight = total + part * flow, weight + part
    return total / weight


def _gradients(image: Tensor, patches_hw: SizeHW) -> tuple[Tensor, Tensor]:
    """Sobel's, in grey levels per pixel, as far as the patches reach."""
    (h, w), device = image.shape, image.device
    rows, columns = (torch.arange(-1, (count - 1) * STRIDE + PATCH + 1, device=device) for count in patches_hw)
    around = image[rows.clamp(0, h - 1)[:, None], columns.clamp(0, w - 1)[None]]
    # By slices: torch may round what a convolution multiplies.
    across, down = around[:, 2:] - around[:, :-2], around[2:] - around[:-2]
    gradient_x = (across[:-2] + 2 * across[1:-1] + across[2:]) / 8
    gradient_y = (down[:, :-2] + 2 * down[:, 1:-1] + down[:, 2:]) / 8
    return gradient_x, gradient_y


def _centred(patches: Tensor) -> Tensor:
    return patches - patches.mean((2, 3), keepdim=True)


def _moved(image: Tensor, flow: Tensor) -> Tensor:
    """(gh, gw, 8, 8): what each patch covers when it is moved."""
    (gh, gw), (h, w), device = flow.shape[:2], image.shape, image.device
    within = torch.arange(PATCH, device=device)
    columns = (torch.arange(gw, device=device) * STRIDE)[None, :, None, None] + within
    rows = (torch.arange(gh, device=device) * STRIDE)[:, None, None, None] + within[:, None]
    x = samples(columns, flow[..., 0, None, None], w)
    y = samples(rows, flow[..., 1, None, None], h)
    return gather(image[None], x, y)[0]


def _neighbours(flow: Tensor, down: int, right: int) -> Tensor:
    """Each patch's neighbour; at the border the patch itself."""
    gh, gw = flow.shape[:2]
    rows = (torch.arange(gh, device=flow.device) + down).clamp(0, gh - 1)
    columns = (torch.arange(gw, device=flow.device) + right).clamp(0, gw - 1)
    return flow[rows[:, None], columns[None]]
