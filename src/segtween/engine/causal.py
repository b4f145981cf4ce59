"""The whole idea: the network on key frames, its scores read along optical flow in between.

    key frame       scores = network(frame), blended with the history where that is reliable
    other frames    path = flow to the previous frame, joined with the path from there to the key frame
    every frame     labels = argmax of the key frame's scores where the path leads, enlarged to the frame

What the key frame cannot know may be corrected from the frame itself. Older ways, for comparison, resample the scores
in each frame (`Carry.resample`), and may refine them there.

The engine knows no model, runtime or video library: it is given built parts (`segtween.interfaces`;
`segtween.build` puts them together).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError
from segtween.geometry import stride_grid
from segtween.interfaces import (
    ArrayOps,
    CutDetector,
    FlowEstimator,
    Fusion,
    Refiner,
    ResamplingRefiner,
    Schedule,
    Segmenter,
    Situation,
)
from segtween.types import (
    Correction,
    Flow,
    Frame,
    Labels,
    Result,
    Rgb,
    ScoreKind,
    ScoreMap,
    SizeHW,
    format_size,
)


@dataclass(frozen=True)
class Carry:
    """What is carried (`kind`), on which grid (`most_cells`: the scores' own grid reduced to at most so many
    cells), and how fast trust in it fades: r = exp(-(e / tolerance)^2) per frame, e = how far the moved previous
    image is from the current one, in grey levels.

    With `resample` scores go from frame to frame and are resampled in each. Without, the flows since the key frame are
    joined to one path, on a grid half as fine as the flow's, which is the grid of the trust too, and labels are read
    along it from the key frame's scores. A refinement resamples in any case."""

    kind: ScoreKind = "probabilities"
    most_cells: int = 40_000
    tolerance: float = 10.0
    resample: bool = True


@dataclass
class Past:
    """What the next frame needs of this one: scores, the flow that leads from it to the frame they are of, and how far
    they can be trusted (None, both: they are of this frame)."""

    view: NDArray[np.uint8]
    scores: ScoreMap
    path: Flow | None
    reliability: NDArray[np.float32] | None
    distance: int
    took_ms: float
    seen: NDArray[np.uint8] | None = None
    """What the refiner saw of the frame that the scores are of."""


@dataclass
class History:
    """What is known of a frame before the network sees it: scores, the path that leads to them, their reliability; and
    what may make it a key frame."""

    scores: ScoreMap
    path: Flow | None
    reliability: NDArray[np.float32]
    situation: Situation
    seen: NDArray[np.uint8] | None = None
    """What the refiner saw of the frame that the scores are of."""
    is_new: bool = False
    """Whether these are the scores of another key frame than the frame before had (`segtween.engine.delayed`)."""


