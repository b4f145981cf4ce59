"""Propagation by resampling scores in every frame, for comparison and for the published system."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from segtween.engine.clock import Clock
from segtween.engine.state import KeyState, Propagation, Reading
from segtween.interfaces import ArrayOps, Fusion, Refiner
from segtween.types import Appearance, Flow, Rgb, ScoreKind, SizeHW


class Resampling(Propagation):
    """`Propagation` whose scores go from frame to frame and are resampled in each, on their own grid, which is that of
    the reliability too. A `refiner` refines them there, frame after frame."""

    def __init__(
        self,
        ops: ArrayOps,
        *,
        fusion: Fusion,
        kind: ScoreKind,
        most_cells: int | None,
        tolerance: float,
        refiner: Refiner | None = None,
    ) -> None:
        super().__init__(ops, fusion=fusion, kind=kind, most_cells=most_cells, tolerance=tolerance)
        self.refiner = refiner

    def grid(self, state: KeyState, flow: Flow) -> SizeHW:  # noqa: ARG002
        return state.scores.grid_hw

    def read(self, state: KeyState, rgb: Rgb, clock: Clock, appearance: Appearance | None = None) -> Reading:  # noqa: ARG002
        if state.composed is not None:
            with clock("propagate"):
                state = replace(state, scores=self.score_map(state), composed=None)
            if self.refiner is not None and state.reliability is not None:
                with clock("refine"):
                    state = replace(state, scores=self.refiner(state.scores, rgb))
        with clock("label"):
            labels = self._labels(state, rgb)
        return Reading(state, labels, state.scores)

    def describe(self) -> dict[str, Any]:
        described = super().describe()
        described["propagation"]["scores"] = "resampled"
        return described if self.refiner is None else {**described, **self.refiner.describe()}
