"""The causal engine on a card, with the work of a frame captured: one call that is replayed (`device.graphs`).

    between key frames   view, flow, residual, following and labels are one call, made before it is known whether a new
                         scene begins. That and the reliability come back as two numbers, the only thing that a frame
                         waits for; after a cut its labels are made again from the network
    key frames           the network is at work before those numbers are read

The calls are composed of the engine's own functions (`MotionEstimator.between`, `Propagation.follow` and `key`), so
that both ways give the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segtween.device.graphs import AsyncCopy, Captured, Recorder
from segtween.engine.causal import CausalEngine
from segtween.engine.clock import Clock
from segtween.engine.keys import KeyFrames
from segtween.engine.motion import MotionEstimator
from segtween.engine.state import KeyState, own_labels
from segtween.geometry import stride_grid
from segtween.interfaces import CutDetector, Situation, segmented
from segtween.types import Appearance, Motion, Result, ScoreMap, SizeHW


class CapturedEngine(CausalEngine):
    """`CausalEngine` of components on a device. `record` says how calls are captured (`device.graphs`).

    Frames are NumPy arrays, whose labels come back as such, or tensors, whose labels stay in the device's memory and
    may still be in flight.
    """

    motion: MotionEstimator

    def __init__(self, keys: KeyFrames, motion: MotionEstimator, cuts: CutDetector, *, record: Recorder | None) -> None:
        super().__init__(keys, motion, cuts)
        self._arrive = Captured(self._arriving, record=record)
        self._between = Captured(self._labelled, record=record)
        self._key = Captured(self._fused, record=record)

    def step(self, rgb: Any, *, pts_seconds: float | None = None, motion: Motion | None = None) -> Result:
        state, view = self._state, self.motion.view
        if motion is not None or state is None or view is None:
            return super().step(rgb, pts_seconds=pts_seconds, motion=motion)
        with self.ops.scope():
            result = self._captured(self._image(rgb), state, view)
        index, self._count = self._count, self._count + 1
        return replace(
            result,
            index=index,
            pts_seconds=math.nan if pts_seconds is None else pts_seconds,
            labels=self.ops.host(result.labels, like=rgb),
            reliability=None if result.reliability is None else self.ops.host(result.reliability, like=rgb),
        )

    @property
    def notes(self) -> list[str]:
        calls = (self._arrive, self._between, self._key)
        return list(dict.fromkeys([*super().notes, *(note for call in calls for note in call.notes)]))

    def _captured(self, rgb: Any, state: KeyState, view: Any) -> Result:
        clock, schedule = self.clock(), self.keys.schedule
        situation = Situation(self._count, state.distance + 1, _NONE, _NONE, state.took_ms)
        is_key = schedule.by_distance and schedule.is_key(situation)
        with clock("propagate"):
            given = rgb, view, *_tensors(state, view), *_colours(state.appearance)
            made = self._arrive(*given) if is_key else self._between(*given, state.scores.values)
            reliability, composed, numbers = made[1], made[2], AsyncCopy(made[3])
            self.motion.view, appearance = made[0], _appearance(*made[4:6])
        answer = self._network(rgb, clock) if is_key else None  # begins before the numbers are there
        with clock("propagate"):
            is_cut = self.cuts.is_cut(numbers.read()[0])
            if not schedule.by_distance and not is_cut:
                known = np.full((1, 1), numbers.read()[1], np.float32)
                is_key = schedule.is_key(replace(situation, reliability=known))
        distance = state.distance + 1
        followed: Any = replace(state, composed=composed, reliability=reliability, distance=distance, own_labels=None)
        if not is_key and not is_cut:
            scores: Any = self.propagation.lazy_scores(followed)
            labels = made[6]
        else:
            answer = self._network(rgb, clock) if answer is None else answer
            with clock("label"):
                scores, labels = self._labelled_key(answer, None if is_cut else followed, rgb)
            followed = KeyState(scores, appearance=appearance)
        self._state = replace(followed, took_ms=clock.total_ms)
        return Result(
            0, math.nan, is_key=is_key or is_cut, distance=followed.distance, is_cut=is_cut, labels=labels,
            scores=scores, stages_ms=clock.stages_ms, reliability=followed.reliability,
        )  # fmt: skip

    def _network(self, rgb: Any, clock: Clock) -> Any:
        with clock("segment"):
            return segmented(self.keys.segmenter, rgb)

    def _labelled_key(self, answer: Any, history: KeyState | None, rgb: Any) -> tuple[ScoreMap, Any]:
        """A key frame's scores and labels; no history after a cut, where nothing is captured."""
        (logits, detail), size_hw = answer, (rgb.shape[0], rgb.shape[1])
        if history is None:
            state = self.propagation.key(logits, None, image_hw=size_hw, detail=detail)
            return state.scores, self._labels_of(state, size_hw)
        given: Any = history.scores.values, history.composed, history.reliability
        values, labels = self._key(logits, *given, rgb[..., :0])
        if detail is not None and self.propagation.fusion(given[2]) is None:
            labels = own_labels(self.ops, detail, size_hw)
        return replace(history.scores, values=values), labels

    def _labels_of(self, state: KeyState, size_hw: SizeHW) -> Any:
        return self.ops.labels(state.scores, size_hw) if state.own_labels is None else state.own_labels

    # ── The captured calls: tensors -> tensors ────────────────────────────────────────────────

    def _arriving(
        self, rgb: Tensor, before: Tensor, reliability: Tensor, composed: Tensor, fine: Tensor, coarse: Tensor
    ) -> Sequence[Tensor]:
        """View, reliability and composed flow of a frame that follows; whether it follows at all, and how reliable; its
        own colours. `fine` and `coarse` are the key frame's."""
        view: Any = self.motion.flow.prepare(rgb)
        seen: Any = self.ops.appearance(rgb, (view.shape[0], view.shape[1])) if self.motion.appearance else None
        motion = replace(self.motion.between(view, before, Clock()), appearance=seen)
        state: Any = self.propagation.follow(_state(_EMPTY, composed, reliability, _appearance(fine, coarse)), motion)
        score = torch.as_tensor(self.cuts.score(motion), dtype=torch.float32, device=view.device)
        return view, state.reliability, state.composed, torch.stack((score, state.reliability.mean())), *_colours(seen)

    def _labelled(
        self,
        rgb: Tensor,
        before: Tensor,
        reliability: Tensor,
        composed: Tensor,
        fine: Tensor,
        coarse: Tensor,
        scores: Tensor,
    ) -> Sequence[Tensor]:
        arrived = self._arriving(rgb, before, reliability, composed, fine, coarse)
        size_hw: SizeHW = rgb.shape[0], rgb.shape[1]
        found: Any = ScoreMap(scores, self.propagation.kind, size_hw)
        labels = self.ops.labels(found, size_hw, composed=arrived[2])
        state = _state(found, arrived[2], arrived[1], _appearance(fine, coarse))
        return *arrived, self.propagation.matched(labels, [state], _appearance(*arrived[4:6]))

    def _fused(
        self, logits: Tensor, before: Tensor, composed: Tensor, reliability: Tensor, frame: Tensor
    ) -> Sequence[Tensor]:
        """A key frame's scores, blended with the history, and its labels; `frame` (H, W, 0) has its size."""
        size_hw: SizeHW = frame.shape[0], frame.shape[1]
        history = _state(ScoreMap(before, self.propagation.kind, size_hw), composed, reliability)
        state: Any = self.propagation.key(logits, history, image_hw=size_hw)
        return state.scores.values, self._labels_of(state, size_hw)


def _state(scores: ScoreMap, composed: Any, reliability: Any, appearance: Appearance | None = None) -> KeyState:
    return KeyState(scores, composed, reliability, appearance=appearance)


def _colours(appearance: Appearance | None) -> tuple[Any, Any]:
    """As tensors; empty ones where flow is not matched."""
    none = torch.empty((0, 0, 3), dtype=torch.uint8)
    return (none, none) if appearance is None else (appearance.fine, appearance.coarse)


def _appearance(fine: Any, coarse: Any) -> Appearance | None:
    return Appearance(fine, coarse) if fine.numel() else None


def _tensors(state: KeyState, view: Any) -> tuple[Any, Any]:
    """Reliability and composed flow; at a key frame, wholly reliable and zero flow."""
    if state.composed is not None and state.reliability is not None:
        return state.reliability, state.composed
    grid = stride_grid((view.shape[0], view.shape[1]), 2)
    return torch.ones(grid, device=view.device), torch.zeros((*grid, 2), device=view.device)


_NONE = np.zeros((1, 1), np.float32)
_EMPTY = ScoreMap(np.zeros((1, 1, 1), np.float32), "logits", (1, 1))
"""In place of scores where only composed flow is propagated."""
