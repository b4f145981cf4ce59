"""Training refinement by attention."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segtween.models.components import ATTENTION
from segtween.models.weights import sha256_of
from segtween.networks.attention import AttentionRefiner
from segtween.networks.export import round_to_float16
from segtween.networks.export_components import export_attention
from segtween.training.attention.batches import Batch, Reader, open_reader
from segtween.training.attention.losses import attention_loss
from segtween.training.attention.recipe import AttentionRecipe
from segtween.training.attention.sources import open_extractors, open_moments
from segtween.training.data import plan
from segtween.training.losses import class_weights
from segtween.training.task import Context, Position, Share, Task, autocast

COMPARE_EVERY = 10  # steps
RECENT = 100  # steps


@dataclass
class AttentionTask(Task):
    """An attention network with its data; `extractors` describes what scores and flow were extracted with."""

    recipe: AttentionRecipe
    context: Context
    reader: Reader
    extractors: dict[str, Any]
    weights: Tensor | None  # (classes,)
    net: AttentionRefiner
    optimiser: torch.optim.Optimizer

    @property
    def nets(self) -> dict[str, torch.nn.Module]:
        return {"model": self.net}

    @property
    def data_sha256(self) -> str:
        return "".join(pool.sha256 for pool in self.reader.pools)

    def load(self, numbers: range) -> tuple[Batch, bool]:
        """The samples, and whether this is a step at which the overlap before the correction is looked at."""
        compare = numbers[0] // self.recipe.batch % COMPARE_EVERY == 0
        return self.reader.batch(numbers).to(self.context.device), compare

    def loss(self, part: tuple[Batch, bool], share: Share) -> tuple[Tensor, dict[str, float]]:
        del share
        (batch, compare), recipe = part, self.recipe
        with autocast(self.context.device, recipe.precision):
            answer = self.net(*batch.inputs(scores=recipe.class_head))
        return attention_loss(answer.float32(), batch, recipe.loss, self.weights, compare=compare)

    def data(self) -> list[dict[str, Any]]:
        return [
            {
                "name": p.source.name,
                "clips": len(p),
                "frames": len(p) * p.frames,
                "share": p.source.share,
                "sha256": p.sha256,
            }
            for p in self.reader.pools
        ]

    def finish(self, position: Position, data: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Write `attention.onnx`."""
        recipe, options = self.recipe, self.context.options
        provenance = {
            "name": recipe.name,
            **options.provenance,
            "licence": recipe.licence,
            "segmenter": self.extractors["segmenter"]["name"],
            "segmenter_fingerprint": self.extractors["segmenter"]["fingerprint"],
            "steps": position.step,
            "data": [{k: d[k] for k in ("name", "clips", "frames", "sha256")} for d in data],
        }
        self.net.cpu().load_state_dict(round_to_float16(self.net.state_dict()))
        options.model.mkdir(parents=True, exist_ok=True)
        path = options.model / ATTENTION
        export_attention(self.net, path, labels=recipe.labels if recipe.class_head else "", provenance=provenance)
        return {
            "seen_with": self.extractors,
            "last_100": position.recent(RECENT),
            "provenance": provenance,
            "attention_sha256": sha256_of(path),
        }

    def remarks(self, report: dict[str, Any]) -> tuple[list[str], list[str]]:
        last = report["last_100"]
        learnt = (
            f"last {min(RECENT, report['steps'])} steps: 1 - soft IoU {last['before']:.4f} as read, "
            f"{last['overlap']:.4f} corrected, of {100 * last['share']:.1f}% of the cells"
        )
        measure = (
            f"measure it: segtween evaluate --preset refined --weights {report['model']} --model "
            f"{report['recipe']['segmenter']} --dataset NAME --root FOLDER --split val --intervals 1,2,3,4"
        )
        return [learnt], [measure]


def open_task(recipe: AttentionRecipe, context: Context) -> AttentionTask:
    """Find and see all data first; what is rendered and seen goes to the cache."""
    extractors, options = open_extractors(recipe, threads=torch.get_num_threads()), context.options
    pools = tuple(
        open_moments(source, recipe, extractors, data_root=options.data_root, cache=options.cache_folder)
        for source in recipe.train
    )
    order = plan(pools, samples=recipe.steps * recipe.batch, seed=recipe.seed)
    total = sum(pool.source.share for pool in pools)
    shares = sum(pool.source.share / total * pool.class_shares(len(recipe.label_set)) for pool in pools)
    weights = class_weights(np.asarray(shares), recipe.loss, device=context.device)
    reader = open_reader(recipe, pools, order, extractors.follower.propagation.ops)

    torch.manual_seed(recipe.seed)
    net = AttentionRefiner(classes=len(recipe.label_set) if recipe.class_head else 0)
    net = net.to(context.device, memory_format=torch.channels_last).train()
    settings = recipe.optimiser
    optimiser = torch.optim.AdamW(net.parameters(), lr=settings.rate, weight_decay=settings.weight_decay)
    return AttentionTask(recipe, context, reader, extractors.describe(), weights, net, optimiser)
