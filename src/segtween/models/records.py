"""The record that travels with a network: its input, its output, its labels and origin.

A network is a folder `shipped/<name>/` with `model.yaml`, or any ONNX file with a sidecar
`<file>.onnx.yaml` beside it; both have one form (docs/models.md), read into `ModelRecord`. The types of the fields
are the form: `validation` checks a file's values by them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt, Interval, Predicate

from segtween.errors import LabelError, ModelError
from segtween.labels import LABEL_SETS, LabelSet, label_set, label_set_from_record
from segtween.types import SizeHW, format_size
from segtween.validation import Expected, FileName, Name, Parsed, Whole, read_yaml, shown, validate, write_yaml

InputLayout = Literal["NCHW", "NHWC"]
OutputLayout = Literal["NCHW", "NHWC", "NHW", "CHW", "HWC", "HW"]
Channels = Literal["RGB", "BGR"]
Resampling = Literal["bilinear", "antialiased-bilinear", "antialiased-bicubic"]
Fit = Literal["stretch", "letterbox"]
OutputKind = Literal["logits", "probabilities", "labels", "yolo-seg", "maskformer", "mask2former", "oneformer"]
QUERY_KINDS: tuple[OutputKind, ...] = ("maskformer", "mask2former", "oneformer")
MERGED_KINDS: tuple[OutputKind, ...] = ("yolo-seg", *QUERY_KINDS)
"""Kinds whose two outputs, what is seen and the masks of it, are merged to one map of classes."""

SHIPPED = Path(__file__).parent / "shipped"
RECORD_FILE = "model.yaml"
LARGEST_SIDE = 8192
CORRECT = "correct the record (docs/models.md)"
MOST_FIXED_VALUES = 10_000


def _parse_size(text: Any) -> SizeHW:
    found = re.fullmatch(r"\s*(\d{1,5})\s*x\s*(\d{1,5})\s*", str(text)[:40].lower())
    size = (int(found[2]), int(found[1])) if found else (0, 0)
    if not 1 <= min(size) <= max(size) <= LARGEST_SIDE:
        raise ValueError
    return size


Triple = tuple[float, float, float]
ThreeNumbers = Annotated[Triple, Expected("three numbers, one for each channel")]
ThreePositive = Annotated[Triple, Predicate(lambda values: min(values) > 0), Expected("three numbers above 0")]
Step = Annotated[int, Interval(ge=1, le=1024)]
Share = Annotated[int | float, Interval(gt=0, lt=1), Expected("a number between 0 and 1")]
Size = Annotated[
    SizeHW, Parsed(_parse_size), Expected(f"WIDTHxHEIGHT, such as 1024x512, at most {LARGEST_SIDE} each, or null")
]
Sha256 = Annotated[
    str, Predicate(lambda text: bool(re.fullmatch("[0-9a-f]{64}", text))), Expected("64 hexadecimal digits")
]


@dataclass(frozen=True)
class InputRecord:
    """The input of the graph: value = (pixel * scale / 255 - mean) / std, per channel.

    `scale` is what pixel value 255 becomes before mean and std: 255 for means in 0..255, 1 for
    means in 0..1. `mean` and `std` are in the order of `channels`. The image is resized to
    `size_hw` (`size: WIDTHxHEIGHT` in the file), or, where that is None, to the nearest multiple of `multiple_of` in
    each direction. With `window_stride_hw` (`window_stride` in the file) it is not resized to `size_hw` but covered by
    windows of that size, this far apart. With `fit` letterbox it keeps its proportions, in the middle of grey.
    `resampling` is how it is resized: bilinear as OpenCV has it, or by a filter that is widened where it shrinks, as
    Pillow has it; None is OpenCV's bilinear, and by area below half size. `fixed` gives the values of the graph's other
    inputs by name.
    """

    name: Name
    layout: InputLayout = "NCHW"
    channels: Channels = "RGB"
    scale: Annotated[int | float, Gt(0), Expected("a number above 0")] = 1.0
    mean: ThreeNumbers = (0.0, 0.0, 0.0)
    std: ThreePositive = (1.0, 1.0, 1.0)
    multiple_of: Step = 32
    size_hw: Size | None = field(default=None, metadata={"key": "size"})
    window_stride_hw: Size | None = field(default=None, metadata={"key": "window_stride"})
    fit: Fit = "stretch"
    resampling: Resampling | None = None
    fixed: Mapping[Name, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.fit != "stretch" and not self.takes_one_size:
            raise _refuse("input.fit", self.fit, "stretch, because there is no one size that images are fitted into")
        if self.window_stride_hw is not None:
            size = self.size_hw or (0, 0)
            if any(step > side for step, side in zip(self.window_stride_hw, size, strict=True)):
                asked = "input.size, of which windows are" if self.size_hw is None else f"at most {format_size(size)}"
                raise _refuse("input.window_stride", format_size(self.window_stride_hw), asked)
        for name, value in self.fixed.items():
            if name == self.name or not _are_numbers(value):
                raise _refuse(f"input.fixed.{name}", value, "numbers for an input that is not the image")

    @property
    def takes_one_size(self) -> bool:
        """Whether every image is resized to `size_hw`."""
        return self.size_hw is not None and self.window_stride_hw is None

    def to_dict(self) -> dict[str, Any]:
        added = ("size_hw", "window_stride_hw", "fit", "resampling", "fixed")
        record = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in added}
        size = None if self.size_hw is None else format_size(self.size_hw)
        record |= {"mean": list(self.mean), "std": list(self.std), "size": size}
        if self.window_stride_hw is not None:
            record["window_stride"] = format_size(self.window_stride_hw)
        if self.fit != "stretch":
            record["fit"] = self.fit
        if self.resampling is not None:
            record["resampling"] = self.resampling
        return record | ({"fixed": dict(self.fixed)} if self.fixed else {})


def resampling_of(number: Any) -> Resampling | None:
    """By Pillow's number, which transformers and Optimum store as `resample`; None for filters that are not here."""
    known: dict[int, Resampling] = {2: "antialiased-bilinear", 3: "antialiased-bicubic"}
    return known.get(number) if isinstance(number, int) else None


