"""Label sets (names, colours, ids, ignore) and maps between them.

In memory a label is a train id: uint8, 0..C-1, 255 = ignore. Files may hold a data set's own ids;
`LabelSet.encode` and `LabelSet.decode` go from one to the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
from annotated_types import Interval, MinLen
from numpy.typing import NDArray

from segtween.errors import LabelError, unknown
from segtween.types import IGNORE, Labels, Rgb
from segtween.validation import Expected, Name, read_yaml, shown, validate

Colour = tuple[int, int, int]
MOST_CLASSES = 254
_Byte = Annotated[int, Interval(ge=0, le=255)]
_Colour = Annotated[tuple[_Byte, _Byte, _Byte], Expected("[red, green, blue], whole numbers from 0 to 255")]


@dataclass(frozen=True)
class LabelSet:
    """The classes of one data set. `ids[t]` is what train id `t` is called in the data set's files;
    `ignore_id` is written there for 255. Every other id reads as 255.
    """

    name: str
    names: tuple[str, ...]
    colours: tuple[Colour, ...]
    ids: tuple[int, ...]
    ignore_id: int = IGNORE

    def __post_init__(self) -> None:
        n = len(self.names)
        if not 1 <= n <= MOST_CLASSES:
            raise LabelError(
                f"label set {self.name!r} has {n} classes", expected=f"1 to {MOST_CLASSES}", do="check its names"
            )
        if len(self.colours) != n or len(self.ids) != n:
            raise LabelError(
                f"label set {self.name!r} has {n} names, {len(self.colours)} colours and {len(self.ids)} ids",
                expected="as many of each",
                do="give one colour and one id per name",
            )
        if len(set(self.names)) != n or len(set(self.ids)) != n:
            raise LabelError(f"label set {self.name!r} repeats a name or an id", expected="each once", do="rename it")
        if any(not isinstance(name, str) or not name for name in self.names):
            raise LabelError(f"label set {self.name!r} has a name that is no text", expected="names", do="correct it")
        values = [v for c in self.colours for v in c] + [*self.ids, self.ignore_id]
        if any(len(c) != 3 for c in self.colours) or not all(type(v) is int and 0 <= v <= 255 for v in values):
            raise LabelError(
                f"label set {self.name!r} has a colour or id outside 0..255",
                expected="colours as [red, green, blue] and ids, whole numbers 0..255",
                do="correct the label set",
            )

    def __len__(self) -> int:
        return len(self.names)

    def index(self, name: str) -> int:
        """Train id of a class name; LabelError names the nearest."""
        key = name.strip().lower().replace("_", "-").replace(" ", "-")
        for i, own in enumerate(self.names):
            if own.lower().replace(" ", "-") == key:
                return i
        raise unknown(f"class {name!r} is not in label set {self.name!r}", key, self.names, error=LabelError)

    @property
    def palette(self) -> NDArray[np.uint8]:
        """(256, 3) uint8 colour of every train id; unused ids and ignore are black."""
        table = np.zeros((256, 3), np.uint8)
        table[: len(self)] = self.colours
        return table

    def colourise(self, labels: Labels) -> Rgb:
        """(H, W) train ids -> (H, W, 3) RGB."""
        return self.palette[labels]

    def encode(self, labels: Labels) -> Labels:
        """Train ids -> the data set's own ids."""
        table = np.full(256, self.ignore_id, np.uint8)
        table[: len(self)] = self.ids
        return table[labels]

    def decode(self, ids: NDArray[Any], *, name: str = "label image", strict: bool = False) -> Labels:
        """The data set's own ids -> train ids; unknown ids become 255, or LabelError if `strict`."""
        if ids.ndim != 2 or ids.dtype.kind not in "ui":
            raise LabelError(
                f"{name} is {ids.dtype} of shape {ids.shape}",
                expected="one channel of whole numbers",
                do="give label ids, not colours",
            )
        table = np.full(256, IGNORE, np.uint8)
        table[list(self.ids)] = np.arange(len(self), dtype=np.uint8)
        if ids.size and (int(ids.min()) < 0 or int(ids.max()) > 255):
            raise LabelError(f"{name} holds id {int(ids.max())}", expected="ids 0..255", do="check the file")
        if strict:
            known = {*self.ids, self.ignore_id, IGNORE}
            foreign = sorted(set(np.unique(ids).tolist()) - known)
            if foreign:
                raise LabelError(
                    f"{name} holds ids {foreign[:5]}",
                    expected=f"the ids of label set {self.name!r}: {sorted(known)}",
                    do="choose the label set that the file was written with",
                )
        return table[ids.astype(np.uint8)]

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "names": list(self.names),
            "colours": [list(c) for c in self.colours],
            "ids": list(self.ids),
            "ignore_id": self.ignore_id,
        }


@dataclass(frozen=True)
class LabelMap:
    """Says which class of `target` each class of `source` is; 255 = none. Applied after the argmax."""

    name: str
    source: LabelSet
    target: LabelSet
    table: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.table) != len(self.source):
            raise LabelError(
                f"label map {self.name!r} has {len(self.table)} entries",
                expected=f"one for each of the {len(self.source)} classes of {self.source.name!r}",
                do="add the missing ones",
            )
        if any(t != IGNORE and not 0 <= t < len(self.target) for t in self.table):
            raise LabelError(
                f"label map {self.name!r} points outside {self.target.name!r}",
                expected=f"0..{len(self.target) - 1} or 255",
                do="correct the map",
            )

    def __call__(self, labels: Labels) -> Labels:
        lookup = np.full(256, IGNORE, np.uint8)
        lookup[: len(self.table)] = self.table
        return lookup[labels]


