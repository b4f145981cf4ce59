"""The flicker of methods over the length of a clip, drawn frame by frame."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segtween.labels import Colour
from segtween.video.frame_bins import FrameBins
from segtween.video.paint import PAPER
from segtween.video.text import clipped, text_width, write

MOST_BINS = 480
GRID, MARK = (70, 70, 70), (150, 150, 150)
STEPS = (1, 2, 5, 10)
MARKS, TITLE = "marks: ", "pixels that change label and change back"


class FlickerChart:
    """One curve for each colour; frame by frame, in a long clip the mean of several frames. Key frames are marked where
    there is room for it."""

    def __init__(self, colours: Sequence[Colour], *, frames: int | None) -> None:
        self._colours = tuple(colours)
        self._bins = FrameBins(len(self._colours) + 1, frames=frames, most=MOST_BINS)
        self._seconds = 0.0

    def add(self, values: Sequence[float | None], pts_seconds: float, *, is_key: bool) -> None:
        """The next frame's values, 0..1; None: nothing to compare."""
        self._bins.add([*values, float(is_key)])
        self._seconds = pts_seconds

    def draw(self, area: NDArray[np.uint8], line: int) -> None:
        """Over the whole of `area` (h, w, 3), with lines of text of this height."""
        curves = self._bins.means[:-1]
        top = round_up(100 * float(np.nan_to_num(curves).max(initial=0.0)))
        label = round(0.9 * line)
        left, y0, y1 = text_width("0.05%", label) + line // 3, round(1.5 * line), area.shape[0] - round(2.1 * line)
        x1 = area.shape[1] - line // 2
        write(area, clipped(TITLE, label, x1 - left, "flicker"), (left, 0), label, colour=PAPER)
        for share in (0.0, 0.5, 1.0):
            y = round(y1 - share * (y1 - y0))
            area[y : y + max(1, line // 20), left:x1] = GRID
            text = f"{share * top:g}%"
            write(area, text, (left - text_width(text, label) - line // 4, y - label // 2), label, colour=PAPER)
        self._draw_curves(area, curves, (left, x1), (y0, y1), top)
        self._draw_axis(area, (left, x1), y1, line)

    def _draw_curves(
        self, area: NDArray[np.uint8], curves: NDArray[np.float64], xs: tuple[int, int], ys: tuple[int, int], top: float
    ) -> None:
        import cv2

        across = xs[0] + (np.arange(self._bins.count) + 0.5) / self._bins.count * (xs[1] - xs[0])
        for values, colour in zip(curves, self._colours, strict=True):
            known = ~np.isnan(values)
            y = ys[1] - 100 * values[known] / top * (ys[1] - ys[0])
            points = np.rint(np.stack([across[known], y], axis=1)).astype(np.int32)
            if len(points):
                thickness = max(1, (ys[1] - ys[0]) // 36)
                cv2.polylines(area, [points[:, None]], False, colour, thickness, cv2.LINE_AA)

    def _draw_axis(self, area: NDArray[np.uint8], xs: tuple[int, int], y: int, line: int) -> None:
        """Marks below the key frames, and, below the end of the curves, the time that has passed."""
        label, wide = round(0.9 * line), max(1, line // 14)
        keys = np.flatnonzero(np.nan_to_num(self._bins.means[-1]))
        spacing = (xs[1] - xs[0]) / self._bins.count
        has_room = len(keys) > 0 and (np.diff(keys).min(initial=self._bins.count) * spacing >= 3 * wide)
        if has_room:
            for key in keys:
                x = round(xs[0] + (key + 0.5) * spacing)
                area[y + line // 6 : y + round(0.65 * line), x : x + wide] = MARK
        passed, note = f"{self._seconds:.1f} s", f"{MARKS}key frames" if has_room else ""
        below, end = y + round(0.75 * line), xs[0] + (xs[1] - xs[0]) * self._bins.frames / self._bins.total
        x = max(xs[0], round(end) - text_width(passed, label))
        write(area, passed, (x, below), label, colour=PAPER)
        before, after = x - xs[0] - line, xs[1] - x - text_width(passed, label) - line
        note = clipped(note, label, max(before, after), note.removeprefix(MARKS))
        write(area, note, (xs[0] if before > after else xs[1] - text_width(note, label), below), label, colour=PAPER)


def round_up(percent: float) -> float:
    """The next of 0.5, 1, 2, 5, 10, ... at or above."""
    if percent <= 0.5:
        return 0.5
    power = 10.0 ** np.floor(np.log10(percent))
    return float(next(step * power for step in STEPS if step * power >= percent))
