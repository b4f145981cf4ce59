"""From a YAML file to checked dataclasses: every wrong, missing or unknown field is named."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from segtween import validation
from segtween.errors import SettingError
from segtween.types import SizeHW

Range = tuple[float, float]


def check(good: bool, name: str, value: Any, expected: str) -> None:
    """SettingError that names the field unless `good`."""
    if not good:
        raise SettingError(f"{name} is {value!r}", expected=expected, do="correct the recipe")


def check_range(name: str, value: Range, *, low: float, high: float) -> None:
    good = len(value) == 2 and low <= value[0] <= value[1] <= high
    check(good, name, list(value), f"two numbers, the smaller first, in {low:g}..{high:g}")


def parse_size(text: Any, *, name: str) -> SizeHW:
    """(height, width) of `WIDTHxHEIGHT`."""
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", str(text))
    check(found is not None, name, text, "WIDTHxHEIGHT, such as 480x352")
    assert found is not None
    return int(found[2]), int(found[1])


def read_yaml(path: Path) -> Any:
    """The values of a recipe file; SettingError where it cannot be read."""
    return validation.read_yaml(path, what="recipe", expected="field: value lines")


def build(kind: Any, values: Any, *, where: str = "") -> Any:
    """A dataclass from plain values. Fields that are dataclasses are built from mappings, tuples of them from lists;
    a field that may be None takes what is given. SettingError says which field is wrong."""
    check(isinstance(values, Mapping), where.rstrip(".") or "recipe", values, "field: value lines")
    known = {f.name for f in fields(kind)}
    unknown = sorted(set(map(str, values)) - known)
    if unknown:
        raise SettingError(
            f"{where}{unknown[0]} is no field of a recipe",
            expected=f"out of {', '.join(sorted(known))}",
            do="rename it",
        )
    hints = get_type_hints(kind)
    built = {name: _value(hints[name], value, where=where, name=name) for name, value in values.items()}
    missing = [f.name for f in fields(kind) if f.name not in built and _is_needed(f)]
    if missing:
        raise SettingError(f"{where}{missing[0]} is missing", expected=f"{missing[0]}: ...", do="add it to the recipe")
    try:
        return kind(**built)
    except SettingError as error:
        if where.endswith("]."):
            raise SettingError(f"{where}{error.got}", expected=error.expected, do=error.do) from None
        raise


def _value(hint: Any, value: Any, *, where: str, name: str) -> Any:
    inner = (get_args(hint) or (None,))[0]
    if is_dataclass(hint):
        return build(hint, value, where=f"{where}{name}.")
    if get_origin(hint) is tuple and is_dataclass(inner):
        check(isinstance(value, Sequence) and not isinstance(value, str), name, value, "a list of sources")
        return tuple(build(inner, v, where=f"{where}{name}[{i}].") for i, v in enumerate(value))
    if type(None) in get_args(hint):
        check(value is None or isinstance(value, inner), name, value, "the name of a recipe file")
        return value
    return _plain(hint, value, name=where + name)


def _is_needed(f: Any) -> bool:
    return f.default is MISSING and f.default_factory is MISSING


def _plain(hint: Any, value: Any, *, name: str) -> Any:
    """`value` as the field's type wants it, YAML lists as tuples."""
    if get_origin(hint) is tuple:
        inner = get_args(hint)[0]
        check(isinstance(value, Sequence) and not isinstance(value, str), name, value, "a list")
        items = tuple(_plain(inner, v, name=name) for v in value)
        if Ellipsis not in get_args(hint):
            check(len(items) == len(get_args(hint)), name, list(value), f"{len(get_args(hint))} values")
        return items
    if hint is float:
        check(isinstance(value, (int, float)) and not isinstance(value, bool), name, value, "a number")
        return float(value)
    if hint is int:
        check(isinstance(value, int) and not isinstance(value, bool), name, value, "a whole number")
        return value
    if hint is bool:
        check(isinstance(value, bool), name, value, "true or false")
        return value
    check(isinstance(value, str), name, value, "text")
    return value
