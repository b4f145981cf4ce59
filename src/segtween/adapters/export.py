"""A module of torch written once as ONNX, checked against torch, and kept in the cache."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segtween.adapters import need
from segtween.adapters.cache import KIND, key_of, versions
from segtween.adapters.modules import IMAGE, SCORES, TorchNetwork, answer_of, trial_picture
from segtween.errors import MissingExtraError, ModelError
from segtween.models.records import RECORD_FILE, ModelRecord, OutputRecord, load_record, save_record
from segtween.models.weights import in_cache
from segtween.networks.tracing import trace
from segtween.runtimes.base import RuntimeOptions
from segtween.runtimes.openvino import OpenVinoRuntime
from segtween.runtimes.openvino_graph import first_line
from segtween.segmenters.answers import scored
from segtween.segmenters.network import CHECKED, CONTENT
from segtween.types import SizeHW, format_size
from segtween.validation import write_whole

SECOND_HW: SizeHW = (160, 128)
LEAST_AGREEMENT = 0.999
LARGEST_DIFFERENCE = 0.01
"""Of the scores, as a share of their range: float32 is computed in another order."""
TIE = 1e-4
"""Where a class leads the next by no more than this share of the range of the scores, rounding decides the label."""


def exported(network: TorchNetwork) -> ModelRecord:
    """The network's record with a graph in the cache, written where there is none of its content.

    Raises ModelError for a network that cannot be exported, or gives other scores then; MissingExtraError.
    """
    key = key_of(str(network.record.provenance[CONTENT]))
    folder = in_cache(KIND, key, lambda part: write(network, part))
    stored = load_record(folder / RECORD_FILE)
    provenance = {**network.record.provenance, **stored.provenance}
    return replace(network.record, graph=stored.graph, path=stored.path, provenance=provenance)


def write(network: TorchNetwork, folder: Path) -> ModelRecord:
    """Graph and record of a network in a folder, checked against torch; raises as `exported`."""
    need(("onnx",), "export to ONNX", extra="torch")
    record = replace(network.record, path=folder / RECORD_FILE)
    write_whole(record.graph_path, _graph(network))
    # Where any size is taken, a second one of another shape.
    sizes = [network.trial_hw, *([SECOND_HW] if record.input.size_hw is None else [])]
    differences = [_difference(network, record, size) for size in sizes]
    worst, agreement = max(d for d, _ in differences), min(a for _, a in differences)
    checked = f"exported from torch: scores differ by {worst:.1e} at most, labels agree at {agreement:.2%} of cells"
    provenance = {"source": f"torch module {record.name}", "versions": versions(), CHECKED: checked}
    record = replace(record, provenance=provenance)
    save_record(record, record.path)
    return record


# ── The graph ─────────────────────────────────────────────────────────────────────────────────


def _graph(network: TorchNetwork) -> bytes:
    """The ONNX model, of any size unless the record says one."""
    is_free = network.record.input.size_hw is None
    name = network.record.name
    try:
        with contextlib.redirect_stdout(io.StringIO()), _any_pooling(is_free):  # the exporter prints whole graphs
            model = trace(
                network.net,
                (torch.zeros(1, 3, *network.trial_hw),),
                names={IMAGE: {2: "height", 3: "width"} if is_free else {}},
                outputs={SCORES: {2: "rows", 3: "columns"} if is_free else {}},
            )
            return bytes(model.SerializeToString(deterministic=True))
    except MissingExtraError:
        raise
    except Exception as error:  # the exporter raises whatever it does
        raise ModelError(
            f"network {name!r} cannot be exported to ONNX ({type(error).__name__}: {first_line(error)})",
            expected="operations that ONNX has",
            do=_otherwise(is_free),
        ) from None


def _otherwise(is_free: bool) -> str:
    run = "device='torch-cpu' or device='cuda' runs it in torch"
    return f"give size_hw=(H, W), the one size to export it for; or {run}" if is_free else run


@contextlib.contextmanager
def _any_pooling(is_free: bool) -> Iterator[None]:
    """For a fixed size, pooling to a grid that does not divide the image's becomes two products with the matrices of
    its means, as ONNX has no such operation."""
    functional: Any = torch.nn.functional
    own = functional.adaptive_avg_pool2d

    def pooled(image: Tensor, output_size: Any) -> Tensor:
        sides = tuple(int(side) for side in image.shape[2:])
        pair = (output_size, output_size) if isinstance(output_size, int) else output_size
        cells = [side if cell is None else int(cell) for side, cell in zip(sides, pair, strict=True)]
        if all(side % cell == 0 for side, cell in zip(sides, cells, strict=True)):
            return own(image, output_size)
        down, across = (_means(side, cell) for side, cell in zip(sides, cells, strict=True))
        return down @ image @ across.T

    if not is_free:
        functional.adaptive_avg_pool2d = pooled
    try:
        yield
    finally:
        functional.adaptive_avg_pool2d = own


def _means(side: int, cells: int) -> Tensor:
    """(cells, side): means over floor(i * side / cells) .. ceil((i + 1) * side / cells), as adaptive pooling has it."""
    matrix = torch.zeros(cells, side)
    for i in range(cells):
        first, end = i * side // cells, -(-(i + 1) * side // cells)
        matrix[i, first:end] = 1 / (end - first)
    return matrix


# ── Against torch ─────────────────────────────────────────────────────────────────────────────


def _difference(network: TorchNetwork, record: ModelRecord, size_hw: SizeHW) -> tuple[float, float]:
    """The largest difference of the scores, and the share of cells with the same label among those where a class leads
    (`TIE`); ModelError if it is more than rounding."""
    rgb, is_free = trial_picture(size_hw), record.input.size_hw is None
    where = f"network {record.name!r} on an image of {format_size(size_hw)}"
    try:
        in_torch = answer_of(network.net, record.input, rgb)
        runtime = OpenVinoRuntime(record.graph_path, pixels=record.input, options=RuntimeOptions(called=record.called))
        found = runtime.run(rgb[None])[0]
    except Exception as error:  # torch and OpenVINO raise what they do
        raise ModelError(
            f"{where} fails once exported ({first_line(error)})", expected="scores", do=_otherwise(is_free)
        ) from None
    worst, agreement = compared(in_torch, found, record.output)
    span = max(float(np.ptp(in_torch)), 1e-6)
    if not (worst <= LARGEST_DIFFERENCE * span and agreement >= LEAST_AGREEMENT):
        raise ModelError(
            f"{where} gives other scores once exported (they differ by {worst:.2g} of {span:.2g}, labels agree at "
            f"{agreement:.1%} of cells)",
            expected=f"labels that agree at {LEAST_AGREEMENT:.1%} or more",
            do=_otherwise(is_free),
        )
    return worst, agreement


def compared(ours: NDArray[Any], others: NDArray[Any], output: OutputRecord) -> tuple[float, float]:
    """Two networks' scores (1, C, h, w): their largest difference, and the share of cells with the same label among
    those where a class leads; infinity and 0 for other shapes."""
    if ours.shape != others.shape:
        return float("inf"), 0.0
    planes, other_planes = (scored(scores[0], output) for scores in (ours, others))
    second, first = np.partition(planes, -2, axis=0)[-2:] if len(planes) > 1 else (np.float32(-np.inf), planes[0])
    leads = first - second > TIE * np.ptp(planes)
    same = planes.argmax(axis=0) == other_planes.argmax(axis=0)
    return float(np.abs(ours - others).max()), float(same[leads].mean()) if leads.any() else 1.0
