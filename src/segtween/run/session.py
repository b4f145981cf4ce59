"""The one runner: one input or several, each from its first frame to its last output file, with one network.

In each tick one frame of every input is labelled (live: of those that have a new one), in the main thread. Every input
is read in a thread of its own, a few frames ahead, and written in another, a few behind. One that fails or ends is
closed while the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from segtween.engine.multistream import Arrival, MultiStream
from segtween.errors import SegtweenError, SettingError, SinkError, SourceError
from segtween.interfaces import Engine
from segtween.run.ending import write_json
from segtween.run.inputs import Job
from segtween.run.lane import Lane
from segtween.run.summary import Outcome, SessionSummary, Summary
from segtween.texttable import count
from segtween.types import Method, Progress, Result
from segtween.video.interrupt import Interrupts

SESSION = "session.json"
POLL_SECONDS = 0.02
"""How long a new frame is waited for, live, before it is checked whether late results are there."""


@dataclass(frozen=True)
class Labelling:
    """How inputs are labelled, and what is saved of them. `interval` is None where the schedule is adaptive. `live`:
    of each input only the newest frames count."""

    method: Method
    interval: int | None
    saved: tuple[str, ...] = ()
    live: bool = False


def run_one(engine: Engine, job: Job, how: Labelling, *, progress: Progress | None = None) -> Summary:
    """A session of one input, without `session.json`; raises what ended it early."""
    return run_session(MultiStream([engine]), [job], how, progress=progress).outcomes[0].result()


def run_session(
    streams: MultiStream,
    jobs: Sequence[Job],
    how: Labelling,
    *,
    folder: str | Path | None = None,
    progress: Progress | None = None,
) -> SessionSummary:
    """Every frame of every input through its own of `streams`; `run.json` is written in the folder of each input, and
    `session.json` in `folder`, if given.

    Without `live` a tick waits for the next frame of each input that has not ended. With it, it takes the newest of
    those that have one; what came meanwhile is dropped and counted. Where results come late, the newest frames of half
    a period may wait, and what is labelled is passed on as soon as the network is ready. What ends one input early, be
    it a camera that is gone, a full disk or scores that are not finite, stands in its outcome; what was labelled until
    then is kept, and frames that wait for a key frame are labelled without it. After Ctrl-C so it is with all of them.
    An output that fails is closed alone, the others of its input go on.
    """
    if len(jobs) != len(streams):
        raise SettingError(
            f"{count(len(jobs), 'input')} for {count(len(streams), 'stream')}",
            expected="one for each",
            do="give as many",
        )
    interrupts = Interrupts()
    session = _Session(streams, jobs, how, progress, interrupts)
    done = SessionSummary(how.method, how.interval, how.live, session.outcomes)
    ended: BaseException | None = None
    began, used = time.perf_counter(), time.process_time()
    try:
        session.open(jobs)
        began, used = time.perf_counter(), time.process_time()
        session.start()
        session.label()
    except BaseException as error:
        ended = error
        with interrupts.held():
            session.stop(error)
    with interrupts.held():  # nobody may touch a sink before its threads are through
        ended = session.join() or ended
    done.seconds, done.processor_seconds = time.perf_counter() - began, time.process_time() - used
    done.runs = streams.runs()
    try:
        if folder is not None and done.frames:
            write_json(done.to_json(), Path(folder) / SESSION)
    except SinkError as error:
        ended = ended or error
    if ended is not None:
        raise ended
    interrupts.raise_if_asked()
    return done


class _Session:
    """All inputs in progress, by the number of their stream."""

    def __init__(
        self,
        streams: MultiStream,
        jobs: Sequence[Job],
        how: Labelling,
        progress: Progress | None,
        interrupts: Interrupts,
    ) -> None:
        self.outcomes = [Outcome(job.name, job.folder) for job in jobs]
        self._streams, self._how, self._progress = streams, how, progress
        self._interrupts = interrupts
        self._lanes: dict[int, Lane] = {}
        self._bell = SimpleQueue[None]()
        self._total: int | None = None
        self._reported = 0
        self._objection: BaseException | None = None

    def open(self, jobs: Sequence[Job]) -> None:
        """Live, each engine has seen pictures of its input's size afterwards, before the first frame comes."""
        for stream, (job, outcome) in enumerate(zip(jobs, self.outcomes, strict=True)):
            try:
                opened = job.open()
            except (SourceError, SinkError) as error:
                outcome.error = error
                continue
            how, engine = self._how, self._streams.engines[stream]
            outcome.summary = Summary(opened.source.info, job.folder, how.method, how.interval, how.saved)
            self._lanes[stream] = Lane(
                opened, engine, outcome, outcome.summary, alone=len(jobs) == 1, passed_on=self._tell
            )
        if self._how.live:
            for stream, lane in self._lanes.items():
                self._streams.engines[stream].warm_up(lane.summary.input.size_hw)  # compiles what is to be compiled

    def start(self) -> None:
        self._streams.reset()
        counts = [lane.summary.input.n_frames for lane in self._lanes.values()]
        self._total = None if None in counts else sum(n for n in counts if n is not None)
        for lane in self._lanes.values():
            lane.start((lambda: self._bell.put(None)) if self._how.live else None)

    def label(self) -> None:
        """Tick by tick, to the end of the last input."""
        while any(lane.is_open for lane in self._lanes.values()):
            if self._how.live:
                self._wait()
            taken = self._taken()
            self._label(taken)
            if self._how.live:
                self._poll([stream for stream in self._lanes if stream not in taken])
            self._report()
            if self._objection is not None:
                raise self._objection

    def _label(self, taken: dict[int, Arrival]) -> None:
        """Nothing interrupts a frame between the network and the queue of the writing thread: the main thread may hold
        locks of the compiler then, on which other threads wait, and results would be missing."""
        outcomes = self._streams.each(taken)
        is_through = False
        while not is_through:
            with self._interrupts.held(second_raises=True):  # a network may hang
                stream, outcome = next(outcomes, (0, None))
                is_through = outcome is None
                if isinstance(outcome, SegtweenError):
                    self._end(stream, outcome)
                elif outcome is not None:
                    self._put(stream, outcome)
            self._interrupts.raise_if_asked()

    def _put(self, stream: int, results: list[Result]) -> None:
        try:
            self._lanes[stream].put(results)
        except SegtweenError as error:
            self._end(stream, error)

    def _wait(self) -> None:
        """Until there is something new to take; for a moment only where results come late and may be there now."""
        late = any(not engine.is_causal for engine in self._streams.engines)
        with suppress(Empty):
            self._bell.get(timeout=POLL_SECONDS if late else None)

    def _poll(self, streams: Sequence[int]) -> None:
        """Live, passes on what is ready of these inputs, which have no new frame."""
        for stream in streams:
            if self._lanes[stream].is_open:
                with self._interrupts.held():
                    try:
                        self._lanes[stream].poll()
                    except SegtweenError as error:
                        self._end(stream, error)

    def stop(self, error: BaseException) -> None:
        """Ends what has not ended. What is labelled, or can be without another frame, is written."""
        for stream, lane in self._lanes.items():
            if not lane.has_begun:
                lane.discard(error)
            elif lane.is_open:
                with suppress(Exception):  # the error at hand says what went wrong
                    lane.put(self._streams.engines[stream].finish())
                lane.end(error)

    def join(self) -> BaseException | None:
        """Waits until all are closed; a fault of the program that came up meanwhile."""
        for lane in self._lanes.values():
            lane.join()
        self._report()
        return next((lane.crash for lane in self._lanes.values() if lane.crash is not None), None)

    def _taken(self) -> dict[int, Arrival]:
        frames: dict[int, Arrival] = {}
        for stream, lane in self._lanes.items():
            if not lane.is_open:
                continue
            try:
                taken = lane.take()
            except StopIteration:
                self._end(stream, None)
            except SegtweenError as error:
                self._end(stream, error)
            else:
                if taken is not None:
                    frames[stream] = taken
        return frames

    def _end(self, stream: int, error: SegtweenError | None) -> None:
        """Closes an input. Frames that wait for a key frame are done too: they are read from the earlier one."""
        lane = self._lanes[stream]
        engine = self._streams.engines[stream]
        with self._interrupts.held():
            try:
                lane.put(engine.finish())
            except SegtweenError as other:
                error = error or other
                with suppress(SegtweenError):  # what can be had although some scores cannot
                    lane.put(engine.finish())
            lane.end(error)
            self._streams.reset(stream)

    def _report(self) -> None:
        """Progress counts the frames that are in the outputs."""
        frames = sum(lane.summary.frames for lane in self._lanes.values())
        while self._reported < frames:
            self._reported += 1
            if self._progress is not None:
                self._progress(self._reported, self._total)

    def _tell(self) -> None:
        """`_report` between the frames of a tick, all of which are passed on first: what the progress raises waits."""
        try:
            self._report()
        except BaseException as error:
            self._objection = self._objection or error
