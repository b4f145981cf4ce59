"""For files, where the future is known: a frame between two key frames is read from both of them.

    key frame       as in `engine.causal`: scores = network(frame), blended with the history; or given labels
    other frames    flow is composed to the key frame before and, along the flow in the other direction, to the key
                    frame after; labels are read from both, at full resolution
    share           of the later key frame = its reliability x frames since the earlier one, against the earlier one's
                    reliability x frames until the later one

Results come late: once the next key frame has its scores. Memory is bounded by one period. Nothing is propagated across
a scene cut: before a cut, at the end, and before the first key frame, one side is read alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from segtween.engine.clock import Clock
from segtween.engine.frames import Streaming, black, check_size
from segtween.engine.sources import KeySource, Sides
from segtween.engine.state import Float, KeyState
from segtween.errors import SettingError
from segtween.interfaces import CutDetector, MotionSource, notes_of
from segtween.types import Motion, Result, Rgb, SizeHW

LEAST_RELIABILITY = 1e-3
"""Added to both sides' reliability, so that where neither is reliable the nearer one counts more."""


@dataclass
class _Waiting:
    """A frame whose result is still to come. `like` is an empty array of the frame's kind; `onward` leads to the frame
    after it."""

    index: int
    pts_seconds: float
    like: Any
    size_hw: SizeHW
    is_cut: bool
    clock: Clock
    stages_ms: dict[str, float]
    before: KeyState | None
    onward: Motion | None = None


class BidirectionalEngine(Streaming):
    """Results for every frame, in order but late."""

    is_causal = False
    prefetches = False
    """Whether its motion may be estimated by the thread that reads the frames."""

    def __init__(self, keys: KeySource, motion: MotionSource, cuts: CutDetector) -> None:
        self.keys, self.motion, self.cuts = keys, motion, cuts
        self.propagation, self.ops = keys.propagation, keys.propagation.ops
        self.clock: Callable[[], Clock] = Clock
        self._begin()

    def reset(self) -> None:
        """Forgets everything: the next frame has index 0 and begins a scene."""
        self._begin()
        self.keys.reset()
        self.motion.reset()

    def _begin(self) -> None:
        self._waiting: list[_Waiting] = []
        self._last: _Waiting | None = None
        self._count = 0

    def select(self, key: str | int) -> None:
        """Tells a segmenter with stored scores which frame comes next, by its name or index."""
        self.keys.select(key)

    def step(self, rgb: Rgb, *, pts_seconds: float | None = None, motion: Motion | None = None) -> Result:  # noqa: ARG002
        """Always SettingError: one frame alone has no result yet."""
        raise SettingError(
            "one step of bidirectional propagation",
            expected="a whole clip: it looks at the next key frame first",
            do="use stream() or run(), or a causal mode",
        )

    def push(self, rgb: Rgb, *, pts_seconds: float | None = None, motion: Motion | None = None) -> list[Result]:
        """The next frame, (H, W, 3) uint8 RGB; the results that it completes, in order. Frames must keep their size.

        Without `motion` it is estimated here. Raises SettingError for anything but such a frame, and what the keys
        raise.
        """
        clock = self.clock()
        with self.ops.scope():
            image = self._image(rgb)
            motion = motion or self.motion(image, clock)
            before, is_cut = self._follow(motion, clock)
            done = self._complete(None) if is_cut else []
            seconds = math.nan if pts_seconds is None else pts_seconds
            size_hw = image.shape[0], image.shape[1]
            now = _Waiting(self._count, seconds, rgb[:0], size_hw, is_cut, clock, motion.stages_ms, before)
            if self.keys.is_key(now.index, before):
                with clock(self.keys.stage):
                    now.before = self.keys.key(image, before)
                done += self._complete(now.before)
            self._waiting.append(now)
            self._last, self._count = now, now.index + 1
            return done if self.keys.may_follow(now.index) else done + self._complete(None)

    def finish(self) -> list[Result]:
        """The results that were still waiting for a key frame. The next frame begins a new clip."""
        with self.ops.scope():
            done = self._complete(None)
        self.reset()
        return done

    def warm_up(self, size_hw: SizeHW) -> None:
        """Shows the engine two black frames of a size: what is compiled, is compiled then."""
        self.reset()
        for _ in range(2):
            self.push(black(size_hw))
        self.finish()

    @property
    def notes(self) -> list[str]:
        """One line for each thing that is done differently than requested."""
        return [*self.keys.notes, *notes_of(self.motion)]

    @property
    def longest(self) -> int:
        """The largest distance that a result can have."""
        return self.keys.longest

    def describe(self) -> dict[str, Any]:
        """Everything that changes the numbers, as plain JSON values."""
        components = (self.keys, self.motion, self.cuts, self.ops)
        described = {key: value for component in components for key, value in component.describe().items()}
        return {"mode": "bidirectional", **described}

    def _image(self, rgb: Rgb) -> Rgb:
        image = self.ops.image(rgb)
        if self._last is not None:
            check_size(self._count, (image.shape[0], image.shape[1]), self._last.size_hw)
        return image

    def _follow(self, motion: Motion, clock: Clock) -> tuple[KeyState | None, bool]:
        """The earlier key frame as the new frame sees it, and whether a new scene begins with it."""
        last = self._last
        if last is None or motion.flow is None:
            return None, False
        with clock("propagate"):
            if self.cuts(motion):
                return None, True
        if self.keys.may_follow(last.index):
            last.onward = self.motion.forward(motion, clock)
        with clock("propagate"):
            return None if last.before is None else self.propagation.follow(last.before, motion), False

    def _complete(self, after: KeyState | None) -> list[Result]:
        """The results of the waiting frames, with `after` the key frame that follows them, if one does in their
        scene."""
        done = []
        for waiting in reversed(self._waiting):
            if after is not None:
                assert waiting.onward is not None
                with waiting.clock("propagate"):
                    after = self.propagation.follow(after, waiting.onward)
            done.append(self._result(waiting, after))
        self._waiting = []
        return done[::-1]

    def _result(self, waiting: _Waiting, after: KeyState | None) -> Result:
        before = waiting.before
        is_key = before is not None and before.distance == 0
        if is_key:
            after = None
        nearest = before or after
        with waiting.clock("label"):
            sides = Sides(before, after, share(before, after))
            labels = self.keys.read(sides, waiting.size_hw)
        return Result(
            waiting.index,
            waiting.pts_seconds,
            is_key=is_key,
            distance=0 if nearest is None else nearest.distance,
            is_cut=waiting.is_cut,
            labels=self.ops.host(labels, like=waiting.like),
            scores=partial(self.keys.score_map, sides, waiting.size_hw),
            stages_ms={**waiting.stages_ms, **waiting.clock.stages_ms},
        )


def share(before: KeyState | None, after: KeyState | None) -> Float | None:
    """The later key frame's part, (gh, gw) in 0..1; None where there are not both."""
    if before is None or after is None or before.reliability is None or after.reliability is None:
        return None
    first: Any = (before.reliability + LEAST_RELIABILITY) * after.distance
    second: Any = (after.reliability + LEAST_RELIABILITY) * before.distance
    part: Float = second / (first + second)
    return part
