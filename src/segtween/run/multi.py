"""Several inputs at once, each from its first frame to its last output file, with one network.

In each tick one frame of every input is labelled (live: of those that have a new one), in the main thread. Every input
is read in a thread of its own, a few frames ahead, and written in another, a few behind. One that fails or ends is
closed while the others go on.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

from segtween.engine.multistream import Arrival, MultiStream
from segtween.errors import SegtweenError, SettingError, SinkError, SourceError
from segtween.interfaces import Engine, Sink, Source
from segtween.metrics.steadiness import SteadinessMeter
from segtween.ops.threads import available_threads
from segtween.run.ending import close_outputs, write_json, write_summary
from segtween.run.pipeline import LatestFrame, Prefetcher
from segtween.run.single import (
    PREFETCHED,
    THREADS,
    Away,
    Moving,
    Summary,
    arriving,
    decode_ms,
    prefetched,
    warm_up,
)
from segtween.types import Frame, Method, Progress, Result
from segtween.video.interrupt import Interrupts


class Opened(NamedTuple):
    """An input that can be read, and where its results go."""

    source: Source
    sink: Sink
    meter: SteadinessMeter | None


@dataclass(frozen=True)
class Input:
    """One of the inputs: its name, the folder of its outputs, and how it is opened.

    `open` may raise SourceError or SinkError, which ends this input alone, and others, which end all."""

    name: str
    folder: Path
    open: Callable[[], Opened]


@dataclass
class Outcome:
    """What became of one input. `summary` is None where it could not be opened, `error` None where all went well."""

    name: str
    folder: Path
    summary: Summary | None = None
    error: SegtweenError | None = None


@dataclass
class Together:
    """What was done with all inputs. `runs` is `Streams.runs`: how many network runs fell in one tick."""

    method: Method
    interval: int | None
    live: bool
    outcomes: list[Outcome]
    runs: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    processor_seconds: float = 0.0

    @property
    def summaries(self) -> list[Summary]:
        return [outcome.summary for outcome in self.outcomes if outcome.summary is not None]

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.error is not None]

    @property
    def frames(self) -> int:
        return sum(summary.frames for summary in self.summaries)

    @property
    def network_runs(self) -> int:
        return sum(summary.network_runs for summary in self.summaries)

    @property
    def fps(self) -> float:
        """Labelled frames of all inputs per second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def busy(self) -> float:
        """Share, 0..1, of what the processors that the process may use could have done."""
        return self.processor_seconds / (self.seconds * available_threads()) if self.seconds > 0 else 0.0

    def limited_by(self) -> str | None:
        """The longest stage of the thread that had most to do: the one that labels for all, or one that reads or writes
        for one of them."""
        stages = PREFETCHED if any(summary.prefetched for summary in self.summaries) else THREADS
        threads = [
            {stage: sum(sum(s.stages_ms.get(stage, ())) for s in self.summaries) for stage in stages["labelling"]},
            *(
                {stage: sum(summary.stages_ms.get(stage, ())) for stage in stages[kind]}
                for summary in self.summaries
                for kind in ("reading", "writing")
            ),
        ]
        busiest = max(threads, key=lambda stages: sum(stages.values()))
        return max(busiest, key=busiest.__getitem__) if self.frames else None

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method.to_json(),
            "interval": self.interval,
            "live": self.live,
            "totals": {
                "streams": len(self.outcomes),
                "frames": self.frames,
                "network_runs": self.network_runs,
                "network_runs_per_tick": self.runs,
                "seconds": round(self.seconds, 3),
                "frames_per_second": round(self.fps, 2),
                "processors": available_threads(),
                "processors_busy": round(self.busy, 4),
            },
            "limited_by": self.limited_by(),
            "streams": [_outcome_json(outcome) for outcome in self.outcomes],
        }


