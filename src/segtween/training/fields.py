"""What the fields of recipes may be, checked whenever a recipe or a part of one is made: from a file and in code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any, ClassVar, get_args, get_type_hints

from annotated_types import Ge, Gt, Interval, Predicate

from segtween.errors import SettingError
from segtween.types import SizeHW
from segtween.validation import Expected, validate

DO = "correct the recipe"
_SIZE = re.compile(r"([1-9]\d*)x([1-9]\d*)")

Positive = Annotated[float, Gt(0)]
NotNegative = Annotated[float, Ge(0)]
AtLeastOne = Annotated[float, Ge(1)]
Part = Annotated[float, Interval(ge=0, le=1)]
Weight = Annotated[float, Interval(ge=0, le=100)]
Count = Annotated[int, Ge(1)]
CountOrNone = Annotated[int, Ge(0)]
ModelName = Annotated[str, Predicate(re.compile(r"[\w.+-]+").fullmatch), Expected("letters, digits, dots and dashes")]
_SIZED = Expected("WIDTHxHEIGHT, such as 480x352")
Size = Annotated[str, Predicate(_SIZE.fullmatch), _SIZED]
SizeOrNone = Annotated[str, Predicate(lambda text: text == "" or _SIZE.fullmatch(text)), _SIZED]
Range = tuple[float, float]


Seeds = Annotated[
    tuple[Annotated[int, Ge(0)], Annotated[int, Ge(0)]],
    Predicate(lambda pair: pair[0] <= pair[1]),
    Expected("two numbers from 0, the smaller first"),
]


def check(good: bool, name: str, value: Any, expected: str) -> None:
    """SettingError that names the field unless `good`: for what depends on several fields."""
    if not good:
        raise SettingError(f"{name} is {value!r}", expected=expected, do=DO)


class Checked:
    """A part of a recipe: a frozen dataclass whose values fit their types; `where` stands before its fields' names."""

    where: ClassVar[str] = ""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self), include_extras=True)
        for own in fields(self):  # type: ignore[arg-type]
            value = validate(hints[own.name], getattr(self, own.name), whole=self.where + own.name, do=DO)
            object.__setattr__(self, own.name, value)


def parse_size(text: str) -> SizeHW:
    """(height, width) of a `Size`."""
    found = _SIZE.fullmatch(text)
    assert found is not None
    return int(found[2]), int(found[1])


def build(kind: type[Any], values: Any) -> Any:
    """A recipe from plain values; SettingError says which field is wrong, and of which source."""
    if isinstance(values, Mapping):
        hints = get_type_hints(kind, include_extras=True)
        groups = [g for g in ("train", "evaluate") if g in hints and isinstance(values.get(g), list)]
        values = {**values, **{g: _sources(hints[g], g, values[g]) for g in groups}}
    return validate(kind, values, whole="the recipe", do=DO)


def _sources(hint: Any, group: str, values: list[Any]) -> list[Any]:
    kind = get_args(get_args(hint)[0] if hasattr(hint, "__metadata__") else hint)[0]
    return [validate(kind, v, source=f"{group}[{i}]", whole="the source", do=DO) for i, v in enumerate(values)]
