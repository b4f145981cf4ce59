"""For files, where the future is known: a frame between two key frames hears both of them.

    key frame       as in the engine: scores = network(frame), blended with the history; or given labels
    other frames    a path leads along the flow to the key frame before, another, along the flow in the other
                    direction, to the key frame after; labels are read from both, at full resolution
    share           of the later key frame = its trust x frames since the earlier one, against the earlier one's trust x
                    frames until the later one

Frames are given out late: once the next key frame is there. Memory is bounded by one period. No path crosses a scene
cut: before a cut, at the end, and before the first key frame, one side speaks alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.engine import Clock
from segtween.engine.keys import Float, KeySource, KeyView, LabelKeySource, NetworkKeySource, Sides
from segtween.errors import SettingError
from segtween.geometry import stride_grid
from segtween.interfaces import BetweenOps, CutDetector, FlowEstimator
from segtween.types import Flow, Frame, Result, Rgb, SizeHW, check_rgb, format_size

__all__ = ["BidirectionalEngine", "KeySource", "KeyView", "LabelKeySource", "NetworkKeySource", "Sides"]

LEAST_TRUST = 1e-3
"""Added to both sides' trust, so that where neither is to be trusted the nearer one speaks louder."""


@dataclass
class _Waiting:
    """A frame that was not given out yet. `onward` leads to the frame after it: path and trust of that step."""

    index: int
    pts_seconds: float
    size_hw: SizeHW
    is_cut: bool
    clock: Clock
    before: KeyView | None
    onward: tuple[Flow, Float] | None = None


