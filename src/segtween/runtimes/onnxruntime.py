"""ONNX Runtime with its execution providers."""

from __future__ import annotations

import difflib
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segtween.errors import MissingExtraError, ModelError, SettingError
from segtween.models.int8 import Int8Record
from segtween.models.records import InputRecord
from segtween.runtimes.base import (
    DEFAULT,
    Array,
    OnnxFileRuntime,
    RuntimeOptions,
    choose_outputs,
    fixed_inputs,
    is_identity,
    pixel_affine,
)

CPU = "CPUExecutionProvider"
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


class OnnxRuntime(OnnxFileRuntime):
    """One graph in ONNX Runtime; `provider` is an execution provider (`CUDAExecutionProvider`, or `cuda`)."""

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
        super().__init__(path, options)
        self._pixels = pixels
        chosen = _provider(options.provider, library.get_available_providers())
        opened = partial(self._open, library, chosen)
        self._session = opened() if self._aside is None else self._aside(opened)
        self.provider = str(self._session.get_providers()[0])
        if self.provider != chosen:
            self._note(f"{chosen} could not be started; {self.provider} is used")
        self.outputs = choose_outputs(outputs, [o.name for o in self._session.get_outputs()], path=self.path)
        self._inputs = {i.name: i.type for i in self._session.get_inputs()}
        self._fixed = {} if pixels is None else fixed_inputs(pixels, list(self._inputs), path=self.path)

    @property
    def precision(self) -> str:
        return "float16" if "tensor(float16)" in self._inputs.values() else "float32"

    @property
    def threads(self) -> int:
        return self._threads

    def run(self, *inputs: Array) -> list[Array]:
        pixels = self._pixels
        arrays = (
            dict(zip(self._inputs, inputs, strict=True))
            if pixels is None
            else {**self._fixed, pixels.name: _normalised(inputs[0][0], pixels)}
        )
        feed = {
            name: np.asarray(x, _TYPES.get(self._inputs[name], np.float32), order="C") for name, x in arrays.items()
        }
        image = next(iter(self._inputs)) if pixels is None else pixels.name
        try:
            return list(self._session.run(list(self.outputs), feed))
        except Exception as error:  # the library raises classes of its own, all straight from Exception
            raise ModelError(
                f"{self.path.name} does not take an input of shape {feed[image].shape} ({_message(error)})",
                expected="a graph for this size",
                do="correct `input` in its record (layout, size, multiple_of)",
            ) from None

    def describe(self) -> dict[str, Any]:
        return {
            "runtime": f"onnxruntime {_library().__version__}",
            "provider": self.provider,
            "precision": self.precision,
        }

    def _open(self, library: Any, chosen: str) -> Any:
        options = library.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = self._threads
        # TensorFloat-32 keeps ten bits of each factor: not what "float32" promises.
        exact = {"use_tf32": 0} if chosen == "CUDAExecutionProvider" and self._asked == "float32" else {}
        providers = [(chosen, exact)] + ([] if chosen == CPU else [(CPU, {})])
        try:
            return library.InferenceSession(str(self.path), options, providers=providers)
        except Exception as error:  # as in run
            raise ModelError(
                f"{self.path} cannot be opened by ONNX Runtime ({_message(error)})",
                expected="an ONNX graph of operations that it knows",
                do="try runtime='openvino', or export with another opset",
            ) from None


def _library() -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("runtime onnxruntime", extra="onnxruntime") from None
    return onnxruntime


def _message(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _provider(wanted: str | None, available: list[str]) -> str:
    """`cuda`, `CUDA` and `CUDAExecutionProvider` are one; SettingError lists what is here."""
    if wanted is None:
        return CPU
    short = {name.lower().removesuffix("executionprovider"): name for name in available}
    key = wanted.lower().removesuffix("executionprovider")
    if key in short:
        return short[key]
    near = difflib.get_close_matches(key, short, n=1)
    raise SettingError(
        f"execution provider {wanted!r} is not in this ONNX Runtime",
        expected=f"one of {', '.join(available)}",
        do=f"did you mean {short[near[0]]}?" if near else "install the onnxruntime package that has it",
    )


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
