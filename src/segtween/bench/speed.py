"""How fast a method is: frames in memory, label arrays out, one frame after the other (docs/evaluation.md).

Interval 0 is the plain network and its labels, without flow or fusion. All intervals are interleaved, one period
(a key frame and the frames after it) at a time, so that a slower moment of the machine falls on all of them.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from segtween.bench.baselines import BASELINES, Baseline, check_baselines
from segtween.bench.plan import WARM_UP_PERIODS, Plan, refuse_stored, to_and_fro
from segtween.bench.report import Header
from segtween.bench.speed_report import STAGES, BenchReport
from segtween.build import Processor, build_engine, build_every_frame
from segtween.build import method as method_of
from segtween.engine import Engine
from segtween.interfaces import Segmenter
from segtween.metrics.timing import Timing, percentiles, quartiles
from segtween.settings import Settings
from segtween.texttable import count as counted
from segtween.types import Progress, Result, Rgb, steps


def bench(
    segmenter: Segmenter, *, settings: Settings, name: str, plan: Plan, progress: Progress | None = None
) -> BenchReport:
    """Times a preset's settings at the plan's intervals and at interval 0, on the plan's clip.

    The segmenter has threads of its own, by its own setting. The plan's `against` names entries of
    `baselines.BASELINES`, which are interleaved with the intervals. Raises SettingError for intervals below 0, and for
    stored scores or flow; what cannot be opened raises its own error (MissingExtraError without torch).
    """
    return bench_presets(segmenter, presets={name: settings}, plan=plan, progress=progress)[name]


def bench_modes(
    segmenter: Segmenter, *, modes: Mapping[str, Settings], plan: Plan, progress: Progress | None = None
) -> BenchReport:
    """`bench` for one method in one or more modes, by name, as one report: that of the first, which has the `others`.
    Baselines are timed once, and compared with the first."""
    first, *others = bench_presets(segmenter, presets=modes, plan=plan, progress=progress).values()
    return replace(first, others=[replace(other, against=()) for other in others])


def bench_presets(
    segmenter: Segmenter,
    *,
    presets: Mapping[str, Settings],
    plan: Plan,
    fused: Collection[str] = (),
    progress: Progress | None = None,
) -> dict[str, BenchReport]:
    """`bench` for several presets, by name. All are interleaved and share interval 0.

    Presets named in `fused` are timed at interval 0 with flow and fusion too. In the offline mode, whose labels come
    some frames later, a period is timed as a whole.
    """
    refuse_stored(segmenter, presets)
    check_baselines(plan.against)
    backend = Processor(plan.threads)
    plain = _Run(0, build_every_frame(segmenter, backend=backend))
    own = {
        name: [_Run(i, build_engine(segmenter, settings.at(i), backend=backend)) for i in plan.above]
        for name, settings in presets.items()
    }
    whole = {name: _Run(0, build_engine(segmenter, presets[name].at(0), backend=backend)) for name in fused}
    others = [
        _BaselineRun(baseline, interval, opened)
        for baseline in dict.fromkeys(plan.against)
        for opened in (BASELINES[baseline].open(segmenter, plan.size_hw, backend),)
        for interval in (plan.above if BASELINES[baseline].has_keys else [0])
    ]
    _interleave([plain, *whole.values(), *(run for some in own.values() for run in some), *others], plan, progress)
    plain_ms = plain.ms_per_frame()

    def report(name: str) -> BenchReport:
        runs = [plain, *own[name]]
        method = method_of(build_engine(segmenter, presets[name], backend=backend), name=name)
        cuts = [run.remark for run in runs if run.cuts]
        return BenchReport(
            Header.of(segmenter, method, plan=plan, threads=backend.rows.threads, notes=cuts),
            repeats=plan.repeats,
            results=[run.result(plain_ms=plain_ms) for run in runs],
            fused=whole[name].result(plain_ms=plain_ms) if name in whole else None,
            against=[run.result(plain_ms=plain_ms, method_runs=runs) for run in others],
        )

    return {name: report(name) for name in presets}


def _interleave(runs: Sequence[_Run | _BaselineRun], plan: Plan, progress: Progress | None) -> None:
    frames = plan.frames()
    step = steps(progress, plan.periods * sum(run.interval + 1 for run in runs))
    for period in range(plan.periods):
        for run in runs:
            run.period(frames, timed=period >= WARM_UP_PERIODS)
            step(run.interval + 1)


@dataclass
class _Kind:
    """Times of the key frames, or of the other frames."""

    frame_ms: array[float] = field(default_factory=lambda: array("d"))
    stages: Timing = field(default_factory=Timing)

    def to_json(self) -> dict[str, Any] | None:
        return {**quartiles(self.frame_ms), "stages_ms": self.stages.compute()} if self.frame_ms else None


class _Run:
    """One interval's engine with its own position in the clip, and its times."""

    def __init__(self, interval: int, engine: Engine) -> None:
        self.interval, self.engine = interval, engine
        self._by_period = not engine.is_causal
        self.key, self.other = _Kind(), _Kind()
        self.period_ms, self.mixed, self.waits = array("d"), array("d"), array("d")
        self.cuts = self._position = 0

    @property
    def remark(self) -> str:
        cuts = counted(self.cuts, "frame")
        return f"interval {self.interval}: {cuts} of the clip taken for scene cuts and made key frames"

    def period(self, frames: Sequence[Rgb], *, timed: bool) -> None:
        """A key frame and the frames up to the next one."""
        whole = 0.0
        for _ in range(self.interval + 1):
            rgb = to_and_fro(frames, self._position)
            began = time.perf_counter()
            results = self.engine.push(rgb)
            frame_ms = (time.perf_counter() - began) * 1e3
            self._position += 1
            whole += frame_ms
            if timed:
                for result in results:
                    self._note(result, sum(result.stages_ms.values()) if self._by_period else frame_ms)
        if timed:
            self.period_ms.append(whole)

    def _note(self, result: Result, frame_ms: float) -> None:
        kind = self.key if result.is_key else self.other
        kind.frame_ms.append(frame_ms)
        kind.stages.update(result.stages_ms)
        self.waits.append(self._position - 1 - result.index)
        self.mixed.append(self.engine.ops.mixed_cells)
        self.cuts += result.is_cut

    def ms_per_frame(self) -> float:
        """Mean over a period made of the median key frame and median other frames; offline, of the median period."""
        if self._by_period:
            return quartiles(self.period_ms)["median"] / (self.interval + 1)
        return _mean(self.interval, self.key.to_json(), self.other.to_json(), lambda kind: float(kind["median"]))

    def result(self, *, plain_ms: float) -> dict[str, Any]:
        key, other, ms = self.key.to_json(), self.other.to_json(), self.ms_per_frame()

        def stage_ms(stage: str) -> float:
            return _mean(
                self.interval, key, other, lambda kind: kind["stages_ms"].get(stage, {"median": 0.0})["median"]
            )

        return {
            **_figures(self.interval, ms, plain_ms),
            "stages_ms": {stage: value for stage in STAGES if (value := stage_ms(stage)) > 0},
            "times_faster": plain_ms / ms,
            "times_possible": self.interval + 1,
            "key_frame": key,
            "other_frame": other,
            "latency_ms": percentiles([*self.key.frame_ms, *self.other.frame_ms]),
            "latency_frames": percentiles(self.waits),
            "period_ms": quartiles(self.period_ms),
            "mixed_cells": quartiles(self.mixed)["median"],
        }


