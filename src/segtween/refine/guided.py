"""Refinement by guided spatially-varying convolution (Lee et al., GSVNet, ICME 2021, section 3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import ModelError
from segtween.models.components import Component
from segtween.ops.reference import pad_image, shrink_image
from segtween.runtimes.base import Runtime
from segtween.types import Rgb, ScoreMap


class GuidedRefinement:
    """The exported network in a runtime: (propagated logits, the current image on their grid) -> logits.

    `edge` is the label map's edge (h, w) of 0 and 1 that guided the last call, None before the first.
    """

    def __init__(self, component: Component, runtime: Runtime, *, classes: int) -> None:
        if component.classes != classes:
            raise ModelError(
                f"the refinement in {component.origin} is for {component.classes} classes",
                expected=f"{classes}, as the segmentation network has",
                do="give weights trained for these classes (weights=), or refine='none'",
            )
        self.component, self.runtime = component, runtime
        self.edge: NDArray[np.float32] | None = None

    def __call__(self, scores: ScoreMap, rgb: Rgb) -> ScoreMap:
        whole = rgb if scores.spans_hw is None else pad_image(rgb)
        image = self.component.preprocess(shrink_image(whole, scores.grid_hw))
        refined, edge = self.runtime.run(scores.values[None], image)
        self.edge = edge[0, 0]
        return replace(scores, values=np.ascontiguousarray(refined[0], np.float32))

    def describe(self) -> dict[str, Any]:
        return {"refine": self.component.describe(), "edge": self.component.edge}
