"""Text and legends in pictures: RGB uint8 (H, W, 3). Heights are those of a line, in pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from segtween.labels import Colour

INK = (31, 41, 51)
LEAST = 10
"""The lowest line that can be read."""

Entry = tuple[str, Colour]
"""A name in a legend, and the colour of its swatch."""

_FINER = 4  # text is drawn this much larger and reduced, because OpenCV's strokes are whole pixels


def line_height(size_hw: tuple[int, int]) -> int:
    """The height of a line that suits a picture of this size: readable where it is small, not dominant where it is
    large."""
    return max(13, min(64, round(min(size_hw[0] / 26, size_hw[1] / 30))))


def text_width(text: str, height: int) -> int:
    """Pixels that `write` takes for lines of this height."""
    import cv2

    scale, thickness = _font(height)
    return -(-int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)[0][0]) // _FINER) + 2


def write(page: NDArray[np.uint8], text: str, at: tuple[int, int], height: int, *, colour: Colour = INK) -> None:
    """One line of text, its top left corner at (x, y), cut off at the page's border."""
    cover = _cover(text, height)
    x, y = at
    place = page[y : y + cover.shape[0], x : x + cover.shape[1]]
    cover = cover[: place.shape[0], : place.shape[1]]
    place[:] = np.rint(place + cover * (np.array(colour, np.float32) - place)).astype(np.uint8)


def fitting(text: str, height: int, width: int) -> int:
    """The height, at most `height` and at least `LEAST`, at which a line of text is no wider than `width`."""
    while height > LEAST and text_width(text, height) > width:
        height -= 1
    return height


def clipped(text: str, height: int, width: int, *shorter: str) -> str:
    """The text, or the first that is `shorter` and fits into `width`, or as much of the beginning of the last as fits,
    with two dots."""
    texts = text, *shorter
    for whole in texts:
        if text_width(whole, height) <= width:
            return whole
    text = texts[-1]
    while text and text_width(f"{text}..", height) > width:
        text = text[:-1]
    return f"{text}.." if text else ""


def wrapped(text: str, height: int, width: int) -> list[str]:
    """The text broken between words into lines that fit into `width`; a word that does not fit is cut off."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, height) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return [clipped(line, height, width) for line in lines]


def balanced(text: str, height: int, width: int) -> list[str]:
    """`wrapped` into as few lines, of much the same width."""
    lines = wrapped(text, height, width)
    for narrower in range(width - height, height, -height):
        narrow = wrapped(text, height, narrower)
        if len(narrow) > len(lines) or " ".join(narrow) != " ".join(lines):
            break
        lines = narrow
    return lines


def flow(entries: Sequence[Entry], line: int, width: int) -> list[list[Entry]]:
    """Entries broken into lines of a legend."""
    lines: list[list[Entry]] = []
    room = 0
    for entry in entries:
        needed = _entry_width(entry[0], line)
        if needed > room:
            lines.append([])
            room = width
        lines[-1].append(entry)
        room -= needed
    return lines


def write_entries(
    page: NDArray[np.uint8], lines: Sequence[Sequence[Entry]], at: tuple[int, int], line: int, *, colour: Colour = INK
) -> None:
    """Lines of a legend as `flow` makes them, 1.5 lines apart, the first with its top left corner at (x, y)."""
    for row, entries in enumerate(lines):
        (x, y) = at[0], at[1] + row * round(1.5 * line)
        for name, swatch in entries:
            page[y : y + line, x : x + line] = swatch
            write(page, name, (x + round(1.4 * line), y), line, colour=colour)
            x += _entry_width(name, line)


def heights(most: int) -> Iterator[int]:
    """Heights to try, from the most to the lowest that can be read."""
    yield from range(max(most, LEAST), LEAST - 1, -1)


@lru_cache(maxsize=1024)
def _cover(text: str, height: int) -> NDArray[np.float32]:
    """(rows, columns, 1) in 0..1: how much of each pixel the ink covers. Read-only."""
    import cv2

    scale, thickness = _font(height)
    width, rows = text_width(text, height), round(1.3 * height)
    ink = np.zeros((rows * _FINER, width * _FINER), np.uint8)
    base = round(0.86 * height * _FINER)
    cv2.putText(ink, text, (_FINER, base), cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thickness, cv2.LINE_AA)
    return cv2.resize(ink, (width, rows), interpolation=cv2.INTER_AREA).astype(np.float32)[..., None] / 255


def _font(height: int) -> tuple[float, int]:
    """Scale and stroke of OpenCV's font, whose capitals are 21 pixels high at scale 1."""
    return 0.72 * height * _FINER / 21, max(1, round(0.085 * height * _FINER))


def _entry_width(name: str, line: int) -> int:
    return round(1.4 * line) + text_width(name, line) + line
