"""ONNX Runtime with its execution providers."""

from __future__ import annotations

import difflib
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from segtween.errors import MissingExtraError, ModelError, SettingError, from_extra, one_line
from segtween.models.int8 import Int8Record
from segtween.models.onnx_file import check_onnx_file
from segtween.models.records import InputRecord
from segtween.runtimes.base import (
    DEFAULT,
    Array,
    FileRuntime,
    RuntimeOptions,
    choose_outputs,
    fixed_inputs,
    is_identity,
    pixel_affine,
)

CPU = "CPUExecutionProvider"
ON_CARD = ("CUDAExecutionProvider", "TensorrtExecutionProvider")
"""Execution providers whose inputs and outputs may lie on a card that CUDA can use."""

OPENVINO_ONLY = (".xml", ".pt2")
"""Endings of files that only OpenVINO reads."""
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class Place(NamedTuple):
    """Where an array lies: on a `device` (`cpu` or `cuda`, and its number), from the address `pointer` on."""

    device: str
    number: int
    dtype: Any
    shape: tuple[int, ...]
    pointer: int


class OnnxRuntime(FileRuntime):
    """One graph in ONNX Runtime; `provider` is an execution provider (`CUDAExecutionProvider`, or `cuda`; `cuda:1` for
    the second card)."""

    def __init__(
        self,
        path: str | Path,
        *,
        outputs: tuple[str, ...] | None = None,
        pixels: InputRecord | None = None,
        int8: Int8Record | None = None,
        options: RuntimeOptions = DEFAULT,
    ) -> None:
        del int8  # it belongs to graphs of OpenVINO
        library = _library()
        if options.precision in ("bfloat16", "int8"):
            raise SettingError(
                "ONNX Runtime computes in the graph's own number types",
                expected="precision float32 or auto",
                do=f"use runtime='openvino' for {options.precision}",
            )
        if Path(path).suffix.lower() in OPENVINO_ONLY:
            raise SettingError(
                f"ONNX Runtime does not read {Path(path).name}",
                expected="an ONNX file",
                do="use runtime='openvino', or export the network as ONNX",
            )
        super().__init__(check_onnx_file(path), options)
        self._pixels, self.threads = pixels, options.threads
        name, _, number = (options.provider or "").partition(":")
        chosen, note = _provider(name or None, library)
        if note:
            self._note(note)
        opened = partial(self._open, library, chosen, number)
        self._session = opened() if self._aside is None else self._aside(opened)
        self.provider = str(self._session.get_providers()[0])
        if self.provider != chosen:
            self._note(f"{chosen} could not be started; {self.provider} is used")
        self.outputs = choose_outputs(outputs, [o.name for o in self._session.get_outputs()], called=self.called)
        self._inputs = {i.name: i.type for i in self._session.get_inputs()}
        self._fixed = {} if pixels is None else fixed_inputs(pixels, list(self._inputs), called=self.called)

    @property
    def precision(self) -> str:
        return "float16" if "tensor(float16)" in self._inputs.values() else "float32"

    def run(self, *inputs: Array) -> list[Array]:
        pixels = self._pixels
        arrays = (
            dict(zip(self._inputs, inputs, strict=True))
            if pixels is None
            else {**self._fixed, pixels.name: _normalised(inputs[0][0], pixels)}
        )
        feed: dict[str, Array] = {
            name: np.asarray(x, _TYPES.get(self._inputs[name], np.float32), order="C") for name, x in arrays.items()
        }
        image = next(iter(self._inputs)) if pixels is None else pixels.name
        try:
            return list(self._session.run(list(self.outputs), feed))
        except Exception as error:  # the library raises classes of its own, all straight from Exception
            raise self._refused(feed[image].shape, one_line(error)) from None

    def describe(self) -> dict[str, Any]:
        return {
            "runtime": f"onnxruntime {_library().__version__}",
            "provider": self.provider,
            "precision": self.precision,
        }

    @property
    def inputs(self) -> list[str]:
        """The names of the graph's inputs."""
        return list(self._inputs)

    @property
    def types(self) -> tuple[Any, Any]:
        """NumPy's number types of the first input and of the first of `outputs`."""
        answers = {o.name: o.type for o in self._session.get_outputs()}
        return _TYPES.get(next(iter(self._inputs.values())), np.float32), _TYPES[answers[self.outputs[0]]]

    def runs_on(self, device: str) -> bool:
        """Whether the graph's inputs and outputs can lie on a device, `cpu` or `cuda`."""
        return self.provider in (ON_CARD if device == "cuda" else (CPU,))

    def run_bound(self, image: Place, answer: Place | None) -> tuple[int, ...]:
        """Runs the graph on its only input, an array on the runtime's own device, and writes the first of `outputs`
        where `answer` says; its shape. None: the shape alone is wanted. What is read must have been computed, and what
        is written is there when it returns. ModelError if the graph refuses."""
        binding, output = self._session.io_binding(), self.outputs[0]
        binding.bind_input(self.inputs[0], *image)
        if answer is None:
            binding.bind_output(output, image.device, image.number)
        else:
            binding.bind_output(output, *answer)
        try:
            self._session.run_with_iobinding(binding)
        except Exception as error:  # as in run
            raise self._refused(image.shape, one_line(error)) from None
        return tuple(binding.get_outputs()[0].shape())

    def _open(self, library: Any, chosen: str, number: str) -> Any:
        options = library.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = self.threads
        # Between runs its threads would else keep processors busy that other stages want.
        options.add_session_config_entry("session.force_spinning_stop", "1")
        # TensorFloat-32 keeps ten bits of each factor: not what "float32" promises.
        exact = {"use_tf32": "0"} if self._asked == "float32" else {}
        own = {"device_id": number} if number else {}
        # What TensorRT does not take is CUDA's, and what that does not take the processor's.
        order = dict.fromkeys([chosen, *(ON_CARD[:1] if chosen in ON_CARD else ()), CPU])
        providers = [(name, {} if name == CPU else {**own, **(exact if name == ON_CARD[0] else {})}) for name in order]
        try:
            return library.InferenceSession(str(self.path), options, providers=providers)
        except Exception as error:  # as in run
            raise ModelError(
                f"{self.path} cannot be opened by ONNX Runtime ({one_line(error)})",
                expected="an ONNX graph of operations that it knows",
                do="try runtime='openvino', or export with another opset",
            ) from None


