"""What annotation tools export: COCO, Label Studio, CVAT's XML, YOLO. `video.annotations` writes the same forms.

| form | known by | classes |
| --- | --- | --- |
| COCO JSON | `images` and `annotations` | `categories` |
| Label Studio JSON | a list of tasks with `data` | those that occur, by name |
| CVAT for images, for video | `.xml`, or `annotations.xml` in a zip or folder | `labels` |
| YOLO | a folder with `data.yaml` | `names` |

Later shapes of a frame lie over earlier ones. Polygons are filled by the centres of pixels.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from segtween.errors import LabelError
from segtween.labels import Colour, LabelSet, Which, label_set
from segtween.masks.polygons import from_polygons
from segtween.masks.rle import Mask, from_boxed, from_brush, from_coco
from segtween.types import IGNORE, Labels, SizeHW, format_size
from segtween.validation import read_yaml

YOLO_DATA, CVAT_XML = "data.yaml", "annotations.xml"
_FAULTS = (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError)
ZIP_FAULTS: tuple[type[Exception], ...] = (
    OSError, RuntimeError, ValueError, IndexError, EOFError, struct.error, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What `zipfile` raises for files that are damaged, encrypted, or packed by a method that it does not know."""
with suppress(ImportError):  # which few builds of Python lack
    from lzma import LZMAError

    ZIP_FAULTS = (*ZIP_FAULTS, LZMAError)


@dataclass(frozen=True)
class Shape:
    """Where a class is: its name, and what makes its mask for a picture of a size."""

    name: str
    mask: Callable[[SizeHW], Mask]


@dataclass(frozen=True)
class Annotated:
    """The frames of an export by name, each with its shapes from the lowest up; classes with their colours, where they
    have any."""

    source: str
    classes: Mapping[str, Colour | None]
    frames: Mapping[str, list[Shape]]

    def label_set(self, labels: Which | None) -> LabelSet:
        """`labels`, or the export's own classes; LabelError where it has none."""
        if labels is not None:
            return label_set(labels)
        if not self.classes:
            raise LabelError(f"{self.source} names no class", expected="labels with names", do="export it again")
        known = replace(label_set(tuple(self.classes)), name=Path(self.source).stem)
        own = list(self.classes.values())
        colours = tuple(colour or usual for colour, usual in zip(own, known.colours, strict=True))
        return replace(known, colours=colours)

    def read(self, name: str, known: LabelSet, size_hw: SizeHW) -> Labels:
        """(H, W) train ids of a frame, 255 where no shape is. LabelError for a shape that does not fit."""
        labels = np.full(size_hw, IGNORE, np.uint8)
        for shape in self.frames[name]:
            try:
                mask = shape.mask(size_hw)
            except _FAULTS as error:
                raise LabelError(
                    f"{self.source}: frame {name} has {error if isinstance(error, ValueError) else 'a shape'} "
                    f"that cannot be read",
                    expected=f"masks and polygons of pictures of {format_size(size_hw)}",
                    do="export it again",
                ) from None
            labels[mask] = known.index(shape.name)
        return labels


def open_annotations(path: Path) -> Annotated | None:
    """The export at a path; None where it is none of these forms. LabelError for one that cannot be read."""
    if path.is_dir():
        if (path / YOLO_DATA).is_file():
            return _yolo(path)
        return _cvat(path / CVAT_XML, (path / CVAT_XML).read_bytes()) if (path / CVAT_XML).is_file() else None
    kind = path.suffix.lower()
    if kind == ".json":
        return _json(path)
    if kind == ".xml":
        return _cvat(path, _content(path))
    return _zipped(path) if kind == ".zip" else None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error.strerror or "no reason given") from None


def _unreadable(path: Path, why: str) -> LabelError:
    return LabelError(
        f"labels {path} cannot be read ({why})",
        expected="an export of CVAT, COCO, Label Studio or YOLO",
        do="export them again",
    )


