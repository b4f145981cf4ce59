"""The loops that have fused kernels (`segtween.device.kernels`), in plain torch; both give the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from segtween.device.preprocess import Normalisation, constants, table, taps
from segtween.device.sampling import (
    Samples,
    along,
    centres,
    enlarge,
    gather,
    positions,
    resize_flow,
    resize_planes,
    samples,
    whole_ratio,
)
from segtween.models.records import Resampling
from segtween.segmenters.resampling import BITS, reads_neighbours
from segtween.types import SizeHW


def residual(current: Tensor, previous: Tensor, flow: Tensor) -> Tensor:
    """|current - previous moved along the flow|, (h, w) float32, of uint8 images; 255 where it came from outside."""
    x, y = along(flow)
    moved = gather(previous[None].float(), x, y)[0]
    return (current.float() - moved).abs().masked_fill(~(x.inside & y.inside), 255.0)


def follow(
    reliability: Tensor | None,
    composed: Tensor | None,
    flow: Tensor,
    error: Tensor,
    *,
    grid_hw: SizeHW,
    tolerance: float,
) -> tuple[Tensor, Tensor]:
    """Reliability and composed flow one frame on, see `ops.cpu.CpuOps.follow`; both are of the grid."""
    near = resize_flow(flow, grid_hw)
    fading = torch.exp(-torch.square(resize_planes(error[None], grid_hw)[0] / tolerance))
    x, y = along(near)
    fading = fading * (x.inside & y.inside)
    if reliability is not None:
        fading = gather(reliability[None], x, y)[0] * fading
    return fading, near if composed is None else compose_flow(near, composed)


def compose_flow(near: Tensor, far: Tensor) -> Tensor:
    """One flow (h, w, 2) along two of one grid."""
    return near + gather(far.permute(2, 0, 1), *along(near)).permute(1, 2, 0)


def grey_view(rgb: Tensor, grid_hw: SizeHW) -> Tensor:
    """(H, W, 3) uint8 -> grey (h, w) uint8, the mean over each cell, rounded as `flow.view.GreyView` rounds."""
    size_hw = rgb.shape[0], rgb.shape[1]
    ratio = whole_ratio(size_hw, grid_hw)
    if ratio is not None and ratio[0] == ratio[1] and ratio[0] % 4 == 0:  # luma of the mean, not mean of lumas
        side, (h, w) = ratio[0], grid_hw
        red, green, blue = rgb.view(h, side, w, side, 3).sum((1, 3), dtype=torch.int32).unbind(2)
        luma = (red * 4899 + green * 9617 + blue * 1868).float()
        return (luma * (1.0 / (16384 * side * side)) + 0.5).floor().to(torch.uint8)
    red, green, blue = rgb.to(torch.int32).unbind(2)
    grey = (red * 9798 + green * 19235 + blue * 3735 + 16384) >> 15
    if size_hw == grid_hw:
        return grey.to(torch.uint8)
    mean = resize_planes(grey[None].float(), grid_hw)[0]
    # Of two by two pixels a half is rounded up, of other cells to even.
    rounded = (mean + 0.5).floor() if ratio == (2, 2) else mean.round()
    return rounded.to(torch.uint8)


def preprocess(rgb: Tensor, size_hw: SizeHW, normalisation: Normalisation) -> Tensor:
    """(H, W, 3) uint8 -> (1, 3, h, w) in channels-last order, as a network's input.

    Resized as the processor does it (`segmenters.network.resize`), bilinear in whole numbers.
    """
    factor, offset = constants(normalisation.factor, rgb.device), constants(normalisation.offset, rgb.device)
    seen = _resized(rgb, size_hw, normalisation.resampling)
    values = (seen.flip(2) if normalisation.is_bgr else seen) * factor + offset
    return values.to(normalisation.dtype).contiguous().permute(2, 0, 1)[None]


def _resized(rgb: Tensor, size_hw: SizeHW, how: Resampling | None) -> Tensor:
    """(h, w, 3) float32 of whole numbers, 0..255."""
    (h, w), whole = rgb.shape[:2], rgb.to(torch.int32)
    if (h, w) == size_hw:
        return rgb.float()
    if not reads_neighbours(size_hw, (h, w), how):
        if how is not None:
            return _antialiased(whole, size_hw, how).float()
        return resize_planes(rgb.permute(2, 0, 1).float(), size_hw).round().clamp(0, 255).permute(1, 2, 0)
    x, y = table(size_hw[1], w, rgb.device), table(size_hw[0], h, rgb.device)
    across = whole[:, x.left] * x.before[:, None] + whole[:, x.right] * x.after[:, None]
    above = (y.before[:, None, None] * (across[y.left] >> 4)) >> 16
    below = (y.after[:, None, None] * (across[y.right] >> 4)) >> 16
    return ((above + below + 2) >> 2).float()


def _antialiased(rgb: Tensor, size_hw: SizeHW, how: Resampling) -> Tensor:
    """`segmenters.resampling.antialiased` of whole numbers."""
    for axis, side in ((1, size_hw[1]), (0, size_hw[0])):
        at, weights = taps(side, rgb.shape[axis], how, rgb.device)
        shape = (-1, 1) if axis == 1 else (-1, 1, 1)
        sums = sum(rgb.index_select(axis, a) * weight.view(shape) for a, weight in zip(at, weights, strict=True))
        rgb = ((sums + (1 << (BITS - 1))) >> BITS).clamp(0, 255)
    return rgb


def blend_along(fresh: Tensor, history: Tensor, composed: Tensor, share: Tensor) -> Tensor:
    """(C, h, w): (1 - share) fresh + share history, read where `composed` (h, w, 2) leads; share is (h, w) in 0..1."""
    return fresh + share * (gather(history, *along(composed)) - fresh)


def labels_along(values: Tensor, composed: Tensor | None, size_hw: SizeHW) -> Tensor:
    """(H, W) uint8: the argmax of scores (C, h, w), enlarged bilinearly, ties to the lowest class.

    With composed flow (gh, gw, 2) on any grid that spans the image, in pixels of its own grid, read where it leads.
    """
    x, y = _places(composed, (values.shape[1], values.shape[2]), size_hw, values.device)
    return _largest(_between(plane, x, y) for plane in values)


def mixed_labels_along(
    first: tuple[Tensor, Tensor | None], second: tuple[Tensor, Tensor | None], share: Tensor, size_hw: SizeHW
) -> Tensor:
    """(H, W) uint8: the argmax of (1 - share) first + share second, each scores (C, h, w) with the composed flow that
    leads to them; `share` (gh, gw) in 0..1 is enlarged bilinearly. Ties to the lowest class."""
    part = enlarge(enlarge(share[..., None], size_hw[0], axis=0), size_hw[1], axis=1)[..., 0]
    (a, near), (b, far) = first, second
    xa, ya = _places(near, (a.shape[1], a.shape[2]), size_hw, a.device)
    xb, yb = _places(far, (b.shape[1], b.shape[2]), size_hw, b.device)

    def mixed() -> Iterator[Tensor]:
        for one, other in zip(a, b, strict=True):
            near_values = _between(one, xa, ya)
            yield near_values + part * (_between(other, xb, yb) - near_values)

    return _largest(mixed())


def _largest(planes: Iterable[Tensor]) -> Tensor:
    """The argmax over planes (H, W), one at a time: all classes of a frame would take gigabytes."""
    best: Tensor | None = None
    top: Tensor | None = None
    for label, values in enumerate(planes):
        if best is None or top is None:
            best, top = torch.zeros(values.shape, dtype=torch.uint8, device=values.device), values
            continue
        better = values > top
        best = torch.where(better, torch.full_like(best, label), best)
        top = torch.where(better, values, top)
    assert best is not None, "there is a class"
    return best


def _places(composed: Tensor | None, grid_hw: SizeHW, size_hw: SizeHW, device: torch.device) -> tuple[Samples, Samples]:
    """Where a pixel's scores are between four samples of their grid."""
    if composed is None:
        x = Samples(*positions(size_hw[1], grid_hw[1], device), inside=torch.ones((), device=device))
        y = Samples(*positions(size_hw[0], grid_hw[0], device), inside=torch.ones((), device=device))
        x = x._replace(left=x.left[None], right=x.right[None], weight=x.weight[None])
        y = y._replace(left=y.left[:, None], right=y.right[:, None], weight=y.weight[:, None])
        return x, y
    gh, gw = composed.shape[:2]
    enlarged = enlarge(enlarge(composed, size_hw[0], axis=0), size_hw[1], axis=1)
    column, across = centres(size_hw[1], grid_hw[1], device)
    row, down = centres(size_hw[0], grid_hw[0], device)
    x = samples(column[None, :], across[None, :] + enlarged[..., 0] * (grid_hw[1] / gw), grid_hw[1])
    y = samples(row[:, None], down[:, None] + enlarged[..., 1] * (grid_hw[0] / gh), grid_hw[0])
    return x, y


def _between(plane: Tensor, x: Samples, y: Samples) -> Tensor:
    flat, width = plane.reshape(-1), plane.shape[1]
    a, b = flat[y.left * width + x.left], flat[y.left * width + x.right]
    c, d = flat[y.right * width + x.left], flat[y.right * width + x.right]
    upper = a + x.weight * (b - a)
    lower = c + x.weight * (d - c)
    return upper + y.weight * (lower - upper)
