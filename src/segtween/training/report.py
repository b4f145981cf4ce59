"""The report of a training: JSON for machines, a few lines for people."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from typing import Any

import kornia
import numpy as np
import torch

from segtween._version import __version__
from segtween.texttable import count
from segtween.training.task import Context, Position, Task
from segtween.validation import write_whole


def write_report(task: Task, position: Position, context: Context) -> dict[str, Any]:
    """Let the task write its model, then `report.json` and `report.txt`; returns the report with its text."""
    recipe, data = task.recipe, task.data()
    report = {
        "recipe": asdict(recipe),
        "recipe_sha256": recipe.sha256,
        "data": data,
        "steps": position.step,
        "loss_first_100": float(np.mean(position.losses[:100])),
        "loss_last_100": float(np.mean(position.losses[-100:])),
        "minutes": round(position.spent_seconds / 60, 1),
        "device": context.device.type,
        "processes": context.processes.count,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        **task.finish(position, data),
        "model": str(context.options.model),
    }
    text = as_text(report, *task.remarks(report))
    for name, content in (("report.json", json.dumps(report, indent=2) + "\n"), ("report.txt", text)):
        write_whole(context.options.out / name, content)
    return {**report, "text": text}


def as_text(report: dict[str, Any], after_first: list[str], at_end: list[str]) -> str:
    """The report as a person reads it, with what its task remarks."""
    hashes = {k.removesuffix("_sha256"): v for k, v in report.items() if k.endswith("_sha256")}
    hashes["recipe"] = hashes.pop("recipe")  # the last one
    lines = [
        f"{report['recipe']['name']}: {report['steps']} steps in {report['minutes']} minutes, "
        f"loss {report['loss_first_100']:.3f} -> {report['loss_last_100']:.3f}",
        *after_first,
        *(f"{name:<7} {value}" for name, value in hashes.items()),
        *(f"data    {_data_line(d)}" for d in report["data"]),
        "versions " + ", ".join(f"{k} {v}" for k, v in report["versions"].items()),
        *at_end,
    ]
    return "\n".join(lines) + "\n"


def _data_line(data: dict[str, Any]) -> str:
    clips = f" in {data['clips']} clips" if "clips" in data else ""
    labels = f", labels {'yes' if data['labels'] else 'no'}" if "labels" in data else ""
    return f"{data['name']}: {count(data['frames'], 'frame')}{clips}{labels}" + (
        f", {data['sha256']}" if "sha256" in data else ""
    )


def versions() -> dict[str, str]:
    """Of what decides a training's numbers."""
    return {
        "segtween": __version__,
        "torch": torch.__version__,
        "kornia": kornia.__version__,
        "python": platform.python_version(),
    }
