"""Flow from the motion vectors of a video's coding, which its decoder holds already; estimated where there are none.

A coder predicts blocks of a picture from pictures that it sent before; the vectors that say from where are a coarse
flow, made to save bits rather than to follow things. Matching by appearance corrects the composed flow that they give.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from segtween.flow.dis import DisFlow
from segtween.types import Flow, Frame, MotionVectors, Rgb, SizeHW

if TYPE_CHECKING:
    from segtween.flow import FlowOptions

View = NDArray[np.uint8]
LEAST_COVERED = 0.5
"""Of the grid; below, most of the picture was coded anew, as after a scene cut, and its flow is estimated."""

MOST_RESIDUAL = 0.35
"""Of the frame's contrast, as `schedule.cuts` counts both; above, the vectors do not lead to the frame before, as where
a coder predicts from several pictures of a texture that repeats."""


class CodecFlow:
    """The motion vectors of `Frame.vectors` on the flow grid, constant in each block; what blocks leave open is filled
    from the neighbours. The forward flow is the backward flow turned round.

    `watch` shows it a frame before `prepare` does. Frames that it was not shown, that have no vectors, or vectors that
    do not explain them, or that do not follow the last one, have their flow estimated by `search`.
    """

    def __init__(self, search: DisFlow) -> None:
        self.search = search
        self._watched: Frame | None = None
        self._views: tuple[View | None, View | None] = (None, None)
        self._last_index: int | None = None
        self._vectors: MotionVectors | None = None
        self._size_hw: SizeHW = (1, 1)
        self._backward: Flow | None = None

    def watch(self, frame: Frame) -> None:
        self._watched = frame

    def prepare(self, rgb: Rgb) -> View:
        frame, self._watched = self._watched, None
        view = self.search.prepare(rgb)
        self._views, self._size_hw = (self._views[1], view), (rgb.shape[0], rgb.shape[1])
        follows = frame is not None and self._last_index is not None and frame.index == self._last_index + 1
        self._vectors = frame.vectors if frame is not None and follows else None
        self._last_index = None if frame is None else frame.index
        self._backward = None
        return view

    def __call__(self, current: View, previous: View) -> Flow:
        before, now = self._views
        is_backward, is_forward = current is now and previous is before, current is before and previous is now
        backward = self._flow_of_vectors(now, before) if is_backward or is_forward else None
        if backward is None:
            return self.search(current, previous)
        return backward if is_backward else turned_round(backward)

    def _flow_of_vectors(self, now: View | None, before: View | None) -> Flow | None:
        """The last frame's backward flow, made once for both directions; None where it has to be estimated."""
        vectors, self._vectors = self._vectors, None
        if vectors is not None and now is not None and before is not None and before.shape == now.shape:
            flow = flow_of_vectors(vectors, (now.shape[0], now.shape[1]), self._size_hw)
            self._backward = flow if flow is not None and explains(flow, now, before) else None
        return self._backward

    def describe(self) -> dict[str, Any]:
        return {"flow": "codec", "otherwise": self.search.describe()}


def open_codec(flow: str, options: FlowOptions) -> CodecFlow:  # noqa: ARG001
    return CodecFlow(DisFlow(quality=options.quality, stride=options.stride, threads=options.threads))


def flow_of_vectors(vectors: MotionVectors, grid_hw: SizeHW, size_hw: SizeHW) -> Flow | None:
    """(h, w, 2) backward flow in cells of the grid, of vectors in pixels of a frame of `size_hw`; None where they cover
    less than `LEAST_COVERED` of it."""
    flow, known = np.zeros((*grid_hw, 2), np.float32), np.zeros(grid_hw, np.bool_)
    scale = np.array([grid_hw[1] / size_hw[1], grid_hw[0] / size_hw[0]], np.float32)
    _paint(vectors.blocks, vectors.flow, scale, flow, known)
    return _filled(flow, known)


