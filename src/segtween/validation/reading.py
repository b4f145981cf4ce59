"""Reading YAML files, untrusted ones too."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from segtween.errors import SegtweenError, SettingError, one_line

LARGEST_BYTES = 1_000_000
MOST_VALUES = 20_000
"""Of a file, whatever an alias stands for counted each time that it is used."""
DEEPEST_LEVEL = 32
LONGEST_NUMBER = 100
"""Characters of one number."""

_KINDS = {"timestamp": "date", "int": "whole number", "float": "number", "bool": "yes or no"}


class _UnreadableError(Exception):
    """What the file does that no file has to do, in words that follow its name."""


def read_yaml(
    path: str | Path, *, what: str, expected: str, do: str = "correct it", error: type[SegtweenError] = SettingError
) -> Any:
    """The plain values of the file, unchecked; for `.json` files too, as JSON is YAML.

    `what` says whose file it is and `expected` what should be in it, in the one line of an `error` that is raised
    where the file cannot be read, is not YAML or goes beyond a bound: `LARGEST_BYTES`, `MOST_VALUES`, `DEEPEST_LEVEL`,
    `LONGEST_NUMBER`. Time and memory are bounded with them.
    """
    import yaml

    path = Path(path)
    try:
        with open(path, "rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        if len(content) > LARGEST_BYTES:
            raise _UnreadableError(f"is larger than {LARGEST_BYTES / 1e6:g} MB")
        return _plain_loader()(content.decode("utf-8")).get_single_data()
    except _UnreadableError as problem:
        raise error(f"{what} {path} {problem}", expected=expected, do=do) from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        reason = one_line(problem, 120)
        raise error(f"{what} {path} is not YAML ({reason})", expected=expected, do=do) from None
    except (OSError, ValueError) as problem:  # ValueError: a path with a zero byte
        reason = getattr(problem, "strerror", None) or str(problem)
        raise error(f"{what} {path} cannot be read ({reason})", expected="a YAML file", do="check the path") from None


@cache
def _plain_loader() -> Any:
    """PyYAML's safe loader with bounds, each checked while the file is parsed."""
    import yaml

    class PlainLoader(yaml.SafeLoader):
        def __init__(self, text: str) -> None:
            super().__init__(text)
            self.level = self.count = 0
            self.extents: dict[int, tuple[int, int]] = {}
            """id of a node -> values in it, aliases expanded, and levels."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.level, self.count = self.level + 1, self.count + 1
            _bound(self.count, self.level)
            is_alias = self.check_event(yaml.AliasEvent)
            node = super().compose_node(parent, index)
            self.level -= 1
            if is_alias and id(node) not in self.extents:
                raise _UnreadableError("holds an alias of the value that it stands in")
            if not is_alias:
                below = [self.extents[id(child)] for child in _children(node)]
                extent = 1 + sum(values for values, _ in below), 1 + max((levels for _, levels in below), default=0)
                self.extents[id(node)] = extent
                _bound(*extent)
            return node

        def construct_object(self, node: Any, deep: bool = False) -> Any:
            kind, line = node.tag.rpartition(":")[2], node.start_mark.line + 1
            if kind in ("int", "float") and len(node.value) > LONGEST_NUMBER:
                raise _UnreadableError(f"holds a number of {len(node.value)} characters in line {line}")
            try:
                return super().construct_object(node, deep=deep)
            except (ValueError, TypeError, LookupError, AttributeError, OverflowError):
                raise _UnreadableError(
                    f"holds {str(node.value)[:40]!r} in line {line}, which is no {_KINDS.get(kind, kind)}"
                ) from None

    return PlainLoader


def _children(node: Any) -> list[Any]:
    value = node.value
    if isinstance(value, str):
        return []
    return [part for pair in value for part in pair] if value and isinstance(value[0], tuple) else value


def _bound(values: int, levels: int) -> None:
    if values > MOST_VALUES:
        raise _UnreadableError(f"holds more than {MOST_VALUES} values, those that its aliases stand for included")
    if levels > DEEPEST_LEVEL:
        raise _UnreadableError(f"is nested more than {DEEPEST_LEVEL} levels deep")
