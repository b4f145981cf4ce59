"""OpenVINO: the default on CPUs.

Graphs are compiled for one input size at a time, at the first call with it: static shapes run
faster, and compiling is cheap (0.1 s for a ResNet-18 network), so that no compiled form is kept on
disk: reading one back would save 0.05 s and cost 47 MB per size.
"""

from __future__ import annotations

import ctypes
import sys
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from pkgutil import resolve_name
from time import perf_counter, thread_time
from typing import Any

import numpy as np

from segtween.errors import ModelError, SettingError
from segtween.models.int8 import Int8Record, not_calibrated
from segtween.models.onnx_file import check_onnx_file
from segtween.models.records import InputRecord
from segtween.runtimes.base import (
    DEFAULT,
    INT8_OF_7_BITS,
    Array,
    FileRuntime,
    Precision,
    RuntimeOptions,
    choose_outputs,
)
from segtween.runtimes.openvino_graph import first_line, name_of, only, with_pixels
from segtween.runtimes.quantise import quantised

SIZES_KEPT = 2
WORTH_ROUNDING = 1.25
_TURNS = 9
_clock = perf_counter if sys.platform == "win32" else thread_time
"""Windows counts a thread's time in steps of 16 ms."""
IR = ".xml"
TRANSLATED = {".pt2": "segtween.networks.exported:translated"}
"""Endings of files that become OpenVINO's own, kept in the cache: "module:function" (path) -> path, imported when it is
used, as it may need a library that running does not."""
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
_DEVICES = ("CPU", "GPU", "NPU")
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
def bfloat16_is_right() -> bool:
    """Whether a CPU that OpenVINO would use bfloat16 on computes it right, True where it would not use it.

    Held to an instruction set without it (ONEDNN_MAX_CPU_ISA), OpenVINO still chooses it: then graphs do not compile,
    or give zeros and NaN. So a convolution is run once per process.
    """
    if core().get_property("CPU", "INFERENCE_PRECISION_HINT").to_string() != "bf16":
        return True
    compiled = _compiled_alone(graph := _convolution(channels=32, size_hw=(8, 8)), _HINTS["bfloat16"])
    return compiled is not None and _sum_is_right(compiled, graph)


@cache
def networks_compile() -> bool:
    """Whether OpenVINO has kernels on this CPU for what every segmentation network does: convolutions, and resizing,
    for which there are none where it is held to an older instruction set than it needs (ONEDNN_MAX_CPU_ISA)."""
    return _compiled_alone(_convolution(channels=32, size_hw=(8, 8), resized=True), _HINTS["float32"]) is not None


@cache
def int8_weight_bits() -> int:
    """Bits of the weights with which OpenVINO's int8 kernels add up bytes right on this CPU: 8, 7, or 0 for neither.

    Without dot products of bytes (AVX-512 VNNI, AVX-VNNI, AMX, Arm's dot product) pairs of products are summed in 16
    bits, where those of 8-bit weights saturate and those of 7-bit weights do not. What the processor has does not tell,
    as ONEDNN_MAX_CPU_ISA can hold the kernels to an older instruction set: so a convolution of the largest bytes is run
    in both forms, once per process, which takes 0.1 s. 0 too where the convolution is not computed in int8.
    """
    return next((bits for bits in (8, 7) if _sums_are_exact(bits)), 0)


@cache
def int8_is_faster(weight_bits: int) -> bool:
    """Whether int8 with weights of so many bits is worth its rounding on this CPU.

    With dot products of bytes it is. Without them it depends on the processor: float32 and int8 take turns at a
    convolution, once per process, which takes 0.1 s, and int8 must be `WORTH_ROUNDING` times as fast, in processor time
    of this thread, which does not depend on what else is running.
    """
    if weight_bits == 8 and has_byte_dot_products():
        return True
    graph = _convolution(channels=64, size_hw=(16, 32))
    hints = _hints("auto", "CPU")
    found = [_compiled_alone(g, hints) for g in (graph, _rounded_bytes(graph, weight_bits))]
    if None in found:
        return False
    image, times = np.ones(graph.input(0).get_shape(), np.float32), np.empty((_TURNS, len(found)))
    for turn, which in np.ndindex(times.shape):
        began = _clock()
        found[which]([image])
        times[turn, which] = _clock() - began
    plain, rounded = times.min(axis=0)
    return bool(plain > WORTH_ROUNDING * rounded)


