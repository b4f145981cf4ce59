"""The interface between loop and task: what to prepare, to learn from, to validate and to write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segtween.errors import ModelError
from segtween.training.options import TrainOptions
from segtween.training.processes import Processes


@dataclass(frozen=True)
class Context:
    """What a task is opened with; `before` is the report of the training that came before, if the recipe names one."""

    options: TrainOptions
    device: torch.device
    processes: Processes
    before: dict[str, Any] | None = None


@dataclass(frozen=True)
class Share:
    """A part of a batch: what was counted in the whole batch, and the part that this one is, 0..1."""

    counts: tuple[float, ...]
    part: float


@dataclass
class Position:
    """Where a training stands: `losses` and `terms` of every step so far, NaN for a term that a step does not have.

    `best` is the score of `best_epoch`; `scored` says whether that is a validation's score or the mean loss, negative.
    """

    step: int = 0
    epoch: int = 0
    spent_seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    terms: dict[str, list[float]] = field(default_factory=dict)
    best: float | None = None
    best_epoch: int = 0
    scored: bool = False

    def record(self, terms: Mapping[str, float]) -> None:
        """One more step, with its `loss` and other terms; ModelError for a loss that is no longer finite."""
        self.step += 1
        self.losses.append(terms["loss"])
        for name in sorted({*self.terms, *terms} - {"loss"}):
            self.terms.setdefault(name, [float("nan")] * (self.step - 1)).append(terms.get(name, float("nan")))
        if not np.isfinite(terms["loss"]):
            raise ModelError(
                f"the loss at step {self.step} is {terms['loss']}", do="lower the optimiser's rates in the recipe"
            )

    def recent(self, steps: int) -> dict[str, float]:
        """Means over the last steps of the loss and of the terms that they have."""
        last = {name: np.array(values[-steps:]) for name, values in {"loss": self.losses, **self.terms}.items()}
        return {name: float(np.nanmean(values)) for name, values in last.items() if not np.isnan(values).all()}

    def stopped(self, patience: int) -> bool:
        return 0 < patience <= self.epoch - self.best_epoch


class Task(Protocol):
    """One kind of training, opened: its data found, its networks built, in the mode that they are trained in.

    Its class is derived from this one, so that it need not say what it does not do.

    recipe          says everything that the weights depend on but the data
    nets            by the names that their weights have in the checkpoint; `model` is one of them
    optimiser       each group's `lr` is its full rate: `recipe.optimiser.factor` says which part of it a step takes
    rates           full rates by the names that people are shown
    fill_gradients  whether what a step does not use has a gradient of 0, so that its momentum and decay go on
    steps           of the whole training
    epoch_steps     of one epoch, after each of which the weights are validated; 0: they are not
    data_sha256     of everything that is read
    """

    recipe: Any
    optimiser: torch.optim.Optimizer
    fill_gradients: ClassVar[bool] = False
    epoch_steps: int = 0

    @property
    def nets(self) -> dict[str, nn.Module]: ...

    @property
    def data_sha256(self) -> str: ...

    @property
    def rates(self) -> dict[str, float]:
        return {"rate": self.recipe.optimiser.rate}

    @property
    def steps(self) -> int:
        return int(self.recipe.steps)

    def load(self, numbers: range) -> Any:
        """The samples of these numbers, a part of a batch; a function of recipe, data and numbers alone."""

    def counts(self, part: Any) -> tuple[float, ...]:
        """What is counted in a part, to be added up over the whole batch."""

    def loss(self, part: Any, share: Share) -> tuple[Tensor, dict[str, float]]:
        """The part's loss and its terms for people; those of all parts add up to the batch's."""

    def picture(self) -> NDArray[np.uint8] | None:
        """(H, W, 3): the last part, for people to look at; None where there is nothing to see."""
        return None

    def validate(self, position: Position, loss: float, rates: dict[str, float]) -> float | None:
        """The score of the weights after an epoch with this mean loss, larger is better; None where nobody scores."""
        del position, loss, rates
        return None

    def keep(self, position: Position) -> None:
        """Put the weights aside: no epoch before had a better score."""
        del position

    def data(self) -> list[dict[str, Any]]:
        """What the report says of each source: at least `name` and `frames`."""

    def finish(self, position: Position, data: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Write the trained model to `out/model`; returns what the report says of it: at least `provenance` and the
        sha256 of what was written."""

    def remarks(self, report: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Lines of the report for people: after the first one, and at the end."""


def autocast(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    """What a recipe's `precision` means: weights stay float32, products are of the named type."""
    kind = torch.float16 if precision == "float16" else torch.bfloat16
    return torch.autocast(device.type, kind, enabled=precision != "float32")


def before_folder(context: Context) -> Path:
    """Where the training that came before left its checkpoint and its model."""
    return context.options.before().out
