"""CUDA graph capture: calls are captured once for each shape of their tensors, then replayed.

A recorded call always works on the same memory. What is given is copied there first, and what comes out is copied
from there, so that results are the caller's own.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

Recorder = Callable[[Callable[[], Sequence[Tensor]]], tuple[Sequence[Tensor], Callable[[], None]]]
"""Runs a function of fixed tensors; returns its results and what runs it again into the same results."""

MOST_SHAPES = 4
WARM_UPS = 3


class Captured:
    """`function`, tensors -> tensors, which must neither read values on the processor nor change what it is given.

    Recordings of the last four shapes are kept. `record` is `recorder(device)`; without one it is called as it is, and
    so it is from then on where recording fails, which `notes` say.
    """

    def __init__(self, function: Callable[..., Sequence[Tensor]], *, record: Recorder | None) -> None:
        self._function, self._record = function, record
        self.notes: list[str] = []
        self._kept: OrderedDict[Any, tuple[list[Tensor], Sequence[Tensor], Callable[[], None]]] = OrderedDict()

    def __call__(self, *given: Tensor) -> Sequence[Tensor]:
        if self._record is None:
            return self._function(*given)
        shapes = tuple((tuple(tensor.shape), tensor.dtype) for tensor in given)
        if shapes not in self._kept:
            inputs = [tensor.clone(memory_format=torch.contiguous_format) for tensor in given]
            try:
                self._kept[shapes] = (inputs, *self._record(lambda: self._function(*inputs)))
            except RuntimeError as error:  # what CUDA and its libraries raise
                self._record = None
                self.notes.append(f"calls are not recorded here ({str(error).strip().splitlines()[0][:160]})")
                return self._function(*given)
            while len(self._kept) > MOST_SHAPES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(shapes)
        inputs, outputs, again = self._kept[shapes]
        for fixed, tensor in zip(inputs, given, strict=True):
            fixed.copy_(tensor)
        again()
        return [tensor.clone() for tensor in outputs]


def recorder(device: torch.device) -> Recorder | None:
    """How calls are recorded on a device; None on a processor, which gains nothing by it."""
    return graph if device.type == "cuda" else None


def graph(function: Callable[[], Sequence[Tensor]]) -> tuple[Sequence[Tensor], Callable[[], None]]:
    """A CUDA graph on the current card, after calls in which libraries choose their algorithms and compile what
    they compile."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            function()
    torch.cuda.current_stream().wait_stream(stream)
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded, capture_error_mode="thread_local"):
        outputs = function()
    return outputs, recorded.replay


def rerun(function: Callable[[], Sequence[Tensor]]) -> tuple[Sequence[Tensor], Callable[[], None]]:
    """A recorder without a card, which behaves alike: it runs the function again, into the same tensors."""
    outputs = [tensor.clone() for tensor in function()]

    def again() -> None:
        for fixed, tensor in zip(outputs, function(), strict=True):
            fixed.copy_(tensor)

    return outputs, again


class AsyncCopy:
    """An asynchronous copy of a small tensor to the processor: `read` waits for it alone, not for later work."""

    def __init__(self, values: Tensor) -> None:
        self._there = self._here = values
        self._event: Any = None
        if values.device.type == "cuda":
            self._here = torch.empty(values.shape, dtype=values.dtype, pin_memory=True)
            self._here.copy_(values, non_blocking=True)
            self._event = torch.cuda.Event()
            self._event.record()

    def read(self) -> list[float]:
        if self._event is not None:
            self._event.synchronize()
        return self._here.tolist()
