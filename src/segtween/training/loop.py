"""Training, start to end, in one file: read it from `train` downwards. What is trained is a `Task`.

What happens at a step depends on the recipe, the data and the number of the step alone, so a training that is killed
and started again ends with the same weights, bit for bit, on the same machine. Under torchrun each process works on its
part of every batch.
"""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch

from segtween.errors import SettingError, SinkError, os_errors
from segtween.training import checkpoint
from segtween.training.kinds import open_task
from segtween.training.options import CHECKPOINT, TrainOptions
from segtween.training.processes import Processes, joined
from segtween.training.progress import Progress
from segtween.training.recipe import BaseRecipe
from segtween.training.report import write_report
from segtween.training.task import Context, Position, Share, Task

CHECKPOINT_EVERY = 100  # steps; also at the end of each epoch
SCALARS_EVERY = 10
PICTURE_EVERY = 200


def train(recipe: BaseRecipe, options: TrainOptions) -> dict[str, Any]:
    """See `segtween.training.train`. A recipe with `after` trains that one first, in `out/before`."""
    device = pick_device(options.device, precision=recipe.precision)
    before = None if recipe.after is None else train(recipe.after, options.before())
    with joined(device, batch=recipe.batch, parts=recipe.accumulate) as processes:
        make_folder(options.out)
        context = Context(options, device, processes, before)
        task: Task = open_task(recipe, context)
        position = _learn(task, context)
        report = {"text": "", "model": str(options.model)}
        if processes.first:
            report = write_report(task, position, context)
        processes.wait()
    return report


def _learn(task: Task, context: Context) -> Position:
    """Where the training stands after the last step."""
    recipe, options, processes = task.recipe, context.options, context.processes
    full = [group["lr"] for group in task.optimiser.param_groups]
    scaler = torch.amp.GradScaler(context.device.type, enabled=recipe.precision == "float16")
    path, position = options.out / CHECKPOINT, Position()
    if options.resume and path.is_file():
        position = checkpoint.restore(path, task, scaler)

    begun = time.perf_counter() - position.spent_seconds
    events = options.events or options.out / "events"
    bar = Progress(recipe.name, events, first=position.step, steps=task.steps) if processes.first else nullcontext()
    with bar as progress:
        while position.step < task.steps and not position.stopped(recipe.early_stop):
            factor = recipe.optimiser.factor(position.step, task.steps)
            for group, rate in zip(task.optimiser.param_groups, full, strict=True):
                group["lr"] = rate * factor
            rates = {name: rate * factor for name, rate in task.rates.items()}
            terms = gradients(task, scaler, context, position.step)
            scaler.step(task.optimiser)
            scaler.update()
            average_statistics(task, processes)
            position.record(terms)

            if progress is not None:
                _show(progress, task, position, rates)
            last = position.step == task.steps
            ends = bool(task.epoch_steps) and (last or position.step % task.epoch_steps == 0)
            if ends:
                _end_epoch(task, position, rates, context)
            if processes.first and (ends or last or position.step % CHECKPOINT_EVERY == 0):
                position.spent_seconds = time.perf_counter() - begun
                checkpoint.store(path, task, position, scaler)
    return position


def gradients(task: Task, scaler: torch.amp.GradScaler, context: Context, step: int) -> dict[str, float]:
    """The gradients of one step's whole batch, added up over parts and processes; returns the loss and its terms."""
    recipe, processes, device = task.recipe, context.processes, context.device
    numbers = processes.part_of(range(step * recipe.batch, (step + 1) * recipe.batch))
    size = len(numbers) // recipe.accumulate
    parts = [task.load(numbers[i * size : (i + 1) * size]) for i in range(recipe.accumulate)]
    counted = [sum(each) for each in zip(*map(task.counts, parts), strict=True)]
    share = Share(tuple(processes.total(*counted, device=device)), 1 / (len(parts) * processes.count))
    task.optimiser.zero_grad(set_to_none=True)
    sums: dict[str, float] = {}
    for part in parts:
        loss, terms = task.loss(part, share)
        scaler.scale(loss).backward()
        for name, value in {"loss": float(loss.detach()), **terms}.items():
            sums[name] = sums.get(name, 0.0) + value
    values = [p for group in task.optimiser.param_groups for p in group["params"]]
    for value in values if task.fill_gradients else ():
        if value.grad is None:
            value.grad = torch.zeros_like(value)
    processes.add_up([v.grad for v in values if v.grad is not None])
    return dict(zip(sums, processes.total(*sums.values(), device=device), strict=True))


def average_statistics(task: Task, processes: Processes) -> None:
    """Norms that learn see a part of the batch in each process: their statistics become the means over processes."""
    modules = [m for net in task.nets.values() for m in net.modules() if m.training]
    processes.average([buffer for m in modules for buffer in m.buffers(recurse=False)])


def _show(progress: Progress, task: Task, position: Position, rates: dict[str, float]) -> None:
    step = position.step
    progress.step(step, position.losses[-1])
    if step % SCALARS_EVERY == 0:
        progress.scalars(step, **position.recent(SCALARS_EVERY), **rates)
    if step % PICTURE_EVERY == 0:
        picture = task.picture()
        if picture is not None:
            progress.picture(step, picture)


def _end_epoch(task: Task, position: Position, rates: dict[str, float], context: Context) -> None:
    """Have the weights validated, and keep them if they are the best so far."""
    position.epoch += 1
    steps = position.step - (position.epoch - 1) * task.epoch_steps
    mean = float(np.mean(position.losses[-steps:]))
    score = task.validate(position, mean, rates) if context.processes.first else None
    known, given = context.processes.total(float(score is not None), score or 0.0, device=context.device)
    position.scored = bool(known)
    value = given if known else -mean
    if position.best is None or value > position.best:
        position.best, position.best_epoch = value, position.epoch
        if position.scored and context.processes.first:
            task.keep(position)


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


def make_folder(out: Path) -> None:
    got = f"output folder {out} cannot be written"
    with os_errors(SinkError, got, expected="a writable folder", do="give another out="):
        out.mkdir(parents=True, exist_ok=True)
        if not os.access(out, os.W_OK):
            raise PermissionError(13, "Permission denied")
