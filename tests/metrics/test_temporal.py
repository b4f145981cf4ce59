from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from fakes import panning
from segtween.metrics import KeyFlicker, TemporalConsistency, VideoConsistency
from segtween.metrics.temporal import WIDEST, Farneback, correspondence


def row(*values: int) -> np.ndarray:
    return np.array([values], np.uint8)


def shift(size_hw: tuple[int, int], dx: float, dy: float = 0.0) -> np.ndarray:
    return np.broadcast_to(np.array([dx, dy], np.float32), (*size_hw, 2))


def test_labels_that_move_along_the_flow_are_steady() -> None:
    metric = TemporalConsistency(3)
    metric.update(row(0, 1, 2, 2, 1), None)
    metric.update(row(1, 2, 2, 1, 0), correspondence(shift((1, 5), 1)))
    assert metric.compute() == {"tc": 1.0}, "the last pixel came from outside and is not counted"
    still = TemporalConsistency(3)
    still.update(row(0, 1, 2, 2, 1), None)
    still.update(row(0, 1, 2, 2, 1), correspondence(shift((1, 5), 1)))
    # carried: 1 2 2 1 -; against 0 1 2 2 1: class 0 0/1, class 1 0/3, class 2 1/3
    assert still.compute()["tc"] == pytest.approx((0 + 0 + 1 / 3) / 3)


def test_pairs_are_pooled_not_averaged_and_runs_are_apart() -> None:
    metric, stay = TemporalConsistency(2), correspondence(shift((1, 4), 0))
    metric.update(row(0, 0, 0, 0), stay)
    metric.update(row(0, 0, 0, 1), stay)
    metric.begin()
    metric.update(row(1, 1, 1, 1), stay)
    assert metric.compute()["tc"] == pytest.approx((3 / 4 + 0) / 2)
    metric.update(row(1, 1, 1, 1), stay)
    assert metric.compute()["tc"] == pytest.approx((3 / 4 + 4 / 5) / 2)
    counts = metric.take()
    assert counts.tolist() == [[3, 4], [4, 5], [4, 4]]
    assert metric.compute()["tc"] is None


def test_pixels_without_a_class_are_not_counted() -> None:
    metric, stay = TemporalConsistency(2), correspondence(shift((1, 3), 0))
    metric.update(row(0, 255, 1), None)
    metric.update(row(0, 1, 255), stay)
    assert metric.compute()["tc"] == 1.0


@given(st.integers(-3, 3), st.integers(-3, 3))
def test_whole_pixel_flow_is_an_exact_shift(dx: int, dy: int) -> None:
    previous = np.random.default_rng(1).integers(0, 9, (6, 7), dtype=np.uint8)
    moved = correspondence(shift((6, 7), dx, dy)).warp(previous)
    for y in range(6):
        for x in range(7):
            inside = 0 <= x + dx < 7 and 0 <= y + dy < 6
            assert moved[y, x] == (previous[y + dy, x + dx] if inside else 255)


def test_a_sample_is_inside_up_to_the_last_pixel_centre() -> None:
    flow = np.zeros((1, 4, 2), np.float32)
    flow[0, :, 0] = [-0.1, 0.4, 1.0, np.nan]
    moved = correspondence(flow).warp(row(5, 6, 7, 8))
    assert moved.tolist() == [[255, 6, 8, 255]]


def test_what_was_occluded_is_not_compared() -> None:
    hidden = np.array([[False, True, False, False]])
    motion = correspondence(shift((1, 4), 0), hidden)
    assert motion.warp(row(5, 6, 7, 8)).tolist() == [[5, 255, 7, 8]]
    metric = TemporalConsistency(2)
    metric.update(row(0, 1, 0, 1), None)
    metric.update(row(0, 0, 0, 1), motion)
    assert metric.compute()["tc"] == 1.0, "the one pixel that changed was not visible before"


