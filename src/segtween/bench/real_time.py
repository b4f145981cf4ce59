"""Whether a method keeps a camera's rate, and how long after a frame came its labels are there."""

from __future__ import annotations

import time
from array import array
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.bench import LEAST_SIDE, Progress, moving_clip, refuse_stored, to_and_fro, versions
from segtween.build import build_engine
from segtween.build import method as method_of
from segtween.engine import Engine
from segtween.errors import SettingError
from segtween.interfaces import Segmenter
from segtween.labels import LabelSet
from segtween.metrics.timing import percentiles
from segtween.ops.cpu import CpuOps
from segtween.settings import Settings
from segtween.texttable import TextTable, count
from segtween.types import IGNORE, Method, Result, Rgb, SizeHW, format_size

WARM_UP_FRAMES = 2
MOST_RATE = 1000.0


@dataclass(frozen=True)
class PacedReport:
    """The outcome. `due` frames came in `seconds`; `latency_ms` is from when a frame came to its labels, of the
    frames that were labelled; `age` how many frames old their scores were; `unknown` how many had no labels yet;
    `alone_ms` is a run of the network with nothing beside it, `network_ms` those beside the frames."""

    method: Method
    network: dict[str, Any]
    size_hw: SizeHW
    scale: float
    threads: int
    network_threads: int
    rate: float
    seconds: float
    due: int
    dropped: int
    unknown: int
    cuts: int
    latency_ms: array[float]
    work_ms: array[float]
    network_ms: list[float]
    alone_ms: float
    arrivals: int
    age: Counter[int]
    versions: dict[str, str]
    notes: list[str]

    @property
    def in_time(self) -> float:
        """Share of the frames that came, 0..1, whose labels were there before the next frame came."""
        return sum(ms <= 1e3 / self.rate for ms in self.latency_ms) / self.due

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method.to_json(),
            "size_hw": list(self.size_hw),
            "scale": self.scale,
            "model": self.network.get("name", "callable"),
            "runtime": self.network.get("runtime", "python"),
            "precision": self.network.get("precision", "unknown"),
            "threads": self.threads,
            "network_threads": self.network_threads,
            "versions": self.versions,
            "notes": self.notes,
            "rate": self.rate,
            "seconds": self.seconds,
            "frames": self.due,
            "dropped_frames": self.dropped,
            "in_time": self.in_time,
            "unknown_frames": self.unknown,
            "scene_cuts": self.cuts,
            "latency_ms": percentiles(self.latency_ms),
            "work_ms": percentiles(self.work_ms),
            "network_runs": len(self.network_ms),
            "network_ms": percentiles(self.network_ms) if self.network_ms else None,
            "network_alone_ms": self.alone_ms,
            "arrivals": self.arrivals,
            "age_frames": percentiles([float(n) for n in self.age.elements()]) if self.age else None,
        }

    def tables(self) -> list[TextTable | str]:
        """How long frames and network runs took, and what has to be known to read it."""
        record = self.to_json()
        title = (
            f"{record['model']} on frames of {format_size(self.size_hw)} (width x height), scale {self.scale:g}, "
            f"{record['runtime']} in {record['precision']}: {self.due} frames, {self.rate:g} per second"
        )
        told = [("labels after (ms)", "latency_ms"), ("of it work on the frame (ms)", "work_ms")]
        told += [("a run of the network (ms)", "network_ms"), ("age of labels (frames)", "age_frames")]
        rows = [[name, *_figures(record[key])] for name, key in told if record[key] is not None]
        return [
            TextTable(title, ["", "half of them", "95%", "99%", "the most"], rows),
            f"{count(self.dropped, 'frame')} dropped, {100 * self.in_time:.2f}% labelled before the next came; "
            f"the network ran on {len(self.network_ms)} of {self.due} frames, alone it takes {self.alone_ms:.0f} ms "
            f"({count(self.threads, 'thread')}, {self.network_threads} for the network); "
            f"no labels yet on {self.unknown}" + (f"; {self.cuts} taken for scene cuts" if self.cuts else ""),
            f"method {self.method.name} {self.method.hash}",
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            *self.notes,
        ]


