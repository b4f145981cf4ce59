"""Dense Inverse Search (Kroeger, Timofte, Dai, Van Gool: Fast Optical Flow using Dense Inverse Search, ECCV 2016).

    dis         our own, `segtween.flow.search`; on a device `segtween.device.search`: the same algorithm with other
                numbers of steps, which `describe` gives
    dis-opencv  OpenCV's, with variational refinement, to compare with

Convention: backward flow, current(x, y) = previous(x + dx, y + dy), which OpenCV's DIS gives when it is called as
calc(current, previous).
"""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.errors import check_known
from segtween.flow.grid import LEAST_SIDE, describe_search
from segtween.flow.search import PatchSearch, Search
from segtween.flow.view import GreyView
from segtween.types import Flow, Rgb

if TYPE_CHECKING:
    from segtween.flow import FlowOptions

SEARCHES = {"fast": Search(halved=2), "balanced": Search(halved=1), "fine": Search(halved=0, settled=3.0)}
"""By quality: patches are searched down to a quarter of the grid's resolution, half of it, or, where that leaves more
than 3 grey levels, all of it; each takes two to three times as long as the one before."""
QUALITIES = tuple(SEARCHES)


class DisFlow:
    """DIS on a grey image of the flow grid.

    `quality` is of `SEARCHES`; SettingError for another. `stride` is the flow grid's, in pixels of the image (None:
    chosen by image size).
    """

    def __init__(self, *, quality: str = "balanced", stride: int | None = None, threads: int = 0) -> None:
        check_known(f"flow quality {quality!r}", quality, QUALITIES)
        self.quality, self._view = quality, GreyView(stride=stride, threads=threads)
        self._search = PatchSearch(search=SEARCHES[quality], threads=threads)

    def prepare(self, rgb: Rgb) -> NDArray[np.uint8]:
        return self._view(rgb)

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:
        if min(current.shape) < LEAST_SIDE:
            return np.zeros((*current.shape, 2), np.float32)
        return self._search(current, previous)

    def both_ways(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> tuple[Flow, Flow]:
        if min(current.shape) < LEAST_SIDE:
            return self(current, previous), self(previous, current)
        return self._search.both_ways(current, previous)

    def describe(self) -> dict[str, Any]:
        search = {name: value for name, value in asdict(self._search.search).items() if value is not None}
        return describe_search(self.quality, self._view, implementation="numba", search=search)


class OpenCvDisFlow:
    """OpenCV's DIS, preset medium, on the same grey image."""

    def __init__(self, *, stride: int | None = None, threads: int = 0) -> None:
        self._view = GreyView(stride=stride, threads=threads)
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def prepare(self, rgb: Rgb) -> NDArray[np.uint8]:
        return self._view(rgb)

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:
        if min(current.shape) < LEAST_SIDE:
            return np.zeros((*current.shape, 2), np.float32)
        return np.asarray(self._dis.calc(current, previous, None), np.float32)

    def describe(self) -> dict[str, Any]:
        return {"flow": "dis-opencv", "preset": "medium", "grid": self._view.describe(), "opencv": cv2.__version__}


def open_dis(flow: str, options: FlowOptions) -> DisFlow:  # noqa: ARG001
    return DisFlow(quality=options.quality, stride=options.stride, threads=options.threads)


def open_opencv(flow: str, options: FlowOptions) -> OpenCvDisFlow:  # noqa: ARG001
    return OpenCvDisFlow(stride=options.stride, threads=options.threads)
