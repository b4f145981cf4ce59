"""What a field's type says besides its type: metadata of `typing.Annotated`, and types that many records need.

Bounds are those of the package annotated_types: `Annotated[float, Gt(0)]`, `Annotated[int, Interval(ge=1, le=9)]`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any

from annotated_types import Gt, Interval, MinLen, Predicate

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
