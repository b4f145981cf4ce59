"""Two frames that speak for a third: the compiled loops against plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from segtween.ops.cpu import CpuOps
from segtween.types import ScoreMap

GRID, SIZE = (6, 9), (24, 36)


def sampled(plane: np.ndarray, path: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """(C, H, W) of `plane` (C, h, w) where the path (gh, gw, 2), in its own pixels, leads; all in float64."""
    height, width = size_hw
    h, w = plane.shape[1:]
    gh, gw = path.shape[:2]

    def read(values: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        rows, columns = values.shape[-2:]
        x, y = np.clip(x, 0, columns - 1), np.clip(y, 0, rows - 1)
        x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
        x1, y1 = np.minimum(x0 + 1, columns - 1), np.minimum(y0 + 1, rows - 1)
        fx, fy = x - x0, y - y0
        upper = values[..., y0, x0] * (1 - fx) + values[..., y0, x1] * fx
        return upper * (1 - fy) + (values[..., y1, x0] * (1 - fx) + values[..., y1, x1] * fx) * fy

    yy, xx = np.mgrid[:height, :width].astype(np.float64)
    on_path = read(np.moveaxis(path, 2, 0).astype(np.float64), (xx + 0.5) * gw / width - 0.5,
                   (yy + 0.5) * gh / height - 0.5)  # fmt: skip
    x = (xx + 0.5) * w / width - 0.5 + on_path[0] * w / gw
    y = (yy + 0.5) * h / height - 0.5 + on_path[1] * h / gh
    return read(plane.astype(np.float64), x, y)


def some(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    paths = rng.normal(0, 1.5, (2, *GRID, 2)).astype(np.float32)
    return paths[0], paths[1], rng.random(GRID, np.float32)


@pytest.mark.parametrize("seed", range(4))
def test_mixed_labels_are_those_of_the_mixed_maps(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (2, 5, 8, 12)).astype(np.float32)
    near, far, share = some(seed)
    carried = [ScoreMap(values, "logits", SIZE) for values in scores]
    found = CpuOps(threads=1).mixed_labels((carried[0], near), (carried[1], far), share, SIZE)
    part = sampled(share[None], np.zeros_like(near), SIZE)[0]
    maps = (1 - part) * sampled(scores[0], near, SIZE) + part * sampled(scores[1], far, SIZE)
    top = np.sort(maps, axis=0)
    clear = top[-1] - top[-2] > 1e-4
    assert clear.mean() > 0.9
    assert np.array_equal(found[clear], maps.argmax(axis=0)[clear])


@pytest.mark.parametrize("seed", range(4))
def test_voted_labels_are_the_most_of_the_weighted_neighbours(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = np.array([0, 1, 2, 255], np.uint8)
    first, second = values[rng.integers(0, 4, (2, *SIZE))]
    near, far, share = some(seed)
    found = CpuOps(threads=1).mixed_label_maps((first, near), (second, far), share)
    part = sampled(share[None], np.zeros_like(near), SIZE)[0]
    one, two = (sampled(np.stack([m == v for v in values]), path, SIZE) for m, path in ((first, near), (second, far)))
    votes = (1 - part) * one + part * two
    top = np.sort(votes, axis=0)
    clear = top[-1] - top[-2] > 1e-4
    assert clear.mean() > 0.9
    assert np.array_equal(found[clear], values[votes.argmax(axis=0)][clear])


def test_the_share_says_who_is_heard() -> None:
    ops, still = CpuOps(threads=1), np.zeros((*GRID, 2), np.float32)
    first, second = np.full(SIZE, 3, np.uint8), np.full(SIZE, 255, np.uint8)
    for share, wanted in ((0.0, 3), (0.4, 3), (0.6, 255), (1.0, 255)):
        shares = np.full(GRID, share, np.float32)
        assert (ops.mixed_label_maps((first, still), (second, still), shares) == wanted).all()


def test_no_motion_gives_the_labels_themselves() -> None:
    labels = np.random.default_rng(0).integers(0, 9, SIZE).astype(np.uint8)
    way = labels, np.zeros((*GRID, 2), np.float32)
    assert np.array_equal(CpuOps(threads=2).mixed_label_maps(way, way, np.full(GRID, 0.5, np.float32)), labels)