def _are_numbers(value: Any) -> bool:
    """Whether it is a number, true or false, or nested lists of these of one shape."""
    try:
        array = np.asarray(value)
    except ValueError:
        return False
    return array.dtype.kind in "iufb" and 0 < array.size <= MOST_FIXED_VALUES


@dataclass(frozen=True)
class OutputRecord:
    """Which output holds the scores and what they are.

    `stride` is the width of one cell in pixels of the network's input (1: scores or labels at full
    size). `kind` `labels` is an argmax baked into the graph; `values` are the numbers that it gives to the classes, in
    their order, where they are not 0, 1, 2, ...

    `threshold`: each class is scored for itself, by its own sigmoid, and there is one class more than channels: the
    first, the background, which is where none of the others reaches this probability (one channel: one class and its
    background). Of `yolo-seg` it is the least confidence of an instance, and `iou` how far boxes of one class may
    overlap. The kinds that give masks of instances or queries (`MERGED_KINDS`) name the output that holds them in
    `masks`; `name` holds boxes or classes, and layout and stride are those of the masks.
    """

    name: Name
    kind: OutputKind = "logits"
    layout: OutputLayout = "NCHW"
    stride: Step = 1
    masks: Name | None = None
    threshold: Share | None = None
    iou: Share | None = None
    values: Annotated[tuple[int, ...], Expected("a list of whole numbers, one for each class")] | None = None

    def __post_init__(self) -> None:
        for field_name, (kinds, words) in _FOR_KINDS.items():
            if getattr(self, field_name) is not None and self.kind not in kinds:
                raise _refuse(f"output.{field_name}", getattr(self, field_name), f"none, as it is for {words}")
        if self.is_merged and self.masks in (None, self.name):
            expected = f"the output that holds the masks, because output.kind is {self.kind}"
            raise _refuse("output.masks", self.masks, expected)
        if self.kind != "labels" and not self.has_background and "C" not in self.layout:
            raise _refuse("output.layout", self.layout, f"a layout with C, because output.kind is {self.kind}")

    @property
    def is_merged(self) -> bool:
        """Whether two outputs are merged to one map of classes."""
        return self.kind in MERGED_KINDS

    @property
    def has_background(self) -> bool:
        """Whether the first class is what is left where no class of the output reaches the threshold."""
        return self.threshold is not None and not self.is_merged

    @property
    def names(self) -> tuple[str, ...]:
        """The outputs that are computed."""
        return (self.name,) if self.masks is None else (self.name, self.masks)

    def to_dict(self) -> dict[str, Any]:
        record = {f.name: getattr(self, f.name) for f in fields(self)}
        record["values"] = None if self.values is None else list(self.values)
        return {key: value for key, value in record.items() if key not in _FOR_KINDS or value is not None}


_FOR_KINDS: dict[str, tuple[tuple[OutputKind, ...], str]] = {
    "masks": (MERGED_KINDS, "instances and queries"),
    "threshold": (("logits", "probabilities", "yolo-seg"), "classes scored each for itself and for yolo-seg"),
    "iou": (("yolo-seg",), "yolo-seg"),
    "values": (("labels",), "labels"),
}
"""Fields of an output that only some kinds have, and these in words."""


@dataclass(frozen=True)
class WeightsRecord:
    """Weights beside the graph: a `file` with its `sha256`, or random ones (`random_seed`, `manifest`)."""

    file: FileName | None = None
    sha256: Sha256 | None = None
    dtype: Literal["float16", "float32"] = "float16"
    random_seed: Whole | None = None
    manifest: FileName | None = None

    def __post_init__(self) -> None:
        if (self.file is None) == (self.random_seed is None):
            raise _refuse("weights", self.to_dict(), "either file and sha256, or random_seed and manifest")
        if self.file is not None and self.sha256 is None:
            raise _refuse("weights.sha256", None, "64 hexadecimal digits, because weights.file is given")
        if self.random_seed is not None and self.manifest is None:
            raise _refuse("weights.manifest", None, "the name of a file, because weights.random_seed is given")

    @property
    def is_random(self) -> bool:
        return self.random_seed is not None

    def to_dict(self) -> dict[str, Any]:
        if self.random_seed is not None:
            return {"random_seed": self.random_seed, "manifest": self.manifest}
        return {"file": self.file, "sha256": self.sha256, "dtype": self.dtype}


