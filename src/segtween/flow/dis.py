"""Dense Inverse Search (Kroeger, Timofte, Dai, Van Gool: Fast Optical Flow using Dense Inverse Search, ECCV 2016):
`segtween.flow.search`, or to compare with, OpenCV's.

Convention: backward flow, current(x, y) = previous(x + dx, y + dy), which OpenCV's DIS gives when it is called as
calc(current, previous).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.errors import unknown
from segtween.flow.search import PatchSearch, Search
from segtween.flow.view import MOST_CELLS, GreyView
from segtween.types import Flow, Rgb

Quality = Literal["fast", "balanced", "fine", "medium"]

_SEARCHES = {"fast": Search(halved=2), "balanced": Search(halved=1), "fine": Search(halved=0)}
QUALITIES = (*_SEARCHES, "medium")


class DisFlow:
    """DIS on a grey image of the flow grid.

    `quality`: patches are searched down to a quarter of the grid's resolution, half of it, or all of it; each takes
    about four times as long as the one before. `medium` is OpenCV's preset, with variational refinement. `stride` is
    the flow grid's (None: chosen by image size).
    """

    def __init__(self, *, quality: Quality = "balanced", stride: int | None = None, threads: int = 0) -> None:
        if quality not in QUALITIES:
            raise unknown(f"flow quality {quality!r}", quality, QUALITIES)
        self.quality, self._view = quality, GreyView(stride=stride, threads=threads)
        self._find = _opencv() if quality == "medium" else PatchSearch(search=_SEARCHES[quality], threads=threads)

    def prepare(self, rgb: Rgb) -> NDArray[np.uint8]:
        return self._view(rgb)

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:
        if min(current.shape) < 16:  # there is no room for patches
            return np.zeros((*current.shape, 2), np.float32)
        return self._find(current, previous)

    def describe(self) -> dict[str, Any]:
        grid = self._view.stride or f"at most {MOST_CELLS} cells"
        how = {"opencv": cv2.__version__} if self.quality == "medium" else {"search": asdict(_SEARCHES[self.quality])}
        return {"flow": "dis", "quality": self.quality, "grid": grid, **how}


def _opencv() -> Callable[[NDArray[np.uint8], NDArray[np.uint8]], Flow]:
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda current, previous: np.asarray(dis.calc(current, previous, None), np.float32)
