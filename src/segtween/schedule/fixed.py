"""A key frame after every `interval` frames."""

from __future__ import annotations

from typing import Any

from segtween.errors import SettingError
from segtween.interfaces import Situation
from segtween.types import is_whole


class FixedInterval:
    """`interval` non-key frames between key frames; 0 makes every frame a key frame."""

    by_distance, by_time = True, False

    def __init__(self, interval: int) -> None:
        if not is_whole(interval, least=0):
            raise SettingError(
                f"interval is {interval}",
                expected="a whole number, 0 or more",
                do="give interval=4 (or every=5) for the network on every 5th frame",
            )
        self.interval = self.longest = interval

    def reset(self) -> None:
        """Nothing is remembered."""

    def is_key(self, situation: Situation) -> bool:
        return situation.distance > self.interval

    def describe(self) -> dict[str, Any]:
        """Without the interval: one method has figures at many intervals, and each says its own."""
        return {"schedule": "fixed"}
