"""Heavy traffic: people who cross the road where they like, and vehicles and cyclists that cross it at junctions.

Everyone crosses at a constant speed and keeps clear of the camera's car and of the other traffic: of a few drawn
crossings the first that meets nobody is taken, and if none is free, nobody crosses there. When a crossing takes place
is drawn as the distance that the camera still is away by then, so that there are some near and far at all times. The
plan of a piece of road depends on the seed, the piece and the camera's own drive alone.

`s` is metres along the middle of the road, `t` metres to its left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from segtween.street.path import CHUNK
from segtween.street.world import LANE, Street

TRIES = 8
FARTHEST = 72.0
"""Metres beside the road from which cross traffic comes: behind the house that closes a side street."""

PEOPLE_UIDS, VEHICLE_UIDS, RIDER_UIDS = 60_000_000, 70_000_000, 80_000_000
Kind = Literal["person", "vehicle", "rider"]


@dataclass(frozen=True, slots=True)
class Box:
    """What stands or drives somewhere: from s0 to s1 along the road, from t0 to t1 across it."""

    s0: float
    s1: float
    t0: float
    t1: float

    def meets(self, other: Box) -> bool:
        return self.s0 < other.s1 and other.s0 < self.s1 and self.t0 < other.t1 and other.t0 < self.t1


@dataclass(frozen=True, slots=True)
class Crossing:
    """One crossing of the road at `s`, from the right to the left (`way` 1) or back (-1), which starts at `start`
    seconds. People drift by `drift` metres along the road while they cross, and stand at its side before and after;
    vehicles and cyclists come from afar and are gone afterwards. `wide` metres lie between start and end."""

    kind: Kind
    uid: int
    s: float
    way: int
    start: float
    speed: float
    wide: float
    drift: float = 0.0

    def at(self, seconds: float) -> tuple[float, float, float, float, float] | None:
        """s, t, turn against the road's heading, metres gone, size of the stride 0..1; None where it is not there."""
        gone = (seconds - self.start) * self.speed
        if self.kind != "person" and not 0.0 <= gone <= self.wide:
            return None
        gone = min(max(gone, 0.0), self.wide)
        t = self.way * (gone - self.wide / 2)
        moving = float(np.clip(min(gone * 2, (self.wide - gone) * 2), 0, 1))
        # The drift happens on the six metres in the middle, with a smooth begin and end.
        k = float(np.clip((gone - self.wide / 2) / 6 + 0.5, 0, 1))
        s = self.s + self.drift * (3 * k * k - 2 * k**3)
        lean = float(np.arctan(self.drift * k * (1 - k)))
        return s, t, self.way * (np.pi / 2 - lean), gone, moving

    def box(self, seconds: float) -> Box | None:
        """The ground that it takes; None where it is not there."""
        place = self.at(seconds)
        if place is None:
            return None
        s, t = place[:2]
        along, across = {"person": (0.5, 0.5), "vehicle": (1.2, 3.2), "rider": (0.5, 1.2)}[self.kind]
        return Box(s - along, s + along, t - across, t + across)

    def moments(self, reach: float, step: float) -> Iterator[float]:
        """The seconds, from 0 on, at which it is within `reach` metres of the middle of the road."""
        middle = self.start + self.wide / 2 / self.speed
        for seconds in np.arange(middle - reach / self.speed, middle + reach / self.speed + step, step):
            if seconds >= 0:
                yield float(seconds)


