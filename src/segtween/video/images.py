"""A folder or pattern of images as a source."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from segtween.errors import SourceError
from segtween.masks.png import has_wrong_checksum
from segtween.types import Frame, Rgb, SourceInfo, format_size
from segtween.video.inputs import as_frame_rate, as_part, clip_name, image_files

DEFAULT_RATE = Fraction(25)


class ImageSource:
    """The images of a folder, pattern or list in natural order, one every 1/`frame_rate` seconds.

    Image i has pts i / frame_rate whatever part is read. 16-bit, grey, palette and alpha images read
    as 8-bit RGB; the orientation in a camera's EXIF is applied. Raises SourceError for an empty
    folder, an image that cannot be read (naming it) and images of different sizes.
    """

    def __init__(
        self,
        spec: str,
        *,
        start_seconds: float = 0,
        duration_seconds: float | None = None,
        frame_rate: Fraction | float | str | None = None,
        name: str | None = None,
    ) -> None:
        rate = DEFAULT_RATE if frame_rate is None else as_frame_rate(frame_rate)
        start, end = as_part(start_seconds, duration_seconds)
        files = image_files(spec)
        self._numbered = [
            (i, path) for i, path in enumerate(files) if i / rate >= start and (end is None or i / rate < end)
        ]
        if not self._numbered:
            raise SourceError(
                f"{spec} holds no frame from {float(start):g} s on",
                expected=f"a start before its end at {float(len(files) / rate):g} s",
                do="lower start_seconds",
            )
        self._closed = False
        self._first = read_image(self._numbered[0][1])
        self.info = SourceInfo(
            name=name or clip_name(spec),
            path=spec,
            size_hw=(self._first.shape[0], self._first.shape[1]),
            frame_rate=rate,
            n_frames=len(self._numbered),
            time_base=1 / rate,
            end_seconds=end,
        )

    def __iter__(self) -> Iterator[Frame]:
        assert self.info.time_base is not None
        for index, (number, path) in enumerate(self._numbered):
            if self._closed:
                return
            rgb = self._first if index == 0 else read_image(path)
            if rgb.shape[:2] != self.info.size_hw:
                raise SourceError(
                    f"image {path} (frame {index}) is {format_size((rgb.shape[0], rgb.shape[1]))}",
                    expected=f"{format_size(self.info.size_hw)} like the images before it",
                    do="put images of one size into one folder; the frames before are kept",
                )
            yield Frame(index, number * self.info.time_base, rgb)

    def close(self) -> None:
        self._closed = True


def read_image(path: Path) -> Rgb:
    """One image file as (H, W, 3) uint8 RGB; SourceError naming the file if it cannot be read whole."""
    import cv2

    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise _unreadable(path, error.strerror or "no reason given") from None
    if data.size == 0:
        raise _unreadable(path, "it is empty")
    if _cut_off(data):
        raise _unreadable(path, "it is cut off")
    if has_wrong_checksum(data.data):
        raise _unreadable(path, "it is damaged")
    try:
        bgr = cv2.imdecode(data, cv2.IMREAD_COLOR)
    except cv2.error:
        bgr = None
    if bgr is None:
        raise _unreadable(path, "it is damaged or not an image")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)


def _cut_off(data: np.ndarray) -> bool:
    """Whether the end that JPEG and PNG files have is not there; OpenCV fills what is missing with grey."""
    if data[:3].tobytes() == b"\xff\xd8\xff":
        return b"\xff\xd9" not in data[-4096:].tobytes()
    is_png, tail = data[:4].tobytes() == b"\x89PNG", data[-64:].tobytes()
    return is_png and b"IEND" not in tail and b"IEND" not in data.tobytes()


def _unreadable(path: Path, why: str) -> SourceError:
    return SourceError(
        f"image {path} cannot be read ({why})",
        expected="a whole PNG, JPEG, BMP, TIFF, WebP or PPM image",
        do="replace or remove it; the frames before it are kept",
    )
