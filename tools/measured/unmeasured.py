"""Figures of a document that stand in no mark: in tables, printed blocks and sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

FIGURE = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.])|(?<![\w.])\d+(?:\.\d+)?(?: ?%|x(?!\w)| ?ms\b)")
WHOLE_NUMBER = re.compile(r"[*_]*[-+]?\d[\d,]*[*_]*")
"""All that stands in a cell."""
_NUMBER = r"(?<![\w.,])[-+]?\d+(?:,\d{3})*(?:\.\d+)?"
RESULT = re.compile(
    rf"{_NUMBER}(?:x(?!\w)| ?(?:ms|milliseconds?|[Ff][Pp][Ss]|MiB|GiB|GB)\b| ?%(?! interval)| per ?cent\b"
    r"| (?:frames|images|pictures) (?:per|a|every) second| times (?:as|faster|slower|less|more)\b"
    r"| (?:percentage )?points?\b)"
)
"""A number with what only results are counted in."""
MEASURE = re.compile(
    r"\b(?:m?IoU|TC|VC\d*|boundary F|flicker|accuracy|consistency|calibration error|loss|ms|fps|frames per second"
    r"|speedup|faster|slower|reach(?:es|ed)?|gains?|loses?)\b"
)
DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.])")
"""In a sentence with a word of `MEASURE` a result, too."""
SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`*\[(])")
NO_FIGURES = re.compile(r"`[^`]*`|\]\([^)]*\)|\b(?:https?:\S+|arXiv[: ]\S+)")
"""Code, addresses and numbers of papers."""
MARGIN = re.compile(r"\s*(?:>\s*)*(?:(?:[-*+]|\d+\.)\s+)?")
"""Before a line: of a quotation, of a list."""
ITEM = re.compile(r"\s*(?:[-*+]|\d+\.)\s")
RULE = re.compile(r"\|?\s*:?-+:?\s*(?:\|\s*:?-+:?\s*)*\|?\s*")
FENCE = re.compile(r"(?P<fence>`{3,}|~{3,})\s*(?P<language>\w*)")
PLAIN = ("", "text", "txt", "plain", "plaintext", "console", "output")
"""Languages of blocks that may hold what a command printed; in others only the comments are sentences."""
COMMAND = re.compile(r"(?:\$ |segtween|python|pip|make|torchrun|pytest|\w+=\S+ )")
NOT_MEASURED = re.compile(r"<!-- not measured: \S.* -->$")


def unmeasured(text: str) -> Iterator[str]:
    """The first lines of tables, printed blocks and paragraphs that hold figures, and above which `not measured` does
    not stand.

    In tables, header included, a figure is a decimal fraction, a time, a ratio or a percentage anywhere in a cell, or a
    whole number that is all of a cell; in printed blocks, columns are what two spaces part. In a sentence it is a time,
    a rate, a ratio, a percentage, a number of points or bytes, or a decimal fraction beside the name of a measure.
    """
    above = ""
    for kind, lines in _blocks(text):
        holds = {"table": _is_table_of_figures, "printed": _is_print_of_figures, "text": _holds_a_result}[kind]
        written = [line.rstrip() for line in lines if line.strip()]
        own = written[0] if written and kind == "text" else ""
        if holds(lines) and not any(NOT_MEASURED.search(line) for line in (above, own)):
            yield next((line for line in written if FENCE.match(line) is None), "")[:80]
        above = written[-1] if written else above


def _blocks(text: str) -> Iterator[tuple[str, list[str]]]:
    """Consecutive lines of one kind, without their margins: `table`, `printed` (fences included), `text`: a paragraph
    or a list."""
    fence, kinds, in_list = "", list[tuple[str, int, str]](), False
    number = 0
    for line in text.splitlines():
        bare = line[MARGIN.match(line).end() :]  # type: ignore[union-attr]
        found = FENCE.match(bare)
        before = kinds[-1] if kinds else ("text", 0, "")
        if fence:
            kinds.append(("printed", number, bare))
            fence = "" if found and found["fence"].startswith(fence) and not found["language"] else fence
            continue
        in_list = ITEM.match(line) is not None or (in_list and (not line.strip() or line.startswith(" ")))
        if found:
            fence, number = found["fence"], number + 1
            kinds.append(("printed", number, bare))
        elif line.startswith("    ") and not in_list and (not before[2].strip() or before[:2] == ("printed", 0)):
            kinds.append(("printed", 0, bare))
        elif "|" in NO_FIGURES.sub("", bare):
            kinds.append(("table", 0, bare))
        else:
            number += not bare.strip()
            kinds.append(("text", number, bare))
    for (kind, _), group in groupby(kinds, key=lambda entry: entry[:2]):
        yield kind, [line for _, _, line in group]


def _is_table_of_figures(lines: list[str]) -> bool:
    if not any(RULE.fullmatch(line) or line.startswith("|") for line in lines):
        return False
    cells = [cell.strip() for line in lines for cell in NO_FIGURES.sub("", line).split("|")]
    return any(FIGURE.search(cell) or WHOLE_NUMBER.fullmatch(cell) for cell in cells)


def _is_print_of_figures(lines: list[str]) -> bool:
    opened = FENCE.match(lines[0])
    body = lines if opened is None else lines[1:-1]
    if opened is not None and opened["language"] not in PLAIN:
        return any(_holds_a_result([line.partition("#")[2]]) for line in body)
    printed = [line for before, line in zip(["", *body], body, strict=False) if not _is_command(before, line)]
    columns = [column for line in printed for column in re.split(r"\s{2,}", line.strip())[1:]]
    return any(FIGURE.search(line) for line in printed) or any(WHOLE_NUMBER.fullmatch(column) for column in columns)


def _is_command(before: str, line: str) -> bool:
    return COMMAND.match(line) is not None or before.endswith("\\")


def _holds_a_result(lines: list[str]) -> bool:
    sentences = SENTENCE.split(NO_FIGURES.sub("", " ".join(lines)))
    return any(RESULT.search(one) or (MEASURE.search(one) and DECIMAL.search(one)) for one in sentences)
