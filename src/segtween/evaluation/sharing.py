"""What engines that are compared share: each frame's scores and its motion, computed once."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.engine.clock import Clock
from segtween.engine.motion import MotionEstimator
from segtween.interfaces import ArrayOps, FlowEstimator, Segmenter, segmented, select
from segtween.segmenters.augmented import Augmented, KeyTta
from segtween.types import FrameKey, Motion, Rgb


class FrameScores:
    """The scores of the frame that `select` chose last, computed at most once for all engines that ask for them."""

    def __init__(self, segmenter: Segmenter) -> None:
        self._segmenter, self.labels = segmenter, segmenter.labels
        self._scores: tuple[NDArray[np.float32], NDArray[Any] | None] | None = None
        self._augmented: dict[KeyTta, FrameScores] = {}

    def augmented(self, kind: KeyTta) -> FrameScores:
        """The same with augmentation, shared likewise by the engines that ask for it."""
        if kind not in self._augmented:
            self._augmented[kind] = FrameScores(Augmented(self._segmenter, kind, plain=self))
        return self._augmented[kind]

    def select(self, key: str | int) -> None:
        self._scores = None
        for other in self._augmented.values():
            other.select(key)
        select(self._segmenter, key)

    def __call__(self, rgb: Rgb) -> NDArray[np.float32]:
        return self.detailed(rgb)[0]

    def detailed(self, rgb: Rgb) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
        """The scores and their detail (`interfaces.Detailed`)."""
        if self._scores is None:
            self._scores = segmented(self._segmenter, rgb)
        return self._scores

    def describe(self) -> dict[str, Any]:
        return self._segmenter.describe()


class FrameMotion:
    """The motion of the current frame, estimated once for all engines that are handed it.

    With `estimator.bidirectional` forward flow is estimated too, as bidirectional engines need it.
    """

    def __init__(self, flow: FlowEstimator, *, ops: ArrayOps) -> None:
        self.flow, self._ops = flow, ops
        self.estimator = MotionEstimator(flow, ops=ops, appearance=True)
        self.current: Motion | None = None

    def begin(self) -> None:
        """The next frame begins a clip."""
        self.estimator.reset()

    def select(self, key: FrameKey) -> None:
        self.estimator.select(key)

    def next(self, rgb: Rgb) -> Motion:
        with self._ops.scope():
            self.current = self.estimator(self._ops.image(rgb), Clock())
        return self.current


class Shared:
    """What all engines are handed: the scores of each frame, and one motion for all flows that describe themselves
    alike. `select` and `next` are called for every frame."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.scores = FrameScores(segmenter)
        self._motions: dict[str, FrameMotion] = {}

    def motion_of(self, flow: FlowEstimator, ops: ArrayOps) -> FrameMotion:
        return self._motions.setdefault(json.dumps(flow.describe(), sort_keys=True), FrameMotion(flow, ops=ops))

    def begin(self) -> None:
        """The next frame begins a clip."""
        for motion in self._motions.values():
            motion.begin()

    def select(self, key: FrameKey) -> None:
        select(self.scores, key)
        for motion in self._motions.values():
            motion.select(key)

    def next(self, rgb: Rgb) -> None:
        for motion in self._motions.values():
            motion.next(rgb)
