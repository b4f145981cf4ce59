"""Warping, enlarging and reducing: properties first."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segtween.errors import SettingError
from segtween.ops.cpu import CpuOps, resize_planes, softmax
from segtween.types import ScoreMap

OPS = CpuOps(threads=2)
SIDES = st.integers(1, 40)


def scores(classes: int, h: int, w: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(classes, h, w)).astype(np.float32)


@settings(max_examples=40)
@given(SIDES, SIDES, st.integers(1, 5), st.integers(0, 99))
def test_zero_flow_is_the_identity_and_leaves_its_input_alone(h: int, w: int, classes: int, seed: int) -> None:
    values, flow = scores(classes, h, w, seed), np.zeros((h, w, 2), np.float32)
    before = values.copy()
    warped, valid = OPS.warp(values, flow)
    assert np.array_equal(warped, values)
    assert valid.all()
    assert np.array_equal(values, before)
    assert not flow.any()


@settings(max_examples=40)
@given(st.integers(2, 40), st.integers(2, 40), st.integers(-6, 6), st.integers(-6, 6), st.integers(0, 99))
def test_whole_pixel_flow_is_an_exact_shift_and_says_what_came_from_outside(
    h: int, w: int, dx: int, dy: int, seed: int
) -> None:
    values = scores(3, h, w, seed)
    flow = np.broadcast_to(np.array([dx, dy], np.float32), (h, w, 2))
    warped, valid = OPS.warp(values, flow)
    ys, xs = np.mgrid[:h, :w]
    inside = (ys + dy >= 0) & (ys + dy < h) & (xs + dx >= 0) & (xs + dx < w)
    assert np.array_equal(valid, inside)
    clamped = values[:, np.clip(ys + dy, 0, h - 1), np.clip(xs + dx, 0, w - 1)]
    assert np.array_equal(warped, clamped)


@settings(max_examples=30)
@given(st.integers(4, 40), st.integers(4, 40), st.integers(0, 99))
def test_warp_is_bilinear_at_exact_coordinates(h: int, w: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values, flow = scores(2, h, w, seed), rng.normal(size=(h, w, 2)).astype(np.float32) * 2
    warped, _ = OPS.warp(values, flow)
    ys, xs = np.mgrid[:h, :w].astype(np.float64)
    sx, sy = np.clip(xs + flow[..., 0], 0, w - 1), np.clip(ys + flow[..., 1], 0, h - 1)
    x0, y0 = np.floor(sx).astype(int), np.floor(sy).astype(int)
    x1, y1 = np.minimum(x0 + 1, w - 1), np.minimum(y0 + 1, h - 1)
    fx, fy = sx - x0, sy - y0
    want = (1 - fy) * ((1 - fx) * values[:, y0, x0] + fx * values[:, y0, x1]) + fy * (
        (1 - fx) * values[:, y1, x0] + fx * values[:, y1, x1]
    )
    np.testing.assert_allclose(warped, want, atol=1e-5)


def test_there_and_back_returns_a_smooth_map() -> None:
    smooth = resize_planes(scores(2, 3, 4, 0), (48, 64))
    there = np.full((48, 64, 2), 1.5, np.float32)
    warped, _ = OPS.warp(smooth, there)
    back, _ = OPS.warp(warped, -there)
    assert np.abs(back - smooth)[:, 4:-4, 4:-4].max() < 0.1


def test_a_flow_that_is_not_a_number_is_outside() -> None:
    flow = np.full((4, 5, 2), np.nan, np.float32)
    warped, valid = OPS.warp(scores(2, 4, 5, 0), flow)
    assert not valid.any()
    assert np.isfinite(warped).all()


def test_warp_refuses_a_flow_of_another_grid() -> None:
    with pytest.raises(SettingError, match=r"flow of shape \(3, 3, 2\).*expected a flow of shape \(4, 5, 2\)"):
        OPS.warp(scores(2, 4, 5, 0), np.zeros((3, 3, 2), np.float32))


def enlarged_argmax(values: np.ndarray, size_hw: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Argmax of the stored enlarged maps, and by how much its winner leads."""
    full = np.stack([cv2.resize(plane, size_hw[::-1], interpolation=cv2.INTER_LINEAR) for plane in values])
    ordered = np.sort(full, axis=0)
    return full.argmax(0), ordered[-1] - ordered[-2]


