"""Staggered key frames of several streams that share one network.

Time goes in ticks: at most one frame of each stream. A stream that has just had a key frame plans its next one for the
latest tick, at most interval + 1 frames on, that is not full: of n streams, at most ceil(n / (interval + 1)) have a key
frame in one tick. The first frames of streams that begin together are all key frames; their next ones are spread over
the interval that follows. A scene cut is a key frame of its own, and its stream plans anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from segtween.interfaces import Situation
from segtween.schedule.fixed import FixedInterval

SILENT = 4
"""In rounds: this many times as many ticks as there are streams."""


class StaggeredSchedule:
    """The plan of `count` streams at one interval; `schedules` holds one schedule for each, numbered from 0.

    least    frames from a key frame to the next one planned, at least: 1 to interval + 1 (scores that come late keep
             the network from running sooner). Where no tick in that range is free, the least busy one is taken
    is_free  whether the network can take a planned key frame at all, checked once per tick. If given, one
             planned key frame is let through per tick, that of the stream which has waited longest since its last; so
             the interval grows to what the network can do. A stream that has been silent for SILENT rounds is not
             waited for

    `begin` starts a tick; a schedule then decides about its stream's frame; `ran` records a key frame that no schedule
    decided about (a stream's first, one after a cut).
    """

    def __init__(self, interval: int, count: int, *, least: int = 1, is_free: Callable[[], bool] | None = None) -> None:
        FixedInterval(interval)
        self.interval, self.least = interval, least
        self.schedules = [StaggeredPhase(self, stream) for stream in range(count)]
        self.tick = self.runs = 0
        self._planned: list[int | None] = [None] * count
        self._ran, self._seen = [0] * count, [0] * count
        self._is_free, self._may = is_free, True

    def begin(self, present: set[int]) -> list[int]:
        """The next tick, with a frame of each of these streams; the order in which they are best labelled.

        Those whose key frame is due come last, so that no other waits for theirs. If `is_free` is given they come
        first, the one that has waited longest before the others.
        """
        self.tick += 1
        self._may = self._is_free is None or self._is_free()
        for stream, planned in enumerate(self._planned):
            if stream in present:
                self._seen[stream] = self.tick
            elif planned is not None:
                self._planned[stream] = planned + 1

        def due(stream: int) -> int:
            planned = self._planned[stream]
            return self.tick if planned is None else planned

        if self._is_free is None:
            return sorted(present, key=due, reverse=True)
        return sorted(present, key=self._ran.__getitem__)

    def is_due(self, stream: int) -> bool:
        """Whether the stream's frame of this tick is to be a key frame; if so, the next one is planned."""
        if not self._may or self._frames_to(stream) > 0:
            return False
        if self._is_free is not None:
            if any(self._goes_first(other, stream) for other in range(len(self._planned))):
                return False
            self._may = False
        self.ran(stream)
        return True

    def ran(self, stream: int) -> None:
        """The stream's frame of this tick is a key frame: plans the next one."""
        period = self.interval + 1
        is_first = self._planned[stream] is None
        self._planned[stream] = None
        busy = [planned - self.tick for planned in self._planned if planned is not None]
        room = -(-(len(busy) + 1) // period)
        candidates = range(period, self.least - 1, -1)
        wanted = period - stream * period // len(self.schedules) if is_first else period
        free = [steps for steps in candidates if busy.count(steps) < room]
        near = next((steps for steps in free if steps <= wanted), None)
        self._planned[stream] = self.tick + (near or max(free, default=min(candidates, key=busy.count)))
        self.runs += 1
        self._ran[stream] = self.runs

    def drop(self, stream: int) -> None:
        """The stream has ended, or begins anew."""
        self._planned[stream] = None

    def _frames_to(self, stream: int) -> int:
        """Frames of the stream until its next planned key frame; 0 or less: its next one, which may be in this tick."""
        planned = self._planned[stream]
        if planned is None:
            return 0
        return planned - self.tick - (self._seen[stream] < self.tick)

    def _goes_first(self, other: int, stream: int) -> bool:
        """Whether the network is kept free for another stream's next frame."""
        if self._planned[other] is None or self.tick - self._seen[other] > SILENT * len(self._planned):
            return False
        return self._ran[other] < self._ran[stream] and self._frames_to(other) <= 0


class StaggeredPhase:
    """One stream's schedule: the fixed interval, at most, with its phase chosen by `StaggeredSchedule`."""

    by_distance, by_time = False, False

    def __init__(self, shared: StaggeredSchedule, stream: int) -> None:
        self._shared, self._stream, self.longest = shared, stream, shared.interval

    def reset(self) -> None:
        self._shared.drop(self._stream)

    def is_key(self, situation: Situation) -> bool:  # noqa: ARG002
        return self._shared.is_due(self._stream)

    def describe(self) -> dict[str, Any]:
        """As the fixed interval's: a method's figures are pooled over all phases."""
        return FixedInterval(self._shared.interval).describe()
