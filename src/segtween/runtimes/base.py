"""What every runtime offers, and the check of a file before any library sees it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from segtween.errors import ModelError, SettingError, unknown

Precision = Literal["auto", "float32", "bfloat16", "int8"]
INT8_OF_7_BITS = "int8 (7-bit weights)"
"""The precision that a runtime names where int8 has the form for processors without dot products of bytes."""
Array = NDArray[Any]
Aside = Callable[[Callable[[], Any]], Any]
"""Calls what it is given and returns what that returns, in a thread whose own threads do not disturb others."""

logger = logging.getLogger("segtween.runtimes")


@dataclass(frozen=True)
class RuntimeOptions:
    """How a graph is computed.

    provider   an OpenVINO device or an ONNX Runtime execution provider; None: the processor
    precision  of the numbers; int8 needs ranges. auto: int8 where there are ranges and the processor is faster in it,
               otherwise the runtime's own choice
    threads    0 leaves their number to the runtime
    aside      calls what starts the runtime's threads, which have its priority then; what calls `run` waits for them
               (with ONNX Runtime, runs alongside them)

    Raises SettingError.
    """

    provider: str | None = None
    precision: Precision = "float32"
    threads: int = 0
    aside: Aside | None = None

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise unknown(f"precision {self.precision!r}", self.precision, get_args(Precision))
        if self.threads < 0:
            raise SettingError(
                f"threads {self.threads}", expected="0 (the runtime's own choice) or more", do="change threads="
            )


DEFAULT = RuntimeOptions()


class Runtime(Protocol):
    """Runs one graph, one call at a time.

    `outputs` names what `run` returns, in order. `precision` is what the graph really computes in,
    `threads` how many threads it may use (0: not known). `notes` says, one line each, where the
    runtime does something else than it was asked.
    """

    outputs: tuple[str, ...]
    notes: list[str]

    @property
    def precision(self) -> str: ...
    @property
    def threads(self) -> int: ...
    def run(self, *inputs: Array) -> list[Array]:
        """One array for each of the graph's inputs -> one array, the caller's own, for each of `outputs`.

        With pixels (see `open_runtime`) the single input is uint8 (1, H, W, 3) RGB. ModelError if
        the graph refuses.
        """
        ...

    def describe(self) -> dict[str, Any]: ...


@runtime_checkable
class KeepsSizes(Protocol):
    """A runtime that compiles for each image size, and keeps what it compiled for the last few."""

    def keep_sizes(self, count: int) -> None: ...


class OnnxFileRuntime:
    """What the runtimes of an ONNX file begin with: the file, what was asked for, and notes that are logged once."""

    def __init__(self, path: str | Path, options: RuntimeOptions) -> None:
        self.path = check_onnx_file(path)
        self.notes: list[str] = []
        self._asked, self._threads, self._aside = options.precision, options.threads, options.aside

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)
            logger.warning(line)


_MODEL_PROTO_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}
_GRAPH_FIELD = 7


def check_onnx_file(path: str | Path) -> Path:
    """`path` itself if its outline is that of an ONNX file (onnx.proto, ModelProto); ModelError otherwise.

    Looks at the outermost fields only. Libraries answer to text or half files with several lines on
    standard error that nobody can turn off.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"model file {path} is not found", expected="an .onnx file", do="check the path")
    size, has_graph = path.stat().st_size, False
    try:
        with open(path, "rb") as file:
            while file.tell() < size:
                tag = _varint(file)
                if tag >> 3 not in _MODEL_PROTO_FIELDS or tag & 7 not in (0, 2):
                    raise ValueError("it is another kind of file")
                has_graph = has_graph or tag >> 3 == _GRAPH_FIELD
                value = _varint(file)
                if tag & 7 == 2 and file.seek(value, 1) > size:
                    raise ValueError(f"it ends early, after {size} bytes")
        if not has_graph:
            raise ValueError("it holds no graph")
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path} cannot be read as ONNX ({error})", expected="an ONNX file", do="export the network again"
        ) from None
    return path


def _varint(file: Any) -> int:
    value = shift = 0
    while True:
        byte = file.read(1)
        if not byte or shift > 63:
            raise ValueError("it is cut off, or another kind of file")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
        shift += 7


def choose_outputs(wanted: tuple[str, ...] | None, given: list[str], *, path: Path) -> tuple[str, ...]:
    """The wanted outputs if the graph has them, all of them if none is wanted; ModelError otherwise."""
    if wanted is None:
        return tuple(given)
    for name in wanted:
        if name not in given:
            raise ModelError(
                f"{path.name} has no output {name!r}",
                expected="one of " + ", ".join(given),
                do="correct `output.name` in its record",
            )
    return wanted


def wrong_input(name: str, given: list[str], *, path: Path) -> ModelError:
    return ModelError(
        f"{path.name} has the inputs {', '.join(given)}",
        expected=f"one image input called {name!r}",
        do="correct `input.name` in its record, or export the network with one input",
    )


def pixel_affine(scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[list[float], list[float]]:
    """Mean and divisor in units of pixel values: (pixel * scale/255 - mean) / std = (pixel - m) / d."""
    return [m * 255 / scale for m in mean], [s * 255 / scale for s in std]


def is_identity(mean: list[float], divisor: list[float]) -> bool:
    return bool(np.allclose(mean, 0) and np.allclose(divisor, 1))
