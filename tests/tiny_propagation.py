"""Tiny flow and refinement networks as ONNX files with their records: what the preset swnet-seq takes as weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from onnx import TensorProto, helper, numpy_helper

from segtween.models.components import FLOW, REFINE, REFINE_WITHOUT_EDGE
from tiny_onnx import save_graph

IMAGE = {"channels": "RGB", "mean": [0, 0, 0], "std": [255, 255, 255], "multiple_of": 1}


def write_model(folder: Path, *, classes: int, without_edge: bool = True) -> Path:
    """No motion; scores pass unchanged, beside their edge. Without edge the scores of class 0 are lost.

    So a run without the edge has other, worse labels than one with it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_flow(folder / FLOW)
    _write_refinement(folder / REFINE, classes=classes, edge="laplacian")
    if without_edge:
        _write_refinement(folder / REFINE_WITHOUT_EDGE, classes=classes, edge="zero")
    return folder


def _tensor(name: str, value: Any) -> Any:
    return numpy_helper.from_array(np.asarray(value), name)


def _write_flow(path: Path) -> None:
    nodes = [
        helper.make_node("Sub", ["current", "previous"], ["difference"]),
        helper.make_node("Conv", ["difference", "nothing"], ["flow"], strides=[4, 4]),
    ]
    image = TensorProto.FLOAT, [1, 3, "height", "width"]
    inputs = [("current", *image), ("previous", *image)]
    nothing = _tensor("nothing", np.zeros((2, 3, 4, 4), np.float32))
    save_graph(path, nodes, inputs, [("flow", TensorProto.FLOAT, None)], [nothing])
    _write_record(path, kind="flow", network="flow-light", outputs=["flow"], units=4)


def _write_refinement(path: Path, *, classes: int, edge: str) -> None:
    laplacian = np.ones((1, 1, 3, 3), np.float32)
    laplacian[0, 0, 1, 1] = -8
    lost = np.zeros((1, classes, 1, 1), np.float32)
    lost[0, 0] = 1000 if edge == "zero" else 0
    nodes = [
        helper.make_node("Sub", ["warped", "lost"], ["scores"]),
        helper.make_node("ArgMax", ["warped"], ["best"], axis=1, keepdims=1),
        helper.make_node("Cast", ["best"], ["labels"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["labels", "laplacian"], ["changes"], pads=[1, 1, 1, 1]),
        helper.make_node("Abs", ["changes"], ["sizes"]),
        helper.make_node("Clip", ["sizes", "zero", "one"], ["edge"]),
    ]
    size = ["height", "width"]
    inputs = [("warped", TensorProto.FLOAT, [1, classes, *size]), ("image", TensorProto.FLOAT, [1, 3, *size])]
    outputs = [(name, TensorProto.FLOAT, None) for name in ("scores", "edge")]
    constants = {"lost": lost, "laplacian": laplacian, "zero": np.float32(0), "one": np.float32(edge != "zero")}
    save_graph(path, nodes, inputs, outputs, [_tensor(name, value) for name, value in constants.items()])
    _write_record(path, kind="refinement", network="guided", outputs=["scores", "edge"], classes=classes, edge=edge)


def _write_record(path: Path, **values: Any) -> None:
    path.with_name(f"{path.name}.yaml").write_text(yaml.safe_dump({**values, "graph": path.name, "image": IMAGE}))
