"""Loss curves of a training, drawn with Matplotlib (the extra [figures])."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.reports.tables.plot import COLOURS, require_matplotlib, rule
from segtween.training.curves import Part, read_losses
from segtween.video.staging import sink_errors, written

OVER = 100  # steps of the running mean


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
    with written(path) as part:
        figure.savefig(part, format="png", dpi=110)
    return parts


def running_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) -> (n,): the mean of each value and up to `OVER` - 1 before it."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    last = np.arange(1, len(values) + 1)
    first = np.maximum(0, last - OVER)
    return np.asarray((total[last] - total[first]) / (last - first))
