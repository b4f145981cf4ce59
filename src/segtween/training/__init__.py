"""Training a segmenter from a recipe (docs/training.md). Needs the extra [train]; importing this does not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from segtween.errors import MissingExtraError
from segtween.training.recipe import Recipe, load_recipe

__all__ = ["Recipe", "load_recipe", "train_recipe"]


def train_recipe(
    path: str | Path,
    *,
    out: str | Path | None = None,
    data_root: str | Path | None = None,
    resume: bool = True,
    device: str = "auto",
    steps: int | None = None,
) -> dict[str, Any]:
    """Train what the recipe file says; returns the report that is also written into `out` (by default
    `runs/<recipe's name>`); its `text` is for people.

    `data_root` is the folder below which list files are found ($SEGTWEEN_DATA where it is not given); `steps`
    replaces the recipe's. Started again with the same `out`, it goes on from the last checkpoint.
    """
    recipe = load_recipe(path)
    if steps is not None:
        recipe = recipe.with_steps(steps)
    try:
        import kornia  # noqa: F401
        import tensorboard  # noqa: F401
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtraError("training", extra="train") from None
    from segtween.training.loop import train

    given = data_root or os.environ.get("SEGTWEEN_DATA") or None
    return train(
        recipe,
        out=Path("runs") / recipe.name if out is None else Path(out),
        data_root=None if given is None else Path(given),
        resume=resume,
        device=device,
        provenance={"recipe": f"recipes/{Path(path).name}", "recipe_sha256": recipe.sha256},
    )
