"""Scene cuts on a device: one number per frame is fetched from it."""

from __future__ import annotations

from typing import Any

import torch

from segtween.schedule.cuts import OUTSIDE, ResidualCuts
from segtween.types import Motion


class DeviceCuts(ResidualCuts):
    """`schedule.cuts.ResidualCuts` of tensors."""

    def score(self, motion: Motion) -> Any:
        """Residual over contrast, a tensor of one number."""
        view: Any = motion.view
        residual: Any = motion.residual
        image, left = view[::2, ::2].float(), residual[::2, ::2]
        contrast = torch.clamp((image - image.mean()).abs().mean(), min=4.0)
        return torch.where(left < 255, left, OUTSIDE * contrast).mean() / contrast
