"""Several streams, one network: engines that take turns with it.

    a tick          at most one frame of each stream, labelled one after the other
    key frames      fall in different ticks (`segtween.schedule.staggered`), so that no tick waits for many networks
    late keys       one thread runs the network for all streams, a key frame at a time (`segtween.engine.delayed`)

Every stream has a history of its own and may have a size of its own. Its labels are those of an engine alone whose key
frames fall on the same frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from segtween.engine import Engine
from segtween.errors import SegtweenError, SettingError
from segtween.types import Frame, Result, Rgb

if TYPE_CHECKING:
    from segtween.schedule.staggered import StaggeredSchedule

Item = Frame | Rgb


class Streams:
    """Labels for the frames of several streams, numbered from 0.

    `engines` hold one network and each their own history; `turns`, whose schedules they then have, staggers their key
    frames (None: each engine decides for itself). `segtween.build.build_streams` puts them together.
    """

    def __init__(self, engines: Sequence[Engine], *, turns: StaggeredSchedule | None) -> None:
        self.engines, self.turns = tuple(engines), turns
        self.runs_per_tick, self.planned_per_tick = Counter[int](), Counter[int]()
        """Of how many ticks so many network runs began in each; and without those for first frames and cuts."""

    def __len__(self) -> int:
        return len(self.engines)

    def reset(self, stream: int | None = None) -> None:
        """Forgets one stream, or all: the next frame is a key frame, with index 0. One that has ended no longer counts
        among those that take turns."""
        for engine in self.engines if stream is None else (self.engines[stream],):
            engine.reset()

    def step(
        self, frames: Sequence[Rgb | None], *, pts_seconds: Sequence[float | None] | None = None
    ) -> list[Result | None]:
        """The next frame of each stream, (H, W, 3) uint8 RGB or None where there is no new one, as a result or None.

        Raises SettingError for another number of frames than streams. What `Engine.step` raises is raised with the
        number of its stream, after the others were labelled.
        """
        if len(frames) != len(self):
            raise SettingError(
                f"{len(frames)} frames for {len(self)} streams",
                expected="one for each, None where there is no new one",
                do="give as many as there are streams",
            )
        times = [None] * len(self) if pts_seconds is None else pts_seconds
        results: list[Result | None] = [None] * len(self)
        failed: tuple[int, SegtweenError] | None = None
        for stream, said in self.each(
            {i: (rgb, times[i]) for i, rgb in enumerate(frames) if rgb is not None},
        ):
            if isinstance(said, Result):
                results[stream] = said
            else:
                failed = failed or (stream, said)
        if failed is not None:
            raise _of_stream(*failed)
        return results

    def each(self, frames: Mapping[int, tuple[Rgb, float | None]]) -> Iterator[tuple[int, Result | SegtweenError]]:
        """One tick: frames by stream, each with its time in seconds or None. Results as they are made, in the order in
        which they are best made; an error in place of one ends nothing. To be used up before the next tick."""
        if not frames:
            return
        order = list(frames) if self.turns is None else self.turns.begin(set(frames))
        before, forced, runs = 0 if self.turns is None else self.turns.runs, 0, 0
        for stream in order:
            rgb, pts_seconds = frames[stream]
            try:
                result = self.engines[stream].step(rgb, pts_seconds=pts_seconds)
            except SegtweenError as error:
                yield stream, error
                continue
            if result.index == 0 or result.is_cut:
                forced += 1
                if self.turns is not None:
                    self.turns.ran(stream)
            runs += result.is_key
            yield stream, result
        runs = runs if self.turns is None else self.turns.runs - before
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
        ways: list[Iterator[Item]] = [iter(source) for source in sources]
        while True:
            items = [next(way, None) for way in ways]
            if all(item is None for item in items):
                return
            for stream, item in enumerate(items):
                if item is None:
                    self.reset(stream)
            yield self.step([_rgb(item) for item in items], pts_seconds=[_seconds(item) for item in items])

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
