"""Figures of a document that stand in no mark: tables, and printed blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

FIGURE = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.])|(?<![\w.])\d+(?:\.\d+)?(?: ?%|x(?!\w)| ?ms\b)")
WHOLE_NUMBER = re.compile(r"[*_]*[-+]?\d[\d,]*[*_]*")
"""All that stands in a cell."""
NO_FIGURES = re.compile(r"`[^`]*`|\]\([^)]*\)|\b(?:https?:\S+|arXiv[: ]\S+)")
"""Code, addresses and numbers of papers."""
MARGIN = re.compile(r"\s*(?:>\s*)*(?:(?:[-*+]|\d+\.)\s+)?")
"""Before a line: of a quotation, of a list."""
RULE = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")
FENCE = re.compile(r"(?P<fence>`{3,}|~{3,})\s*(?P<language>\w*)")
COMMAND = re.compile(r"(?:segtween|python|pip|make|torchrun|pytest|\w+=\S+ )")
NOT_MEASURED = re.compile(r"<!-- not measured: \S.* -->$")


def unmeasured(text: str) -> Iterator[str]:
    """The first lines of tables and of printed blocks that hold figures, and above which `not measured` does not stand.

    In tables, header included, a figure is a decimal fraction, a time, a ratio or a percentage anywhere in a cell, or a
    whole number that is all of a cell; in printed blocks, columns are what two spaces part.
    """
    above = ""
    for kind, lines in _blocks(text):
        holds = {"table": _is_table_of_figures, "printed": _is_print_of_figures}.get(kind, _nothing)
        if holds(lines) and NOT_MEASURED.search(above) is None:
            yield next((line for line in lines if FENCE.match(line) is None), "")[:80]
        above = next((line.rstrip() for line in reversed(lines) if line.strip()), above)


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Consecutive lines of one kind, without their margins: `table`, `printed` (fences included), `text`."""
    fence, kinds = "", list[tuple[str, int, str]]()
    number = 0
    for line in text.splitlines():
        bare = line[MARGIN.match(line).end() :]  # type: ignore[union-attr]
        found = FENCE.match(bare)
        if fence:
            kinds.append(("printed", number, bare))
            fence = "" if found and found["fence"].startswith(fence) and not found["language"] else fence
        elif found:
            fence, number = found["fence"], number + 1
            kinds.append(("printed", number, bare))
        else:
            kinds.append(("table" if "|" in NO_FIGURES.sub("", bare) else "text", 0, bare))
    for (kind, _), group in groupby(kinds, key=lambda entry: entry[:2]):
        yield kind, [line for _, _, line in group]


def _is_table_of_figures(lines: list[str]) -> bool:
    if not any(RULE.fullmatch(line) or line.startswith("|") for line in lines):
        return False
    cells = [cell.strip() for line in lines for cell in NO_FIGURES.sub("", line).split("|")]
    return any(FIGURE.search(cell) or WHOLE_NUMBER.fullmatch(cell) for cell in cells)


def _is_print_of_figures(lines: list[str]) -> bool:
    opened, body = FENCE.match(lines[0]), lines[1:-1]
    if (opened is not None and opened["language"]) or not body or COMMAND.match(body[0]):
        return False
    columns = [column for line in body for column in re.split(r"\s{2,}", line.strip())[1:]]
    return any(FIGURE.search(line) for line in body) or any(WHOLE_NUMBER.fullmatch(column) for column in columns)


def _nothing(_: list[str]) -> bool:
    return False
