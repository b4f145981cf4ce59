"""Threads that read ahead and write behind, and a session with them."""

from __future__ import annotations

import json
import threading
import time
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from one_input import run_source

from fakes import BrightnessSegmenter, panning
from segtween.api import Segtween
from segtween.errors import SinkError, SourceError
from segtween.ops.threads import Rows, available_threads
from segtween.run.pipeline import AsyncWriter, Prefetcher
from segtween.run.summary import Summary
from segtween.settings import PRESETS
from segtween.types import Frame, OutputReport, Result, SourceInfo

SIZE = (48, 64)


class Clip:
    """Frames that take a while each; `fails_at` damages it."""

    def __init__(self, count: int, *, slow_seconds: float = 0.0, fails_at: int | None = None) -> None:
        self.info = SourceInfo("clip", "clip", SIZE, Fraction(25), count)
        self._pictures, self._slow, self._fails_at = panning(count, SIZE), slow_seconds, fails_at
        self.closed, self.given = 0, 0

    def __iter__(self) -> Iterator[Frame]:
        for i, rgb in enumerate(self._pictures):
            if i == self._fails_at:
                raise SourceError(f"damaged after {i} frames")
            time.sleep(self._slow)
            self.given += 1
            yield Frame(i, Fraction(i, 25), rgb)

    def close(self) -> None:
        self.closed += 1


class Kept:
    """A sink that keeps the indices; `fails_at` is a full disk."""

    def __init__(self, *, slow_seconds: float = 0.0, fails_at: int | None = None) -> None:
        self._slow, self._fails_at = slow_seconds, fails_at
        self.written: list[int] = []
        self.ended = ""
        self.report = OutputReport()

    def write(self, frame: Frame, result: Result) -> None:
        assert not self.ended
        assert frame.index == result.index
        if frame.index == self._fails_at:
            raise SinkError("the disk is full")
        time.sleep(self._slow)
        self.written.append(frame.index)

    def close(self) -> None:
        self.ended = "closed"

    def abort(self) -> None:
        self.ended = "aborted"


class Slow(BrightnessSegmenter):
    def __call__(self, rgb):  # type: ignore[no-untyped-def]
        time.sleep(0.03)
        return super().__call__(rgb)


def run(clip: Clip, sink: Kept, folder: Path, *, offline: bool = False, segmenter=None, progress=None) -> Summary:  # type: ignore[no-untyped-def]
    folder.mkdir(exist_ok=True)
    settings = PRESETS["composed"].at(2)
    settings = settings.bidirectional() if offline else settings
    seg = Segtween(segmenter or BrightnessSegmenter(), settings, threads=1)
    return run_source(
        seg.engine, clip, sink, folder, method=seg.method, interval=2, saved=("labels",), progress=progress
    )  # fmt: skip


@pytest.mark.parametrize("offline", [False, True])
def test_order_is_kept_and_progress_counts_every_frame(tmp_path: Path, offline: bool) -> None:
    clip, sink, seen = Clip(13), Kept(), list[tuple[int, int | None]]()
    summary = run(clip, sink, tmp_path, offline=offline, progress=lambda *done: seen.append(done))
    assert sink.written == list(range(13))
    assert sink.ended == "closed"
    assert clip.closed == 1
    assert seen == [(i, 13) for i in range(1, 14)]
    assert summary.frames == 13
    assert summary.network_runs == 5


def test_reading_labelling_and_writing_happen_at_the_same_time(tmp_path: Path) -> None:
    clip, sink = Clip(12, slow_seconds=0.03), Kept(slow_seconds=0.03)
    began = time.perf_counter()
    summary = run_source(
        Segtween(Slow(), PRESETS["composed"], threads=1, plain=True).engine, clip, sink, tmp_path,
        method=Segtween(BrightnessSegmenter(), PRESETS["composed"], threads=1).method, interval=0, saved=(),
    )  # fmt: skip
    taken = time.perf_counter() - began
    work = sum(sum(values) for values in summary.stages_ms.values()) / 1e3
    assert work > 12 * 3 * 0.03
    assert taken < 0.75 * work
    assert json.loads((tmp_path / "run.json").read_text())["limited_by"] == summary.limited_by()


def test_the_slowest_thread_is_named(tmp_path: Path) -> None:
    assert run(Clip(6, slow_seconds=0.02), Kept(), tmp_path).limited_by() == "decode"
    assert run(Clip(6), Kept(slow_seconds=0.02), tmp_path).limited_by() == "encode"
    assert run(Clip(6), Kept(), tmp_path, segmenter=Slow()).limited_by() == "segment"
    assert Summary(Clip(1).info, tmp_path, None, 2, ()).limited_by() is None  # type: ignore[arg-type]


