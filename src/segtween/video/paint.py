"""Drawing labels over a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError, check_known
from segtween.labels import LabelSet
from segtween.types import IGNORE, Labels, Rgb, SizeHW
from segtween.video.text import Entry, balanced, clipped, heights, line_height, text_width, write

Outline = Literal["none", "thin"]

GROUND, PAPER = 24, (240, 240, 240)
"""The grey level behind writing, and the writing's colour."""
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
_MOST_COLUMN = 0.3  # of the picture's height, before a legend takes another column


@dataclass(frozen=True)
class Style:
    """How labels are drawn over a picture; their colours are those of the label set.

    classes  train ids that are tinted; None: all
    alpha    the share of the class's colour in a pixel, 0..1
    outline  thin: a bright line, one pixel wide, between classes; none
    """

    classes: Sequence[int] | None = None
    alpha: float = 0.5
    outline: Outline = "thin"

    def __post_init__(self) -> None:
        if not (isinstance(self.alpha, (int, float)) and 0 <= self.alpha <= 1):  # nor is NaN
            raise SettingError(f"alpha={self.alpha!r}", expected="a share from 0 to 1", do="give alpha=0.5")
        check_known(f"outline={self.outline!r}", str(self.outline), get_args(Outline))


DEFAULT_STYLE = Style()


