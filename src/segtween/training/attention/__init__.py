"""Training what repairs labels between key frames: a small network that lets cells borrow scores from cells around.

Importing this needs no torch; `segtween.training.attention.loop` does.
"""

from segtween.training.attention.recipe import AttentionLoss, AttentionRecipe, Disturb, Moments, load_attention

__all__ = ["AttentionLoss", "AttentionRecipe", "Disturb", "Moments", "load_attention"]
