"""The time of each stage of a frame."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Clock:
    """Milliseconds per stage of one frame. A stage ends when `wait` returns, where there is something to wait for."""

    def __init__(self, wait: Callable[[], None] | None = None) -> None:
        self.stages_ms: dict[str, float] = {}
        self._wait = wait

    @property
    def total_ms(self) -> float:
        return sum(self.stages_ms.values())

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            if self._wait is not None:
                self._wait()
            self.add(stage, (time.perf_counter() - began) * 1e3)

    def add(self, stage: str, ms: float) -> None:
        self.stages_ms[stage] = self.stages_ms.get(stage, 0.0) + ms
