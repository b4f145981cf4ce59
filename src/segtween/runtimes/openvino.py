"""OpenVINO: the default on CPUs.

Graphs are compiled for one input size at a time, at the first call with it: static shapes run
faster, and compiling is cheap (0.1 s for a ResNet-18 network), so that no compiled form is kept on
disk: reading one back would save 0.05 s and cost 47 MB per size.
"""

from __future__ import annotations

import ctypes
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from segtween.errors import ModelError, SettingError
from segtween.models.int8 import Int8Record, not_calibrated
from segtween.models.onnx_file import check_onnx_file
from segtween.models.records import InputRecord
from segtween.runtimes.base import (
    DEFAULT,
    Array,
    OnnxFileRuntime,
    Precision,
    RuntimeOptions,
    choose_outputs,
    fixed_inputs,
    is_identity,
    pixel_affine,
)
from segtween.runtimes.quantise import quantised

SIZES_KEPT = 2
_HINTS: dict[Precision, dict[str, str]] = {
    "auto": {},
    "float32": {"INFERENCE_PRECISION_HINT": "f32"},
    "bfloat16": {"INFERENCE_PRECISION_HINT": "bf16"},
    "int8": {},
}
"""int8 says so in its graph; what is not a convolution runs in OpenVINO's own choice, bfloat16 where there is any."""
_NEXT: dict[Precision, Precision] = {"int8": "bfloat16", "bfloat16": "float32", "auto": "float32"}
"""What is tried where a precision does not compile."""
_PLAIN_NAMES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "i8": "int8", "u8": "int8"}
_HEAVY_LAYERS = ("Convolution", "FullyConnected", "MatMul", "Deconvolution")


