"""From what the network says to mended scores, and how far these are from the labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from segtween.networks.mend import Mending, offsets
from segtween.training.loop import overlap_loss
from segtween.training.mend.batches import MARGIN, Batch
from segtween.training.mend.recipe import MendLoss
from segtween.types import IGNORE


def mended(said: Mending, batch: Batch) -> Tensor:
    """(N, C, 2h, 2w) scores: those read along the path, and the replacement in its share, enlarged from the cells."""
    replacement = borrowed(said.attention.softmax(1), batch.around)
    if said.scores is not None:
        replacement = replacement + said.scores
    share = _twice(said.share)
    return batch.fine + share * (_twice(replacement) - batch.fine)


def borrowed(attention: Tensor, around: Tensor) -> Tensor:
    """(N, C, h, w): the mean of scores (N, C, h + 2 MARGIN, w + 2 MARGIN), which carry no gradient, at all `offsets`
    from each cell, with weights (N, offsets, h, w)."""
    result: Tensor = _Borrow.apply(attention, around)
    return result


class _Borrow(torch.autograd.Function):
    """As a loop over offsets that keeps no copies: several times faster than slices and sums by themselves."""

    @staticmethod
    def forward(ctx: Any, attention: Tensor, around: Tensor) -> Tensor:
        ctx.save_for_backward(around)
        out = around.new_zeros(around.shape[0], around.shape[1], *attention.shape[2:])
        for weight, values in zip(attention.split(1, 1), _shifted(around), strict=True):
            out.addcmul_(values, weight)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,), (around,) = gradients, ctx.saved_tensors
        n, _, h, w = gradient.shape
        out, product = gradient.new_empty(n, len(offsets()), h, w), torch.empty_like(gradient)
        for i, values in enumerate(_shifted(around)):
            torch.mul(gradient, values, out=product)
            out[:, i] = product.sum(1)
        return out, None


def _shifted(around: Tensor) -> list[Tensor]:
    h, w = around.shape[2] - 2 * MARGIN, around.shape[3] - 2 * MARGIN
    corners = ((MARGIN + dy, MARGIN + dx) for dx, dy in offsets())
    return [around[:, :, y : y + h, x : x + w] for y, x in corners]


def mend_loss(
    said: Mending, batch: Batch, settings: MendLoss, weights: Tensor | None, *, compare: bool = False
) -> tuple[Tensor, dict[str, float]]:
    """The loss, and its terms for people; to `compare`, also `before`: the overlap term of what was read, unmended."""
    scores = mended(said, batch)
    learnt = max(1.0, float((batch.labels != IGNORE).sum()))
    ce = F.cross_entropy(scores, batch.labels, weights, ignore_index=IGNORE, reduction="sum") / learnt
    overlap = _overlap(scores, batch.labels, settings)
    share = said.share.mean()
    terms = {"ce": ce, "overlap": overlap, "share": share}
    if compare:
        with torch.no_grad():
            terms["before"] = _overlap(batch.fine, batch.labels, settings)
    loss = settings.ce * ce + settings.overlap * overlap + settings.share * share
    return loss, {name: float(value.detach()) for name, value in terms.items()}


def _overlap(scores: Tensor, labels: Tensor, settings: MendLoss) -> Tensor:
    return overlap_loss((settings.sharpness * scores).softmax(1), labels, least=settings.least)


def _twice(values: Tensor) -> Tensor:
    return F.interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)
