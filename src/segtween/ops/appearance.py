"""Composed flow matched by appearance: where the colours do not fit, the flow of cells near by is tried.

Flow cannot follow what it averages over: it leads the rim of a thing, a thin one and what a thing uncovers to wrong
places of the key frame. Neighbours often know better, and the colours say which of them (`ops.matching`).

    on the composed flow's grid   each frame, from far to near; what is found goes on with the flow
    on the flow's own grid        twice as fine, for the labels alone, near their edges
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.geometry import stride_grid
from segtween.ops import matching
from segtween.ops.cache import TwoEntryCache
from segtween.ops.phases import MOST_PIECES
from segtween.ops.searches import CROSS, MOST_SIDE, Search
from segtween.ops.threads import Rows
from segtween.types import Appearance, Flow, Labels, Rgb, SizeHW

Cells = NDArray[np.int32]


class Matching:
    """Matches on one set of threads; what is derived of the last two key frames is kept."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._keys = (TwoEntryCache[NDArray[np.uint8]](), TwoEntryCache[NDArray[np.uint8]]())
        self._now = (TwoEntryCache[NDArray[np.uint8]](), TwoEntryCache[NDArray[np.uint8]]())

    def appearance(self, rgb: Rgb, grid_hw: SizeHW) -> Appearance:
        """The colours of a frame (H, W, 3) on a grid, and on one half as fine: area means, uint8."""
        fine = self._shrunk(rgb, grid_hw)
        return Appearance(fine, self._shrunk(fine, stride_grid(grid_hw, 2)))

    def _shrunk(self, image: NDArray[np.uint8], grid_hw: SizeHW) -> NDArray[np.uint8]:
        """Never the image itself, which may be somebody's buffer."""
        (h, w), (height, width) = grid_hw, image.shape[:2]
        if (h, w) == (height, width):
            return image.copy()
        side = height // h
        if (side * h, side * w) != (height, width) or side % 2 or side == 2 or side > MOST_SIDE:
            # For sides of 2 OpenCV has the same numbers in less time.
            return np.asarray(cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA))
        out, whole = np.empty((h, w, 3), np.uint8), np.ascontiguousarray(image)
        self._rows(lambda a, b: matching.shrink_rows(whole, out, a, b), h)
        return out

    def centres(self, labels: Labels, grid_hw: SizeHW) -> Labels:
        """The labels (H, W) at the centres of a grid's cells."""
        if labels.shape == grid_hw:
            return labels
        out = np.empty(grid_hw, np.uint8)
        rows, columns = (_centres(size, cells) for size, cells in zip(labels.shape, grid_hw, strict=True))
        self._rows(lambda a, b: matching.centres_rows(labels, rows, columns, out, a, b), len(out))
        return out

    def coarse(self, composed: Flow, now: Appearance, key: Appearance, search: Search) -> Flow:
        """The composed flow (h, w, 2) of the coarse grid, better where a neighbour's fits better."""
        return self._search(composed, self._views(now.coarse, key.coarse, 0), search)[0]

    def fine(
        self, composed: Flow, now: Appearance, key: Appearance, search: Search, labels: Labels
    ) -> tuple[Flow, Cells]:
        """The composed flow, of the fine grid or one half as fine, on the fine grid (h, w, 2), better where a
        neighbour's fits better; and the cells (n, 2), x and y, that these are. `labels` (h, w) are what the flow
        gives."""
        return self._search(composed, self._views(now.fine, key.fine, 1), search, labels)

    def _search(
        self, source: Flow, views: tuple[Any, Any], search: Search, labels: Labels | None = None
    ) -> tuple[Flow, Cells]:
        h, w = source.shape[:2] if labels is None else labels.shape
        flow, most = np.empty((h, w, 2), np.float32), h * w
        edges = np.empty((0, 0) if labels is None else (h, w), np.bool_)
        near = np.empty((0, 0), np.uint8) if labels is None else labels, search.edge, edges
        limits = int(search.gate * CROSS), search.contrast, int(search.margin * CROSS)
        cells, counts = np.empty((most, 2), np.int32), np.zeros(MOST_PIECES + 1, np.int64)
        room = cells, np.empty(most, np.int32), np.empty((most, 2), np.float32), np.empty((most, 2), np.float32), counts
        phases, steps = 2 * len(search.steps) + 3, np.array(search.steps)
        arguments = views, np.ascontiguousarray(source), flow, near, limits, steps, room
        self._rows.through(matching.match_phases, phases, arguments, cells=most)
        return flow, cells[: counts[-1]]

    def _views(self, now: NDArray[np.uint8], key: NDArray[np.uint8], level: int) -> tuple[Any, Any]:
        """Both as the loops want them."""

        def halved() -> NDArray[np.uint8]:
            around = self._padded(key)
            out = np.empty((2, 2, *around.shape), np.uint8)
            self._rows(lambda a, b: matching.halve_cells_rows(around, out, a, b), len(around))
            return out.reshape(-1)

        return self._now[level](now, lambda: self._padded(now).reshape(-1)), self._keys[level](key, halved)

    def _padded(self, view: NDArray[np.uint8]) -> NDArray[np.uint8]:
        h, w = view.shape[:2]
        out = np.empty((h + 2, w + 2), "<u4")
        self._rows(lambda a, b: matching.pad_rows(view, out, a, b), h + 2)
        return out.view(np.uint8).reshape(h + 2, w + 2, 4)


@lru_cache(maxsize=64)
def _centres(length: int, cells: int) -> NDArray[np.int64]:
    """The pixel at the centre of each cell, along one axis."""
    return ((np.arange(cells) + 0.5) * (length / cells)).astype(np.int64)
