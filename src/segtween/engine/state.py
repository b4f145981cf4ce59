"""The state of a key frame, and its propagation: composing flow, fusion, looking up labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.engine.clock import Clock
from segtween.geometry import stride_grid
from segtween.interfaces import ArrayOps, Fusion
from segtween.ops.cache import TwoEntryCache
from segtween.types import IGNORE, Appearance, Flow, Labels, LazyScores, Motion, Rgb, ScoreKind, ScoreMap, SizeHW

Float = NDArray[np.float32]
Source = tuple[ScoreMap, "Flow | None"]
"""Scores and the composed flow along which they are looked up; None: at their own key frame."""


@dataclass(frozen=True)
class KeyState:
    """A key frame's scores and the composed flow to them from the current frame.

    composed     (gh, gw, 2) flow from the current frame to the key frame; None at the key frame itself
    reliability  (gh, gw) in 0..1 of the scores where the flow leads; None at the key frame itself
    distance     frames since the key frame
    appearance   its colours, by which composed flow is matched
    took_ms      what the frame took for which the state was last used
    is_known     False while no scores have come at all
    own_labels   (H, W) the network's labels of the key frame itself, where `scores` would give others
    is_fused     whether the scores are blended with those of earlier key frames
    """

    scores: ScoreMap
    composed: Flow | None = None
    reliability: Float | None = None
    distance: int = 0
    appearance: Appearance | None = None
    took_ms: float = 0.0
    is_known: bool = True
    own_labels: Labels | None = None
    is_fused: bool = False


@dataclass(frozen=True)
class Reading:
    """A frame's labels (H, W), its scores or what computes them, and the state that goes on to the next frame."""

    state: KeyState
    labels: Labels
    scores: ScoreMap | Callable[[], ScoreMap]


def own_labels(ops: ArrayOps, detail: NDArray[Any], size_hw: SizeHW) -> Labels:
    """The labels (H, W) that a network gives to a frame: `detail` itself, or the argmax of its enlarged scores."""
    if detail.ndim == 2:
        return detail
    return ops.labels(ops.score_map(detail, kind="logits", most_cells=None, image_hw=size_hw), size_hw)


