"""Training, start to end, in one file: read it from `train` downwards.

What happens at a step depends on the recipe, the data and the number of the step alone, so a training that
is killed and started again ends with the same weights, bit for bit, on the same machine.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segtween.errors import ModelError, SettingError, SinkError
from segtween.networks import Network, build, network
from segtween.networks.export import export_model, round_to_float16
from segtween.training import checkpoint
from segtween.training.augment import augment, draw, normalise
from segtween.training.data import Pool, class_shares, open_pool, plan
from segtween.training.progress import Progress
from segtween.training.recipe import Loss, Recipe, Weighting
from segtween.training.report import build_report, write_report
from segtween.training.score import score
from segtween.types import IGNORE

CHECKPOINT = "checkpoint.pt"
CHECKPOINT_EVERY = 100  # steps
SCALARS_EVERY = 10
PICTURE_EVERY = 200


@dataclass(frozen=True)
class Run:
    """What a training is made of, once its recipe has been read and its data found."""

    recipe: Recipe
    spec: Network
    pools: tuple[Pool, ...]
    order: NDArray[np.int64]  # (steps * batch, 2) source and item
    weights: Tensor | None  # (classes,)
    device: torch.device


def train(
    recipe: Recipe,
    *,
    out: Path,
    data_root: Path | None = None,
    resume: bool = True,
    device: str = "auto",
    provenance: dict[str, Any] | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Train, score the last weights once, export them to `out/model`, write `out/report.json` and `.txt`.

    A recipe with `after` trains that one first, in `out/before`. Rendered frames go to `cache` (`out/cache`). `resume`
    goes on from `out/checkpoint.pt` where there is one. Raises SettingError for a checkpoint of another
    recipe or other data, DatasetError for data that does not fit, ModelError if the loss is no longer finite.
    """
    make_folder(out)
    cache = cache or out / "cache"
    run = prepare(recipe, data_root=data_root, cache=cache, device=pick_device(device))
    before = None
    if recipe.after is not None:
        before = train(recipe.after, out=out / "before", data_root=data_root, resume=resume, device=device, cache=cache)
    data_hash = "".join(pool.sha256() for pool in run.pools)
    torch.manual_seed(recipe.seed)
    net = build(recipe.network, classes=len(recipe.label_set), initial=recipe.initial)
    if before is not None:
        net.load_state_dict(checkpoint.load(out / "before" / CHECKPOINT)["model"])
    net = net.to(run.device, memory_format=torch.channels_last).train()
    optimiser = make_optimiser(net, recipe)

    step, spent_seconds, losses = 0, 0.0, []
    path = out / CHECKPOINT
    if resume and path.is_file():
        state = checkpoint.load(path)
        checkpoint.check_same(state, path, recipe=recipe.sha256, data=data_hash)
        net.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["rng"])
        step, spent_seconds, losses = state["step"], state["spent_seconds"], state["losses"]

    begun = time.perf_counter() - spent_seconds
    with Progress(recipe.name, out / "events", first=step, steps=recipe.steps) as progress:
        while step < recipe.steps:
            images, labels = load_batch(run, step)  # (N, 3, H, W) normalised, (N, H, W)
            factor = rate_factor(recipe, step)
            for group in optimiser.param_groups:
                group["lr"] = group["full_rate"] * factor
            with torch.autocast(run.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
                logits = net(images)  # (N, classes, H/4, W/4)
            loss = loss_of(logits.float(), labels, recipe.loss, run.weights)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            step += 1

            losses.append(float(loss.detach()))
            if not np.isfinite(losses[-1]):
                raise ModelError(f"the loss at step {step} is {losses[-1]}", do="lower optimiser.rate in the recipe")
            progress.step(step, losses[-1])
            if step % SCALARS_EVERY == 0:
                progress.scalars(
                    step, loss=float(np.mean(losses[-SCALARS_EVERY:])), rate=recipe.optimiser.rate * factor
                )
            if step % PICTURE_EVERY == 0:
                progress.picture(step, _picture(run, images, labels, logits))
            if step % CHECKPOINT_EVERY == 0 or step == recipe.steps:
                state = {
                    "model": net.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "rng": torch.get_rng_state(),
                    "step": step,
                    "spent_seconds": time.perf_counter() - begun,
                    "losses": losses,
                    "recipe": recipe.sha256,
                    "data": data_hash,
                    "recipe_values": json.dumps(asdict(recipe)),
                }
                checkpoint.save(path, state)

    spent_seconds = time.perf_counter() - begun
    # Weights are shipped as float16, so it is their rounded values that are scored.
    net.load_state_dict(round_to_float16(net.state_dict()))
    net.eval()
    scores = {}
    for source in recipe.evaluate:
        pool = open_pool(source, recipe.label_set, data_root=data_root, cache=cache)
        scores[source.name] = score(net, pool, spec=run.spec, device=run.device)
    report = build_report(recipe, run.pools, losses=losses, scores=scores, spent_seconds=spent_seconds)
    report["device"] = run.device.type
    if before is not None:
        report["before"] = {k: before[k] for k in ("steps", "minutes", "loss_last_100", "weights_sha256")}
    folder = export_model(
        net.cpu(),
        network=recipe.network,
        name=recipe.name,
        labels=recipe.label_set,
        out=out / "model",
        provenance={**(provenance or {}), **report["provenance"]},
    )
    return write_report(report, out=out, model=folder)


def prepare(recipe: Recipe, *, data_root: Path | None, cache: Path, device: torch.device) -> Run:
    """Find all data first, that of the evaluation too, so that what is missing is said before the long part."""
    labels = recipe.label_set
    pools = tuple(open_pool(s, labels, data_root=data_root, cache=cache) for s in recipe.train)
    for source in recipe.evaluate:
        open_pool(source, labels, data_root=data_root, cache=cache)
    order = plan(pools, samples=recipe.steps * recipe.batch, seed=recipe.seed)
    weights = class_weights(class_shares(pools, classes=len(labels)), recipe.loss)
    return Run(recipe, network(recipe.network), pools, order, None if weights is None else weights.to(device), device)


def load_batch(run: Run, step: int) -> tuple[Tensor, Tensor]:
    """Images (N, 3, H, W) normalised, channels last, and labels (N, H, W) int64 of one step."""
    recipe, crop_hw = run.recipe, run.recipe.crop_hw
    numbers = range(step * recipe.batch, (step + 1) * recipe.batch)
    samples = [run.pools[source].read(item) for source, item in run.order[list(numbers)]]
    draws = [
        draw(recipe.augment, size_hw=truth.shape, crop_hw=crop_hw, seed=recipe.seed, sample=n)
        for n, (_, truth) in zip(numbers, samples, strict=True)
    ]
    images, labels = augment(samples, draws, crop_hw=crop_hw)
    images = normalise(images, mean=run.spec.mean, std=run.spec.std)
    return images.to(run.device, memory_format=torch.channels_last), labels.to(run.device)


def loss_of(logits: Tensor, labels: Tensor, settings: Loss, weights: Tensor | None) -> Tensor:
    """Cross-entropy, and overlap if asked, at the labels' size: logits (N, classes, h, w), labels (N, H, W)."""
    # Contiguous, because the softmax over classes would otherwise copy the enlarged scores twice.
    enlarged = F.interpolate(logits.contiguous(), size=labels.shape[1:], mode="bilinear", align_corners=False)
    log_p = F.log_softmax(enlarged, 1)
    counted = (labels != IGNORE).sum().clamp(min=1)
    if settings.hard_fraction == 1:
        loss = F.nll_loss(log_p, labels, weights, ignore_index=IGNORE, reduction="sum") / counted
    else:
        each = F.nll_loss(log_p, labels, weights, ignore_index=IGNORE, reduction="none").flatten()
        loss = each.topk(max(1, round(settings.hard_fraction * int(counted)))).values.mean()
    if settings.overlap:
        loss = loss + settings.overlap * overlap_loss(log_p.exp(), labels)
    return loss


def overlap_loss(p: Tensor, labels: Tensor) -> Tensor:
    """1 - soft IoU, averaged over the classes that the batch's labels hold (Rahman and Wang, ISVC 2016, section 3).

    p (N, classes, H, W) probabilities, labels (N, H, W). Thin and rare classes weigh as much as large ones.
    """
    classes = p.shape[1]
    valid = labels != IGNORE
    of_truth = p.gather(1, labels.clamp(max=classes - 1).unsqueeze(1)).squeeze(1)  # (N, H, W)
    truth = labels[valid]
    hits = p.new_zeros(classes).index_add(0, truth, of_truth[valid])
    union = (p * valid.unsqueeze(1)).sum((0, 2, 3)) + torch.bincount(truth, minlength=classes) - hits
    present = torch.bincount(truth, minlength=classes) > 0
    if not present.any():
        return p.sum() * 0
    return (1 - hits[present] / union[present]).mean()


def class_weights(shares: NDArray[np.float64], settings: Weighting) -> Tensor | None:
    """(classes,) weights share ** -power, limited, so that a pixel weighs 1 on average; None where all are equal."""
    if settings.class_power == 0:
        return None
    raw = np.maximum(shares, 1e-9) ** -settings.class_power
    raw = np.minimum(raw, raw.min() * settings.weight_limit)
    return torch.from_numpy(raw / float((raw * shares).sum())).float()


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
        described.append({"params": values, "full_rate": settings.rate * slower, "weight_decay": decay})
    if settings.kind == "sgd":
        return torch.optim.SGD(described, lr=settings.rate, momentum=0.9)
    return torch.optim.AdamW(described, lr=settings.rate)


def rate_factor(recipe: Recipe, step: int) -> float:
    """Part of the full learning rate at a step (from 0): a linear rise, then a fall towards 0."""
    warmup = recipe.optimiser.warmup
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = (step - warmup) / (recipe.steps - warmup)
    if recipe.optimiser.schedule == "poly":
        return float((1 - done) ** 0.9)
    return float(0.5 * (1 + np.cos(np.pi * done)))


def pick_device(name: str) -> torch.device:
    """`auto`: the GPU where there is one."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise SettingError(f"device is {name!r}", expected="auto, cpu or cuda", do="choose one of these")
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingError("device is cuda, which torch does not find", expected="a CUDA GPU", do="give --device cpu")
    return torch.device(name)


def _picture(run: Run, images: Tensor, labels: Tensor, logits: Tensor) -> NDArray[np.uint8]:
    """(H, 3 W, 3): the batch's first image, its truth and what the network says."""
    size = labels.shape[1:]
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (run.spec.mean, run.spec.std))
    image = (images[0].cpu() * std + mean).clamp(0, 255).byte().permute(1, 2, 0).numpy()
    said = F.interpolate(logits[:1].detach().float(), size=size, mode="bilinear").argmax(1)[0].byte().cpu().numpy()
    colours: Sequence[NDArray[np.uint8]] = [
        run.recipe.label_set.colourise(x) for x in (labels[0].cpu().numpy().astype(np.uint8), said)
    ]
    return np.concatenate([image, *colours], axis=1)


def make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not os.access(out, os.W_OK):
            raise PermissionError(13, "Permission denied")
    except OSError as error:
        raise SinkError(
            f"output folder {out} cannot be written ({error.strerror})",
            expected="a writable folder",
            do="give another --out",
        ) from None