class BidirectionalEngine:
    """Results for every frame, in order but late. `tolerance` is that of `engine.Carry`, in grey levels."""

    def __init__(
        self, keys: KeySource, flow: FlowEstimator, *, ops: BetweenOps, cuts: CutDetector, tolerance: float = 10.0
    ) -> None:
        self.keys, self.flow, self.ops, self.cuts, self.tolerance = keys, flow, ops, cuts, tolerance
        self.reset()

    def reset(self) -> None:
        """Forgets everything: the next frame has index 0 and begins a scene."""
        self._waiting: list[_Waiting] = []
        self._last: _Waiting | None = None
        self._view: NDArray[np.uint8] | None = None
        self._count = 0

    def select(self, key: str | int) -> None:
        """Tells a segmenter with stored scores which frame comes next, by its name or index."""
        self.keys.select(key)

    def step(self, rgb: Rgb, *, pts_seconds: float | None = None) -> Result:  # noqa: ARG002
        """Always SettingError: one frame alone has no result yet."""
        raise SettingError(
            "one step of the offline mode",
            expected="a whole clip: it looks at the next key frame first",
            do="use stream() or run(), or leave offline out",
        )

    def push(self, rgb: Rgb, *, pts_seconds: float | None = None) -> list[Result]:
        """The next frame, (H, W, 3) uint8 RGB; the results that it completes, in order. Frames must keep their size.

        Raises SettingError for anything but such a frame, and what the keys raise.
        """
        size_hw = check_rgb(rgb).shape[0], rgb.shape[1]
        if self._last is not None and self._last.size_hw != size_hw:
            raise SettingError(
                f"frame {self._count} is {format_size(size_hw)}",
                expected=f"{format_size(self._last.size_hw)} as before",
                do="call reset() where a new clip begins",
            )
        clock, index, last = Clock(), self._count, self._last
        with clock("prepare"):
            view = self.flow.prepare(rgb)
        before, cut = None, False
        if last is not None and self._view is not None:
            before, cut = self._follow(last, self._view, view, clock)
        done = self._give_out(None) if cut else []
        seconds = math.nan if pts_seconds is None else pts_seconds
        now = _Waiting(index, seconds, size_hw, cut, clock, before)
        if self.keys.is_key(index, None if before is None else before.distance):
            with clock(self.keys.stage):
                now.before = KeyView(self.keys.say(rgb, before))
            done += self._give_out(now.before)
        self._waiting.append(now)
        self._view, self._last, self._count = view, now, index + 1
        return done if self.keys.may_follow(index) else done + self._give_out(None)

    def finish(self) -> list[Result]:
        """The results that were still waiting for a key frame. The next frame begins a new clip."""
        done = self._give_out(None)
        self.reset()
        return done

    def stream(self, source: Iterable[Frame] | Iterable[Rgb]) -> Iterator[Result]:
        """One result for every frame, in order; starts afresh."""
        self.reset()
        for item in source:
            self.select(self._count)
            if isinstance(item, Frame):
                yield from self.push(item.rgb, pts_seconds=float(item.pts_seconds))
            else:
                yield from self.push(item)
        yield from self.finish()

    def describe(self) -> dict[str, Any]:
        """Everything that changes the numbers, as plain JSON values."""
        parts = (self.keys, self.flow, self.cuts, self.ops)
        described = {key: value for part in parts for key, value in part.describe().items()}
        return {"sides": "both", "tolerance": self.tolerance, **described}

    def _follow(
        self, last: _Waiting, past: NDArray[np.uint8], view: NDArray[np.uint8], clock: Clock
    ) -> tuple[KeyView | None, bool]:
        """How the new frame sees the earlier key frame, and whether a new scene begins with it."""
        with clock("flow"):
            back = self.flow(view, past)
        with clock("propagate"):
            error = self.ops.difference(view, past, back)
            if self.cuts(view, past, error):
                return None, True
        if self.keys.may_follow(last.index):
            with clock("flow"):
                ahead = self.flow(past, view)
            with clock("propagate"):
                last.onward = self._one_step(ahead, self.ops.difference(past, view, ahead))
        with clock("propagate"):
            return self._one_farther(last.before, self._one_step(back, error)), False

    def _one_step(self, motion: Flow, error: Float) -> tuple[Flow, Float]:
        """Path and trust from a frame to its neighbour, on a grid half as fine as the flow's."""
        path = self.ops.resize_flow(motion, stride_grid((motion.shape[0], motion.shape[1]), 2))
        error = self.ops.resize(error, (path.shape[0], path.shape[1]))
        return path, np.exp(-np.square(error / np.float32(self.tolerance)))

    def _one_farther(self, reach: KeyView | None, step: tuple[Flow, Float]) -> KeyView | None:
        """The same key frame, seen from the neighbour that the step leads from."""
        if reach is None:
            return None
        near, trust = step
        beyond = np.ones_like(trust) if reach.trust is None else reach.trust
        carried, inside = self.ops.warp(beyond[None], near)
        path = near if reach.path is None else self.ops.join(near, reach.path)
        return KeyView(reach.said, path, trust * carried[0] * inside, reach.distance + 1)

    def _give_out(self, after: KeyView | None) -> list[Result]:
        """The waiting frames, with `after` the key frame that follows them, if one does in their scene."""
        done = []
        for waiting in reversed(self._waiting):
            if after is not None:
                assert waiting.onward is not None
                with waiting.clock("propagate"):
                    after = self._one_farther(after, waiting.onward)
            done.append(self._result(waiting, after))
        self._waiting = []
        return done[::-1]

    def _result(self, waiting: _Waiting, after: KeyView | None) -> Result:
        before = waiting.before
        is_key = before is not None and before.distance == 0
        if is_key:
            after = None
        nearest = before or after
        with waiting.clock("label"):
            sides = Sides(before, after, _share(before, after))
            labels = self.keys.read(sides, waiting.size_hw)
        return Result(
            waiting.index,
            waiting.pts_seconds,
            is_key=is_key,
            distance=0 if nearest is None else nearest.distance,
            is_cut=waiting.is_cut,
            labels=labels,
            scores=partial(self.keys.scores, sides, waiting.size_hw),
            stages_ms=waiting.clock.stages_ms,
        )


def _share(before: KeyView | None, after: KeyView | None) -> Float | None:
    """The later key frame's part, (gh, gw) in 0..1; None where not both speak."""
    if before is None or after is None or before.trust is None or after.trust is None:
        return None
    first = (before.trust + np.float32(LEAST_TRUST)) * np.float32(after.distance)
    second = (after.trust + np.float32(LEAST_TRUST)) * np.float32(before.distance)
    return np.asarray(second / (first + second), np.float32)