def _zipped(path: Path) -> Annotated | None:
    try:
        with zipfile.ZipFile(path) as file:
            return _cvat(path, file.read(CVAT_XML)) if CVAT_XML in file.namelist() else None
    except ZIP_FAULTS:
        return None  # `labelled` says what is wrong with it


# ── JSON ──────────────────────────────────────────────────────────────────────────────────────


def _json(path: Path) -> Annotated:
    try:
        values = json.loads(_content(path))
        if isinstance(values, list):
            return _label_studio(path, values)
        if "images" in values and "annotations" in values:
            return _coco(path, values)
    except RecursionError:
        raise _unreadable(path, "it is nested very deeply") from None
    except _FAULTS as error:
        raise _unreadable(path, f"{type(error).__name__}: {str(error)[:80]}") from None
    raise _unreadable(path, "it is neither COCO nor Label Studio's")


def _coco(path: Path, values: Mapping[str, Any]) -> Annotated:
    names = {category["id"]: str(category["name"]) for category in values["categories"]}
    colours = {str(c["name"]): _colour(c.get("color")) for c in values["categories"]}
    images = {
        image["id"]: _numbered(image["frame_index"]) if "frame_index" in image else str(image["file_name"])
        for image in values["images"]
    }
    sizes = {image["id"]: (int(image["height"]), int(image["width"])) for image in values["images"]}
    frames: dict[str, list[Shape]] = {name: [] for name in images.values()}
    for annotation in values["annotations"]:
        image = annotation["image_id"]
        shape = _coco_shape(annotation["segmentation"], sizes[image])
        frames[images[image]].append(Shape(names[annotation["category_id"]], shape))
    return Annotated(str(path), colours, frames)


def _numbered(index: Any) -> str:
    """A name that says the number of a frame, from 0, and is none of an image file's."""
    return f"frame_{int(index):06d}"


def _colour(values: Any) -> Colour | None:
    if values is None:
        return None
    red, green, blue = (int(v) for v in values)
    return red, green, blue


def _coco_shape(segmentation: Any, image_hw: SizeHW) -> Callable[[SizeHW], Mask]:
    def mask(size_hw: SizeHW) -> Mask:
        _check_size(image_hw, size_hw)
        if isinstance(segmentation, list):
            return from_polygons((np.array(flat, np.float64).reshape(-1, 2) for flat in segmentation), size_hw)
        height, width = segmentation["size"]
        _check_size((height, width), size_hw)
        return from_coco(size_hw, segmentation["counts"])

    return mask


def _check_size(own_hw: SizeHW, size_hw: SizeHW) -> None:
    if own_hw != size_hw:
        raise ValueError(f"a mask of {format_size(own_hw)}")


def _label_studio(path: Path, tasks: Iterable[Mapping[str, Any]]) -> Annotated:
    frames: dict[str, list[Shape]] = {}
    for task in tasks:
        data = task["data"]
        name = _numbered(data["frame"]) if "frame" in data else str(data["image"]).rsplit("/", 1)[-1]
        done = task.get("annotations") or task.get("predictions") or [{"result": []}]
        frames[name] = [shape for result in done[0]["result"] for shape in _brush(result)]
    names = dict.fromkeys(sorted({shape.name for shapes in frames.values() for shape in shapes}))
    return Annotated(str(path), names, frames)


def _brush(result: Mapping[str, Any]) -> Iterator[Shape]:
    """A brush or polygon; boxes, which say nothing of pixels, are left out."""
    value = result["value"]
    if result["type"] == "brushlabels":
        own_hw = int(result["original_height"]), int(result["original_width"])

        def painted(size_hw: SizeHW) -> Mask:
            _check_size(own_hw, size_hw)
            return from_brush(value["rle"], size_hw)

        yield Shape(str(value["brushlabels"][0]), painted)
    elif result["type"] == "polygonlabels":
        points = np.array(value["points"], np.float64) / 100  # percent of the picture
        yield Shape(str(value["polygonlabels"][0]), lambda size_hw: from_polygons([points * size_hw[::-1]], size_hw))


# ── CVAT ──────────────────────────────────────────────────────────────────────────────────────


