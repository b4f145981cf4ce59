"""The motion vectors that a decoder holds of its pictures (H.264, MPEG-4 and MPEG-2 with FFmpeg)."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np

from segtween.types import MotionVectors

_INTRA, _PREDICTED = 1, 2  # AVPictureType: I, P
_COLLECTED_EVERY = 8


class VectorReader:
    """Of a stream's pictures, shown in order, each one's motion vectors to the picture before it.

    A decoder says of a block whether it was predicted from the past or the future, and not from which picture: of a P
    picture after another one, or after an I picture, the one before is taken for it. B pictures, and pictures after
    them, have no vectors here, and blocks that were coded anew have none.

    PyAV's side data and its picture refer to each other; a picture whose side data was read would stay in memory until
    the garbage collector comes by by itself, dozens of pictures later.
    """

    def __init__(self, stream: Any) -> None:
        from av.codec.context import Flags2

        stream.codec_context.flags2 |= Flags2.export_mvs
        self._follows_reference = False
        self._read = 0

    def __call__(self, picture: Any) -> MotionVectors | None:
        """The next picture's vectors; None where it has none, or its picture is turned."""
        self._read += 1
        if self._read % _COLLECTED_EVERY == 0:
            gc.collect(1)
        kind, follows = int(picture.pict_type), self._follows_reference
        self._follows_reference = kind in (_INTRA, _PREDICTED)
        return _vectors(picture) if follows and kind == _PREDICTED and not picture.rotation else None


def _vectors(picture: Any) -> MotionVectors | None:
    for data in picture.side_data:
        if data.type.name == "MOTION_VECTORS":
            given = data.to_ndarray()
            break
    else:
        return None
    given = given[(given["source"] < 0) & (given["motion_scale"] > 0)]
    width, height = given["w"].astype(np.int32), given["h"].astype(np.int32)
    blocks = np.stack([given["dst_x"] - width // 2, given["dst_y"] - height // 2, width, height], axis=1)
    moved = np.stack([given["motion_x"], given["motion_y"]], axis=1) / given["motion_scale"][:, None]
    return MotionVectors(blocks.astype(np.int32), moved.astype(np.float32)) if len(given) else None
