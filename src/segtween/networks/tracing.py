"""From a torch module to an ONNX graph whose weights are named as in the state dict."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from segtween.errors import from_extra

OPSET = 17


@contextmanager
def _without_log() -> Iterator[None]:
    """Where it fails, the exporter writes the whole graph to standard output; its switch for that has no effect."""
    compiled: Any = torch._C
    own = compiled._jit_onnx_log
    compiled._jit_onnx_log = lambda *_: None
    try:
        yield
    finally:
        compiled._jit_onnx_log = own


def trace(
    net: Any, inputs: Sequence[Tensor], *, names: dict[str, dict[int, str]], outputs: dict[str, dict[int, str]]
) -> Any:
    """The ONNX model of `net(*inputs)`; `names` and `outputs` give each tensor's name and its axes of free size.

    Equal weights are merged by the exporter. MissingExtraError without the package onnx.
    """
    onnx = from_extra("onnx", "export to ONNX", extra="train")
    written = io.BytesIO()
    with warnings.catch_warnings(), _without_log():
        # Sizes are traced on purpose, and the tracing exporter, which keeps the weights' names, is marked as old.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net,
            tuple(inputs),
            written,
            dynamo=False,
            opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE,
            do_constant_folding=False,
            input_names=list(names),
            output_names=list(outputs),
            dynamic_axes=names | outputs,
        )
    return onnx.load_from_string(written.getvalue())
