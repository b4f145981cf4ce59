"""Training flow and refinement on chains, start to end: read it from `train` downwards.

What happens at a step depends on the recipe, the data and the number of the step alone: neither a kill and a new
start nor, with frozen norms, the number of processes changes the weights at the end.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segtween.errors import ModelError
from segtween.labels import LabelSet
from segtween.networks import build_flow, build_refiner
from segtween.networks.chain import Chain
from segtween.training import Epoch, checkpoint
from segtween.training.data import plan
from segtween.training.loop import CHECKPOINT, SCALARS_EVERY, class_weights, make_folder, pick_device
from segtween.training.processes import Processes, joined
from segtween.training.progress import Progress, shown
from segtween.training.propagation.batches import chain_length, load_batch
from segtween.training.propagation.clips import ClipPool, open_clips
from segtween.training.propagation.finish import BEST, finish, save_best
from segtween.training.propagation.losses import Counts, chain_loss
from segtween.training.propagation.recipe import PropagationRecipe
from segtween.training.propagation.start import begin_with, class_shares
from segtween.training.propagation.stored import StoredPool, store
from segtween.training.propagation.teacher import Teacher, open_teacher
from segtween.types import IGNORE

CHECKPOINT_EVERY = 100  # steps; also at each epoch's end


@dataclass(frozen=True)
class Run:
    """What a training is made of, once its recipe has been read and its data found."""

    recipe: PropagationRecipe
    teacher: Teacher
    pools: tuple[ClipPool | StoredPool, ...]
    order: NDArray[np.int64]  # (steps * batch, 2) source and item
    weights: Tensor | None  # (classes,)
    steps: int
    epoch_steps: int
    device: torch.device
    processes: Processes
    readers: int = 0

    @property
    def labels(self) -> LabelSet:
        return self.teacher.labels


@dataclass
class Position:
    """Where a training stands, and what it remembers of the way. `best` is the score of `best_epoch`."""

    step: int = 0
    epoch: int = 0
    spent_seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    best: float | None = None
    best_epoch: int = 0
    scored: bool = False  # whether `best` is the caller's score or the mean loss, negative

    def stopped(self, patience: int) -> bool:
        return 0 < patience <= self.epoch - self.best_epoch


def train(
    recipe: PropagationRecipe,
    *,
    out: Path,
    data_root: Path | None = None,
    resume: bool = True,
    device: str = "auto",
    events: Path | None = None,
    on_epoch: Callable[[Epoch], float | None] | None = None,
    init: Sequence[str | Path] = (),
    provenance: dict[str, Any] | None = None,
    cache: Path | None = None,
    readers: int = 0,
) -> dict[str, Any]:
    """See `segtween.training.train_propagation`. A recipe with `after` trains that one first, in `out/before`; what
    is rendered, decoded and stored goes to `cache` (`out/cache`)."""
    chosen = pick_device(device)
    cache, before = cache or out / "cache", None
    if recipe.after is not None:
        first: dict[str, Any] = {"data_root": data_root, "resume": resume, "device": device, "cache": cache}
        first["readers"] = readers
        before = Path(train(recipe.after, out=out / "before", **first)["model"]) / BEST
    with joined(chosen, batch=recipe.batch, parts=recipe.accumulate) as processes:
        make_folder(out)
        run = prepare(recipe, cache=cache, data_root=data_root, device=chosen, processes=processes)
        run = replace(run, readers=readers)
        torch.manual_seed(recipe.seed)
        chain = Chain(build_flow(recipe.flow), build_refiner(classes=len(run.labels), edge=recipe.edge)).to(run.device)
        begun_with = begin_with(chain, recipe, init, before=before, data_root=data_root)
        optimiser = make_optimiser(chain, run)
        position = Position()
        hashes = {"recipe": recipe.sha256, "data": data_hash(run, begun_with)}
        if resume and (out / CHECKPOINT).is_file():
            position = _restore(out / CHECKPOINT, chain, optimiser, run, hashes)
        with shown(
            recipe.name, events or out / "events", first=position.step, steps=run.steps, shown=processes.first
        ) as progress:
            _learn(run, chain, optimiser, position, out=out, hashes=hashes, progress=progress, on_epoch=on_epoch)
        if not processes.first:
            processes.wait()
            return {"text": "", "model": str(out / "model")}
        kept = {"recipe_sha256": recipe.sha256, **(provenance or {}), "initial": begun_with}
        folder = None if before is None else before.parent
        report = finish(run, chain, position, out=out, provenance=kept, before=folder)
        processes.wait()
        return report


def prepare(
    recipe: PropagationRecipe, *, cache: Path, data_root: Path | None, device: torch.device, processes: Processes
) -> Run:
    """Find segmenter and data first, so that what is missing is said before the long part."""
    teacher = open_teacher(recipe, data_root=data_root, device=device)
    pools: list[ClipPool | StoredPool] = []
    with processes.first_alone():
        for source in recipe.train:
            pool = open_clips(source, teacher.labels, longest=max(recipe.chain), data_root=data_root, cache=cache)
            stored = recipe.scores == "stored"
            pools.append(store(pool, recipe, teacher, cache=cache, device=device) if stored else pool)
    epoch_steps = max(1, sum(len(pool) for pool in pools) // recipe.batch)
    steps = recipe.steps or recipe.epochs * epoch_steps
    order = plan(pools, samples=steps * recipe.batch, seed=recipe.seed)
    weights = class_weights(class_shares(pools, len(teacher.labels)), recipe.loss)
    weights = None if weights is None else weights.to(device)
    return Run(recipe, teacher, tuple(pools), order, weights, steps, epoch_steps, device, processes)


def _learn(
    run: Run,
    chain: Chain,
    optimiser: torch.optim.Optimizer,
    position: Position,
    *,
    out: Path,
    hashes: dict[str, str],
    progress: Progress | None,
    on_epoch: Callable[[Epoch], float | None] | None,
) -> None:
    recipe = run.recipe
    begun = time.perf_counter() - position.spent_seconds
    set_modes(chain, run)
    while position.step < run.steps and not position.stopped(recipe.early_stop):
        rates = set_rates(optimiser, recipe, position.step)
        terms = gradients(run, chain, optimiser, position.step)
        optimiser.step()
        if not recipe.freeze_norms:
            run.processes.average(moving(chain, run))
        position.step += 1
        position.losses.append(terms["loss"])
        if not np.isfinite(terms["loss"]):
            raise ModelError(
                f"the loss at step {position.step} is {terms['loss']}", do="lower the optimiser's rates in the recipe"
            )
        if progress is not None:
            progress.step(position.step, terms["loss"])
            if position.step % SCALARS_EVERY == 0:
                progress.scalars(position.step, **terms, **{f"rate_{k}": v for k, v in rates.items()})
        ends = position.step % run.epoch_steps == 0 or position.step == run.steps
        if ends:
            _end_epoch(run, chain, position, rates, out=out, on_epoch=on_epoch)
        if ends or position.step % CHECKPOINT_EVERY == 0:
            position.spent_seconds = time.perf_counter() - begun
            if run.processes.first:
                _save(out / CHECKPOINT, chain, optimiser, position, run, hashes)


def gradients(run: Run, chain: Chain, optimiser: torch.optim.Optimizer, step: int) -> dict[str, float]:
    """The gradients of one step's whole batch, added up over parts and processes; returns the loss and its terms."""
    recipe = run.recipe
    whole = range(step * recipe.batch, (step + 1) * recipe.batch)
    numbers = run.processes.part_of(whole)
    size = len(numbers) // recipe.accumulate
    length = chain_length(recipe, whole[0])
    parts = [
        load_batch(
            recipe, run.pools, run.teacher, numbers=numbers[i * size : (i + 1) * size], order=run.order,
            length=length, device=run.device, readers=run.readers,
        )
        for i in range(recipe.accumulate)
    ]  # fmt: skip
    learnt = float(sum(int((part.labels != IGNORE).sum()) for part in parts))
    pixels, samples = run.processes.total(learnt, len(numbers), device=run.device)
    counts = Counts(max(1.0, pixels), samples)
    optimiser.zero_grad(set_to_none=True)
    sums: dict[str, float] = {}
    for part in parts:
        with torch.autocast(run.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            steps = chain(part.key, part.images.unbind(1), gradient_steps=recipe.gradient_steps)
        loss, terms = chain_loss(steps[-recipe.gradient_steps :], part, recipe.loss, weights=run.weights, counts=counts)
        loss.backward()
        for name, value in {"loss": float(loss.detach()), **terms}.items():
            sums[name] = sums.get(name, 0.0) + value
    values = [p for group in optimiser.param_groups for p in group["params"]]
    for value in values:
        if value.grad is None:  # a part of the network that this step did not use
            value.grad = torch.zeros_like(value)
    run.processes.add_up([v.grad for v in values])
    return dict(zip(sums, run.processes.total(*sums.values(), device=run.device), strict=True))


def set_modes(chain: Chain, run: Run) -> None:
    """Train mode, but for norms that keep their statistics and for what is not trained."""
    recipe = run.recipe
    chain.train()
    chain.flow.train(recipe.train_flow)
    chain.flow.requires_grad_(recipe.train_flow)
    run.teacher.net.train(recipe.finetune_all)
    run.teacher.net.requires_grad_(recipe.finetune_all)
    if recipe.freeze_norms:
        for module in (*chain.modules(), *run.teacher.net.modules()):
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def moving(chain: Chain, run: Run) -> list[Tensor]:
    """The norms' statistics that a step changes."""
    return [*chain.buffers(), *(run.teacher.net.buffers() if run.recipe.finetune_all else ())]


def make_optimiser(chain: Chain, run: Run) -> torch.optim.Optimizer:
    """One group for each part that is trained, named after its rate."""
    settings = run.recipe.optimiser
    parts = {"intra": chain.refine.grm["intra_net"], "guide": chain.refine.grm["guide"]}
    if run.recipe.train_flow:
        parts["flow"] = chain.flow
    if run.recipe.finetune_all:
        parts["segmenter"] = run.teacher.net
    groups = [{"params": list(part.parameters()), "part": name} for name, part in parts.items()]
    decay = settings.weight_decay
    if settings.kind == "sgd":
        return torch.optim.SGD(groups, lr=settings.intra, momentum=0.9, nesterov=True, weight_decay=decay)
    return torch.optim.Adam(groups, lr=settings.intra, weight_decay=decay)


def set_rates(optimiser: torch.optim.Optimizer, recipe: PropagationRecipe, step: int) -> dict[str, float]:
    """Each part's rate at a step (from 0)."""
    settings = recipe.optimiser
    factor = settings.gamma ** (step // settings.every)
    for group in optimiser.param_groups:
        group["lr"] = getattr(settings, group["part"]) * factor
    return {group["part"]: group["lr"] for group in optimiser.param_groups}


def data_hash(run: Run, begun_with: dict[str, str]) -> str:
    """Of everything that is read: clips, segmenter, initial weights."""
    pools = [pool.pool if isinstance(pool, StoredPool) else pool for pool in run.pools]
    return "".join([*(pool.listing_sha256() for pool in pools), run.teacher.sha256, *begun_with.values()])


def _end_epoch(
    run: Run,
    chain: Chain,
    position: Position,
    rates: dict[str, float],
    *,
    out: Path,
    on_epoch: Callable[[Epoch], float | None] | None,
) -> None:
    """Hand the weights to the caller, and keep them if they are the best so far."""
    position.epoch += 1
    steps = position.step - (position.epoch - 1) * run.epoch_steps
    mean = float(np.mean(position.losses[-steps:]))
    score = None
    if run.processes.first:
        ended = Epoch(position.epoch, position.step, mean, rates, *weights_of(chain, run))
        score = on_epoch(ended) if on_epoch is not None else None
    known, given = run.processes.total(float(score is not None), score or 0.0, device=run.device)
    position.scored = bool(known)
    value = given if known else -mean
    if position.best is None or value > position.best:
        position.best, position.best_epoch = value, position.epoch
        if position.scored and run.processes.first:
            save_best(out, *weights_of(chain, run), epoch=position.epoch)


def weights_of(chain: Chain, run: Run) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor] | None]:
    """Copies on the CPU: refinement, flow, and the segmenter where it is trained."""
    nets = [chain.refine, chain.flow, *([run.teacher.net] if run.recipe.finetune_all else [])]
    states = [{k: v.detach().cpu().clone().contiguous() for k, v in net.state_dict().items()} for net in nets]
    return states[0], states[1], states[2] if len(states) > 2 else None


def _save(
    path: Path, chain: Chain, optimiser: torch.optim.Optimizer, position: Position, run: Run, hashes: dict[str, str]
) -> None:
    state: dict[str, Any] = {
        "model": chain.state_dict(),
        "optimiser": optimiser.state_dict(),
        **asdict(position),
        **hashes,
        "recipe_values": json.dumps(asdict(run.recipe)),
    }
    if run.recipe.finetune_all:
        state["segmenter"] = run.teacher.net.state_dict()
    checkpoint.save(path, state)


def _restore(path: Path, chain: Chain, optimiser: torch.optim.Optimizer, run: Run, hashes: dict[str, str]) -> Position:
    state = checkpoint.load(path)
    checkpoint.check_same(state, path, recipe=hashes["recipe"], data=hashes["data"])
    chain.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    if run.recipe.finetune_all:
        run.teacher.net.load_state_dict(state["segmenter"])
    return Position(**{name: state[name] for name in asdict(Position())})