def test_classes_that_are_not_counted_do_not_move_the_mean() -> None:
    metric, stay = TemporalConsistency(3), correspondence(shift((1, 4), 0))
    metric.update(row(0, 0, 1, 1), None)
    metric.update(row(0, 0, 1, 2), stay)
    assert metric.compute()["tc"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    counted = np.array([True, True, False])
    assert metric.compute(counted=counted)["tc"] == pytest.approx((1 + 1 / 2) / 2)


def test_label_changes_at_a_cut_are_no_flicker() -> None:
    flicker = KeyFlicker()
    for labels, is_key, is_cut in ((row(0, 0), True, False), (row(1, 1), True, True), (row(1, 0), False, False)):
        flicker.update(labels, is_key=is_key, is_cut=is_cut)
    assert flicker.compute()["change_rate_at_keys"] is None
    assert flicker.compute()["change_rate_elsewhere"] == 0.5


def test_farneback_finds_a_pan_also_where_it_works_on_a_smaller_frame() -> None:
    for width, step, cell in ((96, 3, 6), (WIDEST + 64, 8, 40)):
        flow, frames = Farneback(), panning(2, (64, width), step=step, cell=cell)
        assert flow(frames[0]) is None
        found = flow(frames[1])
        assert found is not None
        columns = found.source % width - np.arange(width)
        centre = columns[16:48, 16 + step : -16 - step]
        assert abs(np.median(centre) - step) <= 1, "backward flow: the picture moves left, pixels came from the right"
        flow.begin()
        assert flow(frames[0]) is None


def test_vc_counts_pixels_whose_truth_is_constant() -> None:
    metric = VideoConsistency((2, 3))
    metric.update(row(0, 0, 0, 9), row(1, 1, 1, 255))
    metric.update(row(0, 1, 0, 9), row(1, 1, 2, 255))
    # windows of 2: truth constant at pixels 0, 1 (ignore is no label); prediction constant at 0
    assert metric.compute() == {"vc2": 1 / 2, "vc3": None}
    metric.update(row(0, 1, 0, 9), row(1, 1, 2, 255))
    # second window of 2: constant at 0, 1, 2, prediction at all three; window of 3: 0, 1 and 0
    assert metric.take().tolist() == [[1 + 3, 2 + 3], [1, 2]]


def test_vc_does_not_reach_over_two_runs() -> None:
    metric = VideoConsistency((2,))
    metric.update(row(0), row(0))
    metric.begin()
    metric.update(row(0), row(0))
    assert metric.compute() == {"vc2": None}
    metric.update(row(0), row(0))
    assert metric.compute() == {"vc2": 1.0}
    metric.reset()
    assert metric.compute() == {"vc2": None}


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_vc_agrees_with_windows_cut_out(seed: int, window: int) -> None:
    rng = np.random.default_rng(seed)
    predicted, true = rng.integers(0, 2, (2, 12, 3, 3)).astype(np.uint8)
    true[true == 0] = rng.choice([0, 255])
    metric = VideoConsistency((window,))
    hits = whole = 0
    for prediction, truth in zip(predicted, true, strict=True):
        metric.update(prediction, truth)
    for start in range(12 - window + 1):
        part = slice(start, start + window)
        constant = (true[part] == true[start]).all(0) & (true[start] != 255)
        hits += (constant & (predicted[part] == predicted[start]).all(0)).sum()
        whole += constant.sum()
    assert metric.take().tolist() == [[hits, whole]]


def test_flicker_is_the_change_at_keys_over_that_elsewhere() -> None:
    metric = KeyFlicker()
    for key, labels in ((True, row(0, 0, 0, 0)), (False, row(0, 0, 0, 1)), (True, row(1, 1, 0, 0))):
        metric.update(labels, is_key=key)
    assert metric.compute() == {"flicker_at_keys": 3.0, "change_rate_at_keys": 0.75, "change_rate_elsewhere": 0.25}
    metric.begin()
    metric.update(row(1, 1, 1, 1), is_key=True)
    assert metric.take().tolist() == [[3, 4], [1, 4]], "the first frame of a run has nothing to change from"
    metric.update(row(1, 1, 1, 0), is_key=True)
    assert metric.compute()["flicker_at_keys"] is None, "no other frames"
    metric.reset()
    assert_array_equal(metric.take(), np.zeros((2, 2)))
