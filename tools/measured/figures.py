"""Single figures: where they stand in a measurement, and how they are written."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from measured.store import MeasuredError, entry, stored


class Figures(string.Formatter):
    """Format strings of a column: fields are paths of keys, `{gain.value:+%}`; what is missing or null gives `-`, and
    what stands in brackets goes with its first such field: `{gain:+%}[ ({gain_low:+%} to {gain_high:+%})]`.

    `%`, `+%`: percent with one decimal, without the sign; `range`: `(low to high)` of a difference in percent.
    """

    def text(self, form: str, fields: Mapping[str, Any]) -> str:
        def part(found: re.Match[str]) -> str:
            parsed = [_filled(name, fields) for _, name, _, _ in self.parse(found[1]) if name]
            return "" if any(look_up(fields, name) is None for name in parsed) else found[1]

        try:
            return " ".join(self.vformat(re.sub(r"\[([^]]*)\]", part, form), (), fields).split())
        except ValueError as error:
            raise MeasuredError(f"format {form} cannot be used ({error}); correct it") from None

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:  # noqa: ARG002
        return look_up(kwargs, _filled(field_name, kwargs)), field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "range" and isinstance(value or {}, Mapping):
            low, high = (value or {}).get("low"), (value or {}).get("high")
            return "" if low is None or high is None else f"({100 * low:+.1f} to {100 * high:+.1f})"
        if value is None:
            return "-"
        if format_spec in ("%", "+%") and isinstance(value, (int, float)):
            return f"{100 * value:{format_spec[:-1]}.1f}"
        try:
            return format(value, format_spec)
        except (TypeError, ValueError) as error:
            raise MeasuredError(
                f"format {format_spec} of {value!r} cannot be used ({error}); expected %, +%, range or one of Python's"
            ) from None


def _filled(path: str, fields: Mapping[str, Any]) -> str:
    return re.sub(r"\$(\w+)", lambda found: str(entry(fields, found[1], "field")), path)


def look_up(figures: Any, path: str) -> Any:
    """`results.0.tc`, `rows(row=path;interval=4).avg_miou`: keys, numbers of a list, its first entry with these values.

    None where there is no such thing."""
    value = figures
    for key, choice in re.findall(r"([^.(]+)(?:\(([^)]*)\))?", path):
        if isinstance(value, list):
            value = value[int(key)] if key.isdigit() and int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
        if choice and isinstance(value, list):
            wanted = [pair.partition("=") for pair in choice.split(";")]
            value = next((row for row in value if all(str(row.get(k)) == v for k, _, v in wanted)), None)
    return value


def value(root: Path, name: str, path: str, form: str) -> str:
    """One figure as text."""
    found = look_up(stored(root, name)["figures"], path)
    if not isinstance(found, (int, float, str)):
        raise MeasuredError(f"{name} has no figure {path}; expected a number or a text")
    return Figures().format_field(found, form)