def run_together(
    streams: MultiStream,
    inputs: Sequence[Input],
    folder: str | Path,
    *,
    method: Method,
    interval: int | None,
    saved: Sequence[str],
    live: bool = False,
    progress: Progress | None = None,
) -> Together:
    """Every frame of every input through its own of `streams`; `together.json` is written in `folder`, `run.json` in
    that of each.

    Without `live` a tick waits for the next frame of each input that has not ended. With it, it takes the newest of
    those that have one; what came meanwhile is dropped and counted. What ends one input early, be it a camera that is
    gone, a full disk or scores that are not finite, stands in its outcome; what was labelled until then is kept. After
    Ctrl-C so it is with all of them.
    """
    if len(inputs) != len(streams):
        raise SettingError(
            f"{len(inputs)} inputs for {len(streams)} streams", expected="one for each", do="give as many"
        )
    run = _Run(streams, [Outcome(item.name, item.folder) for item in inputs], live, progress)
    told = Together(method, interval, live, run.outcomes)
    began, used = time.perf_counter(), time.process_time()
    interrupts = Interrupts()
    ended: BaseException | None = None
    try:
        run.open(inputs, lambda opened, where: Summary(opened.source.info, where, method, interval, tuple(saved)))
        run.warm_up()
        began, used = time.perf_counter(), time.process_time()
        run.start()
        run.all()
    except BaseException as error:
        ended = error
        run.stop(error)
    with interrupts.held():  # nobody may touch a sink before its threads are through
        ended = run.join() or ended
    told.seconds, told.processor_seconds = time.perf_counter() - began, time.process_time() - used
    told.runs = streams.runs()
    if told.frames:
        try:
            write_json(told.to_json(), Path(folder) / "together.json")
        except SinkError as error:
            ended = ended or error
    if ended is not None:
        raise ended
    interrupts.raise_if_asked()
    return told


class _Lane:
    """One input on its way."""

    def __init__(self, opened: Opened, outcome: Outcome, summary: Summary) -> None:
        self.source, self._sink, self._meter = opened
        self.outcome, self.summary = outcome, summary
        self.crash: BaseException | None = None
        self._closing: threading.Thread | None = None

    def start(self, engine: Engine, *, came: Callable[[], None] | None, progress: Progress | None) -> None:
        """Begins to read: live, if `came` is to be called."""
        self._began = time.perf_counter()
        self.summary.prefetched = engine.prefetches and came is None
        self._frames: LatestFrame[Moving] | Prefetcher[Moving] = (
            prefetched(engine, self.source) if came is None else arriving(self.source, came=came)
        )
        self._items: Iterator[tuple[Moving, float]] = iter(self._frames)
        self._waiting = deque[tuple[Frame, float]]()
        self._away = Away(self._sink, self.summary, self._meter, progress)

    def take(self) -> Arrival | None:
        """The next frame; live, None where there is no new one. StopIteration at the end."""
        taken = self._frames.poll() if isinstance(self._frames, LatestFrame) else next(self._items)
        if taken is None:
            return None
        (frame, motion), read_ms = taken
        self._waiting.append((frame, decode_ms(read_ms, motion)))
        return Arrival(frame.rgb, float(frame.pts_seconds), motion)

    def put(self, results: Sequence[Result]) -> None:
        """The results of the frames that have waited longest."""
        for result in results:
            if isinstance(self._frames, LatestFrame):
                self.summary.latency_ms.append((time.perf_counter() - self._frames.arrived) * 1e3)
            frame, ms = self._waiting.popleft()
            self._away.put(frame, result, {"decode": ms})

    def end(self, error: BaseException | None) -> None:
        """Closes input and outputs in a thread of its own: writing what remains may take a while."""
        self._closing = threading.Thread(target=self._close, args=(error,), name="segtween-closing")
        self._closing.start()

    def join(self) -> None:
        if self._closing is not None:
            self._closing.join()

    def _close(self, error: BaseException | None) -> None:
        summary, given = self.summary, error
        try:
            self._frames.stop()
            self._away.finish()
            self._away.check()
        except SegtweenError as other:
            error = error or other
        except BaseException as fault:
            error = fault
        error = close_outputs(self._sink, error)
        summary.dropped = self._frames.dropped if isinstance(self._frames, LatestFrame) else 0
        summary.seconds = time.perf_counter() - self._began
        summary.steadiness = None if self._meter is None else self._meter.compute()
        error = write_summary(summary, self._sink.report, error)
        if isinstance(error, SegtweenError):
            self.outcome.error = error
        elif error is not given:
            self.crash = error

    def discard(self, error: BaseException) -> None:
        """Closes an input of which nothing was read."""
        self.summary.error = str(error) or "stopped by the user"
        self.source.close()
        self._sink.abort()

    @property
    def is_open(self) -> bool:
        return self._closing is None

    @property
    def has_begun(self) -> bool:
        return hasattr(self, "_away")


