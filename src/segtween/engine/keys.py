"""Key frames of a causal engine: which they are, and the network's scores of them."""

from __future__ import annotations

from typing import Any

from segtween.engine.clock import Clock
from segtween.engine.state import KeyState, Propagation
from segtween.interfaces import Schedule, Segmenter, Situation, segmented
from segtween.types import Appearance, Motion, Rgb


class KeyFrames:
    """Key frames by a schedule. Their frames wait for the network."""

    delay = 0

    def __init__(self, segmenter: Segmenter, schedule: Schedule, propagation: Propagation) -> None:
        self.segmenter, self.schedule, self.propagation = segmenter, schedule, propagation

    def reset(self) -> None:
        self.schedule.reset()

    def follow(self, motion: Motion) -> None:
        """Propagates what is in flight by each frame's motion: nothing is here."""

    def __call__(
        self,
        rgb: Rgb,
        history: KeyState | None,
        situation: Situation | None,
        clock: Clock,
        appearance: Appearance | None = None,
    ) -> tuple[KeyState, bool]:
        """The state that the frame is labelled from, and whether new scores came with it. No history: a key frame."""
        if history is not None and situation is not None and not self.schedule.is_key(situation):
            return history, False
        with clock("segment"):
            logits, detail = segmented(self.segmenter, rgb)
        with clock("propagate"):
            size_hw = rgb.shape[0], rgb.shape[1]
            state = self.propagation.key(logits, history, image_hw=size_hw, appearance=appearance, detail=detail)
        return state, True

    def warm_up(self, rgb: Rgb) -> None:
        """Returns when the network is through with all that it was shown, and with a frame of this size."""
        self.segmenter(rgb)

    def describe(self) -> dict[str, Any]:
        return {"network": self.segmenter.describe(), **self.schedule.describe()}
