from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from segtween.errors import ScoresError, SettingError
from segtween.metrics import Calibration
from segtween.metrics.calibration import bin_sums, calibration_figures, expected_calibration_error, overconfidence


def frame(confidence: list[float], prediction: list[int], truth: list[int]) -> tuple[np.ndarray, ...]:
    return np.array([confidence], np.float32), np.array([prediction], np.uint8), np.array([truth], np.uint8)


def test_counted_by_hand() -> None:
    metric = Calibration(bins=2)
    metric.update(*frame([0.25, 0.5, 0.75, 1.0, 1.0], [0, 1, 2, 2, 1], [0, 0, 2, 2, 2]))
    # lower bin: confidence 0.375, 1 of 2 right; upper bin: 2.75 / 3, 2 of 3 right
    found = metric.compute()
    assert found["confidence"] == pytest.approx([0.375, 2.75 / 3])
    assert found["accuracy"] == pytest.approx([1 / 2, 2 / 3])
    assert found["pixels"] == [2, 3]
    assert found["ece"] == pytest.approx((abs(0.375 - 1 / 2) * 2 + abs(2.75 - 2)) / 5)
    assert found["overconfidence"] == pytest.approx((0.25 + 0.5 + 0.75 + 1 + 1 - 3) / 5)


def test_frames_are_pooled_not_averaged() -> None:
    metric = Calibration()
    metric.update(*frame([0.5], [0], [0]))
    metric.update(*frame([0.5, 0.5, 0.5], [0, 0, 1], [1, 1, 1]))
    assert metric.compute()["ece"] == pytest.approx(0.0), "of four pixels at 0.5 two are right"
    sums = metric.take()
    assert sums.shape == (15, 3)
    assert sums.sum(axis=0).tolist() == [4, 2, 2.0]
    assert metric.compute()["ece"] is None
    assert_allclose(calibration_figures(sums)["ece"], 0.0, atol=1e-12)


def test_void_is_not_counted_and_a_prediction_of_no_class_is_wrong() -> None:
    metric = Calibration()
    metric.update(*frame([0.9, 0.9, 0.9, 0.9], [0, 255, 255, 0], [255, 255, 0, 0]))
    found = metric.compute()
    assert sum(found["pixels"]) == 2
    assert [v for v in found["accuracy"] if v is not None] == [0.5]


def test_nothing_to_count() -> None:
    for metric in (Calibration(), Calibration(bins=1)):
        metric.update(*frame([0.9], [0], [255]))
        metric.update(np.zeros((0, 4), np.float32), np.zeros((0, 4), np.uint8), np.zeros((0, 4), np.uint8))
        nothing = [None] * metric.bins
        assert metric.compute() == {
            "ece": None,
            "overconfidence": None,
            "confidence": nothing,
            "accuracy": nothing,
            "pixels": [0] * metric.bins,
        }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bins", [1, 7, 10, 15, 21, 100])
def test_an_edge_belongs_to_the_bin_below_it(bins: int, dtype: type[np.floating]) -> None:
    edges = (np.arange(bins + 1) / bins).astype(dtype)[None]
    labels = np.zeros(edges.shape, np.uint8)
    expected = np.ones(bins)
    expected[0] = 2
    assert_array_equal(bin_sums(edges, labels, labels, bins=bins)[:, 0], expected, "0 and the first edge share a bin")
    above = np.minimum(edges + dtype(2e-5), dtype(1))
    shifted = np.ones(bins)
    shifted[-1] = 2
    assert_array_equal(bin_sums(above, labels, labels, bins=bins)[:, 0], shifted)


def test_confidence_that_is_the_chance_of_being_right_has_no_error_and_the_sign_shows_where_it_errs() -> None:
    rng = np.random.default_rng(3)
    chance = rng.random((400, 500))
    truth = np.zeros(chance.shape, np.uint8)
    prediction = (rng.random(chance.shape) > chance).astype(np.uint8)
    # a bin of 13,333 pixels: accuracy deviates by 0.0043 or less, its distance from the chance is 0.0035 on average
    right = calibration_figures(bin_sums(chance, prediction, truth))
    assert right["ece"] < 0.006
    too_sure = calibration_figures(bin_sums(np.sqrt(chance), prediction, truth))
    assert too_sure["ece"] == pytest.approx(2 / 3 - 1 / 2, abs=0.01), "mean of sqrt(u) - u, all bins to one side"
    assert too_sure["overconfidence"] == pytest.approx(too_sure["ece"], abs=1e-9)
    too_modest = calibration_figures(bin_sums(chance**2, prediction, truth))
    assert too_modest["overconfidence"] == pytest.approx(1 / 3 - 1 / 2, abs=0.01)
    assert too_modest["ece"] == pytest.approx(-too_modest["overconfidence"], abs=1e-9)


@given(st.lists(st.tuples(st.floats(0, 1, width=32), st.integers(0, 2), st.sampled_from([0, 1, 2, 255])), min_size=1))
def test_equals_a_loop_over_pixels(pixels: list[tuple[float, int, int]]) -> None:
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, label, true in pixels:
        if true == 255:
            continue
        # Where edge and float32 decide differently from exact arithmetic, either bin is right.
        assume(all(abs(confidence - m / 15 - 1e-6) > 2e-7 for m in range(16)))
        index = next(m for m in range(15) if confidence <= (m + 1) / 15 + 1e-6)
        bins.setdefault(index, []).append((confidence, label == true))
    count = sum(len(v) for v in bins.values())
    ece = sum(abs(sum(right for _, right in v) - sum(c for c, _ in v)) for v in bins.values())
    found = calibration_figures(bin_sums(*frame(*(list(v) for v in zip(*pixels, strict=True)))))
    assert found["pixels"] == [len(bins.get(m, [])) for m in range(15)]
    assert found["ece"] == (pytest.approx(ece / count, abs=1e-6) if count else None)


def test_the_figures_are_taken_over_any_leading_axes() -> None:
    rng = np.random.default_rng(4)
    sums = np.stack([bin_sums(rng.random((9, 9)), *rng.integers(0, 2, (2, 9, 9), dtype=np.uint8)) for _ in range(6)])
    for of in (expected_calibration_error, overconfidence):
        assert_allclose(of(sums.reshape(2, 3, 15, 3)), [[of(s) for s in row] for row in sums.reshape(2, 3, 15, 3)])
    assert np.isnan(expected_calibration_error(np.zeros((2, 15, 3)))).all()
    assert np.isnan(overconfidence(np.zeros((2, 15, 3)))).all()
    assert np.abs(overconfidence(sums)).max() <= expected_calibration_error(sums).max()


@pytest.mark.parametrize("wrong", [-0.01, 1.01, np.nan, np.inf])
def test_confidence_outside_its_range_is_an_error(wrong: float) -> None:
    with pytest.raises(ScoresError, match="expected 0 to 1"):
        Calibration().update(*frame([0.5, wrong], [0, 0], [0, 0]))


def test_other_sizes_and_no_bins_are_errors() -> None:
    maps = frame([0.5, 0.5], [0, 0], [0, 0])
    for index in range(3):
        with pytest.raises(ScoresError, match="three maps of one size"):
            Calibration().update(*(m[:, :1] if i == index else m for i, m in enumerate(maps)))
    with pytest.raises(SettingError, match="0 bins; expected 1 or more"):
        Calibration(bins=0)
