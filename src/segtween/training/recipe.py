"""What all recipes share: sources, augmentation, and how a recipe is hashed and shortened.

A recipe is one YAML file that says everything a training depends on but the place of the data. Every field is checked
when the recipe is made, and the error names the field. Each published weight has its recipe in `recipes/`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar, Literal, TypeVar, get_args

from segtween.training.fields import Range, check, check_range, parse_size
from segtween.types import SizeHW

Kind = Literal["list", "street"]


@dataclass(frozen=True)
class NameRange:
    """Frames of one recording, by number: `0016E5_07800..0016E5_08310` holds both ends and all between."""

    prefix: str
    first: int
    last: int

    def __contains__(self, name: object) -> bool:
        found = re.fullmatch(r"(.*?)(\d+)", str(name))
        return found is not None and found[1] == self.prefix and self.first <= int(found[2]) <= self.last

    @classmethod
    def parse(cls, text: Any) -> NameRange:
        found = re.fullmatch(r"(.*?)(\d+)\s*\.\.\s*(.*?)(\d+)", str(text))
        good = found is not None and found[1] == found[3] and int(found[2]) <= int(found[4])
        check(good, "exclude", text, "FIRST..LAST, two frame names of one recording, such as 0001_10..0001_20")
        assert found is not None
        return cls(found[1], int(found[2]), int(found[4]))


class Sampled:
    """What every source of a recipe says of its share, its names and its rendered clips."""

    share: float
    exclude: tuple[str, ...]
    seeds: tuple[int, int]
    frames: int
    stride: int
    size: str

    def check_shares_and_clips(self) -> None:
        check(self.share > 0, "share", self.share, "a number above 0")
        check(0 <= self.seeds[0] <= self.seeds[1], "seeds", list(self.seeds), "two numbers from 0, the smaller first")
        check(self.frames >= 1, "frames", self.frames, "1 or more")
        check(self.stride >= 1, "stride", self.stride, "1 or more")

    @property
    def ranges(self) -> tuple[NameRange, ...]:
        return tuple(NameRange.parse(text) for text in self.exclude)

    @property
    def size_hw(self) -> SizeHW:
        return parse_size(self.size, name="size")


R = TypeVar("R", bound="BaseRecipe")


class BaseRecipe:
    """What every recipe says; a recipe of one kind gives more of these as fields.

    `later` holds fields that came after recipes were published, with their defaults: where they have them they do not
    count in the hash, so that published hashes stay.
    """

    name: str
    trains: str = ""
    distributed: ClassVar[bool] = True
    seed: int
    steps: int
    epochs: int = 0
    early_stop: int = 0
    batch: int
    accumulate: int = 1
    precision: str
    crop: str
    licence: str
    optimiser: Any
    after: Any = None
    later: ClassVar[dict[str, Any]] = {}

    @property
    def crop_hw(self) -> SizeHW:
        return parse_size(self.crop, name="crop")

    @property
    def sha256(self) -> str:
        """Of the values, not of the file: comments and order do not count; those of `after` do."""
        values = _without(asdict(self), self.later)  # type: ignore[call-overload]
        if self.after is None:
            values.pop("after", None)
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def with_steps(self: R, steps: int) -> R:
        """The same recipe, and what comes before it, over another number of steps instead of its own or its epochs; a
        warm-up shrinks where it would not fit."""
        changes: dict[str, Any] = {"steps": steps}
        if self.epochs:
            changes["epochs"] = 0
        if self.after is not None:
            changes["after"] = self.after.with_steps(steps)
        if getattr(self.optimiser, "warmup", 0) >= steps:
            changes["optimiser"] = replace(self.optimiser, warmup=max(0, steps - 1))
        return replace(self, **changes)  # type: ignore[type-var]


def _without(values: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in values.items() if k not in defaults or v != defaults[k]}
    return {k: _without(v, defaults) if isinstance(v, dict) else v for k, v in kept.items()}


@dataclass(frozen=True)
class Source(Sampled):
    """Where images and labels come from.

    kind     list: a file of lines `image label`, paths beside that file; street: rendered, needs no data
    name     what the report calls it; by default the kind and the list or seeds
    share    part of the samples that comes from here, relative to the other sources' shares
    list     list: the file, below the data folder
    exclude  list: ranges of frame names that are left out, FIRST..LAST, both included
    seeds    street: first and last clip seed, both included
    frames   street: frames taken from each clip
    stride   street: every so many-th frame of a clip is taken, so that they differ
    size     street: WIDTHxHEIGHT of the rendered frames
    """

    kind: Kind
    name: str = ""
    share: float = 1.0
    list: str = ""
    exclude: tuple[str, ...] = ()
    seeds: tuple[int, int] = (0, 0)
    frames: int = 1
    stride: int = 10
    size: str = "480x360"

    def __post_init__(self) -> None:
        check(self.kind in get_args(Kind), "kind", self.kind, f"one of {', '.join(get_args(Kind))}")
        self.check_shares_and_clips()
        check((self.kind == "list") == bool(self.list), "list", self.list, "a file name, for kind list only")
        check(self.kind == "list" or not self.exclude, "exclude", self.exclude, "nothing for kind street")
        _ = self.ranges, parse_size(self.size, name="size")
        if not self.name:
            object.__setattr__(self, "name", self.list or f"street {self.seeds[0]}..{self.seeds[1]}")


@dataclass(frozen=True)
class Augment:
    """Random changes of a training sample, drawn evenly from each range; (1, 1) or 0 leaves them out.

    scale       size of the picture relative to the crop at which it just fills it
    aspect      stretch of width against height
    flip        chance of mirroring left and right, 0..1
    brightness  factor of all values
    contrast    factor of the distance from the mean value
    saturation  factor of the distance from grey
    hue         shift of the hue, in turns, -0.5..0.5
    """

    scale: Range = (1.0, 1.0)
    aspect: Range = (1.0, 1.0)
    flip: float = 0.5
    brightness: Range = (1.0, 1.0)
    contrast: Range = (1.0, 1.0)
    saturation: Range = (1.0, 1.0)
    hue: Range = (0.0, 0.0)

    def __post_init__(self) -> None:
        check_range("augment.scale", self.scale, low=0.1, high=10)
        check_range("augment.aspect", self.aspect, low=0.25, high=4)
        check(0 <= self.flip <= 1, "augment.flip", self.flip, "a number in 0..1")
        for name in ("brightness", "contrast", "saturation"):
            check_range(f"augment.{name}", getattr(self, name), low=0, high=4)
        check_range("augment.hue", self.hue, low=-0.5, high=0.5)