class Painter:
    """Tints every labelled pixel in its class's colour, outlines the classes and names them in a legend.

    Pixels to be ignored, and those of classes that are not tinted, stay as they are. The legend names every class that
    has been painted so far, so that it does not flicker. About 3 ms at 1280x720.
    """

    def __init__(self, labels: LabelSet, style: Style = DEFAULT_STYLE, *, legend: bool = True) -> None:
        self._names = labels.names
        self._colours = np.ascontiguousarray(labels.palette[:, None])  # (256, 1, 3), as OpenCV's colour maps are
        chosen = range(len(labels)) if style.classes is None else style.classes
        self._plain = np.full(256, 255, np.uint8)
        self._plain[list(chosen)] = 0
        self._alpha, self._outline, self._legend = style.alpha, style.outline == "thin", legend
        # One pixel wide: on either side between tinted classes, on the tinted side where only some are.
        self._stencil = np.ones((2, 2), np.uint8) if style.classes is None else _CROSS
        self._seen: set[int] = set()
        self._panel: tuple[Any, NDArray[np.uint8]] | None = None

    def __call__(self, rgb: Rgb, labels: Labels) -> Rgb:
        """(H, W, 3) RGB and (H, W) train ids -> a new (H, W, 3) RGB."""
        import cv2

        colours = cv2.applyColorMap(labels, self._colours)
        painted = cv2.addWeighted(rgb, 1 - self._alpha, colours, self._alpha, 0)
        if self._outline:
            edges = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, self._stencil)
            bright = cv2.addWeighted(colours, 0.55, np.full_like(colours, 255), 0.45, 0)
            cv2.copyTo(bright, edges, painted)
        cv2.copyTo(rgb, cv2.LUT(labels, self._plain), painted)
        self._note(labels)
        if self._legend:
            self._draw_legend(painted)
        return np.asarray(painted, np.uint8)

    @property
    def seen(self) -> list[Entry]:
        """The classes that have been painted so far, in the label set's order, with their colours."""
        return [(self._names[c], self._colour(c)) for c in sorted(self._seen)]

    def _colour(self, train_id: int) -> tuple[int, int, int]:
        red, green, blue = (int(value) for value in self._colours[train_id, 0])
        return red, green, blue

    def _note(self, labels: Labels) -> None:
        present = np.flatnonzero(class_counts(labels))
        self._seen.update(int(c) for c in present if c != IGNORE and not self._plain[c])

    def _draw_legend(self, picture: Any) -> None:
        """At the bottom left; nothing where the picture is too small to hold it."""
        key = (len(self._seen), picture.shape)
        if self._panel is None or self._panel[0] != key:
            self._panel = key, legend_panel(self.seen, (picture.shape[0], picture.shape[1]))
        panel = self._panel[1]
        h, w = panel.shape[:2]
        if h:
            margin = max(4, picture.shape[0] // 60)
            place = picture[-margin - h : -margin, margin : margin + w]
            place[...] = _over(place, panel)


def class_counts(labels: Labels) -> NDArray[np.int64]:
    """Pixels of each value 0..255."""
    from segtween.ops.counting import count_values

    flat, counts = np.ascontiguousarray(labels).reshape(-1), np.zeros(256, np.int64)
    whole = flat.size // 8 * 8
    count_values(flat[:whole].view(np.uint64), flat[whole:], counts)
    return counts


def full_size(confidence: NDArray[np.float32], size_hw: SizeHW) -> NDArray[np.float32]:
    """A confidence, enlarged bilinearly from its grid to the frame's size: (H, W) in 0..1."""
    import cv2

    full = cv2.resize(confidence, size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(full, 0, 1), np.float32)


def legend_panel(entries: Sequence[Entry], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Dark (h, w, 3) panel with a swatch and the name of each class, in columns, for a picture of this size.

    Its lines are as high as fit; where even the lowest do not, the last entry says how many classes are left out.
    (0, 0, 3) where there is no room.
    """
    for line in heights(line_height(size_hw)):
        panel = _panel(entries, size_hw, line)
        if panel is not None:
            return panel
    for count in range(len(entries) - 1, 0, -1):
        rest: Entry = (f"and {len(entries) - count} more", (GROUND,) * 3)
        panel = _panel([*entries[:count], rest], size_hw, line)
        if panel is not None:
            return panel
    return np.zeros((0, 0, 3), np.uint8)


def _panel(entries: Sequence[Entry], size_hw: tuple[int, int], line: int) -> NDArray[np.uint8] | None:
    """The panel with lines of this height; None where it would cover too much of the picture."""
    import cv2

    height, width = size_hw
    step, pad = round(1.35 * line), max(2, line // 3)
    if not entries:
        return None
    rows = max(1, min(len(entries), int(_MOST_COLUMN * height) // step))
    columns = [entries[i : i + rows] for i in range(0, len(entries), rows)]
    widths = [step + max(text_width(name, line) for name, _ in column) + 2 * pad for column in columns]
    if sum(widths) + pad > 0.96 * width or rows * step + 2 * pad > 0.5 * height:
        return None
    panel = np.full((rows * step + 2 * pad, sum(widths) + pad, 3), GROUND, np.uint8)
    x, side = pad, round(0.8 * line)
    for column, w in zip(columns, widths, strict=True):
        for row, (name, colour) in enumerate(column):
            top = pad + row * step
            if colour != (GROUND,) * 3:
                corner = x + side, top + (step - side) // 2 + side
                cv2.rectangle(panel, (x, corner[1] - side), corner, colour, cv2.FILLED)
                cv2.rectangle(panel, (x, corner[1] - side), corner, PAPER, 1)
            write(panel, name, (x + step, top + (step - round(1.1 * line)) // 2), line, colour=PAPER)
        x += w
    return panel


def caption(picture: Rgb, text: str) -> None:
    """Writes `text` into the picture's top left corner, light on a dark strip: in two or three lines where one is
    too short and there is room."""
    if not text.strip():
        return
    height, width = picture.shape[:2]
    line = line_height((height, width))
    pad = line // 3
    room = width - 2 * pad
    lines = [clipped(text, line, room)]
    if lines != [text] and height >= 12 * line:
        lines = balanced(text, line, room)
        if len(lines) > 3:
            lines[2:] = [clipped(" ".join(lines[2:]), line, room)]
    step = round(1.3 * line)
    wide = min(width, max(text_width(part, line) for part in lines) + 2 * pad)
    strip = np.full((step * len(lines) + pad, wide, 3), GROUND, np.uint8)
    for row, part in enumerate(lines):
        write(strip, part, (pad, pad // 2 + row * step), line, colour=PAPER)
    place = picture[: strip.shape[0], :wide]
    place[...] = _over(place, strip[: place.shape[0]])


def side_by_side(left: Rgb, right: Rgb, *, captions: tuple[str, str] = ("", "")) -> Rgb:
    """Two pictures of one size next to each other, each with its caption: (H, 2W, 3)."""
    both = np.concatenate((left, right), axis=1)
    width = left.shape[1]
    caption(both[:, :width], captions[0])
    caption(both[:, width:], captions[1])
    both[:, width - 1 : width + 1] = 255
    return both


def _over(place: Any, panel: Any) -> Any:
    """`panel` over the picture, its dark ground see-through, its writing solid."""
    import cv2

    ground = cv2.addWeighted(np.ascontiguousarray(place), 0.4, panel, 0.6, 0)
    solid = (panel != GROUND).any(axis=2).astype(np.uint8)
    return cv2.copyTo(panel, solid, ground)
