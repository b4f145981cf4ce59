"""Labels read along paths, from one frame's scores and from two frames': against a slow definition in float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segtween.ops.cpu import CpuOps
from segtween.types import ScoreMap

OPS = CpuOps(threads=2)
GRIDS = st.tuples(st.integers(1, 14), st.integers(1, 14))
SIZES = st.tuples(st.integers(1, 90), st.integers(1, 90))
REACHES = st.sampled_from([0.0, 0.3, 2.0, 40.0])


def bilinear(planes: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(C, h, w) read at places (H, W), border clamped."""
    h, w = planes.shape[1:]
    x, y = np.clip(x, 0, w - 1), np.clip(y, 0, h - 1)
    x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
    x1, y1 = np.minimum(x0 + 1, w - 1), np.minimum(y0 + 1, h - 1)
    upper = planes[:, y0, x0] * (1 - (x - x0)) + planes[:, y0, x1] * (x - x0)
    lower = planes[:, y1, x0] * (1 - (x - x0)) + planes[:, y1, x1] * (x - x0)
    return np.asarray(upper * (1 - (y - y0)) + lower * (y - y0))


def read(values: np.ndarray, path: np.ndarray | None, size: tuple[int, int]) -> np.ndarray:
    """Scores (C, H, W) where the path leads from each pixel; without one, those enlarged."""
    (h, w), (height, width) = values.shape[1:], size
    y, x = np.mgrid[:height, :width] + 0.5
    there_x, there_y = x * w / width - 0.5, y * h / height - 0.5
    if path is not None:
        gh, gw = path.shape[:2]
        step = bilinear(np.moveaxis(path.astype(np.float64), 2, 0), x * gw / width - 0.5, y * gh / height - 0.5)
        there_x, there_y = there_x + step[0] * w / gw, there_y + step[1] * h / gh
    return bilinear(values.astype(np.float64), there_x, there_y)


def assert_largest(labels: np.ndarray, maps: np.ndarray) -> None:
    """Float32 may decide a tie otherwise, but only a tie."""
    assert labels.shape == maps.shape[1:]
    gap = maps.max(axis=0) - np.take_along_axis(maps, labels[None].astype(int), 0)[0]
    assert gap.max() < 1e-3
    top = np.sort(maps, axis=0)
    clear = top[-1] - top[-2] > 1e-3
    assert np.array_equal(labels[clear], maps.argmax(axis=0)[clear])