def _cvat(path: Path, content: bytes) -> Annotated:
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise _unreadable(path, "it declares a document type")
    try:
        root = ElementTree.fromstring(content)
        colours = {str(label.findtext("name")): label.findtext("color") for label in root.iter("label")}
        classes = {name: _colour(bytes.fromhex(text.lstrip("#")) if text else None) for name, text in colours.items()}
        frames = _of_images(root) if root.find("image") is not None else _of_tracks(root)
    except (ElementTree.ParseError, *_FAULTS) as error:
        raise _unreadable(path, f"{type(error).__name__}: {str(error)[:80]}") from None
    return Annotated(str(path), classes, frames)


def _of_images(root: ElementTree.Element) -> dict[str, list[Shape]]:
    return {
        str(image.attrib["name"]).rsplit("/", 1)[-1]: [
            Shape(shape.attrib["label"], mask)
            for shape in sorted(image, key=lambda shape: int(shape.get("z_order", 0)))
            if (mask := _cvat_shape(shape)) is not None
        ]
        for image in root.iter("image")
    }


def _of_tracks(root: ElementTree.Element) -> dict[str, list[Shape]]:
    """Frames in which something is shown. A shape counts where it stands, nothing is drawn between two of them."""
    found: dict[int, list[tuple[int, Shape]]] = {}
    for track in root.iter("track"):
        for shape in track:
            mask = _cvat_shape(shape)
            if mask is not None and shape.get("outside") != "1":
                order = int(shape.get("z_order", 0))
                found.setdefault(int(shape.attrib["frame"]), []).append((order, Shape(track.attrib["label"], mask)))
    return {
        _numbered(frame): [shape for _, shape in sorted(shapes, key=lambda pair: pair[0])]
        for frame, shapes in found.items()
    }


def _cvat_shape(shape: ElementTree.Element) -> Callable[[SizeHW], Mask] | None:
    """What makes the mask of a mask or polygon; None for other shapes."""
    if shape.tag == "mask":
        return lambda size_hw: from_boxed(dict(shape.attrib), size_hw)
    if shape.tag == "polygon":
        points = [[float(v) for v in pair.split(",")] for pair in shape.attrib["points"].split(";")]
        return lambda size_hw: from_polygons([np.array(points)], size_hw)
    return None


# ── YOLO ──────────────────────────────────────────────────────────────────────────────────────


def _yolo(path: Path) -> Annotated:
    data = path / YOLO_DATA
    record = read_yaml(data, what="YOLO's data file", expected="names: [...]", do="check the folder", error=LabelError)
    names: Any = record.get("names") if isinstance(record, dict) else None
    try:
        known = {int(i): str(name) for i, name in (names.items() if isinstance(names, dict) else enumerate(names))}
    except _FAULTS:
        raise LabelError(f"{data} names no class", expected="names: [road, car, ...]", do="correct it") from None
    files = sorted(p for p in path.rglob("*.txt") if p.parent.name == "labels" or p.parent.parent.name == "labels")
    frames = {file.name: [_yolo_shape(line, known, file) for line in _lines(file)] for file in files}
    return Annotated(str(path), dict.fromkeys(known.values()), frames)


def _lines(file: Path) -> list[str]:
    return [line for line in _content(file).decode("utf-8", "replace").splitlines() if line.strip()]


def _yolo_shape(line: str, known: Mapping[int, str], file: Path) -> Shape:
    try:
        values = [float(part) for part in line.split()]
        name, points = known[int(values[0])], np.array(values[1:], np.float64).reshape(-1, 2)
        if len(points) < 3 or not np.isfinite(points).all():
            raise ValueError("it is no polygon")
    except _FAULTS:
        raise LabelError(
            f"label file {file} holds {line[:60]!r}",
            expected=f"the number of a class of {YOLO_DATA} and a polygon x y x y ...",
            do="give segmentation labels, not boxes",
        ) from None
    return Shape(name, lambda size_hw: from_polygons([points * size_hw[::-1]], size_hw))
