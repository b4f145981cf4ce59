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
from segtween.flow.patches import PAD
from segtween.flow.weighing import SIDE
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
        self._kept = TwoEntryCache[NDArray[np.float32]]()

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:
        """(h, w, 2) float32."""
        # The previous one first: it was the current one before, and the newest stays.
        before = self._kept(previous, lambda: self._levels(previous))
        now, size_hw = self._kept(current, lambda: self._levels(current)), (current.shape[0], current.shape[1])
        plan, bands, most = _plan(size_hw, self.search)
        w, h = (int(side) for side in plan[0][-1][:2])
        out = np.empty((h, w, 2), np.float32)
        enlarged = np.empty((2 * h, 2 * w, 2) if size_hw == (2 * h, 2 * w) else (0, 0, 2), np.float32)
        rooms = np.zeros((2, most, 2), np.float32), np.empty((2, most), np.float32), np.empty((2, most), np.bool_)
        limits = self.search.steps, np.float32(SIDE * SIDE * (self.search.settled or 0.0) ** 2), self.search.rounds
        phases = (1 + self.search.rounds) * len(plan[0]) + 1 + (len(enlarged) > 0)
        arguments = (now, before), plan, limits, rooms, bands, (out, enlarged)
        self._rows.through(patches.flow_phases, phases, arguments, cells=h * w)
        return enlarged if len(enlarged) else self._enlarged(out, size_hw)

    def both_ways(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> tuple[Flow, Flow]:
        """From current to previous, and back, each on half of the threads."""
        for image in (previous, current):
            self._kept(image, partial(self._levels, image))
        there, back = self._rows.each([partial(self, current, previous), partial(self, previous, current)])
        return there, back

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

    def _levels(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """From coarse to fine, column by column, end to end."""
        sizes = _sizes((image.shape[0], image.shape[1]), self.search.halved)
        first, levels = min(self.search.halved, len(sizes) - 1), list[NDArray[np.float32]]()
        if first == 0:
            levels.append(_padded(image, self._rows))
        for size_hw in sizes[1:]:
            levels.append(_halved(levels[-1][PAD:-PAD, PAD:-PAD] if levels else image, size_hw, self._rows))
        levels = levels[-(len(sizes) - first) :][::-1]
        ends = np.cumsum([0, *(level.size for level in levels)])
        out = np.empty(ends[-1], np.float32)
        for level, begin, end in zip(levels, ends, ends[1:], strict=False):
            cv2.transpose(level, out[begin:end].reshape(level.shape[::-1]))
        return out


def _padded(image: NDArray[np.uint8], rows: Rows) -> NDArray[np.float32]:
    """A level of an image itself."""
    level = np.empty((image.shape[0] + 2 * PAD, image.shape[1] + 2 * PAD), np.float32)
    rows(lambda a, b: patches.pad_rows(image, level, a, b), len(level))
    return level


def _halved(image: NDArray[Any], size_hw: SizeHW, rows: Rows) -> NDArray[np.float32]:
    """A level of half an image, as `patches` wants it."""
    h, w = size_hw
    if image.shape != (2 * h, 2 * w):  # odd sides: cells that span the image all the same
        half = cv2.resize(np.asarray(image, np.float32), (w, h), interpolation=cv2.INTER_AREA)
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
def _sizes(size_hw: SizeHW, halved: int) -> tuple[SizeHW, ...]:
    """Of the levels of an image, from fine to coarse."""
    sizes = [size_hw]
    while True:
        h, w = (sizes[-1][0] + 1) // 2, (sizes[-1][1] + 1) // 2
        if min(h, w) < (LEAST_SIDE if len(sizes) > halved else SIDE):
            return tuple(sizes)
        sizes.append((h, w))


@lru_cache(maxsize=16)
def _plan(size_hw: SizeHW, search: Search) -> tuple[Any, Any, int]:
    """`plan` and `bands` of `patches.flow_phases` for images of a size, and the most patches that a level has."""
    sizes = _sizes(size_hw, search.halved)
    sizes = sizes[min(search.halved, len(sizes) - 1) :][::-1]
    xs, ys = ([_places(size[axis], search.apart) for size in sizes] for axis in (1, 0))
    near = [_nearest_patches(a, b, search.apart) for a, b in zip(sizes, [(SIDE, SIDE), *sizes], strict=False)]
    begins = np.cumsum([0, *((h + 2 * PAD) * (w + 2 * PAD) for h, w in sizes)])
    ends_x, ends_y = (np.cumsum([0, *map(len, places)]) for places in (xs, ys))
    levels = np.array(
        [(w, h, begins[k], ends_x[k], ends_x[k + 1], ends_y[k], ends_y[k + 1]) for k, (h, w) in enumerate(sizes)],
        np.int64,
    )
    rows, columns = (np.concatenate([of[axis] for of in near]) for axis in (0, 1))
    scales = np.array([of[2:] for of in near], np.float32)
    bands = *_bands(sizes[-1][1], search.apart), *_bands(sizes[-1][0], search.apart)
    most = max(len(a) * len(b) for a, b in zip(xs, ys, strict=True))
    return (levels, np.concatenate(xs), np.concatenate(ys), columns, rows, scales), bands, most


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