def some(seed: int, shape: tuple[int, int], *, classes: int, smooth: bool) -> np.ndarray:
    values = np.random.default_rng(seed).normal(size=(classes, *shape)).astype(np.float32)
    if smooth:  # most of it one class, as in pictures
        values[classes // 2] += 2.5
    return values


def as_carried(values: np.ndarray, size: tuple[int, int]) -> ScoreMap:
    return ScoreMap(values, "logits", size)


@settings(max_examples=80)
@given(GRIDS, GRIDS, SIZES, REACHES, st.sampled_from([2, 5, 70]), st.booleans(), st.integers(0, 99))
def test_labels_along_a_path_are_the_largest_scores_where_it_leads(
    grid: tuple[int, int], cells: tuple[int, int], size: tuple[int, int], reach: float, classes: int, smooth: bool,
    seed: int,
) -> None:  # fmt: skip
    values = some(seed, grid, classes=classes, smooth=smooth)
    path = (np.random.default_rng(seed + 1).normal(size=(*cells, 2)) * reach).astype(np.float32)
    assert_largest(OPS.labels(as_carried(values, size), size, composed=path), read(values, path, size))


@settings(max_examples=80)
@given(GRIDS, GRIDS, GRIDS, SIZES, REACHES, st.booleans(), st.booleans(), st.integers(0, 99))
def test_mixed_labels_are_the_largest_of_the_mixed_scores(
    one: tuple[int, int], other: tuple[int, int], cells: tuple[int, int], size: tuple[int, int], reach: float,
    still: bool, smooth: bool, seed: int,
) -> None:  # fmt: skip
    rng = np.random.default_rng(seed)
    first, second = (some(seed + k, grid, classes=5, smooth=smooth) for k, grid in enumerate((one, other)))
    near, far = (rng.normal(size=(2, *cells, 2)) * reach).astype(np.float32)
    share = np.clip(rng.normal(0.5, 1, cells), 0, 1).astype(np.float32)  # 0 and 1 among them
    way = None if still else far
    labels = OPS.mixed_labels((as_carried(first, size), near), (as_carried(second, size), way), share, size)
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    part = bilinear(share[None].astype(np.float64), x * cells[1] / size[1] - 0.5, y * cells[0] / size[0] - 0.5)[0]
    assert_largest(labels, (1 - part) * read(first, near, size) + part * read(second, way, size))


@pytest.mark.parametrize("classes", [2, 16, 19, 70])
@pytest.mark.parametrize("cells", [(3, 4), (24, 31)])  # cells wider than a tile, and of 2 x 2 pixels
def test_mixed_labels_of_any_number_of_classes(classes: int, cells: tuple[int, int]) -> None:
    rng, size = np.random.default_rng(classes), (48, 62)
    first, second = (some(classes + k, (9, 12), classes=classes, smooth=False) for k in (0, 1))
    near, far = rng.normal(size=(2, *cells, 2)).astype(np.float32)
    share = np.full(cells, 0.3, np.float32)
    labels = OPS.mixed_labels((as_carried(first, size), near), (as_carried(second, size), far), share, size)
    assert_largest(labels, 0.7 * read(first, near, size) + 0.3 * read(second, far, size))


@settings(max_examples=30)
@given(st.integers(-5, 5), st.integers(-5, 5), st.integers(0, 99))
def test_a_path_of_whole_cells_shifts_the_labels(dx: int, dy: int, seed: int) -> None:
    values = some(seed, (12, 16), classes=4, smooth=False)
    path = np.broadcast_to(np.array([dx, dy], np.float32), (12, 16, 2))
    ys, xs = np.mgrid[:12, :16]
    shifted = values[:, np.clip(ys + dy, 0, 11), np.clip(xs + dx, 0, 15)]
    labels = OPS.labels(as_carried(values, (12, 16)), (12, 16), composed=path)
    assert np.array_equal(labels, shifted.argmax(axis=0))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_ties_go_to_the_lowest_class(share: float) -> None:
    values = np.repeat(some(3, (1, 9, 12), classes=1, smooth=False)[:, 0], 6, axis=0)
    values[0] -= 1
    path = np.random.default_rng(4).normal(size=(5, 7, 2)).astype(np.float32)
    shares = np.full((5, 7), share, np.float32)
    carried = as_carried(values, (72, 96))
    assert (OPS.labels(carried, (72, 96), composed=path) == 1).all()
    assert (OPS.mixed_labels((carried, path), (carried, None), shares, (72, 96)) == 1).all()


def test_threads_do_not_change_labels_and_blocks_of_one_class_are_not_mixed() -> None:
    values = some(0, (16, 24), classes=3, smooth=False)
    values[1, :, 8:] += 20
    path = np.random.default_rng(5).normal(size=(16, 24, 2)).astype(np.float32) / 2
    carried, one = as_carried(values, (128, 192)), CpuOps(threads=1)
    labels = one.labels(carried, (128, 192), composed=path)
    assert np.array_equal(labels, OPS.labels(carried, (128, 192), composed=path))
    assert 0 < one.mixed_cells < 0.6


def test_a_path_that_is_not_a_number_is_survived() -> None:
    values = some(0, (6, 8), classes=3, smooth=False)
    for wrong in (np.nan, np.inf, -np.inf):
        path = np.full((6, 8, 2), wrong, np.float32)
        labels = OPS.labels(as_carried(values, (48, 64)), (48, 64), composed=path)
        assert labels.max() < 3


def test_scores_of_key_frames_are_prepared_once_while_others_change() -> None:
    ops, still = CpuOps(threads=1), np.zeros((6, 8, 2), np.float32)
    key = as_carried(some(0, (6, 8), classes=3, smooth=False), (48, 64))
    for k in range(3):
        fresh = as_carried(some(k, (6, 8), classes=3, smooth=False), (48, 64))
        ops.mixed_labels((key, still), (fresh, None), np.full((6, 8), 0.5, np.float32), (48, 64))
        assert any(kept[0] is key.values for kept in ops._known)


def test_an_array_that_a_segmenter_writes_to_again_is_looked_at_again() -> None:
    ops, logits = CpuOps(threads=1), np.zeros((3, 6, 8), np.float32)
    for label in (0, 1, 2):
        logits[:] = 0
        logits[label] = 1
        carried = ops.score_map(logits, kind="logits", most_cells=None, image_hw=(48, 64))
        assert (ops.labels(carried, (48, 64)) == label).all()
