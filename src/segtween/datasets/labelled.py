"""Annotations of some frames of a clip: label images named by frame, or an export of an annotation tool.

| form | what it holds |
| --- | --- |
| a folder of PNG files | one channel: train ids, or the data set's own ids; three: colours. Perhaps `labels.yaml` |
| "Segmentation mask 1.1", zip or folder | `labelmap.txt`, and its colours in `SegmentationClass/` |
| COCO, Label Studio, CVAT's XML, YOLO | what `datasets.annotations` reads |

A file belongs to the frame whose name it has, or else to the one of its number, from 0: `000012.png`, `frame_12.png`.
An export of CVAT holds every frame; those with nothing but background count as not labelled.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segtween.datasets.annotations import ZIP_FAULTS, open_annotations
from segtween.datasets.reading import read_ids
from segtween.errors import LabelError
from segtween.labels import LabelSet, label_set
from segtween.masks.png import has_wrong_checksum
from segtween.types import IGNORE, Labels, SizeHW, format_size, size_of

Ids = Literal["train", "dataset"]

LABEL_MAP, CLASS_FOLDER, OWN_SET = "labelmap.txt", "SegmentationClass", "labels.yaml"
_NUMBER = re.compile(r"(?:frame[_-]?)?(\d{1,12})", re.IGNORECASE)
_BACKGROUND = ("background", (0, 0, 0))
_ENTRY = re.compile(r"(.+):\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*(?::.*)?")
_FOREIGN = 254  # no train id: a label set has at most 254 classes


@dataclass(frozen=True)
class LabelledFrames:
    """The labelled frames by index. `read` gives one's labels, (H, W) train ids; `blank` are those that hold none."""

    labels: LabelSet
    files: dict[int, str]
    read: Callable[[int], Labels]
    blank: tuple[int, ...]


def open_labelled(
    path: Path,
    *,
    size_hw: SizeHW,
    frames: int | None,
    names: Sequence[str] | None = None,
    labels: str | Path | None = None,
    ids: Ids = "train",
) -> LabelledFrames:
    """The labels in `path` for a clip of `frames` frames (None: not known) of `size_hw`, called `names` (without
    ending; None: they have no names, as in a video). Every file is looked at once.

    Raises LabelError for no labels, classes that are not known, files that belong to no frame or two to one, another
    size than the frames', and ids or colours outside the label set; DatasetError for files that cannot be read.
    """
    found, known, read = _opened(path, labels, ids, size_hw)
    if not found:
        raise _nothing(path)
    files = _by_index(found, frames, names)

    def labels_of(index: int) -> Labels:
        return read(files[index])

    blank = []
    for index, name in files.items():
        values = labels_of(index)
        if values.shape != size_hw:
            raise LabelError(
                f"label file {name} is {format_size(size_of(values))}",
                expected=f"{format_size(size_hw)} (width x height), the size of the frames",
                do="save the labels at the frames' own size",
            )
        if (values == IGNORE).all():
            blank.append(index)
    kept = {index: name for index, name in files.items() if index not in blank}
    if not kept:
        raise _nothing(path, "but files without a class")
    return LabelledFrames(known, kept, labels_of, tuple(blank))


def _nothing(path: Path, besides: str = "") -> LabelError:
    return LabelError(
        f"{path} holds no labels" + (f" {besides}" if besides else ""),
        expected="PNG files named like frames or by their numbers, or an export of CVAT, COCO, Label Studio or YOLO",
        do="label a few frames and put them there",
    )


def _opened(
    path: Path, labels: str | Path | None, ids: Ids, size_hw: SizeHW
) -> tuple[list[str], LabelSet, Callable[[str], Labels]]:
    """File or frame names, classes, and what reads one, of any form."""
    if not path.exists():
        raise LabelError(f"labels {path} do not exist", expected="a folder, or a file as exported", do="check the path")
    export = open_annotations(path)
    if export is not None:
        known = export.label_set(labels)
        return list(export.frames), known, lambda name: export.read(name, known, size_hw)
    is_archive = path.is_file() or (path / LABEL_MAP).is_file()
    return _exported(path, labels) if is_archive else _plain(path, labels, ids)


# ── Which frame a file belongs to ─────────────────────────────────────────────────────────────


def _by_index(found: Sequence[str], frames: int | None, names: Sequence[str] | None) -> dict[int, str]:
    """File names by the index of their frame, in order."""
    own = {name: i for i, name in enumerate(names or ())}
    by_name = any(_stem(name) in own for name in found)
    files: dict[int, str] = {}
    for name in found:
        index = own.get(_stem(name)) if by_name else frame_number(name)
        if index is None or (frames is not None and index >= frames):
            held = "frames of the input" if frames is None else f"{frames} frames of the input"
            raise LabelError(
                f"label file {name} belongs to no frame",
                expected=f"the name of one of the {held}" if by_name else f"the number of one of the {held}, from 0",
                do="rename or remove it",
            )
        if index in files:
            raise LabelError(
                f"label files {files[index]} and {name} are both of frame {index}", expected="one", do="remove one"
            )
        files[index] = name
    return dict(sorted(files.items()))


def _stem(name: str) -> str:
    return PurePath(name).stem


def frame_number(name: str) -> int | None:
    """The frame that a file belongs to by its number: 12 for `12.png` and `frame_000012.png`; None without one."""
    match = _NUMBER.fullmatch(_stem(name))
    return None if match is None else int(match[1])


