"""The losses of a training that `segtween train` wrote, drawn with Matplotlib (the extra [figures])."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError, from_extra
from segtween.reports.tables.plot import COLOURS, require_matplotlib, rule
from segtween.training.options import BEFORE, CHECKPOINT
from segtween.video.staging import sink_errors, written

OVER = 100  # steps of the running mean


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
    state = from_extra("segtween.training.checkpoint", "reading a checkpoint", extra="train").load(path)
    name = json.loads(state["recipe_values"])["name"]
    earlier = read_losses(folder / BEFORE) if (folder / BEFORE).is_dir() else []
    return [*earlier, Part(name, tuple(state["losses"]))]


def loss_figure(folder: str | Path, target: str | Path) -> list[Part]:
    """Draw the loss at every step (faint) and its mean over the last 100, all parts one after the other, as PNG.

    Raises SettingError and ModelError as `read_losses`, MissingExtraError without Matplotlib, SinkError.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    parts, path = read_losses(folder), Path(target)
    figure: Any = Figure(figsize=(7.0, 3.0), layout="constrained")
    axes = figure.add_subplot()
    begun, all_losses = 0, []
    for i, part in enumerate(parts):
        losses = np.array(part.losses)
        steps, colour = begun + 1 + np.arange(len(losses)), COLOURS[i % len(COLOURS)]
        axes.plot(steps, losses, color=colour, alpha=0.2, linewidth=0.5)
        axes.plot(steps, running_mean(losses), color=colour, linewidth=1.6, label=part.name)
        begun += len(losses)
        all_losses.append(losses)
    axes.set_xlabel("step")
    axes.set_ylabel(f"loss, mean of {OVER} steps")
    axes.set_ylim(0, 1.1 * float(np.quantile(np.concatenate(all_losses), 0.99)))
    axes.set_xlim(0, begun)
    rule(axes)
    axes.legend(frameon=False, loc="upper right")
    with sink_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    with written(path) as file:
        figure.savefig(file, format="png", dpi=110)
    return parts


def running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) -> (n,): the mean of each value and up to `OVER` - 1 before it."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(0, last - OVER)
    return np.asarray((total[last] - total[first]) / (last - first))
