"""Chosen classes cut out of the picture, or put before another background."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError
from segtween.types import Frame, Labels, Result, Rgb, SizeHW
from segtween.video.images import read_image

_HEX = re.compile(r"#([0-9a-fA-F]{6})")
COLOURS = {
    "black": (0, 0, 0), "white": (255, 255, 255), "grey": (128, 128, 128), "red": (255, 0, 0), "green": (0, 255, 0),
    "blue": (0, 0, 255),
}  # fmt: skip
_BLUR = 1 / 30
"""Standard deviation of the blur, of the picture's width."""


class CutOut:
    """Pictures of the train ids in `classes`: `matte`, `rgba`, or `composed` before a background.

    `background`: a colour (`#00b140`, white), an image file, which is scaled to cover the frame, or `blur`, the frame's
    own, blurred; None for none. SettingError for another one.
    """

    def __init__(self, classes: Sequence[int], background: str | Path | None = None) -> None:
        self._inside = np.zeros(256, np.uint8)
        self._inside[list(classes)] = 255
        self._background = None if background is None else _background(str(background))

    @property
    def is_composed(self) -> bool:
        return self._background is not None

    @property
    def codec(self) -> Literal["h264", "vp9"]:
        """Of a film of it: one that has an alpha channel where there is no background."""
        return "h264" if self.is_composed else "vp9"

    @property
    def picture(self) -> Callable[[Frame, Result], NDArray[np.uint8]]:
        return self.composed if self.is_composed else self.rgba

    def matte(self, labels: Labels) -> NDArray[np.uint8]:
        """(H, W): 255 where the label is one of the classes, 0 elsewhere."""
        return self._inside[labels]

    def rgba(self, frame: Frame, result: Result) -> NDArray[np.uint8]:
        """(H, W, 4): the picture with the matte as its alpha; its colours stay where nothing is seen."""
        return np.dstack((frame.rgb, self.matte(result.labels)))

    def composed(self, frame: Frame, result: Result) -> Rgb:
        """(H, W, 3): the classes before the background, their edge softened over one pixel."""
        import cv2

        assert self._background is not None, "there is one"
        alpha = cv2.GaussianBlur(self.matte(result.labels), (3, 3), 0).astype(np.float32)[..., None] / 255
        behind = self._background(frame.rgb)
        return np.rint(alpha * frame.rgb + (1 - alpha) * behind).astype(np.uint8)


def _background(name: str) -> Callable[[Rgb], Rgb]:
    if name == "blur":
        return _blurred
    hexadecimal = _HEX.fullmatch(name)
    colour = tuple(bytes.fromhex(hexadecimal[1])) if hexadecimal else COLOURS.get(name.lower())
    if colour is not None:
        plain = np.array(colour, np.uint8)
        return lambda rgb: np.broadcast_to(plain, rgb.shape)
    if not Path(name).is_file():
        raise SettingError(
            f"background={name!r}",
            expected=f"blur, an image file, #rrggbb or {', '.join(COLOURS)}",
            do="choose one of these",
        )
    return _Image(read_image(Path(name)))


def _blurred(rgb: Rgb) -> Rgb:
    import cv2

    return np.asarray(cv2.GaussianBlur(rgb, (0, 0), max(1.0, _BLUR * rgb.shape[1])), np.uint8)


class _Image:
    """A picture behind frames of one size: scaled to cover them, its middle kept."""

    def __init__(self, image: Rgb) -> None:
        self._image = image
        self._fitted: Rgb | None = None

    def __call__(self, rgb: Rgb) -> Rgb:
        if self._fitted is None or self._fitted.shape != rgb.shape:
            self._fitted = _covering(self._image, (rgb.shape[0], rgb.shape[1]))
        return self._fitted


def _covering(image: Rgb, size_hw: SizeHW) -> Rgb:
    import cv2

    scale = max(size_hw[0] / image.shape[0], size_hw[1] / image.shape[1])
    size = [max(wanted, round(scale * side)) for wanted, side in zip(size_hw, image.shape[:2], strict=True)]
    large = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    top, left = ((side - wanted) // 2 for side, wanted in zip(size, size_hw, strict=True))
    return np.ascontiguousarray(large[top : top + size_hw[0], left : left + size_hw[1]])