# ── Label images ──────────────────────────────────────────────────────────────────────────────


def _plain(path: Path, labels: str | Path | None, ids: Ids) -> tuple[list[str], LabelSet, Callable[[str], Labels]]:
    found = sorted(p.name for p in path.iterdir() if p.suffix.lower() == ".png" and not p.name.startswith("."))
    if not found:
        raise _nothing(path)
    which = labels or (path / OWN_SET if (path / OWN_SET).is_file() else None)
    if which is None:
        raise LabelError(
            f"the classes of the labels in {path} are not known",
            expected=f"a label set, {OWN_SET} or CVAT's {LABEL_MAP}",
            do="give label_set=NAME or FILE.yaml (docs/labels.md)",
        )
    known = label_set(which)
    by_train_id = replace(known, ids=tuple(range(len(known))), ignore_id=IGNORE)
    colours = _Colours({colour: i for i, colour in enumerate(known.colours)}, known.name)

    def read(name: str) -> Labels:
        values = read_ids(path / name)
        if values.ndim == 3:
            return colours(values[..., 2::-1], name)
        return (by_train_id if ids == "train" else known).decode(values, name=f"label file {name}", strict=True)

    return found, known, read


class _Colours:
    """Train ids of colours; black is ignore, unless a class has it."""

    def __init__(self, colours: dict[tuple[int, int, int], int], name: str) -> None:
        self._name, self._known = name, colours
        self._table = np.full(1 << 24, _FOREIGN, np.uint8)
        for (r, g, b), train_id in {(0, 0, 0): IGNORE, **colours}.items():
            self._table[r << 16 | g << 8 | b] = train_id

    def __call__(self, rgb: NDArray[Any], name: str) -> Labels:
        wide = rgb.astype(np.uint32)
        labels = self._table[wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]]
        foreign = labels == _FOREIGN
        if foreign.any():
            colour = tuple(int(v) for v in rgb[foreign][0])
            raise LabelError(
                f"label file {name} holds colour {colour}",
                expected=f"black or the {len(self._known)} colours of {self._name}",
                do="choose the label set that the file was painted with, without smoothing at edges",
            )
        return np.asarray(labels)


# ── Exports of CVAT ───────────────────────────────────────────────────────────────────────────


def _exported(path: Path, labels: str | Path | None) -> tuple[list[str], LabelSet, Callable[[str], Labels]]:
    content = _Zip(path) if path.is_file() else _Folder(path)
    if LABEL_MAP not in content.names:
        raise LabelError(
            f"{path} holds no {LABEL_MAP}",
            expected='a folder of PNG files, or an export of CVAT as "Segmentation mask 1.1"',
            do="export it again in that form",
        )
    lines = content.read(LABEL_MAP).decode("utf-8", "replace").splitlines()
    classes = dict(_entries(lines, path / LABEL_MAP))
    # Of another colour than CVAT's own it is a class of the task.
    painted = {name: colour for name, colour in classes.items() if (name.lower(), colour) != _BACKGROUND}
    if not painted:
        raise LabelError(f"{path / LABEL_MAP} names no class", expected="name:red,green,blue::", do="export it again")
    known = label_set(tuple(painted)) if labels is None else label_set(labels)
    if labels is None:
        known = replace(known, name=path.stem, colours=tuple(painted.values()))
    if len({*painted.values()}) < len(painted):
        raise LabelError(
            f"{path / LABEL_MAP} gives two classes one colour", expected="one each", do="change them in CVAT"
        )
    colours = _Colours({colour: known.index(name) for name, colour in painted.items()}, LABEL_MAP)
    found = [n for n in content.names if n.startswith(f"{CLASS_FOLDER}/") and n.lower().endswith(".png")]

    def read(name: str) -> Labels:
        import cv2

        data = np.frombuffer(content.read(name), np.uint8)
        whole = data.size > 0 and not has_wrong_checksum(data.data)
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if whole else None
        if image is None:
            raise LabelError(f"label file {name} cannot be read", expected="a whole PNG file", do="export it again")
        return colours(image[..., ::-1], name)

    return found, known, read


def _entries(lines: Sequence[str], path: Path) -> Iterator[tuple[str, tuple[int, int, int]]]:
    """Names and colours of `name:red,green,blue:parts:actions`."""
    for line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        entry = _ENTRY.fullmatch(line)
        values = [] if entry is None else [int(value) for value in entry.groups()[1:]]
        if entry is None or max(values) > 255:
            raise LabelError(f"{path} holds {line!r}", expected="name:red,green,blue::", do="export it again")
        yield entry[1].strip(), (values[0], values[1], values[2])


class _Folder:
    def __init__(self, path: Path) -> None:
        self._path = path
        self.names = sorted(str(PurePosixPath(p.relative_to(path))) for p in path.rglob("*") if p.is_file())

    def read(self, name: str) -> bytes:
        return (self._path / name).read_bytes()


class _Zip:
    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as file:
                self.names = sorted(file.namelist())
        except ZIP_FAULTS:
            raise LabelError(
                f"labels {path} cannot be read",
                expected="a folder, or an export of CVAT, COCO or Label Studio",
                do="export them again",
            ) from None

    def read(self, name: str) -> bytes:
        try:
            with zipfile.ZipFile(self._path) as file:
                return file.read(name)
        except ZIP_FAULTS:
            raise LabelError(
                f"{name} in {self._path} cannot be read", expected="a whole zip file", do="export it again"
            ) from None
