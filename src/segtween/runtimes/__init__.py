"""Running a graph: OpenVINO (the default on CPUs) and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from segtween.errors import SettingError, unknown
from segtween.models.components import Component
from segtween.models.int8 import Int8Record
from segtween.models.records import InputRecord
from segtween.runtimes.base import Aside, Precision, Runtime


def _openvino(path: str | Path, **options: Any) -> Runtime:
    from segtween.runtimes.openvino import OpenVinoRuntime

    return OpenVinoRuntime(path, **options)


def _onnxruntime(path: str | Path, **options: Any) -> Runtime:
    from segtween.runtimes.onnxruntime import OnnxRuntime

    return OnnxRuntime(path, **options)


RUNTIMES: dict[str, Callable[..., Runtime]] = {
    "openvino": _openvino,
    "onnxruntime": _onnxruntime,
}


def open_runtime(
    name: str,
    onnx_path: str | Path,
    *,
    outputs: tuple[str, ...] | None = None,
    pixels: InputRecord | None = None,
    provider: str | None = None,
    precision: Precision = "float32",
    threads: int = 0,
    int8: Int8Record | None = None,
    aside: Aside | None = None,
) -> Runtime:
    """A runtime for an ONNX file.

    `outputs` are the ones to compute, all of them by default. With `pixels` the graph's one input
    becomes uint8 (1, H, W, 3) RGB, and what the record says of layout, channels and normalisation is
    done inside. `provider` is an OpenVINO device or an ONNX Runtime execution provider. `precision`
    `int8` needs the ranges `int8`; `auto` is int8 where they are given and the processor is made for it, otherwise the
    runtime's own choice. `threads` 0 leaves their number to it. The runtime's threads are started by what `aside`
    calls, if given, and have its priority; what calls `run` waits for them (with ONNX Runtime, runs alongside them).

    Raises SettingError, ModelError or MissingExtraError.
    """
    if name not in RUNTIMES:
        raise unknown(f"runtime {name!r} is not known", name, RUNTIMES)
    if precision not in get_args(Precision):
        raise unknown(f"precision {precision!r}", precision, get_args(Precision))
    if threads < 0:
        raise SettingError(f"threads {threads}", expected="0 (the runtime's own choice) or more", do="change threads=")
    return RUNTIMES[name](
        onnx_path,
        outputs=outputs,
        pixels=pixels,
        provider=provider,
        precision=precision,
        threads=threads,
        int8=int8,
        aside=aside,
    )


def open_component(
    component: Component, *, outputs: tuple[str, ...], threads: int = 0, precision: Precision = "float32"
) -> Runtime:
    """OpenVINO for one graph of flow or refinement. Raises what `open_runtime` does."""
    return open_runtime("openvino", component.path, outputs=outputs, threads=threads, precision=precision)
