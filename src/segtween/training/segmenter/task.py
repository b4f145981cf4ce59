"""Training a segmenter on single images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segtween.metrics.segmentation import Segmentation
from segtween.models.weights import sha256_of
from segtween.networks import Network, build, fit_size, network
from segtween.networks.export import export_model, round_to_float16
from segtween.training.augment import augment, draw, normalise, shown_size
from segtween.training.checkpoint import load
from segtween.training.data import Pool, class_shares, open_pool, plan
from segtween.training.losses import class_weights
from segtween.training.options import CHECKPOINT
from segtween.training.segmenter.distil import Teacher, distil_loss, forward, open_teacher
from segtween.training.segmenter.losses import loss_of
from segtween.training.segmenter.recipe import Recipe
from segtween.training.task import Context, Position, Share, Task, autocast, before_folder
from segtween.types import IGNORE, Labels, Rgb, SizeHW

Part = tuple[Tensor, Tensor]  # images (n, 3, H, W) normalised, labels (n, H, W)


@dataclass
class SegmenterTask(Task):
    """A segmenter with its data; `order` (steps * batch, 2) says source and item of each sample, `shown` holds images,
    labels and logits of the last part."""

    recipe: Recipe
    context: Context
    spec: Network
    pools: tuple[Pool, ...]
    order: NDArray[np.int64]
    weights: Tensor | None  # (classes,)
    teacher: Teacher | None
    net: Any
    optimiser: torch.optim.Optimizer
    shown: tuple[Tensor, Tensor, Tensor] | None = field(default=None, repr=False)

    @property
    def nets(self) -> dict[str, torch.nn.Module]:
        return {"model": self.net}

    @property
    def data_sha256(self) -> str:
        return "".join(pool.sha256() for pool in self.pools) + ("" if self.teacher is None else self.teacher.sha256)

    @property
    def trained_size_hw(self) -> SizeHW:
        """The size at which whole frames are shown: the mean over the sources, by their shares."""
        sizes = [pool.read(0)[1].shape for pool in self.pools]
        shown = [shown_size(self.recipe.augment, size_hw=size, crop_hw=self.recipe.crop_hw) for size in sizes]
        height, width = np.average(shown, axis=0, weights=[pool.source.share for pool in self.pools])
        return round(height), round(width)

    def load(self, numbers: range) -> Part:
        recipe, crop_hw = self.recipe, self.recipe.crop_hw
        samples = [self.pools[source].read(item) for source, item in self.order[list(numbers)]]
        draws = [
            draw(recipe.augment, size_hw=truth.shape, crop_hw=crop_hw, seed=recipe.seed, sample=n)
            for n, (_, truth) in zip(numbers, samples, strict=True)
        ]
        images, labels = augment(samples, draws, crop_hw=crop_hw)
        images = normalise(images, mean=self.spec.mean, std=self.spec.std)
        device = self.context.device
        return images.to(device, memory_format=torch.channels_last), labels.to(device)

    def counts(self, part: Part) -> tuple[float, ...]:
        """Labelled pixels."""
        return (float((part[1] != IGNORE).sum()),)

    def loss(self, part: Part, share: Share) -> tuple[Tensor, dict[str, float]]:
        recipe, (images, labels) = self.recipe, part
        with autocast(self.context.device, recipe.precision):
            output = forward(self.net, images)  # logits (n, classes, H/4, W/4), and maps
            taught = None if self.teacher is None else self.teacher(images, of=self.spec)
        counted = max(1.0, share.counts[0])
        loss = loss_of(output[0].float(), labels, recipe.loss, self.weights, counted=counted, share=share.part)
        if taught is not None:
            loss = loss + share.part * distil_loss(output, taught, recipe.distil)
        self.shown = (images, labels, output[0].detach())
        return loss, {}

    def picture(self) -> NDArray[np.uint8] | None:
        """The part's first image, its truth and the network's prediction, side by side."""
        if self.shown is None:
            return None
        images, labels, logits = self.shown
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (self.spec.mean, self.spec.std))
        image = (images[0].cpu() * std + mean).clamp(0, 255).byte().permute(1, 2, 0).numpy()
        predicted = F.interpolate(logits[:1].float(), size=labels.shape[1:], mode="bilinear").argmax(1)[0]
        shown = [x.cpu().numpy().astype(np.uint8) for x in (labels[0], predicted)]
        return np.concatenate([image, *map(self.recipe.label_set.colourise, shown)], axis=1)

    def data(self) -> list[dict[str, Any]]:
        return [
            {"name": p.source.name, "frames": len(p), "share": p.source.share, "sha256": p.sha256()} for p in self.pools
        ]

    def finish(self, position: Position, data: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Score the last weights, export them."""
        del position
        recipe, options, before = self.recipe, self.context.options, self.context.before
        # Weights are shipped as float16, so it is their rounded values that are scored.
        self.net.load_state_dict(round_to_float16(self.net.state_dict()))
        self.net.eval()
        scores = {}
        for source in recipe.evaluate:
            pool = open_pool(source, recipe.label_set, data_root=options.data_root, cache=options.cache_folder)
            scores[source.name] = score(self.net, pool, spec=self.spec, device=self.context.device)
        provenance = {
            "licence": recipe.licence,
            "initial": recipe.initial,
            "data": [{k: d[k] for k in ("name", "frames", "sha256")} for d in data],
            "measured": {name: {"miou": round(s["miou"], 4), "frames": s["frames"]} for name, s in scores.items()},
        }
        if self.teacher is not None:
            provenance["teacher"] = {"name": recipe.distil.teacher, "sha256": self.teacher.sha256}
        export_model(
            self.net.cpu(), network=recipe.network, name=recipe.name, labels=recipe.label_set, out=options.model,
            provenance={**options.provenance, **provenance}, trained_size_hw=self.trained_size_hw,
        )  # fmt: skip
        weights = sha256_of(options.model / "weights.safetensors")
        said = {"scores": scores, "provenance": provenance, "weights_sha256": weights}
        if before is not None:
            said["before"] = {k: before[k] for k in ("steps", "minutes", "loss_last_100", "weights_sha256")}
        return said

    def remarks(self, report: dict[str, Any]) -> tuple[list[str], list[str]]:
        """Per-class IoU in percent, one column for each evaluation set."""
        scores = report["scores"].values()
        if not scores:
            return [], []
        rows = {
            "IoU %": list(report["scores"]),
            **{c: [_percent(s["per_class"][c]) for s in scores] for c in next(iter(scores))["per_class"]},
            "mean": [_percent(s["miou"]) for s in scores],
            "frames": [s["frames"] for s in scores],
        }
        return [], ["", *(f"{name:<16}" + "".join(f"{v:>24}" for v in values) for name, values in rows.items())]


