from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segtween.errors import SettingError
from segtween.metrics.bootstrap import Bootstrap, Interval, absolute, basis, block_numbers, difference
from segtween.metrics.segmentation import miou
from segtween.metrics.student import central_quantile
from segtween.metrics.temporal import share

FEW = Bootstrap(resamples=400)
ONE_CLIP = np.zeros(12, np.intp)


def rates(values: Any) -> NDArray[np.int64]:
    """(blocks, 2): so many of 1000 each."""
    parts = np.rint(1000 * np.asarray(values)).astype(np.int64)
    return np.stack([parts, np.full(len(parts), 1000)], axis=1)


def bounds(got: Interval) -> tuple[float, float]:
    assert got.low is not None
    assert got.high is not None
    return got.low, got.high


def test_blocks_of_ten_frames_and_a_rest() -> None:
    assert np.bincount(block_numbers(40, block_frames=10)).tolist() == [10, 10, 10, 10]
    assert np.bincount(block_numbers(101, block_frames=10)).tolist() == [10] * 9 + [11]
    assert np.bincount(block_numbers(26, block_frames=10)).tolist() == [10, 10, 6]
    assert block_numbers(3, block_frames=10).tolist() == [0, 0, 0]


@pytest.mark.parametrize("clips", [ONE_CLIP, np.arange(12) // 3, np.arange(24)], ids=["one", "four", "many"])
def test_paired(clips: NDArray[np.intp]) -> None:
    b = rates(np.random.default_rng(0).uniform(0.4, 0.6, len(clips)))
    a = b + np.array([20, 0])
    gain = difference(share, a, b, clips=clips, settings=FEW)
    assert gain.value == pytest.approx(0.02)
    assert bounds(gain) == pytest.approx((0.02, 0.02)), "what both share cancels"
    low, high = bounds(absolute(share, a, clips=clips, settings=FEW))
    assert low < share(a.sum(axis=0)) - 0.005
    assert high > share(a.sum(axis=0)) + 0.005


def test_many_clips_are_drawn_and_seeded() -> None:
    counts, clips = rates(np.random.default_rng(3).uniform(0.3, 0.7, 60)), np.arange(60)
    got = absolute(share, counts, clips=clips, settings=Bootstrap(resamples=4000))
    assert (got.kind, got.clips, got.blocks) == ("bootstrap", 60, 60)
    low, high = bounds(got)
    assert (high - low) / (2 * 1.96) == pytest.approx((counts[:, 0] / 1000).std() / np.sqrt(60), rel=0.1)
    assert absolute(share, counts, clips=clips, settings=FEW) == absolute(share, counts, clips=clips, settings=FEW)
    assert absolute(share, counts, clips=clips, settings=FEW) != absolute(
        share, counts, clips=clips, settings=Bootstrap(resamples=400, seed=1)
    )


def test_clips_are_drawn_first_then_blocks_within_them() -> None:
    rng, sizes = np.random.default_rng(5), np.arange(30) % 3 + 1
    clips = np.repeat(np.arange(30), sizes)
    of_clip, of_block = rng.uniform(0.2, 0.8, 30)[clips], rng.uniform(-0.1, 0.1, len(clips))
    counts = rates(of_clip + of_block)
    order = rng.permutation(30)[clips]  # clips in any order, their blocks together
    got = [absolute(share, counts, clips=names, settings=Bootstrap(resamples=4000)) for names in (clips, order)]
    low, high = bounds(got[0])
    assert bounds(got[1]) == pytest.approx((low, high), abs=0.02)
    # Independent draws, written plainly: the same two stages.
    figures = []
    firsts = np.cumsum(sizes) - sizes
    for _ in range(2000):
        drawn = [firsts[c] + rng.integers(0, sizes[c], sizes[c]) for c in rng.integers(0, 30, 30)]
        figures.append(float(share(counts[np.concatenate(drawn)].sum(axis=0))))
    assert (low, high) == pytest.approx(np.quantile(figures, [0.025, 0.975]), abs=0.01)


def test_few_clips_take_a_t_interval_over_clips() -> None:
    clip_rates = np.array([0.5, 0.6, 0.55, 0.75])
    got = absolute(share, rates(np.repeat(clip_rates, 3)), clips=np.arange(12) // 3, settings=FEW)
    assert (got.kind, got.clips, got.blocks, got.reason) == ("t over clips", 4, 12, None)
    half = 3.182 * clip_rates.std(ddof=1) / 2  # equal clips: the textbook interval of their mean
    assert bounds(got) == pytest.approx((0.6 - half, 0.6 + half), abs=1e-4)
    assert basis(got.to_json()) == "t interval over 4 clips (12 blocks)"
    wide = absolute(share, rates([0.9, 0.4, 0.98]), clips=np.arange(3), settings=FEW)
    assert bounds(wide)[1] == 1.0, "a fraction"


def test_one_clip_takes_a_t_interval_over_blocks() -> None:
    values = np.array([0.5, 0.6] * 6)
    got = absolute(share, rates(values), clips=ONE_CLIP, settings=FEW)
    assert (got.kind, got.clips, got.blocks) == ("t over blocks", 1, 12)
    half = central_quantile(0.95, 3) * values.std(ddof=1) / np.sqrt(12)  # to and fro: no drift
    assert bounds(got) == pytest.approx((0.55 - half, 0.55 + half), abs=1e-6)
    drifting = absolute(share, rates(np.sort(values)), clips=ONE_CLIP, settings=FEW)
    assert bounds(drifting)[0] < 0.55 - 1.5 * half, "the same blocks, but neighbours are alike"
    assert basis(got.to_json()) == "t interval over 12 blocks, on this clip"
    narrow = absolute(share, rates(values), clips=ONE_CLIP, settings=Bootstrap(level=0.5))
    assert bounds(narrow)[0] > bounds(got)[0]


def test_too_few_have_no_interval_but_a_reason() -> None:
    two = absolute(share, rates(np.linspace(0.4, 0.6, 12)), clips=np.arange(12) // 6, settings=FEW)
    assert two == Interval(two.value, None, None, 2, 12, reason="2 clips: too few for an interval")
    assert basis(two.to_json()) == "no interval (2 clips: too few for an interval)"
    short = absolute(share, rates(np.linspace(0.4, 0.6, 7)), clips=ONE_CLIP[:7], settings=FEW)
    assert (short.low, short.reason) == (None, "7 blocks of one clip: too few for an interval")
    assert short.to_json() == {
        "value": pytest.approx(0.5), "low": None, "high": None, "clips": 1, "blocks": 7, "kind": None,
        "reason": "7 blocks of one clip: too few for an interval",
    }  # fmt: skip


def test_blocks_that_hold_nothing_do_not_count() -> None:
    full, clips = rates(np.linspace(0.4, 0.6, 12)), np.arange(12) // 3
    padded = np.insert(full, [0, 3, 12], 0, axis=0)
    got = absolute(share, padded, clips=np.array([0, *clips[:3], 0, *clips[3:], 9]), settings=FEW)
    assert got == absolute(share, full, clips=clips, settings=FEW)
    assert (got.clips, got.blocks) == (4, 12)
    a, b = padded.copy(), padded.copy()
    a[0], b[4] = [1, 2], [1, 2]
    assert difference(share, a, b, clips=np.array([0, *clips[:3], 0, *clips[3:], 9]), settings=FEW).blocks == 14


def test_a_class_of_one_clip_widens_the_interval() -> None:
    overlaps = np.zeros((6, 3, 2), np.int64)
    overlaps[:, :, 0] = [8, 10, 9]
    common = absolute(miou, overlaps, clips=np.arange(6), settings=FEW)
    assert bounds(common) == pytest.approx((0.8, 0.8))
    overlaps[0, :, 1] = [2, 10, 9]
    got = absolute(miou, overlaps, clips=np.arange(6), settings=FEW)
    assert got.value == pytest.approx((0.8 + 0.2) / 2)
    assert bounds(got)[1] > 0.8, "without that clip it would be 0.8"


def test_a_figure_of_one_clip_alone() -> None:
    whole = np.zeros(12, np.int64)
    whole[4] = 1000
    counts = np.stack([np.arange(12) + 1, whole], axis=1)  # elsewhere there is something, but nothing to divide by
    got = absolute(share, counts, clips=np.arange(12), settings=FEW)
    assert (got.low, got.reason) == (None, "all of it in one clip: too few for an interval")


def test_nothing_to_measure() -> None:
    empty = np.zeros((12, 2), np.int64)
    got = absolute(share, empty, clips=ONE_CLIP, settings=FEW)
    assert got == Interval(None, None, None, 0, 0, reason="nothing to measure")


def test_settings_are_checked() -> None:
    with pytest.raises(SettingError, match=r"bootstrap of 0 draws of blocks of 10 frames at level 0\.95; expected 1"):
        Bootstrap(resamples=0)
    with pytest.raises(ValueError, match=r"shapes \(2, 2\) and \(3, 2\)"):
        difference(share, np.ones((2, 2)), np.ones((3, 2)), clips=ONE_CLIP[:2], settings=FEW)
    with pytest.raises(ValueError, match=r"clips of shape \(12,\) for 3 blocks"):
        absolute(share, np.ones((3, 2)), clips=ONE_CLIP, settings=FEW)
