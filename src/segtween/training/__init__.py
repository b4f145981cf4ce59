"""Training from a recipe (docs/training.md): segmenters, and what propagates their scores from frame to frame.

Needs the extra [train]; importing this does not.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from segtween.errors import from_extra
from segtween.training.kinds import load_recipe
from segtween.training.options import Epoch, TrainOptions
from segtween.training.recipe import Augment, BaseRecipe
from segtween.training.segmenter.recipe import Recipe

__all__ = [
    "Augment", "Epoch", "Recipe", "TrainOptions", "load_recipe", "train", "train_recipe",
]  # fmt: skip


def train(recipe: BaseRecipe, options: TrainOptions) -> dict[str, Any]:
    """Train what a recipe says; returns the report that is also written into `out`; its `text` is for people.

    Where `data_root` is not given, it is $SEGTWEEN_DATA. Started again with the same `out`, it goes on from the last
    checkpoint. Under torchrun all processes work on one training; the report of all but the first is empty but for its
    `model`. Raises SettingError for a checkpoint of another recipe or other data, for sizes or processes that do not
    fit, DatasetError for data that does not fit, ModelError for weights that do not fit or a loss that is no longer
    finite, SinkError for a folder that cannot be written, MissingExtraError without the extra [train].
    """
    for module in ("kornia", "tensorboard", "torch"):
        from_extra(module, "training", extra="train")
    from segtween.training.loop import train

    root = options.data_root or os.environ.get("SEGTWEEN_DATA") or None
    return train(recipe, replace(options, data_root=None if root is None else Path(root)))


def train_recipe(
    path: str | Path,
    *,
    out: str | Path | None = None,
    data_root: str | Path | None = None,
    resume: bool = True,
    device: str = "auto",
    steps: int | None = None,
) -> dict[str, Any]:
    """`train` a recipe file, by default into `runs/<recipe's name>`; `steps` replaces the recipe's."""
    recipe: BaseRecipe = load_recipe(path)
    if steps is not None:
        recipe = recipe.with_steps(steps)
    options = TrainOptions(
        out=Path("runs") / recipe.name if out is None else Path(out),
        data_root=None if data_root is None else Path(data_root),
        resume=resume,
        device=device,
        provenance={"recipe": f"recipes/{Path(path).name}", "recipe_sha256": recipe.sha256},
    )
    return train(recipe, options)
