"""Matching by appearance gives the same on the processor and on a card."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from device.twins import TWINS, Twin, twin
from segtween.ops.cpu import CpuOps
from segtween.ops.searches import SEARCHES
from segtween.types import Appearance, ScoreMap

FEW = 1e-3
"""Share of cells or pixels that may differ: where a place lies exactly between two half cells, rounding decides."""
SIZES = [((1, 7), (1, 7)), ((24, 32), (12, 16)), ((46, 62), (23, 31)), ((120, 160), (60, 80))]
"""Of a frame and of its fine grid."""
QUALITIES = pytest.mark.parametrize("quality", list(SEARCHES))


@pytest.fixture(params=TWINS)
def ops(request: pytest.FixtureRequest) -> Twin:
    return twin(request.param)


@pytest.fixture(scope="module")
def cpu() -> CpuOps:
    return CpuOps(threads=1)


def picture(size: tuple[int, int], seed: int) -> Any:
    """Smooth, with noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (size[0] // 4 + 2, size[1] // 4 + 2, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_LINEAR).astype(int)
    return np.clip(smooth + rng.integers(-9, 10, smooth.shape), 0, 255).astype(np.uint8)


def moved(view: Any, seed: int) -> Any:
    return np.clip(np.roll(view, (1, -3), (0, 1)).astype(int) + seed, 0, 255).astype(np.uint8)


def half(size: tuple[int, int]) -> tuple[int, int]:
    return -(-size[0] // 2), -(-size[1] // 2)


def flow(size: tuple[int, int], seed: int) -> Any:
    return np.random.default_rng(seed).normal(0, 3, (*size, 2)).astype(np.float32)


def sight(cpu: CpuOps, grid: tuple[int, int], seed: int) -> tuple[Appearance, Appearance]:
    """Of a frame and of its key frame."""
    view = picture(grid, seed)
    return cpu.appearance(moved(view, 3), grid), cpu.appearance(view, grid)


@pytest.mark.parametrize(("size", "grid"), SIZES)
def test_colours_on_a_grid_are_the_same(ops: Twin, cpu: CpuOps, size: tuple[int, int], grid: tuple[int, int]) -> None:
    found, expected = ops.appearance(picture(size, 1), grid), cpu.appearance(picture(size, 1), grid)
    assert found.fine.shape == (*grid, 3)
    for one, other in ((found.fine, expected.fine), (found.coarse, expected.coarse)):
        assert one.dtype == np.uint8
        assert np.abs(one.astype(int) - other).max() <= 1
        assert (one != other).mean() <= FEW


@QUALITIES
@pytest.mark.parametrize("grid", [grid for _, grid in SIZES])
def test_matched_flow_is_the_same(ops: Twin, cpu: CpuOps, grid: tuple[int, int], quality: str) -> None:
    now, key = sight(cpu, grid, 1)
    given = flow(half(grid), 2)
    found, expected = (of.match(given, now, key, quality=quality) for of in (ops, cpu))
    assert (found != expected).any(axis=2).mean() <= FEW
    assert (expected != given).any() or grid[0] == 1


@QUALITIES
def test_what_is_no_number_is_the_same_place(ops: Twin, cpu: CpuOps, quality: str) -> None:
    now, key = sight(cpu, (24, 32), 1)
    given = flow((12, 16), 2)
    given[3, 4], given[0, 15, 0], given[11, 0, 1] = np.nan, np.inf, -np.inf
    found, expected = (of.match(given, now, key, quality=quality) for of in (ops, cpu))
    np.testing.assert_array_equal(np.nan_to_num(found), np.nan_to_num(expected))


@pytest.mark.parametrize(("size", "grid"), SIZES)
@pytest.mark.parametrize("sources", [1, 2])
@QUALITIES
def test_matched_labels_are_the_same(
    ops: Twin, cpu: CpuOps, size: tuple[int, int], grid: tuple[int, int], sources: int, quality: str
) -> None:
    now, rng, keys = sight(cpu, grid, 1)[0], np.random.default_rng(4), []
    for seed in range(1, sources + 1):
        values = rng.normal(0, 3, (5, *half(grid))).astype(np.float32)
        keys.append((ScoreMap(values, "logits", size), flow(half(grid), seed), sight(cpu, grid, seed)[1]))
    share = rng.random(half(grid), np.float32) if sources == 2 else None
    labels = cpu.labels(keys[0][0], size, composed=keys[0][1])
    found = ops.match_labels(labels.copy(), keys, now, share, quality=quality)
    expected = cpu.match_labels(labels.copy(), keys, now, share, quality=quality)
    assert (found.shape, found.dtype) == (size, np.uint8)
    assert (found != expected).mean() <= FEW
    assert (expected != labels).any() or size[0] == 1
