"""Export from torch: an ONNX graph of free size, float16 weights, one record.

Layout of a model folder (segtween.models.weights reads it): `graph.onnx` with its weights as external data in
`weights.bin`, which is not stored; `weights.safetensors`, float16, from which it is made; `model.yaml`.
Names of the graph's weights are the state dict's keys.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from segtween.errors import ModelError, SettingError
from segtween.labels import LabelSet
from segtween.labels import label_set as find_label_set
from segtween.models.records import InputRecord, ModelRecord, OutputRecord, WeightsRecord, save_record
from segtween.models.weights import aligned_offsets, sha256_of
from segtween.networks import NETWORKS, build
from segtween.networks.checkpoints import read_checkpoint
from segtween.networks.fitting import Kind, identify, load_into
from segtween.networks.tracing import trace
from segtween.types import SizeHW
from segtween.validation import whole_file, write_whole

TRACED_HW = (128, 192)
UNUSED = ("num_batches_tracked", "img_mean", "img_std")  # in the state dict, not in the graph


def round_to_float16(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The values that a model folder will hold, as float32; ModelError for one beyond float16's range."""
    rounded = {}
    for key, value in state.items():
        if value.is_floating_point():
            rounded[key] = value.to(torch.float16).to(torch.float32)
            if not torch.isfinite(rounded[key]).all():
                raise ModelError(
                    f"weight {key} reaches {float(value.abs().max()):g}",
                    expected="values within float16 (65504)",
                    do="train with more weight decay",
                )
        else:
            rounded[key] = value
    return rounded


def export_graph(network_name: str, *, classes: int) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """(ONNX model, shape of each weight): input `image` (1, 3, H, W), output `logits`, any H and W.

    The graph depends on the architecture alone; weights are declared as external data by the layout of
    `segtween.models.weights.aligned_offsets`. MissingExtraError without the package onnx.
    """
    net = build(network_name, classes=classes).eval()
    # The exporter merges equal weights (all fresh norms are ones and zeros); random ones stay apart.
    generator = torch.Generator().manual_seed(0)
    for value in net.state_dict().values():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
    model = trace(
        net,
        (torch.zeros(1, 3, *TRACED_HW),),
        names={"image": {2: "height", 3: "width"}},
        outputs={"logits": {2: "rows", 3: "columns"}},
    )
    shapes = {t.name: tuple(t.dims) for t in model.graph.initializer}
    idle = getattr(net, "not_run", ())  # prefixes of what only training runs
    state = {k: v for k, v in net.state_dict().items() if not k.startswith(tuple(idle))}
    used = {k: tuple(v.shape) for k, v in state.items() if k.rsplit(".", 1)[-1] not in UNUSED}
    if shapes != used:
        wrong = sorted(shapes.keys() ^ used.keys())
        raise ModelError(
            f"the exported graph of {network_name} names its weights otherwise ({', '.join(wrong[:3])})",
            expected="the state dict's keys",
            do="use a torch release that the extra [train] was tested with",
        )
    _make_external(model)
    return model, shapes


def _make_external(model: Any) -> None:
    import onnx

    tensors = {t.name: t for t in model.graph.initializer}
    lengths = {name: len(t.raw_data) for name, t in tensors.items()}
    offsets, _ = aligned_offsets(lengths)
    for name, tensor in tensors.items():
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for field, value in (("location", "weights.bin"), ("offset", offsets[name]), ("length", lengths[name])):
            tensor.external_data.add(key=field, value=str(value))


def export_model(
    net: Any,
    *,
    network: str,
    name: str,
    labels: LabelSet,
    out: Path,
    provenance: Mapping[str, Any] | None = None,
    float16: bool = True,
    trained_size_hw: SizeHW | None = None,
) -> Path:
    """Write a model folder with the weights of `net` (a module of `segtween.networks.build`); returns the folder.

    `float16` False keeps them as they are: twice the size, and the very numbers of a published checkpoint.
    `trained_size_hw` as in the record (`models.records.ModelRecord`).
    """
    from safetensors.torch import save_file

    (model, shapes), spec = export_graph(network, classes=len(labels)), NETWORKS[network]
    state = round_to_float16(net.state_dict()) if float16 else net.state_dict()
    stored = torch.float16 if float16 else torch.float32
    out.mkdir(parents=True, exist_ok=True)
    weights = out / "weights.safetensors"
    with whole_file(weights) as part:
        save_file({k: state[k].to(stored).contiguous() for k in sorted(shapes)}, part)
        part.chmod(0o644)  # safetensors makes files that only their owner may read
    write_whole(out / "graph.onnx", model.SerializeToString(deterministic=True))
    record = ModelRecord(
        name=name,
        graph="graph.onnx",
        input=InputRecord("image", scale=255, mean=spec.mean, std=spec.std, multiple_of=spec.multiple_of),
        output=OutputRecord("logits", stride=spec.stride),
        labels=labels,
        path=out / "model.yaml",
        weights=WeightsRecord(file=weights.name, sha256=sha256_of(weights), dtype="float16" if float16 else "float32"),
        trained_size_hw=trained_size_hw,
        provenance={"network": network, **(provenance or {})},
    )
    save_record(record, record.path)
    return out


def export_checkpoint(
    checkpoint: str | Path,
    out: str | Path,
    *,
    network: str | None = None,
    label_set: str | LabelSet | None = None,
    name: str | None = None,
    float16: bool = True,
) -> Path:
    """Write the model folder of a weight file in any form that `segtween.networks.checkpoints` reads.

    A training checkpoint says itself what it is; for others the network is the one that the weights look like unless
    `network` says it, and `label_set` has to be given. Raises ModelError for a file that cannot be read or does not
    fit, SettingError where `label_set` is missing. `float16` as for `export_model`.
    """
    path = Path(checkpoint)
    found = read_checkpoint(path)
    recipe = json.loads(found.facts.get("recipe_values", "{}"))
    fits = {part: identify(state) for part, state in found.parts.items()}
    known = {fit.kind.network: part for part, fit in fits.items() if fit is not None and fit.kind.network in NETWORKS}
    network_name = network or recipe.get("network") or next(iter(known), None)
    given = label_set or recipe.get("labels")
    if network_name is None:
        holds = ", ".join(f"{part}: {fit.kind if fit else 'no known network'}" for part, fit in fits.items())
        raise ModelError(
            f"checkpoint {path} holds {holds}",
            expected=f"one of {', '.join(NETWORKS)}",
            do="export other networks to ONNX yourself (docs/models.md)",
        )
    if given is None:
        raise SettingError(
            f"checkpoint {path} does not say its labels",
            expected="a name of them",
            do="give label_set=camvid11 or another",
        )
    chosen = find_label_set(given)
    part, state = found.part(known.get(network_name))
    net = build(network_name, classes=len(chosen))
    load_into(net, state, kind=Kind(network_name, len(chosen)), source=f"{path} ({part})")
    provenance = {"source": path.name, "source_sha256": found.sha256, "licence": recipe.get("licence", "unknown")}
    model_name = name or recipe.get("name") or (Path(path.stem).stem if path.suffix == ".tar" else path.stem)
    return export_model(
        net,
        network=network_name,
        name=model_name,
        labels=chosen,
        out=Path(out),
        provenance=provenance,
        float16=float16,
    )
