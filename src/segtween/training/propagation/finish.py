"""What a training of chains leaves behind: a propagation model and a report."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from segtween.models.components import FLOW, REFINE, REFINE_WITHOUT_EDGE
from segtween.models.weights import sha256_of
from segtween.networks.chain import Chain
from segtween.networks.checkpoints import read_checkpoint
from segtween.networks.export import export_model, round_to_float16
from segtween.networks.export_components import export_part, write_whole
from segtween.networks.fitting import identify
from segtween.training.propagation.stored import StoredPool
from segtween.training.report import save_report, versions

if TYPE_CHECKING:
    from segtween.training.propagation.loop import Position, Run

BEST = "model_best.pth.tar"
SEGMENTER = "segmenter"


def save_best(
    out: Path, refine: dict[str, Tensor], flow: dict[str, Tensor], segmenter: dict[str, Tensor] | None, *, epoch: int
) -> None:
    """`out/model/model_best.pth.tar` in the reference's form; the segmenter's weights stand beside where trained."""
    state: dict[str, Any] = {"epoch": epoch, "state_dict": refine, "state_dict_of": flow}
    if segmenter is not None:
        state["state_dict_segmenter"] = segmenter
    written = io.BytesIO()
    torch.save(state, written)
    (out / "model").mkdir(parents=True, exist_ok=True)
    write_whole(out / "model" / BEST, written.getvalue())


def finish(
    run: Run, chain: Chain, position: Position, *, out: Path, provenance: dict[str, Any], before: Path | None = None
) -> dict[str, Any]:
    """Write `out/model` and the report; the weights are the best epoch's where epochs were scored, else the last.

    A refinement without edge has a name of its own; beside it goes the one of the model folder `before`, if that is on
    the same flow network.
    """
    from segtween.training.propagation.loop import weights_of

    if not position.scored:
        save_best(out, *weights_of(chain, run), epoch=position.epoch)
    folder = out / "model"
    best = read_checkpoint(folder / BEST)
    report = _report(run, position, provenance)
    refine = REFINE_WITHOUT_EDGE if run.recipe.edge == "absent" else REFINE
    nets = {refine: (chain.refine, best.parts["state_dict"]), FLOW: (chain.flow, best.parts["state_dict_of"])}
    for name, (net, state) in nets.items():
        net.cpu().load_state_dict(round_to_float16(state))
        fit = identify(net.state_dict())
        assert fit is not None
        export_part(net, fit.kind, folder / name, provenance=report["provenance"], half=True)
    if before is not None and refine == REFINE_WITHOUT_EDGE and not run.recipe.train_flow:
        for path in (before / REFINE, before / f"{REFINE}.yaml"):
            if path.is_file():
                write_whole(folder / path.name, path.read_bytes())
    if run.recipe.finetune_all:
        run.teacher.net.cpu().load_state_dict(best.parts["state_dict_segmenter"])
        export_model(
            run.teacher.net, network=run.teacher.spec.name, name=run.recipe.name, labels=run.labels,
            out=folder / SEGMENTER, provenance=report["provenance"],
        )  # fmt: skip
    hashes = {"refine_sha256": sha256_of(folder / refine), "flow_sha256": sha256_of(folder / FLOW)}
    report |= hashes | {"model": str(folder)}
    return save_report(report, as_text(report), out=out)


def _report(run: Run, position: Position, provenance: dict[str, Any]) -> dict[str, Any]:
    pools = [pool.pool if isinstance(pool, StoredPool) else pool for pool in run.pools]
    data = [
        {
            "name": pool.source.name,
            "clips": len(pool.clips),
            "frames": sum(map(len, pool.clips)),
            "labels": not (pool.dataset is None or pool.source.label_free),
            "listing_sha256": pool.listing_sha256(),
        }
        for pool in pools
    ]
    recipe = run.recipe
    return {
        "recipe": asdict(recipe),
        "recipe_sha256": recipe.sha256,
        "data": data,
        "steps": position.step,
        "epochs": position.epoch,
        "epoch": position.best_epoch if position.scored else position.epoch,
        "score": position.best if position.scored else None,
        "loss_first_100": float(np.mean(position.losses[:100])),
        "loss_last_100": float(np.mean(position.losses[-100:])),
        "minutes": round(position.spent_seconds / 60, 1),
        "device": run.device.type,
        "processes": run.processes.count,
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "provenance": {
            "name": recipe.name,
            **provenance,
            "licence": recipe.licence,
            "segmenter": run.teacher.name,
            "segmenter_sha256": run.teacher.sha256,
            "steps": position.step,
            "data": [{k: d[k] for k in ("name", "clips", "frames", "labels", "listing_sha256")} for d in data],
        },
    }


def as_text(report: dict[str, Any]) -> str:
    """The report as a person reads it."""
    kept = f"best epoch {report['epoch']}, score {report['score']:.4f}" if report["score"] is not None else "last step"
    lines = [
        f"{report['recipe']['name']}: {report['steps']} steps in {report['minutes']} minutes, "
        f"loss {report['loss_first_100']:.3f} -> {report['loss_last_100']:.3f}; weights of the {kept}",
        f"refine  {report['refine_sha256']}",
        f"flow    {report['flow_sha256']}",
        f"recipe  {report['recipe_sha256']}",
        *(
            f"data    {d['name']}: {d['frames']} frames in {d['clips']} clips, labels {'yes' if d['labels'] else 'no'}"
            for d in report["data"]
        ),
        "versions " + ", ".join(f"{k} {v}" for k, v in report["versions"].items()),
        f"measure it: segtween evaluate --preset swnet-seq --weights {report['model']} --model "
        f"{report['recipe']['segmenter']} --dataset NAME --root FOLDER --split val --intervals 1,2,3,4",
    ]
    return "\n".join(lines) + "\n"
