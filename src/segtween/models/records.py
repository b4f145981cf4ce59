"""The record that travels with a network: what it wants to see, what it answers, its labels and origin.

A network is a folder `shipped/<name>/` with `model.yaml`, or any ONNX file with a sidecar
`<file>.onnx.yaml` beside it; both have one form (docs/models.md), read into `ModelRecord`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

from segtween.errors import LabelError, ModelError, unknown
from segtween.labels import LABEL_SETS, LabelSet, label_set, label_set_from_record
from segtween.types import SizeHW, format_size
from segtween.validation import read_yaml

InputLayout = Literal["NCHW", "NHWC"]
OutputLayout = Literal["NCHW", "NHWC", "NHW", "CHW", "HWC", "HW"]
Channels = Literal["RGB", "BGR"]
OutputKind = Literal["logits", "probabilities", "labels"]

SHIPPED = Path(__file__).parent / "shipped"
RECORD_FILE = "model.yaml"
Triple = tuple[float, float, float]


def _refuse(field_name: str, got: Any, expected: str) -> ModelError:
    return ModelError(f"{field_name} is {got!r}", expected=expected, do="correct the record (docs/models.md)")


def _check_choice(field_name: str, value: Any, choices: Any) -> None:
    if value not in get_args(choices):
        raise _refuse(field_name, value, "one of " + ", ".join(get_args(choices)))


def _check_name(field_name: str, value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise _refuse(field_name, value, "a name")


def _check_whole(field_name: str, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _refuse(field_name, value, "a whole number above 0")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class InputRecord:
    """What the graph wants to see: value = (pixel * scale / 255 - mean) / std, per channel.

    `scale` is what pixel value 255 becomes before mean and std: 255 for means in 0..255, 1 for
    means in 0..1. `mean` and `std` are in the order of `channels`. The image is resized to
    `size_hw`, or, where that is None, to the nearest multiple of `multiple_of` in each direction.
    """

    name: str
    layout: InputLayout = "NCHW"
    channels: Channels = "RGB"
    scale: float = 1.0
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)
    multiple_of: int = 32
    size_hw: SizeHW | None = None

    def __post_init__(self) -> None:
        _check_name("input.name", self.name)
        _check_choice("input.layout", self.layout, InputLayout)
        _check_choice("input.channels", self.channels, Channels)
        if not _is_number(self.scale) or self.scale <= 0:
            raise _refuse("input.scale", self.scale, "a number above 0")
        for name, triple in (("input.mean", self.mean), ("input.std", self.std)):
            if not isinstance(triple, (tuple, list)) or len(triple) != 3 or not all(map(_is_number, triple)):
                raise _refuse(name, triple, "three numbers, one for each channel")
            object.__setattr__(self, name.split(".")[1], tuple(float(v) for v in triple))
        if min(self.std) <= 0:
            raise _refuse("input.std", list(self.std), "three numbers above 0")
        _check_whole("input.multiple_of", self.multiple_of)
        if self.size_hw is not None and min(self.size_hw) < 1:
            raise _refuse("input.size", format_size(self.size_hw), "WIDTHxHEIGHT")

    def to_dict(self) -> dict[str, Any]:
        record = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "size_hw"}
        size = None if self.size_hw is None else format_size(self.size_hw)
        return {**record, "mean": list(self.mean), "std": list(self.std), "size": size}


@dataclass(frozen=True)
class OutputRecord:
    """Which output holds the scores and what they are.

    `stride` is the width of one cell in pixels of the network's input (1: scores or labels at full
    size). `kind` `labels` is an argmax baked into the graph.
    """

    name: str
    kind: OutputKind = "logits"
    layout: OutputLayout = "NCHW"
    stride: int = 1

    def __post_init__(self) -> None:
        _check_name("output.name", self.name)
        _check_choice("output.kind", self.kind, OutputKind)
        _check_choice("output.layout", self.layout, OutputLayout)
        _check_whole("output.stride", self.stride)
        if self.kind != "labels" and "C" not in self.layout:
            raise _refuse("output.layout", self.layout, f"a layout with C, because output.kind is {self.kind}")

    def to_dict(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}


@dataclass(frozen=True)
class WeightsRecord:
    """Weights beside the graph: a `file` with its `sha256`, or random ones (`random_seed`, `manifest`)."""

    file: str | None = None
    sha256: str | None = None
    dtype: str = "float16"
    random_seed: int | None = None
    manifest: str | None = None

    def __post_init__(self) -> None:
        if (self.file is None) == (self.random_seed is None):
            raise _refuse("weights", self.to_dict(), "either file and sha256, or random_seed and manifest")
        if self.file is not None:
            _check_name("weights.file", self.file)
            digest = self.sha256
            if not isinstance(digest, str) or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
                raise _refuse("weights.sha256", digest, "64 hexadecimal digits")
            if self.dtype not in ("float16", "float32"):
                raise _refuse("weights.dtype", self.dtype, "one of float16, float32")
        else:
            if not isinstance(self.random_seed, int) or isinstance(self.random_seed, bool) or self.random_seed < 0:
                raise _refuse("weights.random_seed", self.random_seed, "a whole number from 0")
            _check_name("weights.manifest", self.manifest)

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
    graph holds its own. `guessed` lists the dotted names of fields that nobody has confirmed.
    """

    name: str
    graph: str
    input: InputRecord
    output: OutputRecord
    labels: LabelSet
    path: Path
    weights: WeightsRecord | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    guessed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_name("name", self.name)
        _check_name("graph", self.graph)

    @property
    def graph_path(self) -> Path:
        return self.path.parent / self.graph

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
    """Write the record as YAML, under its final name only when it is whole."""
    import yaml

    path = Path(path)
    part = path.with_name(f".{path.name}.part")
    text = yaml.safe_dump(record.to_dict(), sort_keys=False, allow_unicode=True, width=110, default_flow_style=None)
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    except OSError as error:
        raise ModelError(
            f"{path} cannot be written ({error.strerror})", expected="a folder that can be written", do="check it"
        ) from None


