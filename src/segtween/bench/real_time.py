"""Whether a method keeps up with a camera, and the latency from a frame's arrival to its labels."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.bench.clip import to_and_fro
from segtween.bench.plan import RatePlan, refuse_stored
from segtween.bench.report import Header, MethodReport
from segtween.build import Processor, build_engine
from segtween.build import method as method_of
from segtween.engine import Engine
from segtween.engine.frames import frames_buffered
from segtween.interfaces import Segmenter
from segtween.metrics.timing import percentiles
from segtween.settings import Settings
from segtween.texttable import TextTable, count
from segtween.types import IGNORE, Progress, Result, Rgb

WARM_UP_FRAMES = 2


@dataclass
class Labelled:
    """The outcome of the `due` frames that came: `latency_ms` of those that were labelled, from when each came;
    `work_ms` the work on them alone; `age` how many frames old their scores were; `unknown` how many had no labels yet;
    `arrivals` how often scores of a key frame arrived; `cuts` how many were taken for scene cuts."""

    due: int
    latency_ms: array[float] = field(default_factory=lambda: array("d"))
    work_ms: array[float] = field(default_factory=lambda: array("d"))
    age: Counter[int] = field(default_factory=Counter)
    unknown: int = 0
    arrivals: int = 0
    cuts: int = 0

    @property
    def dropped(self) -> int:
        return self.due - len(self.latency_ms)

    def note(self, result: Result, latency_ms: float) -> None:
        self.latency_ms.append(latency_ms)
        self.arrivals += result.is_key
        self.cuts += result.is_cut
        if is_known(result):
            self.age[result.distance] += 1
        else:
            self.unknown += 1

    def to_json(self, plan: RatePlan) -> dict[str, Any]:
        return {
            "frames": self.due,
            "dropped_frames": self.dropped,
            "in_time": plan.in_time(self.latency_ms, self.due),
            "unknown_frames": self.unknown,
            "latency_ms": percentiles(self.latency_ms),
            "arrivals": self.arrivals,
            "age_frames": percentiles([float(n) for n in self.age.elements()]) if self.age else None,
        }


@dataclass(frozen=True)
class NetworkRuns:
    """Runs of the network in milliseconds: `ms` those during the measurement, `alone_ms` one with nothing else to do;
    on `threads` threads of its own (0: not known)."""

    ms: list[float]
    alone_ms: float
    threads: int = 0

    def to_json(self) -> dict[str, Any]:
        return {
            "network_runs": len(self.ms),
            "network_ms": percentiles(self.ms) if self.ms else None,
            "network_alone_ms": self.alone_ms,
        }


@dataclass(frozen=True)
class RealTimeReport(MethodReport):
    """The outcome of the frames that came at the plan's rate, and the time of the network."""

    plan: RatePlan
    frames: Labelled
    network: NetworkRuns

    @property
    def in_time(self) -> float:
        """Share of the frames that came, 0..1, whose labels were there before the next frame came."""
        return self.plan.in_time(self.frames.latency_ms, self.frames.due)

    def figures(self) -> dict[str, Any]:
        return {
            "network_threads": self.network.threads,
            "rate": self.plan.rate,
            "seconds": self.plan.seconds,
            **self.frames.to_json(self.plan),
            "scene_cuts": self.frames.cuts,
            "work_ms": percentiles(self.frames.work_ms),
            **self.network.to_json(),
        }

    def figure_tables(self) -> list[TextTable]:
        title = f"{self.header.title}: {self.frames.due} frames, {self.plan.rate:g} per second"
        named = {"labels after (ms)": "latency_ms", "of it work on the frame (ms)": "work_ms"}
        named |= {"a run of the network (ms)": "network_ms", "age of labels (frames)": "age_frames"}
        figures = self.figures()
        rows = [[name, *_cells(figures[key])] for name, key in named.items() if figures[key] is not None]
        return [TextTable(title, ["", "median", "p95", "p99", "at most"], rows)]

    def remarks(self) -> list[str]:
        frames, network = self.frames, self.network
        return [
            f"{count(frames.dropped, 'frame')} dropped, {100 * self.in_time:.2f}% labelled before the next came; "
            f"the network ran on {len(network.ms)} of {frames.due} frames, alone it takes {network.alone_ms:.0f} ms "
            f"({count(self.header.threads or 1, 'thread')}, {network.threads} for the network); "
            f"no labels yet on {frames.unknown}" + (f"; {frames.cuts} taken for scene cuts" if frames.cuts else "")
        ]


