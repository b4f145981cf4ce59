"""What a float32 network needs to run in int8: the range of each convolution's input.

Ranges are measured once on example images (`segtween export ... --calibrate`) and kept in a small file beside the
network's record: `int8.yaml` beside `model.yaml`, `my.onnx.int8.yaml` beside `my.onnx.yaml`. The int8 weights are made
of the float ones whenever the network is opened, so that nothing is stored twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import MinLen, Predicate

from segtween.errors import ModelError
from segtween.models.records import RECORD_FILE, ModelRecord
from segtween.validation import Expected, read_yaml, validate, write_yaml

AGAIN = "calibrate the network again: segtween export with calibrate=IMAGES"


Range = Annotated[
    tuple[float, float], Predicate(lambda ends: ends[0] <= ends[1]), Expected("two numbers, the smaller first")
]


@dataclass(frozen=True)
class Int8Record:
    """`ranges`: name of a tensor in the graph -> (lowest, highest) value seen there, in the network's own units.

    `weights` is the digest of the weights that the ranges were measured with (`runtimes.quantise.weights_digest`), or
    empty where any will do; `calibrated` says on what.
    """

    ranges: Annotated[Mapping[str, Range], MinLen(1)]
    weights: str = ""
    calibrated: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """12 hexadecimal digits that change with what is computed."""
        plain = json.dumps([sorted((k, list(v)) for k, v in self.ranges.items()), self.weights])
        return hashlib.sha256(plain.encode()).hexdigest()[:12]


def int8_path(record: ModelRecord) -> Path:
    """Where the ranges of a record's network stand, if there are any."""
    name = record.path.name
    stem = "" if name == RECORD_FILE else name[: -len(record.path.suffix)] + "."
    return record.path.with_name(f"{stem}int8.yaml")


def load_int8(record: ModelRecord) -> Int8Record | None:
    """The ranges of a record's network, None where it was never calibrated; ModelError for a file of another form."""
    path = int8_path(record)
    if not path.is_file():
        return None
    values = read_yaml(
        path, what="int8 ranges", expected="ranges: {tensor: [low, high], ...}", do=AGAIN, error=ModelError
    )
    return validate(Int8Record, values, source=str(path), whole="the file", do=AGAIN, error=ModelError)


def save_int8(found: Int8Record, path: Path) -> None:
    """Write the ranges, under the final name only when the file is whole."""
    ranges = {name: list(limits) for name, limits in found.ranges.items()}
    values = {"weights": found.weights, "calibrated": dict(found.calibrated), "ranges": ranges}
    write_yaml(values, path, error=ModelError)


def not_calibrated(name: str) -> ModelError:
    """The error for a network that has no ranges."""
    return ModelError(
        f"network {name!r} was never calibrated for int8",
        expected="the ranges of its values in a file int8.yaml",
        do="segtween export with calibrate=IMAGES, then model=FOLDER; or use precision='bfloat16'",
    )
