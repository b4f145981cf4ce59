"""The losses of a training that `segtween train` wrote, part by part."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from segtween.errors import MissingExtraError, SettingError
from segtween.training.options import BEFORE, CHECKPOINT


@dataclass(frozen=True)
class Part:
    """One recipe's loss at each step, from the first."""

    name: str
    losses: tuple[float, ...]


def read_losses(folder: str | Path) -> list[Part]:
    """The parts of a training's output folder, the one that came first in front.

    Raises SettingError for a folder without a checkpoint, ModelError for one that cannot be read, MissingExtraError
    without torch.
    """
    folder = Path(folder)
    path = folder / CHECKPOINT
    if not path.is_file():
        raise SettingError(
            f"folder {folder} holds no {CHECKPOINT}",
            expected="the output folder of a training",
            do="give what `segtween train` wrote to",
        )
    try:
        from segtween.training.checkpoint import load
    except ImportError:
        raise MissingExtraError("reading a checkpoint", extra="train") from None
    state = load(path)
    name = json.loads(state["recipe_values"])["name"]
    earlier = read_losses(folder / BEFORE) if (folder / BEFORE).is_dir() else []
    return [*earlier, Part(name, tuple(state["losses"]))]
