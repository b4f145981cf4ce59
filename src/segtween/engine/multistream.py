"""Several streams, one network: engines whose key frames are staggered.

    a tick          at most one frame of each stream, labelled one after the other
    key frames      fall in different ticks (`schedule.staggered`), so that no tick waits for many networks
    asynchronous    one thread runs the network for all streams, a key frame at a time (`engine.delayed`)

Every stream has a history of its own and may have a size of its own. Its labels are those of an engine alone whose key
frames fall on the same frames.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from segtween.engine.bidirectional import BidirectionalEngine
from segtween.errors import SegtweenError, SettingError
from segtween.interfaces import Engine
from segtween.texttable import count
from segtween.types import Frame, Motion, Result, Rgb

if TYPE_CHECKING:
    from segtween.schedule.staggered import StaggeredSchedule

Item = Frame | Rgb


class Arrival(NamedTuple):
    """A new frame of a stream: (H, W, 3) uint8 RGB, its time, and its motion where that is known already."""

    rgb: Rgb
    pts_seconds: float | None = None
    motion: Motion | None = None


class MultiStream:
    """Labels for the frames of several streams, numbered from 0.

    `engines` hold one network and each their own history; `staggered`, whose schedules they then have, staggers their
    key frames (None: each engine decides for itself). `segtween.build.build_streams` assembles them.
    """

    def __init__(self, engines: Sequence[Engine], *, staggered: StaggeredSchedule | None = None) -> None:
        self.engines, self.staggered = tuple(engines), staggered
        self.runs_per_tick, self.planned_per_tick = Counter[int](), Counter[int]()
        """How many ticks began how many network runs; and the same without runs for first frames and cuts."""

    def __len__(self) -> int:
        return len(self.engines)

    def reset(self, stream: int | None = None) -> None:
        """Forgets one stream, or all: the next frame is a key frame, with index 0. One that has ended no longer counts
        among those that are staggered."""
        for engine in self.engines if stream is None else (self.engines[stream],):
            engine.reset()

    def forget_runs(self) -> None:
        """Counts network runs from here on."""
        self.runs_per_tick.clear()
        self.planned_per_tick.clear()

    def step(
        self, frames: Sequence[Rgb | None], *, pts_seconds: Sequence[float | None] | None = None
    ) -> list[Result | None]:
        """The next frame of each stream, (H, W, 3) uint8 RGB or None where there is no new one, as a result or None.

        Raises SettingError for another number of frames than streams, and where results come late. What the engine
        raises is raised with the number of its stream, after the others were labelled.
        """
        if not all(engine.is_causal for engine in self.engines):
            raise SettingError(
                "one step of bidirectional propagation",
                expected="a mode that gives each frame's labels at once",
                do="use push() and finish(), or a causal mode",
            )
        return [results[0] if results else None for results in self.push(frames, pts_seconds=pts_seconds)]

    def push(
        self, frames: Sequence[Rgb | None], *, pts_seconds: Sequence[float | None] | None = None
    ) -> list[list[Result]]:
        """The next frame of each stream as for `step`; for each stream the results that its frame completes, in order:
        none or several where results come late. Raises what `step` raises, the latter apart."""
        if len(frames) != len(self):
            raise SettingError(
                f"{count(len(frames), 'frame')} for {count(len(self), 'stream')}",
                expected="one for each, None where there is no new one",
                do="give as many as there are streams",
            )
        times = [None] * len(self) if pts_seconds is None else pts_seconds
        results: list[list[Result]] = [[] for _ in self.engines]
        failed: tuple[int, SegtweenError] | None = None
        arrivals = {i: Arrival(rgb, times[i]) for i, rgb in enumerate(frames) if rgb is not None}
        for stream, outcome in self.each(arrivals):
            if isinstance(outcome, SegtweenError):
                failed = failed or (stream, outcome)
            else:
                results[stream] = outcome
        if failed is not None:
            raise _of_stream(*failed)
        return results

    def finish(self, stream: int | None = None) -> list[list[Result]]:
        """What is still to come of one stream, or of all, after its last frame; it begins anew afterwards."""
        ended = range(len(self)) if stream is None else (stream,)
        done = [engine.finish() if i in ended else [] for i, engine in enumerate(self.engines)]
        for i in ended:
            self.reset(i)
        return done

    def each(self, arrivals: Mapping[int, Arrival]) -> Iterator[tuple[int, list[Result] | SegtweenError]]:
        """One tick: frames by stream. The results that each completes, as they are made, in the order in which they are
        best made; an error in place of them ends nothing. To be used up before the next tick."""
        if not arrivals:
            return
        staggered = self.staggered
        order = list(arrivals) if staggered is None else staggered.begin(set(arrivals))
        before, forced, runs = 0 if staggered is None else staggered.runs, 0, 0
        for stream in order:
            rgb, pts_seconds, motion = arrivals[stream]
            try:
                results = self.engines[stream].push(rgb, pts_seconds=pts_seconds, motion=motion)
            except SegtweenError as error:
                yield stream, error
                continue
            if self._begins_scene(stream, results):
                forced += 1
                if staggered is not None:
                    staggered.ran(stream)
            runs += sum(result.is_key for result in results)
            yield stream, results
        runs = runs if staggered is None else staggered.runs - before
        self.runs_per_tick[runs] += 1
        self.planned_per_tick[runs - forced] += 1

    def stream(self, *sources: Iterable[Frame] | Iterable[Rgb]) -> Iterator[list[Result | None]]:
        """One list of results for one frame of each source, None for those that have ended; starts afresh, ends with
        the last of them."""
        if len(sources) != len(self):
            raise SettingError(
                f"{len(sources)} sources for {len(self)} streams", expected="one for each", do="give as many"
            )
        self.reset()
        readers: list[Iterator[Item]] = [iter(source) for source in sources]
        open_, done = set(range(len(self))), [deque[Result]() for _ in self.engines]
        while open_ or any(done):
            items = [next(reader, None) if stream in open_ else None for stream, reader in enumerate(readers)]
            for stream in [stream for stream in open_ if items[stream] is None]:
                open_.remove(stream)
                done[stream].extend(self.finish(stream)[stream])
            for engine, item in zip(self.engines, items, strict=True):
                if isinstance(item, Frame):
                    engine.select(item)
            found = self.push([_rgb(item) for item in items], pts_seconds=[_seconds(item) for item in items])
            for stream, results in enumerate(found):
                done[stream].extend(results)
            while any(done) and all(results or stream not in open_ for stream, results in enumerate(done)):
                yield [results.popleft() if results else None for results in done]

    def _begins_scene(self, stream: int, results: Sequence[Result]) -> bool:
        """Whether the frame that was just pushed is a stream's first, or the first after a cut."""
        engine = self.engines[stream]
        if isinstance(engine, BidirectionalEngine):
            return engine.begins_scene
        return any(result.index == 0 or result.is_cut for result in results)

    def runs(self) -> dict[str, Any]:
        """Network runs per tick so far: the mean, the most, and the most without first frames and scene cuts."""
        ticks = self.runs_per_tick.total()
        return {
            "ticks": ticks,
            "mean": sum(n * times for n, times in self.runs_per_tick.items()) / ticks if ticks else 0.0,
            "most": max(self.runs_per_tick, default=0),
            "most_planned": max(self.planned_per_tick, default=0),
        }


def _rgb(item: Item | None) -> Rgb | None:
    return item.rgb if isinstance(item, Frame) else item


def _seconds(item: Item | None) -> float | None:
    return float(item.pts_seconds) if isinstance(item, Frame) else None


def _of_stream(stream: int, error: SegtweenError) -> SegtweenError:
    """The same error, of a kind that is made of three parts, with the stream's number."""
    made = SegtweenError.__new__(type(error))
    SegtweenError.__init__(made, f"stream {stream}: {error.got}", expected=error.expected, do=error.do)
    made.__cause__ = error
    return made
