"""Training what propagates scores between key frames as the published system does. Importing this loads no torch."""

from __future__ import annotations

from segtween.compat.swnet_seq.training.recipe import ChainLoss, Clips, PropagationRecipe, Rates

__all__ = ["ChainLoss", "Clips", "PropagationRecipe", "Rates"]
