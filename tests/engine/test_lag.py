"""Fixed-lag smoothing: the network works beside the frames, and what comes out is what a file gets."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import BrightnessSegmenter, panning
from segtween.build import Processor, build_engine, build_streams
from segtween.engine.bidirectional import BidirectionalEngine
from segtween.engine.delayed import NetworkThread
from segtween.errors import ScoresError, SettingError
from segtween.settings import Settings, change, find_preset
from segtween.types import Result

SIZE = (64, 96)
OFFLINE = change(find_preset("composed"), mode="bidirectional", flow_quality="fast")


class ByHand:
    """A worker whose scores come when the test says so, in the order in which they were sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[Future[Any], Any, NDArray[np.uint8]]] = []

    @property
    def is_free(self) -> bool:
        return not self.sent

    def send(self, segmenter: Any, rgb: NDArray[np.uint8]) -> Future[Any]:
        self.sent.append((Future(), segmenter, rgb))
        return self.sent[-1][0]

    def release(self) -> None:
        future, segmenter, rgb = self.sent.pop(0)
        future.set_result(segmenter(rgb))


def by_hand(interval: int = 2, **changes: Any) -> tuple[BidirectionalEngine, ByHand]:
    engine, worker = build_engine(BrightnessSegmenter(), change(OFFLINE, interval=interval, **changes)), ByHand()
    assert isinstance(engine, BidirectionalEngine)
    engine.keys.worker = worker  # type: ignore[attr-defined]
    return engine, worker


def offline(frames: Sequence[NDArray[np.uint8]], interval: int = 2, **changes: Any) -> list[Result]:
    return list(build_engine(BrightnessSegmenter(), change(OFFLINE, interval=interval, **changes)).stream(frames))


def same(ours: Sequence[Result], theirs: Sequence[Result]) -> None:
    assert [r.index for r in ours] == [r.index for r in theirs]
    for a, b in zip(ours, theirs, strict=True):
        assert (a.is_key, a.is_cut, a.distance) == (b.is_key, b.is_cut, b.distance)
        assert np.array_equal(a.labels, b.labels)
        assert np.array_equal(a.score_map.values, b.score_map.values)


def indices(results: Sequence[Result]) -> list[int]:
    return [r.index for r in results]


def test_results_wait_for_the_scores_and_are_those_of_a_file() -> None:
    frames, done = panning(9, SIZE), []
    engine, worker = by_hand()
    came = []
    for i, rgb in enumerate(frames):
        if i in (2, 4, 7):  # a frame after its key frame, or two
            worker.release()
        done += (found := engine.push(rgb))
        came.append(indices(found))
    assert came == [[], [], [0], [], [1, 2], [], [], [3, 4, 5], []]
    done += engine.finish()
    same(done, offline(frames))


def test_without_a_frame_what_is_there_can_be_asked_for() -> None:
    frames = panning(5, SIZE)
    engine, worker = by_hand()
    for rgb in frames[:3]:
        assert engine.push(rgb) == []
    assert engine.poll() == []
    worker.release()
    assert indices(engine.poll()) == [0]
    for rgb in frames[3:]:
        assert engine.push(rgb) == []
    worker.release()
    assert indices(engine.poll()) == [1, 2]
    assert indices(engine.finish()) == [3, 4]


def test_the_next_key_frame_waits_for_the_one_before() -> None:
    """So no more than two periods of frames wait, however slow the network is."""
    go, calls = threading.Event(), []

    class Waits(BrightnessSegmenter):
        def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            calls.append(threading.current_thread().name)
            assert go.wait(20)
            return super().__call__(rgb)

    engine = build_engine(Waits(), change(OFFLINE, interval=2), live=True)
    assert isinstance(engine, BidirectionalEngine)
    frames = panning(4, SIZE)
    for rgb in frames[:3]:
        assert engine.push(rgb) == []
    assert engine.waiting == 3
    timer = threading.Timer(0.1, go.set)
    timer.start()
    engine.push(frames[3])
    assert go.is_set(), "it waited"
    assert all(name.startswith("segtween-network") for name in calls)
    same([*engine.finish()][-1:], offline(frames)[-1:])


def test_scores_may_be_used_so_many_frames_late() -> None:
    frames, done = panning(12, SIZE), []
    engine = build_engine(BrightnessSegmenter(), change(OFFLINE, interval=3, async_keys=2), live=True)
    came = []
    for rgb in frames:
        done += (found := engine.push(rgb))
        came.append(indices(found))
    assert [i for i, found in enumerate(came) if found] == [2, 6, 10], "two frames after key frames 0, 4 and 8"
    assert came[6] == [1, 2, 3]
    done += engine.finish()
    same(done, offline(frames, 3))
    assert engine.describe()["async_keys"] == 2