def test_how_busy_the_processors_were_is_counted_over_all_threads(tmp_path: Path) -> None:
    class Burns(BrightnessSegmenter):
        def __call__(self, rgb):  # type: ignore[no-untyped-def]
            until = time.thread_time() + 0.05
            while time.thread_time() < until:
                pass
            return super().__call__(rgb)

    idle = run(Clip(6, slow_seconds=0.05), Kept(), tmp_path)
    burning = run(Clip(6), Kept(), tmp_path, segmenter=Burns())
    assert burning.processor_seconds >= 2 * 0.05
    assert idle.busy is not None
    assert burning.busy == burning.processor_seconds / burning.seconds / available_threads()
    assert 0 < idle.busy < burning.busy <= 1.05
    totals = json.loads((tmp_path / "run.json").read_text())["totals"]
    assert (totals["processors"], totals["processors_busy"]) == (available_threads(), round(burning.busy, 4))
    assert Summary(Clip(1).info, tmp_path, None, 2, ()).busy is None  # type: ignore[arg-type]


@pytest.mark.parametrize("offline", [False, True])
def test_frames_before_a_damage_are_written(tmp_path: Path, offline: bool) -> None:
    clip, sink = Clip(9, fails_at=5), Kept()
    with pytest.raises(SourceError, match="damaged after 5 frames"):
        run(clip, sink, tmp_path, offline=offline)
    assert (sink.written, sink.ended, clip.closed) == ([0, 1, 2, 3, 4], "aborted", 1)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["error"] == "damaged after 5 frames"
    assert record["totals"]["frames"] == 5


def test_a_full_disk_ends_it_and_is_told(tmp_path: Path) -> None:
    clip, sink = Clip(200), Kept(fails_at=3)
    with pytest.raises(SinkError, match="the disk is full"):
        run(clip, sink, tmp_path)
    assert (sink.written, sink.ended, clip.closed) == ([0, 1, 2], "aborted", 1)
    assert clip.given < 60


def test_ctrl_c_writes_what_was_labelled(tmp_path: Path) -> None:
    def stop(done: int, _: int | None) -> None:
        if done == 4:
            raise KeyboardInterrupt

    clip, sink = Clip(100), Kept()
    with pytest.raises(KeyboardInterrupt):
        run(clip, sink, tmp_path, progress=stop)
    assert 4 <= len(sink.written) < 60
    assert sink.written == list(range(len(sink.written)))
    assert sink.ended == "aborted"
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["error"] == "stopped by the user"
    assert record["totals"]["frames"] == len(sink.written)


def test_no_more_than_asked_for_is_read_ahead() -> None:
    made: list[int] = []

    def numbers() -> Iterator[int]:
        for i in range(100):
            made.append(i)
            yield i

    closed = threading.Event()
    ahead = Prefetcher(numbers(), most=3, close=closed.set)
    assert ahead.take()[0] == 0
    time.sleep(0.05)
    assert len(made) <= 4
    ahead.stop()
    assert closed.is_set()
    assert len(made) <= 5


def test_a_writer_that_is_slower_lets_no_queue_grow() -> None:
    tokens, alive = weakref.WeakSet[Token](), list[int]()

    def work(_: Token) -> None:
        time.sleep(0.005)
        alive.append(len(tokens))

    behind = AsyncWriter(work, most=2)
    for _ in range(12):
        token = Token()
        tokens.add(token)
        behind.put(token)
    behind.finish()
    assert len(alive) == 12
    assert max(alive) <= 5


class Token:
    pass


def test_threads_beside_the_main_one_share_their_kernels_with_no_other() -> None:
    rows, used = Rows(2), dict[str, list[tuple[str, int]]]()
    both = threading.Barrier(2, timeout=30)

    def kernels(who: str) -> str:
        begun: set[str] = set()

        def kernel(first: int, last: int) -> None:
            name = threading.current_thread().name.split("_")[0]
            used.setdefault(who, []).append((name, last - first))
            if who == "labelling" and name not in begun:
                begun.add(name)
                both.wait()  # each thread has its first piece before either has its second

        rows(kernel, 64)
        return who

    kernels("labelling")
    ahead = Prefetcher((kernels("reading") for _ in range(1)), most=1)
    assert ahead.take()[0] == "reading"
    with pytest.raises(StopIteration):
        ahead.take()
    behind = AsyncWriter(kernels, most=1)
    behind.put("writing")
    behind.finish()
    assert used["reading"] == [("segtween-ahead", 64)]
    assert used["writing"] == [("segtween-behind", 64)]
    assert sorted({name for name, _ in used["labelling"]}) == ["MainThread", "segtween-ops"]
    assert [n for _, n in used["labelling"]] == [8] * 8


def test_an_error_behind_is_raised_once() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        done.append(10 // item)

    behind = AsyncWriter(work, most=2)
    behind.put(5)
    behind.put(0)
    behind.finish()
    with pytest.raises(ZeroDivisionError):
        behind.check()
    behind.check()
    assert done == [2]