def open_task(recipe: Recipe, context: Context) -> SegmenterTask:
    """Find all data first, that of the evaluation too, so that what is missing is reported before the long part."""
    labels, device, options = recipe.label_set, context.device, context.options
    teacher = open_teacher(recipe, device=device)
    with context.processes.first_alone():
        sources = (*recipe.train, *recipe.evaluate)
        found = [open_pool(s, labels, data_root=options.data_root, cache=options.cache_folder) for s in sources]
    pools = tuple(found[: len(recipe.train)])
    order = plan(pools, samples=recipe.steps * recipe.batch, seed=recipe.seed)
    weights = class_weights(class_shares(pools, classes=len(labels)), recipe.loss, device=device)

    torch.manual_seed(recipe.seed)
    net = build(recipe.network, classes=len(labels), initial=recipe.initial)
    if context.before is not None:
        net.load_state_dict(load(before_folder(context) / CHECKPOINT)["model"])
    net = net.to(device, memory_format=torch.channels_last).train()
    optimiser = make_optimiser(net, recipe)
    return SegmenterTask(recipe, context, network(recipe.network), pools, order, weights, teacher, net, optimiser)


def make_optimiser(net: torch.nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Four groups: encoder or not, filters (with weight decay) or norms and biases (without)."""
    settings = recipe.optimiser
    groups: dict[tuple[bool, bool], list[Tensor]] = {}
    for key, value in net.named_parameters():
        encoder = key.startswith("backbone.") and not key.startswith(("backbone.spp.", "backbone.upsample."))
        groups.setdefault((encoder, value.ndim > 1), []).append(value)
    described = []
    for (encoder, filters), values in groups.items():
        slower = settings.encoder_factor if encoder and recipe.initial == "imagenet" else 1.0
        decay = settings.weight_decay if filters else 0.0
        described.append({"params": values, "lr": settings.rate * slower, "weight_decay": decay})
    if settings.kind == "sgd":
        return torch.optim.SGD(described, momentum=0.9)
    return torch.optim.AdamW(described)


def _percent(value: float | None) -> str:
    return "absent" if value is None else f"{100 * value:.2f}"


@torch.no_grad()
def predict(net: torch.nn.Module, rgb: Rgb, *, spec: Network, device: torch.device) -> Labels:
    """(H, W, 3) -> (H, W) train ids: image to the nearest fitting size, logits enlarged to the image, argmax."""
    height, width = fit_size(rgb.shape[:2], multiple_of=spec.multiple_of)
    resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_LINEAR)
    image = torch.from_numpy(resized).to(device).permute(2, 0, 1)[None].float() / 255  # (1, 3, height, width)
    logits = net(normalise(image, mean=spec.mean, std=spec.std))  # (1, classes, height/4, width/4)
    enlarged = torch.nn.functional.interpolate(logits, size=rgb.shape[:2], mode="bilinear", align_corners=False)
    return enlarged[0].argmax(0).to(torch.uint8).cpu().numpy()


def score(net: torch.nn.Module, pool: Pool, *, spec: Network, device: torch.device) -> dict[str, Any]:
    """`frames`, `miou` and `per_class` of one source, in float32 and eval mode, pooled over all its frames."""
    was_training = net.training
    net.eval()
    metric = Segmentation(pool.labels)
    for item in range(len(pool)):
        rgb, truth = pool.read(item)
        metric.update(np.ascontiguousarray(predict(net, rgb, spec=spec, device=device)), truth)
    net.train(was_training)
    measured = metric.compute()
    return {"frames": len(pool), "miou": measured["miou"], "per_class": measured["per_class"]}
