"""Whether one network keeps the rate of several cameras, and how long after a frame came its labels are there."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from segtween.bench import Progress, moving_clip, to_and_fro, versions
from segtween.bench.real_time import WARM_UP_FRAMES, Watched, check_pace, is_known
from segtween.build import Processor, build_engine, build_streams
from segtween.build import method as method_of
from segtween.engine.multistream import Streams
from segtween.errors import SegtweenError
from segtween.interfaces import Segmenter
from segtween.metrics.timing import percentiles
from segtween.settings import Settings
from segtween.texttable import TextTable
from segtween.texttable import count as counted
from segtween.types import Method, Result, Rgb, SizeHW, format_size


@dataclass
class Camera:
    """What became of one camera's `due` frames: `latency_ms` of those that were labelled, from when each came;
    `age` how many of its own frames old their scores were; `unknown` how many had no labels yet."""

    due: int
    latency_ms: array[float] = field(default_factory=lambda: array("d"))
    age: Counter[int] = field(default_factory=Counter)
    unknown: int = 0
    arrivals: int = 0

    def note(self, result: Result, latency_ms: float) -> None:
        self.latency_ms.append(latency_ms)
        self.arrivals += result.is_key
        if is_known(result):
            self.age[result.distance] += 1
        else:
            self.unknown += 1

    def to_json(self, rate: float) -> dict[str, Any]:
        """`in_time`: share of the frames that came, 0..1, whose labels were there before the next one came."""
        return {
            "frames": self.due,
            "dropped_frames": self.due - len(self.latency_ms),
            "in_time": sum(ms <= 1e3 / rate for ms in self.latency_ms) / self.due,
            "unknown_frames": self.unknown,
            "latency_ms": percentiles(self.latency_ms),
            "arrivals": self.arrivals,
            "age_frames": percentiles([float(n) for n in self.age.elements()]) if self.age else None,
        }


@dataclass(frozen=True)
class PacedStreamsReport:
    """The outcome. `alone_ms` is a run of the network with nothing beside it, `network_ms` those beside the frames."""

    method: Method
    network: dict[str, Any]
    size_hw: SizeHW
    scale: float
    threads: int
    rate: float
    seconds: float
    cameras: Sequence[Camera]
    network_ms: list[float]
    alone_ms: float
    network_runs_per_tick: dict[str, Any]
    versions: dict[str, str]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method.to_json(),
            "size_hw": list(self.size_hw),
            "scale": self.scale,
            "model": self.network.get("name", "callable"),
            "runtime": self.network.get("runtime", "python"),
            "precision": self.network.get("precision", "unknown"),
            "threads": self.threads,
            "versions": self.versions,
            "notes": self.notes,
            "rate": self.rate,
            "seconds": self.seconds,
            "streams": [camera.to_json(self.rate) for camera in self.cameras],
            "all": self._all().to_json(self.rate),
            "network_runs": len(self.network_ms),
            "network_ms": percentiles(self.network_ms) if self.network_ms else None,
            "network_alone_ms": self.alone_ms,
            "network_runs_per_tick": self.network_runs_per_tick,
        }

    def tables(self) -> list[TextTable | str]:
        """Every camera and all of them, and what has to be known to read it."""
        record = self.to_json()
        title = (
            f"{counted(len(self.cameras), 'camera')} of {format_size(self.size_hw)} (width x height), {self.rate:g} "
            f"frames per second each for {self.seconds:g} s, {record['model']} at scale {self.scale:g}, "
            f"{record['runtime']} in {record['precision']}"
        )
        columns = [
            "camera",
            "frames",
            "dropped",
            "labelled before the next came",
            "half (ms)",
            "95%",
            "99%",
            "the most",
        ]
        columns += ["age of labels, half (frames)", "the most"]
        named = [(f"{i}", camera) for i, camera in enumerate(record["streams"])]
        rows = [_row(name, camera) for name, camera in [*named, ("all", record["all"])]]
        ran = record["network_ms"]
        remarks = [
            f"the network ran {counted(len(self.network_ms), 'time')}, "
            + ("" if ran is None else f"half of the runs took up to {ran['p50']:.0f} ms, ")
            + f"alone it takes {self.alone_ms:.0f} ms ({counted(self.threads, 'thread')}); no labels yet on "
            f"{record['all']['unknown_frames']} frames",
            f"method {self.method.name} {self.method.hash}",
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            *self.notes,
        ]
        return [TextTable(title, columns, rows), "\n".join(remarks)]

    def _all(self) -> Camera:
        everyone = Camera(sum(camera.due for camera in self.cameras))
        for camera in self.cameras:
            everyone.latency_ms.extend(camera.latency_ms)
            everyone.age.update(camera.age)
            everyone.unknown += camera.unknown
            everyone.arrivals += camera.arrivals
        return everyone


def keep_pace_together(
    segmenter: Segmenter,
    *,
    settings: Settings,
    name: str,
    size_hw: SizeHW,
    count: int,
    rate: float,
    seconds: float,
    threads: int = 0,
    progress: Progress | None = None,
) -> PacedStreamsReport:
    """`count` cameras, each a moving textured clip whose frames come at `rate` per second for `seconds`, evenly one
    after the other, waited for or not.

    Of a camera's frames that came while others were labelled the newest is taken, as in `run --live`. Raises
    SettingError for sizes below 64x64, a rate that is not above 0 (and at most 1000), less than one frame in all, and
    what `build_streams` refuses.
    """
    due = check_pace(segmenter, settings=settings, name=name, size_hw=size_hw, rate=rate, seconds=seconds)
    network = Watched(segmenter)
    engine = build_engine(network, settings, backend=Processor(threads))
    streams = build_streams(engine, settings, count)
    clips = [moving_clip(size_hw, seed=seed) for seed in range(count)]
    alone_ms = _warm_up(streams, clips, network)
    cameras = [Camera(due) for _ in clips]
    _play(streams, clips, cameras, rate=rate, progress=progress)
    return PacedStreamsReport(
        method=method_of(engine, name=name),
        network=network.describe(),
        size_hw=size_hw,
        scale=float(getattr(segmenter, "scale", 1.0)),
        threads=engine.ops.rows.threads,  # type: ignore[attr-defined]
        rate=rate,
        seconds=seconds,
        cameras=cameras,
        network_ms=list(network.runs_ms),
        alone_ms=alone_ms,
        network_runs_per_tick=streams.runs(),
        versions=versions(),
        notes=list(getattr(segmenter, "notes", [])),
    )


def _warm_up(streams: Streams, clips: Sequence[Sequence[Rgb]], network: Watched) -> float:
    """What a run of the network takes when nothing else is to do, in milliseconds."""
    for i in range(WARM_UP_FRAMES):
        streams.step([to_and_fro(clip, i) for clip in clips])
    for _ in range(2):  # a network in a thread of its own is through with the frames after the first
        streams.engines[0].segment(clips[0][0])
    streams.reset()
    streams.runs_per_tick.clear()
    streams.planned_per_tick.clear()
    alone_ms = network.runs_ms[-1]
    network.runs_ms.clear()
    return alone_ms


def _play(
    streams: Streams,
    clips: Sequence[Sequence[Rgb]],
    cameras: Sequence[Camera],
    *,
    rate: float,
    progress: Progress | None,
) -> None:
    """Each camera's frame i comes (i + its share of a frame) / rate seconds after the beginning."""
    count, start, waiting = len(clips), time.perf_counter(), [0] * len(clips)

    def comes(camera: int, i: int) -> float:
        return start + (i + camera / count) / rate

    while any(i < camera.due for i, camera in zip(waiting, cameras, strict=True)):
        now = time.perf_counter()
        newest = [min(cam.due - 1, int((now - comes(k, 0)) * rate // 1)) for k, cam in enumerate(cameras)]
        new = {k: i for k, i in enumerate(newest) if i >= waiting[k]}
        if not new:
            time.sleep(max(0.0, min(comes(k, i) for k, i in enumerate(waiting) if i < cameras[k].due) - now))
            continue
        for camera, said in streams.each({k: (to_and_fro(clips[k], i), None) for k, i in new.items()}):
            if isinstance(said, SegtweenError):
                raise said
            cameras[camera].note(said, (time.perf_counter() - comes(camera, new[camera])) * 1e3)
            waiting[camera] = new[camera] + 1
        if progress is not None:
            progress(sum(waiting), sum(camera.due for camera in cameras))


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
