"""Scores read along a path, and cells that borrow from others, against a slow definition of the same."""

from __future__ import annotations

import numpy as np
import pytest

from segtween.ops.cpu import CpuOps, softmax
from segtween.types import ScoreMap

OFFSETS = np.array([(1, 0), (0, -1), (-2, 1)], np.int64)


@pytest.fixture(scope="module")
def ops() -> CpuOps:
    return CpuOps(threads=2)


def carried(grid_hw: tuple[int, int], *, classes: int = 5, seed: int = 0) -> ScoreMap:
    values = np.random.default_rng(seed).normal(0, 3, (classes, *grid_hw)).astype(np.float32)
    return ScoreMap(values, "logits", (96, 128))


def test_reading_on_the_scores_own_grid_is_warping(ops: CpuOps) -> None:
    scores = carried((24, 32))
    path = np.random.default_rng(1).normal(0, 4, (24, 32, 2)).astype(np.float32)
    read, certainty = ops.read(scores, path)
    warped, _ = ops.warp(scores.values, path)
    np.testing.assert_allclose(np.moveaxis(read, 2, 0), warped, atol=1e-5)
    ranked = np.sort(softmax(warped), axis=0)
    np.testing.assert_allclose(certainty, [ranked[-1], ranked[-1] - ranked[-2]], atol=1e-5)
    alone, nothing = ops.read(scores, path, with_reliability=False)
    assert np.array_equal(alone, read)
    assert nothing.shape == (0, 24, 32)


def test_reading_on_a_coarser_grid_lands_between_the_centres_of_four_scores(ops: CpuOps) -> None:
    scores = carried((24, 32))
    read, _ = ops.read(scores, np.zeros((12, 16, 2), np.float32))
    four = scores.values.reshape(5, 12, 2, 16, 2).mean(axis=(2, 4))
    np.testing.assert_allclose(np.moveaxis(read, 2, 0), four, atol=1e-5)


def borrowed(read: np.ndarray, attention: np.ndarray, share: np.ndarray, least: float) -> np.ndarray:
    weights = softmax(attention)
    weights[weights < least] = 0
    weights /= weights.sum(axis=0)
    fine = np.kron(weights, np.ones((1, 2, 2), np.float32))
    rows, columns = np.mgrid[: read.shape[0], : read.shape[1]]
    total = np.zeros_like(read)
    for (dx, dy), weight in zip(OFFSETS, fine, strict=True):
        from_y = np.clip(rows + 2 * dy, 0, read.shape[0] - 1)
        from_x = np.clip(columns + 2 * dx, 0, read.shape[1] - 1)
        total += weight[..., None] * read[from_y, from_x]
    own = np.kron(share, np.ones((2, 2))) == 0
    return np.moveaxis(np.where(own[..., None], read, total), 2, 0)


@pytest.mark.parametrize("least", [0.0, 0.2])
def test_borrowing_is_the_mean_that_attention_asks_for(ops: CpuOps, least: float) -> None:
    random = np.random.default_rng(2)
    read = random.normal(0, 3, (40, 36, 4)).astype(np.float32)
    attention = random.normal(0, 2, (3, 20, 18)).astype(np.float32)
    share = np.where(random.random((20, 18)) < 0.5, 0, 0.7).astype(np.float32)
    found = ops.aggregate(read, attention, OFFSETS, share, least=least)
    np.testing.assert_allclose(found, borrowed(read, attention, share, least), atol=1e-5)
    assert not np.allclose(found, np.moveaxis(read, 2, 0), atol=0.1)
