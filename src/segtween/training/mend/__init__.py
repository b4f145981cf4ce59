"""Training what repairs labels between key frames: a small network that lets cells borrow scores from cells around.

Importing this needs no torch; `segtween.training.mend.loop` does.
"""

from segtween.training.mend.recipe import Disturb, MendLoss, MendRecipe, Moments, load_mend

__all__ = ["Disturb", "MendLoss", "MendRecipe", "Moments", "load_mend"]
