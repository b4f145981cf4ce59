"""Inverse patch search, from coarse to fine: the core of Dense Inverse Search (Kroeger, Timofte, Dai, Van Gool: Fast
Optical Flow using Dense Inverse Search, ECCV 2016), with neighbours asked once and votes that are stricter.

Convention: backward flow, current(x, y) = previous(x + dx, y + dy).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.flow import patches
from segtween.flow.patches import PAD, SIDE
from segtween.ops.threads import Rows
from segtween.types import Flow, SizeHW

LEAST_SIDE = 12
"""The coarsest level's shorter side is this or more."""
FEWEST_ROWS = 8
"""Fewer rows of patches than twice this are not worth a second thread."""


@dataclass(frozen=True)
class Search:
    """How thoroughly is searched: patches so many pixels apart, and so many steps each at most, on every level."""

    apart: int = 4
    steps: int = 6


class PatchSearch:
    """Flow between two grey images (h, w) uint8 of 2 SIDE pixels at least each way, searched on half their grid."""

    def __init__(self, *, search: Search, threads: int = 0) -> None:
        self.search, self._rows = search, Rows(threads)
        self._kept: list[tuple[NDArray[np.uint8], list[NDArray[np.float32]]]] = []

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:
        """(h, w, 2) float32."""
        flow: Flow | None = None
        for now, before in zip(reversed(self._levels(current)), reversed(self._levels(previous)), strict=True):
            h, w = now.shape[0] - 2 * PAD, now.shape[1] - 2 * PAD
            xs, ys = _places(w, self.search.apart), _places(h, self.search.apart)
            flow = self._level(now, before, xs, ys, _start(flow, (h, w), xs, ys))
        assert flow is not None, "there is at least one level"
        return self._enlarged(flow, (current.shape[0], current.shape[1]))

    def _enlarged(self, flow: Flow, size_hw: SizeHW) -> Flow:
        h, w = flow.shape[:2]
        if size_hw != (2 * h, 2 * w):
            scale = np.array([size_hw[1] / w, size_hw[0] / h], np.float32)
            return np.asarray(cv2.resize(flow, size_hw[::-1], interpolation=cv2.INTER_LINEAR) * scale)
        out = np.empty((*size_hw, 2), np.float32)
        self._rows(lambda a, b: patches.double_rows(flow, out, a, b), len(out), least=64)
        return out

    def _level(self, now: Any, before: Any, xs: Any, ys: Any, start: Flow) -> Flow:
        found = self._pass(now, before, xs, ys, start, is_second=False)
        found = self._pass(now, before, xs, ys, found, is_second=True)
        flow = np.empty((now.shape[0] - 2 * PAD, now.shape[1] - 2 * PAD, 2), np.float32)
        bands = _bands(len(flow))

        def vote(first: int, last: int) -> None:
            patches.vote_rows(now, before, xs, ys, found, bands, flow, first, last)

        self._rows(vote, len(bands) - 1, least=FEWEST_ROWS)
        return flow

    def _pass(self, now: Any, before: Any, xs: Any, ys: Any, start: Flow, *, is_second: bool) -> Flow:
        found, steps = np.empty_like(start), self.search.steps

        def search(first: int, last: int) -> None:
            patches.search_rows(now, before, xs, ys, start, is_second, steps, found, first, last)

        self._rows(search, len(ys), least=FEWEST_ROWS)
        return found

    def _levels(self, image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """From fine to coarse. Those of the last two images are kept: each is the current one, then the one before."""
        for known, levels in self._kept:
            if known is image:
                return levels
        levels, finer = list[NDArray[np.float32]](), cast(NDArray[Any], image)
        while True:
            h, w = (finer.shape[0] + 1) // 2, (finer.shape[1] + 1) // 2
            if levels and min(h, w) < LEAST_SIDE:
                break
            levels.append(_halved(finer, (h, w), self._rows))
            finer = levels[-1][PAD:-PAD, PAD:-PAD]
        self._kept = [*self._kept[-1:], (image, levels)]
        return levels


def _halved(image: NDArray[Any], size_hw: SizeHW, rows: Rows) -> NDArray[np.float32]:
    """A level of half an image, as `patches` wants it."""
    h, w = size_hw
    if image.shape != (2 * h, 2 * w):  # odd sides: cells that span the image all the same
        half = cv2.resize(image.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.copyMakeBorder(half, PAD, PAD, PAD, PAD, cv2.BORDER_REPLICATE))
    level = np.empty((h + 2 * PAD, w + 2 * PAD), np.float32)
    rows(lambda a, b: patches.halve_rows(image, level, a, b), len(level), least=64)
    return level


@lru_cache(maxsize=64)
def _places(length: int, apart: int) -> NDArray[np.int64]:
    """Where patches begin, so that the last one ends with the image."""
    return np.append(np.arange(0, length - SIDE, apart), length - SIDE)


@lru_cache(maxsize=64)
def _bands(length: int) -> NDArray[np.int64]:
    return np.append(np.arange(0, length, 4), length)


def _start(coarser: Flow | None, size_hw: SizeHW, xs: NDArray[np.int64], ys: NDArray[np.int64]) -> Flow:
    """The coarser level's flow at the middle of each patch; none on the coarsest."""
    if coarser is None:
        return np.zeros((len(ys), len(xs), 2), np.float32)
    h, w = coarser.shape[:2]
    at_y = np.minimum((ys + SIDE // 2) * h // size_hw[0], h - 1)
    at_x = np.minimum((xs + SIDE // 2) * w // size_hw[1], w - 1)
    return np.asarray(coarser[at_y[:, None], at_x] * np.array([size_hw[1] / w, size_hw[0] / h], np.float32))
