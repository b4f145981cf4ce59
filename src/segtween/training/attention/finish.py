"""What a training of an attention network leaves behind: `attention.onnx` and a report."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from segtween.models.components import ATTENTION
from segtween.models.weights import sha256_of
from segtween.networks.attention import AttentionRefiner
from segtween.networks.export import round_to_float16
from segtween.networks.export_components import export_attention
from segtween.training.report import save_report, versions

if TYPE_CHECKING:
    from segtween.training.attention.loop import Position, Run

RECENT = 100  # steps


def finish(
    run: Run, net: AttentionRefiner, position: Position, *, out: Path, provenance: dict[str, Any]
) -> dict[str, Any]:
    """Write `out/model` and the report."""
    report = _report(run, position, provenance)
    net.cpu().load_state_dict(round_to_float16(net.state_dict()))
    folder = out / "model"
    folder.mkdir(parents=True, exist_ok=True)
    labels = run.recipe.labels if run.recipe.class_head else ""
    export_attention(net, folder / ATTENTION, labels=labels, provenance=report["provenance"])
    report |= {"attention_sha256": sha256_of(folder / ATTENTION), "model": str(folder)}
    return save_report(report, as_text(report), out=out)


def _report(run: Run, position: Position, provenance: dict[str, Any]) -> dict[str, Any]:
    from segtween.training.attention.loop import recent

    recipe = run.recipe
    data = [
        {
            "name": p.source.name,
            "clips": len(p),
            "frames": len(p) * p.frames,
            "share": p.source.share,
            "sha256": p.sha256,
        }
        for p in run.pools
    ]
    return {
        "recipe": asdict(recipe),
        "recipe_sha256": recipe.sha256,
        "data": data,
        "seen_with": run.eyes,
        "steps": position.step,
        "loss_first_100": float(np.mean(position.losses[:RECENT])),
        "last_100": recent(position, steps=RECENT),
        "minutes": round(position.spent_seconds / 60, 1),
        "device": run.device.type,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "provenance": {
            "name": recipe.name,
            **provenance,
            "licence": recipe.licence,
            "segmenter": run.eyes["segmenter"]["name"],
            "segmenter_fingerprint": run.eyes["segmenter"]["fingerprint"],
            "steps": position.step,
            "data": [{k: d[k] for k in ("name", "clips", "frames", "sha256")} for d in data],
        },
    }


def as_text(report: dict[str, Any]) -> str:
    """The report as a person reads it."""
    last = report["last_100"]
    lines = [
        f"{report['recipe']['name']}: {report['steps']} steps in {report['minutes']} minutes, "
        f"loss {report['loss_first_100']:.3f} -> {last['loss']:.3f}",
        f"last {min(RECENT, report['steps'])} steps: 1 - soft IoU {last['before']:.4f} as read, "
        f"{last['overlap']:.4f} corrected, of {100 * last['share']:.1f}% of the cells",
        f"attention {report['attention_sha256']}",
        f"recipe  {report['recipe_sha256']}",
        *(f"data    {d['name']}: {d['frames']} frames in {d['clips']} clips, {d['sha256']}" for d in report["data"]),
        "versions " + ", ".join(f"{k} {v}" for k, v in report["versions"].items()),
        f"measure it: segtween evaluate --preset refined --weights {report['model']} --model "
        f"{report['recipe']['segmenter']} --dataset NAME --root FOLDER --split val --intervals 1,2,3,4",
    ]
    return "\n".join(lines) + "\n"
