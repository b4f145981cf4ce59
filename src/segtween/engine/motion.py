"""From frames to motion, an input of engines: estimated in place, prefetched, or once for several engines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.engine.clock import Clock
from segtween.interfaces import ArrayOps, BothWays, FlowEstimator, notes_of, select
from segtween.types import Frame, FrameKey, Motion, Rgb

View = NDArray[np.uint8]


class MotionEstimator:
    """The motion of each frame since the one before, by a flow estimator.

    With `bidirectional` forward flow is estimated as well; with `appearance` the motion has the frame's colours.
    `view` is what the estimator prepared of the last frame; None: the next one begins a clip.
    """

    def __init__(
        self, flow: FlowEstimator, *, ops: ArrayOps, bidirectional: bool = False, appearance: bool = False
    ) -> None:
        self.flow, self.ops, self.bidirectional, self.appearance = flow, ops, bidirectional, appearance
        self.view: View | None = None

    def reset(self) -> None:
        """The next frame begins a clip."""
        self.view = None

    def select(self, key: FrameKey) -> None:
        """Which frame comes next, for stored flow and motion vectors."""
        select(self.flow, key)

    def __call__(self, rgb: Rgb, clock: Clock) -> Motion:
        """The next frame, (H, W, 3). After one of another size it begins a clip."""
        with clock("prepare"):
            view = self.flow.prepare(rgb)
            seen = self.ops.appearance(rgb, (view.shape[0], view.shape[1])) if self.appearance else None
        previous, self.view = self.view, view
        if previous is None or previous.shape != view.shape:
            return Motion(view, appearance=seen)
        estimate = self._both_ways if self.bidirectional else self.between
        motion = estimate(view, previous, clock)
        return replace(motion, previous=previous, appearance=seen)

    def _both_ways(self, view: View, previous: View, clock: Clock) -> Motion:
        """`between` with the motion that leads the other way."""
        if not isinstance(self.flow, BothWays):
            return replace(self.between(view, previous, clock), forward=self.between(previous, view, clock))
        with clock("flow"):
            there, back = self.flow.both_ways(view, previous)
        residual = self.ops.residual
        with clock("propagate"):
            left, left_back = self.ops.each(
                [partial(residual, view, previous, there), partial(residual, previous, view, back)]
            )
        return Motion(view, there, left, forward=Motion(previous, back, left_back))

    def between(self, view: View, neighbour: View, clock: Clock) -> Motion:
        """The motion that leads from a frame to a neighbour."""
        with clock("flow"):
            flow = self.flow(view, neighbour)
        with clock("propagate"):
            residual = self.ops.residual(view, neighbour, flow)
        return Motion(view, flow, residual)

    def forward(self, motion: Motion, clock: Clock) -> Motion:
        """The motion that leads the other way: from the frame before to the one that `motion` is of."""
        assert motion.previous is not None, "a clip's first frame has no frame before it"
        return motion.forward or self.between(motion.previous, motion.view, clock)

    def ahead(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Motion]]:
        """The frames of a clip, each with its motion, whose `stages_ms` say what it took."""
        self.reset()
        for frame in frames:
            clock = Clock()
            self.select(frame)
            motion = self(frame.rgb, clock)
            yield frame, replace(motion, stages_ms=clock.stages_ms)

    @property
    def notes(self) -> list[str]:
        return notes_of(self.flow)

    def describe(self) -> dict[str, Any]:
        return self.flow.describe()
