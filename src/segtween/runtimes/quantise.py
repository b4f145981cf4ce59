"""int8 by post-training quantisation, on OpenVINO graphs.

What every convolution sees is rounded to 256 steps between the ends of a measured range, its weights to 255 steps (127
with weights of 7 bits) between plus and minus the largest of each output channel (Jacob et al., "Quantization and
Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", arXiv 1712.05877, section 2). The first is
put into the graph as FakeQuantize operations, the second as bytes with a factor; of both OpenVINO makes int8 kernels
when it compiles. Sums, enlargements and what else is cheap stay as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segtween.errors import ModelError
from segtween.models.int8 import Int8Record

_CONVOLUTIONS = {"Convolution": 1, "GroupConvolution": 2}
"""Operations that become int8, and how many leading axes of their weights are output channels."""
_KEEPS_VALUES = ("MaxPool", "Pad")
_MAY_READ_INT8 = (*_CONVOLUTIONS, *_KEEPS_VALUES, "Add")
_NOTHING = 1e-30
"""Weights below it are 0: a step between such could not be told from 0 itself."""


class ConvolutionInput(NamedTuple):
    """A tensor and the convolutions that read it. `name` is the one in the ONNX file."""

    name: str
    port: Any
    convolutions: list[Any]


def folded(graph: Any) -> Any:
    """A copy in which weights that are reshaped from stored ones are stored as they are used."""
    from openvino import passes

    copy, manager = graph.clone(), passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(copy)
    return copy


def convolution_inputs(graph: Any) -> list[ConvolutionInput]:
    """Every tensor that a convolution with fixed weights reads, in the graph's order.

    Padding with zeros and pooling by maximum lie after it: they run in int8 then, and fuse as in float.
    """
    found: dict[str, ConvolutionInput] = {}
    for convolution in _convolutions(graph):
        port = convolution.input_value(0)
        while _keeps_values(port.get_node()):
            port = port.get_node().input_value(0)
        names = sorted(port.get_names())
        if names:
            found.setdefault(names[0], ConvolutionInput(names[0], port, [])).convolutions.append(convolution)
    return list(found.values())


def weights_digest(graph: Any) -> str:
    """16 hexadecimal digits that change with the weights of the convolutions of a `folded` graph."""
    scales = sorted(_largest(c).astype("<f4").tobytes() for c in _convolutions(graph))
    return hashlib.sha256(b"\n".join(scales)).hexdigest()[:16]


def range_outputs(graph: Any) -> Any:
    """The graph with the lowest and the highest value of each such tensor as its outputs, two by two."""
    import openvino
    from openvino import opset13 as op

    graph, results = folded(graph), []
    for name, port, _ in convolution_inputs(graph):
        axes = np.arange(port.get_partial_shape().rank.get_length(), dtype=np.int64)
        for reduce, end in ((op.reduce_min, "low"), (op.reduce_max, "high")):
            value = reduce(port, axes, keep_dims=False)
            value.output(0).set_names({f"{name} {end}"})
            results.append(op.result(value))
    if not results:
        raise ModelError(
            "the network has no convolutions with fixed weights", expected="a convolutional network", do="use float32"
        )
    return openvino.Model(results, graph.get_parameters(), graph.get_friendly_name())


def quantised(graph: Any, record: Int8Record, *, name: str, weight_bits: int = 8) -> Any:
    """A copy of the graph whose convolutions are rounded; ModelError where the record belongs to other weights.

    A convolution stays in float where the record has no range for what it sees. `weight_bits` is 8, or 7 for
    processors that add products of bytes in 16 bits, two by two: 2 x 255 x 63 < 32767 < 2 x 255 x 127.
    """
    from openvino import opset13 as op

    graph = folded(graph)
    if record.weights and record.weights != weights_digest(graph):
        raise ModelError(
            f"the int8 ranges of {name} were measured with other weights",
            expected=f"weights with the digest {record.weights}",
            do="calibrate again: segtween export with calibrate=IMAGES",
        )
    tensors = [(t, _range_of(t.port, record.ranges)) for t in convolution_inputs(graph)]
    known = [(tensor, limits) for tensor, limits in tensors if limits is not None]
    if not known:
        raise ModelError(
            f"the int8 ranges of {name} name none of its tensors",
            expected="ranges of this graph",
            do="calibrate again: segtween export with calibrate=IMAGES",
        )
    for tensor, limits in known:
        readers = [t for t in tensor.port.get_target_inputs() if t.get_node().get_type_name() in _MAY_READ_INT8]
        low, high = (_constant(v, tensor.port) for v in with_exact_zero(*limits))
        steps = op.fake_quantize(tensor.port, low, high, low, high, 256)
        for reader in readers:
            reader.replace_source_output(steps.output(0))
        for convolution in tensor.convolutions:
            _round_weights(convolution, most=2 ** (weight_bits - 1) - 1)
    graph.validate_nodes_and_infer_types()
    return graph


def with_exact_zero(low: float, high: float) -> tuple[float, float]:
    """The ends of 256 even steps that cover the range, one of which is 0 exactly: what is padded is 0."""
    low, high = min(low, 0.0), max(high, 0.0)
    if (high - low) / 255 == 0:
        high = 1.0
    step = (high - low) / 255
    below = round(-low / step)
    return -below * step, (255 - below) * step


def _convolutions(graph: Any) -> Iterator[Any]:
    for operation in graph.get_ordered_ops():
        if operation.get_type_name() in _CONVOLUTIONS and _weights(operation) is not None:
            yield operation


def _weights(convolution: Any) -> NDArray[Any] | None:
    """The fixed weights, None where they are computed. Those stored as float16 pass through a conversion."""
    node = convolution.input_value(1).get_node()
    while node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    if node.get_type_name() != "Constant":
        return None
    values: NDArray[Any] = node.get_data()
    return values


def _largest(convolution: Any) -> NDArray[np.float32]:
    """The largest magnitude in each output channel's weights, with all axes kept."""
    weights = _weights(convolution)
    assert weights is not None
    within = tuple(range(_CONVOLUTIONS[convolution.get_type_name()], weights.ndim))
    return np.abs(weights).max(axis=within, keepdims=True).astype(np.float32)


