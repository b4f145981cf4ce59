"""Optical flow where frames are read: it needs nothing but the frames, so the engine need not wait for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.interfaces import FlowEstimator
from segtween.types import Flow, Frame, Rgb

View = NDArray[np.uint8]


@dataclass(frozen=True)
class _Foreseen:
    """What a frame looks like to the estimator, and the flow from it to the frame before."""

    rgb: Rgb
    view: View
    before: View | None
    motion: Flow | None
    times_ms: dict[str, float]


class Foresight:
    """A flow estimator whose answers are there before they are asked for.

    Frames that go through `watch`, in whatever thread that happens, are prepared there, each with the flow to the one
    before. Asked about these it gives what it has, `times_ms` being what the latest took there; asked about anything
    else it works like the estimator itself. What it gives is that estimator's in any case.
    """

    def __init__(self, flow: FlowEstimator) -> None:
        self.estimator = self._flow = flow
        self._one_at_a_time = threading.Lock()
        self._foreseen = deque[_Foreseen]()
        self._now: _Foreseen | None = None

    @property
    def times_ms(self) -> dict[str, float]:
        """Milliseconds per stage."""
        return {} if self._now is None else self._now.times_ms

    def watch(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The frames, each when its flow is known."""
        before: View | None = None
        for frame in frames:
            began = time.perf_counter()
            with self._one_at_a_time:
                view = self._flow.prepare(frame.rgb)
                prepared = time.perf_counter()
                knows = before is not None and before.shape == view.shape
                motion = self._flow(view, before) if before is not None and knows else None
            times_ms = {"prepare": (prepared - began) * 1e3}
            if knows:
                times_ms["flow"] = (time.perf_counter() - prepared) * 1e3
            self._foreseen.append(_Foreseen(frame.rgb, view, before, motion, times_ms))
            before = view
            yield frame

    def prepare(self, rgb: Rgb) -> View:
        while self._foreseen:
            self._now = self._foreseen.popleft()
            if self._now.rgb is rgb:
                return self._now.view
        self._now = None
        with self._one_at_a_time:
            return self._flow.prepare(rgb)

    def __call__(self, current: View, previous: View) -> Flow:
        now = self._now
        if now is not None and now.motion is not None and now.view is current and now.before is previous:
            return now.motion
        with self._one_at_a_time:
            return self._flow(current, previous)

    def describe(self) -> dict[str, Any]:
        return self._flow.describe()
