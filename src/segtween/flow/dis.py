"""Dense Inverse Search (Kroeger, Timofte, Dai, Van Gool: Fast Optical Flow using Dense Inverse Search,
ECCV 2016): as OpenCV has it, or searched by `segtween.flow.search`.

Convention: backward flow, current(x, y) = previous(x + dx, y + dy), which DIS gives when it is called as
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

Effort = Literal["ultrafast", "fast", "balanced", "medium"]

_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
EFFORTS: tuple[str, ...] = ("ultrafast", "fast", "balanced", "medium")


class DisFlow:
    """DIS on a grey image of the flow grid.

    `effort`: OpenCV's presets ultrafast, fast and medium; `balanced` is ours: patches 4 pixels apart down to half the
    grid's resolution, without variational refinement, in about a fifth of medium's time. `stride` is the flow grid's
    (None: chosen by image size); `threads` (0 = every processor) are those of `balanced`.
    """

    def __init__(self, *, effort: Effort = "balanced", stride: int | None = None, threads: int = 0) -> None:
        if effort not in EFFORTS:
            raise unknown(f"flow effort {effort!r}", effort, EFFORTS)
        self.effort, self._view, self._search = effort, GreyView(stride=stride, threads=threads), Search()
        balanced = PatchSearch(search=self._search, threads=threads)
        self._find = balanced if effort == "balanced" else _opencv(effort)

    def prepare(self, rgb: Rgb) -> NDArray[np.uint8]:
        return self._view(rgb)

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:
        if min(current.shape) < 16:  # DIS needs room for its patches
            return np.zeros((*current.shape, 2), np.float32)
        return self._find(current, previous)

    def describe(self) -> dict[str, Any]:
        grid = self._view.stride or f"at most {MOST_CELLS} cells"
        how = {"search": asdict(self._search)} if self.effort == "balanced" else {"opencv": cv2.__version__}
        return {"flow": "dis", "effort": self.effort, "grid": grid, **how}


def _opencv(effort: Effort) -> Callable[[NDArray[np.uint8], NDArray[np.uint8]], Flow]:
    dis = cv2.DISOpticalFlow.create(_PRESETS[effort])
    return lambda current, previous: np.asarray(dis.calc(current, previous, None), np.float32)
