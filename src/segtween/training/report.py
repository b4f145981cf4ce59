"""The final report of a training: JSON for machines, a table for people."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from segtween._version import __version__
from segtween.models.weights import sha256_of
from segtween.training.data import Pool
from segtween.training.recipe import Recipe


def build_report(
    recipe: Recipe,
    pools: Sequence[Pool],
    *,
    losses: Sequence[float],
    scores: dict[str, Any],
    spent_seconds: float,
) -> dict[str, Any]:
    """Everything but the weights' hash, which `write_report` adds. `provenance` is what travels with the weights."""
    import torch

    data = [{"name": p.source.name, "frames": len(p), "share": p.source.share, "sha256": p.sha256()} for p in pools]
    return {
        "recipe": asdict(recipe),
        "recipe_sha256": recipe.sha256,
        "data": data,
        "steps": recipe.steps,
        "loss_first_100": float(np.mean(losses[:100])),
        "loss_last_100": float(np.mean(losses[-100:])),
        "minutes": round(spent_seconds / 60, 1),
        "scores": scores,
        "versions": versions(),
        "threads": torch.get_num_threads(),
        "provenance": {
            "licence": recipe.licence,
            "initial": recipe.initial,
            "data": [{"name": d["name"], "frames": d["frames"], "sha256": d["sha256"]} for d in data],
            "measured": {name: {"miou": round(s["miou"], 4), "frames": s["frames"]} for name, s in scores.items()},
        },
    }


def write_report(report: dict[str, Any], *, out: Path, model: Path) -> dict[str, Any]:
    """Write `report.json` and `report.txt` into `out`; returns the report with the model's folder and hash."""
    report = {**report, "model": str(model), "weights_sha256": sha256_of(model / "weights.safetensors")}
    return save_report(report, as_text(report), out=out)


def save_report(report: dict[str, Any], text: str, *, out: Path) -> dict[str, Any]:
    """`report.json` and `report.txt`, each under its name only when whole; returns the report with its text."""
    for name, content in (("report.json", json.dumps(report, indent=2) + "\n"), ("report.txt", text)):
        part = out / f".{name}.part"
        part.write_text(content, encoding="utf-8")
        os.replace(part, out / name)
    return {**report, "text": text}


def versions() -> dict[str, str]:
    """Of what decides a training's numbers."""
    import kornia
    import torch

    return {
        "segtween": __version__,
        "torch": torch.__version__,
        "kornia": kornia.__version__,
        "python": platform.python_version(),
    }


def as_text(report: dict[str, Any]) -> str:
    """The report as a person reads it: per-class IoU in percent, one column for each evaluation set."""
    scores = report["scores"]
    lines = [
        f"{report['recipe']['name']}: {report['steps']} steps in {report['minutes']} minutes, "
        f"loss {report['loss_first_100']:.3f} -> {report['loss_last_100']:.3f}",
        f"weights {report['weights_sha256']}",
        f"recipe  {report['recipe_sha256']}",
        *(f"data    {d['name']}: {d['frames']} frames, {d['sha256']}" for d in report["data"]),
        "versions " + ", ".join(f"{k} {v}" for k, v in report["versions"].items()),
    ]
    if scores:
        lines += ["", f"{'IoU %':<16}" + "".join(f"{name:>24}" for name in scores)]
        classes = next(iter(scores.values()))["per_class"]
        for c in classes:
            lines.append(f"{c:<16}" + "".join(f"{_percent(s['per_class'][c]):>24}" for s in scores.values()))
        lines.append(f"{'mean':<16}" + "".join(f"{_percent(s['miou']):>24}" for s in scores.values()))
        lines.append(f"{'frames':<16}" + "".join(f"{s['frames']:>24}" for s in scores.values()))
    return "\n".join(lines) + "\n"


def _percent(value: float | None) -> str:
    return "absent" if value is None else f"{100 * value:.2f}"
