"""Training what carries scores between key frames. Importing this loads no torch."""

from __future__ import annotations

from segtween.training.propagation.recipe import ChainLoss, Clips, PropagationRecipe, Rates, load_propagation

__all__ = ["ChainLoss", "Clips", "PropagationRecipe", "Rates", "load_propagation"]
