"""A record in the making: what is known of each field and from where, and what is guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from segtween.errors import ModelError
from segtween.models.records import InputRecord, OutputRecord


@dataclass(frozen=True)
class Fact:
    """What stands in a file, or was given: a field's value, and where it stands."""

    value: Any
    source: str


Facts = dict[str, Fact]
"""Dotted field of a record, as in its file (`input.mean`, `labels`), -> what is known of it."""


@dataclass
class Draft:
    """Fields of a record. What is read is not read again, nor guessed."""

    facts: Facts
    guesses: dict[str, Any] = field(default_factory=dict)

    def read(self, name: str, value: Any, source: str = "graph") -> None:
        self.facts.setdefault(name, Fact(value, source))

    def guess(self, name: str, value: Any) -> None:
        if name not in self.facts:
            self.guesses[name] = value

    def get(self, name: str, default: Any = None) -> Any:
        return self.facts[name].value if name in self.facts else self.guesses.get(name, default)

    @property
    def guessed(self) -> tuple[str, ...]:
        return tuple(name for name in self.guesses if name not in self.facts)

    def input(self) -> InputRecord:
        return InputRecord(**self._part("input", {"size": "size_hw", "window_stride": "window_stride_hw"}))

    def output(self) -> OutputRecord:
        return OutputRecord(**self._part("output", {}))

    def _part(self, part: str, renamed: Mapping[str, str]) -> dict[str, Any]:
        names = {*self.facts, *self.guesses}
        own = {name.removeprefix(part + "."): self.get(name) for name in names if name.startswith(part + ".")}
        return {renamed.get(name, name): value for name, value in own.items()}


def unfit(path: Any, found: str, expected: str, do: str = "export a semantic segmentation network") -> ModelError:
    return ModelError(f"{path.name} {found}", expected=expected, do=do)
