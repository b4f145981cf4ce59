"""From the network's output to corrected scores, and how far these are from the labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from segtween.networks.attention import AttentionOutput, offsets
from segtween.training.attention.batches import MARGIN, Batch
from segtween.training.attention.recipe import AttentionLoss
from segtween.training.losses import overlap_loss
from segtween.types import IGNORE


def corrected(answer: AttentionOutput, batch: Batch) -> Tensor:
    """(N, C, 2h, 2w) scores: those that the pixels read along composed flow, and the replacement in its share.

    A cell's attention holds for its four pixels, each of which aggregates the pixels of its own place in the
    cells around: so thin things stay as they are. Share and a class head's scores are enlarged bilinearly.
    """
    replacement = F.pixel_shuffle(aggregated(answer.attention.softmax(1), batch.around), 2)
    if answer.scores is not None:
        replacement = replacement + _twice(answer.scores)
    fine = batch.fine
    return fine + _twice(answer.share) * (replacement - fine)


def aggregated(attention: Tensor, around: Tensor) -> Tensor:
    """(N, K, h, w): the mean of values (N, K, h + 2 MARGIN, w + 2 MARGIN), which carry no gradient, at all `offsets`
    from each cell, with weights (N, offsets, h, w)."""
    result: Tensor = _Aggregation.apply(attention, around)
    return result


class _Aggregation(torch.autograd.Function):
    """As a loop over offsets that keeps no copies, sample by sample, which stay in the processor's cache: many times
    faster than slices and sums by themselves."""

    @staticmethod
    def forward(ctx: Any, attention: Tensor, around: Tensor) -> Tensor:
        ctx.save_for_backward(around)
        out = around.new_zeros(around.shape[0], around.shape[1], *attention.shape[2:])
        for n, sample in enumerate(attention):
            for weight, values in zip(sample, _shifted(around[n]), strict=True):
                out[n].addcmul_(values, weight)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (gradient,), (around,) = gradients, ctx.saved_tensors
        out = gradient.new_empty(gradient.shape[0], len(offsets()), *gradient.shape[2:])
        product = torch.empty_like(gradient[0])
        for n, sample in enumerate(gradient):
            for i, values in enumerate(_shifted(around[n])):
                torch.mul(sample, values, out=product)
                torch.sum(product, 0, out=out[n, i])
        return out, None


def _shifted(around: Tensor) -> list[Tensor]:
    h, w = around.shape[1] - 2 * MARGIN, around.shape[2] - 2 * MARGIN
    corners = ((MARGIN + dy, MARGIN + dx) for dx, dy in offsets())
    return [around[:, y : y + h, x : x + w] for y, x in corners]


def attention_loss(
    answer: AttentionOutput, batch: Batch, settings: AttentionLoss, weights: Tensor | None, *, compare: bool = False
) -> tuple[Tensor, dict[str, float]]:
    """The loss, and its terms for people; to `compare`, also `before`: the overlap term before the correction."""
    scores = corrected(answer, batch)
    learnt = max(1.0, float((batch.labels != IGNORE).sum()))
    ce = F.cross_entropy(scores, batch.labels, weights, ignore_index=IGNORE, reduction="sum") / learnt
    overlap = _overlap(scores, batch.labels, settings)
    share = answer.share.mean()
    terms = {"ce": ce, "overlap": overlap, "share": share}
    if compare:
        with torch.no_grad():
            terms["before"] = _overlap(batch.fine, batch.labels, settings)
    loss = settings.ce * ce + settings.overlap * overlap + settings.share * share
    return loss, {name: float(value.detach()) for name, value in terms.items()}


def _overlap(scores: Tensor, labels: Tensor, settings: AttentionLoss) -> Tensor:
    return overlap_loss((settings.sharpness * scores).softmax(1), labels, least=settings.least)


def _twice(values: Tensor) -> Tensor:
    return F.interpolate(values, scale_factor=2, mode="bilinear", align_corners=False)
