"""The loss of a segmenter by labels."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from segtween.training.segmenter.recipe import Loss
from segtween.types import IGNORE


def loss_of(
    logits: Tensor,
    labels: Tensor,
    settings: Loss,
    weights: Tensor | None,
    *,
    counted: float | None = None,
    share: float = 1.0,
) -> Tensor:
    """Cross-entropy, and overlap if asked, at the labels' size: logits (N, classes, h, w), labels (N, H, W).

    Of a part of a batch: `counted` labelled pixels are in the whole batch, `share` is the part's. Plain cross-entropy
    of parts adds up to that of the whole; hard pixels and overlap are looked for in each part by itself.
    """
    # Contiguous, because the softmax over classes would otherwise copy the enlarged scores twice.
    enlarged = F.interpolate(logits.contiguous(), size=labels.shape[1:], mode="bilinear", align_corners=False)
    log_p = F.log_softmax(enlarged, 1)
    everywhere = counted or max(1.0, float((labels != IGNORE).sum()))
    if settings.hard_fraction == 1 and not settings.boundary:
        loss = F.nll_loss(log_p, labels, weights, ignore_index=IGNORE, reduction="sum") / everywhere
    else:
        each = F.nll_loss(log_p, labels, weights, ignore_index=IGNORE, reduction="none")
        if settings.boundary:
            each = each * (1 + settings.boundary * nearness(labels, sigma=settings.boundary_sigma))
        loss = each.sum() / everywhere if settings.hard_fraction == 1 else share * _hard(each, log_p, labels, settings)
    if settings.overlap:
        loss = loss + share * settings.overlap * overlap_loss(log_p.exp(), labels)
    return loss


def _hard(each: Tensor, log_p: Tensor, labels: Tensor, settings: Loss) -> Tensor:
    """Mean loss of the pixels that are hard: the worst part, or all below the threshold where these are more."""
    kept = max(1, round(settings.hard_fraction * max(1, int((labels != IGNORE).sum()))))
    if settings.hard_threshold:
        of_truth = log_p.detach().gather(1, labels.clamp(max=log_p.shape[1] - 1).unsqueeze(1)).squeeze(1)
        below = (of_truth < np.log(settings.hard_threshold)) & (labels != IGNORE)
        if int(below.sum()) > kept:
            return each[below].mean()
    return each.flatten().topk(kept).values.mean()


def nearness(labels: Tensor, *, sigma: float) -> Tensor:
    """(N, H, W) labels -> exp(-d^2 / (2 sigma^2)), d the distance in pixels to the nearest pixel that has a neighbour
    of another label (left, right, above, below; ignored pixels make no boundary)."""
    edge = torch.zeros_like(labels, dtype=torch.bool)
    for axis in (1, 2):
        first, second = labels.narrow(axis, 0, labels.shape[axis] - 1), labels.narrow(axis, 1, labels.shape[axis] - 1)
        differs = (first != second) & (first != IGNORE) & (second != IGNORE)
        for start in (0, 1):
            edge.narrow(axis, start, differs.shape[axis]).logical_or_(differs)
    off = (~edge).to(torch.uint8).cpu().numpy()
    far = np.stack([cv2.distanceTransform(o, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for o in off])
    return torch.from_numpy(np.exp(-(far**2) / (2 * sigma**2)).astype(np.float32)).to(labels.device)


def overlap_loss(p: Tensor, labels: Tensor) -> Tensor:
    """1 - soft IoU, averaged over the classes that the batch's labels hold (Rahman and Wang, ISVC 2016, section 3).

    p (N, classes, H, W) probabilities, labels (N, H, W). Thin and rare classes weigh as much as large ones.
    """
    classes = p.shape[1]
    valid = labels != IGNORE
    of_truth = p.gather(1, labels.clamp(max=classes - 1).unsqueeze(1)).squeeze(1)  # (N, H, W)
    truth = labels.clamp(max=classes).flatten()  # what is ignored has a bin of its own
    hits = p.new_zeros(classes + 1).index_add(0, truth, of_truth.flatten())[:classes]
    counts = torch.bincount(truth, minlength=classes + 1)[:classes]
    union = (p * valid.unsqueeze(1)).sum((0, 2, 3)) + counts - hits
    present = counts > 0
    if not present.any():
        return p.sum() * 0
    return (1 - hits[present] / union[present]).mean()
