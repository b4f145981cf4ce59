"""What all recipes share: sources, augmentation, and how a recipe is hashed and shortened.

A recipe is one YAML file that says everything a training depends on but the place of the data. Every field is checked
when the recipe is made, and the error names the field. Each published weight has its recipe in `recipes/`.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from annotated_types import Predicate

from segtween.training.fields import Checked, Count, Part, Positive, Range, Seeds, Size, check, parse_size
from segtween.types import SizeHW
from segtween.validation import Expected


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
    def parse(cls, text: str) -> NameRange:
        """ValueError for a text of another form."""
        found = re.fullmatch(r"(.*?)(\d+)\s*\.\.\s*(.*?)(\d+)", text)
        if found is None or found[1] != found[3] or int(found[2]) > int(found[4]):
            raise ValueError(text)
        return cls(found[1], int(found[2]), int(found[4]))


def _is_range(text: str) -> bool:
    try:
        NameRange.parse(text)
    except ValueError:
        return False
    return True


Excluded = Annotated[
    tuple[Annotated[str, Predicate(_is_range)], ...],
    Expected("a list of FIRST..LAST, two frame names of one recording, such as 0001_10..0001_20"),
]


class Sampled(Checked):
    """What every source of a recipe says of its share, its names and its rendered clips."""

    kind: str
    name: str
    share: float
    list: str
    exclude: Excluded
    seeds: Seeds
    frames: int
    stride: int
    size: str

    @property
    def ranges(self) -> tuple[NameRange, ...]:
        return tuple(NameRange.parse(text) for text in self.exclude)

    @property
    def size_hw(self) -> SizeHW:
        return parse_size(self.size)

    def named(self, read: str) -> None:
        """A source without a name is called after what it reads, or its seeds."""
        if not self.name:
            object.__setattr__(self, "name", read or f"street {self.seeds[0]}..{self.seeds[1]}")


R = TypeVar("R", bound="BaseRecipe")


class BaseRecipe(Checked):
    """What every recipe says; a recipe of one kind gives more of these as fields.

    `later` holds fields that came after recipes were published, with their defaults: where they have them they do not
    count in the hash, so that published hashes stay.
    """

    name: str
    trains: str = ""
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
        return parse_size(self.crop)

    @property
    def sha256(self) -> str:
        """Of the values, not of the file: comments and order do not count; those of `after` do."""
        values = _without(asdict(self), self.later)  # type: ignore[call-overload]
        if self.after is None:
            values.pop("after", None)
        text = json.dumps(values, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def check_shared(self, groups: tuple[str, ...] = ("train",), *, multiple_of: int) -> None:
        """What depends on several fields in recipes of every kind; `multiple_of` is of the crop's sides."""
        for group in groups:
            names = [source.name for source in getattr(self, group)]
            check(len(set(names)) == len(names), f"{group}.name", names, "each name once")
        check(self.batch % self.accumulate == 0, "accumulate", self.accumulate, f"a divisor of batch, {self.batch}")
        good = all(side % multiple_of == 0 for side in self.crop_hw)
        check(good, "crop", self.crop, f"sides that are multiples of {multiple_of}")
        warmup = getattr(self.optimiser, "warmup", 0)
        check(warmup == 0 or warmup < self.steps, "optimiser.warmup", warmup, "less than steps")

    def check_after(self, *same: str) -> None:
        """This one begins with what the one before it learnt, so some fields have to be the same."""
        for what in same if self.after is not None else ():
            own, first = getattr(self, what), getattr(self.after, what)
            check(own == first, what, own, f"{first}, as in {self.after.name}, which comes before")

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
    stride   street: every n-th frame of a clip is taken, so that they differ
    size     street: WIDTHxHEIGHT of the rendered frames
    """

    kind: Literal["list", "street"]
    name: str = ""
    share: Positive = 1.0
    list: str = ""
    exclude: Excluded = ()
    seeds: Seeds = (0, 0)
    frames: Count = 1
    stride: Count = 10
    size: Size = "480x360"

    def __post_init__(self) -> None:
        super().__post_init__()
        check((self.kind == "list") == bool(self.list), "list", self.list, "a file name, for kind list only")
        check(self.kind == "list" or not self.exclude, "exclude", self.exclude, "nothing for kind street")
        self.named(self.list)


def _within(low: float, high: float) -> Predicate:
    return Predicate(lambda pair: low <= pair[0] <= pair[1] <= high)


_RISING = "two numbers, the smaller first, in "
Scale = Annotated[Range, _within(0.1, 10), Expected(_RISING + "0.1..10")]
Aspect = Annotated[Range, _within(0.25, 4), Expected(_RISING + "0.25..4")]
Factor = Annotated[Range, _within(0, 4), Expected(_RISING + "0..4")]
Shift = Annotated[Range, _within(-0.5, 0.5), Expected(_RISING + "-0.5..0.5")]


@dataclass(frozen=True)
class Augment(Checked):
    """Random changes of a training sample, drawn evenly from each range; (1, 1) or 0 leaves them out.

    scale       size of the picture relative to the crop at which it just fills it
    aspect      stretch of width against height
    flip        chance of mirroring left and right, 0..1
    brightness  factor of all values
    contrast    factor of the distance from the mean value
    saturation  factor of the distance from grey
    hue         shift of the hue, in turns, -0.5..0.5
    """

    where: ClassVar[str] = "augment."
    scale: Scale = (1.0, 1.0)
    aspect: Aspect = (1.0, 1.0)
    flip: Part = 0.5
    brightness: Factor = (1.0, 1.0)
    contrast: Factor = (1.0, 1.0)
    saturation: Factor = (1.0, 1.0)
    hue: Shift = (0.0, 0.0)
