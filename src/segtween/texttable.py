"""Text and tables for people, and the order in which they read names."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

GAP = 2
"""Spaces between two columns."""
LEAST_COLUMNS = 2


@dataclass(frozen=True)
class TextTable:
    """`rows` have one text per column. The first column is words, the others are figures.

    The command line draws it so that headings may be broken, but no figure. Where it does not fit, columns are left
    out: those called in `seldom` first, in that order, then from the right; the first two always stay.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    seldom: Sequence[str] = ()

    def column(self, number: int) -> list[str]:
        """The texts of one column, without its heading."""
        return [row[number] for row in self.rows]

    def width(self, number: int) -> int:
        """Characters that a column takes at least: its headings are broken between words, its texts nowhere."""
        return max(len(text) for text in (*self.columns[number].split(), *self.column(number), ""))

    def least_width(self) -> int:
        """Characters that the table takes at least."""
        return sum(self.width(i) for i in range(len(self.columns))) + GAP * (len(self.columns) - 1)

    def fitted(self, width: int) -> tuple[TextTable, list[str]]:
        """The table with as many columns as fit into `width` characters, and the headings of those left out."""
        shown, left_out = self, list[int]()
        order = [i for name in self.seldom for i, own in enumerate(self.columns) if own == name]
        order += [i for i in reversed(range(len(self.columns))) if i not in order]
        for number in order:
            if shown.least_width() <= width:
                break
            if number >= LEAST_COLUMNS:
                left_out.append(number)
                shown = self._without(left_out)
        return shown, [self.columns[i] for i in sorted(left_out)]

    def lines(self, width: int) -> tuple[list[str], list[str]]:
        """The headings and the rows as lines of at most `width` characters, or of as many as the table takes at least.

        Figures are aligned to the right.
        """
        widths = self._widths(width)
        broken = [_broken(name, w) for name, w in zip(self.columns, widths, strict=True)]
        height = max(map(len, broken), default=0)
        headings = zip(*([""] * (height - len(parts)) + parts for parts in broken), strict=True)
        return [_line(texts, widths) for texts in headings], [_line(row, widths) for row in self.rows]

    def _widths(self, width: int) -> list[int]:
        """Those with which the headings take as few lines as there is room for."""
        numbers, most = range(len(self.columns)), max(len(name.split()) for name in self.columns)
        for lines in range(1, most):
            widths = [self._width_in(i, lines) for i in numbers]
            if sum(widths) + GAP * (len(widths) - 1) <= width:
                return widths
        return [self.width(i) for i in numbers]

    def _width_in(self, number: int, lines: int) -> int:
        """Of a column whose heading takes at most this many lines."""
        name, least = self.columns[number], self.width(number)
        fitting = (w for w in range(least, len(name)) if len(_broken(name, w)) <= lines)
        return next(fitting, max(least, len(name)))

    def _without(self, numbers: Sequence[int]) -> TextTable:
        kept = [i for i in range(len(self.columns)) if i not in numbers]
        rows = [[row[i] for i in kept] for row in self.rows]
        return replace(self, columns=[self.columns[i] for i in kept], rows=rows)


def _broken(heading: str, width: int) -> list[str]:
    return textwrap.wrap(heading, width, break_long_words=False, break_on_hyphens=False)


def _line(texts: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        text.rjust(width) if i else text.ljust(width) for i, (text, width) in enumerate(zip(texts, widths, strict=True))
    )
    return (" " * GAP).join([first, *others]).rstrip()


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 4th, ..., 11th, ..., 21st."""
    ends = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if number % 100 in (11, 12, 13) else ends.get(number % 10, 'th')}"


def count(number: int, what: str) -> str:
    """`1 clip`, `3 clips`."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def natural_key(path: str | Path) -> tuple[tuple[int, int, str], ...]:
    """Sorting key in which numbers count as numbers: frame_2 before frame_10."""
    parts = re.split(r"(\d+)", str(path))
    return tuple((0, int(p), p) if p.isdecimal() else (1, 0, p.lower()) for p in parts if p)
