"""Two methods on one video: the pictures next to each other, and how much each flickers below them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from segtween.labels import LabelSet
from segtween.types import Frame, Labels, Result
from segtween.video.paint import Painter, caption, legend_panel, side_by_side

COLOURS = ((232, 106, 88), (88, 200, 140))
SHOWN_FRAMES = 150
LEAST_TOP = 0.005
GROUND, GRID, INK = 24, 70, 230
WORDS = "pixels whose label changes and changes back, frame by frame"


class ComparedFrame(Protocol):
    """What the other method makes of a frame; the share of pixels that flicker in it, and in all frames up to it, by
    the other method and by this one (0..1, None where there is nothing to compare)."""

    @property
    def labels(self) -> Labels: ...
    @property
    def flicker(self) -> tuple[float | None, float | None]: ...
    @property
    def so_far(self) -> tuple[float | None, float | None]: ...


class ComparedMethod(NamedTuple):
    """Another method to be filmed: its name, how this one is called next to it, and what gives a frame by its index."""

    name: str
    own_caption: str
    take: Callable[[int], ComparedFrame]

    @property
    def captions(self) -> tuple[str, str]:
        return self.name.replace("every-frame", "network on every frame"), self.own_caption


class ComparisonPicture:
    """Draws a frame: left as the other method labels it, right as this one does, below them the flicker of both.

    The strip shows the last 150 frames, and the mean of all.
    """

    def __init__(self, other: ComparedMethod, labels: LabelSet, *, classes: Sequence[int] | None = None) -> None:
        self._take, self._names = other.take, other.captions
        self._painters = Painter(labels, classes=classes, legend=False), Painter(labels, classes=classes)
        self._curves = tuple(deque[float | None](maxlen=SHOWN_FRAMES) for _ in other.captions)

    def __call__(self, frame: Frame, result: Result) -> NDArray[np.uint8]:
        """(H + strip, 2W, 3) RGB."""
        seen = self._take(frame.index)
        left, right = (
            paint(frame.rgb, labels) for paint, labels in zip(self._painters, (seen.labels, result.labels), strict=True)
        )
        for curve, value in zip(self._curves, seen.flicker, strict=True):
            curve.append(value)
        both = side_by_side(left, right, captions=self._names)
        return np.concatenate((both, self._strip(both.shape[0], both.shape[1], seen.so_far)), axis=0)

    def _strip(self, height: int, width: int, so_far: tuple[float | None, float | None]) -> NDArray[np.uint8]:
        import cv2

        tall = max(64, height // 4)
        tall += (height + tall) % 2
        strip = np.full((tall, width, 3), GROUND, np.uint8)
        entries = (
            f"{name}: " + ("-" if mean is None else f"{100 * mean:.2f}% flicker")
            for name, mean in zip(self._names, so_far, strict=True)
        )
        legend = legend_panel(list(zip(entries, COLOURS, strict=True)), (2 * height, width))
        rows = min(legend.shape[0], tall)
        strip[tall - rows :, : legend.shape[1]] = legend[:rows]
        caption(strip, WORDS)
        first = max(legend.shape[1], width // 4) + 8
        top = max([LEAST_TOP, *(value for curve in self._curves for value in curve if value is not None)])
        for share in (0.5, 1.0):
            y = round((tall - 6) - share * (tall - 12))
            cv2.line(strip, (first, y), (width - 8, y), (GRID, GRID, GRID), 1)
        for curve, colour in zip(self._curves, COLOURS, strict=True):
            points = [
                (round(first + i * (width - 8 - first) / SHOWN_FRAMES), round((tall - 6) - value / top * (tall - 12)))
                for i, value in enumerate(curve)
                if value is not None
            ]
            if points:
                line = np.array(points, np.int32)[:, None]
                cv2.polylines(strip, [line], isClosed=False, color=colour, thickness=2, lineType=cv2.LINE_AA)
        _say_top(strip, top, (width - 8, 6))
        return strip


def _say_top(strip: NDArray[np.uint8], top: float, at: tuple[int, int]) -> None:
    """What the strip's upper line stands for, in its corner."""
    import cv2

    text = f"{100 * top:.1f}%"
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.4, 1)
    place = (at[0] - width, at[1] + height + 4)
    cv2.putText(strip, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (INK, INK, INK), 1, cv2.LINE_AA)
