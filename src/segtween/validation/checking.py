"""Plain values, as YAML and JSON give them, to typed ones; what does not fit becomes one line of segtween's own words.

Pydantic does the checking. None of its texts reaches a person: from its errors only the place is taken, and the words
come from the type that stands there (`words_of`, `Expected`). What a field accepts besides its type is metadata of
`typing.Annotated`; bounds are those of the package annotated_types: `Annotated[float, Gt(0)]`,
`Annotated[int, Interval(ge=1, le=9)]`.
"""

from __future__ import annotations

import reprlib
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from pathlib import PurePath
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from annotated_types import Gt, Interval, MinLen, Predicate

from segtween.errors import SegtweenError, SettingError, unknown

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


# ── Type hints ────────────────────────────────────────────────────────────────────────────────


def layers(kind: Any) -> Iterator[tuple[Any, Sequence[Any]]]:
    """A type and what is inside of its `Annotated` and `| None`, each with its own metadata."""
    while True:
        if get_origin(kind) is Annotated:
            kind, marks = kind.__origin__, kind.__metadata__
        else:
            marks = ()
        yield kind, marks
        some = [arg for arg in get_args(kind) if arg is not type(None)]
        if get_origin(kind) not in (Union, types.UnionType) or len(some) != 1:
            return
        kind = some[0]


def bare(kind: Any) -> Any:
    return [layer for layer, _ in layers(kind)][-1]


def metadata(kind: Any) -> list[Any]:
    return [mark for _, marks in layers(kind) for mark in marks]


def own_words(kind: Any) -> str:
    return next((mark.words for mark in metadata(kind) if isinstance(mark, Expected)), "")


def below(kind: Any, step: Any) -> Any:
    """The type of one field or item, None where there is none."""
    kind = bare(kind)
    if is_dataclass(kind):
        own = keys_of(kind).get(step)
        return None if own is None else get_type_hints(kind, include_extras=True)[own.name]
    args, origin = get_args(kind), get_origin(kind)
    if not args or not isinstance(origin, type):
        return None
    if issubclass(origin, Mapping):
        return args[1]
    if issubclass(origin, Sequence) and isinstance(step, int):
        return args[step] if origin is tuple and Ellipsis not in args and step < len(args) else args[0]
    return None


def keys_of(kind: Any) -> dict[str, Field[Any]]:
    """Name in a file -> field of a dataclass."""
    return {f.metadata.get("key", f.name): f for f in fields(kind) if f.init}


def words_of(kind: Any) -> str:
    """What a type wants, in words that follow "expected"."""
    if own := own_words(kind):
        return own
    marks, kind = metadata(kind), bare(kind)
    args, origin = get_args(kind), get_origin(kind) or kind
    if origin is Literal:
        return "one of " + ", ".join(map(str, args))
    if is_dataclass(kind):
        known = keys_of(kind)
        needed = [key for key, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
        return "a mapping with " + ", ".join(sorted(needed or known))
    if origin is tuple and args and Ellipsis not in args:
        return f"{len(args)} values"
    for types_, words in _WORDS:
        if isinstance(origin, type) and issubclass(origin, types_):
            return words + _bounds(marks)
    return "a value of another form"


_WORDS: tuple[tuple[type, str], ...] = (
    (str, "text"),
    (bool, "true or false"),
    (int, "a whole number"),
    (float, "a number"),
    (Mapping, "a mapping"),
    (Sequence, "a list"),
)


def _bounds(marks: Sequence[Any]) -> str:
    gt, ge, lt, le = (next((v for m in marks if (v := getattr(m, name, None)) is not None), None) for name in _BOUNDS)
    if ge is not None and le is not None:
        return f" from {ge} to {le}"
    least, most = (next((v for m in marks if (v := getattr(m, name, None))), None) for name in _LENGTHS)
    if least or most:
        return f" with {f'{least or 0} to {most}' if most else f'{least} or more'} entries"
    parts = ((gt, "above"), (ge, "of at least"), (lt, "below"), (le, "of at most"))
    bounds = " and ".join(f"{word} {value}" for value, word in parts if value is not None)
    return f" {bounds}" if bounds else ""


_LENGTHS = ("min_length", "max_length")
_BOUNDS = ("gt", "ge", "lt", "le")


LONGEST_PATH = 1000
LONGEST_NAME = 255
"""Bytes of one name in a path, on every usual file system."""


@dataclass(frozen=True)
class Expected:
    """What the field wants, in words that follow "expected". Needed where its type alone does not say it."""

    words: str


@dataclass(frozen=True)
class Parsed:
    """The field is written in another form, which `parse` reads; ValueError where it cannot."""

    parse: Callable[[Any], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self.parse, handler(source))


def _is_path(text: str) -> bool:
    parts = PurePath(text).parts
    short = len(text) <= LONGEST_PATH and all(len(part.encode(errors="replace")) <= LONGEST_NAME for part in parts)
    return bool(parts) and short and "\0" not in text


Name = Annotated[str, MinLen(1), Expected("a name")]
FileName = Annotated[str, Predicate(_is_path), Expected("the name of a file")]
Positive = Annotated[float, Gt(0)]
Whole = Annotated[int, Interval(ge=0, le=2**63 - 1)]
