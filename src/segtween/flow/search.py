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
    """How thoroughly is searched on every level: patches so many pixels apart, at most so many steps at a time, so many
    rounds in which neighbours are asked."""

    apart: int = 4
    steps: int = 6
    rounds: int = 2


class PatchSearch:
    """Flow between two grey images (h, w) uint8 of 2 SIDE pixels at least each way, searched on half their grid."""

    def __init__(self, *, search: Search, threads: int = 0) -> None:
        self.search, self._rows = search, Rows(threads)
        self._kept: list[tuple[NDArray[np.uint8], list[NDArray[np.float32]]]] = []

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:
        """(h, w, 2) float32."""
        apart, found, coarser = self.search.apart, np.zeros((1, 1, 2), np.float32), (SIDE, SIDE)
        for now, before in zip(reversed(self._levels(current)), reversed(self._levels(previous)), strict=True):
            size_hw = now.shape[0] - 2 * PAD, now.shape[1] - 2 * PAD
            for begun in (coarser, *[size_hw] * self.search.rounds):
                found = self._pass(now, before, found, begun, size_hw)
            coarser = size_hw
        flow, bands = np.empty((*size_hw, 2), np.float32), _bands(size_hw[0])
        xs, ys = _places(size_hw[1], apart), _places(size_hw[0], apart)

        def vote(first: int, last: int) -> None:
            patches.vote_rows(now, before, xs, ys, found, bands, flow, first, last)

        self._rows(vote, len(bands) - 1, least=FEWEST_ROWS)
        return self._enlarged(flow, (current.shape[0], current.shape[1]))

    def _pass(self, now: Any, before: Any, start: Flow, start_hw: SizeHW, size_hw: SizeHW) -> Flow:
        """The patches' flow on a level, from what was found on a coarser one, or on this one the first time."""
        apart, steps, is_second = self.search.apart, self.search.steps, start_hw == size_hw
        xs, ys, whence = _places(size_hw[1], apart), _places(size_hw[0], apart), _whence(size_hw, start_hw, apart)
        found = np.empty((len(ys), len(xs), 2), np.float32)

        def search(first: int, last: int) -> None:
            patches.search_rows(now, before, xs, ys, start, whence, is_second, steps, found, first, last)

        self._rows(search, len(ys), least=FEWEST_ROWS)
        return found

    def _enlarged(self, flow: Flow, size_hw: SizeHW) -> Flow:
        h, w = flow.shape[:2]
        if size_hw != (2 * h, 2 * w):
            scale = np.array([size_hw[1] / w, size_hw[0] / h], np.float32)
            return np.asarray(cv2.resize(flow, size_hw[::-1], interpolation=cv2.INTER_LINEAR) * scale)
        out = np.empty((*size_hw, 2), np.float32)
        self._rows(lambda a, b: patches.double_rows(flow, out, a, b), len(out), least=64)
        return out

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


@lru_cache(maxsize=64)
def _whence(size_hw: SizeHW, start_hw: SizeHW, apart: int) -> tuple[Any, ...]:
    """Which row and column of patches of a level of size `start_hw` is nearest to each of a level of `size_hw`; and how
    many pixels of this level one of that is, along x and y."""
    nearest = []
    for length, other in zip(size_hw, start_hw, strict=True):
        middle = (_places(length, apart) + SIDE / 2) * (other / length)
        away = np.abs(middle[:, None] - (_places(other, apart) + SIDE / 2))
        nearest.append(np.argmin(away, axis=1))
    scale = (np.float32(n / m) for n, m in zip(size_hw[::-1], start_hw[::-1], strict=True))
    return (*nearest, *scale)