def record_from_dict(values: Any, *, path: str | Path) -> ModelRecord:
    """A record from the YAML file's plain values; `path` is where they stand or will stand."""
    path = Path(path)
    own = {"name", "graph", "input", "output", "labels", "weights", "provenance", "guessed"}
    values = _section(values, "the record", known=own, needed={"input", "output", "labels"})
    stem = path.name[: -len(path.suffix)] if path.suffix in (".yaml", ".yml") else path.name
    provenance, guessed = values.get("provenance") or {}, values.get("guessed") or []
    if not isinstance(provenance, dict):
        raise _refuse("provenance", provenance, "a mapping")
    if not isinstance(guessed, list) or not all(isinstance(g, str) for g in guessed):
        raise _refuse("guessed", guessed, "a list of field names")
    weights = values.get("weights")
    return ModelRecord(
        name=values.get("name", Path(stem).stem),
        graph=values.get("graph", stem),
        input=_input(values["input"]),
        output=OutputRecord(**_section(values["output"], "output", known=_names(OutputRecord), needed={"name"})),
        labels=_labels(values["labels"], path),
        path=path,
        weights=None if weights is None else WeightsRecord(**_section(weights, "weights", known=_names(WeightsRecord))),
        provenance=provenance,
        guessed=tuple(guessed),
    )


def _names(record: Any) -> set[str]:
    return {f.name for f in fields(record)}


def _section(values: Any, where: str, *, known: set[str], needed: Iterable[str] = ()) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise _refuse(where, values, "a mapping with " + ", ".join(sorted(needed or known)))
    for key in values:
        if key not in known:
            raise unknown(
                f"{where} has an unknown field {key!r}",
                str(key),
                sorted(known),
                among="fields out of",
                otherwise="remove it",
                error=ModelError,
            )
    for key in sorted(needed):
        if key not in values:
            raise ModelError(f"{where} has no field {key!r}", expected=f"{key}: ...", do="add it (docs/models.md)")
    return values


def _input(values: Any) -> InputRecord:
    known = (_names(InputRecord) - {"size_hw"}) | {"size"}
    given = dict(_section(values, "input", known=known, needed={"name"}))
    size = given.pop("size", None)
    return InputRecord(**given, size_hw=None if size is None else _size(size))


def _size(text: Any) -> SizeHW:
    parts = str(text).lower().split("x")
    if len(parts) != 2 or not all(p.strip().isdecimal() for p in parts):
        raise _refuse("input.size", text, "WIDTHxHEIGHT, such as 1024x512, or null")
    return int(parts[1]), int(parts[0])


def _labels(values: Any, path: Path) -> LabelSet:
    if isinstance(values, dict):
        return label_set_from_record(values, name="labels of " + path.name)
    if isinstance(values, str) and values.endswith((".yaml", ".yml")):
        return label_set(path.parent / values)
    if isinstance(values, str) or (isinstance(values, list) and all(isinstance(v, str) for v in values)):
        return label_set(values)
    raise _refuse("labels", values, "a label set's name, its record, or a list of class names")


# ── Finding a model ───────────────────────────────────────────────────────────────────────────


def shipped_models(root: Path | None = None) -> dict[str, Path]:
    """Name -> folder of every network that comes with the package, sorted by name."""
    root = SHIPPED if root is None else root
    return {p.parent.name: p.parent for p in sorted(root.glob(f"*/{RECORD_FILE}"))}


def sidecar_path(onnx_path: str | Path) -> Path:
    """Where the record of a foreign ONNX file stands: `my.onnx` -> `my.onnx.yaml`."""
    path = Path(onnx_path)
    return path.with_name(path.name + ".yaml")


def find_record(which: str | Path, *, root: Path | None = None) -> ModelRecord:
    """The record of a shipped model's name, an .onnx file with its sidecar, a record file or its folder.

    Raises ModelError: unknown name (with the nearest ones), file not found, sidecar missing.
    """
    shipped = shipped_models(root)
    if isinstance(which, str) and which in shipped:
        return load_record(shipped[which] / RECORD_FILE)
    path = Path(which)
    if path.is_dir():
        if not (path / RECORD_FILE).is_file():
            raise ModelError(f"folder {path} holds no {RECORD_FILE}", expected="a model's folder", do="check the path")
        return load_record(path / RECORD_FILE)
    if path.is_file():
        if path.suffix.lower() in (".yaml", ".yml"):
            return load_record(path)
        if path.suffix.lower() != ".onnx":
            raise ModelError(
                f"{path} is no model file", expected="an .onnx file", do=f"segtween export {path} -o FOLDER"
            )
        if not sidecar_path(path).is_file():
            raise ModelError(
                f"{path} has no sidecar {sidecar_path(path).name}",
                expected="a record of its preprocessing, output and labels beside it",
                do=f"write it with: segtween models inspect {path} --write",
            )
        return load_record(sidecar_path(path))
    raise _unknown(str(which), shipped)


def _unknown(which: str, shipped: Mapping[str, Path]) -> ModelError:
    known = ", ".join(shipped) or "none is shipped"
    if any(sign in which for sign in "/\\") or Path(which).suffix.lower() in (".onnx", ".yaml", ".yml"):
        return ModelError(
            f"model file {which} is not found",
            expected="an existing .onnx file or a shipped name: " + known,
            do="check the path",
        )
    return unknown(
        f"model {which!r} is not known",
        which,
        shipped,
        also="or an .onnx file",
        otherwise="see `segtween models`",
        error=ModelError,
    )
