"""Training from a recipe (docs/training.md): segmenters, what propagates their scores from frame to frame, and what
refines them in between.

Needs the extra [train]; importing this does not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtween.errors import MissingExtraError
from segtween.training.attention import AttentionLoss, AttentionRecipe, Disturb, Moments, load_attention
from segtween.training.fields import check, read_yaml
from segtween.training.propagation import ChainLoss, Clips, PropagationRecipe, Rates, load_propagation
from segtween.training.recipe import Augment, Recipe
from segtween.training.recipe import load_recipe as load_segmenter

__all__ = [
    "AttentionLoss",
    "AttentionRecipe",
    "Augment",
    "ChainLoss",
    "Clips",
    "Disturb",
    "Epoch",
    "Moments",
    "PropagationRecipe",
    "Rates",
    "Recipe",
    "load_recipe",
    "train_propagation",
    "train_recipe",
]  # fmt: skip


@dataclass(frozen=True)
class Epoch:
    """What `train_propagation` hands to its caller after each epoch.

    `number` counts from 1; `step` is that of the whole training; `loss` is the epoch's mean; `rates` are those of the
    last step. `state_dict` and `state_dict_of` hold the refinement's and the flow network's weights on the CPU,
    `segmenter` the segmenter's where it is trained too.
    """

    number: int
    step: int
    loss: float
    rates: dict[str, float]
    state_dict: dict[str, Any]
    state_dict_of: dict[str, Any]
    segmenter: dict[str, Any] | None


def load_recipe(path: str | Path) -> Recipe | PropagationRecipe | AttentionRecipe:
    """A recipe from its YAML file: of a segmenter, unless it says what else it `trains`: propagation or attention.

    SettingError says which field is wrong.
    """
    values = read_yaml(Path(path))
    if not isinstance(values, dict) or "trains" not in values:
        return load_segmenter(path)
    trains = values["trains"]
    check(
        trains in ("propagation", "attention"), "trains", trains, "propagation or attention, or nothing for a segmenter"
    )
    return load_attention(path) if trains == "attention" else load_propagation(path)


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
    replaces the recipe's. Started again with the same `out`, it goes on from the last checkpoint. Under torchrun
    all processes work on one training; the report of all but the first is empty but for its `model`.
    """
    recipe = load_recipe(path)
    if steps is not None:
        recipe = recipe.with_steps(steps)
    provenance = {"recipe": f"recipes/{Path(path).name}", "recipe_sha256": recipe.sha256}
    options: dict[str, Any] = {
        "out": Path("runs") / recipe.name if out is None else Path(out),
        "resume": resume,
        "device": device,
        "provenance": provenance,
    }
    if isinstance(recipe, PropagationRecipe):
        return train_propagation(recipe, data_root=data_root, **options)
    _need_torch()
    if isinstance(recipe, AttentionRecipe):
        from segtween.training.attention.loop import train as train_attention

        return train_attention(recipe, data_root=_data_root(data_root), **options)
    from segtween.training.loop import train

    return train(recipe, data_root=_data_root(data_root), **options)


def train_propagation(
    recipe: PropagationRecipe,
    *,
    out: str | Path,
    data_root: str | Path | None = None,
    resume: bool = True,
    device: str = "auto",
    events: str | Path | None = None,
    on_epoch: Callable[[Epoch], float | None] | None = None,
    init: str | Path | Sequence[str | Path] = (),
    provenance: dict[str, Any] | None = None,
    readers: int = 0,
) -> dict[str, Any]:
    """Train flow and refinement on chains of frames; returns the report that is also written into `out`.

    `out/model` then holds `refine.onnx` and `flow.onnx` with their records, and `model_best.pth.tar` (`state_dict`,
    `state_dict_of`, `epoch`). `init` are further weight files to begin with, besides the recipe's `initial`: of each
    file those parts are taken that are of the recipe's networks. TensorBoard events go to `events` (`out/events`).
    `on_epoch` is called in the first process after each epoch; if it returns a score (larger is better), the best
    epoch's weights are the ones that are kept, otherwise the last ones; without a score `early_stop` goes by the
    epoch's mean loss. So many `readers` (threads) load a batch's samples side by side; the weights do not depend on
    it. Raises SettingError for a checkpoint of another recipe or other data, for sizes or processes
    that do not fit, DatasetError for data that does not fit, ModelError for weights that do not fit or a loss that
    is no longer finite.
    """
    _need_torch()
    from segtween.training.propagation.loop import train

    return train(
        recipe,
        out=Path(out),
        data_root=_data_root(data_root),
        resume=resume,
        device=device,
        events=None if events is None else Path(events),
        on_epoch=on_epoch,
        init=(init,) if isinstance(init, (str, Path)) else tuple(init),
        provenance=provenance,
        readers=readers,
    )


def _data_root(given: str | Path | None) -> Path | None:
    folder = given or os.environ.get("SEGTWEEN_DATA") or None
    return None if folder is None else Path(folder)


def _need_torch() -> None:
    try:
        import kornia  # noqa: F401
        import tensorboard  # noqa: F401
        import torch  # noqa: F401
    except ImportError:
        raise MissingExtraError("training", extra="train") from None
