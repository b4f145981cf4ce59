"""Flow and refinement networks as ONNX files that run without torch.

One self-contained file, images of any size, batch 1, with a record `<file>.yaml` beside it that says what the graph
wants to see and what it answers. It computes in float32; its weights may be stored as float16.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from segtween.errors import SinkError, os_errors
from segtween.networks.fitting import Kind
from segtween.networks.propagation import FLOWS, REFINERS
from segtween.networks.tracing import trace
from segtween.validation import write_whole, yaml_text

TRACED_HW = (64, 128)
SIZE = {2: "height", 3: "width"}


def export_part(
    net: Any, kind: Kind, out: Path, *, provenance: Mapping[str, Any] | None = None, half: bool = False
) -> list[Path]:
    """Write `net`, a flow or refinement network in eval mode, as ONNX; returns the graph and its record.

    Flow: inputs `current`, `previous` (1, 3, H, W), output `flow`. Refinement: inputs `warped` (1, classes, h, w),
    `image` (1, 3, h, w), outputs `scores`, `guide`, `edge`. With `half` the weights are stored as float16, half the
    size, and cast to float32 in the graph. SinkError if they cannot be written.
    """
    image = torch.zeros(1, 3, *TRACED_HW)
    if kind.network in FLOWS:
        names, outputs = ("current", "previous"), {"flow": {2: "rows", 3: "columns"}}
        inputs = (image, image + 1)
    else:
        names, outputs = ("warped", "image"), {"scores": SIZE, "guide": {3: "height", 4: "width"}, "edge": SIZE}
        inputs = (torch.zeros(1, kind.classes, *TRACED_HW), image)
    model = trace(net.eval(), inputs, names=dict.fromkeys(names, SIZE), outputs=outputs)
    if half:
        store_as_float16(model)
    record = part_record(kind, out.name, outputs=list(outputs), edge=getattr(net, "edge", None))
    return write_part(model, record | {"provenance": dict(provenance or {})}, out)


def store_as_float16(model: Any) -> None:
    """Round the graph's float32 weights, in place; each is cast back before its use, under its own name."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        name, stored = tensor.name, f"{tensor.name}.float16"
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), stored))
        casts.append(onnx.helper.make_node("Cast", [stored], [name], name=f"{name}.cast", to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def part_record(kind: Kind, graph: str, *, outputs: list[str], edge: str | None) -> dict[str, Any]:
    spec = FLOWS.get(kind.network) or REFINERS[kind.network]
    pixels = {"channels": spec.channels, "scale": 255, "mean": list(spec.mean), "std": list(spec.std)}
    record: dict[str, Any] = {"network": kind.network, "graph": graph}
    if kind.network in FLOWS:
        record |= {"kind": "flow", "inputs": ["current", "previous"], "stride": spec.stride, "units": spec.units}
    else:
        record |= {"kind": "refinement", "inputs": ["warped", "image"], "classes": kind.classes, "edge": edge}
    return record | {"outputs": outputs, "image": {**pixels, "multiple_of": spec.multiple_of}}


def write_part(model: Any, record: Mapping[str, Any], out: Path) -> list[Path]:
    """Graph and record, each under its final name only when whole."""
    files = {
        out: model.SerializeToString(deterministic=True),
        out.with_name(f"{out.name}.yaml"): yaml_text(record).encode(),
    }
    for path, content in files.items():
        write_file(path, content)
    return list(files)


def write_file(path: Path, content: bytes) -> None:
    """Write a file under its final name only when it is whole; SinkError if it cannot be."""
    got = f"{path} cannot be written"
    with os_errors(SinkError, got, expected="a folder with some room", do="give another out="):
        write_whole(path, content)
