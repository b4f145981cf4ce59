"""Several streams, one network: each labelled as it would be alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes import BrightnessSegmenter, panning
from segtween.api import Segtween
from segtween.build import Processor, build_engine, build_streams
from segtween.engine.delayed import DelayedKeyFrames
from segtween.engine.multistream import Arrival, MultiStream
from segtween.errors import ScoresError, SettingError
from segtween.runtimes.base import RuntimeOptions
from segtween.runtimes.openvino import OpenVinoRuntime
from segtween.settings import PRESETS, Settings, change
from segtween.types import Frame, Result, Rgb
from tiny_onnx import write_network

SIZE = (48, 64)


def clips(count: int, frames: int = 12) -> list[list[Rgb]]:
    """Of different sizes."""
    return [panning(frames, (48 + 8 * i, 64 + 16 * i), seed=i, step=1, cell=16) for i in range(count)]


def settings(interval: int = 3, preset: str = "composed", **changes: Any) -> Settings:
    return change(PRESETS[preset].at(interval), **changes)


def streams(count: int, segmenter: Any = None, chosen: Settings | None = None) -> MultiStream:
    return build_streams(segmenter or BrightnessSegmenter(), chosen or settings(), count, backend=Processor(1))


def alone(clip: list[Rgb], keys: list[int], preset: str = "composed") -> list[Result]:
    """One engine, told which frames are key frames."""
    chosen = settings(9, preset)
    engine: Any = build_engine(BrightnessSegmenter(), chosen, backend=Processor(1))
    engine.keys.schedule.is_key = lambda situation: situation.index in keys
    return list(engine.stream(clip))


@pytest.mark.parametrize("preset", ["composed", "blend", "warp"])
def test_each_stream_is_labelled_as_if_it_were_alone(preset: str) -> None:
    network, films = BrightnessSegmenter(), clips(3)
    together = streams(3, network, settings(preset=preset))
    results = list(together.stream(*films))
    for i, film in enumerate(films):
        own = [tick[i] for tick in results]
        keys = [r.index for r in own if r is not None and r.is_key]
        for one, other in zip(own, alone(film, keys, preset), strict=True):
            assert one is not None
            assert (one.index, one.distance) == (other.index, other.distance)
            np.testing.assert_array_equal(one.labels, other.labels)
    first = [tick[0] for tick in results]
    assert [r.index for r in first if r is not None and r.is_key] == [0, 4, 8]
    runs = together.runs()
    assert (runs["ticks"], runs["most"], runs["most_planned"]) == (12, 3, 1)
    assert runs["mean"] == network.calls / 12
    assert results[0][0].is_key


def test_what_is_compiled_or_loaded_is_shared_and_tables_are_not() -> None:
    network, chosen = BrightnessSegmenter(), settings()
    backend = Processor(2)
    made: Any = build_streams(network, chosen, 3, backend=backend).engines
    assert all(e.keys.segmenter is network for e in made)
    assert len({id(e.ops) for e in made}) == 3
    assert {id(e.ops.rows) for e in made} == {id(backend.rows)}


def test_a_network_keeps_a_compiled_form_for_every_size(tmp_path: Any) -> None:
    runtime = OpenVinoRuntime(write_network(tmp_path / "tiny.onnx"), options=RuntimeOptions(threads=1))
    images = [np.zeros((1, 3, 32, 32 + 4 * i), np.float32) for i in range(3)]
    for image in images:
        runtime.run(image)
    assert len(runtime._compiled) == 2
    runtime.keep_sizes(3)
    runtime.keep_sizes(1)
    kept = [runtime._request((image.shape,)) for image in images]
    assert [runtime._request((image.shape,)) for image in images] == kept, "none is compiled again"


def test_streams_end_and_miss_frames() -> None:
    short, long = panning(5, SIZE, cell=16), panning(9, SIZE, step=1, seed=3, cell=16)
    results = list(streams(2).stream(short, long))
    assert [[r is not None for r in tick] for tick in results] == [[True, True]] * 5 + [[False, True]] * 4
    assert [tick[1].index for tick in results] == list(range(9))
    together = streams(2)
    made = [together.step([rgb if i % 2 == 0 else None, rgb]) for i, rgb in enumerate(long)]
    assert [tick[0].index for tick in made if tick[0] is not None] == [0, 1, 2, 3, 4]
    assert [tick[0].distance for tick in made if tick[0] is not None] == [0, 1, 2, 3, 0]
    assert together.step([None, None]) == [None, None]


def test_frames_bring_their_times() -> None:
    films = [[Frame(i, Fraction(i, 10), rgb) for i, rgb in enumerate(film)] for film in clips(2, 3)]
    assert [[r.pts_seconds for r in tick if r is not None] for tick in streams(2).stream(*films)] == [
        [0, 0], [0.1, 0.1], [0.2, 0.2],
    ]  # fmt: skip


def test_a_cut_is_a_key_frame_and_the_others_keep_their_turns() -> None:
    films = clips(3)
    films[1] = [*panning(6, SIZE, step=1, cell=16), *panning(6, SIZE, seed=5, step=1, cell=9)]
    together = streams(3)
    results = list(together.stream(*films))
    assert [tick[1].index for tick in results if tick[1].is_cut] == [6]
    assert together.runs()["most_planned"] == 1
    assert max(r.distance for tick in results for r in tick) == 3


def test_one_stream_begins_anew() -> None:
    together, film = streams(2), panning(4, SIZE, cell=16)
    for rgb in film:
        together.step([rgb, rgb])
    together.reset(0)
    other = panning(1, (32, 64), cell=16)[0]
    first, second = together.step([other, film[0]])
    assert (first.index, first.is_key, second.index) == (0, True, 4)


@pytest.mark.parametrize("late", [2, "auto"])
def test_late_keys_come_from_one_thread_one_at_a_time(late: Any) -> None:
    class Watched(BrightnessSegmenter):
        def __init__(self) -> None:
            super().__init__()
            self.now, self.most, self.threads = 0, 0, set[str]()

        def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            self.now += 1
            self.most = max(self.most, self.now)
            self.threads.add(threading.current_thread().name)
            try:
                return super().__call__(rgb)
            finally:
                self.now -= 1

    network, films = Watched(), clips(3, 16)
    together = streams(3, network, settings(async_keys=late))
    results = list(together.stream(*films))
    assert network.most == 1
    assert len(network.threads) == 1
    assert together.runs()["most_planned"] <= 1
    engines: Any = together.engines
    assert all(isinstance(engine.keys, DelayedKeyFrames) for engine in engines)
    if late == 2:
        assert [tick[0].index for tick in results if tick[0].is_key] == [0, 6, 10, 14]
        assert max(r.distance for tick in results for r in tick) <= 3 + 2


def test_a_slow_network_serves_the_streams_in_turn() -> None:
    go = threading.Semaphore(0)

    class Held(BrightnessSegmenter):
        def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            assert go.acquire(timeout=10)
            return super().__call__(rgb)

    together, film = streams(3, Held(), settings(0, async_keys="auto")), panning(1, SIZE, cell=16)[0]

    def run_once() -> None:
        go.release()
        engines: Any = together.engines
        while not any(e.keys._sent is not None and e.keys._sent.logits.done() for e in engines):
            pass

    together.step([film] * 3)
    served = []
    for _ in range(9):
        run_once()
        served += [i for i, r in enumerate(together.step([film] * 3)) if r.is_key]
    assert sorted(served[:3]) == [0, 1, 2]
    assert served[3:6] == served[6:9]
    assert sorted(served[3:6]) == [0, 1, 2]


def test_the_plain_network_and_an_adaptive_schedule_need_no_turns() -> None:
    plain = Segtween(BrightnessSegmenter(), settings(), threads=1, plain=True).streams(2)
    list(plain.stream(*clips(2, 3)))
    assert plain.runs() == {"ticks": 3, "mean": 2.0, "most": 2, "most_planned": 2}
    adaptive = streams(2, None, settings(schedule="adaptive", budget=25.0))
    results = list(adaptive.stream(*clips(2)))
    assert adaptive.staggered is None
    assert 1 <= sum(tick[0].is_key for tick in results) < 8


def test_an_error_names_its_stream_and_the_others_go_on() -> None:
    class Fails(BrightnessSegmenter):
        def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            if rgb.shape[0] == 56 and self.calls > 2:
                raise ScoresError("not finite", expected="numbers", do="check it")
            return super().__call__(rgb)

    together, films = streams(2, Fails()), clips(2)

    def all_of_them() -> Iterator[Any]:
        for one, other in zip(*films, strict=True):
            yield dict(together.each({0: Arrival(one), 1: Arrival(other)}))

    said = list(all_of_them())
    assert all(isinstance(tick[0][0], Result) for tick in said)
    assert any(isinstance(tick[1], ScoresError) for tick in said)
    fresh = streams(2)
    fresh.step([films[0][0], films[1][0]])
    with pytest.raises(SettingError, match=r"stream 1: frame 1 is 64x48; expected 80x56 as before; call reset\(\)"):
        fresh.step([films[0][1], films[0][1]])


def test_numbers_that_do_not_fit() -> None:
    with pytest.raises(SettingError, match="1 frame for 2 streams; expected one for each, None where"):
        streams(2).step([panning(1, SIZE)[0]])
    with pytest.raises(SettingError, match="1 sources for 2 streams; expected one for each; give as many"):
        list(streams(2).stream([]))
    with pytest.raises(SettingError, match="0 streams; expected 1 or more; correct the number of streams"):
        streams(0)


def test_what_belongs_to_one_video_is_refused() -> None:
    class Stored(BrightnessSegmenter):
        def select(self, key: Any) -> None:
            pass

    with pytest.raises(SettingError, match="stored scores or flow with several streams at once; expected a network"):
        streams(2, Stored())

    class Elsewhere(Processor):
        name = "cuda"

    with pytest.raises(SettingError, match="several streams at once on device cuda; expected device cpu; take one vid"):
        build_streams(BrightnessSegmenter(), settings(), 2, backend=Elsewhere(1))


def test_files_at_once_are_read_from_both_sides() -> None:
    films, both = clips(2, 5), settings(mode="bidirectional")
    together = build_streams(BrightnessSegmenter(), both, 2, backend=Processor(1), live=False)
    with pytest.raises(SettingError, match="one step of bidirectional propagation; expected a mode that gives each fr"):
        together.step([films[0][0], films[1][0]])
    together.reset()
    found: dict[int, list[Result]] = {0: [], 1: []}
    for one, other in zip(*films, strict=True):
        for stream, outcome in together.each({0: Arrival(one), 1: Arrival(other)}):
            assert isinstance(outcome, list)
            found[stream] += outcome
    for stream, film in enumerate(films):
        found[stream] += together.engines[stream].finish()
        alone_there = Segtween(BrightnessSegmenter(), both, threads=1)
        for seen, expected in zip(found[stream], alone_there.stream(film), strict=True):
            np.testing.assert_array_equal(seen.labels, expected.labels)
