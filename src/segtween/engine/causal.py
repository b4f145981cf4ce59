"""The method: the network on key frames, its scores looked up along optical flow in between.

    motion          flow from the frame to the one before, and its photometric residual
    history         the last key frame's state, one frame farther: flow composed, reliability faded; none after a cut
    key frame       scores = network(frame), blended with the history where that is reliable
    every frame     labels = argmax of the key frame's scores where the composed flow leads, enlarged to the frame

The engine knows no model, runtime or video library: it is given built components (`segtween.interfaces`;
`segtween.build` assembles them). Where scores come late: `engine.delayed`; where the future is known:
`engine.bidirectional`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from segtween.engine.clock import Clock
from segtween.engine.frames import OneByOne, black, check_size
from segtween.engine.keys import KeyFrames
from segtween.engine.state import KeyState
from segtween.interfaces import CutDetector, MotionSource, Schedule, Selecting, Situation, notes_of, select
from segtween.types import FrameKey, Motion, Result, Rgb, SizeHW


class CausalEngine(OneByOne):
    """Labels for every frame, from it and the frames before it."""

    def __init__(self, keys: KeyFrames, motion: MotionSource, cuts: CutDetector) -> None:
        self.keys, self.motion, self.cuts = keys, motion, cuts
        self.propagation, self.ops = keys.propagation, keys.propagation.ops
        self.clock: Callable[[], Clock] = Clock
        self._state: KeyState | None = None
        self._count = 0

    def reset(self) -> None:
        """Forgets everything: the next frame is a key frame, with index 0."""
        self._state, self._count = None, 0
        self.keys.reset()
        self.motion.reset()

    def select(self, key: FrameKey) -> None:
        """Tells components that read stored scores or flow, or motion vectors, which frame comes next."""
        select(self.keys.segmenter, key)
        self.motion.select(key)

    def step(self, rgb: Rgb, *, pts_seconds: float | None = None, motion: Motion | None = None) -> Result:
        """The next frame, (H, W, 3) uint8 RGB, as labels (H, W). Frames must keep their size until `reset`.

        Without `pts_seconds` the result's is NaN; without `motion` it is estimated here. Raises SettingError for
        anything but such a frame.
        """
        clock = self.clock()
        with self.ops.scope():
            image = self._image(rgb)
            motion = self.propagation.seen(motion or self.motion(image, clock), image)
            with clock("propagate"):
                history, is_cut = self._follow(motion)
            situation = None if history is None else self._situation(history, motion)
            state, is_new = self.keys(image, history, situation, clock, motion.appearance)
            reading = self.propagation.read(state, image, clock, motion.appearance)
        self._state = replace(reading.state, took_ms=clock.total_ms)
        index, self._count = self._count, self._count + 1
        return Result(
            index,
            math.nan if pts_seconds is None else pts_seconds,
            is_key=is_new,
            distance=state.distance,
            is_cut=is_cut,
            labels=self.ops.host(reading.labels, like=rgb),
            scores=reading.scores,
            stages_ms={**motion.stages_ms, **clock.stages_ms},
            reliability=None if state.reliability is None else self.ops.host(state.reliability, like=rgb),
        )

    def _image(self, rgb: Rgb) -> Rgb:
        image = self.ops.image(rgb)
        if self._state is not None:
            check_size(self._count, (image.shape[0], image.shape[1]), self._state.scores.image_hw)
        return image

    def _follow(self, motion: Motion) -> tuple[KeyState | None, bool]:
        """The history as this frame sees it, None where a clip or a scene begins; and whether a scene does."""
        if self._state is None or motion.flow is None:
            return None, False
        if self.cuts(motion):
            return None, True
        self.keys.follow(motion)
        return self.propagation.follow(self._state, motion), False

    def _situation(self, history: KeyState, motion: Motion) -> Situation:
        assert history.reliability is not None, "it has followed"
        assert motion.residual is not None, "it was followed"
        return Situation(self._count, history.distance, history.reliability, motion.residual, history.took_ms)

    def warm_up(self, size_hw: SizeHW) -> None:
        """Shows the engine two black frames of a size: what is compiled, is compiled then. Afterwards a clip begins."""
        if isinstance(self.keys.segmenter, Selecting):  # stored scores need none, and have none for such frames
            return
        self.reset()  # it may have seen another clip, of another size
        for _ in range(2):
            self.step(black(size_hw))
        with self.ops.scope():
            self.keys.warm_up(self.ops.image(black(size_hw)))
        self.reset()

    @property
    def notes(self) -> list[str]:
        """One line for each thing that is done differently than requested."""
        return [*notes_of(self.keys.segmenter), *notes_of(self.motion)]

    @property
    def schedule(self) -> Schedule:
        return self.keys.schedule

    @property
    def longest(self) -> int:
        """The largest distance that a result can have."""
        return self.keys.schedule.longest + self.keys.delay

    def describe(self) -> dict[str, Any]:
        """Everything that changes the numbers, as plain JSON values."""
        components = (self.keys, self.propagation, self.motion, self.cuts, self.ops)
        return {key: value for component in components for key, value in component.describe().items()}