class _Run:
    """All inputs on their way, by the number of their stream."""

    def __init__(self, streams: MultiStream, outcomes: list[Outcome], live: bool, progress: Progress | None) -> None:
        self.outcomes = outcomes
        self._streams, self._live, self._progress = streams, live, progress
        self._lanes: dict[int, _Lane] = {}
        self._bell = SimpleQueue[None]()
        self._done = 0

    def open(self, inputs: Sequence[Input], summary: Callable[[Opened, Path], Summary]) -> None:
        for stream, (item, outcome) in enumerate(zip(inputs, self.outcomes, strict=True)):
            try:
                opened = item.open()
            except (SourceError, SinkError) as error:
                outcome.error = error
                continue
            outcome.summary = summary(opened, item.folder)
            self._lanes[stream] = _Lane(opened, outcome, outcome.summary)

    def warm_up(self) -> None:
        """Live, each engine has seen pictures of its size before the first frame comes."""
        if self._live:
            for stream, lane in self._lanes.items():
                warm_up(self._streams.engines[stream], lane.source)

    def start(self) -> None:
        self._streams.reset()
        counts = [lane.summary.input.n_frames for lane in self._lanes.values()]
        total = None if None in counts else sum(n for n in counts if n is not None)

        def note(_: int, __: int | None) -> None:
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, total)

        came = (lambda: self._bell.put(None)) if self._live else None
        for stream, lane in self._lanes.items():
            lane.start(self._streams.engines[stream], came=came, progress=note)

    def all(self) -> None:
        while any(lane.is_open for lane in self._lanes.values()):
            if self._live:
                self._bell.get()
            for stream, outcome in self._streams.each(self._taken()):
                if isinstance(outcome, SegtweenError):
                    self._end(stream, outcome)
                    continue
                try:
                    self._lanes[stream].put(outcome)
                except SegtweenError as error:
                    self._end(stream, error)

    def stop(self, error: BaseException) -> None:
        """Ends what has not ended."""
        for lane in self._lanes.values():
            if not lane.has_begun:
                lane.discard(error)
            elif lane.is_open:
                lane.end(error)

    def join(self) -> BaseException | None:
        """Waits until all are closed; a fault of the program that came up meanwhile."""
        for lane in self._lanes.values():
            lane.join()
        return next((lane.crash for lane in self._lanes.values() if lane.crash is not None), None)

    def _taken(self) -> dict[int, Arrival]:
        frames: dict[int, Arrival] = {}
        for stream, lane in self._lanes.items():
            if not lane.is_open:
                continue
            try:
                taken = lane.take()
            except StopIteration:
                self._finish(stream)
            except SegtweenError as error:
                self._end(stream, error)
            else:
                if taken is not None:
                    frames[stream] = taken
        return frames

    def _finish(self, stream: int) -> None:
        """The results of frames that still wait, at the end of an input."""
        try:
            self._lanes[stream].put(self._streams.engines[stream].finish())
        except SegtweenError as error:
            self._end(stream, error)
        else:
            self._end(stream, None)

    def _end(self, stream: int, error: SegtweenError | None) -> None:
        self._lanes[stream].end(error)
        self._streams.reset(stream)


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    summary = outcome.summary
    return {
        "name": outcome.name,
        "folder": str(outcome.folder),
        "frames": 0 if summary is None else summary.frames,
        "network_runs": 0 if summary is None else summary.network_runs,
        "frames_per_second": None if summary is None else round(summary.fps, 2),
        **({"live": summary.live()} if summary is not None and summary.latency_ms else {}),
        "error": None if outcome.error is None else str(outcome.error),
    }