class Plans:
    """Who crosses on which piece of the road; planned when a piece comes into view, kept while it may be seen.

    `time_at` says when the camera reaches a distance. `others(seconds, low, high)` are the boxes of all other traffic
    between two distances.
    """

    def __init__(
        self,
        seed: int,
        street: Street,
        time_at: Callable[[float], float],
        others: Callable[[float, float, float], list[Box]],
    ) -> None:
        self._seed, self._street, self._time_at, self._others = seed, street, time_at, others
        self._planned: dict[int, list[Crossing]] = {}

    def between(self, low: float, high: float) -> Iterator[Crossing]:
        """Those of all pieces that touch the two distances."""
        for piece in range(int(low // CHUNK), int(high // CHUNK) + 1):
            if piece not in self._planned:
                self._planned[piece] = [*self._traffic(piece), *self._people(piece)]
            yield from self._planned[piece]

    def forget(self, before: float) -> None:
        for piece in [p for p in self._planned if (p + 1) * CHUNK < before]:
            del self._planned[piece]

    def _is_junction(self, piece: int) -> bool:
        return self._street.junction(piece, 1)

    def _people(self, piece: int) -> Iterator[Crossing]:
        if self._street.signal(piece):
            return
        rng = np.random.default_rng([self._seed, 71, piece])
        # Between the places of parked cars, and beside a junction's mouths.
        places = (0.0, 4.0, 20.0) if self._is_junction(piece) else (0.0, 6.0, 12.0, 18.0)
        number = 0
        for place in places:
            for _ in range(int(rng.integers(1, 5))):
                found = self._free(partial(self._person, rng, piece, place, number), self._walks_free)
                number += 1
                if found is not None:
                    yield found

    def _person(self, rng: np.random.Generator, piece: int, place: float, number: int) -> Crossing:
        s = piece * CHUNK + place + float(rng.uniform(-0.3, 0.3))
        hurry = rng.choice(3, p=[0.6, 0.25, 0.15])
        speed = float((rng.uniform(1.0, 1.5), rng.uniform(1.5, 2.1), rng.uniform(2.4, 3.3))[int(hurry)])
        way, drift = (1 if rng.random() < 0.5 else -1), float(rng.choice([0.0, 6.0, -6.0], p=[0.6, 0.2, 0.2]))
        if any(self._is_taken(s + part * drift) for part in (0.5, 1.0)):
            drift = 0.0
        wide = 2 * (self._street.half + float(rng.uniform(0.6, 1.8)))
        in_lane = wide / 2 + way * self._street.side * LANE
        start = self._time_at(s - float(rng.uniform(7.0, 42.0))) - in_lane / speed
        return Crossing("person", PEOPLE_UIDS + 16 * piece + number, s, way, start, speed, wide, drift)

    def _is_taken(self, s: float) -> bool:
        """Whether signals or a junction's mouths are there."""
        piece, local = divmod(s, CHUNK)
        return self._street.signal(int(piece)) or (self._is_junction(int(piece)) and 5.0 < local < 19.0)

    def _walks_free(self, crossing: Crossing) -> bool:
        return self._meets_nobody(crossing, self._street.half - 0.7, 0.2)

    def _traffic(self, piece: int) -> list[Crossing]:
        planned: list[Crossing] = []
        if not self._is_junction(piece):
            return planned
        rng = np.random.default_rng([self._seed, 72, piece])

        def is_free(crossing: Crossing) -> bool:
            return not any(_overtakes(crossing, other) for other in planned) and self._meets_nobody(
                crossing, self._street.end + 4.0, 0.1
            )

        for number in range(16):
            way = 1 if number % 2 else -1
            found = self._free(partial(self._crossing_traffic, rng, piece, number, way), is_free)
            if found is not None:
                planned.append(found)
        return planned

    def _crossing_traffic(self, rng: np.random.Generator, piece: int, number: int, way: int) -> Crossing:
        rides = bool(rng.random() < 0.3)
        speed = float(rng.uniform(3.5, 6.0) if rides else rng.uniform(4.0, 13.0))
        middle = piece * CHUNK + 12.0
        arrives = self._time_at(middle - float(rng.uniform(8.0, 60.0)))
        # It keeps to the side on which all drive; to the left of those who drive to the left is backwards.
        s = middle - way * self._street.side * (2.9 if rides else LANE)
        kind: Kind = "rider" if rides else "vehicle"
        uid = (RIDER_UIDS if rides else VEHICLE_UIDS) + 16 * piece + number
        return Crossing(kind, uid, s, way, arrives - FARTHEST / speed, speed, 2 * FARTHEST)

    def _meets_nobody(self, crossing: Crossing, reach: float, step: float) -> bool:
        low, high = sorted((crossing.s, crossing.s + crossing.drift))
        for seconds in crossing.moments(reach, step):
            own = crossing.box(seconds)
            if own is not None and any(own.meets(box) for box in self._others(seconds, low - 2.0, high + 2.0)):
                return False
        return True

    @staticmethod
    def _free(draw: Callable[[], Crossing], is_free: Callable[[Crossing], bool]) -> Crossing | None:
        """The first of a few that meets nobody."""
        return next((crossing for crossing in (draw() for _ in range(TRIES)) if is_free(crossing)), None)


def _overtakes(one: Crossing, other: Crossing) -> bool:
    """Whether two of one lane would run into each other; half a bus's length and a gap lie between them at least."""
    if one.way != other.way or one.kind != other.kind:
        return False
    begin, end = max(one.start, other.start), min(c.start + c.wide / c.speed for c in (one, other))
    apart = [(t - one.start) * one.speed - (t - other.start) * other.speed for t in (begin, end)]
    return begin < end and (apart[0] * apart[1] < 0 or min(map(abs, apart)) < 8.0)
