"""The weights that a training of chains begins with, and those that it leaves behind: the best in the reference's form,
and a propagation model."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segtween.compat.swnet_seq.places import BEST
from segtween.compat.swnet_seq.training.recipe import PropagationRecipe
from segtween.compat.swnet_seq.training.teacher import Teacher
from segtween.errors import ModelError
from segtween.models.components import FLOW, REFINE, REFINE_WITHOUT_EDGE
from segtween.models.weights import sha256_of
from segtween.networks.chain import Chain
from segtween.networks.checkpoints import read_checkpoint
from segtween.networks.export import export_model, round_to_float16
from segtween.networks.export_components import export_part, write_file
from segtween.networks.fitting import identify, load_into


def begin_with(
    chain: Chain,
    recipe: PropagationRecipe,
    files: Sequence[str | Path],
    *,
    before: Path | None = None,
    data_root: Path | None,
) -> dict[str, str]:
    """Fill flow and refinement from weight files; returns the name and sha256 of each file.

    `before` is the file of the training that came before this one. ModelError for another file that holds neither of
    the recipe's networks, or one with other classes or edge.
    """
    parts = {recipe.flow: chain.flow, "guided": chain.refine}
    own = {name: identify(net.state_dict()) for name, net in parts.items()}
    used = {}
    if before is not None and recipe.after is not None:
        checkpoint = read_checkpoint(before)
        chain.flow.load_state_dict(checkpoint.parts["state_dict_of"])
        if recipe.edge == recipe.after.edge:
            chain.refine.load_state_dict(checkpoint.parts["state_dict"])
        used[recipe.after.name] = checkpoint.sha256
    for file in (*recipe.initial, *files):
        path = Path(file)
        if not path.is_file() and not path.is_absolute() and data_root is not None:
            path = data_root / path
        checkpoint = read_checkpoint(path)
        fits = {part: identify(state) for part, state in checkpoint.parts.items()}
        known = {part: fit.kind.network for part, fit in fits.items() if fit and fit.kind.network in parts}
        if not known:
            raise ModelError(
                f"{path} holds {', '.join(str(fit.kind) if fit else 'no known network' for fit in fits.values())}",
                expected=f"weights of {recipe.flow} or of guided",
                do="give another file, or another flow in the recipe",
            )
        for part, network in known.items():
            fit = own[network]
            assert fit is not None
            load_into(parts[network], checkpoint.parts[part], kind=fit.kind, source=f"{path} ({part})")
        used[path.name] = checkpoint.sha256
    return used


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
    write_file(out / "model" / BEST, written.getvalue())


def export(
    recipe: PropagationRecipe,
    chain: Chain,
    teacher: Teacher,
    *,
    folder: Path,
    provenance: dict[str, Any],
    before: Path | None,
) -> dict[str, str]:
    """Write the model of the best weights in `folder`; returns the hashes of its networks.

    A refinement without edge has a name of its own; beside it goes the one of the model folder `before`, if that is on
    the same flow network.
    """
    best = read_checkpoint(folder / BEST)
    refine = REFINE_WITHOUT_EDGE if recipe.edge == "absent" else REFINE
    nets = {refine: (chain.refine, best.parts["state_dict"]), FLOW: (chain.flow, best.parts["state_dict_of"])}
    for name, (net, state) in nets.items():
        net.cpu().load_state_dict(round_to_float16(state))
        fit = identify(net.state_dict())
        assert fit is not None
        export_part(net, fit.kind, folder / name, provenance=provenance, half=True)
    if before is not None and refine == REFINE_WITHOUT_EDGE and not recipe.train_flow:
        for path in (before / REFINE, before / f"{REFINE}.yaml"):
            if path.is_file():
                write_file(folder / path.name, path.read_bytes())
    if recipe.finetune_all:
        teacher.net.cpu().load_state_dict(best.parts["state_dict_segmenter"])
        export_model(
            teacher.net, network=teacher.spec.name, name=recipe.name, labels=teacher.labels,
            out=folder / SEGMENTER, provenance=provenance,
        )  # fmt: skip
    return {"refine_sha256": sha256_of(folder / refine), "flow_sha256": sha256_of(folder / FLOW)}
