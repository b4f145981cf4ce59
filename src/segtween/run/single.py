"""One input, from its first frame to its last output file."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segtween.engine.clock import Clock
from segtween.errors import SettingError
from segtween.interfaces import Engine, Sink, Source
from segtween.metrics.steadiness import SteadinessMeter
from segtween.metrics.timing import percentiles
from segtween.ops.threads import available_threads
from segtween.run.comparison import Beside
from segtween.run.ending import close_outputs, write_json, write_summary
from segtween.run.pipeline import AsyncWriter, LatestFrame, Prefetcher
from segtween.types import Frame, Method, Motion, OutputReport, Progress, Result, SourceInfo, format_size
from segtween.video.interrupt import Interrupts
from segtween.video.pace import AtItsRate

__all__ = ["Progress", "Summary", "run_source", "write_json"]

THREADS = {
    "reading": ("decode",),
    "labelling": ("prepare", "flow", "propagate", "segment", "refine", "label", "beside"),
    "writing": ("encode", "report"),
}
"""The stages of each of the threads that work beside each other."""
PREFETCHED = {**THREADS, "reading": ("decode", "prepare", "flow"), "labelling": THREADS["labelling"][2:]}
"""The same where motion is estimated as frames are read (`engine.motion.MotionEstimator.ahead`)."""

STAGES = ("decode", "prepare", "flow", "propagate", "segment", "refine", "label", "encode", "report", "beside")
FRAMES_AHEAD, FRAMES_BEHIND = 8, 8


@dataclass
class Summary:
    """What was done with one input. `interval` is None where the schedule is adaptive; `error` is the line that ended
    it early, None if it came to its end. `steadiness` is what `metrics.SteadinessMeter` says, None without report;
    `beside` likewise of another method beside this one, and of both (`beside.Beside.to_json`). Live: `dropped` frames
    came and were not labelled; `latency_ms` is, of each other frame, the time from when it came to its labels.
    `outputs` says what became of each file, and what was left out of them.
    `prefetched` says that motion was estimated where frames are read.
    `processor_seconds` is what all threads of the process used of the processors meanwhile, 0 if nobody looked."""

    input: SourceInfo
    folder: Path
    method: Method
    interval: int | None
    saved: tuple[str, ...]
    frames: int = 0
    network_runs: int = 0
    cuts: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    stages_ms: dict[str, list[float]] = field(default_factory=dict)
    steadiness: dict[str, Any] | None = None
    beside: dict[str, Any] | None = None
    dropped: int = 0
    latency_ms: list[float] = field(default_factory=list)
    prefetched: bool = False
    outputs: OutputReport = field(default_factory=OutputReport)
    error: str | None = None

    @property
    def fps(self) -> float:
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def busy(self) -> float | None:
        """How much of the time, 0..1, the processors that the process may use were at work for it."""
        if self.processor_seconds == 0 or self.seconds == 0:
            return None
        return self.processor_seconds / (self.seconds * available_threads())

    def stage_medians_ms(self) -> dict[str, float]:
        """Median of each stage over the frames in which it ran."""
        return {s: float(np.median(self.stages_ms[s])) for s in STAGES if s in self.stages_ms}

    def stage_shares(self) -> dict[str, float]:
        """Share of each stage in the work, 0..1: in the sum of all stages, which run beside each other."""
        total = sum(sum(v) for v in self.stages_ms.values()) or 1.0
        return {s: sum(self.stages_ms[s]) / total for s in STAGES if s in self.stages_ms}

    def limited_by(self) -> str | None:
        """The longest stage of the thread that had most to do: what to make faster first."""
        busy = {stage: sum(values) for stage, values in self.stages_ms.items()}
        threads = PREFETCHED if self.prefetched else THREADS
        busiest = max(threads.values(), key=lambda stages: sum(busy.get(stage, 0.0) for stage in stages))
        return max((stage for stage in busiest if stage in busy), key=busy.__getitem__, default=None)

    def to_json(self) -> dict[str, Any]:
        rate = self.input.frame_rate
        shares = self.stage_shares()
        return {
            "method": self.method.to_json(),
            "interval": self.interval,
            "input": {
                "name": self.input.name,
                "path": self.input.path,
                "size": format_size(self.input.size_hw),
                "frame_rate": str(rate) if rate is not None else None,
                "n_frames": self.input.n_frames,
            },
            "saved": list(self.saved),
            "outputs": self.outputs.to_json(),
            "notes": list(self.outputs.notes),
            "totals": {
                "frames": self.frames,
                "network_runs": self.network_runs,
                "network_runs_per_100_frames": 100 * self.network_runs / self.frames if self.frames else None,
                "scene_cuts": self.cuts,
                "seconds": round(self.seconds, 3),
                "frames_per_second": round(self.fps, 2),
                "processors": available_threads(),
                "processors_busy": None if self.busy is None else round(self.busy, 4),
            },
            "stages_ms": {
                s: {"median": round(v, 3), "runs": len(self.stages_ms[s]), "share": round(shares[s], 4)}
                for s, v in self.stage_medians_ms().items()
            },
            "limited_by": self.limited_by(),
            "steadiness": self.steadiness,
            **({} if self.beside is None else {"beside": self.beside}),
            **({"live": self.live()} if self.latency_ms else {}),
            "error": self.error,
        }

    def live(self) -> dict[str, Any]:
        """How well the source's rate was kept: frames dropped, and percentiles of the latency."""
        return {"dropped_frames": self.dropped, "latency_ms": percentiles(self.latency_ms)}


