from __future__ import annotations

import numpy as np
import pytest

from segtween.errors import SettingError
from segtween.metrics.bootstrap import Bootstrap, absolute, block_numbers, difference
from segtween.metrics.segmentation import miou
from segtween.metrics.temporal import share

FEW = Bootstrap(resamples=400)


def test_blocks_of_ten_frames_and_a_rest() -> None:
    assert np.bincount(block_numbers(40, block_frames=10)).tolist() == [10, 10, 10, 10]
    assert np.bincount(block_numbers(101, block_frames=10)).tolist() == [10] * 9 + [11]
    assert np.bincount(block_numbers(26, block_frames=10)).tolist() == [10, 10, 6]
    assert block_numbers(3, block_frames=10).tolist() == [0, 0, 0]


def test_seeded_and_paired() -> None:
    rng = np.random.default_rng(0)
    hits = rng.integers(400, 600, 12)
    a = np.stack([hits + 20, np.full(12, 1000)], axis=1)
    b = np.stack([hits, np.full(12, 1000)], axis=1)
    gain = difference(share, a, b, settings=FEW)
    assert gain.value == pytest.approx(0.02)
    assert gain.low == pytest.approx(0.02), "the same blocks are drawn for both: what they share cancels"
    assert gain.high == pytest.approx(0.02)
    alone = absolute(share, a, settings=FEW)
    assert alone == absolute(share, a, settings=FEW)
    assert alone != absolute(share, a, settings=Bootstrap(resamples=400, seed=1))
    assert alone.low is not None
    assert alone.high is not None
    assert alone.low < share(a.sum(axis=0)) < alone.high


def test_the_interval_holds_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    settings, inside = Bootstrap(resamples=300), 0
    for _ in range(300):
        hits = rng.binomial(50, rng.beta(6, 4, 30))  # a block's own rate scatters around 0.6
        got = absolute(share, np.stack([hits, np.full(30, 50)], axis=1), settings=settings)
        assert got.low is not None
        assert got.high is not None
        inside += got.low <= 0.6 <= got.high
    assert 0.90 <= inside / 300 <= 0.98


def test_its_width_is_that_of_the_standard_error() -> None:
    rates = np.random.default_rng(3).uniform(0.3, 0.7, 50)
    got = absolute(share, np.stack([rates * 1000, np.full(50, 1000)], axis=1), settings=Bootstrap(resamples=4000))
    assert got.low is not None
    assert got.high is not None
    assert (got.high - got.low) / (2 * 1.96) == pytest.approx(rates.std() / np.sqrt(50), rel=0.1)


def test_draws_without_a_class_leave_it_out() -> None:
    overlaps = np.zeros((6, 2, 2), np.int64)
    overlaps[:, :, 0] = [8, 10]
    overlaps[0, :, 1] = [2, 10]  # only the first block has class 1
    got = absolute(miou, overlaps, settings=FEW)
    assert got.value == pytest.approx((0.8 + 0.2) / 2)
    assert got.high == pytest.approx(0.8), "draws without the first block see class 0 alone"


def test_nothing_to_measure() -> None:
    empty = np.zeros((5, 2), np.int64)
    assert absolute(share, empty, settings=FEW).to_json() == {"value": None, "low": None, "high": None}
    one = np.array([[3, 4]])
    assert absolute(share, one, settings=FEW).to_json() == {"value": 0.75, "low": None, "high": None}


def test_settings_are_checked() -> None:
    with pytest.raises(SettingError, match=r"bootstrap of 0 draws of blocks of 10 frames at level 0\.95; expected 1"):
        Bootstrap(resamples=0)
    with pytest.raises(ValueError, match=r"shapes \(2, 2\) and \(3, 2\)"):
        difference(share, np.ones((2, 2)), np.ones((3, 2)), settings=FEW)
