"""Drawing labels over a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.labels import LabelSet
from segtween.types import IGNORE, Labels, Rgb, SizeHW

OPACITY = 0.5
_CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)
_SHOWN_SHARE = 0.003  # a class enters the legend when it first covers this share of a frame


class Painter:
    """Tints every labelled pixel in its class's colour, outlines the classes and names them in a legend.

    Only the train ids in `classes` are tinted (all, if None), `opacity` of their colour (0..1); pixels to be ignored
    stay as they are. The legend grows with the classes seen so far, so that it does not flicker. About 3 ms at
    1280x720.
    """

    def __init__(
        self,
        labels: LabelSet,
        *,
        classes: Sequence[int] | None = None,
        outline: bool = True,
        legend: bool = True,
        opacity: float = OPACITY,
    ) -> None:
        self._names = labels.names
        self._colours = np.ascontiguousarray(labels.palette[:, None])  # (256, 1, 3), as OpenCV's colour maps are
        chosen = range(len(labels)) if classes is None else classes
        self._plain = np.full(256, 255, np.uint8)
        self._plain[list(chosen)] = 0
        self._outline, self._legend, self._opacity = outline, legend, opacity
        # One pixel wide: on either side between tinted classes, on the tinted side where only some are.
        self._stencil = np.ones((2, 2), np.uint8) if classes is None else _CROSS
        self._seen: set[int] = set()
        self._panel: tuple[Any, NDArray[np.uint8]] | None = None

    def __call__(self, rgb: Rgb, labels: Labels) -> Rgb:
        """(H, W, 3) RGB and (H, W) train ids -> a new (H, W, 3) RGB."""
        import cv2

        colours = cv2.applyColorMap(labels, self._colours)
        painted = cv2.addWeighted(rgb, 1 - self._opacity, colours, self._opacity, 0)
        if self._outline:
            edges = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, self._stencil)
            bright = cv2.addWeighted(colours, 0.55, np.full_like(colours, 255), 0.45, 0)
            cv2.copyTo(bright, edges, painted)
        cv2.copyTo(rgb, cv2.LUT(labels, self._plain), painted)
        if self._legend:
            self._note(labels)
            self._draw_legend(painted)
        return np.asarray(painted, np.uint8)

    def _note(self, labels: Labels) -> None:
        counts = class_counts(labels)
        present = np.flatnonzero(counts >= max(1, _SHOWN_SHARE * labels.size))
        self._seen.update(int(c) for c in present if c != IGNORE and not self._plain[c])

    def _draw_legend(self, picture: Any) -> None:
        """At the bottom left; nothing where the picture is too small to hold it."""
        key = (tuple(sorted(self._seen)), picture.shape)
        if self._panel is None or self._panel[0] != key:
            entries = [(self._names[c], tuple(int(v) for v in self._colours[c, 0])) for c in key[0]]
            self._panel = key, legend_panel(entries, (picture.shape[0], picture.shape[1]))
        panel = self._panel[1]
        h, w = panel.shape[:2]
        if h:
            margin = max(4, picture.shape[0] // 60)
            place = picture[-margin - h : -margin, margin : margin + w]
            place[...] = _over(place, panel)


def class_counts(labels: Labels) -> NDArray[np.int64]:
    """Pixels of each value 0..255."""
    import cv2

    if labels.size >= 1 << 24:  # OpenCV counts in float32
        return np.bincount(labels.ravel(), minlength=256).astype(np.int64)
    return np.asarray(cv2.calcHist([labels], [0], None, [256], [0, 256]), np.float32).ravel().astype(np.int64)


def full_size(confidence: NDArray[np.float32], size_hw: SizeHW) -> NDArray[np.float32]:
    """A confidence, enlarged bilinearly from its grid to the frame's size: (H, W) in 0..1."""
    import cv2

    full = cv2.resize(confidence, size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(full, 0, 1), np.float32)


def legend_panel(entries: Sequence[tuple[str, tuple[int, ...]]], size_hw: tuple[int, int]) -> NDArray[np.uint8]:
    """Dark (h, w, 3) panel with a swatch and the name of each class, in columns; (0, 0, 3) where there is no room."""
    import cv2

    empty = np.zeros((0, 0, 3), np.uint8)
    height, width = size_hw
    scale = _text_scale(height)
    line, pad = round(30 * scale), round(8 * scale)
    rows = max(1, min(len(entries), int(0.3 * height) // line))
    if not entries:
        return empty
    columns = [entries[i : i + rows] for i in range(0, len(entries), rows)]
    widths = [line + max(_text_width(name, scale) for name, _ in column) + 2 * pad for column in columns]
    if sum(widths) + pad > 0.9 * width or rows * line + 2 * pad > 0.5 * height:
        return empty
    panel = np.full((rows * line + 2 * pad, sum(widths) + pad, 3), 24, np.uint8)
    x = pad
    for column, w in zip(columns, widths, strict=True):
        for row, (name, colour) in enumerate(column):
            top = pad + row * line
            inset = round(5 * scale)
            cv2.rectangle(panel, (x, top + inset), (x + line - 2 * inset, top + line - inset), colour, cv2.FILLED)
            cv2.rectangle(panel, (x, top + inset), (x + line - 2 * inset, top + line - inset), (230, 230, 230), 1)
            _text(panel, name, (x + line, top + line - round(9 * scale)), scale)
        x += w
    return panel


def caption(picture: Rgb, text: str) -> None:
    """Writes `text` into the picture's top left corner, light on a dark strip."""
    if not text:
        return
    scale = _text_scale(picture.shape[0])
    pad, line = round(8 * scale), round(30 * scale)
    width = min(picture.shape[1], _text_width(text, scale) + 2 * pad)
    strip = np.full((line + pad, width, 3), 24, np.uint8)
    _text(strip, text, (pad, line - round(5 * scale)), scale)
    place = picture[: strip.shape[0], :width]
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
    solid = (panel != 24).any(axis=2).astype(np.uint8)
    return cv2.copyTo(panel, solid, ground)


def _text_scale(height: int) -> float:
    return min(3.0, max(0.5, height / 900))


def _text_width(text: str, scale: float) -> int:
    import cv2

    return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.62 * scale, 1)[0][0])


def _text(panel: Any, text: str, at: tuple[int, int], scale: float) -> None:
    import cv2

    thickness = max(1, round(1.3 * scale))
    cv2.putText(panel, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.62 * scale, (245, 245, 245), thickness, cv2.LINE_AA)
