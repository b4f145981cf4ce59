"""The times of stages add up to the wall clock: nothing that takes long is done outside of a stage.

For `bench` and the demo time stands still but for what is known to take some: the network, flow and every array
operation. What one of them takes outside of a stage would be missing in the sum. A run reads, labels and writes at the
same time: there the network sleeps, so that labelling takes up most of the real time.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from fractions import Fraction
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from fakes import BrightnessSegmenter, panning
from segtween.api import Segtween
from segtween.bench import Plan, bench
from segtween.demo import Run
from segtween.flow.dis import DisFlow
from segtween.ops.cpu import CpuOps
from segtween.run.modes import each_mode
from segtween.run.summary import PREFETCHED, THREADS
from segtween.settings import find_preset

NO_WORK = ("scope", "sibling", "describe", "describe_matching", "host", "image")
"""Operations that compute nothing on the processor."""
NETWORK, OTHER, SLEEP = 0.020, 0.001, 0.060
MODES = each_mode({"composed": find_preset("composed").at(2)})


class FakeClock:
    """Seconds that pass only where `spend` is called."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def taking(self, seconds: float, of: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, which takes so long."""

        @wraps(of)
        def longer(*given: Any, **named: Any) -> Any:
            self.now += seconds
            return of(*given, **named)

        return longer


class Network(BrightnessSegmenter):
    """Takes 20 ms of a fake clock."""


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(time, "perf_counter", fake)
    monkeypatch.setattr(Network, "__call__", fake.taking(NETWORK, BrightnessSegmenter.__call__))
    for name in ("prepare", "__call__"):
        monkeypatch.setattr(DisFlow, name, fake.taking(OTHER, getattr(DisFlow, name)))
    for name, operation in inspect.getmembers(CpuOps, inspect.isfunction):
        if not name.startswith("_") and name not in NO_WORK:
            monkeypatch.setattr(CpuOps, name, fake.taking(OTHER, operation))
    return fake


@pytest.mark.parametrize("mode", MODES)
def test_the_stages_of_the_benchmark_are_its_time(mode: str, clock: FakeClock) -> None:
    plan = Plan((64, 96), intervals=[2], repeats=3, threads=1, clip="textured")
    report = bench(Network(), settings=MODES[mode], name=mode, plan=plan)
    for result in report.results:
        assert sum(result["stages_ms"].values()) == pytest.approx(result["ms_per_frame"])
        assert result["stages_ms"]["segment"] > 990 * NETWORK / (result["interval"] + 1)
    if report.results[1]["latency_frames"]["most"] == 0:
        for kind in ("key_frame", "other_frame"):
            times = report.results[1][kind]
            assert sum(stage["median"] for stage in times["stages_ms"].values()) == pytest.approx(times["median"])
    assert clock.now > 0


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("mode", MODES)
def test_the_stages_of_the_demo_are_its_wall_clock(mode: str) -> None:
    size, run = (64, 96), Run(mode, Segtween(Network(), MODES[mode], threads=1))
    for index, rgb in enumerate(panning(7, size)):
        frame: Any = SimpleNamespace(
            index=index, pts_seconds=Fraction(index, 15), rgb=rgb, camvid11=np.zeros(size, np.uint8),
            flow=np.zeros((*size, 2), np.float32), occlusion=np.zeros(size, bool),
        )  # fmt: skip
        list(run.push(frame))
    list(run.push(None))
    assert run.frames == 7
    assert sum(run.key_ms) + sum(run.other_ms) == pytest.approx(1e3 * run.wall_seconds)
    assert run.wall_seconds > len(run.key_ms) * NETWORK


class Sleeping(BrightnessSegmenter):
    def __call__(self, rgb: Any) -> Any:
        time.sleep(SLEEP)
        return super().__call__(rgb)


@pytest.mark.parametrize("interval", [0, 2])
def test_the_stages_of_a_run_are_its_wall_clock(interval: int, tmp_path: Path) -> None:
    for index, rgb in enumerate(panning(24, (64, 96))):
        cv2.imwrite(str(tmp_path / f"{index:02}.png"), rgb)
    seg = Segtween(Sleeping(), find_preset("composed").at(interval), threads=1)
    done = seg.run(tmp_path, tmp_path / "out", save=["labels"])
    threads = PREFETCHED if done.prefetched else THREADS
    times = done.stages_ms
    sums = {thread: sum(sum(times.get(stage, ())) for stage in stages) for thread, stages in threads.items()}
    wall_ms = 1e3 * done.seconds
    assert max(sums.values()) <= 1.02 * wall_ms, "no time is counted twice"
    assert sums["labelling"] >= 1e3 * SLEEP * done.network_runs
    if interval == 0:
        assert sums["labelling"] >= 0.7 * wall_ms, "and nearly none left out"


def test_what_is_done_outside_of_a_stage_is_noticed(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CpuOps, "host", clock.taking(OTHER, CpuOps.host))
    plan = Plan((64, 96), intervals=[2], repeats=1, threads=1, clip="textured")
    _, ours = bench(Network(), settings=MODES["composed"], name="composed", plan=plan).results
    assert sum(ours["stages_ms"].values()) < ours["ms_per_frame"] - 0.9
