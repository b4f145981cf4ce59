"""Plain values, as YAML and JSON give them, to typed ones; what does not fit becomes one line of segtween's own words.

Pydantic does the checking. None of its texts reaches a person: from its errors only the place is taken, and the words
come from the type that stands there (`hints.words_of`, `fields.Expected`).
"""

from __future__ import annotations

import reprlib
from dataclasses import is_dataclass
from functools import cache
from typing import Any, TypeVar, cast

from segtween.errors import SegtweenError, SettingError, unknown
from segtween.validation.hints import bare, below, keys_of, own_words, words_of

T = TypeVar("T")
Place = tuple[Any, ...]


def validate(
    kind: type[T],
    values: Any,
    *,
    source: str = "",
    whole: str = "the record",
    do: str = "correct it",
    error: type[SegtweenError] = SettingError,
) -> T:
    """`values` as a `kind`: a dataclass (nested ones from mappings, unknown fields refused), a tuple, a number, ...

    Types are strict: a number is no text, `true` is no number; but a whole number may stand for a float and a list for
    a tuple, as YAML has no tuples. Floats are finite. A field whose name in the file is another one says so in its
    metadata: `field(metadata={"key": "size"})`.

    Raises `error`: `<source>: <place> is <value>; expected <...>; <do>`, where a value that is no part of a larger one
    is called `whole`. A SegtweenError of a dataclass's `__post_init__` is raised anew as that.
    """
    from pydantic import ValidationError

    before = f"{source}: " if source else ""
    try:
        return _validator(cast(Any, kind)).validate_python(values)
    except SegtweenError as problem:
        got, expected, do = problem.got, problem.expected, problem.do
    except ValidationError as problem:
        found = problem.errors(include_url=False, include_input=False)
        first = min(found, key=lambda e: e["type"] not in _UNKNOWN)
        refusal = _problem(kind, values, first["loc"], first["type"], whole=whole, do=do)
        got, expected, do = refusal.got, refusal.expected, refusal.do
    raise error(before + got, expected=expected, do=do)


_UNKNOWN, _MISSING = ("unexpected_keyword_argument", "invalid_key"), "missing"


def shown(value: Any) -> str:
    """The value as Python writes it, shortened."""
    try:
        return _SHORT.repr(value)
    except ValueError:
        return "a number of very many digits"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60
_SHORT.maxlevel = 3


# ── The words of an error ─────────────────────────────────────────────────────────────────────


def _problem(kind: Any, values: Any, place: Place, error_type: str, *, whole: str, do: str) -> SegtweenError:
    above, holder, _ = _at(kind, values, place[:-1])
    if error_type in (*_UNKNOWN, _MISSING) and above == len(place) - 1 and is_dataclass(bare(holder)):
        known, where, key = keys_of(bare(holder)), _dotted(place[:-1], whole=whole), place[-1]
        if error_type == _MISSING:
            return SegtweenError(f"{where} has no field {key!r}", expected=f"{key}: ...", do="add it")
        text = key if isinstance(key, str) else str(key)
        return unknown(
            f"{where} has an unknown field {shown(key)}",
            text[:60],
            sorted(known),
            among="fields out of",
            otherwise="remove it",
            error=SegtweenError,
        )
    if place and place[-1] == "[key]":
        return SegtweenError(
            f"{_dotted(place[:-2], whole=whole)} has the key {shown(place[-2])}", expected="text", do=do
        )
    depth, hint, value = _at(kind, values, place)
    return SegtweenError(f"{_dotted(place[:depth], whole=whole)} is {shown(value)}", expected=words_of(hint), do=do)


def _dotted(place: Place, *, whole: str) -> str:
    steps = (f"[{step}]" if isinstance(step, int) else f".{str(step)[:60]}" for step in place)
    path = "".join(steps).removeprefix(".")
    return whole + path if not path or path.startswith("[") else path


def _at(kind: Any, values: Any, place: Place) -> tuple[int, Any, Any]:
    """(steps taken, type, value) at a place, or above it where a type has words of its own or the way ends."""
    depth = 0
    for step in place:
        inner = below(kind, step)
        if own_words(kind) or inner is None:
            break
        try:
            values = values[step]
        except (LookupError, TypeError):
            break
        kind, depth = inner, depth + 1
    return depth, kind, values


# ── The schema ────────────────────────────────────────────────────────────────────────────────


@cache
def _validator(kind: Any) -> Any:
    from pydantic import TypeAdapter
    from pydantic_core import SchemaValidator

    return SchemaValidator(_strict(TypeAdapter(kind).core_schema))


def _strict(schema: Any) -> Any:
    """Pydantic's schema of a type with scalars that take no other type's values, finite floats, dataclasses that take
    no unknown fields, and the fields' names in files. Strictness as a whole would refuse mappings for dataclasses and
    lists for tuples."""
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    new = {
        key: value if key in ("metadata", "default", "expected") else _strict(value) for key, value in schema.items()
    }
    kind = schema.get("type")
    if kind in ("int", "float", "str", "bool"):
        new["strict"] = True
    if kind == "float":
        new["allow_inf_nan"] = False
    if kind == "dataclass":
        names = {own.name: key for key, own in keys_of(schema["cls"]).items()}
        inner = new["schema"]
        while inner["type"] != "dataclass-args":
            inner = inner["schema"]
        inner["extra_behavior"] = "forbid"
        for own in inner["fields"]:
            own["validation_alias"] = names[own["name"]]
    return new
