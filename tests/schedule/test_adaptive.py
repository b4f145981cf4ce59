"""The adaptive schedule: what it spends, where, and what bounds it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import BrightnessSegmenter, panning
from segtween.build import build_engine, method
from segtween.errors import SettingError
from segtween.interfaces import Situation
from segtween.schedule.adaptive import RESERVE, Adaptive
from segtween.settings import change, find_preset


def run(schedule: Adaptive, losses: list[float], *, cuts: frozenset[int] = frozenset(), ms: object = None) -> list[int]:
    """Key frames of a clip in which frame i loses `losses[i]` of trust; `ms(is_key)` is what a frame takes."""
    schedule.reset()
    keys, lost, took = [0], 0.0, 0.0
    for index, loss in enumerate(losses[1:], start=1):
        previous_ms = took if ms is None else ms(keys[-1] == index - 1)  # type: ignore[operator]
        lost = min(1.0, lost + loss)
        situation = Situation(
            index, index - keys[-1], np.full((2, 2), 1.0 - lost, np.float32), np.zeros((2, 2), np.float32), previous_ms
        )
        if index in cuts or schedule.is_key(situation):
            keys.append(index)
            lost = 0.0
    return keys


@pytest.mark.parametrize("loss", [0.0, 0.01])
def test_an_even_clip_gets_even_key_frames(loss: float) -> None:
    keys = run(Adaptive(budget=20), [loss] * 100)
    assert set(np.diff(keys)) <= {4, 5, 6}
    assert len(keys) == pytest.approx(20, abs=1)


def test_runs_go_where_trust_is_lost() -> None:
    still, moving = [0.001] * 40, [0.03] * 20
    keys = np.array(run(Adaptive(budget=20), [*moving, *still, *moving]))
    in_motion = np.count_nonzero((keys < 20) | (keys >= 60))
    assert in_motion / 40 > 1.5 * (len(keys) - in_motion) / 40
    assert np.diff(keys).max() > 8
    assert len(keys) == pytest.approx(16, abs=RESERVE)


@settings(max_examples=60)
@given(st.lists(st.floats(0.0, 0.2), min_size=2, max_size=200), st.floats(4.0, 100.0))
def test_up_to_every_frame_the_runs_are_within_the_reserve_of_the_budget(losses: list[float], budget: float) -> None:
    keys = run(Adaptive(budget=budget, most_distance=500), losses)
    spent = np.cumsum(np.isin(np.arange(len(losses)), keys))
    allowed = 1 + budget / 100 * np.arange(len(losses))
    assert np.abs(spent - allowed).max() <= RESERVE + 1e-6


@settings(max_examples=40)
@given(st.lists(st.floats(0.0, 0.3), min_size=2, max_size=120), st.integers(1, 4), st.integers(5, 12))
def test_distances_keep_to_their_bounds(losses: list[float], least: int, most: int) -> None:
    schedule = Adaptive(budget=20, least_distance=least, most_distance=most)
    gaps = np.diff([*run(schedule, losses), len(losses)])
    assert (gaps[:-1] >= least).all()
    assert gaps.max() <= most
    assert schedule.longest == most - 1
    assert not schedule.by_distance


def test_scene_cuts_are_paid_back() -> None:
    even, cuts = [0.01] * 200, frozenset(range(50, 56))
    keys = run(Adaptive(budget=20), even, cuts=cuts)
    assert cuts <= set(keys)
    assert min(k for k in keys if k > 55) - 55 > 5, "after six runs in a row it waits"
    assert len(keys) == pytest.approx(40, abs=RESERVE)


def test_the_past_alone_decides() -> None:
    losses = list(np.random.default_rng(3).uniform(0, 0.05, 120))
    whole = run(Adaptive(budget=15), losses)
    assert run(Adaptive(budget=15), [*losses[:60], *([0.2] * 60)])[:8] == whole[:8]
    assert [k for k in whole if k < 60] == run(Adaptive(budget=15), losses[:60])
    again = Adaptive(budget=15)
    assert run(again, losses) == run(again, losses) == whole, "reset forgets"


def test_a_target_in_ms_is_met_with_the_times_that_are_measured() -> None:
    times = {True: 50.0, False: 10.0}
    keys = run(Adaptive(target_ms=16), [0.01] * 400, ms=lambda is_key: times[is_key])
    mean = (50 * len(keys) + 10 * (400 - len(keys))) / 400
    assert mean == pytest.approx(16, abs=0.6)
    generous = run(Adaptive(target_ms=90, least_distance=3), [0.01] * 90, ms=lambda is_key: times[is_key])
    assert set(np.diff(generous)[5:]) == {3}, "more than it can spend: as often as it may"


def test_the_record_says_everything() -> None:
    assert Adaptive(budget=12.5).describe() == {
        "schedule": "adaptive", "budget": 12.5, "least_distance": 1, "most_distance": 30, "reserve": RESERVE,
        "gain": 0.3, "deterministic": True,
    }  # fmt: skip
    timed = Adaptive(target_ms=30).describe()
    assert (timed["target_ms"], timed["deterministic"]) == (30, False)


def test_the_engine_asks_it_and_keeps_to_the_budget_of_the_interval() -> None:
    chosen = change(find_preset("blend"), interval=3, schedule="adaptive")
    built = build_engine(BrightnessSegmenter(), chosen)
    frames = panning(24, (48, 64), step=1)
    first = [built.step(rgb) for rgb in frames]
    assert sum(r.is_key for r in first) == pytest.approx(6, abs=RESERVE)
    assert method(built, name="blend*").record["budget"] == 25
    built.reset()
    again = [built.step(rgb) for rgb in frames]
    assert [r.is_key for r in again] == [r.is_key for r in first]
    assert chosen.fixed(3) == change(find_preset("blend"), interval=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 20.0, "target_ms": 5.0}, "a budget of 20.0 and a target of 5.0 ms; expected one of them; give"),
        ({"budget": 2.0}, "a budget of 2; expected 3.333 to 100 network runs per 100 frames, with 1 to 30 .*; change"),
        ({"budget": 60.0, "least_distance": 2}, "a budget of 60; expected 3.333 to 50 .*; change budget="),
        ({"target_ms": 0.0}, "a target of 0.0 ms; expected more than 0; give target_ms=30"),
        ({"least_distance": 0}, "0 to 30 frames from key frame to key frame; expected whole numbers, .*; change"),
        ({"least_distance": 9, "most_distance": 5}, "9 to 5 frames .* the least not above the most; change"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        change(find_preset("blend"), schedule="adaptive", **changes)  # type: ignore[arg-type]


def test_a_fixed_interval_has_no_budget() -> None:
    with pytest.raises(SettingError, match="budget=20 with schedule='fixed'; expected schedule='adaptive'"):
        change(find_preset("blend"), budget=20)
    with pytest.raises(SettingError, match="schedule 'magic'; expected fixed or adaptive; choose one of these"):
        change(find_preset("blend"), schedule="magic")  # type: ignore[arg-type]
