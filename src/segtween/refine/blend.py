"""Fusion at key frames: the weight of the propagated history against the fresh scores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError


class Replace:
    """A key frame's own scores alone; the history is dropped."""

    def __call__(self, reliability: NDArray[np.float32]) -> None:  # noqa: ARG002
        return None

    def describe(self) -> dict[str, Any]:
        return {"fusion": "replace"}


class ReliabilityBlend:
    """(1 - weight r) fresh + weight r history, with the history's reliability r per cell.

    `weight` in 0..1 is the history's share where it is wholly reliable.
    """

    def __init__(self, *, weight: float = 0.5) -> None:
        if not 0.0 <= weight < 1.0:
            raise SettingError(
                f"history weight is {weight}", expected="0 or more, below 1", do="give history_weight=0.5"
            )
        self.weight = weight

    def __call__(self, reliability: NDArray[np.float32]) -> NDArray[np.float32] | None:
        return self.weight * reliability if self.weight else None

    def describe(self) -> dict[str, Any]:
        return {"fusion": "blend", "history_weight": self.weight}