def explains(flow: Flow, current: View, previous: View) -> bool:
    """Whether a frame's view (h, w) is the one before moved along the flow, as far as every fourth cell shows."""
    some = current[::4, ::4].astype(np.float32)
    contrast = max(float(np.abs(some - some.mean()).mean()), 4.0)
    return bool(_difference(flow, current, previous) <= MOST_RESIDUAL * contrast)


def turned_round(flow: Flow) -> Flow:
    """The flow the other way: each cell's, negated, where the cell comes from; where several do, the longest."""
    out, known = np.zeros_like(flow), np.zeros(flow.shape[:2], np.bool_)
    _splat(flow, out, known)
    filled = _filled(out, known)
    return -flow if filled is None else filled


def _filled(flow: Flow, known: NDArray[np.bool_]) -> Flow | None:
    covered = np.count_nonzero(known)
    if covered < LEAST_COVERED * known.size:
        return None
    if covered < known.size:
        _fill(flow, known)
    return flow


@njit(nogil=True, cache=True, error_model="numpy")
def _difference(flow: Any, current: Any, previous: Any) -> Any:
    """The mean of every fourth cell's difference along each axis; those that come from outside do not count."""
    h, w = current.shape
    total, count = 0.0, 0
    for y in range(0, h, 4):
        for x in range(0, w, 4):
            column, row = int(np.floor(x + flow[y, x, 0] + 0.5)), int(np.floor(y + flow[y, x, 1] + 0.5))
            if 0 <= column < w and 0 <= row < h:
                total += abs(float(current[y, x]) - float(previous[row, column]))
                count += 1
    return total / max(count, 1)


@njit(nogil=True, cache=True, error_model="numpy")
def _paint(blocks: Any, vectors: Any, scale: Any, flow: Any, known: Any) -> None:
    """A cell belongs to the block that holds its centre."""
    h, w = known.shape
    for n in range(blocks.shape[0]):
        left, top = blocks[n, 0] * scale[0] - 0.5, blocks[n, 1] * scale[1] - 0.5
        right, bottom = left + blocks[n, 2] * scale[0], top + blocks[n, 3] * scale[1]
        dx, dy = vectors[n, 0] * scale[0], vectors[n, 1] * scale[1]
        for y in range(max(0, int(np.ceil(top))), min(h, int(np.ceil(bottom)))):
            for x in range(max(0, int(np.ceil(left))), min(w, int(np.ceil(right)))):
                flow[y, x, 0], flow[y, x, 1] = dx, dy
                known[y, x] = True


@njit(nogil=True, cache=True, error_model="numpy")
def _fill(flow: Any, known: Any) -> None:
    """What is not known takes the flow of the cell on the left or above, then of the one on the right or below."""
    h, w = known.shape
    for step in (1, -1):
        for j in range(h):
            y = j if step == 1 else h - 1 - j
            for i in range(w):
                x = i if step == 1 else w - 1 - i
                if known[y, x]:
                    continue
                if 0 <= x - step < w and known[y, x - step]:
                    flow[y, x] = flow[y, x - step]
                elif 0 <= y - step < h and known[y - step, x]:
                    flow[y, x] = flow[y - step, x]
                else:
                    continue
                known[y, x] = True


@njit(nogil=True, cache=True, error_model="numpy")
def _splat(flow: Any, out: Any, known: Any) -> None:
    h, w = known.shape
    for y in range(h):
        for x in range(w):
            dx, dy = flow[y, x, 0], flow[y, x, 1]
            column, row = int(np.floor(x + dx + 0.5)), int(np.floor(y + dy + 0.5))
            if not (0 <= column < w and 0 <= row < h):
                continue
            ox, oy = out[row, column, 0], out[row, column, 1]
            if not known[row, column] or dx * dx + dy * dy > ox * ox + oy * oy:
                out[row, column, 0], out[row, column, 1] = -dx, -dy
                known[row, column] = True
