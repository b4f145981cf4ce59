"""Whether a method keeps up with a camera, or one network with several, and the latency from a frame's arrival to its
labels."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.bench.plan import RatePlan, refuse_stored, to_and_fro
from segtween.bench.report import Header, MethodReport
from segtween.build import Processor, build_engine, build_streams
from segtween.build import method as method_of
from segtween.engine.frames import frames_buffered
from segtween.engine.multistream import Arrival, MultiStream
from segtween.errors import SegtweenError
from segtween.interfaces import Segmenter
from segtween.metrics.timing import percentiles
from segtween.settings import Settings
from segtween.texttable import TextTable
from segtween.texttable import count as counted
from segtween.types import IGNORE, Progress, Result, Rgb, size_of

WARM_UP_FRAMES = 2
SHOWN = ("p50", "p95", "p99", "most")
COLUMNS = ["camera", "frames", "dropped", "labelled before the next came", "median (ms)", "p95", "p99", "at most"]
COLUMNS += ["age of labels, median (frames)", "at most"]


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
        known = {name: figures[key] for name, key in named.items() if figures[key] is not None}
        rows = [[name, *(f"{values[key]:.1f}" for key in SHOWN)] for name, values in known.items()]
        return [TextTable(title, ["", "median", "p95", "p99", "at most"], rows)]

    def remarks(self) -> list[str]:
        frames, network = self.frames, self.network
        return [
            f"{counted(frames.dropped, 'frame')} dropped, {100 * self.in_time:.2f}% labelled before the next came; "
            f"the network ran on {len(network.ms)} of {frames.due} frames, alone it takes {network.alone_ms:.0f} ms "
            f"({counted(self.header.threads or 1, 'thread')}, {network.threads} for the network); "
            f"no labels yet on {frames.unknown}" + (f"; {frames.cuts} taken for scene cuts" if frames.cuts else "")
        ]


@dataclass(frozen=True)
class RealTimeStreamsReport(MethodReport):
    """The outcome of each camera's frames, and the time of the network that they share."""

    plan: RatePlan
    cameras: Sequence[Labelled]
    network: NetworkRuns
    network_runs_per_tick: dict[str, Any]

    def figures(self) -> dict[str, Any]:
        return {
            "rate": self.plan.rate,
            "seconds": self.plan.seconds,
            "streams": [camera.to_json(self.plan) for camera in self.cameras],
            "all": self._all().to_json(self.plan),
            **self.network.to_json(),
            "network_runs_per_tick": self.network_runs_per_tick,
        }

    def figure_tables(self) -> list[TextTable]:
        header, plan, figures = self.header, self.plan, self.figures()
        title = (
            f"{counted(len(self.cameras), 'camera')} of {header.frames}, {plan.rate:g} frames per second each for "
            f"{plan.seconds:g} s, {header.model} at scale {header.scale:g}, {header.runtime}"
        )
        named = [(f"{i}", camera) for i, camera in enumerate(figures["streams"])]
        return [TextTable(title, COLUMNS, [_row(name, camera) for name, camera in [*named, ("all", figures["all"])]])]

    def remarks(self) -> list[str]:
        runs = self.network.to_json()["network_ms"]
        return [
            f"the network ran {counted(len(self.network.ms), 'time')}, "
            + ("" if runs is None else f"a run took {runs['p50']:.0f} ms (median), ")
            + f"alone it takes {self.network.alone_ms:.0f} ms ({counted(self.header.threads or 1, 'thread')}); "
            f"no labels yet on {self._all().unknown} frames"
        ]

    def _all(self) -> Labelled:
        total = Labelled(sum(camera.due for camera in self.cameras))
        for camera in self.cameras:
            total.latency_ms.extend(camera.latency_ms)
            total.age.update(camera.age)
            total.unknown += camera.unknown
            total.arrivals += camera.arrivals
        return total


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
    backend, network = Processor(plan.threads), Watched(segmenter)
    streams = MultiStream([build_engine(network, settings, backend=backend, live=True)])
    (frames,), runs = _measure(streams, network, plan, progress)
    return RealTimeReport(
        Header.of(segmenter, method_of(streams.engines[0], name=name), plan=plan, threads=backend.rows.threads),
        plan=plan,
        frames=frames,
        network=replace(runs, threads=int(getattr(getattr(segmenter, "runtime", None), "threads", 0))),
    )