@dataclass(frozen=True)
class ModelRecord:
    """Everything a runtime and a segmenter have to know of one network.

    `graph` is relative to the folder of `path`, the record's own file. `weights` is None where the
    graph holds its own. `trained_size_hw` (`trained_size` in the file) is the size at which the network
    saw whole frames in training, on average; None where nobody said it. `guessed` lists the dotted names
    of fields that nobody has confirmed.
    """

    name: str
    graph: str
    input: InputRecord
    output: OutputRecord
    labels: LabelSet
    path: Path
    weights: WeightsRecord | None = None
    trained_size_hw: SizeHW | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    guessed: tuple[str, ...] = ()

    @property
    def graph_path(self) -> Path:
        return self.path.parent / self.graph

    @property
    def called(self) -> str:
        """What messages call the network: its graph's file where the record is that file's sidecar, else its name."""
        return self.graph if self.path == sidecar_path(self.graph_path) else self.name

    @property
    def is_random(self) -> bool:
        """True for a network that is here for its speed only."""
        return self.weights is not None and self.weights.is_random

    def to_dict(self) -> dict[str, Any]:
        """The plain values of the YAML file."""
        known = LABEL_SETS.get(self.labels.name) == self.labels
        record: dict[str, Any] = {"name": self.name, "graph": self.graph}
        record["input"], record["output"] = self.input.to_dict(), self.output.to_dict()
        record["labels"] = self.labels.name if known else self.labels.to_json()
        record["trained_size"] = None if self.trained_size_hw is None else format_size(self.trained_size_hw)
        if self.weights is not None:
            record["weights"] = self.weights.to_dict()
        return record | {"provenance": dict(self.provenance), "guessed": list(self.guessed)}


# ── YAML ──────────────────────────────────────────────────────────────────────────────────────


def load_record(path: str | Path) -> ModelRecord:
    """Read a `model.yaml` or sidecar; ModelError names the file and the field."""
    path = Path(path)
    values = read_yaml(path, what="model record", expected="a model record", do="see docs/models.md", error=ModelError)
    try:
        return record_from_dict(values, path=path)
    except (ModelError, LabelError) as error:
        raise ModelError(f"{path}: {error.got}", expected=error.expected, do=error.do) from None


def save_record(record: ModelRecord, path: str | Path) -> None:
    """Write the record as YAML, under its final name only when it is whole; ModelError where `load_record` would not
    take it."""
    path = Path(path)
    record_from_dict(record.to_dict(), path=path)
    write_yaml(record.to_dict(), path, error=ModelError)


@dataclass(frozen=True)
class _Form:
    """A record file. Without `name` and `graph`, the file's own name says both."""

    input: InputRecord
    output: OutputRecord
    labels: Annotated[
        str | Mapping[Any, Any] | tuple[str, ...], Expected("a label set's name, its record, or a list of class names")
    ]
    name: Name | None = None
    graph: FileName | None = None
    weights: WeightsRecord | None = None
    trained_size: Size | None = None
    provenance: Mapping[str, Any] | None = None
    guessed: Annotated[tuple[str, ...], Expected("a list of field names")] | None = None


def record_from_dict(values: Any, *, path: str | Path) -> ModelRecord:
    """A record from the YAML file's plain values; `path` is where they stand or will stand."""
    path = Path(path)
    form = validate(_Form, values, do=CORRECT, error=ModelError)
    stem = path.name[: -len(path.suffix)] if path.suffix in (".yaml", ".yml") else path.name
    return ModelRecord(
        name=Path(stem).stem if form.name is None else form.name,
        graph=stem if form.graph is None else form.graph,
        input=form.input,
        output=form.output,
        labels=_labels(form.labels, path),
        path=path,
        weights=form.weights,
        trained_size_hw=form.trained_size,
        provenance=form.provenance or {},
        guessed=form.guessed or (),
    )


def _labels(values: Any, path: Path) -> LabelSet:
    if isinstance(values, Mapping):
        return label_set_from_record(values, name="labels of " + path.name)
    if isinstance(values, str) and values.endswith((".yaml", ".yml")):
        return label_set(path.parent / values)
    return label_set(values)


def sidecar_path(onnx_path: str | Path) -> Path:
    """Where the record of a foreign ONNX file stands: `my.onnx` -> `my.onnx.yaml`."""
    path = Path(onnx_path)
    return path.with_name(path.name + ".yaml")


def _refuse(place: str, got: Any, expected: str) -> ModelError:
    return ModelError(f"{place} is {shown(got)}", expected=expected, do=CORRECT)