CITYSCAPES19 = LabelSet(
    "cityscapes19",
    (
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic-light", "traffic-sign", "vegetation",
        "terrain", "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle",
    ),
    (
        (128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153),
        (250, 170, 30), (220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60),
        (255, 0, 0), (0, 0, 142), (0, 0, 70), (0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32),
    ),
    (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33),
    ignore_id=0,
)  # fmt: skip

CAMVID11 = LabelSet(
    "camvid11",
    (
        "sky", "building", "pole", "road", "pavement", "tree", "sign-symbol", "fence", "car", "pedestrian",
        "bicyclist",
    ),
    (
        # Not CamVid's own: of those some are near black, and on a dark road hard to tell apart.
        (110, 180, 245), (170, 90, 60), (225, 225, 225), (125, 70, 160), (255, 150, 225), (125, 190, 30),
        (255, 140, 0), (20, 115, 85), (30, 95, 255), (255, 35, 95), (0, 235, 225),
    ),
    tuple(range(11)),
    ignore_id=11,
)  # fmt: skip

LABEL_SETS: dict[str, LabelSet] = {s.name: s for s in (CAMVID11, CITYSCAPES19)}

LABEL_MAPS: dict[str, LabelMap] = {
    "cityscapes19-to-camvid11": LabelMap(
        "cityscapes19-to-camvid11",
        CITYSCAPES19,
        CAMVID11,
        (3, 4, 1, 7, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 8, 10, 10),
    ),
}


def numbered(classes: int) -> LabelSet:
    """A label set for a network whose classes have no names: class-0, class-1, ... in distinct colours."""
    hues = (np.arange(classes) * 0.61803398875) % 1.0
    colours = tuple(_hue(float(h), 0.95 if i % 2 else 0.7) for i, h in enumerate(hues))
    return LabelSet(f"classes{classes}", tuple(f"class-{i}" for i in range(classes)), colours, tuple(range(classes)))


def usual(classes: int) -> LabelSet:
    """The label set that a network of so many classes most likely has: a known one, else `numbered`."""
    return next((known for known in LABEL_SETS.values() if len(known) == classes), None) or numbered(classes)


def _hue(hue: float, value: float) -> Colour:
    import colorsys

    r, g, b = colorsys.hsv_to_rgb(hue, 0.75, value)
    return round(r * 255), round(g * 255), round(b * 255)


def label_set(which: str | Path | LabelSet | Sequence[str]) -> LabelSet:
    """A label set by name (`camvid11`), from a YAML file, or from a list of class names.

    The YAML holds `names` and, as wanted, `name`, `colours`, `ids`, `ignore_id`.
    """
    if isinstance(which, LabelSet):
        return which
    if not isinstance(which, (str, Path)):
        names = validate(cast(Any, _Names), which, whole="label set", do="see docs/labels.md", error=LabelError)
        return replace(numbered(len(names)), name="custom", names=tuple(names))
    if str(which) in LABEL_SETS:
        return LABEL_SETS[str(which)]
    path = Path(which)
    if path.suffix.lower() not in (".yaml", ".yml"):
        raise unknown(
            f"label set {shown(str(which))} is not known",
            str(which)[:60],
            sorted(LABEL_SETS),
            also="or a .yaml file",
            otherwise="see docs/labels.md for the file's form",
            error=LabelError,
        )
    record = read_yaml(
        path, what="label file", expected="names: [road, car, ...]", do="see docs/labels.md", error=LabelError
    )
    return label_set_from_record(record, name=path.stem, source=f"label file {path}")


_Names = Annotated[Sequence[Name], Expected("a name, a .yaml file, or a list of class names")]


@dataclass(frozen=True)
class _Form:
    """A label file."""

    names: Annotated[tuple[Name, ...], MinLen(1)]
    name: Name | None = None
    colours: tuple[_Colour, ...] | None = None
    ids: tuple[_Byte, ...] | None = None
    ignore_id: _Byte = IGNORE


def label_set_from_record(record: Any, *, name: str, source: str = "") -> LabelSet:
    """A label set from the plain values of `LabelSet.to_json` or of a YAML file; errors say that they are of `source`.

    What is left out is as `numbered` has it.
    """
    form = validate(_Form, record, source=source or f"label set {name!r}", whole="it", error=LabelError)
    base = numbered(len(form.names))
    return LabelSet(
        form.name or name,
        form.names,
        base.colours if form.colours is None else form.colours,
        base.ids if form.ids is None else form.ids,
        form.ignore_id,
    )


def label_map(source: LabelSet, target: LabelSet, *, name: str | None = None) -> LabelMap:
    """The map from one label set to another: the named one, the identity, or the known one.

    Raises LabelError where none fits.
    """
    if name is not None:
        if name not in LABEL_MAPS:
            raise unknown(f"label map {name!r} is not known", name, sorted(LABEL_MAPS), error=LabelError)
        known = LABEL_MAPS[name]
        if known.source.names != source.names or known.target.names != target.names:
            raise LabelError(
                f"label map {name!r} goes from {known.source.name!r} to {known.target.name!r}",
                expected=f"a map from {source.name!r} to {target.name!r}",
                do="leave map_name= out or choose another",
            )
        return known
    if source.names == target.names:
        return LabelMap(f"{source.name}-as-is", source, target, tuple(range(len(source))))
    for known in LABEL_MAPS.values():
        if known.source.names == source.names and known.target.names == target.names:
            return known
    raise LabelError(
        f"no map is known from label set {source.name!r} to {target.name!r}",
        expected=f"labels of {target.name!r}, or one of the maps {', '.join(sorted(LABEL_MAPS))}",
        do="give map_name=, another label set for the data set, or a network with its classes",
    )
