"""The reference's propagation from a key frame's scores to a later frame's, one implementation for training and tests.

Everything lies on one grid of 1/8 of the frame: scores, small images (resized with corners kept), flow.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from segtween.networks.bisenet import keep_corners
from segtween.networks.reference import reference_warp

STRIDE = 8


class Step(NamedTuple):
    """One frame after the key frame, all (N, ..., h, w): propagated and refined scores, what the flow made of the
    previous scores and of the previous image, the flow in its own units, guide weights and edge (None without
    refinement)."""

    scores: Tensor
    warped: Tensor
    warped_image: Tensor
    flow: Tensor
    guide: Tensor | None
    edge: Tensor | None


class Chain(nn.Module):
    """Flow network and refinement (None: warp only), applied from frame to frame.

    Flow networks and refinements are those of `segtween.networks.propagation`, images normalised as these say.
    """

    def __init__(self, flow: Any, refine: Any = None) -> None:
        super().__init__()
        self.flow, self.refine = flow, refine

    def step(self, scores: Tensor, current: Tensor, previous: Tensor) -> Step:
        """Scores (N, C, h, w) of the previous frame and both small images (N, 3, h, w) -> the current frame's."""
        flow = keep_corners(self.flow(current, previous).to(scores.dtype), scores.shape[-2:])
        both = reference_warp(torch.cat((scores, previous.to(scores.dtype)), 1), flow)
        warped, warped_image = both.split((scores.shape[1], 3), 1)
        if self.refine is None:
            return Step(warped, warped, warped_image, flow, None, None)
        refined = self.refine(warped, current)
        return Step(refined.scores.to(scores.dtype), warped, warped_image, flow, refined.guide, refined.edge)

    def forward(self, key: Tensor, images: Sequence[Tensor], *, gradient_steps: int | None = None) -> list[Step]:
        """From the key frame's scores and small images, its own first, to one `Step` for each later frame.

        Only the last `gradient_steps` carry gradient (all where None).
        """
        steps: list[Step] = []
        for t in range(1, len(images)):
            silent = gradient_steps is not None and t < len(images) - gradient_steps
            with torch.no_grad() if silent else nullcontext():
                steps.append(self.step(steps[-1].scores if steps else key, images[t], images[t - 1]))
        return steps


def small(values: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H/8, W/8), corners kept."""
    return keep_corners(values, (values.shape[-2] // STRIDE, values.shape[-1] // STRIDE))