class Propagation:
    """Scores stay the key frame's own and are looked up along composed flow, on a grid half as fine as the flow's.

    `kind` and `most_cells` say what is kept of the network's scores; `tolerance`, in grey levels, how fast reliability
    fades: by exp(-(e / tolerance)^2) per frame, e being the motion's residual. With `match`, a quality, composed flow
    is matched by appearance (`ops.appearance`).
    """

    def __init__(
        self,
        ops: ArrayOps,
        *,
        fusion: Fusion,
        kind: ScoreKind,
        most_cells: int | None,
        tolerance: float,
        match: str | None = None,
    ) -> None:
        self.ops, self.fusion, self.kind = ops, fusion, kind
        self.most_cells, self.tolerance, self.match = most_cells, tolerance, match
        self._confidences, self._on_grid = TwoEntryCache[Float](), TwoEntryCache[Float]()

    def seen(self, motion: Motion, rgb: Rgb) -> Motion:
        """A frame's motion with its appearance, where that is needed and not known yet."""
        if self.match is None or motion.appearance is not None:
            return motion
        grid_hw = motion.view.shape[0], motion.view.shape[1]
        return replace(motion, appearance=self.ops.appearance(rgb, grid_hw))

    def follow(self, state: KeyState, motion: Motion) -> KeyState:
        """The state as the frame sees it that `motion` leads from: one frame farther from the key frame."""
        assert motion.flow is not None, "there is a frame to lead to"
        assert motion.residual is not None, "as for the flow"
        reliability, composed = self.ops.follow(
            state.reliability,
            state.composed,
            motion.flow,
            motion.residual,
            grid_hw=self.grid(state, motion.flow),
            tolerance=self.tolerance,
        )
        if self.match is not None and motion.appearance is not None and state.appearance is not None:
            composed = self.ops.match(composed, motion.appearance, state.appearance, quality=self.match)
        distance = state.distance + 1
        return replace(state, composed=composed, reliability=reliability, distance=distance, own_labels=None)

    def grid(self, state: KeyState, flow: Flow) -> SizeHW:  # noqa: ARG002
        """Of the composed flow and the reliability."""
        return stride_grid((flow.shape[0], flow.shape[1]), 2)

    def key(
        self,
        logits: Float,
        history: KeyState | None,
        *,
        image_hw: SizeHW,
        appearance: Appearance | None = None,
        detail: NDArray[Any] | None = None,
    ) -> KeyState:
        """A key frame's state: the network's scores, blended with the history's where that is reliable.

        Where nothing is blended its labels are the network's own: those of `detail` (`interfaces.Detailed`), or of the
        logits before they are reduced to what is propagated.
        """
        fresh = self.ops.score_map(logits, kind=self.kind, most_cells=self.most_cells, image_hw=image_hw)
        share = None if history is None or history.reliability is None else self.fusion(history.reliability)
        if history is None or share is None:
            own = self._own_labels(logits if detail is None else detail, fresh)
            return KeyState(fresh, appearance=appearance, own_labels=own)
        values = self.ops.blend(fresh.values, history.scores.values, history.composed, share)
        return KeyState(replace(fresh, values=values), appearance=appearance, is_fused=True)

    def _own_labels(self, detail: NDArray[Any], fresh: ScoreMap) -> Labels | None:
        """The network's labels; None where those of the scores that are propagated are the same."""
        if fresh.kind == "logits" and fresh.values.shape == detail.shape:
            return None
        return own_labels(self.ops, detail, fresh.image_hw)

    def read(self, state: KeyState, rgb: Rgb, clock: Clock, appearance: Appearance | None = None) -> Reading:
        """The frame's labels from its state; near their edges matched by the frame's appearance."""
        with clock("label"):
            labels = self._labels(state, rgb)
            if state.is_known:
                labels = self.matched(labels, [state], appearance)
        return Reading(state, labels, self.lazy_scores(state))

    def _labels(self, state: KeyState, rgb: Rgb) -> Labels:
        size_hw = rgb.shape[0], rgb.shape[1]
        if not state.is_known:
            return np.full(size_hw, IGNORE, np.uint8)
        if state.own_labels is not None:
            return state.own_labels
        return self.ops.labels(state.scores, size_hw, composed=state.composed)

    def matched(
        self, labels: Labels, states: Sequence[KeyState], appearance: Appearance | None, share: Float | None = None
    ) -> Labels:
        """Labels read from one key frame, or two with the `share` of the second, matched near their edges by the
        frame's appearance; what cannot be matched stays."""
        found = [
            (state.scores, state.composed, state.appearance)
            for state in states
            if state.composed is not None and state.appearance is not None
        ]
        if self.match is None or appearance is None or len(found) < len(states):
            return labels
        return self.ops.match_labels(labels, found, appearance, share, quality=self.match)

    def score_map(self, state: KeyState) -> ScoreMap:
        """The scores where the composed flow leads, on their own grid."""
        if state.composed is None:
            return state.scores
        values, _ = self.ops.warp(state.scores.values, self.ops.resize_flow(state.composed, state.scores.grid_hw))
        return replace(state.scores, values=values)

    def lazy_scores(self, state: KeyState) -> LazyScores:
        """Those of `score_map`, and their confidence."""
        confidence = partial(self.confidence, (state.scores, state.composed))
        return LazyScores(partial(self.score_map, state), confidence, partial(self.mean_confidence, state))

    def confidence(
        self, first: Source, second: Source | None = None, share: Float | None = None, *, step: int = 1
    ) -> Float:
        """The largest class probability of every `step`-th cell of every `step`-th row, of scores where the composed
        flow leads; of two sources mixed, the second with its `share`."""
        confidence: Float = self.ops.host(self.ops.confidence(first, second, share, step=step), like=None)
        return confidence

    def mean_confidence(self, state: KeyState) -> float:
        """The mean of the key frame's confidence, over the composed flow's cells where there is such flow: where each
        leads. It is made once for a key frame."""
        known = self._confidences(state.scores.values, lambda: self.ops.confidence((state.scores, None)))
        if state.composed is not None:
            grid_hw = state.composed.shape[0], state.composed.shape[1]
            at_key = self._on_grid(known, lambda: self.ops.resize(known, grid_hw))
            known, _ = self.ops.warp(at_key[None], state.composed)
        return float(self.ops.host(known, like=None).mean(dtype=np.float64))

    def describe(self) -> dict[str, Any]:
        """Everything that changes the numbers, as plain JSON values."""
        settings = {"kind": self.kind, "most_cells": self.most_cells, "tolerance": self.tolerance}
        match = {} if self.match is None else self.ops.describe_matching(self.match)
        propagation = {"scores": "composed flow", **settings, **match}
        return {"propagation": propagation, "refine": "none", **self.fusion.describe()}
