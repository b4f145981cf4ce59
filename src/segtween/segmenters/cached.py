"""A segmenter that reads stored scores, so that propagation can be judged apart from the network."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import LabelError, ScoresError, one_line
from segtween.labels import LabelSet, label_set, label_set_from_record, usual
from segtween.models.weights import sha256_of
from segtween.segmenters.scores import Scores, check_finite
from segtween.texttable import count
from segtween.types import Rgb, SizeHW, check_rgb, format_size, size_of


class CachedScores:
    """Logits from an .npz file: `scores_q` int8 (N, C, h, w) times `scale`, or `scores` float (N, C, h, w).

    `frames`, where present, names the N frames; the grid spans the image. `select` says which frame
    comes next. Scores stay in memory as they are stored, one frame at a time becomes float32. `labels`, unless
    given, is the label set stored with them (`score_file.ScoresWriter`), else guessed by the number of classes (19:
    cityscapes19, 11: camvid11). Raises ScoresError.
    """

    def __init__(self, path: str | Path, labels: str | Path | LabelSet | Sequence[str] | None = None) -> None:
        self.path = Path(path)
        self._values, self._scale, self.frames, stored, self._size_hw = _read(self.path)
        classes = self._values.shape[1]
        guess = stored or usual(classes)
        self.labels = guess if labels is None else label_set(labels)
        if len(self.labels) != classes:
            raise ScoresError(
                f"{self.path} holds scores of {classes} classes",
                expected=f"{len(self.labels)}, as label set {self.labels.name!r} has",
                do="give the label set that belongs to the scores, label_set=NAME",
            )
        self._rows = {name: i for i, name in enumerate(self.frames)}
        self._row: int | None = None

    def __len__(self) -> int:
        return int(self._values.shape[0])

    def select(self, key: str | int) -> None:
        """The next call returns the scores of this frame: its name, with or without ending, or its index."""
        if isinstance(key, int):
            if not 0 <= key < len(self):
                raise self._missing(f"frame {key}")
            self._row = key
            return
        row = self._rows.get(key, self._rows.get(Path(key).stem))
        if row is None:
            raise self._missing(f"frame {key!r}")
        self._row = row

    def __call__(self, rgb: Rgb) -> Scores:
        self._check_size(check_rgb(rgb))
        if self._row is None:
            raise ScoresError(
                f"scores of {self.path.name} were asked for before a frame was chosen",
                expected="select(name or index) before each frame",
                do="call select()",
            )
        row = self._row
        scores = self._values[row].astype(np.float32)
        if self._scale != 1:
            scores *= np.float32(self._scale)
        name = self.frames[row] if self.frames else row
        who = f"{self.path.name} for frame {name}"
        return check_finite(scores, labels_of=self.labels, who=who, do="store the scores again")

    def _check_size(self, rgb: Rgb) -> None:
        if self._size_hw not in (None, rgb.shape[:2]):
            raise ScoresError(
                f"{self.path.name} holds scores of frames of {format_size(self._size_hw)}",
                expected=f"{format_size(size_of(rgb))}, as the frames are",
                do="give the scores that belong to these frames",
            )

    def describe(self) -> dict[str, Any]:
        return {
            "name": self.path.name,
            "runtime": "given scores",
            "fingerprint": sha256_of(self.path)[:12],
            "labels": self.labels.name,
            "precision": str(self._values.dtype),
        }

    def _missing(self, what: str) -> ScoresError:
        held = f"{self.frames[0]} to {self.frames[-1]}" if self.frames else f"0 to {len(self) - 1}"
        return ScoresError(
            f"{self.path.name} has no scores for {what}",
            expected=f"one of its {count(len(self), 'frame')}, {held}",
            do="give the scores that belong to these frames",
        )


def _read(path: Path) -> tuple[NDArray[Any], float, list[str], LabelSet | None, SizeHW | None]:
    """Stored values, their scale, the frames' names, the label set and the images' size, as far as they are there;
    ScoresError for what does not fit."""
    if not path.is_file():
        raise ScoresError(f"scores file {path} is not found", expected="an .npz file", do="check the path")
    wanted = ("scores_q", "scores", "scale", "frames", "labels", "size_hw")
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no archive, or cut off")
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            held = {key: file[key] for key in file.files if key in wanted}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ScoresError(
            f"scores file {path} cannot be read ({one_line(error, 120)})",
            expected="an .npz file of plain arrays",
            do="store the scores again",
        ) from None
    if ("scores_q" in held) == ("scores" in held) or ("scores_q" in held and "scale" not in held):
        raise ScoresError(
            f"scores file {path} holds {', '.join(sorted(held)) or 'none of the arrays'}",
            expected="scores_q with scale, or scores",
            do="see docs/models.md for its form",
        )
    values = held.get("scores_q", held.get("scores"))
    kinds = "iu" if "scores_q" in held else "f"
    if values is None or values.ndim != 4 or 0 in values.shape or values.dtype.kind not in kinds:
        raise ScoresError(
            f"scores file {path} holds {getattr(values, 'dtype', None)} of shape {getattr(values, 'shape', None)}",
            expected="(frames, classes, height, width), scores_q as whole numbers or scores as floats",
            do="store the scores again",
        )
    scale = float(held["scale"]) if "scores_q" in held else 1.0
    if not np.isfinite(scale) or scale <= 0:
        raise ScoresError(f"scores file {path} has scale {scale}", expected="a number above 0", do="store it again")
    frames = [str(name) for name in held["frames"]] if "frames" in held else []
    if frames and (len(frames) != len(values) or len(set(frames)) != len(frames)):
        raise ScoresError(
            f"scores file {path} names {len(set(frames))} different frames",
            expected=f"{len(values)}, one for each of its scores",
            do="store the names again",
        )
    size = held.get("size_hw")
    size_hw = None if size is None or size.shape != (2,) else (int(size[0]), int(size[1]))
    return values, scale, frames, _read_labels(path, held.get("labels")), size_hw


def _read_labels(path: Path, stored: NDArray[Any] | None) -> LabelSet | None:
    if stored is None:
        return None
    try:
        return label_set_from_record(json.loads(str(stored)), name=path.stem)
    except (ValueError, LabelError) as error:
        raise ScoresError(
            f"scores file {path} holds a label set that cannot be read ({one_line(error, 120)})",
            expected="the JSON of a label set",
            do="store the scores again",
        ) from None