@settings(max_examples=60)
@given(
    st.integers(1, 20), st.integers(1, 20), st.integers(1, 90), st.integers(1, 90), st.integers(2, 20),
    st.integers(0, 99),
)  # fmt: skip
def test_labels_are_the_argmax_of_the_enlarged_scores(
    h: int, w: int, height: int, width: int, classes: int, seed: int
) -> None:
    values = scores(classes, h, w, seed)
    labels = OPS.labels(ScoreMap(values, "logits", (height, width)), (height, width))
    want, lead = enlarged_argmax(values, (height, width))
    clear = lead > 1e-4  # rounding may turn a tie either way
    assert labels.shape == (height, width)
    assert np.array_equal(labels[clear], want[clear])


def test_labels_of_a_smooth_map_agree_on_every_thread_count_and_report_mixed_cells() -> None:
    values = softmax(resize_planes(scores(19, 8, 12, 3) * 3, (64, 96)))
    carried = ScoreMap(values, "probabilities", (512, 768))
    one, two = CpuOps(threads=1), CpuOps(threads=2)
    first, second = one.labels(carried, (512, 768)), two.labels(carried, (512, 768))
    assert np.array_equal(first, second)
    assert 0 < one.mixed_cells < 0.6


def test_ties_go_to_the_lowest_class() -> None:
    values = np.ones((5, 6, 7), np.float32)
    assert not OPS.labels(ScoreMap(values, "logits", (48, 56)), (48, 56)).any()


@settings(max_examples=30)
@given(st.integers(2, 60), st.integers(2, 60), st.integers(2, 60), st.integers(2, 60))
def test_resizing_a_flow_scales_its_vectors(h: int, w: int, gh: int, gw: int) -> None:
    flow = np.broadcast_to(np.array([3.0, -2.0], np.float32), (h, w, 2)).copy()
    small = OPS.resize_flow(flow, (gh, gw))
    assert small.shape == (gh, gw, 2)
    np.testing.assert_allclose(small[..., 0], 3.0 * gw / w, rtol=1e-4)
    np.testing.assert_allclose(small[..., 1], -2.0 * gh / h, rtol=1e-4)


def test_difference_is_zero_along_the_true_motion_and_full_outside() -> None:
    wide = np.random.default_rng(0).integers(0, 256, (20, 34), dtype=np.uint8)
    previous, current = wide[:, :30].copy(), wide[:, 4:].copy()
    flow = np.broadcast_to(np.array([4.0, 0.0], np.float32), (20, 30, 2)).copy()
    difference = OPS.residual(current, previous, flow)
    assert not difference[:, :26].any()
    assert (difference[:, 26:] == 255).all()


def test_carry_gives_probabilities_on_a_grid_of_at_most_so_many_cells() -> None:
    logits = scores(4, 96, 192, 0)
    carried = OPS.score_map(logits, kind="probabilities", most_cells=9000, image_hw=(512, 1024))
    assert carried.grid_hw == (64, 128)
    np.testing.assert_allclose(carried.values.sum(0), 1, atol=1e-5)
    own = OPS.score_map(logits, kind="logits", most_cells=None, image_hw=(512, 1024))
    assert np.array_equal(own.values, logits)


def test_threads_below_zero_are_refused() -> None:
    with pytest.raises(SettingError, match=r"threads is -1; expected 0 \(all\) or more"):
        CpuOps(threads=-1)


