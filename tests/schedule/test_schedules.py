from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import panning
from segtween.flow.dis import DisFlow
from segtween.interfaces import Situation
from segtween.ops.cpu import CpuOps
from segtween.schedule.cuts import NoCuts, ResidualCuts
from segtween.schedule.fixed import FixedInterval
from segtween.types import Motion


def situation(*, index: int = 1, distance: int = 1, lost: float = 0.0, took_ms: float = 0.0) -> Situation:
    reliability = np.full((4, 4), 1.0 - lost, np.float32)
    return Situation(index, distance, reliability, np.zeros((8, 8), np.float32), took_ms)


@given(st.integers(0, 30), st.integers(1, 40))
def test_a_fixed_interval_leaves_so_many_frames_between_keys(interval: int, distance: int) -> None:
    schedule = FixedInterval(interval)
    assert schedule.is_key(situation(distance=distance)) == (distance > interval)
    assert (schedule.longest, schedule.by_distance) == (interval, True)


def score(previous: np.ndarray, current: np.ndarray) -> float:
    dis, ops = DisFlow(), CpuOps(threads=1)
    a, b = dis.prepare(previous), dis.prepare(current)
    return ResidualCuts().score(Motion(b, residual=ops.residual(b, a, dis(b, a))))


def test_the_cut_score_is_low_within_a_scene_and_high_across_scenes() -> None:
    one, other = panning(2, (96, 128), cell=12, seed=1), panning(2, (96, 128), cell=12, seed=2)
    assert score(one[0], one[1]) < 0.2
    assert score(one[1], other[0]) > 0.5


@pytest.mark.parametrize("size", [(48, 64), (96, 128)])
def test_a_fast_pan_over_a_small_picture_is_no_cut(size: tuple[int, int]) -> None:
    one, two = panning(2, size, step=6, cell=10)
    assert score(one, two) < 0.5


def test_a_slow_change_of_exposure_is_no_cut() -> None:
    dark, _ = panning(2, (96, 128), cell=12)
    brighter = np.minimum(dark.astype(np.int32) * 27 // 25, 255).astype(np.uint8)
    assert score(dark, brighter) < 0.5


@pytest.mark.parametrize("error", [0.0, 255.0])
def test_no_cuts_finds_none(error: float) -> None:
    view = np.zeros((4, 4), np.uint8)
    assert NoCuts()(Motion(view, residual=np.full((4, 4), error, np.float32))) is False
