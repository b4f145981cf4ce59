"""The road's course: an endless curve by arc length, made ahead and dropped behind.

`s` is metres along the middle of the road, `t` metres to its left. Headings stay within about 75 degrees of
the first one, so that the road never meets itself.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from segtween.street.mesh import Array

CHUNK = 24
"""Length of a piece of street in metres."""

SHARPEST = 1 / 30
"""Largest curvature of the middle line, 1 / metres."""


class Path:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._pieces: dict[int, Array] = {}
        self._next = 0
        self._end = np.zeros(4)  # x, y, heading, curvature at the end of the last piece
        self._bend, self._left = 0.0, 0

    def _grow(self) -> None:
        rng = np.random.default_rng([self._seed, 11, self._next])
        if self._left <= 0 and self._next >= 4:
            kind = rng.random()
            sign = 1.0 if rng.random() < 0.5 else -1.0
            if abs(self._end[2]) > 0.25:
                sign = -float(np.sign(self._end[2]))
            if kind < 0.45:
                self._bend, self._left = 0.0, int(rng.integers(1, 4))
            elif kind < 0.72:
                self._bend, self._left = sign * rng.uniform(1 / 250, 1 / 110), int(rng.integers(2, 4))
            else:
                self._bend, self._left = sign * rng.uniform(1 / 55, SHARPEST), 2
        self._left -= 1
        x, y, heading, curve = self._end
        piece = np.empty((CHUNK + 1, 4))
        for i in range(CHUNK + 1):
            piece[i] = x, y, heading, curve
            if i < CHUNK:
                ahead = heading + 10.0 * curve
                goal = self._bend if abs(ahead) < 1.15 or self._bend * heading < 0 else 0.0
                change = float(np.clip(goal - curve, -SHARPEST / 10, SHARPEST / 10))
                middle = heading + 0.5 * curve + 0.125 * change
                x, y = x + np.cos(middle), y + np.sin(middle)
                heading, curve = heading + curve + 0.5 * change, curve + change
        self._end = piece[CHUNK].copy()
        self._pieces[self._next] = piece
        self._next += 1

    def drop_before(self, index: int) -> None:
        for key in [k for k in self._pieces if k < index]:
            del self._pieces[key]

    def at(self, s: float) -> tuple[float, float, float, float]:
        """x, y, heading, curvature at `s`; before the oldest kept piece the road is straight."""
        index = int(s // CHUNK)
        while index >= self._next:
            self._grow()
        if index not in self._pieces:
            index = min(self._pieces)
            x, y, heading, _ = self._pieces[index][0]
            back = s - index * CHUNK
            return float(x + back * np.cos(heading)), float(y + back * np.sin(heading)), float(heading), 0.0
        local = s - index * CHUNK
        i = min(int(local), CHUNK - 1)
        a, b, k = self._pieces[index][i], self._pieces[index][i + 1], local - i
        # Cubic Hermite between the metre marks: position and direction are continuous.
        h = (2 * k**3 - 3 * k * k + 1, k**3 - 2 * k * k + k, -2 * k**3 + 3 * k * k, k**3 - k * k)
        x = h[0] * a[0] + h[1] * np.cos(a[2]) + h[2] * b[0] + h[3] * np.cos(b[2])
        y = h[0] * a[1] + h[1] * np.sin(a[2]) + h[2] * b[1] + h[3] * np.sin(b[2])
        heading, curve = a[2] + k * (b[2] - a[2]), a[3] + k * (b[3] - a[3])
        return float(x), float(y), float(heading), float(curve)

    def point(self, s: float, t: float, z: float = 0.0) -> Array:
        x, y, heading, _ = self.at(s)
        return np.array([x - t * np.sin(heading), y + t * np.cos(heading), z])

    def points(self, s: Any, t: Any, z: Any) -> Array:
        """The same for arrays of equal shape."""
        s, t, z = np.broadcast_arrays(np.asarray(s, np.float64), t, z)
        out = np.empty((*s.shape, 3))
        for i in np.ndindex(s.shape):
            out[i] = self.point(float(s[i]), float(t[i]), float(z[i]))
        return out