def _round_weights(convolution: Any, *, most: int) -> None:
    """Bytes from -most to most and a factor for each output channel in place of the weights: compiling need not round
    them each time."""
    from openvino import opset13 as op

    port, weights, largest = convolution.input_value(1), _weights(convolution), _largest(convolution)
    assert weights is not None
    factor = np.where(largest < _NOTHING, 1, largest) / most
    whole = np.rint(weights / factor).clip(-most, most).astype(np.int8)
    values = op.convert(op.constant(whole), port.get_element_type())
    convolution.input(1).replace_source_output(op.multiply(values, _constant(factor, port)).output(0))


def _constant(value: Any, like: Any) -> Any:
    from openvino import opset13 as op

    return op.constant(np.asarray(value, like.get_element_type().to_dtype()))


def _keeps_values(node: Any) -> bool:
    """Whether what comes out was in the input, or is 0."""
    kind = node.get_type_name()
    if kind != "Pad":
        return kind in _KEEPS_VALUES
    if node.get_attributes().get("pad_mode") != "constant":
        return False
    if node.get_input_size() < 4:
        return True
    filling = node.input_value(3).get_node()
    while filling.get_type_name() in ("Convert", "ConvertLike", "Squeeze", "Reshape"):
        filling = filling.input_value(0).get_node()
    return filling.get_type_name() == "Constant" and not np.any(filling.get_data())


def _range_of(port: Any, ranges: Mapping[str, tuple[float, float]]) -> tuple[float, float] | None:
    return next((ranges[name] for name in sorted(port.get_names()) if name in ranges), None)
