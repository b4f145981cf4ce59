"""What a chain's last frame should be, and what the flow of its last steps should do.

Each term is a sum over this process's samples divided by a count over the whole batch, so that terms, and their
gradients, add up over parts and processes to those of the batch in one piece.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from segtween.compat.swnet_seq.training.batches import Batch
from segtween.compat.swnet_seq.training.recipe import ChainLoss
from segtween.networks.bisenet import keep_corners
from segtween.networks.chain import Step
from segtween.networks.reference import reference_displacement
from segtween.types import IGNORE

SMOOTH = 0.1  # below this, in pixels or in standard deviations, a distance counts as its square


def chain_loss(
    steps: Sequence[Step], batch: Batch, settings: ChainLoss, *, weights: Tensor | None, counts: tuple[float, float]
) -> tuple[Tensor, dict[str, float]]:
    """The loss to minimise and its terms' values, unweighted; `steps` are those that carry gradient, `counts` the whole
    batch's labelled pixels (at least 1) and samples."""
    scores, (pixels, samples) = steps[-1].scores.float(), counts
    terms = {
        "ce": cross_entropy(scores, batch.labels, weights) / pixels,
        "distil": divergence(scores, batch.target) / samples,
    }
    loss = settings.ce * (terms["ce"] + settings.distil * terms["distil"])
    if batch.whole is not None:
        terms["segmenter"] = cross_entropy(batch.whole, batch.labels, weights) / pixels
        loss = loss + settings.ce * terms["segmenter"]
    if settings.photometric:
        terms["photometric"] = photometric(steps, batch.images) / samples
        loss = loss + settings.photometric * terms["photometric"]
    if settings.flow:
        terms["flow"] = flow_error(steps, batch.flow) / samples
        loss = loss + settings.flow * terms["flow"]
    return loss, {name: float(value.detach()) for name, value in terms.items()}


def cross_entropy(scores: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
    """Summed over the labelled pixels; scores (N, C, h, w) are enlarged, corners kept, to the labels' grid."""
    enlarged = keep_corners(scores, labels.shape[-2:])
    return F.cross_entropy(enlarged, labels, weights, ignore_index=IGNORE, reduction="sum")


def divergence(scores: Tensor, target: Tensor) -> Tensor:
    """Kullback-Leibler divergence of the scores from the segmenter's (Hinton et al. 2015, arXiv 1503.02531), mean over
    pixels, summed over samples."""
    given, wanted = F.log_softmax(scores, 1), F.log_softmax(target, 1)
    return F.kl_div(given, wanted, reduction="none", log_target=True).sum(1).mean((1, 2)).sum()


def photometric(steps: Sequence[Step], images: Tensor) -> Tensor:
    """How far the warped previous images are from the current ones, in standard deviations of the colours; mean over
    pixels, colours and steps, summed over samples. Needs no truth (Yu et al. 2016, arXiv 1608.05842)."""
    currents = images[:, -len(steps) :].unbind(1)
    each = [_rounded(s.warped_image - now).mean((1, 2, 3)) for s, now in zip(steps, currents, strict=True)]
    return torch.stack(each).mean(0).sum()


def flow_error(steps: Sequence[Step], truth: Tensor) -> Tensor:
    """Distance to the true displacement in pixels of the grid, mean over the pixels where it is known and over steps,
    summed over samples; samples without truth count as 0."""
    each = []
    for step, wanted in zip(steps, truth[:, -len(steps) :].unbind(1), strict=True):
        known = torch.isfinite(wanted).all(1)  # (N, h, w)
        distance = torch.where(known.unsqueeze(1), reference_displacement(step.flow.float()) - wanted, 0.0)
        long = _rounded(distance.square().sum(1).add(1e-12).sqrt())
        each.append((long * known).sum((1, 2)) / known.sum((1, 2)).clamp(min=1))
    return torch.stack(each).mean(0).sum()


def _rounded(x: Tensor) -> Tensor:
    """|x| with a round bottom."""
    return F.smooth_l1_loss(x, torch.zeros_like(x), beta=SMOOTH, reduction="none")