class Watched:
    """A segmenter whose runs are timed."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter = segmenter
        self.runs_ms: list[float] = []

    @property
    def labels(self) -> LabelSet:
        return self._segmenter.labels

    def __call__(self, rgb: Rgb) -> NDArray[np.float32]:
        began = time.perf_counter()
        try:
            return self._segmenter(rgb)
        finally:
            self.runs_ms.append((time.perf_counter() - began) * 1e3)

    def describe(self) -> dict[str, Any]:
        return self._segmenter.describe()


def check_pace(
    segmenter: Segmenter, *, settings: Settings, name: str, size_hw: SizeHW, rate: float, seconds: float
) -> int:
    """How many frames come; SettingError for what `keep_pace` says."""
    due = round(rate * seconds) if rate > 0 else 0
    if not 0 < rate <= MOST_RATE or due < 1 or min(size_hw) < LEAST_SIDE:
        raise SettingError(
            f"{rate:g} frames per second for {seconds:g} s, of {format_size(size_hw)}",
            expected=f"a rate of up to {MOST_RATE:g}, 1 frame or more, of at least {LEAST_SIDE}x{LEAST_SIDE}",
            do="correct --rate, --seconds or --size",
        )
    if settings.offline:
        raise SettingError("a rate and the offline mode", expected="a mode that labels at once", do="leave one out")
    refuse_stored(segmenter, {name: settings})
    return due


def keep_pace(
    segmenter: Segmenter,
    *,
    settings: Settings,
    name: str,
    size_hw: SizeHW,
    rate: float,
    seconds: float,
    threads: int = 0,
    progress: Progress | None = None,
) -> PacedReport:
    """Frames of a moving textured clip that come at `rate` per second for `seconds`, waited for or not.

    Of those that came while others were labelled the newest is taken and the rest dropped, as in `run --live`. The
    engine has seen two frames before. Raises SettingError for sizes below 64x64, a rate that is not above 0 (and at
    most 1000), less than one frame in all, stored scores or flow, and the offline mode.
    """
    due = check_pace(segmenter, settings=settings, name=name, size_hw=size_hw, rate=rate, seconds=seconds)
    ops, clip, network = CpuOps(threads=threads), moving_clip(size_hw), Watched(segmenter)
    engine = build_engine(network, settings, backend=backend)
    for i in range(WARM_UP_FRAMES):
        engine.step(to_and_fro(clip, i))
    for _ in range(2):  # a network in a thread of its own is through with the frames after the first
        engine.segment(to_and_fro(clip, 0))
    engine.reset()
    alone_ms = network.runs_ms[-1]
    network.runs_ms.clear()
    run = _Run()
    run.all(engine, clip, rate=rate, due=due, progress=progress)
    return PacedReport(
        method=method_of(engine, name=name),
        network=network.describe(),
        size_hw=size_hw,
        scale=float(getattr(segmenter, "scale", 1.0)),
        threads=ops.rows.threads,
        network_threads=int(getattr(getattr(segmenter, "runtime", None), "threads", 0)),
        rate=rate,
        seconds=seconds,
        due=due,
        dropped=due - len(run.latency_ms),
        unknown=run.unknown,
        cuts=run.cuts,
        latency_ms=run.latency_ms,
        work_ms=run.work_ms,
        network_ms=list(network.runs_ms),
        alone_ms=alone_ms,
        arrivals=run.arrivals,
        age=run.age,
        versions=versions(),
        notes=list(getattr(segmenter, "notes", [])),
    )


class _Run:
    def __init__(self) -> None:
        self.latency_ms, self.work_ms = array("d"), array("d")
        self.age = Counter[int]()
        self.unknown = self.arrivals = self.cuts = 0

    def all(self, engine: Engine, clip: list[Rgb], *, rate: float, due: int, progress: Progress | None) -> None:
        start, i = time.perf_counter(), 0
        while i < due:
            wait = start + i / rate - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            began = time.perf_counter()
            i = max(i, min(due - 1, int((began - start) * rate)))  # the newest that has come
            result = engine.step(to_and_fro(clip, i))
            done = time.perf_counter()
            self.latency_ms.append((done - start - i / rate) * 1e3)
            self.work_ms.append((done - began) * 1e3)
            self._note(result)
            i += 1
            if progress is not None:
                progress(i, due)

    def _note(self, result: Result) -> None:
        known = is_known(result)
        self.unknown += not known
        self.arrivals += result.is_key
        self.cuts += result.is_cut
        if known:
            self.age[result.distance] += 1


def is_known(result: Result) -> bool:
    """Whether there are labels yet: `late` ones are 255 all over until the first scores are there."""
    return bool((result.labels[:: max(1, result.labels.shape[0] // 16), ::64] != IGNORE).any())


def _figures(values: dict[str, float]) -> list[str]:
    return [f"{values[key]:.1f}" for key in ("p50", "p95", "p99", "most")]
