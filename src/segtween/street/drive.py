"""The camera's own drive: where it is at any time, how fast, and where it stops.

All of it is a function of the seed and of time. The drive is integrated in fixed steps of 1/60 s, whatever the frame
rate, and kept only for as long as someone may ask for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from segtween.street.path import CHUNK, Path
from segtween.street.world import Street

STEPS = 60
STOP_AT = 6.6
"""Where on a piece with a crossing the camera stops, metres from the piece's start."""


@dataclass
class Moment:
    """Where the drive is: distance, speed, distance that oncoming traffic has driven, camera's nod."""

    s: float
    v: float
    oncoming: float
    nod: float


@lru_cache(maxsize=16384)
def _draw(*key: int) -> tuple[float, float]:
    """Two numbers in 0..1 that belong to a key: making a generator for each would cost more than a car."""
    a, b = np.random.default_rng(list(key)).random(2)
    return float(a), float(b)


class Drive:
    """The camera's own motion by time."""

    def __init__(self, seed: int, path: Path, street: Street) -> None:
        self._seed, self._path, self._street = seed, path, street
        rng = np.random.default_rng([seed, 51])
        pace = 0.45 if street.heavy else 1.0
        self._cruise = pace * float(rng.uniform(8.0, 12.5))
        self._moments: list[Moment] = [Moment(40.0, pace * float(rng.uniform(4, 8)), 0.0, 0.0)]
        self._first = 0
        self._stopped_at: dict[int, int] = {}
        self.goes_at: dict[int, int] = {}
        self._on_speed, self._nod_speed = 8.5, 0.0

    def stops(self, piece: int) -> bool:
        return self._street.signal(piece) and _draw(self._seed, 52, piece)[0] < 0.6

    def _step(self) -> None:
        now, step = self._moments[-1], self._first + len(self._moments) - 1
        piece = int(now.s // CHUNK)
        limit = self._cruise * (0.8 + 0.2 * float(np.sin(0.013 * now.s + self._seed % 7)))
        for ahead in (0.0, 8.0, 16.0, 26.0):
            bend = abs(self._path.at(now.s + ahead)[3])
            limit = min(limit, float(np.sqrt(2.0 / max(bend, 1e-4))) + 0.12 * ahead)
        waiting, brake = False, 0.0
        for p in (piece, piece + 1, piece + 2):
            left = p * CHUNK + STOP_AT - now.s
            if left < -1.0 or not self.stops(p) or self.goes_at.get(p, 1 << 60) <= step:
                continue
            waiting = waiting or left < 25
            if p in self._stopped_at:
                limit = -0.3
            elif now.v < 0.35 and left < 0.5:
                self._stopped_at[p] = step
                self.goes_at[p] = step + int(STEPS * np.random.default_rng([self._seed, 53, p]).uniform(4.0, 7.0))
            else:
                # The even braking that ends at the line, once it is worth starting.
                need = now.v * now.v / (2 * max(left, 0.05))
                brake = max(brake, need if need > 1.5 else 0.0)
                limit = min(limit, max(left, 0.0) + 0.2)
        push = float(np.clip((limit - now.v) * 1.6, -3.2, 1.7))
        if brake > 0.0:
            push = min(push, -min(brake, 5.0))
        v = max(0.0, now.v + push / STEPS)
        goal = 0.0 if waiting and now.v < 5.0 else 8.5
        self._on_speed += float(np.clip(goal - self._on_speed, -3.0 / STEPS, 2.0 / STEPS))
        pull = -0.0035 * (v - now.v) * STEPS - now.nod
        self._nod_speed += (40.0 * pull - 7.0 * self._nod_speed) / STEPS
        nod = now.nod + self._nod_speed / STEPS
        self._moments.append(Moment(now.s + 0.5 * (now.v + v) / STEPS, v, now.oncoming + self._on_speed / STEPS, nod))

    def at(self, seconds: float) -> Moment:
        """Interpolated moment; `seconds` must not lie more than two seconds before the latest `forget`."""
        x = max(seconds * STEPS, float(self._first))
        i = int(x)
        while i + 1 - self._first >= len(self._moments):
            self._step()
        a, b, k = self._moments[i - self._first], self._moments[i + 1 - self._first], x - i
        return Moment(a.s + k * (b.s - a.s), a.v + k * (b.v - a.v), a.oncoming + k * (b.oncoming - a.oncoming),
                      a.nod + k * (b.nod - a.nod))  # fmt: skip

    def time_at(self, s: float) -> float:
        """When the camera reaches `s`, seconds; before the oldest kept moment its speed there is taken."""
        first = self._moments[0]
        if s <= first.s:
            return self._first / STEPS + (s - first.s) / max(first.v, 1.0)
        while self._moments[-1].s < s:
            self._step()
        low, high = 0, len(self._moments) - 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._moments[middle].s < s else (low, middle)
        return (self._first + high) / STEPS

    def forget(self, seconds: float) -> None:
        keep = int(seconds * STEPS) - 2 * STEPS - self._first
        if keep > 20 * STEPS:
            del self._moments[:keep]
            self._first += keep
            oldest = int(self._moments[0].s // CHUNK) - 4
            for table in (self._stopped_at, self.goes_at):
                for key in [k for k in table if k < oldest]:
                    del table[key]

    def crossing_time(self, piece: int, seconds: float) -> float | None:
        """Seconds since people started to cross at a light where the camera stops; None before."""
        if piece not in self._stopped_at:
            return None
        return seconds - self._stopped_at[piece] / STEPS + 1.5