@pytest.mark.parametrize(("interval", "late"), [(4, 1), (4, 5), (1, 2), (0, 1)])
def test_the_lag_is_at_most_a_period_and_the_networks_time(interval: int, late: int) -> None:
    """In frames, the network taking `late` of them: the first frame waits for it alone, others for the next key frame's
    scores."""
    frames = panning(3 * (interval + 1) + late + 1, SIZE, step=1)
    engine = build_engine(BrightnessSegmenter(), change(OFFLINE, interval=interval, async_keys=late), live=True)
    lags = {r.index: now - r.index for now, rgb in enumerate(frames) for r in engine.push(rgb)}
    period = interval + 1
    assert len(lags) >= 2 * period
    for index, lag in lags.items():
        assert lag == (late if index == 0 else period - index % period + late)
    assert max(lags.values()) <= period + late


def test_with_auto_the_next_key_frame_is_put_off_until_the_network_is_free() -> None:
    frames = panning(9, SIZE)
    engine, worker = by_hand(interval=1, async_keys="auto")
    done = []
    for i, rgb in enumerate(frames):
        if i in (4, 7):
            worker.release()
        done += engine.push(rgb)
        assert len(worker.sent) <= 1
    worker.release()
    done += engine.finish()
    assert [r.index for r in done if r.is_key] == [0, 4, 7]
    assert indices(done) == list(range(9))
    assert [r.distance for r in done] == [0, 1, 2, 3, 0, 1, 2, 0, 1]


def test_with_auto_frames_wait_once_too_many_have_come() -> None:
    engine, worker = by_hand(interval=1, async_keys="auto")
    engine._most_delay = 3
    frames = panning(5, SIZE)
    for rgb in frames[:3]:
        engine.push(rgb)
    timer = threading.Timer(0.05, worker.release)
    timer.start()
    engine.push(frames[3])
    assert not timer.is_alive(), "it waited"
    assert engine.waiting == 3


def test_a_cut_ends_a_period_early_and_waits_for_nothing() -> None:
    first, second = panning(2, SIZE, seed=1), panning(3, SIZE, seed=2)
    engine, worker = by_hand(interval=9)
    done = []
    for rgb in first:
        done += engine.push(rgb)
    worker.release()
    done += engine.push(second[0])
    assert indices(done) == [0, 1]
    for rgb in second[1:]:
        done += engine.push(rgb)
    worker.release()
    done += engine.finish()
    same(done, offline(first + second, 9))
    assert [r.index for r in done if r.is_cut] == [2]


def test_cuts_in_a_row_do_not_pile_up() -> None:
    engine, worker = by_hand(interval=9)
    clips = [panning(1, SIZE, seed=seed)[0] for seed in range(4)]
    engine.push(clips[0])
    engine.push(clips[1])
    assert len(worker.sent) == 2
    timer = threading.Timer(0.05, worker.release)
    timer.start()
    assert indices(engine.push(clips[2])) == [0], "it waited for the oldest"
    assert len(worker.sent) == 2


def test_where_frames_stay_away_those_before_do_not_wait_for_the_next_key_frame() -> None:
    frames = panning(6, SIZE)
    engine, worker = by_hand(interval=3)
    for rgb in frames[:3]:
        engine.push(rgb)
    assert engine.poll(ends_period=True) == [], "their own key frame's scores are not there yet"
    worker.release()
    early = engine.poll()
    assert indices(early) == [0, 1, 2]
    one_sided = offline(frames[:3], 3)
    assert all(np.array_equal(a.labels, b.labels) for a, b in zip(early, one_sided, strict=True))
    rest = []
    for rgb in frames[3:]:
        rest += engine.push(rgb)
    assert rest == [], "frame 3 waits for the key frame after it again"
    worker.release()
    rest += engine.finish()
    assert [(r.index, r.is_key, r.distance) for r in rest] == [(3, False, 3), (4, True, 0), (5, False, 1)]


def test_frames_that_are_missing_count_for_the_period() -> None:
    frames = panning(9, SIZE, step=1)
    kept = [0, 1, 5, 6, 7, 8]
    engine = build_engine(BrightnessSegmenter(), change(OFFLINE, interval=3))
    done = []
    for i in kept:
        engine.select(i)
        done += engine.push(frames[i])
    done += engine.finish()
    assert [kept[r.index] for r in done if r.is_key] == [0, 5]
    without = offline([frames[i] for i in kept], 3)
    assert [kept[r.index] for r in without if r.is_key] == [0, 7], "told of no gap"