_library = partial(from_extra, "onnxruntime", "runtime onnxruntime", extra="onnxruntime")


def is_on_card(provider: str) -> bool:
    """Whether it names one of `ON_CARD`: `cuda`, `TensorrtExecutionProvider`."""
    return _short(provider) in map(_short, ON_CARD)


def missing_on_card(provider: str) -> str | None:
    """What is missing for an execution provider of `ON_CARD` (`cuda`, `tensorrt`), in words; None where it is here."""
    try:
        available = _library().get_available_providers()
    except MissingExtraError:
        return "ONNX Runtime is not installed; install onnxruntime-gpu"
    if any(_short(name) == _short(provider) for name in available):
        return None
    return f"this ONNX Runtime has no execution provider {provider}; install onnxruntime-gpu"


def _provider(wanted: str | None, library: Any) -> tuple[str, str]:
    """The provider, and a note where it is another than was asked for; `cuda`, `CUDA` and `CUDAExecutionProvider` are
    one. SettingError for what is none in any ONNX Runtime."""
    if wanted is None:
        return CPU, ""
    available = library.get_available_providers()
    known = {_short(name): name for name in (*library.get_all_providers(), *available)}
    key = _short(wanted)
    if known.get(key) in available:
        return known[key], ""
    if key in known:
        return CPU, f"this ONNX Runtime has no {known[key]}; {CPU} is used"
    near = difflib.get_close_matches(key, known, n=1)
    raise SettingError(
        f"execution provider {wanted!r} is not known",
        expected=f"one of {', '.join(available)}",
        do=f"did you mean {known[near[0]]}?" if near else "name another",
    )


def _short(provider: str) -> str:
    return provider.lower().removesuffix("executionprovider")


def _normalised(rgb: Array, pixels: InputRecord) -> Array:
    """(H, W, 3) uint8 RGB -> (1, 3, H, W) or (1, H, W, 3) as the record says."""
    import cv2

    mean, divisor = pixel_affine(pixels.scale, pixels.mean, pixels.std)
    image = rgb[..., ::-1] if pixels.channels == "BGR" else rgb
    if is_identity(mean, divisor):
        return image[None] if pixels.layout == "NHWC" else image.transpose(2, 0, 1)[None]
    params = cv2.dnn.Image2BlobParams()
    params.mean = (*mean, 0.0)
    params.scalefactor = (*(1 / d for d in divisor), 1.0)
    planes = cv2.dnn.blobFromImageWithParams(np.ascontiguousarray(image), params)
    return planes.transpose(0, 2, 3, 1) if pixels.layout == "NHWC" else planes
