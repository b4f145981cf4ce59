"""Scene cuts: where flow does not explain the new frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from segtween.types import Motion

OUTSIDE = 2.0
"""What came from outside the image counts as a residual of OUTSIDE times the contrast: a cut sends flow everywhere."""


class ResidualCuts:
    """A cut is where the frame, minus the previous one moved along the flow, keeps much of its contrast.

    The residual is the mean absolute difference after motion; the contrast is the frame's mean absolute
    deviation from its mean. The score is about 0.1 from frame to frame and up to 0.4 across three frames of a fast
    drive; across scenes it is 0.6 and more. A sudden jump of exposure may count as a cut: that costs one network run.
    (Taking the difference of the means off the residual spares it, but then cuts between alike scenes are missed.)
    """

    def __init__(self, *, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def score(self, motion: Motion) -> float:
        """Residual over contrast."""
        assert motion.residual is not None, "there is a frame before"
        some = motion.view[::2, ::2].astype(
            np.float32
        )  # a quarter of the pixels gives the same in a quarter of the time
        contrast = max(float(np.abs(some - some.mean()).mean()), 4.0)
        left = motion.residual[::2, ::2]
        return float(np.where(left < 255, left, np.float32(OUTSIDE * contrast)).mean()) / contrast

    def is_cut(self, score: float) -> bool:
        return score > self.threshold

    def __call__(self, motion: Motion) -> bool:
        return self.is_cut(float(self.score(motion)))

    def describe(self) -> dict[str, Any]:
        return {"cuts": "residual", "threshold": self.threshold, "outside": OUTSIDE}


class NoCuts(ResidualCuts):
    """Takes the whole input as one scene."""

    def score(self, motion: Motion) -> float:  # noqa: ARG002
        return 0.0

    def describe(self) -> dict[str, Any]:
        return {"cuts": "off"}
