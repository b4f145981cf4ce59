"""Tiny segmentation networks as ONNX files, in every shape that real files come in.

The network is one convolution of kernel = stride = 4: its scores are linear in the mean colour of
each 4x4 cell, so that a test can compute them by itself (`cell_scores`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

STRIDE = 4
TYPES = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


def colour_weights(classes: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(classes, 3) weights for the mean colour, (classes,) biases."""
    rng = np.random.default_rng(classes)
    return rng.normal(size=(classes, 3)).astype(np.float32), rng.normal(size=classes).astype(np.float32)


def cell_scores(rgb: NDArray[Any], *, classes: int) -> NDArray[np.float64]:
    """(C, h/4, w/4): what the network answers to an image whose values reach it unchanged."""
    weights, bias = colour_weights(classes)
    h, w = rgb.shape[0] // STRIDE, rgb.shape[1] // STRIDE
    means = rgb[: h * STRIDE, : w * STRIDE].astype(np.float64).reshape(h, STRIDE, w, STRIDE, 3).mean(axis=(1, 3))
    return np.einsum("ck,hwk->chw", weights.astype(np.float64), means) + bias[:, None, None]


def write_network(
    path: Path,
    *,
    classes: int = 5,
    size_hw: tuple[int, int] | None = None,
    layout: Literal["NCHW", "NHWC"] = "NCHW",
    dtype: str = "float32",
    last: Literal["", "softmax", "sigmoid", "argmax", "mask"] = "",
    full_size: bool = False,
    output_layout: Literal["NCHW", "NHWC"] = "NCHW",
    keepdims: bool = False,
    label_type: str = "int64",
    extra: bool = False,
    normalise: bool = False,
    weights: str = "float32",
    batch: int | str = 1,
    opset: int = 17,
    size_input: bool = False,
) -> Path:
    """An ONNX file with input `image` and output `scores` (and, with `extra`, `features` and `aux` before it).

    `normalise` puts (x - 100) / 50 at the graph's beginning. The order at the end is: enlarge to full
    size, softmax, sigmoid, argmax or a mask (255 where the sigmoid is above 0.5), transpose. `weights` are stored in
    this type; with `size_input` the scores are multiplied by the mean of a second input, `size`, of two whole numbers.
    """
    colours, bias = colour_weights(classes)
    kernel = np.broadcast_to(colours[:, :, None, None] / STRIDE**2, (classes, 3, STRIDE, STRIDE))
    nodes: list[onnx.NodeProto] = []
    stored = "" if weights == "float32" else "_stored"
    initializers = [
        numpy_helper.from_array(np.ascontiguousarray(kernel).astype(weights), "kernel" + stored),
        numpy_helper.from_array(bias.astype(weights), "bias" + stored),
    ]

    def add(operation: str, source: str | list[str], target: str, **attributes: Any) -> str:
        nodes.append(
            helper.make_node(operation, [source] if isinstance(source, str) else source, [target], **attributes)
        )
        return target

    def constant(name: str, value: Any) -> str:
        initializers.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    for name in ("kernel", "bias") if stored else ():
        add("Cast", name + stored, name, to=TensorProto.FLOAT)
    last_name = "image"
    if dtype != "float32":
        last_name = add("Cast", last_name, "as_float", to=TensorProto.FLOAT)
    if layout == "NHWC":
        last_name = add("Transpose", last_name, "planes", perm=[0, 3, 1, 2])
    if normalise:
        last_name = add("Sub", [last_name, constant("hundred", np.float32(100))], "centred")
        last_name = add("Div", [last_name, constant("fifty", np.float32(50))], "scaled")
    last_name = features = add("Conv", [last_name, "kernel", "bias"], "features", strides=[STRIDE, STRIDE])
    if full_size:
        factors = constant("factors", np.float32([1, 1, STRIDE, STRIDE]))
        region = constant("region", np.float32([])) if opset < 13 else ""
        last_name = add("Resize", [last_name, region, factors], "enlarged", mode="linear")
    if size_input:
        factor = add("ReduceMean", add("Cast", "size", "sides", to=TensorProto.FLOAT), "factor", keepdims=0)
        last_name = add("Mul", [last_name, factor], "sized")
    if last == "softmax":
        last_name = add("Softmax", last_name, "probabilities", axis=1)
    if last in ("sigmoid", "mask"):
        last_name = add("Sigmoid", last_name, "probability")
    if last == "mask":
        last_name = add("Greater", [last_name, constant("half", np.float32(0.5))], "above")
        last_name = add("Cast", last_name, "ones", to=TensorProto.UINT8)
        last_name = add("Mul", [last_name, constant("white", np.uint8(255))], "white_mask")
    if last == "argmax":
        last_name = add("ArgMax", last_name, "labels", axis=1, keepdims=int(keepdims))
        if label_type != "int64":
            last_name = add("Cast", last_name, "small", to=getattr(TensorProto, label_type.upper()))
    if output_layout == "NHWC":
        last_name = add("Transpose", last_name, "channels_last", perm=[0, 2, 3, 1])
    add("Identity", last_name, "scores")

    types = {"argmax": getattr(TensorProto, label_type.upper()), "mask": TensorProto.UINT8}
    result_type = types.get(last, TensorProto.FLOAT)
    outputs = [helper.make_tensor_value_info("scores", result_type, None)]
    if extra:
        add("ReduceMean", features, "summary", axes=[1, 2, 3], keepdims=0)
        add("Slice", [features, constant("first", [0]), constant("two", [2]), constant("axis", [1])], "aux")
        outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("summary", "aux")] + outputs
    height, width = size_hw or ("height", "width")
    shape = [batch, 3, height, width] if layout == "NCHW" else [batch, height, width, 3]
    inputs = [("image", TYPES[dtype], shape)] + ([("size", TensorProto.INT64, [2])] if size_input else [])
    return save_graph(path, nodes, inputs, outputs, initializers, opset=opset)


def save_graph(
    path: Path, nodes: Any, inputs: Any, outputs: Any, initializers: Any = (), *, opset: int = 17, **metadata: Any
) -> Path:
    """A graph of `onnx.helper` parts; inputs are (name, type, shape). `metadata` goes into the file as text."""
    infos = [helper.make_tensor_value_info(*i) for i in inputs]
    infos_out = [helper.make_tensor_value_info(*o) if isinstance(o, tuple) else o for o in outputs]
    graph = helper.make_graph(list(nodes), "tiny", infos, infos_out, list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8 + (opset > 19) * 2)
    helper.set_model_props(model, {key: str(value) for key, value in metadata.items()})
    onnx.save(model, path)
    return path


def colour_image(size_hw: tuple[int, int], *, seed: int = 0) -> NDArray[np.uint8]:
    """A smooth RGB image that no two channels share."""
    import cv2

    small = np.random.default_rng(seed).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    return np.ascontiguousarray(cv2.resize(small, size_hw[::-1], interpolation=cv2.INTER_LINEAR))
