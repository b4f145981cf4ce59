"""Running a graph: OpenVINO (the default on CPUs) and ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from pkgutil import resolve_name

from segtween.errors import check_known
from segtween.models.components import Component
from segtween.models.int8 import Int8Record
from segtween.models.records import InputRecord
from segtween.runtimes.base import DEFAULT, Runtime, RuntimeOptions

RUNTIMES = {
    "openvino": "segtween.runtimes.openvino:OpenVinoRuntime",
    "onnxruntime": "segtween.runtimes.onnxruntime:OnnxRuntime",
}
"""Every runtime: "module:class", imported when it is used."""


def open_runtime(
    name: str,
    onnx_path: str | Path,
    *,
    outputs: tuple[str, ...] | None = None,
    pixels: InputRecord | None = None,
    int8: Int8Record | None = None,
    options: RuntimeOptions = DEFAULT,
) -> Runtime:
    """A runtime for an ONNX file.

    `outputs` are the ones to compute, all of them by default. With `pixels` the graph's one input
    becomes uint8 (1, H, W, 3) RGB, and what the record says of layout, channels and normalisation is
    done inside. `int8` are the ranges that computing in int8 needs.

    Raises SettingError, ModelError or MissingExtraError.
    """
    check_known(f"runtime {name!r} is not known", name, RUNTIMES)
    opened: Runtime = resolve_name(RUNTIMES[name])(
        onnx_path, outputs=outputs, pixels=pixels, int8=int8, options=options
    )
    return opened


def open_component(component: Component, *, outputs: tuple[str, ...], threads: int = 0) -> Runtime:
    """OpenVINO for one graph of flow or refinement. Raises what `open_runtime` does."""
    return open_runtime("openvino", component.path, outputs=outputs, options=RuntimeOptions(threads=threads))
