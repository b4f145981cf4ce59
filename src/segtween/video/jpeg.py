"""Pictures as JPEG, for pages."""

from __future__ import annotations

import cv2

from segtween.types import Rgb


def encode_jpeg(rgb: Rgb, *, quality: int) -> bytes:
    """(H, W, 3) RGB -> a JPEG file of `quality` 0..100."""
    done, data = cv2.imencode(".jpg", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "of any picture that has an area"
    return data.tobytes()
