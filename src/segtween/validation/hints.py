"""Type hints: metadata of `typing.Annotated` that says what a field accepts besides its type, and types that many
records need; the fields and items below a hint, its metadata, and a description of what it accepts.

Bounds are those of the package annotated_types: `Annotated[float, Gt(0)]`, `Annotated[int, Interval(ge=1, le=9)]`.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Gt, Interval, MinLen, Predicate


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
