"""Decoded pictures of any pixel format -> RGB as the conventions say."""

from __future__ import annotations

from typing import Any

import numpy as np

from segtween.types import Rgb

Matrix = tuple[int, int, int, int]

_FULL = 2  # AVColorRange
_UNSPECIFIED = 2  # AVColorSpace
_BT709, _BT601 = 1, 5  # swscale's names of the matrices


class ToRgb:
    """PyAV video frame -> (H, W, 3) uint8 RGB, full range, turned upright. Holds one swscale context.

    The matrix and range that the frame is tagged with are used. An untagged YUV frame counts as
    BT.709 if it is larger than standard definition (wider than 1279 or higher than 576 pixels), as
    BT.601 otherwise: what players assume. Alpha is dropped; 10 to 16 bits become 8; transfer curves
    (HDR) are left as they are.
    """

    def __init__(self, *, threads: int = 1) -> None:
        from av.video.reformatter import VideoReformatter

        self._reformatter = VideoReformatter()
        self._threads = threads
        self._matrices: dict[int, Matrix | None] = {}

    def __call__(self, frame: Any) -> Rgb:
        picture = self._reformatter.reformat(
            frame,
            format="rgb24",
            src_colorspace=_assumed_matrix(frame),
            dst_color_range=_FULL,
            threads=self._threads,
        )
        rgb: Any = picture.to_ndarray()
        # An RGB frame comes back as a view of the decoder's own buffer, which nobody may write to.
        rgb = rgb.copy() if picture is frame else np.ascontiguousarray(rgb)
        return upright(rgb, self._matrix(frame))

    def _matrix(self, frame: Any) -> Matrix | None:
        # Looked at once per angle: PyAV's side data refers back to its frame, so that every frame whose
        # side data was read stays in memory until the garbage collector comes by.
        angle = frame.rotation
        if angle not in self._matrices:
            self._matrices[angle] = display_matrix(frame)
        return self._matrices[angle]


def _assumed_matrix(frame: Any) -> int | None:
    if frame.colorspace != _UNSPECIFIED or frame.format.is_rgb or len(frame.format.components) < 3:
        return None
    return _BT709 if frame.width >= 1280 or frame.height > 576 else _BT601


def display_matrix(frame: Any) -> Matrix | None:
    """(a, b, c, d) of the frame's display matrix: a source point (x, y) is shown at (ax + cy, bx + dy)."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            values = np.frombuffer(bytes(data), np.int32)
            return int(values[0]), int(values[1]), int(values[3]), int(values[4])
    return None


def upright(rgb: Rgb, matrix: Matrix | None) -> Rgb:
    """The picture as it is meant to be seen: turned by quarter turns and mirrored, never resampled."""
    if matrix is None:
        return rgb
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        mirror_x, mirror_y = a < 0, d < 0
    else:
        rgb = rgb.swapaxes(0, 1)
        mirror_x, mirror_y = c < 0, b < 0
    rgb = rgb[:, ::-1] if mirror_x else rgb
    rgb = rgb[::-1] if mirror_y else rgb
    return np.ascontiguousarray(rgb)