def bench_real_time_streams(
    segmenter: Segmenter,
    *,
    settings: Settings,
    name: str,
    count: int,
    plan: RatePlan,
    progress: Progress | None = None,
) -> RealTimeStreamsReport:
    """`bench_real_time` for `count` cameras, each a part of the plan's clip whose frames come at its rate, evenly one
    after the other. Raises what that raises, and what `build_streams` refuses."""
    refuse_stored(segmenter, {name: settings})
    backend, network = Processor(plan.threads), Watched(segmenter)
    streams = build_streams(network, settings, count, backend=backend)
    cameras, runs = _measure(streams, network, plan, progress)
    return RealTimeStreamsReport(
        Header.of(segmenter, method_of(streams.engines[0], name=name), plan=plan, threads=backend.rows.threads),
        plan=plan,
        cameras=cameras,
        network=runs,
        network_runs_per_tick=streams.runs(),
    )


def _measure(
    streams: MultiStream, network: Watched, plan: RatePlan, progress: Progress | None
) -> tuple[list[Labelled], NetworkRuns]:
    """What comes of each camera's frames, after some that warm up the engines."""
    clips = [plan.frames(part) for part in range(len(streams))]
    for i in range(WARM_UP_FRAMES):
        streams.push([to_and_fro(clip, i) for clip in clips])
    streams.finish()
    streams.engines[0].warm_up(size_of(clips[0][0]))  # after which the network runs alone
    streams.reset()
    streams.forget_runs()
    alone_ms = network.runs_ms[-1]
    network.runs_ms.clear()
    cameras = [Labelled(plan.due) for _ in clips]
    _play(streams, clips, cameras, rate=plan.rate, progress=progress)
    return cameras, NetworkRuns(list(network.runs_ms), alone_ms)


def _play(
    streams: MultiStream,
    clips: Sequence[Sequence[Rgb]],
    cameras: Sequence[Labelled],
    *,
    rate: float,
    progress: Progress | None,
) -> None:
    """Each camera's frame i comes (i + its share of a frame) / rate seconds after the beginning."""
    count, start, waiting = len(clips), time.perf_counter(), [0] * len(clips)
    most = frames_buffered(streams.engines[0])
    taken: list[list[int]] = [[] for _ in clips]

    def arrival(camera: int, i: int) -> float:
        return start + (i + camera / count) / rate

    def note(camera: int, results: Sequence[Result]) -> None:
        for result in results:
            came = arrival(camera, taken[camera][result.index])
            cameras[camera].note(result, (time.perf_counter() - came) * 1e3)

    while any(i < camera.due for i, camera in zip(waiting, cameras, strict=True)):
        now = time.perf_counter()
        newest = [min(cam.due - 1, int((now - arrival(k, 0)) * rate // 1)) for k, cam in enumerate(cameras)]
        new = {k: max(waiting[k], i - most + 1) for k, i in enumerate(newest) if i >= waiting[k]}
        if not new:
            time.sleep(max(0.0, min(arrival(k, i) for k, i in enumerate(waiting) if i < cameras[k].due) - now))
            continue
        for camera, i in new.items():
            streams.engines[camera].select(i)
            taken[camera].append(i)
            waiting[camera] = i + 1
        for camera, outcome in streams.each({k: Arrival(to_and_fro(clips[k], i)) for k, i in new.items()}):
            if isinstance(outcome, SegtweenError):
                raise outcome
            cameras[camera].work_ms.append((time.perf_counter() - now) * 1e3)
            note(camera, outcome)
            now = time.perf_counter()
        if progress is not None:
            progress(sum(waiting), sum(camera.due for camera in cameras))
    for camera, results in enumerate(streams.finish()):
        note(camera, results)


def is_known(result: Result) -> bool:
    """Whether there are labels yet: with asynchronous key frames all are 255 until the first scores arrive."""
    return bool((result.labels[:: max(1, result.labels.shape[0] // 16), ::64] != IGNORE).any())


def _row(name: str, camera: dict[str, Any]) -> list[str]:
    latency, age = camera["latency_ms"], camera["age_frames"]
    return [
        name,
        f"{camera['frames']}",
        f"{camera['dropped_frames']}",
        f"{100 * camera['in_time']:.1f}%",
        *(f"{latency[key]:.1f}" for key in SHOWN),
        *("-" if age is None else f"{age[key]:.0f}" for key in ("p50", "most")),
    ]
