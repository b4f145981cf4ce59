"""What a weight file holds, for people; and weights from any form that can be read to safetensors or ONNX."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segtween.errors import ModelError, SinkError
from segtween.models.components import FLOW, REFINE, REFINE_WITHOUT_EDGE
from segtween.networks.checkpoints import METADATA, Checkpoint, State, read_checkpoint
from segtween.networks.export import round_to_float16
from segtween.networks.export_components import export_part, write_file
from segtween.networks.fitting import Fit, Kind, build_kind, identify, load_into
from segtween.networks.propagation import FLOWS, REFINERS


def describe_weights(path: str | Path) -> dict[str, Any]:
    """Plain values: the file's form and hash, and for each part its network, how it fits, its sizes and types."""
    checkpoint = read_checkpoint(path)
    return {
        "file": str(checkpoint.path),
        "form": checkpoint.form,
        "sha256": checkpoint.sha256,
        "facts": dict(checkpoint.facts),
        "parts": {name: describe_part(state) for name, state in checkpoint.parts.items()},
    }


def describe_part(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Plain values of one state dict; `normalisation` where it holds its images' mean and deviation."""
    fit = identify(state)
    types = Counter(str(value.dtype).removeprefix("torch.") for value in state.values())
    described: dict[str, Any] = {
        "network": fit.kind.network if fit else None,
        "classes": fit.kind.classes or None if fit else None,
        "fit": str(fit) if fit else "like no known network",
        "whole": fit is not None and fit.whole,
        "missing": list(fit.missing) if fit else [],
        "surplus": list(fit.surplus) if fit else [],
        "keys": len(state),
        "values": sum(value.numel() for value in state.values()),
        "types": dict(types.most_common()),
        "shapes": {key: list(value.shape) for key, value in state.items()},
        "not_finite": [k for k, v in state.items() if v.is_floating_point() and not bool(torch.isfinite(v).all())],
    }
    constants = {k.rsplit("_", 1)[-1]: v for k, v in state.items() if k.endswith((".img_mean", ".img_std"))}
    if constants:
        described["normalisation"] = {k: [round(float(n), 4) for n in v.flatten()] for k, v in constants.items()}
    return described


def convert_weights(
    path: str | Path, out: str | Path, *, part: str | None = None, float16: bool = False, overwrite: bool = False
) -> list[Path]:
    """Write one part as safetensors, or, where `out` ends in .onnx, a flow or refinement network as a graph.

    Returns the files. Raises ModelError for weights that cannot be read or do not fit, SettingError where a part has
    to be chosen, SinkError where `out` exists and `overwrite` is not given, has another ending or cannot be written.
    """
    out = Path(out)
    if out.suffix not in (".safetensors", ".onnx"):
        raise SinkError(f"{out} ends in {out.suffix!r}", expected=".safetensors or .onnx", do="give another out=")
    if out.exists() and not overwrite:
        raise SinkError(f"{out} exists", expected="a new file", do="give another out=, or overwrite=True")
    checkpoint = read_checkpoint(path)
    name, state = checkpoint.part(part)
    fit = identify(state)
    if out.suffix == ".onnx":
        return _to_onnx(checkpoint, name, state, fit, out)
    # Counters, which older releases stored as floats, stay whole numbers.
    state = {k: v.to(torch.int64) if k.endswith("num_batches_tracked") else v for k, v in state.items()}
    kind = torch.float16 if float16 else torch.float32
    state = round_to_float16(state) if float16 else state
    state = {k: v.to(kind) if v.is_floating_point() else v for k, v in state.items()}
    return [_save(state, _metadata(checkpoint, name, fit), out)]


def _to_onnx(checkpoint: Checkpoint, name: str, state: State, fit: Fit | None, out: Path) -> list[Path]:
    if fit is None or fit.kind.network not in (*FLOWS, *REFINERS):
        described = "like no known network" if fit is None else f"{fit.kind}"
        raise ModelError(
            f"{checkpoint.path} ({name}) is {described}",
            expected=f"one of {', '.join((*FLOWS, *REFINERS))} for .onnx",
            do="write a segmentation network with `segtween export`",
        )
    net = build_kind(fit.kind)
    load_into(net, state, kind=fit.kind, source=f"{checkpoint.path} ({name})")
    return export_part(net, fit.kind, out, provenance=_metadata(checkpoint, name, fit))


def write_parts(path: str | Path, folder: Path) -> None:
    """Write the flow and the refinement network of a checkpoint, as `models.components` names them, into a folder.

    A refinement that wants an edge is written without one, too: its edge input is zero then. Raises ModelError for a
    checkpoint that holds neither, or one that does not fit.
    """
    checkpoint = read_checkpoint(path)
    found = {name: identify(state) for name, state in checkpoint.parts.items()}
    propagating = {n: fit for n, fit in found.items() if fit is not None and fit.kind.network in (*FLOWS, *REFINERS)}
    if not propagating:
        described = ", ".join(f"{name}: {fit.kind if fit else 'like no known network'}" for name, fit in found.items())
        raise ModelError(
            f"{path} holds {described}", expected=f"one of {', '.join((*FLOWS, *REFINERS))}", do="give another file"
        )
    for name, fit in propagating.items():
        net = build_kind(fit.kind)
        load_into(net, checkpoint.parts[name], kind=fit.kind, source=f"{path} ({name})")
        _write_part(net, fit.kind, folder, provenance=_metadata(checkpoint, name, fit))


def _write_part(net: Any, kind: Kind, folder: Path, *, provenance: dict[str, Any]) -> None:
    if kind.network in FLOWS:
        export_part(net, kind, folder / FLOW, provenance=provenance)
        return
    export_part(net, kind, folder / REFINE, provenance=provenance)
    if kind.edge:
        net.edge = "zero"
        export_part(net, kind, folder / REFINE_WITHOUT_EDGE, provenance=provenance)


def _metadata(checkpoint: Checkpoint, part: str, fit: Fit | None) -> dict[str, Any]:
    known: dict[str, Any] = {"network": fit.kind.network} if fit else {}
    if fit and fit.kind.classes:
        known["classes"] = fit.kind.classes
    source = {"source": checkpoint.path.name, "source_sha256": checkpoint.sha256, "part": part}
    epoch = {"epoch": checkpoint.facts["epoch"]} if "epoch" in checkpoint.facts else {}
    return {**known, **source, **epoch}


def _save(state: State, metadata: Mapping[str, Any], out: Path) -> Path:
    from safetensors.torch import save

    # Copies, because safetensors refuses tensors that share their memory.
    tensors = {key: state[key].clone().contiguous() for key in sorted(state)}
    content = save(tensors, metadata={METADATA: json.dumps(dict(metadata), sort_keys=True)})
    write_file(out, content)
    return out