class Watched:
    """A segmenter whose runs are timed."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter, self.labels = segmenter, segmenter.labels
        self.runs_ms: list[float] = []

    def __call__(self, rgb: Rgb) -> NDArray[np.float32]:
        began = time.perf_counter()
        try:
            return self._segmenter(rgb)
        finally:
            self.runs_ms.append((time.perf_counter() - began) * 1e3)

    def describe(self) -> dict[str, Any]:
        return self._segmenter.describe()


def bench_real_time(
    segmenter: Segmenter, *, settings: Settings, name: str, plan: RatePlan, progress: Progress | None = None
) -> RealTimeReport:
    """Frames of the plan's clip that come at the plan's rate, waited for or not.

    Of those that came while others were labelled the newest is taken and the rest dropped, as in `run --live`; in the
    bidirectional mode those of half a period are kept. The engine has seen two frames before. Raises SettingError for
    stored scores or flow.
    """
    refuse_stored(segmenter, {name: settings})
    backend, clip, network = Processor(plan.threads), plan.frames(), Watched(segmenter)
    engine = build_engine(network, settings, backend=backend, live=True)
    alone_ms = _warm_up(engine, clip, network)
    frames = _play(engine, clip, plan, progress)
    return RealTimeReport(
        Header.of(segmenter, method_of(engine, name=name), plan=plan, threads=backend.rows.threads),
        plan=plan,
        frames=frames,
        network=NetworkRuns(
            list(network.runs_ms), alone_ms, threads=int(getattr(getattr(segmenter, "runtime", None), "threads", 0))
        ),
    )


def _warm_up(engine: Engine, clip: list[Rgb], network: Watched) -> float:
    """What a run of the network takes when nothing else is to do, in milliseconds."""
    for i in range(WARM_UP_FRAMES):
        engine.push(to_and_fro(clip, i))
    engine.finish()
    engine.warm_up((clip[0].shape[0], clip[0].shape[1]))  # after which the network runs alone
    alone_ms = network.runs_ms[-1]
    network.runs_ms.clear()
    return alone_ms


def _play(engine: Engine, clip: list[Rgb], plan: RatePlan, progress: Progress | None) -> Labelled:
    frames, due, rate, most = Labelled(plan.due), plan.due, plan.rate, frames_buffered(engine)
    taken: list[int] = []
    start, i = time.perf_counter(), 0
    while i < due:
        wait = start + i / rate - time.perf_counter()
        if wait > 0:
            time.sleep(wait)
        began = time.perf_counter()
        newest = min(due - 1, int((began - start) * rate))
        i = max(i, newest - most + 1)  # the oldest that is still there
        engine.select(i)
        taken.append(i)
        results = engine.push(to_and_fro(clip, i))
        frames.work_ms.append((time.perf_counter() - began) * 1e3)
        _note(frames, results, taken, start, rate)
        i += 1
        if progress is not None:
            progress(i, due)
    _note(frames, engine.finish(), taken, start, rate)
    return frames


def _note(frames: Labelled, results: Sequence[Result], taken: Sequence[int], start: float, rate: float) -> None:
    """Results that are there now, of frames that came `taken[index]` frames after the start."""
    for result in results:
        frames.note(result, (time.perf_counter() - start - taken[result.index] / rate) * 1e3)


def is_known(result: Result) -> bool:
    """Whether there are labels yet: with asynchronous key frames all are 255 until the first scores arrive."""
    return bool((result.labels[:: max(1, result.labels.shape[0] // 16), ::64] != IGNORE).any())


def _cells(values: dict[str, float]) -> list[str]:
    return [f"{values[key]:.1f}" for key in ("p50", "p95", "p99", "most")]
