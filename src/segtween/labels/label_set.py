"""Label sets (names, colours, ids, ignore) and maps between them.

In memory a label is a train id: uint8, 0..C-1, 255 = ignore. Files may hold a data set's own ids;
`LabelSet.encode` and `LabelSet.decode` go from one to the other.
"""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segtween.errors import LabelError, SettingError, unknown
from segtween.labels.naming import comparable, find_name
from segtween.labels.palettes import Colour, colour_blind_safe
from segtween.types import IGNORE, Labels, Rgb

MOST_CLASSES = 254
"""A label is one byte, 255 is ignore, and 254 stays free."""

_NAME = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")
"""What files of lines, tables and XML can hold."""

PaletteName = Literal["usual", "colour-blind"]


@dataclass(frozen=True, repr=False)
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
                f"label set {self.name!r} has {n} classes",
                expected=f"1 to {MOST_CLASSES}, because a label is one byte",
                do="check its names, or merge classes before the argmax",
            )
        if len(self.colours) != n or len(self.ids) != n:
            raise LabelError(
                f"label set {self.name!r} has {n} names, {len(self.colours)} colours and {len(self.ids)} ids",
                expected="as many of each",
                do="give one colour and one id per name",
            )
        if len(set(self.names)) != n or len(set(self.ids)) != n:
            both = (*self.names, *self.ids)
            twice = next(one for one in both if both.count(one) > 1)
            raise LabelError(
                f"label set {self.name!r} repeats a name or an id ({twice!r})", expected="each once", do="rename it"
            )
        unfit = [name for name in self.names if not isinstance(name, str) or not _NAME.fullmatch(name)]
        if unfit:
            raise LabelError(
                f"label set {self.name!r} has the name {str(unfit[0])[:60]!r}",
                expected="text of one line without control characters",
                do="correct it",
            )
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
        """Train id of a class by its name, or by another name of the same thing (`person` is `pedestrian`); LabelError
        names the nearest."""
        found = find_name(name, self.names)
        if found is None:
            raise unknown(
                f"class {name!r} is not in label set {self.name!r}", comparable(name), self.names, error=LabelError
            )
        return found

    def choose(self, names: Sequence[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """The train ids of classes by name, each once, and a line for each that has another name here."""
        if isinstance(names, str) or not names or not all(isinstance(name, str) for name in names):
            raise SettingError(f"classes={names!r}", expected="a list of class names", do="name one, or leave it out")
        found = {name: self.index(name) for name in names}
        notes = tuple(
            f"class {name!r} is {self.names[i]!r} in label set {self.name!r}"
            for name, i in found.items()
            if comparable(name) != comparable(self.names[i])
        )
        return tuple(dict.fromkeys(found.values())), notes

    def with_palette(self, palette: PaletteName) -> LabelSet:
        """The same classes in their usual colours, or in ones that people of any colour vision can tell apart."""
        if palette not in get_args(PaletteName):
            raise SettingError(f"palette={palette!r}", expected=" or ".join(get_args(PaletteName)), do="choose one")
        return self if palette == "usual" else replace(self, colours=colour_blind_safe(len(self)))

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

    def __repr__(self) -> str:
        some = ", ".join(self.names[:4]) + (", ..." if len(self) > 4 else "")
        return f"LabelSet({self.name}, {len(self)} classes: {some})"

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


def numbered(classes: int) -> LabelSet:
    """A label set for a network whose classes have no names: class-0, class-1, ... in distinct colours."""
    hues = (np.arange(classes) * 0.61803398875) % 1.0
    colours = tuple(_hue(float(h), 0.95 if i % 2 else 0.7) for i, h in enumerate(hues))
    return LabelSet(f"classes{classes}", tuple(f"class-{i}" for i in range(classes)), colours, tuple(range(classes)))


def _hue(hue: float, value: float) -> Colour:
    r, g, b = colorsys.hsv_to_rgb(hue, 0.75, value)
    return round(r * 255), round(g * 255), round(b * 255)