class _SignalStack(ctypes.Structure):
    """The C library's stack_t."""

    _fields_ = (("at", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def own_signal_stack() -> Iterator[None]:
    """Leaves the thread the signal stack that it had.

    Compiling sets one of OpenVINO's CPU plugin, which stays set when the plugin frees it: Ctrl-C would then end the
    process with a segmentation fault.
    """
    if sys.platform != "linux":
        yield
        return
    library, before = ctypes.CDLL(None), _SignalStack()
    library.sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        library.sigaltstack(ctypes.byref(before), None)


@cache
def core() -> Any:
    """The process's one OpenVINO core."""
    import openvino

    return openvino.Core()


@cache
def int8_sums_are_exact() -> bool:
    """Whether sums of products of bytes are right in the int8 kernels that OpenVINO uses on this CPU.

    Without dot products of bytes (AVX-512 VNNI, AVX-VNNI, AMX, Arm's dot product) pairs of products are summed in 16
    bits, where they saturate. What the processor has does not tell, as ONEDNN_MAX_CPU_ISA can hold the kernels to an
    older instruction set: so a convolution of the largest bytes is run, once per process, which takes 0.1 s.
    False too where the convolution is not computed in int8.
    """
    import openvino
    from openvino import opset13 as op

    channels, side = 32, 3
    image = op.parameter([1, channels, 8, 8], np.float32)
    image.output(0).set_names({"image"})
    kernel = op.constant(np.ones((channels, channels, side, side), np.float32))
    sums = op.convolution(image, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    graph = quantised(
        openvino.Model([op.result(sums)], [image], "largest"), Int8Record({"image": (0.0, 255.0)}), name="largest"
    )
    try:
        with own_signal_stack():
            compiled = core().compile_model(graph, "CPU", {"INFERENCE_NUM_THREADS": 1})
        found = compiled([np.full(image.get_shape(), 255, np.float32)])[0]
    except RuntimeError:
        return False
    right = 255 * channels * side**2
    return _effective_precision(compiled) == "int8" and bool(np.allclose(found, right, rtol=0.01))  # bfloat16: 0.4%


def first_line(error: Exception) -> str:
    """What an OpenVINO or ONNX Runtime message says, without the places in its source."""
    lines = [line.strip() for line in str(error).splitlines()]
    messages = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return (messages or lines or [""])[0][:200]


def read_graph(path: str | Path) -> Any:
    """An `openvino.Model` of an ONNX file; ModelError if it is none or uses unknown operations."""
    path = check_onnx_file(path)
    try:
        return core().read_model(path)
    except RuntimeError as error:
        raise ModelError(
            f"{path} cannot be read by OpenVINO ({first_line(error)})",
            expected="an ONNX graph of operations that it knows",
            do="try runtime='onnxruntime', or export with another opset",
        ) from None


def weights_of(path: str | Path) -> dict[str, Any]:
    """The float32 arrays that an ONNX file holds, by their names there (without the `.float16` of those that are stored
    so); ModelError where it cannot be read."""
    constants = [op for op in read_graph(path).get_ops() if op.get_type_name() == "Constant"]
    return {op.get_friendly_name().removesuffix(".float16"): np.asarray(op.data, np.float32) for op in constants}


class OpenVinoRuntime(OnnxFileRuntime):
    """One graph in OpenVINO; `provider` is an OpenVINO device (CPU, GPU, NPU).

    `change` makes another graph of the one in the file before anything else is done with it.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        outputs: tuple[str, ...] | None = None,
        pixels: InputRecord | None = None,
        int8: Int8Record | None = None,
        options: RuntimeOptions = DEFAULT,
        change: Callable[[Any], Any] | None = None,
    ) -> None:
        self.device = _device(options.provider)
        super().__init__(path, options)
        graph = read_graph(path) if change is None else change(read_graph(path))
        self.outputs = choose_outputs(outputs, [_name(o, outputs or ()) for o in graph.outputs], path=self.path)
        self._int8 = int8
        rounded = self._rounded(graph)
        self._graph = self._prepared(graph, pixels)
        self._graph_int8 = None if rounded is None else self._prepared(rounded, pixels)
        self._most_sizes = SIZES_KEPT
        self._compiled: OrderedDict[tuple[Any, ...], tuple[Any, Any]] = OrderedDict()

    @property
    def precision(self) -> str:
        return _effective_precision(self._latest())

    @property
    def threads(self) -> int:
        return int(self._latest().get_property("INFERENCE_NUM_THREADS")) if self.device == "CPU" else 0

    def keep_sizes(self, count: int) -> None:
        """Compiled forms are kept for at least this many input sizes, for streams of several sizes."""
        self._most_sizes = max(self._most_sizes, count)

    def run(self, *inputs: Array) -> list[Array]:
        arrays = [np.ascontiguousarray(x) for x in inputs]
        request = self._request(tuple(x.shape for x in arrays))
        try:
            if self._aside is None:
                return list(request.infer(arrays, share_inputs=True).to_tuple())
            # The runtime's own threads do all of it: this one may hold what others wait for, and must not be kept.
            request.start_async(arrays, share_inputs=True)
            request.wait()
            return [np.array(request.get_output_tensor(i).data) for i in range(len(self.outputs))]
        except RuntimeError as error:
            raise self._refusal(arrays[0].shape, error) from None

    def describe(self) -> dict[str, Any]:
        import openvino

        version = str(openvino.__version__).split("-")[0]
        record = {"runtime": f"openvino {version}", "provider": self.device, "precision": self.precision}
        if self._asked == "int8" and self._int8 is not None:
            record["int8_ranges"] = self._int8.digest
            record["int8_beside"] = _plain_name(self._latest().get_property("INFERENCE_PRECISION_HINT").to_string())
        return record

    def work(self, *shapes: tuple[int, ...]) -> tuple[int, int]:
        """Multiply-adds of the convolutions for inputs of these shapes, and how many weights they have."""
        graph = self._graph.clone()
        graph.reshape(dict(zip(graph.inputs, map(list, shapes), strict=True)))
        done = weights = 0
        for operation in graph.get_ops():
            grouped = {"Convolution": 1, "GroupConvolution": 2}.get(operation.get_type_name())
            if grouped is not None:
                kernel = list(operation.input_value(1).get_shape())
                done += int(np.prod(list(operation.output(0).get_shape()))) * int(np.prod(kernel[grouped:]))
                weights += int(np.prod(kernel))
        return done, weights

    def _rounded(self, graph: Any) -> Any | None:
        """The graph in int8 where that was asked for, or where it is the best of `auto`, which is then decided.

        Raises SettingError or ModelError where int8 was asked for by name and cannot be.
        """
        if self._asked not in ("auto", "int8") or (self._asked == "auto" and self._int8 is None):
            return None
        if self.device != "CPU" or not int8_sums_are_exact():
            if self._asked == "auto":
                return None
            where = "this processor, where sums of bytes overflow" if self.device == "CPU" else self.device
            raise SettingError(
                f"precision int8 on {where}",
                expected="a processor with AVX-512 VNNI, AVX-VNNI, AMX or Arm's dot product, "
                "and no ONEDNN_MAX_CPU_ISA that leaves them unused",
                do="use precision auto, bfloat16 or float32",
            )
        if self._int8 is None:
            raise not_calibrated(self.path.stem)
        try:
            rounded = quantised(graph, self._int8, name=self.path.name)
        except ModelError as error:
            if self._asked == "int8":
                raise
            self._note(f"int8 is not used: {error}")
            return None
        self._asked = "int8"
        return rounded

    def _prepared(self, graph: Any, pixels: InputRecord | None) -> Any:
        graph = _only(graph, self.outputs)
        return graph if pixels is None else _with_pixels(graph, pixels, self.path)

    def _latest(self) -> Any:
        if not self._compiled:
            raise ModelError(f"{self.path.name} has not run yet", do="run it once before asking what it uses")
        return next(reversed(self._compiled.values()))[0]

    def _request(self, shapes: tuple[Any, ...]) -> Any:
        if shapes not in self._compiled:
            while len(self._compiled) >= self._most_sizes:
                self._compiled.popitem(last=False)
            self._compiled[shapes] = (self._aside or _here)(partial(self._made, shapes))
        self._compiled.move_to_end(shapes)
        return self._compiled[shapes][1]

    def _made(self, shapes: tuple[Any, ...]) -> tuple[Any, Any]:
        compiled = self._compile(shapes)
        return compiled, compiled.create_infer_request()

    def _compile(self, shapes: tuple[Any, ...]) -> Any:
        rounded = self._graph_int8 if self._asked == "int8" else None
        graph = (self._graph if rounded is None else rounded).clone()
        try:
            graph.reshape(dict(zip(graph.inputs, map(list, shapes), strict=True)))
        except (RuntimeError, ValueError) as error:
            raise self._refusal(shapes[0], error) from None
        try:
            compiled = self._compile_as(graph, self._asked)
        except RuntimeError as error:
            if self._asked not in _NEXT:
                raise self._refusal(shapes[0], error) from None
            refused, self._asked = self._asked, _NEXT[self._asked]
            self._note(f"{self.path.name} does not compile as {refused} ({first_line(error)}); {self._asked} is used")
            return self._compile(shapes)
        if self._asked in ("bfloat16", "int8") and (used := _effective_precision(compiled)) != self._asked:
            self._note(f"{self._asked} was asked for, but {self.device} computes {self.path.name} in {used}")
        return compiled

    def _compile_as(self, graph: Any, precision: Precision) -> Any:
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", **_HINTS[precision]}
        if self._threads and self.device == "CPU":
            config["INFERENCE_NUM_THREADS"] = self._threads
        with own_signal_stack():
            return core().compile_model(graph, self.device, config)

    def _refusal(self, shape: tuple[int, ...], error: Exception) -> ModelError:
        return ModelError(
            f"{self.path.name} does not take an input of shape {shape} ({first_line(error)})",
            expected="a graph for this size",
            do="correct `input` in its record (layout, size, multiple_of)",
        )


def _here(work: Callable[[], Any]) -> Any:
    return work()


def _device(provider: str | None) -> str:
    if provider is None:
        return "CPU"
    known = core().available_devices
    if provider.upper() not in known:
        raise SettingError(
            f"OpenVINO device {provider!r} is not here", expected=f"one of {', '.join(known)}", do="change provider="
        )
    return provider.upper()


def _name(port: Any, preferred: tuple[str, ...]) -> str:
    """One name of an input or output: OpenVINO gives merged tensors several."""
    names = port.get_names()
    return next((n for n in preferred if n in names), port.get_any_name() if names else port.get_node().get_name())


def _only(graph: Any, names: tuple[str, ...]) -> Any:
    """The graph with these outputs only, in this order; what leads to others alone is not computed."""
    import openvino

    ports = {_name(port, names): port for port in graph.outputs}
    results = [ports[name].get_node() for name in names]
    return openvino.Model(results, graph.get_parameters(), graph.get_friendly_name())


def _with_pixels(graph: Any, pixels: InputRecord, path: Path) -> Any:
    """The graph taking uint8 (1, H, W, 3) RGB images; layout, channel order and normalisation inside."""
    from openvino import Layout, Type
    from openvino.preprocess import PrePostProcessor

    names = [_name(port, (pixels.name, *pixels.fixed)) for port in graph.inputs]
    _fix(graph, fixed_inputs(pixels, names, path=path), path)
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
            f"{path.name} does not take images as its record says ({first_line(error)})",
            expected=f"an input {pixels.layout} of three channels",
            do="correct `input` in its record",
        ) from None


def _fix(graph: Any, values: Mapping[str, Array], path: Path) -> None:
    """Puts constants in the place of inputs."""
    from openvino import opset13 as op

    for name, value in values.items():
        port = graph.input(name)
        constant = op.constant(value.astype(port.get_element_type().to_dtype()))
        if not port.get_partial_shape().compatible(constant.output(0).get_partial_shape()):
            raise ModelError(
                f"input {name!r} of {path.name} has the shape {port.get_partial_shape()}",
                expected=f"one that takes the values of shape {value.shape} in its record",
                do=f"correct `input.fixed.{name}`",
            )
        parameter = port.get_node()
        port.replace(constant.output(0))
        graph.remove_parameter(parameter)
    graph.validate_nodes_and_infer_types()


def _effective_precision(compiled: Any) -> str:
    """What most of the heavy layers compute in, read from the compiled graph itself."""
    told = (operation.get_rt_info() for operation in compiled.get_runtime_model().get_ops())
    used = Counter(
        info["runtimePrecision"].astype(str)
        for info in told
        if "layerType" in info and info["layerType"].astype(str) in _HEAVY_LAYERS
    )
    (found, _), *_ = used.most_common(1) or [(compiled.get_property("INFERENCE_PRECISION_HINT").to_string(), 0)]
    return _plain_name(found)


def _plain_name(precision: str) -> str:
    return _PLAIN_NAMES.get(precision, precision)