def along(values: np.ndarray, path: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scores (C, H, W) where the path leads from every pixel, computed plainly in float64."""
    (h, w), (gh, gw), (rows, columns) = values.shape[1:], path.shape[:2], size
    ys, xs = np.mgrid[:rows, :columns].astype(np.float64)

    def sample(plane: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y = np.clip(x, 0, plane.shape[1] - 1), np.clip(y, 0, plane.shape[0] - 1)
        x0, y0 = np.floor(x).astype(int), np.floor(y).astype(int)
        x1, y1 = np.minimum(x0 + 1, plane.shape[1] - 1), np.minimum(y0 + 1, plane.shape[0] - 1)
        upper = plane[y0, x0] * (1 - (x - x0)) + plane[y0, x1] * (x - x0)
        lower = plane[y1, x0] * (1 - (x - x0)) + plane[y1, x1] * (x - x0)
        return np.asarray(upper * (1 - (y - y0)) + lower * (y - y0))

    gx, gy = (xs + 0.5) * gw / columns - 0.5, (ys + 0.5) * gh / rows - 0.5
    dx, dy = (sample(path[..., k].astype(np.float64), gx, gy) for k in (0, 1))
    sx = (xs + dx * columns / gw + 0.5) * w / columns - 0.5
    sy = (ys + dy * rows / gh + 0.5) * h / rows - 0.5
    return np.stack([sample(plane.astype(np.float64), sx, sy) for plane in values])


@settings(max_examples=60)
@given(
    grid=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    cells=st.tuples(st.integers(1, 14), st.integers(1, 14)),
    size=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    reach=st.sampled_from([0.0, 0.4, 3.0, 40.0]),
    smooth=st.booleans(),
    seed=st.integers(0, 99),
)
def test_labels_along_a_path_are_those_of_the_scores_it_leads_to(
    grid: tuple[int, int], cells: tuple[int, int], size: tuple[int, int], reach: float, smooth: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    values = scores(4, *grid, seed)
    if smooth:  # most of it one class, as in pictures
        values[0] += 2.5
    path = (rng.normal(size=(*cells, 2)) * reach).astype(np.float32)
    labels = OPS.labels(ScoreMap(values, "logits", size), size, composed=path)
    expected = along(values, path, size)
    # Float32 may decide a tie otherwise, but never far from it.
    gap = expected.max(axis=0) - np.take_along_axis(expected, labels[None].astype(int), 0)[0]
    assert labels.shape == size
    assert gap.max() < 1e-3


def test_a_path_of_no_length_gives_the_enlarged_labels() -> None:
    carried = ScoreMap(scores(5, 22, 30, 3), "logits", (88, 120))
    still = OPS.labels(carried, (88, 120), composed=np.zeros((44, 60, 2), np.float32))
    assert (still != OPS.labels(carried, (88, 120))).mean() < 1e-3


@settings(max_examples=30)
@given(st.integers(2, 30), st.integers(2, 30), st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 99))
def test_two_flows_joined_lead_where_the_second_leads_from_the_first(
    h: int, w: int, dx: int, dy: int, seed: int
) -> None:
    far = np.random.default_rng(seed).normal(size=(h, w, 2)).astype(np.float32)
    near = np.broadcast_to(np.array([dx, dy], np.float32), (h, w, 2))
    joined = OPS.compose_flow(near, far)
    ys, xs = np.mgrid[:h, :w]
    expected = near + far[np.clip(ys + dy, 0, h - 1), np.clip(xs + dx, 0, w - 1)]
    np.testing.assert_allclose(joined, expected, atol=1e-6)


def test_trust_fades_with_the_error_and_is_lost_outside_the_image() -> None:
    ops, motion = CpuOps(threads=1), np.zeros((12, 16, 2), np.float32)
    motion[:, :8, 0], error = -40.0, np.full((12, 16), 5.0, np.float32)
    reliability, path = ops.follow(None, None, motion, error, grid_hw=(6, 8), tolerance=10.0)
    np.testing.assert_allclose(path, ops.resize_flow(motion, (6, 8)))
    assert (reliability[:, :4] == 0).all()
    np.testing.assert_allclose(reliability[:, 4:], np.exp(-0.25), atol=1e-6)


@pytest.mark.parametrize(("size", "grid"), [((12, 16), (6, 8)), ((13, 17), (7, 9)), ((12, 16), (9, 11))])
def test_what_is_followed_is_read_where_the_motion_leads(size: tuple[int, int], grid: tuple[int, int]) -> None:
    rng, ops = np.random.default_rng(3), CpuOps(threads=2)
    motion = rng.normal(0, 3, (*size, 2)).astype(np.float32)
    error = rng.uniform(0, 30, size).astype(np.float32)
    before, far = rng.uniform(0, 1, grid).astype(np.float32), rng.normal(0, 2, (*grid, 2)).astype(np.float32)
    reliability, path = ops.follow(before, far, motion, error, grid_hw=grid, tolerance=12.0)
    near = ops.resize_flow(motion, grid)
    moved, inside = ops.warp(before[None], near)
    fading = np.exp(-np.square(ops.resize(error, grid) / 12))
    np.testing.assert_allclose(reliability, moved[0] * inside * fading, atol=1e-5)
    np.testing.assert_allclose(path, ops.compose_flow(near, far), atol=1e-5)


def test_history_is_blended_in_where_the_path_leads() -> None:
    rng, ops = np.random.default_rng(4), CpuOps(threads=2)
    fresh, history = scores(5, 9, 12, 1), scores(5, 9, 12, 2)
    path = rng.normal(0, 1, (5, 6, 2)).astype(np.float32)
    share = rng.uniform(0, 1, (5, 6)).astype(np.float32)
    share[:2] = 0
    moved, _ = ops.warp(history, ops.resize_flow(path, (9, 12)))
    part = ops.resize(share, (9, 12))
    np.testing.assert_allclose(ops.blend(fresh, history, path, share), fresh + part * (moved - fresh), atol=1e-5)
    np.testing.assert_allclose(ops.blend(fresh, history, None, share), fresh + part * (history - fresh), atol=1e-5)