def has_byte_dot_products() -> bool:
    """Whether the processor's flags say so, whatever kernels use; False where they cannot be read."""
    from llvmlite.binding import get_host_cpu_features

    try:
        features = get_host_cpu_features()
    except RuntimeError:
        return False
    return any(features.get(flag, False) for flag in ("avx512vnni", "avxvnni", "amx-int8", "dotprod"))


def _sums_are_exact(weight_bits: int) -> bool:
    graph = _convolution(channels=32, size_hw=(8, 8))
    compiled = _compiled_alone(_rounded_bytes(graph, weight_bits), _HINTS["float32"])
    return compiled is not None and _effective_precision(compiled) == "int8" and _sum_is_right(compiled, graph)


def _sum_is_right(compiled: Any, graph: Any) -> bool:
    """Of the largest bytes, by a `_convolution`."""
    shape = list(graph.input(0).get_shape())
    found, right = compiled([np.full(shape, 255, np.float32)])[0], 255 * shape[1] * 3**2
    return bool(np.allclose(found, right, rtol=0.01))  # bfloat16: 0.4%


def _convolution(*, channels: int, size_hw: tuple[int, int], resized: bool = False) -> Any:
    """A graph of one 3x3 convolution, whose weights are 1, of an input `image`, with as many channels as it, perhaps
    resized to its size."""
    import openvino
    from openvino import opset13 as op

    image = op.parameter([1, channels, *size_hw], np.float32)
    image.output(0).set_names({"image"})
    kernel = op.constant(np.ones((channels, channels, 3, 3), np.float32))
    sums = op.convolution(image, kernel, [1, 1], [0, 0], [0, 0], [1, 1])
    if resized:
        sums = op.interpolate(sums, np.array(size_hw), "linear_onnx", "sizes", axes=np.array([2, 3]))
    return openvino.Model([op.result(sums)], [image], "convolution")


def _rounded_bytes(graph: Any, weight_bits: int) -> Any:
    return quantised(graph, Int8Record({"image": (0.0, 255.0)}), name="convolution", weight_bits=weight_bits)


def _compiled_alone(graph: Any, hints: dict[str, str]) -> Any | None:
    """Compiled for one thread, None where it does not compile."""
    try:
        with own_signal_stack():
            return core().compile_model(graph, "CPU", {"INFERENCE_NUM_THREADS": 1, **hints})
    except RuntimeError:
        return None


def read_graph(path: str | Path) -> Any:
    """An `openvino.Model` of an ONNX file, of OpenVINO's own .xml or of torch's .pt2; ModelError if it is none or uses
    unknown operations."""
    path = Path(path)
    known = path.suffix.lower()
    if known in TRANSLATED:
        file = resolve_name(TRANSLATED[known])(path)
    else:
        file = path if known == IR else check_onnx_file(path)
    try:
        graph = core().read_model(file)
    except RuntimeError as error:
        form = "OpenVINO graph" if known == IR else "ONNX graph of operations that it knows"
        raise ModelError(
            f"{path} cannot be read by OpenVINO ({first_line(error)})",
            expected=f"an {form}",
            do="export it again" if known == IR else "try runtime='onnxruntime', or export with another opset",
        ) from None
    for port in (*graph.inputs, *graph.outputs):
        if not port.get_names():
            port.get_tensor().set_names({port.get_node().get_friendly_name()})
    return graph


def weights_of(path: str | Path) -> dict[str, Any]:
    """The float32 arrays that an ONNX file holds, by their names there (without the `.float16` of those that are stored
    so); ModelError where it cannot be read."""
    constants = [op for op in read_graph(path).get_ops() if op.get_type_name() == "Constant"]
    return {op.get_friendly_name().removesuffix(".float16"): np.asarray(op.data, np.float32) for op in constants}


