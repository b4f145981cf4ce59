"""Dense Inverse Search (Kroeger, Timofte, Dai, Van Gool: Fast Optical Flow using Dense Inverse Search,
ECCV 2016), as OpenCV has it.

Convention: backward flow, current(x, y) = previous(x + dx, y + dy), which DIS gives when it is called as
calc(current, previous).
"""

from __future__ import annotations

from typing import Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.errors import unknown
from segtween.flow.view import MOST_CELLS, GreyView
from segtween.types import Flow, Rgb

Effort = Literal["ultrafast", "fast", "balanced", "medium"]

_PRESETS = {
    "ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST,
    "balanced": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST,
    "medium": cv2.DISOPTICAL_FLOW_PRESET_MEDIUM,
}
EFFORTS = tuple(_PRESETS)


class DisFlow:
    """DIS on a grey image of the flow grid.

    `effort`: OpenCV's presets ultrafast, fast and medium; `balanced` is ours: matches down to half the
    grid's resolution in patches 4 pixels apart, without variational refinement, about a third of medium's
    time. `stride` is the flow grid's (None: chosen by image size).
    """

    def __init__(self, *, effort: Effort = "balanced", stride: int | None = None) -> None:
        if effort not in _PRESETS:
            raise unknown(f"flow effort {effort!r}", effort, EFFORTS)
        self.effort, self._view = effort, GreyView(stride=stride)
        self._dis = cv2.DISOpticalFlow.create(_PRESETS[effort])
        if effort == "balanced":
            self._dis.setFinestScale(1)
            self._dis.setPatchSize(8)
            self._dis.setPatchStride(4)
            self._dis.setGradientDescentIterations(8)
            self._dis.setVariationalRefinementIterations(0)

    def prepare(self, rgb: Rgb) -> NDArray[np.uint8]:
        return self._view(rgb)

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:
        if min(current.shape) < 16:  # DIS needs room for its patches
            return np.zeros((*current.shape, 2), np.float32)
        return np.asarray(self._dis.calc(current, previous, None), np.float32)

    def describe(self) -> dict[str, Any]:
        grid = self._view.stride or f"at most {MOST_CELLS} cells"
        return {"flow": "dis", "effort": self.effort, "grid": grid, "opencv": cv2.__version__}
