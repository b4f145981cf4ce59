"""Whether one network keeps up with several cameras, and the latency from a frame's arrival to its labels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segtween.bench.clip import to_and_fro
from segtween.bench.plan import RatePlan, refuse_stored
from segtween.bench.real_time import WARM_UP_FRAMES, Labelled, NetworkRuns, Watched
from segtween.bench.report import Header, MethodReport
from segtween.build import Processor, build_streams
from segtween.build import method as method_of
from segtween.engine.frames import frames_buffered
from segtween.engine.multistream import Arrival, MultiStream
from segtween.errors import SegtweenError
from segtween.interfaces import Segmenter
from segtween.settings import Settings
from segtween.texttable import TextTable
from segtween.texttable import count as counted
from segtween.types import Progress, Result, Rgb

COLUMNS = ["camera", "frames", "dropped", "labelled before the next came", "median (ms)", "p95", "p99", "at most"]
COLUMNS += ["age of labels, median (frames)", "at most"]


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


def bench_real_time_streams(
    segmenter: Segmenter,
    *,
    settings: Settings,
    name: str,
    count: int,
    plan: RatePlan,
    progress: Progress | None = None,
) -> RealTimeStreamsReport:
    """`count` cameras, each a part of the plan's clip whose frames come at its rate, evenly one after the other, waited
    for or not.

    Of a camera's frames that came while others were labelled the newest is taken, as in `run --live`; in the
    bidirectional mode those of half a period are kept. Raises SettingError for stored scores or flow, and what
    `build_streams` refuses.
    """
    refuse_stored(segmenter, {name: settings})
    network = Watched(segmenter)
    backend = Processor(plan.threads)
    streams = build_streams(network, settings, count, backend=backend)
    clips = [plan.frames(part) for part in range(count)]
    alone_ms = _warm_up(streams, clips, network)
    cameras = [Labelled(plan.due) for _ in clips]
    _play(streams, clips, cameras, rate=plan.rate, progress=progress)
    return RealTimeStreamsReport(
        Header.of(segmenter, method_of(streams.engines[0], name=name), plan=plan, threads=backend.rows.threads),
        plan=plan,
        cameras=cameras,
        network=NetworkRuns(list(network.runs_ms), alone_ms),
        network_runs_per_tick=streams.runs(),
    )


def _warm_up(streams: MultiStream, clips: Sequence[Sequence[Rgb]], network: Watched) -> float:
    """What a run of the network takes when nothing else is to do, in milliseconds."""
    for i in range(WARM_UP_FRAMES):
        streams.push([to_and_fro(clip, i) for clip in clips])
    streams.finish()
    streams.engines[0].warm_up((clips[0][0].shape[0], clips[0][0].shape[1]))  # after which the network runs alone
    streams.reset()
    streams.forget_runs()
    alone_ms = network.runs_ms[-1]
    network.runs_ms.clear()
    return alone_ms


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
            note(camera, outcome)
        if progress is not None:
            progress(sum(waiting), sum(camera.due for camera in cameras))
    for camera, results in enumerate(streams.finish()):
        note(camera, results)


def _row(name: str, camera: dict[str, Any]) -> list[str]:
    latency, age = camera["latency_ms"], camera["age_frames"]
    return [
        name,
        f"{camera['frames']}",
        f"{camera['dropped_frames']}",
        f"{100 * camera['in_time']:.1f}%",
        *(f"{latency[key]:.1f}" for key in ("p50", "p95", "p99", "most")),
        *("-" if age is None else f"{age[key]:.0f}" for key in ("p50", "most")),
    ]
