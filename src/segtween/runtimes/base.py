"""What every runtime offers."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, get_args, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from segtween.errors import ModelError, SettingError, check_known
from segtween.models.records import InputRecord
from segtween.types import is_whole

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
    called     what messages call the graph; None: its file's name

    Raises SettingError.
    """

    provider: str | None = None
    precision: Precision = "float32"
    threads: int = 0
    aside: Aside | None = None
    called: str | None = None

    def __post_init__(self) -> None:
        check_known(f"precision {self.precision!r}", self.precision, get_args(Precision))
        if not is_whole(self.threads, least=0):
            raise SettingError(
                f"threads {self.threads!r}", expected="0 (the runtime's own choice) or more", do="change threads="
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


class FileRuntime:
    """What the runtimes of a file begin with: its path, what messages call it, what was asked for, and notes that
    are logged once."""

    def __init__(self, path: str | Path, options: RuntimeOptions) -> None:
        self.path, self.called = Path(path), options.called or Path(path).name
        self.notes: list[str] = []
        self._asked, self._threads, self._aside = options.precision, options.threads, options.aside

    def _note(self, line: str) -> None:
        if line not in self.notes:
            self.notes.append(line)
            logger.warning(line)

    def _refused(self, shape: tuple[int, ...], why: str) -> ModelError:
        return ModelError(
            f"{self.called} does not take an input of shape {shape} ({why})",
            expected="a graph for this size",
            do="correct `input` in its record (layout, size, multiple_of)",
        )


def choose_outputs(wanted: tuple[str, ...] | None, given: list[str], *, called: str) -> tuple[str, ...]:
    """The wanted outputs if the graph has them, all of them if none is wanted; ModelError otherwise."""
    if wanted is None:
        return tuple(given)
    for name in wanted:
        if name not in given:
            raise ModelError(
                f"{called} has no output {name!r}",
                expected="one of " + ", ".join(given),
                do="correct `output.name` in its record",
            )
    return wanted


def fixed_inputs(pixels: InputRecord, given: list[str], *, called: str) -> dict[str, Array]:
    """The values of the graph's inputs beside the image, in the graph's order; ModelError where it has others."""
    if sorted(given) != sorted([pixels.name, *pixels.fixed]):
        also = "".join(f", and {name!r}" for name in pixels.fixed)
        raise ModelError(
            f"{called} has the inputs {', '.join(given)}",
            expected=f"one image input called {pixels.name!r}{also}",
            do="correct `input.name` in its record, give the values of others under `input.fixed`, or export the "
            "network with one input",
        )
    return {name: np.asarray(pixels.fixed[name]) for name in given if name != pixels.name}


def pixel_affine(scale: float, mean: tuple[float, ...], std: tuple[float, ...]) -> tuple[list[float], list[float]]:
    """Mean and divisor in units of pixel values: (pixel * scale/255 - mean) / std = (pixel - m) / d."""
    return [m * 255 / scale for m in mean], [s * 255 / scale for s in std]


def is_identity(mean: list[float], divisor: list[float]) -> bool:
    return bool(np.allclose(mean, 0) and np.allclose(divisor, 1))
