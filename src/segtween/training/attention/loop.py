"""Training an attention network, start to end: read it from `train` downwards.

What happens at a step depends on the recipe, the data and the number of the step alone, so a training that is killed
and started again ends with the same weights, bit for bit, on the same machine.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segtween.errors import ModelError, SettingError
from segtween.networks.attention import AttentionRefiner
from segtween.training import checkpoint
from segtween.training.attention.batches import Reader, open_reader
from segtween.training.attention.finish import finish
from segtween.training.attention.losses import attention_loss
from segtween.training.attention.recipe import AttentionRecipe
from segtween.training.attention.sources import Eyes, MomentPool, open_eyes, open_moments
from segtween.training.data import plan
from segtween.training.loop import CHECKPOINT, CHECKPOINT_EVERY, SCALARS_EVERY, class_weights, make_folder, pick_device
from segtween.training.processes import world
from segtween.training.progress import Progress, shown


@dataclass(frozen=True)
class Run:
    """What a training is made of, once its recipe has been read and its data seen."""

    recipe: AttentionRecipe
    reader: Reader
    eyes: dict[str, Any]
    weights: Tensor | None  # (classes,)
    device: torch.device

    @property
    def pools(self) -> tuple[MomentPool, ...]:
        return self.reader.pools

    @property
    def data_sha256(self) -> str:
        return "".join(pool.sha256 for pool in self.pools)


@dataclass
class Position:
    """Where a training stands; the losses of all steps so far and their terms, `before` of every tenth step."""

    step: int = 0
    spent_seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    terms: dict[str, list[float]] = field(default_factory=dict)


def train(
    recipe: AttentionRecipe,
    *,
    out: Path,
    data_root: Path | None = None,
    resume: bool = True,
    device: str = "auto",
    provenance: dict[str, Any] | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Train, export to `out/model`, write `out/report.json` and `.txt`; returns the report.

    What is rendered and seen goes to `cache` (`out/cache`). `resume` goes on from `out/checkpoint.pt` where there is
    one. Raises SettingError for a checkpoint of another recipe or other data, DatasetError for data that does not fit,
    ModelError if the loss is no longer finite.
    """
    if world() > 1:
        raise SettingError(
            f"{world()} processes", expected="one, for trains: attention", do="start it without torchrun"
        )
    chosen = pick_device(device)
    make_folder(out)
    run = prepare(recipe, data_root=data_root, cache=cache or out / "cache", device=chosen)
    torch.manual_seed(recipe.seed)
    net = AttentionRefiner(classes=len(recipe.label_set) if recipe.class_head else 0)
    net = net.to(chosen, memory_format=torch.channels_last)
    settings = recipe.optimiser
    optimiser = torch.optim.AdamW(net.parameters(), lr=settings.rate, weight_decay=settings.weight_decay)
    position = Position()
    if resume and (out / CHECKPOINT).is_file():
        position = _restore(out / CHECKPOINT, run, net, optimiser)
    with shown(recipe.name, out / "events", first=position.step, steps=recipe.steps, shown=True) as progress:
        assert progress is not None
        _learn(run, net, optimiser, position, out=out, progress=progress)
    return finish(run, net, position, out=out, provenance=provenance or {})


def prepare(recipe: AttentionRecipe, *, data_root: Path | None, cache: Path, device: torch.device) -> Run:
    """Find and see all data first."""
    eyes: Eyes = open_eyes(recipe, threads=torch.get_num_threads())
    pools = tuple(open_moments(source, recipe, eyes, data_root=data_root, cache=cache) for source in recipe.train)
    order = plan(pools, samples=recipe.steps * recipe.batch, seed=recipe.seed)
    total = sum(pool.source.share for pool in pools)
    shares = sum(pool.source.share / total * pool.class_shares(len(recipe.label_set)) for pool in pools)
    weights = class_weights(np.asarray(shares), recipe.loss)
    reader = open_reader(recipe, pools, order, eyes.ops)
    return Run(recipe, reader, eyes.describe(), None if weights is None else weights.to(device), device)


def _learn(
    run: Run,
    net: AttentionRefiner,
    optimiser: torch.optim.Optimizer,
    position: Position,
    *,
    out: Path,
    progress: Progress,
) -> None:
    recipe = run.recipe
    begun = time.perf_counter() - position.spent_seconds
    net.train()
    while position.step < recipe.steps:
        rate = recipe.optimiser.rate * rate_factor(recipe, position.step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        first = position.step * recipe.batch
        batch = run.reader.batch(range(first, first + recipe.batch)).to(run.device)
        with torch.autocast(run.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            said = net(*batch.seen(scores=recipe.class_head))
        compare = position.step % SCALARS_EVERY == 0
        loss, terms = attention_loss(said.float32(), batch, recipe.loss, run.weights, compare=compare)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        position.step += 1

        position.losses.append(float(loss.detach()))
        for name, value in terms.items():
            position.terms.setdefault(name, []).append(value)
        if not np.isfinite(position.losses[-1]):
            raise ModelError(
                f"the loss at step {position.step} is {position.losses[-1]}", do="lower optimiser.rate in the recipe"
            )
        progress.step(position.step, position.losses[-1])
        if position.step % SCALARS_EVERY == 0:
            progress.scalars(position.step, rate=rate, **recent(position, steps=SCALARS_EVERY))
        if position.step % CHECKPOINT_EVERY == 0 or position.step == recipe.steps:
            position.spent_seconds = time.perf_counter() - begun
            _save(out / CHECKPOINT, run, net, optimiser, position)


def recent(position: Position, *, steps: int) -> dict[str, float]:
    """Means over the last steps of the loss and its terms."""
    known = {"loss": position.losses, **position.terms}
    counts = {name: -(-steps // SCALARS_EVERY) if name == "before" else steps for name in known}
    return {name: float(np.mean(values[-counts[name] :])) for name, values in known.items()}


def rate_factor(recipe: AttentionRecipe, step: int) -> float:
    """Part of the highest learning rate at a step (from 0)."""
    rise = min(1.0, (step + 1) / (recipe.optimiser.warmup + 1))
    return rise * float(0.5 * (1 + np.cos(np.pi * step / recipe.steps)))


def _save(path: Path, run: Run, net: AttentionRefiner, optimiser: torch.optim.Optimizer, position: Position) -> None:
    checkpoint.save(
        path,
        {
            "model": net.state_dict(),
            "optimiser": optimiser.state_dict(),
            **asdict(position),
            "recipe": run.recipe.sha256,
            "data": run.data_sha256,
            "recipe_values": json.dumps(asdict(run.recipe)),
        },
    )


def _restore(path: Path, run: Run, net: AttentionRefiner, optimiser: torch.optim.Optimizer) -> Position:
    state = checkpoint.load(path)
    checkpoint.check_same(state, path, recipe=run.recipe.sha256, data=run.data_sha256)
    net.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    return Position(**{name: state[name] for name in asdict(Position())})
