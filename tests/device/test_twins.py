"""What array operations promise, on the processor and on a card; and that both give the same."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from device.twins import TWINS, Twin, twin
from segtween.errors import SettingError
from segtween.ops.cpu import CpuOps, softmax
from segtween.types import ScoreMap

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
SIZES = [(1, 1), (1, 7), (12, 16), (23, 31)]
GRIDS = [((24, 32), (12, 16)), ((24, 32), (8, 8)), ((23, 31), (12, 16)), ((9, 11), (20, 33)), ((12, 16), (12, 16))]


@pytest.fixture(params=TWINS)
def ops(request: pytest.FixtureRequest) -> Twin:
    return twin(request.param)


@pytest.fixture(scope="module")
def cpu() -> CpuOps:
    return CpuOps(threads=1)


def scores(size: tuple[int, int], *, classes: int = 5, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0, 3, (classes, *size)).astype(np.float32)


def flow(size: tuple[int, int], *, seed: int = 1, spread: float = 4.0) -> Any:
    """Smooth, as motion is; up to about three times `spread`."""
    coarse = np.random.default_rng(seed).normal(0, spread, (size[0] // 6 + 2, size[1] // 6 + 2, 2)).astype(np.float32)
    return cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)


def grey(size: tuple[int, int], seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
def test_zero_flow_is_the_identity_exactly(ops: Twin, size: tuple[int, int]) -> None:
    values = scores(size)
    warped, inside = ops.warp(values, np.zeros((*size, 2), np.float32))
    assert np.array_equal(warped, values)
    assert inside.all()


@pytest.mark.parametrize("shift", [(3, 0), (0, -2), (-5, 4)])
def test_whole_pixels_are_an_exact_shift(ops: Twin, shift: tuple[int, int]) -> None:
    values, (dx, dy) = scores((13, 17)), shift
    warped, inside = ops.warp(values, np.broadcast_to(np.array(shift, np.float32), (13, 17, 2)))
    ys, xs = np.mgrid[:13, :17]
    expected = (ys + dy >= 0) & (ys + dy < 13) & (xs + dx >= 0) & (xs + dx < 17)
    assert np.array_equal(inside, expected)
    assert np.array_equal(warped, values[:, np.clip(ys + dy, 0, 12), np.clip(xs + dx, 0, 16)])


@pytest.mark.parametrize("size", SIZES)
def test_warping_is_the_same_everywhere(ops: Twin, cpu: CpuOps, size: tuple[int, int]) -> None:
    values, motion = scores(size), flow(size)
    warped, inside = ops.warp(values, motion)
    expected, where = cpu.warp(values, motion)
    np.testing.assert_allclose(warped, expected, **CLOSE)
    assert np.array_equal(inside, where)


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
@pytest.mark.parametrize(("grid", "size"), GRIDS)
def test_confidence_is_the_same_everywhere(
    ops: Twin, cpu: CpuOps, grid: tuple[int, int], size: tuple[int, int], kind: Any
) -> None:
    one, two = (ScoreMap(scores(size, seed=i), kind, (96, 128)) for i in range(2))
    if kind == "probabilities":
        one, two = (ScoreMap(softmax(of.values), kind, of.image_hw) for of in (one, two))
    near, far = (flow(grid, seed=i, spread=2.0) for i in (3, 4))
    share = np.random.default_rng(5).random(grid).astype(np.float32)
    for given in ([(one, None)], [(one, near)], [(one, near), (two, far), share], [(one, None), (two, far), share]):
        for step in (1, 2):
            np.testing.assert_allclose(ops.confidence(*given, step=step), cpu.confidence(*given, step=step), **CLOSE)


def test_no_number_in_a_flow_comes_from_outside(ops: Twin) -> None:
    values, motion = scores((6, 8)), np.zeros((6, 8, 2), np.float32)
    motion[2, 3], motion[4, 5, 0], motion[5, 5, 1] = np.nan, np.inf, -np.inf
    warped, inside = ops.warp(values, motion)
    assert np.isfinite(warped).all()
    assert (~inside).sum() == 3
    assert not inside[2, 3]


def test_far_from_the_origin_a_place_is_as_exact_as_near_it(ops: Twin, cpu: CpuOps) -> None:
    values, motion = scores((2, 3000), classes=1) * 10, flow((2, 3000), spread=0.3)
    np.testing.assert_allclose(ops.warp(values, motion)[0], cpu.warp(values, motion)[0], rtol=1e-5, atol=2e-5)


def test_a_flow_of_another_grid_is_refused(ops: Twin) -> None:
    with pytest.raises(SettingError, match=r"flow of shape \(6, 8, 2\) .*; expected .*\(5, 8, 2\); resize the flow"):
        ops.warp(scores((5, 8)), flow((6, 8)))


@pytest.mark.parametrize("size", SIZES)
def test_two_flows_are_joined_alike(ops: Twin, cpu: CpuOps, size: tuple[int, int]) -> None:
    near, far = flow(size, seed=1), flow(size, seed=2)
    np.testing.assert_allclose(ops.compose_flow(near, far), cpu.compose_flow(near, far), **CLOSE)


@pytest.mark.parametrize("size", SIZES)
def test_what_motion_leaves_unexplained_is_the_same(ops: Twin, cpu: CpuOps, size: tuple[int, int]) -> None:
    now, before, motion = grey(size, 1), grey(size, 2), flow(size)
    np.testing.assert_allclose(ops.residual(now, before, motion), cpu.residual(now, before, motion), rtol=0, atol=2e-3)
    assert (ops.residual(now, before, motion + 1000) == 255).all()


def test_colours_count_by_their_mean(ops: Twin, cpu: CpuOps) -> None:
    now, before = (np.random.default_rng(s).integers(0, 256, (12, 16, 3), dtype=np.uint8) for s in (1, 2))
    still = np.zeros((12, 16, 2), np.float32)
    assert np.array_equal(ops.residual(now, before, still), cpu.residual(now, before, still))


@pytest.mark.parametrize(("size", "grid"), GRIDS)
@pytest.mark.parametrize("known", [False, True])
def test_following_is_the_same(
    ops: Twin, cpu: CpuOps, size: tuple[int, int], grid: tuple[int, int], known: bool
) -> None:
    rng = np.random.default_rng(5)
    reliability = rng.random(grid, np.float32) if known else None
    path = flow(grid, seed=3) if known else None
    given = reliability, path, flow(size, seed=4), (rng.random(size, np.float32) * 20)
    found = ops.follow(*given, grid_hw=grid, tolerance=10.0)
    expected = cpu.follow(*given, grid_hw=grid, tolerance=10.0)
    np.testing.assert_allclose(found[0], expected[0], **CLOSE)
    np.testing.assert_allclose(found[1], expected[1], **CLOSE)


def test_trust_of_another_grid_is_brought_to_this_one(ops: Twin, cpu: CpuOps) -> None:
    reliability, motion, error = np.random.default_rng(6).random((6, 8), np.float32), flow((24, 32)), np.zeros((24, 32))
    given = reliability, None, motion, error.astype(np.float32)
    found, _ = ops.follow(*given, grid_hw=(12, 16), tolerance=10.0)
    np.testing.assert_allclose(found, cpu.follow(*given, grid_hw=(12, 16), tolerance=10.0)[0], **CLOSE)


@pytest.mark.parametrize("path_grid", [None, (12, 16), (24, 32), (9, 11)])
def test_fresh_scores_and_history_are_blended_alike(ops: Twin, cpu: CpuOps, path_grid: tuple[int, int] | None) -> None:
    fresh, history = scores((12, 16), seed=1), scores((12, 16), seed=2)
    share = np.random.default_rng(3).random((24, 32), np.float32)
    path = None if path_grid is None else flow(path_grid, seed=4)
    found = ops.blend(fresh, history, path, share)
    np.testing.assert_allclose(found, cpu.blend(fresh, history, path, share), **CLOSE)


@pytest.mark.parametrize(("size", "grid"), [*GRIDS, ((12, 16), (20, 11)), ((64, 64), (5, 9))])
def test_resizing_is_the_same(ops: Twin, cpu: CpuOps, size: tuple[int, int], grid: tuple[int, int]) -> None:
    plane, motion = scores(size)[0], flow(size)
    np.testing.assert_allclose(ops.resize(plane, grid), cpu.resize(plane, grid), **CLOSE)
    np.testing.assert_allclose(ops.resize_flow(motion, grid), cpu.resize_flow(motion, grid), **CLOSE)


@pytest.mark.parametrize("kind", ["logits", "probabilities"])
@pytest.mark.parametrize("most_cells", [None, 100])
def test_what_is_carried_is_the_same(ops: Twin, cpu: CpuOps, kind: Any, most_cells: int | None) -> None:
    logits = scores((23, 31))
    found = ops.score_map(logits, kind=kind, most_cells=most_cells, image_hw=(92, 124))
    expected = cpu.score_map(logits, kind=kind, most_cells=most_cells, image_hw=(92, 124))
    assert (found.kind, found.image_hw, found.grid_hw) == (kind, (92, 124), expected.grid_hw)
    np.testing.assert_allclose(found.values, expected.values, **CLOSE)


@pytest.mark.parametrize("size_hw", [(1, 1), (12, 16), (57, 61), (96, 128)])
@pytest.mark.parametrize("path_grid", [None, (12, 16), (7, 5), (48, 64)])
def test_labels_are_the_same_but_for_ties(
    ops: Twin, cpu: CpuOps, size_hw: tuple[int, int], path_grid: tuple[int, int] | None
) -> None:
    carried = ScoreMap(scores((12, 16), classes=7), "logits", size_hw)
    path = None if path_grid is None else flow(path_grid, seed=2, spread=2.0)
    found, expected = (of.labels(carried, size_hw, composed=path) for of in (ops, cpu))
    assert found.dtype == np.uint8
    assert found.shape == size_hw
    other = found != expected
    assert other.mean() <= 1e-4 or other.sum() <= 1
    lead = second_best(carried.values, size_hw, path)
    assert (lead[other] < 1e-4).all()


def test_ties_go_to_the_lowest_class(ops: Twin) -> None:
    carried = ScoreMap(np.ones((4, 5, 6), np.float32), "logits", (20, 24))
    for path in (None, flow((5, 6))):
        assert not ops.labels(carried, (20, 24), composed=path).any()


def test_a_path_is_bounded_by_the_image(ops: Twin) -> None:
    values = np.zeros((2, 4, 4), np.float32)
    values[1, :, :2] = 1
    carried = ScoreMap(values, "logits", (16, 16))
    left = np.broadcast_to(np.array([-100, 0], np.float32), (4, 4, 2))
    assert ops.labels(carried, (16, 16), composed=left).all()
    assert not ops.labels(carried, (16, 16), composed=-left).any()


def second_best(values: Any, size_hw: tuple[int, int], path: Any) -> Any:
    """(H, W): by how much the largest score exceeds the next, in float64."""
    (h, w), (height, width) = values.shape[1:], size_hw

    def read(planes: Any, x: Any, y: Any) -> Any:
        x, y = np.clip(x, 0, planes.shape[2] - 1), np.clip(y, 0, planes.shape[1] - 1)
        x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
        x1, y1 = np.minimum(x0 + 1, planes.shape[2] - 1), np.minimum(y0 + 1, planes.shape[1] - 1)
        upper = planes[:, y0, x0] * (1 - x + x0) + planes[:, y0, x1] * (x - x0)
        return upper * (1 - y + y0) + (planes[:, y1, x0] * (1 - x + x0) + planes[:, y1, x1] * (x - x0)) * (y - y0)

    ys, xs = np.mgrid[:height, :width]
    x, y = (xs + 0.5) * w / width - 0.5, (ys + 0.5) * h / height - 0.5
    if path is not None:
        gh, gw = path.shape[:2]
        way = read(
            np.moveaxis(path.astype(np.float64), 2, 0), (xs + 0.5) * gw / width - 0.5, (ys + 0.5) * gh / height - 0.5
        )
        x, y = x + way[0] * w / gw, y + way[1] * h / gh
    best = np.sort(read(values.astype(np.float64), x, y), axis=0)
    return best[-1] - best[-2]
