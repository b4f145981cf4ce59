"""Several streams, one network: key frames in different ticks, whatever happens."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segtween.errors import SettingError
from segtween.interfaces import Situation
from segtween.schedule.fixed import FixedInterval
from segtween.schedule.staggered import StaggeredSchedule

NOTHING = np.zeros((1, 1), np.float32)


def is_key(turns: StaggeredSchedule, stream: int) -> bool:
    return turns.schedules[stream].is_key(Situation(1, 1, NOTHING, NOTHING, 0.0))


def play(turns: StaggeredSchedule, ticks: list[dict[int, bool]]) -> tuple[list[list[int]], dict[int, list[int]]]:
    """Streams with a planned key frame in each tick, and each stream's distances; a tick's `True` is a scene cut."""
    planned: list[list[int]] = []
    distances: dict[int, list[int]] = {}
    for tick in ticks:
        due = []
        for stream in turns.begin(set(tick)):
            past = distances.setdefault(stream, [])
            if not past or tick[stream]:
                turns.ran(stream)
                past.append(0)
            elif is_key(turns, stream):
                due.append(stream)
                past.append(0)
            else:
                past.append(past[-1] + 1)
        planned.append(sorted(due))
    return planned, distances


def test_two_streams_are_half_a_period_apart() -> None:
    planned, distances = play(StaggeredSchedule(9, 2), [{0: False, 1: False}] * 31)
    assert {tick: due for tick, due in enumerate(planned) if due} == {
        5: [1],
        10: [0],
        15: [1],
        20: [0],
        25: [1],
        30: [0],
    }
    assert distances[0] == [i % 10 for i in range(31)], "the first one is as if it were alone"
    assert distances[1] == [0, 1, 2, 3, 4, *[i % 10 for i in range(26)]]


@given(
    interval=st.integers(0, 8),
    count=st.integers(1, 13),
    cuts=st.sets(st.tuples(st.integers(1, 59), st.integers(0, 12)), max_size=20),
)
def test_never_more_than_a_fair_share_in_one_tick(interval: int, count: int, cuts: set[tuple[int, int]]) -> None:
    ticks = [{stream: (tick, stream) in cuts for stream in range(count)} for tick in range(60)]
    planned, distances = play(StaggeredSchedule(interval, count), ticks)
    assert max(map(len, planned)) <= -(-count // (interval + 1))
    assert max(map(max, distances.values())) <= interval
    if not cuts:
        keys = sum(distance == 0 for past in distances.values() for distance in past[interval + 1 :])
        assert keys <= count * -(-(59 - interval) // (interval + 1)), "and no more runs than alone, but for the first"


def test_a_stream_alone_has_the_fixed_interval() -> None:
    turns, fixed = StaggeredSchedule(3, 1), FixedInterval(3)
    _, distances = play(turns, [{0: tick == 6} for tick in range(15)])
    assert distances[0] == [0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 0, 1, 2, 3, 0]
    assert turns.schedules[0].describe() == fixed.describe()
    assert turns.schedules[0].longest == fixed.longest


def test_streams_that_begin_later_or_miss_ticks_find_room() -> None:
    late = [{0: False, 1: False} if tick < 7 else {0: False, 1: False, 2: False} for tick in range(40)]
    planned, distances = play(StaggeredSchedule(2, 3), late)
    assert all(len(due) <= 1 for due in planned[10:])
    assert len(distances[2]) == 33
    missing = [{0: False, 1: False} if tick % 3 else {0: False} for tick in range(60)]
    planned, distances = play(StaggeredSchedule(4, 2), missing)
    assert max(distances[1]) == 4, "counted in its own frames"
    assert sum(len(due) > 1 for due in planned) < 6


def test_one_that_has_ended_leaves_room() -> None:
    turns = StaggeredSchedule(1, 3)
    play(turns, [{0: False, 1: False, 2: False}] * 6)
    for stream in (1, 2):
        turns.schedules[stream].reset()
    planned, _ = play(turns, [{0: False}] * 8)
    assert sum(map(len, planned)) >= 3


def test_key_frames_that_others_wait_for_come_last() -> None:
    turns = StaggeredSchedule(4, 3)
    play(turns, [{0: False, 1: False, 2: False}])
    assert turns.begin({0, 1, 2}) == [0, 1, 2], "the first one's next key frame is farthest off"


def test_a_busy_network_takes_one_at_a_time_and_the_oldest_first() -> None:
    free = [True]
    turns = StaggeredSchedule(1, 3, is_free=lambda: free[0])
    everyone = {0: False, 1: False, 2: False}
    play(turns, [everyone])
    free[0] = False
    for _ in range(6):
        assert not any(is_key(turns, stream) for stream in turns.begin(set(everyone)))
    free[0] = True
    order = []
    for _ in range(6):
        first, *_rest = turns.begin(set(everyone))
        due = [stream for stream in (first, *_rest) if is_key(turns, stream)]
        assert due == [first]
        order += due
    assert order == [0, 1, 2, 0, 1, 2]


def test_whoever_has_waited_longest_goes_first_in_whatever_tick_its_frame_comes() -> None:
    turns = StaggeredSchedule(0, 3, is_free=lambda: True)
    play(turns, [{0: False, 1: False, 2: False}])
    order = []
    for tick in range(30):
        (stream,) = turns.begin({(0, 1, 1, 2)[tick % 4]})
        if is_key(turns, stream):
            order.append(stream)
    assert order[:6] == [0, 1, 2, 0, 1, 2], "the one with twice the frames waits for the others"
    silent = []
    for _ in range(20):
        (stream,) = turns.begin({1})
        silent.append(is_key(turns, stream))
    assert not silent[0]
    assert all(silent[13:]), "but not for ever"


def test_scores_that_come_late_keep_a_distance() -> None:
    _, distances = play(StaggeredSchedule(4, 5, least=3), [dict.fromkeys(range(5), False)] * 30)
    gaps = {past.index(0, 1) for past in distances.values()}
    assert min(gaps) >= 3


def test_what_cannot_be_an_interval_is_refused() -> None:
    with pytest.raises(SettingError, match="interval is -1; expected a whole number, 0 or more"):
        StaggeredSchedule(-1, 2)
