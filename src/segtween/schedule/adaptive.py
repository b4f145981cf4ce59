"""Key frames where propagated scores lose reliability, for a given budget (docs/schedule.md)."""

from __future__ import annotations

import math
from collections import deque
from statistics import median
from typing import Any

from segtween.errors import SettingError
from segtween.interfaces import Situation

RESERVE = 3.0
GAIN = 0.3
MOST_DISTANCE = 30
REMEMBERED = 50
UNTIMED = 0.2


class Adaptive:
    """Spends a budget of network runs where the propagated scores lose reliability fastest; looks at no later frame.

    A frame is a key frame when the reliability lost since the last key frame reaches what the clip loses, on the
    average so far, over the frames that one run is for. An account keeps the budget: every frame pays in its share of a
    run, every key frame but a clip's first takes one out. Savings lower that bar and debts raise it, by exp(-0.3 x
    runs). With 3 runs saved a frame is a key frame in any case, and none may bring more than 3 of debt: so up to any
    frame of a clip the runs after the first are within 3 of the budget. Only what scene cuts and the bounds on the
    distance force may go beyond.

    budget          network runs per 100 frames
    target_ms       instead: milliseconds per frame on average. What key frames and other frames take is measured on
                    the way (medians of the last 50; the first two frames of a clip warm up and do not count), so
                    two runs may differ
    least_distance  frames from a key frame to the next, at least, 1 or more
    most_distance   and at most

    Raises SettingError for bounds that contradict each other or the budget.
    """

    by_distance = False

    def __init__(
        self,
        *,
        budget: float | None = None,
        target_ms: float | None = None,
        least_distance: int = 1,
        most_distance: int = MOST_DISTANCE,
    ) -> None:
        _check_distances(least_distance, most_distance)
        if (budget is None) == (target_ms is None):
            raise SettingError(
                f"a budget of {budget} and a target of {target_ms} ms",
                expected="one of them",
                do="give budget=20 (network runs per 100 frames) or target_ms=30",
            )
        self.least_distance, self.most_distance = least_distance, most_distance
        self._least_rate, self._most_rate = 1.0 / most_distance, 1.0 / least_distance
        slack = 1e-9
        if budget is not None and not self._least_rate - slack <= budget / 100 <= self._most_rate + slack:
            raise SettingError(
                f"a budget of {budget:g}",
                expected=f"{100 * self._least_rate:.4g} to {100 * self._most_rate:.4g} network runs per 100 frames, "
                f"with {least_distance} to {most_distance} frames from key frame to key frame",
                do="change budget=, least_distance= or most_distance=",
            )
        if target_ms is not None and not 0 < target_ms < math.inf:
            raise SettingError(f"a target of {target_ms} ms", expected="more than 0", do="give target_ms=30")
        self.budget, self.target_ms = budget, target_ms
        self.longest, self.by_time = most_distance - 1, target_ms is not None
        self.reset()

    def reset(self) -> None:
        self._index = -1
        self._account = self._lost = self._latest = 0.0
        self._key_ms, self._other_ms = deque[float](maxlen=REMEMBERED), deque[float](maxlen=REMEMBERED)

    def is_key(self, situation: Situation) -> bool:
        if situation.index > 2:
            (self._key_ms if situation.distance == 1 else self._other_ms).append(situation.previous_ms)
        rate, lost = self._rate(), situation.unreliability
        # Frames in between that it was not asked about were key frames: a clip's first, which is free of charge, and
        # those after a cut.
        unasked = situation.index - self._index - 1
        self._account += rate * (unasked + 1) - unasked + (1.0 - rate) * (self._index < 0)
        self._lost += self._latest if unasked else 0.0
        self._index = situation.index
        is_key = self._decides(situation.distance, lost, rate)
        self._account -= is_key
        self._lost += lost if is_key else 0.0
        self._latest = 0.0 if is_key else lost
        return is_key

    def _decides(self, distance: int, lost: float, rate: float) -> bool:
        if distance < self.least_distance or distance >= self.most_distance:
            return distance >= self.most_distance
        if self._account >= RESERVE or self._account - 1.0 < -RESERVE:
            return self._account >= RESERVE
        usual = (self._lost + lost) / self._index
        # Where nothing is ever lost, as in a still picture, runs come evenly.
        due = rate * (lost / usual if usual > 1e-6 else distance)
        return due >= math.exp(-GAIN * self._account)

    def _rate(self) -> float:
        """Runs per frame, 0..1, that the budget allows."""
        if self.budget is not None:
            return self.budget / 100
        assert self.target_ms is not None
        if not self._key_ms or not self._other_ms:
            return min(max(UNTIMED, self._least_rate), self._most_rate)
        key, other = median(self._key_ms), median(self._other_ms)
        rate = (self.target_ms - other) / (key - other) if key > other else self._most_rate
        return min(max(rate, self._least_rate), self._most_rate)

    def describe(self) -> dict[str, Any]:
        spends = {"budget": self.budget} if self.budget is not None else {"target_ms": self.target_ms}
        return {
            "schedule": "adaptive",
            **spends,
            "least_distance": self.least_distance,
            "most_distance": self.most_distance,
            "reserve": RESERVE,
            "gain": GAIN,
            "deterministic": self.budget is not None,
        }


def _check_distances(least: int, most: int) -> None:
    whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (least, most))
    if not whole or not 1 <= least <= most:
        raise SettingError(
            f"{least} to {most} frames from key frame to key frame",
            expected="whole numbers, 1 or more, the least not above the most",
            do="change least_distance= or most_distance=",
        )