class OpenVinoRuntime(FileRuntime):
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
        self.device, note = _device(options.provider)
        super().__init__(path, options)
        if note:
            self._note(note)
        graph = read_graph(path) if change is None else change(read_graph(path))
        self.outputs = choose_outputs(outputs, [name_of(o, outputs or ()) for o in graph.outputs], called=self.called)
        self._int8 = int8
        rounded = self._rounded(graph)
        self._graph = self._prepared(graph, pixels)
        self._graph_int8 = None if rounded is None else self._prepared(rounded, pixels)
        self._most_sizes = SIZES_KEPT
        self._compiled: OrderedDict[tuple[Any, ...], tuple[Any, Any]] = OrderedDict()

    @property
    def precision(self) -> str:
        used = _effective_precision(self._latest())
        return INT8_OF_7_BITS if used == self._asked == "int8" and int8_weight_bits() == 7 else used

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
            raise self._refused(arrays[0].shape, first_line(error)) from None

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
        bits = int8_weight_bits() if self.device == "CPU" else 0
        if self._asked == "auto" and not (bits and int8_is_faster(bits)):
            return None
        if not bits:
            where = "this processor, where sums of bytes overflow" if self.device == "CPU" else self.device
            raise SettingError(
                f"precision int8 on {where}",
                expected="a processor for which OpenVINO has int8 kernels: x86 with AVX2, or Arm's dot product",
                do="use precision auto, bfloat16 or float32",
            )
        if self._int8 is None:
            raise not_calibrated(self.path.stem)
        try:
            rounded = quantised(graph, self._int8, name=self.called, weight_bits=bits)
        except ModelError as error:
            if self._asked == "int8":
                raise
            self._note(f"int8 is not used: {error}")
            return None
        self._asked = "int8"
        return rounded

    def _prepared(self, graph: Any, pixels: InputRecord | None) -> Any:
        graph = only(graph, self.outputs)
        return graph if pixels is None else with_pixels(graph, pixels, called=self.called)

    def _latest(self) -> Any:
        if not self._compiled:
            raise ModelError(f"{self.called} has not run yet", do="run it once before asking what it uses")
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
            raise self._refused(shapes[0], first_line(error)) from None
        try:
            compiled = self._compile_as(graph, self._asked)
        except RuntimeError as error:
            if self._asked not in _NEXT:
                raise ModelError(
                    f"{self.called} does not compile for an input of shape {shapes[0]} ({first_line(error)})",
                    expected=f"a graph for which OpenVINO has kernels on this {self.device}",
                    do="try runtime='onnxruntime', and unset ONEDNN_MAX_CPU_ISA where it is set",
                ) from None
            refused, self._asked = self._asked, _NEXT[self._asked]
            self._note(f"{self.called} does not compile as {refused} ({first_line(error)}); {self._asked} is used")
            return self._compile(shapes)
        if self._asked in ("bfloat16", "int8") and (used := _effective_precision(compiled)) != self._asked:
            self._note(f"{self._asked} was asked for, but {self.device} computes {self.called} in {used}")
        return compiled

    def _compile_as(self, graph: Any, precision: Precision) -> Any:
        config: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", **_hints(precision, self.device)}
        if self._threads and self.device == "CPU":
            config["INFERENCE_NUM_THREADS"] = self._threads
        with own_signal_stack():
            return core().compile_model(graph, self.device, config)


def _hints(precision: Precision, device: str) -> dict[str, str]:
    """RuntimeError for bfloat16 that is computed wrong."""
    if precision == "float32" or device != "CPU" or bfloat16_is_right():
        return _HINTS[precision]
    if precision == "bfloat16":
        raise RuntimeError("its sums are wrong with the instructions that OpenVINO may use here")
    return _HINTS["float32"]


def _here(work: Callable[[], Any]) -> Any:
    return work()


def _device(provider: str | None) -> tuple[str, str]:
    """The device, and a note where it is another than was asked for. SettingError for what is no device of OpenVINO."""
    if provider is None:
        return "CPU", ""
    with own_signal_stack():  # asking loads the plugins
        wanted, here = provider.upper(), core().available_devices
    if wanted in here:
        return wanted, ""
    if wanted.partition(".")[0] in _DEVICES:
        return "CPU", f"OpenVINO finds no device {wanted} here; CPU is used"
    raise SettingError(
        f"OpenVINO device {provider!r} is not known",
        expected=f"one of {', '.join(dict.fromkeys([*here, *_DEVICES]))}",
        do="change provider=, or give runtime='onnxruntime' for its execution providers",
    )


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
