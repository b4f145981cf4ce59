"""How lists and sizes on the command line are read."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from segtween.errors import SettingError

if TYPE_CHECKING:
    from segtween.types import SizeHW


def words(text: str | None) -> list[str] | None:
    """`a,b` -> ["a", "b"]; None for nothing given."""
    if text is None:
        return None
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(text: str, *, option: str) -> list[int]:
    """`0,4,9` -> [0, 4, 9]; SettingError for anything else."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(
            f"{option} {text!r}", expected="whole numbers with commas between", do=f"give {option} 0,4,9"
        ) from None
    if any(n < 0 for n in found):
        raise SettingError(f"{option} {text!r}", expected="numbers of 0 or more", do=f"give {option} 0,4,9")
    return found


def scales(text: str, *, option: str = "--scales") -> list[float]:
    """`0.5,1` -> [0.5, 1.0]; SettingError for anything else."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(
            f"{option} {text!r}", expected="numbers with commas between", do=f"give {option} 0.5,0.75,1"
        ) from None


def command_line() -> str:
    return shlex.join(["segtween", *sys.argv[1:]])


def size(text: str, *, option: str = "--size") -> SizeHW:
    """`2048x1024` (width x height) -> (1024, 2048)."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdigit() and int(p) > 0 for p in parts):
        raise SettingError(f"{option} {text!r}", expected="WIDTHxHEIGHT in pixels", do=f"give {option} 2048x1024")
    return int(parts[1]), int(parts[0])
