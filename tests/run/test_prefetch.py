"""Flow that is estimated where frames are read: the same answers, sooner."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import BrightnessSegmenter, panning
from segtween.api import Segtween
from segtween.build import PRESETS, Settings
from segtween.flow.dis import DisFlow
from segtween.run.prefetch import Foresight
from segtween.run.single import Summary, run_source
from segtween.types import Frame, OutputReport, Result, SourceInfo

SIZE = (64, 96)
PATH = PRESETS["composed"].at(2)


class Clip:
    """Two scenes, so that there is a cut."""

    def __init__(self) -> None:
        pictures = [*panning(7, SIZE, step=3, cell=16), *panning(5, SIZE, seed=5, cell=9)]
        self.frames = [Frame(i, Fraction(i, 25), rgb) for i, rgb in enumerate(pictures)]
        self.info = SourceInfo("clip", "clip", SIZE, Fraction(25), len(pictures))

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(self.frames)

    def close(self) -> None:
        pass


class Kept:
    def __init__(self) -> None:
        self.results: list[Result] = []
        self.report = OutputReport()

    def write(self, frame: Frame, result: Result) -> None:
        assert frame.index == result.index
        self.results.append(result)

    def close(self) -> None:
        pass

    abort = close


def run(folder: Path, settings: Settings, **options: Any) -> tuple[Summary, list[Result], Any]:
    seg, sink = Segtween(BrightnessSegmenter(), settings, threads=1), Kept()
    before = getattr(seg.engine, "flow", None)
    summary = run_source(
        seg.engine, Clip(), sink, folder, method=seg.method, interval=2, saved=(), **options
    )  # fmt: skip
    assert getattr(seg.engine, "flow", None) is before, "put back"
    return summary, sink.results, seg


@pytest.mark.parametrize("preset", ["composed", "blend"])
def test_a_run_gives_what_the_engine_gives(tmp_path: Path, preset: str) -> None:
    summary, results, seg = run(tmp_path, PRESETS[preset].at(2))
    assert summary.foreseen
    seg.reset()
    for frame, seen in zip(Clip().frames, results, strict=True):
        alone = seg.step(frame.rgb)
        np.testing.assert_array_equal(seen.labels, alone.labels)
        np.testing.assert_array_equal(seen.carried.values, alone.carried.values)
        assert (seen.is_key, seen.is_cut, seen.distance) == (alone.is_key, alone.is_cut, alone.distance)
        assert set(seen.stages_ms) == set(alone.stages_ms), "every stage is told, wherever it happened"
    assert [r.index for r in results if r.is_cut] == [7]


def test_time_is_told_where_it_was_spent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    estimate = DisFlow.__call__

    def slow(self: DisFlow, *views: Any) -> Any:
        time.sleep(0.02)
        return estimate(self, *views)

    monkeypatch.setattr(DisFlow, "__call__", slow)
    summary, results, _ = run(tmp_path, PATH)
    assert len(summary.stages_ms["flow"]) == 11
    assert min(summary.stages_ms["flow"]) >= 20
    assert min(summary.stages_ms["decode"]) >= 0
    assert np.median(summary.stages_ms["decode"]) < 20, "reading is not charged for it"
    assert all(r.stages_ms["flow"] >= 20 for r in results[1:])
    assert summary.limited_by() == "flow"


def test_where_more_than_the_frames_counts_it_is_not_used(tmp_path: Path) -> None:
    assert not run(tmp_path, replace(PATH, schedule="adaptive"))[0].foreseen
    assert not run(tmp_path, replace(PATH, offline=True))[0].foreseen
    assert not run(tmp_path, PATH, live=True)[0].foreseen
    plain, sink = Segtween(BrightnessSegmenter(), PATH, threads=1, plain=True), Kept()
    assert not run_source(plain.engine, Clip(), sink, tmp_path, method=plain.method, interval=0, saved=()).foreseen


def test_what_it_has_not_seen_is_estimated_when_asked_for() -> None:
    frames, flow = Clip().frames, DisFlow()
    foresight = Foresight(DisFlow())
    watched = list(foresight.watch(frames[:3]))
    assert [frame.index for frame in watched] == [0, 1, 2]
    assert foresight.describe() == flow.describe()
    assert foresight.times_ms == {}
    views = [foresight.prepare(frame.rgb) for frame in frames[:2]]
    assert set(foresight.times_ms) == {"prepare", "flow"}
    expected = flow(flow.prepare(frames[1].rgb), flow.prepare(frames[0].rgb))
    np.testing.assert_array_equal(foresight(views[1], views[0]), expected)
    np.testing.assert_array_equal(foresight(views[0], views[1]), flow(views[0], views[1]))
    last = foresight.prepare(frames[5].rgb)
    np.testing.assert_array_equal(last, flow.prepare(frames[5].rgb))
    assert foresight.times_ms == {}
    np.testing.assert_array_equal(foresight(last, views[1]), flow(last, views[1]))


def test_a_change_of_size_is_left_to_the_engine() -> None:
    small = panning(1, (32, 48))[0]
    frames = [Clip().frames[0], Frame(1, Fraction(1, 25), small)]
    foresight = Foresight(DisFlow())
    assert len(list(foresight.watch(frames))) == 2
    foresight.prepare(frames[0].rgb)
    assert foresight.prepare(small).shape == (32, 48)
    assert set(foresight.times_ms) == {"prepare"}
