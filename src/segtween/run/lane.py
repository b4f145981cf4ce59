"""One input from reading to closing: prefetched, labelled, written asynchronously."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from segtween.engine.bidirectional import BidirectionalEngine
from segtween.engine.clock import Clock
from segtween.engine.frames import frames_buffered
from segtween.engine.multistream import Arrival
from segtween.errors import SegtweenError
from segtween.interfaces import Engine, Source
from segtween.run.ending import close_outputs, ended, write_summary
from segtween.run.inputs import Opened
from segtween.run.pipeline import AsyncWriter, LatestFrame, Prefetcher
from segtween.run.summary import Outcome, Summary
from segtween.types import Frame, Motion, Result, SourceInfo
from segtween.video.pace import AtItsRate

FRAMES_AHEAD, FRAMES_BEHIND = 8, 8
USUAL_RATE = 25
LEAST_GAP_SECONDS = 0.2
"""Frames stay away, rather than being a little late, after a period of the input and at least this."""

Moving = tuple[Frame, "Motion | None"]
"""A frame, and its motion where it was estimated ahead."""


def read_ahead(engine: Engine, source: Source) -> Prefetcher[Moving]:
    """The frames of a source, prefetched, with their motion where the engine lets the reading thread estimate it."""
    ahead: Iterator[Moving]
    if engine.prefetches and engine.motion is not None:
        ahead = engine.motion.ahead(source)
    else:
        ahead = ((frame, None) for frame in source)
    return Prefetcher(ahead, most=FRAMES_AHEAD, close=source.close)


def read_latest(engine: Engine, source: Source, notify: Callable[[], None]) -> LatestFrame[Moving]:
    """The newest frames of a source that comes at its rate, as many as may wait for the engine; `notify` is called
    whenever there is one."""
    frames = ((frame, None) for frame in AtItsRate(source))
    return LatestFrame(frames, most=frames_buffered(engine), close=source.close, notify=notify)


class Arrivals:
    """When the frames of a live input came, in seconds of one clock, and whether they stay away."""

    def __init__(self, info: SourceInfo, *, period: int) -> None:
        self._nominal_seconds, self._period = 1 / float(info.frame_rate or USUAL_RATE), period
        self._first: float | None = None
        self._last = 0.0
        self._count = 0
        self._is_told = False

    def add(self, seconds: float) -> None:
        self._first = seconds if self._first is None else self._first
        self._last, self._count, self._is_told = seconds, self._count + 1, False

    def stay_away(self, now: float) -> bool:
        """Whether none has come for a period, at the nominal rate or at the one so far; once for each such gap."""
        if self._first is None or self._is_told:
            return False
        mean = (self._last - self._first) / max(1, self._count - 1)
        gap = self._period * max(mean, self._nominal_seconds)
        self._is_told = now - self._last > max(gap, LEAST_GAP_SECONDS)
        return self._is_told


class Lane:
    """An input with its engine, from its first frame to its last output file.

    `outcome` is its result, `crash` an unexpected error while it was closed. `alone`: all
    that the process does meanwhile is for this input. `passed_on` is called whenever a frame went to the outputs:
    those of a period come at once, and each may take as long as the network of a method to compare with.
    """

    def __init__(
        self,
        opened: Opened,
        engine: Engine,
        outcome: Outcome,
        summary: Summary,
        *,
        alone: bool,
        passed_on: Callable[[], None] = lambda: None,
    ) -> None:
        self.source, self.outcome, self.summary = opened.source, outcome, summary
        self.crash: BaseException | None = None
        self._sink, self._meter, self._comparison = opened.sink, opened.meter, opened.comparison
        self._recorder = opened.recorder
        self._engine, self._alone, self._passed_on = engine, alone, passed_on
        self._reader: Prefetcher[Moving] | LatestFrame[Moving] | None = None
        self._closing: threading.Thread | None = None

    @property
    def has_begun(self) -> bool:
        return self._reader is not None

    @property
    def is_open(self) -> bool:
        return self._closing is None

    def start(self, notify: Callable[[], None] | None) -> None:
        """Begins to read: live, if there is a `notify` to call."""
        self._began, self._used = time.perf_counter(), time.process_time()
        self._waiting = dict[int, tuple[Frame, float, float | None]]()
        self._taken = 0
        self._arrivals = Arrivals(self.source.info, period=self._engine.longest + 1)
        if self._comparison is not None:
            self._comparison.reset()
        self.summary.prefetched = self._engine.prefetches and notify is None
        self._writer = AsyncWriter(self._write, most=FRAMES_BEHIND)
        self._reader = (
            read_ahead(self._engine, self.source) if notify is None else read_latest(self._engine, self.source, notify)
        )

    def take(self) -> Arrival | None:
        """The next frame; live, None where there is no new one. StopIteration at the end."""
        assert self._reader is not None, "it has begun"
        taken = self._reader.take()
        if taken is None:
            return None
        (frame, motion), read_ms = taken
        decode_ms = read_ms if motion is None else read_ms - sum(motion.stages_ms.values())
        arrived = self._reader.arrived
        self._waiting[self._taken] = frame, decode_ms, arrived
        self._taken += 1
        if arrived is not None:
            self._arrivals.add(arrived)
        self._engine.select(frame if motion is None else frame.index)
        return Arrival(frame.rgb, float(frame.pts_seconds), motion)

    def poll(self) -> None:
        """Live, while no new frame is there: passes on what is ready of an engine whose results come late; where frames
        stay away, without the next key frame."""
        if isinstance(self._engine, BidirectionalEngine):
            self.put(self._engine.poll(ends_period=self._arrivals.stay_away(time.perf_counter())))

    def put(self, results: list[Result]) -> None:
        """Passes labelled frames on to the outputs. Raises, once, the error of the writing thread."""
        assert self._reader is not None, "it has begun"
        for result in results:
            frame, decode_ms, arrived = self._waiting.pop(result.index)
            if arrived is not None:
                self.summary.latency_ms.append((time.perf_counter() - arrived) * 1e3)
            clock = Clock()
            if self._comparison is not None:
                with clock("compare"):
                    self._comparison.update(frame, result)
            self._writer.put((frame, result, {"decode": decode_ms, **clock.stages_ms}))
            self._passed_on()

    def _write(self, item: tuple[Frame, Result, dict[str, float]]) -> None:
        frame, result, stages_ms = item
        clock = Clock()
        with clock("encode"):
            self._sink.write(frame, result)
        if self._meter is not None:
            with clock("report"):
                flicker = self._meter.update(frame.rgb, result.labels, is_key=result.is_key, is_cut=result.is_cut)
                if self._recorder is not None:
                    self._recorder.add(frame, result, flicker)
        self.summary.record(result, {**stages_ms, **result.stages_ms, **clock.stages_ms})

    def end(self, error: BaseException | None) -> None:
        """Closes input and outputs in a thread of its own: writing what remains may take a while."""
        self._closing = threading.Thread(target=self._close, args=(error,), name="segtween-closing")
        self._closing.start()

    def join(self) -> None:
        if self._closing is not None:
            self._closing.join()

    def discard(self, error: BaseException) -> None:
        """Closes an input of which nothing was read."""
        self.summary.error = str(error) or "stopped by the user"
        self.source.close()
        self._sink.abort()

    def _close(self, given: BaseException | None) -> None:
        assert self._reader is not None, "it has begun"
        error = ended(given, self._reader.stop, self._writer.finish, self._writer.check)
        error = close_outputs(self._sink, error)
        try:
            self._sum_up()
            error = write_summary(self.summary, self._sink.report, error)
        except BaseException as fault:  # raised in the main thread
            error = fault
        if isinstance(error, SegtweenError):
            self.outcome.error = error
        elif error is not given:
            self.crash = error

    def _sum_up(self) -> None:
        summary = self.summary
        summary.dropped = 0 if self._reader is None else self._reader.dropped
        summary.seconds = time.perf_counter() - self._began
        summary.processor_seconds = time.process_time() - self._used if self._alone else 0.0
        summary.consistency = None if self._meter is None else self._meter.compute()
        summary.comparison = None if self._comparison is None else self._comparison.to_json()