def run_source(
    engine: Engine,
    source: Source,
    sink: Sink,
    folder: str | Path,
    *,
    method: Method,
    interval: int | None,
    saved: Sequence[str],
    meter: SteadinessMeter | None = None,
    beside: Beside | None = None,
    live: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Every frame of `source` through `engine` into `sink`; `run.json` is written beside the outputs.

    A `meter` looks at every result too, which takes time of its own (stage `report`); so does another method `beside`
    this one, before the frame goes into the sink.
    Frames are read in a thread of their own, a few ahead, and written in another, a few behind. `live`: none ahead;
    each frame comes at its time, and those that come while others are labelled are dropped, but for the last.
    Whatever ends it early, what was done by then is kept: after a SegtweenError the outputs are closed
    with the frames so far and the error is raised again; after Ctrl-C likewise. An output that fails is closed alone,
    the others go on; SinkError says it at the end.
    """
    summary = Summary(source.info, Path(folder), method, interval, tuple(saved))
    began, used = time.perf_counter(), time.process_time()
    error: BaseException | None = None
    try:
        if live:
            warm_up(engine, source)
            began, used = time.perf_counter(), time.process_time()
        _frames(engine, source, sink, summary, meter, beside, live, progress)
    except BaseException as raised:
        error = raised
    error = close_outputs(sink, error)
    summary.seconds, summary.processor_seconds = time.perf_counter() - began, time.process_time() - used
    summary.steadiness = None if meter is None else meter.compute()
    summary.beside = None if beside is None else beside.to_json()
    error = write_summary(summary, sink.report, error)
    if error is not None:
        raise error
    return summary


def _frames(
    engine: Engine,
    source: Source,
    sink: Sink,
    summary: Summary,
    meter: SteadinessMeter | None,
    beside: Beside | None,
    live: bool,
    progress: Progress | None,
) -> None:
    interrupts = Interrupts()
    engine.reset()
    summary.prefetched = engine.prefetches and not live
    ahead = arriving(source) if live else prefetched(engine, source)
    away = Away(sink, summary, meter, progress)
    try:
        if beside is not None:
            beside.reset()
        for frame, result, decode_ms in _results(engine, ahead):
            clock = Clock()
            if isinstance(ahead, LatestFrame):
                summary.latency_ms.append((time.perf_counter() - ahead.arrived) * 1e3)
            if beside is not None:
                with clock("beside"):
                    beside.update(frame, result)
            away.put(frame, result, {"decode": decode_ms, **clock.stages_ms})
    finally:
        with interrupts.held():  # nobody may touch the sink before its thread is through
            ahead.stop()
            away.finish()
        if isinstance(ahead, LatestFrame):
            summary.dropped = ahead.dropped
    away.check()
    interrupts.raise_if_asked()


class Away:
    """Labelled frames of one input on their way into its outputs, in a thread of their own, a few behind.

    The summary holds what has got there. After an error what follows is dropped; `put` and `check` raise it, once.
    """

    def __init__(self, sink: Sink, summary: Summary, meter: SteadinessMeter | None, progress: Progress | None) -> None:
        self._sink, self._summary, self._meter, self._progress = sink, summary, meter, progress
        self._behind = AsyncWriter(self._work, most=FRAMES_BEHIND)

    def put(self, frame: Frame, result: Result, times: dict[str, float]) -> None:
        """Waits where there is no room. `times` are those of stages that the result does not know."""
        self._behind.put((frame, result, {**times, **result.stages_ms}))
        self._note()

    def finish(self) -> None:
        """Waits until all is where it belongs."""
        self._behind.finish()
        self._note()

    def check(self) -> None:
        self._behind.check()

    def _work(self, item: tuple[Frame, Result, dict[str, float]]) -> tuple[Result, dict[str, float]]:
        frame, result, times = item
        clock = Clock()
        with clock("encode"):
            self._sink.write(frame, result)
        if self._meter is not None:
            with clock("report"):
                self._meter.update(frame.rgb, result.labels, is_key=result.is_key, is_cut=result.is_cut)
        return result, {**times, **clock.stages_ms}

    def _note(self) -> None:
        summary, before = self._summary, self._summary.frames
        for result, times in self._behind.done():
            for stage, ms in times.items():
                summary.stages_ms.setdefault(stage, []).append(ms)
            summary.frames += 1
            summary.network_runs += result.is_key
            summary.cuts += result.is_cut
        if self._progress is not None:
            for count in range(before + 1, summary.frames + 1):
                self._progress(count, summary.input.n_frames)


Moving = tuple[Frame, "Motion | None"]
"""A frame, and its motion where it was estimated ahead."""


def prefetched(engine: Engine, source: Source) -> Prefetcher[Moving]:
    """The frames of a source a few ahead, with their motion where the engine lets the reading thread estimate it."""
    ahead: Iterator[Moving]
    if engine.prefetches and engine.motion is not None:
        ahead = engine.motion.ahead(source)
    else:
        ahead = ((frame, None) for frame in source)
    return Prefetcher(ahead, most=FRAMES_AHEAD, close=source.close)


def warm_up(engine: Engine, source: Source) -> None:
    """Shows the engine two frames of the source's size before the source begins: what is compiled, is compiled then.

    Raises SettingError for an engine whose results come late.
    """
    if not engine.is_causal:
        source.close()
        raise SettingError(
            "bidirectional propagation live",
            expected="a mode that gives each frame's labels at once",
            do="leave one of them out",
        )
    engine.warm_up(source.info.size_hw)


def arriving(source: Source, *, came: Callable[[], None] = lambda: None) -> LatestFrame[Moving]:
    """The newest frame of a source that comes at its rate; `came` is called whenever there is one."""
    frames = ((frame, None) for frame in AtItsRate(source))
    return LatestFrame(frames, close=source.close, came=came)


def _results(engine: Engine, frames: Iterable[tuple[Moving, float]]) -> Iterator[tuple[Frame, Result, float]]:
    """Every frame with its result and the milliseconds that it took to decode."""
    waiting = deque[tuple[Frame, float]]()
    try:
        for (frame, motion), read_ms in frames:
            waiting.append((frame, decode_ms(read_ms, motion)))
            engine.select(frame.index)
            done = engine.push(frame.rgb, pts_seconds=float(frame.pts_seconds), motion=motion)
            yield from _with_frames(waiting, done)
    except GeneratorExit:
        raise
    except BaseException:  # frames that still wait for a key frame are done too: they are read from the earlier one
        yield from _with_frames(waiting, engine.finish())
        raise
    yield from _with_frames(waiting, engine.finish())


def decode_ms(read_ms: float, motion: Motion | None) -> float:
    """Of the time that a frame took to be read, that without its motion."""
    return read_ms if motion is None else read_ms - sum(motion.stages_ms.values())


def _with_frames(
    waiting: deque[tuple[Frame, float]], results: Sequence[Result]
) -> Iterator[tuple[Frame, Result, float]]:
    for result in results:
        frame, ms = waiting.popleft()
        yield frame, result, ms
