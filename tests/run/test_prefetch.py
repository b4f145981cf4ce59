"""Flow that is estimated where frames are read: the same answers, sooner."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from one_input import run_source

from fakes import BrightnessSegmenter, panning
from segtween.api import Segtween, load
from segtween.flow.dis import DisFlow
from segtween.run.summary import Summary
from segtween.settings import PRESETS, Settings, change
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
    summary = run_source(
        seg.engine, Clip(), sink, folder, method=seg.method, interval=2, saved=(), **options
    )  # fmt: skip
    return summary, sink.results, seg


@pytest.mark.parametrize("preset", ["composed", "blend"])
def test_a_run_gives_what_the_engine_gives(tmp_path: Path, preset: str) -> None:
    summary, results, seg = run(tmp_path, PRESETS[preset].at(2))
    assert summary.prefetched
    seg.reset()
    for frame, seen in zip(Clip().frames, results, strict=True):
        alone = seg.step(frame.rgb)
        np.testing.assert_array_equal(seen.labels, alone.labels)
        np.testing.assert_array_equal(seen.score_map.values, alone.score_map.values)
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
    assert not run(tmp_path, change(PATH, schedule="adaptive", target_ms=30.0))[0].prefetched
    assert run(tmp_path, change(PATH, mode="bidirectional"))[0].prefetched
    assert run(tmp_path, change(PATH, mode="bidirectional", flow="dis-opencv"))[0].prefetched
    assert not run(tmp_path, PATH, live=True)[0].prefetched
    plain, sink = Segtween(BrightnessSegmenter(), PATH, threads=1, plain=True), Kept()
    assert not run_source(plain.engine, Clip(), sink, tmp_path, method=plain.method, interval=0, saved=()).prefetched


def test_a_flow_network_is_asked_by_one_thread_at_a_time(tmp_path: Path) -> None:
    seg = load(interval=2, flow="light", mode="bidirectional", threads=1)
    summary = seg.run(Clip(), tmp_path, save=[])
    assert summary.frames == 12
    assert summary.prefetched, "the reading thread asks it for both ways, and no other thread does"