class Engine:
    """Labels for every frame. `flow=None` runs the plain network on every frame, without memory."""

    def __init__(
        self,
        segmenter: Segmenter,
        flow: FlowEstimator | None,
        *,
        ops: ArrayOps,
        schedule: Schedule,
        fusion: Fusion,
        resampling_refiner: ResamplingRefiner | None,
        cuts: CutDetector,
        carry: Carry,
        refiner: Refiner | None = None,
    ) -> None:
        self.segmenter, self.flow, self.ops, self.schedule = segmenter, flow, ops, schedule
        self.fusion, self.resampling_refiner, self.refiner, self.cuts, self.carry = (
            fusion,
            resampling_refiner,
            refiner,
            cuts,
            carry,
        )
        self.clock: Callable[[], Clock] = Clock
        self._past: Past | None = None
        self._count = 0

    def reset(self) -> None:
        """Forgets everything: the next frame is a key frame, with index 0."""
        self._past, self._count = None, 0
        self.schedule.reset()

    def select(self, key: str | int) -> None:
        """Tells parts that read stored scores or flow which frame comes next, by its name or index."""
        for part in (self.segmenter, self.flow):
            chosen = getattr(part, "select", None)
            if chosen is not None:
                chosen(key)

    def step(self, rgb: Rgb, *, pts_seconds: float | None = None) -> Result:
        """The next frame, (H, W, 3) uint8 RGB, as labels (H, W). Frames must keep their size until `reset`.

        Without `pts_seconds` the result's is NaN. Raises SettingError for anything but such a frame.
        """
        rgb = self.ops.image(rgb)
        size_hw = rgb.shape[0], rgb.shape[1]
        clock, past, flow = self.clock(), self._past, self.flow
        if flow is None:
            return self._plain(rgb, size_hw, clock, pts_seconds)
        if past is not None and past.scores.image_hw != size_hw:
            raise SettingError(
                f"frame {self._count} is {format_size(size_hw)}",
                expected=f"{format_size(past.scores.image_hw)} as before",
                do="call reset() where a new clip begins",
            )
        with clock("prepare"):
            view = flow.prepare(rgb)
        history, cut = None, False
        if past is not None:
            with clock("flow"):
                motion = flow(view, past.view)
            with clock("propagate"):
                error = self.ops.difference(view, past.view, motion)
                cut = self.cuts(view, past.view, error)
                history = None if cut else self._follow(past, motion, error)
        history, is_key = self._decide(rgb, history, clock)
        distance = 0 if history is None or is_key else history.situation.distance
        if is_key:
            with clock("segment"):
                logits = self.segment(rgb)
            with clock("propagate"):
                scores, path = self._fuse(logits, history, size_hw), None
            reliability = None
        else:
            assert history is not None
            scores, path, reliability = history.scores, history.path, history.reliability
            if self.carry.resample:
                with clock("propagate"):
                    scores, path = self._moved(scores, path), None
            if self.resampling_refiner is not None:
                with clock("refine"):
                    scores, path = self.resampling_refiner(self._moved(scores, path), rgb, reliability), None
        seen, correction = None, None
        if self.refiner is not None:
            with clock("refine"):
                seen, correction = self._correct(self.refiner, rgb, scores, path, history, distance)
        with clock("label"):
            labels = self.ops.labels(scores, size_hw, path=path, correction=correction)
        self._past = Past(view, scores, path, reliability, distance, clock.total_ms, seen)
        carried = scores if path is None else partial(self._mixed, scores, path, correction)
        is_new = is_key or (history is not None and history.is_new)
        flags = {"is_key": is_new, "distance": distance, "is_cut": cut, "reliability": reliability}
        return self._result(labels, carried, clock, pts_seconds, **flags)

    def push(self, rgb: Rgb, *, pts_seconds: float | None = None) -> list[Result]:
        """`step` in the form that the offline mode has, where a frame may complete none or several results."""
        return [self.step(rgb, pts_seconds=pts_seconds)]

    def finish(self) -> list[Result]:
        """What is still to come after the last frame: nothing."""
        return []

    def stream(self, source: Iterable[Frame] | Iterable[Rgb]) -> Iterator[Result]:
        """One result for every frame, as they come; starts afresh."""
        self.reset()
        for item in source:
            self.select(self._count)
            if isinstance(item, Frame):
                yield self.step(item.rgb, pts_seconds=float(item.pts_seconds))
            else:
                yield self.step(item)

    def describe(self) -> dict[str, Any]:
        """Everything that changes the numbers, as plain JSON values."""
        network = self.segmenter.describe()
        if self.flow is None:
            return {"network": network, **self.ops.describe()}
        # Left out where scores are resampled, so that records from before there was a choice keep their hash.
        carry = {k: v for k, v in asdict(self.carry).items() if k != "resample" or not v}
        repair = self.refiner or self.resampling_refiner
        refine = {"refine": "none"} if repair is None else repair.describe()
        parts = (self.flow, self.schedule, self.fusion, self.cuts, self.ops)
        others = {key: value for part in parts for key, value in part.describe().items()}
        return {"network": network, "carry": carry, **refine, **others}

    def _plain(self, rgb: Rgb, size_hw: SizeHW, clock: Clock, pts_seconds: float | None) -> Result:
        with clock("segment"):
            carried = self.ops.carry(self.segmenter(rgb), kind="logits", most_cells=None, image_hw=size_hw)
        with clock("label"):
            labels = self.ops.labels(carried, size_hw)
        return self._result(labels, carried, clock, pts_seconds, is_key=True, distance=0, is_cut=False)

    def _follow(self, past: Past, motion: Flow, error: NDArray[np.float32]) -> History:
        """The kept scores, the path that leads to them from the frame after, and how far they can be trusted there."""
        half = stride_grid((motion.shape[0], motion.shape[1]), 2)
        grid = past.scores.grid_hw if self.carry.resample else half
        trust, path = self.ops.follow(
            past.reliability, past.path, motion, error, grid_hw=grid, tolerance=self.carry.tolerance
        )
        situation = Situation(self._count, past.distance + 1, trust, error, past.took_ms)
        return History(past.scores, path, trust, situation, past.seen)

    def _decide(self, rgb: Rgb, history: History | None, clock: Clock) -> tuple[History | None, bool]:  # noqa: ARG002
        """Whether this is a key frame; and the history, which may be another one from here on."""
        return history, history is None or self.schedule.is_key(history.situation)

    def segment(self, rgb: Rgb) -> NDArray[np.float32]:
        """The network's scores of a frame, alone."""
        return self.segmenter(rgb)

    def _moved(self, scores: ScoreMap, path: Flow | None) -> ScoreMap:
        """Scores where the path leads, on their own grid."""
        if path is None:
            return scores
        values, _ = self.ops.warp(scores.values, self.ops.resize_flow(path, scores.grid_hw))
        return replace(scores, values=values)

    def _correct(
        self, refiner: Refiner, rgb: Rgb, scores: ScoreMap, path: Flow | None, history: History | None, distance: int
    ) -> tuple[NDArray[np.uint8], Correction | None]:
        """What the refiner saw of the frame that the scores are of, and what it puts in their place."""
        sight = refiner.see(rgb)
        if path is None or history is None or history.seen is None:
            return sight, None
        return history.seen, refiner(scores, path, history.seen, sight, distance)

    def _mixed(self, scores: ScoreMap, path: Flow, correction: Correction | None) -> ScoreMap:
        """Scores where the path leads, and those of the correction in their share, on their own grid."""
        moved = self._moved(scores, path)
        if correction is None:
            return moved
        grid = moved.grid_hw
        other = np.stack([self.ops.resize(plane, grid) for plane in correction.scores.values])
        return replace(moved, values=moved.values + self.ops.resize(correction.share, grid) * (other - moved.values))

    def _fuse(self, logits: NDArray[np.float32], history: History | None, size_hw: SizeHW) -> ScoreMap:
        fresh = self.ops.carry(logits, kind=self.carry.kind, most_cells=self.carry.most_cells, image_hw=size_hw)
        share = None if history is None else self.fusion(history.reliability)
        if history is None or share is None:
            return fresh
        return replace(fresh, values=self.ops.blend(fresh.values, history.scores.values, history.path, share))

    def _result(
        self,
        labels: Labels,
        scores: ScoreMap | Callable[[], ScoreMap],
        clock: Clock,
        pts_seconds: float | None,
        **flags: Any,
    ) -> Result:
        index, self._count = self._count, self._count + 1
        seconds = math.nan if pts_seconds is None else pts_seconds
        return Result(index, seconds, labels=labels, scores=scores, stages_ms=clock.stages_ms, **flags)


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
            self.stages_ms[stage] = self.stages_ms.get(stage, 0.0) + (time.perf_counter() - began) * 1e3
