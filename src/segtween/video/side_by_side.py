"""Two methods on one video: the pictures next to each other, and how much each flickers below them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from segtween.labels import Colour, LabelSet
from segtween.types import IGNORE, Frame, Labels, Result, Rgb, SizeHW
from segtween.video.flicker_chart import FlickerChart
from segtween.video.paint import DEFAULT_STYLE, GROUND, PAPER, Painter, Style, side_by_side
from segtween.video.text import Entry, clipped, flow, heights, line_height, write, write_entries

COLOURS: tuple[Colour, Colour] = ((255, 120, 90), (80, 215, 150))
"""Of the other method and of this one, in the curves and where their errors are shown."""
WIDEST = 3840
"""A film is at most this wide, which players still show: wider pictures are made smaller for it."""
CLASS_LINES = 4
"""So many lines at most name the classes."""


class ComparedFrame(Protocol):
    """What the other method makes of a frame; of it and of this one, the share of pixels that flicker in the frame and
    in all frames up to it (0..1) and the frames per second so far. None where there is nothing to compare or where it
    is not known. `truth` is None where there are no true labels, in all frames alike."""

    @property
    def labels(self) -> Labels: ...
    @property
    def flicker(self) -> tuple[float | None, float | None]: ...
    @property
    def so_far(self) -> tuple[float | None, float | None]: ...
    @property
    def fps(self) -> tuple[float | None, float | None]: ...
    @property
    def truth(self) -> Labels | None: ...


class ComparedMethod(NamedTuple):
    """Another method to be filmed: its name, how this one is called next to it, and what gives a frame by its index."""

    name: str
    own_caption: str
    take: Callable[[int], ComparedFrame]

    @property
    def captions(self) -> tuple[str, str]:
        return self.name.replace("every-frame", "network on every frame"), self.own_caption


class ComparisonPicture:
    """Draws a frame: left as the other method labels it, right as this one does; below them the flicker of both and the
    legend; where there are true labels, those below it, next to what only one of the two has wrong.

    `frames` is the clip's length, over which the flicker is drawn; None: as much as has been seen.
    """

    def __init__(
        self, other: ComparedMethod, labels: LabelSet, *, style: Style = DEFAULT_STYLE, frames: int | None = None
    ) -> None:
        self._take, self._names, self._frames = other.take, other.captions, frames
        self._painters = tuple(Painter(labels, style, legend=False) for _ in range(3))
        chosen = range(len(labels)) if style.classes is None else style.classes
        self._entries = [(labels.names[c], labels.colours[c]) for c in chosen]
        self._strip: _Strip | None = None

    def __call__(self, frame: Frame, result: Result) -> NDArray[np.uint8]:
        """(H', W', 3) RGB."""
        seen = self._take(frame.index)
        size_hw = panel_size(frame.size_hw)
        rgb, other, own = (
            smaller(frame.rgb, size_hw),
            smaller_labels(seen.labels, size_hw),
            smaller_labels(result.labels, size_hw),
        )
        if self._strip is None:
            names = self._names[0], self._names[1].partition(" (")[0].partition(",")[0]
            self._strip = _Strip(size_hw, names, self._entries, self._frames)
        pictures = [
            side_by_side(self._painters[0](rgb, other), self._painters[1](rgb, own), captions=self._names),
            self._strip(frame, seen, is_key=result.is_key, painted=self._painted()),
        ]
        if seen.truth is not None:
            truth = smaller_labels(seen.truth, size_hw)
            captions = "true labels", f"wrong: only {self._strip.names[0]} / only {self._strip.names[1]} / both (white)"
            wrong = _only_wrong(rgb, truth, other, own)
            pictures.append(side_by_side(self._painters[2](rgb, truth), wrong, captions=captions))
        return np.concatenate(pictures, axis=0)

    def _painted(self) -> list[Entry]:
        seen = {entry for painter in self._painters for entry in painter.seen}
        return [entry for entry in self._entries if entry in seen]


def panel_size(size_hw: SizeHW) -> SizeHW:
    """How large one of the two pictures is in a film that is no wider than `WIDEST`."""
    height, width = size_hw
    shown = min(width, WIDEST // 2)
    return max(1, round(height * shown / width)), shown


class _Strip:
    """Numbers and flicker of both methods, and the legend: as wide as both pictures.

    With few classes the legend names all of them, in fixed places; with many those that have been painted.
    """

    def __init__(self, size_hw: SizeHW, names: tuple[str, str], entries: list[Entry], frames: int | None) -> None:
        self.names, self._width = names, 2 * size_hw[1]
        self._line = line_height(size_hw)
        self._pad = self._line // 2
        fixed = self._fixed(entries)
        self._entries: list[Entry] | None = None
        self._entry_line, rows = max(10, round(0.75 * self._line)), CLASS_LINES
        if fixed is not None:
            self._entries, self._entry_line = fixed
            rows = len(flow(*fixed, self._room))
        self._legend_at = self._pad + round(8.2 * self._line)
        self._height = self._legend_at + rows * round(1.5 * self._entry_line) + self._pad
        self._height += (size_hw[0] + self._height) % 2
        self._chart = FlickerChart(COLOURS, frames=frames)

    @property
    def _room(self) -> int:
        return self._width - 2 * self._pad

    def _fixed(self, entries: list[Entry]) -> tuple[list[Entry], int] | None:
        """All entries and the height of their lines, where they fit."""
        for line in heights(self._line):
            if len(flow(entries, line, self._room)) <= CLASS_LINES - 1:
                return entries, line
        return None

    def __call__(self, frame: Frame, seen: ComparedFrame, *, is_key: bool, painted: list[Entry]) -> NDArray[np.uint8]:
        strip = np.full((self._height, self._width, 3), GROUND, np.uint8)
        line, left = self._line, round(0.38 * self._width)
        room = left - self._pad - 2 * line
        for row, name in enumerate(self.names):
            y = self._pad + row * round(3.4 * line)
            name = clipped(name, line, room, name.removeprefix("network on "))
            write_entries(strip, [[(name, COLOURS[row])]], (self._pad, y), line, colour=PAPER)
            numbers = _numbers(seen.so_far[row], seen.fps[row])
            told = clipped(numbers[0], line, room, *numbers[1:])
            write(strip, told, (self._pad + round(1.4 * line), y + round(1.3 * line)), line, colour=PAPER)
        self._chart.add(seen.flicker, float(frame.pts_seconds), is_key=is_key)
        area = strip[self._pad : self._legend_at - line // 2, left : self._width - self._pad]
        self._chart.draw(area, line)
        self._draw_legend(strip, painted)
        return strip

    def _draw_legend(self, strip: NDArray[np.uint8], painted: list[Entry]) -> None:
        entries, line = self._entries or painted, self._entry_line
        lines = flow(entries, line, self._room)
        count = len(entries)
        while len(lines) > CLASS_LINES:
            count -= 1
            rest: Entry = (f"and {len(entries) - count} more", (GROUND,) * 3)
            lines = flow([*entries[:count], rest], line, self._room)
        write_entries(strip, lines, (self._pad, self._legend_at), line, colour=PAPER)


def _numbers(flicker: float | None, fps: float | None) -> list[str]:
    """In words, and in fewer and fewer of them."""
    share, rate = "" if flicker is None else f"{100 * flicker:.2f}%", "" if fps is None else f"{fps:.1f} frames/s"
    told = share and f"{share} flicker"
    return [", ".join(filter(None, (told, rate))), told or rate, share or rate]


def _only_wrong(rgb: Rgb, truth: Labels, other: Labels, own: Labels) -> Rgb:
    """The dimmed picture, and on it what is wrong in one of the two, in its colour, or in both, in white."""
    import cv2

    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    out = np.repeat((0.35 * grey + 12).astype(np.uint8)[..., None], 3, axis=2)
    known = truth != IGNORE
    left, right = known & (other != truth), known & (own != truth)
    for mask, colour in ((left & ~right, COLOURS[0]), (right & ~left, COLOURS[1]), (left & right, (205, 205, 205))):
        out[mask] = colour
    return out


def smaller(rgb: Rgb, size_hw: SizeHW) -> Rgb:
    """The picture at this size, area mean."""
    import cv2

    if rgb.shape[:2] == size_hw:
        return rgb
    return np.asarray(cv2.resize(rgb, size_hw[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def smaller_labels(labels: Labels, size_hw: SizeHW) -> Labels:
    """Labels at this size, nearest neighbour."""
    import cv2

    if labels.shape == size_hw:
        return labels
    return np.asarray(cv2.resize(labels, size_hw[::-1], interpolation=cv2.INTER_NEAREST), np.uint8)