def test_after_an_error_of_the_network_what_came_before_can_be_had() -> None:
    class Fails(BrightnessSegmenter):
        def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            if self.calls == 1:
                self.calls += 1
                raise ScoresError("not finite", expected="numbers", do="look at it")
            return super().__call__(rgb)

    frames = panning(9, SIZE)
    engine = build_engine(Fails(), change(OFFLINE, interval=2), live=True)
    done: list[Result] = []

    def label() -> None:
        for rgb in frames[:4]:
            done.extend(engine.push(rgb))
        done.extend(engine.finish())

    with pytest.raises(ScoresError, match="not finite"):
        label()
    assert indices([*done, *engine.finish()]) == [0, 1, 2]
    assert indices([*engine.push(frames[0]), *engine.finish()]) == [0], "and it goes on"


@pytest.mark.slow
def test_memory_is_bounded_in_a_long_stream() -> None:
    engine = build_engine(BrightnessSegmenter(), change(OFFLINE, interval=3), live=True)
    assert isinstance(engine, BidirectionalEngine)
    clip, indices = panning(4, SIZE), []
    for rgb in clip * 100:
        indices += [r.index for r in engine.push(rgb)]
        assert engine.waiting <= 2 * 4
        assert len(engine._pending) <= 1
        last = engine._last
        assert last is not None
        assert last.key is not None
        if last.key.state is not None:
            assert last.key.previous is None, "no chain of all key frames so far"
    indices += [r.index for r in engine.finish()]
    assert indices == list(range(400))


@pytest.mark.parametrize("changes", [{}, {"async_keys": 2}])
def test_several_streams_give_what_each_would_give_alone(changes: dict[str, Any]) -> None:
    clips = [panning(14, SIZE, seed=seed) for seed in range(3)]
    settings = change(OFFLINE, interval=3, **changes)
    streams = build_streams(BrightnessSegmenter(), settings, 3, backend=Processor(1))
    done: list[list[Result]] = [[], [], []]
    for tick in zip(*clips, strict=True):
        for found, results in zip(done, streams.push(tick), strict=True):
            found += results
    for found, results in zip(done, streams.finish(), strict=True):
        found += results
    assert all(indices(found) == list(range(14)) for found in done)
    assert streams.runs()["most_planned"] == 1, "key frames are staggered"
    same(done[0], offline(clips[0], 3))
    ticks = list(streams.stream(*clips))
    assert [[r.index for r in tick] for tick in ticks] == [[i] * 3 for i in range(14)]  # type: ignore[union-attr]
    assert isinstance(streams.engines[0].keys.worker, NetworkThread)  # type: ignore[attr-defined]
    assert len({id(engine.keys.worker) for engine in streams.engines}) == 1, "one network"  # type: ignore[attr-defined]


def test_streams_end_and_pause_each_on_its_own() -> None:
    clips = [panning(5, SIZE), panning(9, SIZE, seed=1)]
    streams = build_streams(BrightnessSegmenter(), change(OFFLINE, interval=2), 2, backend=Processor(1))
    ticks = list(streams.stream(*clips))
    assert [None if tick[0] is None else tick[0].index for tick in ticks] == [0, 1, 2, 3, 4, None, None, None, None]
    assert [tick[1].index for tick in ticks] == list(range(9))  # type: ignore[union-attr]
    with pytest.raises(SettingError, match="one step of bidirectional propagation; .* use push\\(\\) and finish\\(\\)"):
        streams.step([clips[0][0], clips[1][0]])


def test_a_warm_engine_begins_anew() -> None:
    frames = panning(7, SIZE)
    engine = build_engine(BrightnessSegmenter(), change(OFFLINE, interval=2), live=True)
    engine.warm_up(SIZE)
    same([r for rgb in frames for r in engine.push(rgb)] + engine.finish(), offline(frames))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"async_keys": 4}, "async_keys=4 with interval=2; expected at most 3 frames"),
        ({"async_keys": "soon"}, "async_keys=soon; expected auto, or a whole number"),
        ({"schedule": "adaptive"}, "mode='bidirectional' with schedule='adaptive'"),
    ],
)
def test_what_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        change(find_preset("composed"), mode="bidirectional", interval=2, **changes)


def test_the_lag_is_part_of_the_method() -> None:
    def described(settings: Settings) -> dict[str, Any]:
        return build_engine(BrightnessSegmenter(), settings).describe()

    assert "async_keys" not in described(OFFLINE)
    assert described(change(OFFLINE, async_keys="auto"))["async_keys"] == "auto"
