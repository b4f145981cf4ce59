"""What the outputs of a graph are, from its answer to random pixels and from how the graph ends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.labels import MOST_CLASSES
from segtween.models.records import QUERY_KINDS, OutputKind, OutputLayout, OutputRecord
from segtween.segmenters.inspect.inputs import PASSING
from segtween.types import IGNORE, SizeHW

LARGEST_STRIDE = 64
USUAL_THRESHOLD = 0.5
BINARY = ("background", "foreground")
_FEWEST_BOXES, _MOST_KEPT = 100, 1000
_BOXES_PER_PIXEL = (21 / 1024, 63 / 1024)
"""Of a detector with one box, or three, in each cell of strides 8, 16 and 32."""
_LAYOUTS: dict[int, tuple[OutputLayout, ...]] = {4: ("NCHW", "NHWC"), 3: ("NHW", "CHW", "HWC"), 2: ("HW",)}
"""Those that an output of so many axes may have."""
Answers = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Candidate:
    """One output that may hold the scores; `classes` is 0 where a label map does not say. `unsure` names fields of the
    output that are guessed."""

    output: OutputRecord
    classes: int
    cells: int
    unsure: tuple[str, ...] = ()

    @property
    def is_binary(self) -> bool:
        """Whether it says of each place whether one class is there."""
        return self.classes == 2 and (self.output.has_background or self.output.kind == "labels")

    @property
    def rank(self) -> tuple[int, int, int]:
        """Scores of classes before labels, and these before one channel; outputs before auxiliary ones, the finer grid
        first."""
        kind = 2 if self.output.has_background else int(self.output.kind == "labels")
        helper = any(word in self.output.name.lower() for word in ("aux", "feat", "edge", "boundary", "hidden"))
        return kind, int(helper), -self.cells


def candidates(graph: Any, answers: Answers, size_hw: SizeHW) -> list[Candidate]:
    """Every output that may hold scores or labels, the most likely one first."""
    found = [_candidate(graph, name, answer, size_hw) for name, answer in answers.items()]
    return sorted((c for c in found if c is not None), key=lambda c: c.rank)


def _candidate(graph: Any, name: str, answer: NDArray[Any], size_hw: SizeHW) -> Candidate | None:
    for layout in _LAYOUTS.get(answer.ndim, ()):
        grid = answer.shape[layout.index("H")], answer.shape[layout.index("W")]
        stride = stride_of(grid, size_hw)
        if stride is None or ("N" in layout and answer.shape[0] != 1):
            continue
        channels = answer.shape[layout.index("C")] if "C" in layout else 1
        place: dict[str, Any] = {"name": name, "layout": layout, "stride": stride}
        if channels == 1 and (found := _one_channel(graph, answer, place)) is not None:
            return found
        if 2 <= channels <= MOST_CLASSES and answer.dtype.kind == "f":
            sums = answer.astype(np.float64).sum(axis=layout.index("C"))
            shares = bool(answer.min() >= 0 and np.abs(sums - 1).max() < 1e-2)
            kind: OutputKind = "probabilities" if shares else "logits"
            return Candidate(OutputRecord(**place, kind=kind), channels, grid[0] * grid[1])
    return None


def _one_channel(graph: Any, answer: NDArray[Any], place: Mapping[str, Any]) -> Candidate | None:
    """Labels, a mask, or the score of one class; None for what has values of another kind, such as depths."""
    end, factor = _end(graph, place["name"])
    cells = answer.size
    if end in ("Greater", "GreaterEqual", "Less", "LessEqual") or answer.dtype.kind == "b":
        values = None if factor == 1 else (0, factor)
        return Candidate(OutputRecord(**place, kind="labels", values=values), 2, cells)
    if end != "Sigmoid" and _whole_numbers(answer):
        if set(np.unique(answer).tolist()) == {0, 255}:
            return Candidate(OutputRecord(**place, kind="labels", values=(0, 255)), 2, cells, ("output.values",))
        return Candidate(OutputRecord(**place, kind="labels"), 0, cells)
    if answer.dtype.kind != "f" or (answer.min() >= 0 and answer.max() > 1):
        return None
    is_share = end == "Sigmoid" or bool(answer.min() >= 0)
    kind: OutputKind = "probabilities" if is_share else "logits"
    unsure = ["output.threshold"] if is_share else ["output.kind", "output.threshold"]
    return Candidate(OutputRecord(**place, kind=kind, threshold=USUAL_THRESHOLD), 2, cells, tuple(unsure))


def stride_of(grid_hw: SizeHW, size_hw: SizeHW) -> int | None:
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


# ── How the graph ends ────────────────────────────────────────────────────────────────────────


def _end(graph: Any, name: str) -> tuple[str, int]:
    """The last operation that makes the values of an output, and the whole number by which they are multiplied after
    it."""
    node, factor = _producer(graph, name), 1
    for _ in range(10):
        kind = node.get_type_name()
        constants = [i for i in range(node.get_input_size()) if _constant(node, i) is not None]
        if kind == "Multiply" and len(constants) == 1 and factor == 1:
            value = _constant(node, constants[0])
            if value is None or value.size != 1 or not 1 <= float(value.item()) <= 255:
                return kind, 1
            factor, node = round(float(value.item())), node.input_value(1 - constants[0]).get_node()
        elif kind == "Select" and factor == 1 and constants:
            chosen = _constant(node, 1)
            factor = round(float(chosen.item())) if chosen is not None and chosen.size == 1 else 1
            node = node.input_value(0).get_node()
        elif kind in PASSING:
            node = node.input_value(0).get_node()
        else:
            return kind, factor
    return "", 1


def _constant(node: Any, place: int) -> NDArray[Any] | None:
    source = node.input_value(place).get_node()
    while source.get_type_name() == "Convert":
        source = source.input_value(0).get_node()
    return np.asarray(source.get_data()) if source.get_type_name() == "Constant" else None


def _producer(graph: Any, name: str) -> Any:
    return next(port.get_node() for port in graph.outputs if name in port.get_names())


def classes_before_argmax(graph: Any, name: str) -> int | None:
    """How many classes the argmax at the end chooses from: the length of the axis that it removes."""
    node = _producer(graph, name)
    for _ in range(8):
        if node.get_type_name() == "TopK":
            shape = node.input(0).get_partial_shape()
            axis = int(node.get_attributes()["axis"])
            return None if shape[axis].is_dynamic else int(shape[axis].get_length())
        if node.get_type_name() not in PASSING:
            return None
        node = node.input(0).get_source_output().get_node()
    return None


def highest_label(answer: NDArray[Any]) -> int:
    """Of the labels in an answer that are not 255."""
    return int(answer[answer != IGNORE].max(initial=0))


# ── Instances and queries ─────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Pair:
    """Two outputs that belong together: boxes and prototypes (`kinds` has yolo-seg), or class and mask queries."""

    name: str
    masks: str
    kinds: tuple[OutputKind, ...]
    what: str


def masked_pair(answers: Answers, size_hw: SizeHW) -> Pair | None:
    """The outputs of an instance network or of mask queries, None where the shapes are those of neither."""
    maps = {n: a for n, a in answers.items() if a.ndim == 4 and a.shape[0] == 1 and _spans(a, size_hw)}
    rows = {n: a for n, a in answers.items() if a.ndim == 3 and a.shape[0] == 1}
    for masks, grid in maps.items():
        for name, table in rows.items():
            if table.shape[1] == grid.shape[1] and table.shape[2] >= 2 and not _spans(table[None], size_hw):
                what = "class and mask queries (MaskFormer, Mask2Former, OneFormer)"
                return Pair(name, masks, QUERY_KINDS, what)
            if _are_boxes(table.shape[1:], grid.shape[1], size_hw):
                return Pair(name, masks, ("yolo-seg",), "boxes of instances and prototypes of their masks (YOLO-seg)")
    return None


def _spans(answer: NDArray[Any], size_hw: SizeHW) -> bool:
    return stride_of((answer.shape[-2], answer.shape[-1]), size_hw) is not None


def _are_boxes(shape: tuple[int, ...], prototypes: int, size_hw: SizeHW) -> bool:
    """Whether rows or columns hold box, classes and one coefficient for each prototype, or such coefficients alone."""
    width, boxes = min(shape), max(shape)
    expected = [round(size_hw[0] * size_hw[1] * share) for share in _BOXES_PER_PIXEL]
    return (
        (boxes in expected and width >= prototypes + 5)
        or (width == prototypes + 6 and boxes <= _MOST_KEPT)
        or (width == prototypes and boxes >= _FEWEST_BOXES and boxes not in size_hw)
    )
