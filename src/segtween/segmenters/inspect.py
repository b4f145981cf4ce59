"""Proposes the sidecar of an ONNX segmentation file: what can be read is read, the rest is guessed and marked.

The graph's shapes say layout and size, its beginning whether it normalises by itself, and one run on
random pixels what its outputs really are: an argmax's whole numbers, probabilities that sum to 1, the
stride. What no file says (channel order, normalisation, names of the classes) is proposed as the most
usual one and listed in `guessed`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import ModelError
from segtween.labels import LabelSet, usual
from segtween.models.records import (
    InputLayout,
    InputRecord,
    ModelRecord,
    OutputKind,
    OutputLayout,
    OutputRecord,
    sidecar_path,
)
from segtween.runtimes.openvino import OpenVinoRuntime, read_graph
from segtween.segmenters.network import NetworkSegmenter, open_network
from segtween.types import IGNORE, SizeHW, format_size

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TRIAL_HW: SizeHW = (256, 320)
USUAL_MULTIPLE = 32
LARGEST_STRIDE = 64
_MOST_CLASSES = 254
_PASSING = ("Convert", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "Result", "Gather", "Identity", "Slice")
_ARITHMETIC = ("Subtract", "Add", "Multiply", "Divide")


@dataclass(frozen=True)
class _Candidate:
    """One output that may hold the scores; `classes` is 0 where a label map does not say."""

    output: OutputRecord
    classes: int
    cells: int

    @property
    def rank(self) -> tuple[int, int, int]:
        """Scores before labels, outputs before auxiliary ones, the finer grid first."""
        helper = any(word in self.output.name.lower() for word in ("aux", "feat", "edge", "boundary", "hidden"))
        return int(self.output.kind == "labels"), int(helper), -self.cells


def inspect_onnx(path: str | Path) -> ModelRecord:
    """The proposed record of an ONNX file, tried on random pixels. Its `path` is the sidecar's.

    `save_record(record, record.path)`
    makes the file a model.

    Raises ModelError for files that are not ONNX and networks that are not segmentation.
    """
    path = Path(path)
    graph = read_graph(path)
    pixels, guessed = _read_input(graph, path)
    runtime = OpenVinoRuntime(path, pixels=pixels)
    size = pixels.size_hw or TRIAL_HW
    trial = np.random.default_rng(0).integers(0, 256, (1, *size, 3)).astype(np.uint8)
    try:
        answers = dict(zip(runtime.outputs, runtime.run(trial), strict=True))
    except ModelError as error:
        raise _unfit(
            path,
            f"does not run on an image of {format_size(size)} ({error.got})",
            "a network for images of any size, or with its own size in the graph",
        ) from None
    found = [c for c in (_candidate(name, a, size) for name, a in answers.items()) if c is not None]
    if not found:
        raise _no_segmentation(path, {name: answer.shape for name, answer in answers.items()})
    best = min(found, key=lambda c: c.rank)
    if len(found) > 1:
        guessed.append("output.name")
    labels = _labels(graph, best, answers[best.output.name])
    record = ModelRecord(
        name=path.stem,
        graph=path.name,
        input=pixels,
        output=best.output,
        labels=labels,
        path=sidecar_path(path),
        provenance={"source": path.name},
        guessed=(*guessed, "labels"),
    )
    _try(record)
    return record


def summary_rows(record: ModelRecord) -> list[tuple[str, str, str]]:
    """(field, value, `guessed`, `read` or, of what only its maker knows, `asked`) for each line of the proposal, for
    people."""
    plain = record.to_dict()
    rows = [("graph", record.graph)]
    rows += [(f"input.{key}", _shown(value)) for key, value in plain["input"].items()]
    rows += [(f"output.{key}", _shown(value)) for key, value in plain["output"].items()]
    rows.append(("labels", f"{record.labels.name}: {len(record.labels)} classes"))
    told = [(name, value, "guessed" if name in record.guessed else "read") for name, value in rows]
    return told if record.input.size_hw is not None else [*told, ("trained_size", "not said by the file", "asked")]


def _shown(value: Any) -> str:
    if value is None:
        return "any"
    return ", ".join(f"{v:g}" for v in value) if isinstance(value, list) else str(value)


# ── Input ─────────────────────────────────────────────────────────────────────────────────────


def _read_input(graph: Any, path: Path) -> tuple[InputRecord, list[str]]:
    ports = graph.inputs
    if len(ports) != 1:
        names = ", ".join(p.get_any_name() for p in ports) or "none"
        raise _unfit(path, f"has {len(ports)} inputs ({names})", "one image input")
    port = ports[0]
    name, shape = port.get_any_name(), port.get_partial_shape()
    kind = port.get_element_type().get_type_name()
    if kind not in ("f32", "f16", "u8"):
        raise _unfit(path, f"takes {kind} values", "an image of float32, float16 or uint8")
    if shape.rank.is_dynamic or len(shape) != 4:
        raise _unfit(path, f"takes an input of shape {_plain_shape(shape)}", "an image (1, 3, H, W) or (1, H, W, 3)")
    sides = [None if d.is_dynamic else int(d.get_length()) for d in shape]
    if sides[0] not in (None, 1):
        raise _unfit(path, f"takes {sides[0]} images at once", "one image (batch 1, or a batch that may change)")
    guessed = ["input.channels"]
    layout: InputLayout = "NCHW"
    if sides[1] != 3:
        if sides[3] == 3:
            layout = "NHWC"
        elif sides[1] is not None:
            raise _unfit(path, f"takes an input of shape {_plain_shape(shape)}", "an image of three channels")
        else:
            guessed.append("input.layout")
    height, width = (sides[2], sides[3]) if layout == "NCHW" else (sides[1], sides[2])
    scale, mean, std = 1.0, IMAGENET_MEAN, IMAGENET_STD
    begins = _first_constant(port)
    if kind == "u8":
        scale, mean, std = 255.0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    else:
        guessed += ["input.scale", "input.mean", "input.std"]
        if begins is not None:
            # Constants such as 123.7 or 1/255 at the very beginning mean pixels from 0 to 255; 0.485 means 0 to 1.
            scale = 255.0 if begins > 1.5 or begins < 0.1 else 1.0
            mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    fixed = (height, width) if height is not None and width is not None else None
    if fixed is None:
        guessed.append("input.multiple_of")
    record = InputRecord(
        name,
        layout=layout,
        channels="BGR" if "bgr" in name.lower() else "RGB",
        scale=scale,
        mean=mean,
        std=std,
        multiple_of=USUAL_MULTIPLE if fixed is None else 1,
        size_hw=fixed,
    )
    return record, guessed


def _first_constant(port: Any) -> float | None:
    """The largest constant of the first arithmetic on the input, None where the graph begins otherwise."""
    node = port.get_node()
    for _ in range(6):
        users = [t.get_node() for t in node.output(0).get_target_inputs()]
        users = [user for user in users if user.get_type_name() != "ShapeOf"]
        if len(users) != 1:
            return None
        node = users[0]
        if node.get_type_name() in _ARITHMETIC:
            constants = [i.get_source_output().get_node() for i in node.inputs()]
            values = [c.get_data() for c in constants if c.get_type_name() == "Constant"]
            return float(np.abs(values[0]).max()) if values else None
        if node.get_type_name() not in _PASSING:
            return None
    return None


# ── Output ────────────────────────────────────────────────────────────────────────────────────


def _candidate(name: str, answer: NDArray[Any], size_hw: SizeHW) -> _Candidate | None:
    """What one output may be, from its answer to random pixels; None where it is no map of classes."""
    for layout in _layouts(answer.ndim):
        height, width = (answer.shape[layout.index(axis)] for axis in "HW")
        stride = _stride((height, width), size_hw)
        if stride is None or ("N" in layout and answer.shape[0] != 1):
            continue
        channels = answer.shape[layout.index("C")] if "C" in layout else 1
        if channels == 1 and _whole_numbers(answer):
            return _Candidate(OutputRecord(name, kind="labels", layout=layout, stride=stride), 0, height * width)
        if 2 <= channels <= _MOST_CLASSES and answer.dtype.kind == "f":
            sums = answer.astype(np.float64).sum(axis=layout.index("C"))
            shares = bool(answer.min() >= 0 and np.abs(sums - 1).max() < 1e-2)
            kind: OutputKind = "probabilities" if shares else "logits"
            return _Candidate(OutputRecord(name, kind=kind, layout=layout, stride=stride), channels, height * width)
    return None


def _layouts(dimensions: int) -> tuple[OutputLayout, ...]:
    table: dict[int, tuple[OutputLayout, ...]] = {4: ("NCHW", "NHWC"), 3: ("NHW", "CHW", "HWC"), 2: ("HW",)}
    return table.get(dimensions, ())


def _stride(grid_hw: SizeHW, size_hw: SizeHW) -> int | None:
    """Pixels per cell, None if the grid does not span the image evenly."""
    stride = max(1, round(size_hw[1] / grid_hw[1]))
    fits = all(abs(cells * stride - side) < stride for cells, side in zip(grid_hw, size_hw, strict=True))
    return stride if fits and stride <= LARGEST_STRIDE else None


def _whole_numbers(answer: NDArray[Any]) -> bool:
    if answer.dtype.kind in "iu":
        return bool(answer.min() >= 0 and answer.max() <= 255)
    return bool(
        answer.dtype.kind == "f" and (answer == np.round(answer)).all() and 0 <= answer.min() <= answer.max() <= 255
    )


def _labels(graph: Any, best: _Candidate, answer: NDArray[Any]) -> LabelSet:
    highest = int(answer[answer != IGNORE].max(initial=0))
    classes = best.classes or _classes_before_argmax(graph, best.output.name) or max(2, highest + 1)
    return usual(classes)


def _classes_before_argmax(graph: Any, name: str) -> int | None:
    """How many classes the argmax at the end chooses from: the length of the axis that it removes."""
    node = next(port.get_node() for port in graph.outputs if name in port.get_names())
    for _ in range(8):
        if node.get_type_name() == "TopK":
            shape = node.input(0).get_partial_shape()
            axis = int(node.get_attributes()["axis"])
            return None if shape[axis].is_dynamic else int(shape[axis].get_length())
        if node.get_type_name() not in _PASSING:
            return None
        node = node.input(0).get_source_output().get_node()
    return None


def _try(record: ModelRecord) -> NetworkSegmenter:
    """The record at work on an image of an odd size."""
    segmenter = open_network(record)
    segmenter(np.random.default_rng(1).integers(0, 256, (211, 317, 3)).astype(np.uint8))
    return segmenter


# ── What is not segmentation ──────────────────────────────────────────────────────────────────


def _no_segmentation(path: Path, shapes: dict[str, tuple[int, ...]]) -> ModelError:
    outputs = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
    return _unfit(
        path, f"answers with {outputs}{_resembles(list(shapes.values()))}", "scores (1, classes, h, w) or labels"
    )


def _resembles(shapes: list[tuple[int, ...]]) -> str:
    if all(np.prod(s) == max(s, default=1) for s in shapes):
        return ": a classifier"
    if any(len(s) == 4 and s[1] == 1 for s in shapes):
        return ": a single mask or a depth map"
    if any(len(s) == 3 for s in shapes):
        return ": a detector of boxes, or tokens"
    return ""


def _unfit(path: Path, found: str, expected: str) -> ModelError:
    return ModelError(f"{path.name} {found}", expected=expected, do="export a semantic segmentation network")


def _plain_shape(shape: Any) -> str:
    return "(" + ", ".join("?" if d.is_dynamic else str(d.get_length()) for d in shape) + ")"
