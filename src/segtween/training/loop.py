"""Training, start to end, in one file: read it from `train` downwards.

What happens at a step depends on the recipe, the data and the number of the step alone, so a training that
is killed and started again ends with the same weights, bit for bit, on the same machine. Under torchrun each process
works on its part of every batch.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
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
from segtween.training.distil import Teacher, distil_loss, look, open_teacher
from segtween.training.processes import Processes, joined
from segtween.training.progress import Progress, shown
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
    processes: Processes = field(default_factory=Processes)
    teacher: Teacher | None = None


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
    cache, before, chosen = cache or out / "cache", None, pick_device(device, precision=recipe.precision)
    if recipe.after is not None:
        before = train(recipe.after, out=out / "before", data_root=data_root, resume=resume, device=device, cache=cache)
    with joined(chosen, batch=recipe.batch, parts=recipe.accumulate) as processes:
        make_folder(out)
        run = prepare(recipe, data_root=data_root, cache=cache, device=chosen, processes=processes)
        net, losses, spent_seconds = _learn(
            run, out=out, resume=resume, first=None if before is None else out / "before"
        )
        if processes.first:
            report = _finish(run, net, losses, spent_seconds, out=out, cache=cache, data_root=data_root, before=before,
                             provenance=provenance)  # fmt: skip
        else:
            report = {"text": "", "model": str(out / "model")}
        processes.wait()
    return report


def _learn(run: Run, *, out: Path, resume: bool, first: Path | None) -> tuple[torch.nn.Module, list[float], float]:
    """The network after the last step, all losses, and the seconds that were spent; `first` is the folder of the
    training that came before."""
    recipe = run.recipe
    data_hash = "".join(pool.sha256() for pool in run.pools) + ("" if run.teacher is None else run.teacher.sha256)
    torch.manual_seed(recipe.seed)
    net = build(recipe.network, classes=len(recipe.label_set), initial=recipe.initial)
    if first is not None:
        net.load_state_dict(checkpoint.load(first / CHECKPOINT)["model"])
    net = net.to(run.device, memory_format=torch.channels_last).train()
    optimiser = make_optimiser(net, recipe)
    scaler = torch.amp.GradScaler(run.device.type, enabled=recipe.precision == "float16")

    step, spent_seconds, losses = 0, 0.0, []
    path = out / CHECKPOINT
    if resume and path.is_file():
        state = checkpoint.load(path)
        checkpoint.check_same(state, path, recipe=recipe.sha256, data=data_hash)
        net.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        scaler.load_state_dict(state.get("scaler", {}))
        torch.set_rng_state(state["rng"])
        step, spent_seconds, losses = state["step"], state["spent_seconds"], state["losses"]

    begun = time.perf_counter() - spent_seconds
    with shown(recipe.name, out / "events", first=step, steps=recipe.steps, shown=run.processes.first) as progress:
        while step < recipe.steps:
            factor = rate_factor(recipe, step)
            for group in optimiser.param_groups:
                group["lr"] = group["full_rate"] * factor
            loss, picture = gradients(run, net, optimiser, scaler, step)
            scaler.step(optimiser)
            scaler.update()
            run.processes.average(net.buffers())
            step += 1

            losses.append(loss)
            if not np.isfinite(loss):
                raise ModelError(f"the loss at step {step} is {loss}", do="lower optimiser.rate in the recipe")
            if progress is not None:
                _show(progress, step, losses, recipe.optimiser.rate * factor, run, picture)
            if run.processes.first and (step % CHECKPOINT_EVERY == 0 or step == recipe.steps):
                state = {
                    "model": net.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "scaler": scaler.state_dict(),
                    "rng": torch.get_rng_state(),
                    "step": step,
                    "spent_seconds": time.perf_counter() - begun,
                    "losses": losses,
                    "recipe": recipe.sha256,
                    "data": data_hash,
                    "recipe_values": json.dumps(asdict(recipe)),
                }
                checkpoint.save(path, state)
    return net, losses, time.perf_counter() - begun


def gradients(
    run: Run, net: torch.nn.Module, optimiser: torch.optim.Optimizer, scaler: torch.amp.GradScaler, step: int
) -> tuple[float, tuple[Tensor, Tensor, Tensor]]:
    """The gradients of one step's whole batch, added up over parts and processes; returns the loss, and images,
    labels and logits of the last part."""
    recipe, processes = run.recipe, run.processes
    numbers = processes.part_of(range(step * recipe.batch, (step + 1) * recipe.batch))
    size = len(numbers) // recipe.accumulate
    parts = [load_batch(run, numbers[i * size : (i + 1) * size]) for i in range(recipe.accumulate)]
    labelled = float(sum(int((labels != IGNORE).sum()) for _, labels in parts))
    counted = max(1.0, processes.total(labelled, device=run.device)[0])
    kind = torch.float16 if recipe.precision == "float16" else torch.bfloat16
    optimiser.zero_grad(set_to_none=True)
    total = 0.0
    for images, labels in parts:  # (n, 3, H, W) normalised, (n, H, W)
        with torch.autocast(run.device.type, kind, enabled=recipe.precision != "float32"):
            said = look(net, images)  # logits (n, classes, H/4, W/4), and maps
            taught = None if run.teacher is None else run.teacher(images, of=run.spec)
        logits, share = said[0], 1 / (len(parts) * processes.count)
        loss = loss_of(logits.float(), labels, recipe.loss, run.weights, counted=counted, share=share)
        if taught is not None:
            loss = loss + share * distil_loss(said, taught, recipe.distil)
        scaler.scale(loss).backward()
        total += float(loss.detach())
    processes.add_up([p.grad for p in net.parameters() if p.grad is not None])
    return processes.total(total, device=run.device)[0], (images, labels, logits)


def _show(
    progress: Progress, step: int, losses: list[float], rate: float, run: Run, seen: tuple[Tensor, Tensor, Tensor]
) -> None:
    progress.step(step, losses[-1])
    if step % SCALARS_EVERY == 0:
        progress.scalars(step, loss=float(np.mean(losses[-SCALARS_EVERY:])), rate=rate)
    if step % PICTURE_EVERY == 0:
        progress.picture(step, _picture(run, *seen))


def _finish(
    run: Run,
    net: Any,
    losses: list[float],
    spent_seconds: float,
    *,
    out: Path,
    cache: Path,
    data_root: Path | None,
    before: dict[str, Any] | None,
    provenance: dict[str, Any] | None,
) -> dict[str, Any]:
    """Score the last weights, export them, write the report."""
    recipe = run.recipe
    # Weights are shipped as float16, so it is their rounded values that are scored.
    net.load_state_dict(round_to_float16(net.state_dict()))
    net.eval()
    scores = {}
    for source in recipe.evaluate:
        pool = open_pool(source, recipe.label_set, data_root=data_root, cache=cache)
        scores[source.name] = score(net, pool, spec=run.spec, device=run.device)
    report = build_report(recipe, run.pools, losses=losses, scores=scores, spent_seconds=spent_seconds)
    report["device"] = run.device.type
    if run.teacher is not None:
        report["provenance"]["teacher"] = {"name": recipe.distil.teacher, "sha256": run.teacher.sha256}
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


def prepare(
    recipe: Recipe,
    *,
    data_root: Path | None,
    cache: Path,
    device: torch.device,
    processes: Processes = Processes(),  # noqa: B008 (a value)
) -> Run:
    """Find all data first, that of the evaluation too, so that what is missing is said before the long part."""
    labels = recipe.label_set
    teacher = open_teacher(recipe, device=device)
    with processes.first_alone():
        pools = tuple(open_pool(s, labels, data_root=data_root, cache=cache) for s in recipe.train)
        for source in recipe.evaluate:
            open_pool(source, labels, data_root=data_root, cache=cache)
    order = plan(pools, samples=recipe.steps * recipe.batch, seed=recipe.seed)
    weights = class_weights(class_shares(pools, classes=len(labels)), recipe.loss)
    weights = None if weights is None else weights.to(device)
    return Run(recipe, network(recipe.network), pools, order, weights, device, processes, teacher)


def load_batch(run: Run, numbers: range) -> tuple[Tensor, Tensor]:
    """Images (N, 3, H, W) normalised, channels last, and labels (N, H, W) int64 of these samples."""
    recipe, crop_hw = run.recipe, run.recipe.crop_hw
    samples = [run.pools[source].read(item) for source, item in run.order[list(numbers)]]
    draws = [
        draw(recipe.augment, size_hw=truth.shape, crop_hw=crop_hw, seed=recipe.seed, sample=n)
        for n, (_, truth) in zip(numbers, samples, strict=True)
    ]
    images, labels = augment(samples, draws, crop_hw=crop_hw)
    images = normalise(images, mean=run.spec.mean, std=run.spec.std)
    return images.to(run.device, memory_format=torch.channels_last), labels.to(run.device)


def loss_of(
    logits: Tensor,
    labels: Tensor,
    settings: Loss,
    weights: Tensor | None,
    *,
    counted: float | None = None,
    share: float = 1.0,
) -> Tensor:
    """Cross-entropy, and overlap if asked, at the labels' size: logits (N, classes, h, w), labels (N, H, W).

    Of a part of a batch: `counted` labelled pixels are in the whole batch, `share` is the part's. Plain cross-entropy
    of parts adds up to that of the whole; hard pixels and overlap are looked for in each part by itself.
    """
    # Contiguous, because the softmax over classes would otherwise copy the enlarged scores twice.
    enlarged = F.interpolate(logits.contiguous(), size=labels.shape[1:], mode="bilinear", align_corners=False)
    log_p = F.log_softmax(enlarged, 1)
    everywhere = counted or max(1.0, float((labels != IGNORE).sum()))
    if settings.hard_fraction == 1 and not settings.boundary:
        loss = F.nll_loss(log_p, labels, weights, ignore_index=IGNORE, reduction="sum") / everywhere
    else:
        each = F.nll_loss(log_p, labels, weights, ignore_index=IGNORE, reduction="none")
        if settings.boundary:
            each = each * (1 + settings.boundary * nearness(labels, sigma=settings.boundary_sigma))
        loss = each.sum() / everywhere if settings.hard_fraction == 1 else share * _hard(each, log_p, labels, settings)
    if settings.overlap:
        loss = loss + share * settings.overlap * overlap_loss(log_p.exp(), labels)
    return loss


def _hard(each: Tensor, log_p: Tensor, labels: Tensor, settings: Loss) -> Tensor:
    """Mean loss of the pixels that are hard: the worst part, or all below the threshold where these are more."""
    kept = max(1, round(settings.hard_fraction * max(1, int((labels != IGNORE).sum()))))
    if settings.hard_threshold:
        of_truth = log_p.detach().gather(1, labels.clamp(max=log_p.shape[1] - 1).unsqueeze(1)).squeeze(1)
        below = (of_truth < np.log(settings.hard_threshold)) & (labels != IGNORE)
        if int(below.sum()) > kept:
            return each[below].mean()
    return each.flatten().topk(kept).values.mean()


def nearness(labels: Tensor, *, sigma: float) -> Tensor:
    """(N, H, W) labels -> exp(-d^2 / (2 sigma^2)), d the distance in pixels to the nearest pixel that has a neighbour
    of another label (left, right, above, below; ignored pixels make no boundary)."""
    edge = torch.zeros_like(labels, dtype=torch.bool)
    for axis in (1, 2):
        first, second = labels.narrow(axis, 0, labels.shape[axis] - 1), labels.narrow(axis, 1, labels.shape[axis] - 1)
        differs = (first != second) & (first != IGNORE) & (second != IGNORE)
        for start in (0, 1):
            edge.narrow(axis, start, differs.shape[axis]).logical_or_(differs)
    off = (~edge).to(torch.uint8).cpu().numpy()
    far = np.stack([cv2.distanceTransform(o, cv2.DIST_L2, cv2.DIST_MASK_PRECISE) for o in off])
    return torch.from_numpy(np.exp(-(far**2) / (2 * sigma**2)).astype(np.float32)).to(labels.device)


def overlap_loss(p: Tensor, labels: Tensor, *, least: int = 1) -> Tensor:
    """1 - soft IoU, averaged over the classes of which the batch's labels hold at least so many pixels (Rahman and
    Wang, ISVC 2016, section 3).

    p (N, classes, H, W) probabilities, labels (N, H, W). Thin and rare classes weigh as much as large ones.
    """
    classes = p.shape[1]
    valid = labels != IGNORE
    of_truth = p.gather(1, labels.clamp(max=classes - 1).unsqueeze(1)).squeeze(1)  # (N, H, W)
    truth = labels.clamp(max=classes).flatten()  # what is ignored has a bin of its own
    hits = p.new_zeros(classes + 1).index_add(0, truth, of_truth.flatten())[:classes]
    counts = torch.bincount(truth, minlength=classes + 1)[:classes]
    union = (p * valid.unsqueeze(1)).sum((0, 2, 3)) + counts - hits
    present = counts >= least
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


def pick_device(name: str, *, precision: str = "float32") -> torch.device:
    """`auto`: the GPU where there is one; SettingError without one for float16, which trains on GPUs only."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda"):
        raise SettingError(f"device is {name!r}", expected="auto, cpu or cuda", do="choose one of these")
    if name == "cuda" and not torch.cuda.is_available():
        raise SettingError("device is cuda, which torch does not find", expected="a CUDA GPU", do="give device='cpu'")
    if name == "cpu" and precision == "float16":
        raise SettingError(
            "precision is 'float16', on the CPU", expected="bfloat16 or float32", do="correct the recipe, or use a GPU"
        )
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
            do="give another out=",
        ) from None
