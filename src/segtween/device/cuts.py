"""Scene cuts on a device: one number per frame is fetched from it."""

from __future__ import annotations

import torch
from torch import Tensor

from segtween.schedule.cuts import OUTSIDE, ResidualCuts


class DeviceCuts(ResidualCuts):
    """`schedule.cuts.ResidualCuts` of tensors."""

    def __call__(self, current: Tensor, previous: Tensor, error: Tensor) -> bool:  # noqa: ARG002
        return self.is_cut(float(cut_score(current, error)))

    def is_cut(self, score: float) -> bool:
        return score > self.threshold


def cut_score(current: Tensor, error: Tensor) -> Tensor:
    """Residual over contrast (`ResidualCuts.score`), a tensor of one number."""
    image, left = current[::2, ::2].float(), error[::2, ::2]
    contrast = torch.clamp((image - image.mean()).abs().mean(), min=4.0)
    return torch.where(left < 255, left, OUTSIDE * contrast).mean() / contrast
