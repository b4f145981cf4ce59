"""Another method on the same video at the same time, to compare with."""

from __future__ import annotations

from collections import deque
from statistics import median
from typing import Any, NamedTuple

from segtween.errors import SettingError
from segtween.interfaces import Engine
from segtween.metrics.consistency import ConsistencyMeter
from segtween.metrics.temporal import Farneback
from segtween.types import Frame, Labels, Method, Result

RECENT = 200
"""Speeds are those of so many frames."""


class ComparedFrame(NamedTuple):
    """A frame's labels by the other method; the share of pixels that flicker in it, and in all frames up to it, by the
    other method and by the first (0..1, None where there is nothing to compare); the frames per second of both so far,
    by the time of their stages; the true labels, where they are known."""

    labels: Labels
    flicker: tuple[float | None, float | None]
    so_far: tuple[float | None, float | None]
    fps: tuple[float | None, float | None] = (None, None)
    truth: Labels | None = None


class _Rate:
    """Frames per second by the time of their stages: from the medians of key frames and of the others, of the last
    `RECENT` each, since some frames compile something. The first frame does not count."""

    def __init__(self) -> None:
        self._counts, self._ms = [0, 0], (deque[float](maxlen=RECENT), deque[float](maxlen=RECENT))
        self._has_begun = False

    def add(self, result: Result) -> float | None:
        if self._has_begun:
            self._counts[result.is_key] += 1
            self._ms[result.is_key].append(sum(result.stages_ms.values()))
        self._has_begun = True
        ms = sum(count * median(of) for count, of in zip(self._counts, self._ms, strict=True) if of)
        return 1e3 * sum(self._counts) / ms if ms > 0 else None


class Comparison:
    """The other method's engine and a flicker meter for each. It needs a segmenter of its own.

    `update` comes before the frame is written; `take` then gives its comparison. Raises SettingError for an
    engine whose results come late.
    """

    def __init__(self, engine: Engine, method: Method, *, classes: int) -> None:
        if not engine.is_causal:
            raise SettingError(
                f"{method.name} to compare with",
                expected="a method that gives each frame's labels at once",
                do="compare with the network on every frame",
            )
        self.method, self._engine = method, engine
        self._farneback = Farneback()
        self._other, self._own = ConsistencyMeter(classes), ConsistencyMeter(classes)
        self._rates = _Rate(), _Rate()
        self._fps: tuple[float | None, float | None] = (None, None)
        self._frames: dict[int, ComparedFrame] = {}

    def reset(self) -> None:
        self._engine.reset()

    def update(self, frame: Frame, result: Result) -> None:
        """Runs the other method on the next frame, of which the first one gave `result`."""
        self._engine.select(frame)
        other = self._engine.step(frame.rgb, pts_seconds=float(frame.pts_seconds))
        if result.is_cut:
            self._farneback.begin()
        motion = self._farneback(frame.rgb)
        flicker = self._other.follow(other.labels, motion, is_key=other.is_key)
        own = self._own.follow(result.labels, motion, is_key=result.is_key)
        so_far = self._other.compute()["flicker"], self._own.compute()["flicker"]
        self._fps = self._rates[0].add(other), self._rates[1].add(result)
        self._frames[frame.index] = ComparedFrame(other.labels, (flicker, own), so_far, self._fps)

    def take(self, index: int) -> ComparedFrame:
        """That of a frame; those of the frames before it are gone then."""
        for earlier in [other for other in self._frames if other < index]:
            del self._frames[earlier]
        return self._frames[index]

    def to_json(self) -> dict[str, Any]:
        """Temporal consistency of both methods (`metrics.ConsistencyMeter`), over the classes that both gave, and their
        frames per second by the time of their stages."""
        both = self._other.seen & self._own.seen
        return {
            "method": self.method.to_json(),
            "consistency": self._other.compute(counted=both),
            "own_consistency": self._own.compute(counted=both),
            "frames_per_second": self._fps[0],
            "own_frames_per_second": self._fps[1],
        }
