"""Words and tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class TextTable:
    """`rows` have one text per column. The first column is words, the others are figures.

    The command line draws it so that headings may be broken, but no figure.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def column(self, number: int) -> list[str]:
        """The texts of one column, without its heading."""
        return [row[number] for row in self.rows]


def count(number: int, what: str) -> str:
    """`1 clip`, `3 clips`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
