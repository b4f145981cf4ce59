"""Changes to a graph of OpenVINO before it is compiled: its outputs, images as its input, inputs that are fixed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from segtween.errors import ModelError
from segtween.models.records import InputRecord
from segtween.runtimes.base import Array, fixed_inputs, is_identity, pixel_affine


def first_line(error: Exception) -> str:
    """What an OpenVINO or ONNX Runtime message says, without the places in its source."""
    lines = [line.strip() for line in str(error).splitlines()]
    messages = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return (messages or lines or [""])[0][:200]


def name_of(port: Any, preferred: tuple[str, ...]) -> str:
    """One name of an input or output: OpenVINO gives merged tensors several."""
    names = port.get_names()
    return next((n for n in preferred if n in names), port.get_any_name() if names else port.get_node().get_name())


def only(graph: Any, names: tuple[str, ...]) -> Any:
    """The graph with these outputs only, in this order; what leads to others alone is not computed."""
    import openvino

    ports = {name_of(port, names): port for port in graph.outputs}
    results = [ports[name].get_node() for name in names]
    return openvino.Model(results, graph.get_parameters(), graph.get_friendly_name())


def with_pixels(graph: Any, pixels: InputRecord, *, called: str) -> Any:
    """The graph taking uint8 (1, H, W, 3) RGB images; layout, channel order and normalisation inside."""
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    names = [name_of(port, (pixels.name, *pixels.fixed)) for port in graph.inputs]
    _fix(graph, fixed_inputs(pixels, names, called=called), called)
    mean, divisor = pixel_affine(pixels.scale, pixels.mean, pixels.std)
    process = PrePostProcessor(graph)
    port = process.input(pixels.name)
    port.tensor().set_element_type(Type.u8).set_layout(Layout("NHWC"))
    port.model().set_layout(Layout(pixels.layout))
    if pixels.channels == "BGR":
        port.preprocess().reverse_channels()
    if not is_identity(mean, divisor):
        port.preprocess().convert_element_type(Type.f32).mean(mean).scale(divisor)
    try:
        return process.build()
    except RuntimeError as error:
        raise ModelError(
            f"{called} does not take images as its record says ({first_line(error)})",
            expected=f"an input {pixels.layout} of three channels",
            do="correct `input` in its record",
        ) from None


def _fix(graph: Any, values: Mapping[str, Array], called: str) -> None:
    """Puts constants in the place of inputs."""
    from openvino import opset13 as op

    for name, value in values.items():
        port = graph.input(name)
        constant = op.constant(value.astype(port.get_element_type().to_dtype()))
        if not port.get_partial_shape().compatible(constant.output(0).get_partial_shape()):
            raise ModelError(
                f"input {name!r} of {called} has the shape {port.get_partial_shape()}",
                expected=f"one that takes the values of shape {value.shape} in its record",
                do=f"correct `input.fixed.{name}`",
            )
        parameter = port.get_node()
        port.replace(constant.output(0))
        graph.remove_parameter(parameter)
    graph.validate_nodes_and_infer_types()