class _BaselineRun:
    """One baseline at one interval with its own position in the clip, and its times."""

    def __init__(self, name: str, interval: int, baseline: Baseline) -> None:
        self.name, self.interval, self.baseline = name, interval, baseline
        self.key, self.other = _Kind(), _Kind()
        self._position = 0

    def period(self, frames: Sequence[Rgb], *, timed: bool) -> None:
        for i in range(self.interval + 1):
            rgb = to_and_fro(frames, self._position)
            began = time.perf_counter()
            self.baseline(rgb, is_key=i == 0)
            frame_ms = (time.perf_counter() - began) * 1e3
            self._position += 1
            if timed:
                (self.other if i else self.key).frame_ms.append(frame_ms)

    def result(self, *, plain_ms: float, method_runs: Sequence[_Run]) -> dict[str, Any]:
        key, other = self.key.to_json(), self.other.to_json()
        ms = _mean(self.interval, key, other, lambda kind: float(kind["median"]))
        return {
            "name": self.name,
            "title": BASELINES[self.name].title,
            **_figures(self.interval, ms, plain_ms),
            "key_frame": key,
            "other_frame": other,
            "method_times_faster": {f"{run.interval}": ms / run.ms_per_frame() for run in method_runs},
        }


def _figures(interval: int, ms: float, plain_ms: float) -> dict[str, Any]:
    return {
        "interval": interval,
        "ms_per_frame": ms,
        "fps": 1e3 / ms,
        "share_of_limit": plain_ms / ms / (interval + 1),
    }


def _mean(
    interval: int, key: dict[str, Any] | None, other: dict[str, Any] | None, figure: Callable[[dict[str, Any]], float]
) -> float:
    """Over a period: one key frame and `interval` others."""
    both = (0.0 if kind is None else figure(kind) for kind in (key, other))
    return sum(n * value for n, value in zip((1, interval), both, strict=True)) / (interval + 1)
