"""Inverse patch search, from coarse to fine: the core of Dense Inverse Search (Kroeger, Timofte, Dai, Van Gool: Fast
Optical Flow using Dense Inverse Search, ECCV 2016), with neighbours tried once and stricter weights in the
densification.

Convention: backward flow, current(x, y) = previous(x + dx, y + dy).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.flow import patches
from segtween.flow.patches import PAD, SIDE
from segtween.ops.cache import TwoEntryCache
from segtween.ops.kernels import double_rows
from segtween.ops.threads import Rows
from segtween.types import Flow, SizeHW

LEAST_SIDE = 12
"""The coarsest level's shorter side is this or more."""


@dataclass(frozen=True)
class Search:
    """How thorough the search is: levels down to the image halved `halved` times; on each, patches `apart` pixels
    apart, at most `steps` steps at a time, and `rounds` rounds in which neighbours are tried. On the last level patches
    keep the coarser one's flow where it leaves less than `settled` grey levels (root mean square; None: they never do).
    """

    halved: int = 1
    apart: int = 4
    steps: int = 6
    rounds: int = 2
    settled: float | None = None


class PatchSearch:
    """Flow between two grey images (h, w) uint8 of at least 16 pixels in each direction."""

    def __init__(self, *, search: Search, threads: int = 0) -> None:
        self.search, self._rows = search, Rows(threads)
        self._kept = TwoEntryCache[list[NDArray[np.float32]]]()

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:
        """(h, w, 2) float32."""
        # The previous one first: it was the current one before, and the newest stays.
        befores = self._kept(previous, lambda: self._levels(previous))
        levels = list(zip(self._kept(current, lambda: self._levels(current)), befores, strict=True))
        found, coarser = np.zeros((1, 1, 2), np.float32), (SIDE, SIDE)
        for now, before in reversed(levels):
            size_hw = now.shape[1] - 2 * PAD, now.shape[0] - 2 * PAD
            settled = self.search.settled if now is levels[0][0] else None
            found, coarser = self._level((now, before), found, coarser, size_hw, settled), size_hw
        flow, places, bands = np.empty((*size_hw, 2), np.float32), self._places(size_hw), self._bands(size_hw)

        def densify(first: int, last: int) -> None:
            patches.densify_rows(now, before, places, found, bands, flow, first, last)

        self._rows(densify, len(bands[3]) - 1)
        return self._enlarged(flow, (current.shape[0], current.shape[1]))

    def both_ways(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> tuple[Flow, Flow]:
        """From current to previous, and back, each on half of the threads."""
        for image in (previous, current):
            self._kept(image, partial(self._levels, image))
        there, back = self._rows.each([partial(self, current, previous), partial(self, previous, current)])
        return there, back

    def _level(self, images: Any, start: Flow, start_hw: SizeHW, size_hw: SizeHW, settled: float | None) -> Flow:
        """The patches' flow on a level, from what was found on a coarser one."""
        places, limits = self._places(size_hw), (self.search.steps, np.float32(SIDE * SIDE * (settled or 0.0) ** 2))
        nearest, shape = _nearest_patches(size_hw, start_hw, self.search.apart), (len(places[1]), len(places[0]))
        found = _patches(shape)
        search = partial(patches.search_rows, *images, places, start, nearest, limits, found)
        self._rows(search, shape[0])
        for _ in range(self.search.rounds):
            before, found = found, _patches(shape)
            spread = partial(patches.spread_rows, *images, places, before, limits, found)
            self._rows(spread, shape[0])
        return found[0]

    def _enlarged(self, flow: Flow, size_hw: SizeHW) -> Flow:
        h, w = flow.shape[:2]
        if size_hw == (h, w):
            return flow
        if size_hw[0] % (2 * h) or size_hw[1] % (2 * w):
            scale = np.array([size_hw[1] / w, size_hw[0] / h], np.float32)
            return np.asarray(cv2.resize(flow, size_hw[::-1], interpolation=cv2.INTER_LINEAR) * scale)
        out = np.empty((2 * h, 2 * w, 2), np.float32)
        self._rows(lambda a, b: double_rows(flow, out, a, b), len(out))
        return self._enlarged(out, size_hw)

    def _places(self, size_hw: SizeHW) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return _places(size_hw[1], self.search.apart), _places(size_hw[0], self.search.apart)

    def _bands(self, size_hw: SizeHW) -> tuple[NDArray[np.int64], ...]:
        return *_bands(size_hw[1], self.search.apart), *_bands(size_hw[0], self.search.apart)

    def _levels(self, image: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """From fine to coarse, column by column."""
        levels = [_padded(image, self._rows)]
        while True:
            finer = levels[-1][PAD:-PAD, PAD:-PAD]
            h, w = (finer.shape[0] + 1) // 2, (finer.shape[1] + 1) // 2
            if min(h, w) < (LEAST_SIDE if len(levels) > self.search.halved else SIDE):
                break
            levels.append(_halved(finer, (h, w), self._rows))
        return [cv2.transpose(level) for level in levels[min(self.search.halved, len(levels) - 1) :]]


def _patches(shape: tuple[int, int]) -> tuple[Flow, NDArray[np.float32], NDArray[np.bool_]]:
    """Room for the flow of patches, what it leaves of them, and which of them a round has changed."""
    return np.empty((*shape, 2), np.float32), np.empty(shape, np.float32), np.empty(shape, np.bool_)


def _padded(image: NDArray[np.uint8], rows: Rows) -> NDArray[np.float32]:
    """A level of an image itself."""
    level = np.empty((image.shape[0] + 2 * PAD, image.shape[1] + 2 * PAD), np.float32)
    rows(lambda a, b: patches.pad_rows(image, level, a, b), len(level))
    return level


def _halved(image: NDArray[np.float32], size_hw: SizeHW, rows: Rows) -> NDArray[np.float32]:
    """A level of half an image, as `patches` wants it."""
    h, w = size_hw
    if image.shape != (2 * h, 2 * w):  # odd sides: cells that span the image all the same
        half = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.copyMakeBorder(half, PAD, PAD, PAD, PAD, cv2.BORDER_REPLICATE))
    level = np.empty((h + 2 * PAD, w + 2 * PAD), np.float32)
    rows(lambda a, b: patches.halve_rows(image, level, a, b), len(level))
    return level


@lru_cache(maxsize=64)
def _places(length: int, apart: int) -> NDArray[np.int64]:
    """Where patches begin, so that the last one ends with the image."""
    return np.append(np.arange(0, length - SIDE, apart), length - SIDE)


@lru_cache(maxsize=64)
def _bands(length: int, apart: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Where bands begin that the same patches cover, and the length; and each band's first and last patch."""
    begins = _places(length, apart)
    edges = np.unique(np.concatenate([begins, begins + SIDE]))
    return edges, np.searchsorted(begins + SIDE, edges[:-1], "right"), np.searchsorted(begins, edges[:-1], "right") - 1


@lru_cache(maxsize=64)
def _nearest_patches(size_hw: SizeHW, start_hw: SizeHW, apart: int) -> tuple[Any, ...]:
    """Which row and column of patches of a level of size `start_hw` is nearest to each of a level of `size_hw`; and how
    many pixels of this level one of that is, along x and y."""
    nearest = []
    for length, other in zip(size_hw, start_hw, strict=True):
        middle = (_places(length, apart) + SIDE / 2) * (other / length)
        away = np.abs(middle[:, None] - (_places(other, apart) + SIDE / 2))
        nearest.append(np.argmin(away, axis=1))
    scale = (np.float32(n / m) for n, m in zip(size_hw[::-1], start_hw[::-1], strict=True))
    return (*nearest, *scale)
