"""Training the flow network and the guided refinement of the published system on chains of frames.

Neither a kill and a new start nor, with frozen norms, the number of processes changes the weights at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from segtween.compat.swnet_seq.places import BEST
from segtween.compat.swnet_seq.training.batches import Batch, chain_length, load_batch
from segtween.compat.swnet_seq.training.clips import ClipPool, open_clips
from segtween.compat.swnet_seq.training.losses import chain_loss
from segtween.compat.swnet_seq.training.recipe import PropagationRecipe
from segtween.compat.swnet_seq.training.stored import StoredPool, store
from segtween.compat.swnet_seq.training.teacher import Teacher, open_teacher
from segtween.compat.swnet_seq.training.weights import begin_with, export, save_best
from segtween.networks import build_flow, build_refiner
from segtween.networks.chain import Chain
from segtween.training import Epoch
from segtween.training.data import class_shares, plan
from segtween.training.losses import class_weights
from segtween.training.task import Context, Position, Share, Task, autocast, before_folder
from segtween.types import IGNORE

State = dict[str, Tensor]


@dataclass
class PropagationTask(Task):
    """Flow and refinement with their clips; `order` (steps * batch, 2) says source and item of each sample,
    `begun_with` names and hashes the weight files that they began with."""

    recipe: PropagationRecipe
    context: Context
    teacher: Teacher
    pools: tuple[ClipPool | StoredPool, ...]
    order: NDArray[np.int64]
    weights: Tensor | None  # (classes,)
    chain: Chain
    optimiser: torch.optim.Optimizer
    begun_with: dict[str, str]
    epoch_steps: int = 0
    fill_gradients: ClassVar[bool] = True  # a chain of one step does not use all parts

    @property
    def nets(self) -> dict[str, nn.Module]:
        return {"model": self.chain, **({"segmenter": self.teacher.net} if self.recipe.finetune_all else {})}

    @property
    def steps(self) -> int:
        return self.recipe.steps or self.recipe.epochs * self.epoch_steps

    @property
    def rates(self) -> dict[str, float]:
        settings = self.recipe.optimiser
        return {f"rate_{g['part']}": getattr(settings, g["part"]) for g in self.optimiser.param_groups}

    @property
    def clips(self) -> list[ClipPool]:
        return clip_pools(self.pools)

    @property
    def data_sha256(self) -> str:
        """Of clips, segmenter and initial weights."""
        listings = [pool.listing_sha256() for pool in self.clips]
        return "".join([*listings, self.teacher.sha256, *self.begun_with.values()])

    def load(self, numbers: range) -> Batch:
        recipe = self.recipe
        length = chain_length(recipe, numbers[0] // recipe.batch * recipe.batch)
        return load_batch(
            recipe, self.pools, self.teacher, numbers=numbers, order=self.order, length=length,
            readers=self.context.options.readers,
        )  # fmt: skip

    def counts(self, part: Batch) -> tuple[float, ...]:
        """Labelled pixels, samples."""
        return float((part.labels != IGNORE).sum()), float(len(part.labels))

    def loss(self, part: Batch, share: Share) -> tuple[Tensor, dict[str, float]]:
        recipe = self.recipe
        with autocast(self.context.device, recipe.precision):
            steps = self.chain(part.key, part.images.unbind(1), gradient_steps=recipe.gradient_steps)
        pixels, samples = share.counts
        counts = max(1.0, pixels), samples
        return chain_loss(steps[-recipe.gradient_steps :], part, recipe.loss, weights=self.weights, counts=counts)

    def validate(self, position: Position, loss: float, rates: dict[str, float]) -> float | None:
        """What the caller's `on_epoch` makes of the weights."""
        on_epoch = self.context.options.on_epoch
        if on_epoch is None:
            return None
        shown = {name.removeprefix("rate_"): rate for name, rate in rates.items()}
        return on_epoch(Epoch(position.epoch, position.step, loss, shown, *self.states()))

    def keep(self, position: Position) -> None:
        save_best(self.context.options.out, *self.states(), epoch=position.epoch)

    def states(self) -> tuple[State, State, State | None]:
        """Copies on the CPU: refinement, flow, and the segmenter where it is trained."""
        nets = [self.chain.refine, self.chain.flow, *([self.teacher.net] if self.recipe.finetune_all else [])]
        states = [{k: v.detach().cpu().clone().contiguous() for k, v in net.state_dict().items()} for net in nets]
        return states[0], states[1], states[2] if len(states) > 2 else None

    def data(self) -> list[dict[str, Any]]:
        return [
            {
                "name": pool.source.name,
                "clips": len(pool.clips),
                "frames": sum(map(len, pool.clips)),
                "labels": pool.has_labels,
                "listing_sha256": pool.listing_sha256(),
            }
            for pool in self.clips
        ]

    def finish(self, position: Position, data: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """The weights are the best epoch's where epochs were scored, else the last."""
        if not position.scored:
            self.keep(position)
        recipe, options = self.recipe, self.context.options
        provenance = {
            "name": recipe.name,
            "recipe_sha256": recipe.sha256,
            **options.provenance,
            "initial": self.begun_with,
            "licence": recipe.licence,
            "segmenter": self.teacher.name,
            "segmenter_sha256": self.teacher.sha256,
            "steps": position.step,
            "data": [dict(d) for d in data],
        }
        before = None if self.context.before is None else before_folder(self.context) / "model"
        return {
            "epochs": position.epoch,
            "epoch": position.best_epoch if position.scored else position.epoch,
            "score": position.best if position.scored else None,
            "provenance": provenance,
            **export(recipe, self.chain, self.teacher, folder=options.model, provenance=provenance, before=before),
        }

    def remarks(self, report: dict[str, Any]) -> tuple[list[str], list[str]]:
        scored = report["score"] is not None
        kept = f"best epoch {report['epoch']}, score {report['score']:.4f}" if scored else "last step"
        measure = (
            f"measure it: segtween evaluate --preset swnet-seq --weights {report['model']} --model "
            f"{report['recipe']['segmenter']} --dataset NAME --root FOLDER --split val --intervals 1,2,3,4"
        )
        return [f"weights of the {kept}"], [measure]


def open_task(recipe: PropagationRecipe, context: Context) -> PropagationTask:
    """Find segmenter and data first, so that what is missing is said before the long part."""
    options, device = context.options, context.device
    teacher = open_teacher(recipe, data_root=options.data_root, device=device)
    pools = _open_pools(recipe, teacher, context)
    epoch_steps = max(1, sum(len(pool) for pool in pools) // recipe.batch)
    steps = recipe.steps or recipe.epochs * epoch_steps
    order = plan(pools, samples=steps * recipe.batch, seed=recipe.seed)
    labelled = [pool for pool in clip_pools(pools) if pool.has_labels]
    weights = class_weights(class_shares(labelled, classes=len(teacher.labels)), recipe.loss, device=device)

    torch.manual_seed(recipe.seed)
    chain = Chain(build_flow(recipe.flow), build_refiner(classes=len(teacher.labels), edge=recipe.edge)).to(device)
    before = None if context.before is None else before_folder(context) / "model" / BEST
    begun_with = begin_with(chain, recipe, options.init, before=before, data_root=options.data_root)
    set_modes(chain, recipe, teacher)
    optimiser = make_optimiser(chain, recipe, teacher)
    return PropagationTask(recipe, context, teacher, pools, order, weights, chain, optimiser, begun_with, epoch_steps)


def clip_pools(pools: Sequence[ClipPool | StoredPool]) -> list[ClipPool]:
    """The sources, whether their scores are stored or not."""
    return [pool.pool if isinstance(pool, StoredPool) else pool for pool in pools]


def _open_pools(recipe: PropagationRecipe, teacher: Teacher, context: Context) -> tuple[ClipPool | StoredPool, ...]:
    root, cache = context.options.data_root, context.options.cache_folder
    pools: list[ClipPool | StoredPool] = []
    with context.processes.first_alone():
        for source in recipe.train:
            pool = open_clips(source, teacher.labels, longest=max(recipe.chain), data_root=root, cache=cache)
            stored = recipe.scores == "stored"
            pools.append(store(pool, recipe, teacher, cache=cache, device=context.device) if stored else pool)
    return tuple(pools)


def set_modes(chain: Chain, recipe: PropagationRecipe, teacher: Teacher) -> None:
    """Train mode, but for norms that keep their statistics and for what is not trained."""
    chain.train()
    chain.flow.train(recipe.train_flow)
    chain.flow.requires_grad_(recipe.train_flow)
    teacher.net.train(recipe.finetune_all)
    teacher.net.requires_grad_(recipe.finetune_all)
    if recipe.freeze_norms:
        for module in (*chain.modules(), *teacher.net.modules()):
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()


def make_optimiser(chain: Chain, recipe: PropagationRecipe, teacher: Teacher) -> torch.optim.Optimizer:
    """One group for each part that is trained, named after its rate."""
    settings = recipe.optimiser
    parts = {"intra": chain.refine.grm["intra_net"], "guide": chain.refine.grm["guide"]}
    if recipe.train_flow:
        parts["flow"] = chain.flow
    if recipe.finetune_all:
        parts["segmenter"] = teacher.net
    groups = [
        {"params": list(part.parameters()), "part": name, "lr": getattr(settings, name)} for name, part in parts.items()
    ]
    if settings.kind == "sgd":
        return torch.optim.SGD(groups, momentum=0.9, nesterov=True, weight_decay=settings.weight_decay)
    return torch.optim.Adam(groups, weight_decay=settings.weight_decay)
