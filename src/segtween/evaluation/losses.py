"""Runs that are compared with the network on every frame, pixel by pixel (`metrics.losses`)."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from segtween.datasets import Dataset
from segtween.evaluation.sharing import FrameMotion
from segtween.evaluation.windows import Moment, Window, judging_flow
from segtween.interfaces import Engine
from segtween.labels import LabelMap
from segtween.metrics.losses import LossCounts, sort_pixels, visible_before
from segtween.types import Flow, Labels, Method, Result


@dataclass
class Compared:
    """One frame, for all runs: the labels of the network on every frame, the truth, and the kinds of its pixels by
    distance from the key frame."""

    plain: Labels
    truth: Labels
    kinds: dict[int, NDArray[np.uint8]] = field(default_factory=dict)


class PlainRun:
    """The network on every frame, which goes first; `current` is what it has of the frame, None where no truth is."""

    current: Compared | None

    def __init__(self, engine: Engine, dataset: Dataset, mapping: LabelMap, *, distances: Collection[int]) -> None:
        self.engine, self.current, self._mapping = engine, None, mapping
        self.knows_hidden = knows_hidden(dataset)
        self._dataset, self._distances = dataset, sorted(distances)

    def begin(self, window: Window) -> None:
        self.engine.reset()
        self._window = window
        self._steps = deque[tuple[Flow, NDArray[np.bool_]]](maxlen=max(self._distances))

    def step(self, moment: Moment) -> None:
        (result,) = self.engine.push(moment.rgb, pts_seconds=moment.pts_seconds)
        self._follow(moment)
        self.current = None
        if moment.truth is not None:
            self.current = Compared(self._mapping(result.labels), moment.truth)
            for distance in self._distances:
                if distance <= moment.offset:
                    visible = visible_before([*self._steps][-distance:]) if self.knows_hidden else None
                    self.current.kinds[distance] = sort_pixels(moment.truth, visible)

    def end(self) -> None:
        """Nothing is still to come."""

    def _follow(self, moment: Moment) -> None:
        if not self.knows_hidden or moment.offset == 0:
            return
        frame, size_hw = self._window.clip.frames[self._window.first + moment.offset], moment.rgb.shape[:2]
        flow = self._dataset.read_flow(frame, size_hw=(size_hw[0], size_hw[1]))
        occlusion = self._dataset.read_occlusion(frame, size_hw=(size_hw[0], size_hw[1]))
        assert flow is not None, "known of every pair of frames"
        assert occlusion is not None, "known of every pair of frames"
        self._steps.append((flow, occlusion))


class LossRun:
    """One engine's run through a window: frames at `distance` from their key frame are compared."""

    def __init__(
        self,
        engine: Engine,
        plain: PlainRun,
        counts: LossCounts,
        mapping: LabelMap,
        *,
        phase: int,
        distance: int,
        motion: FrameMotion,
    ) -> None:
        self.engine, self.counts, self.phase, self.distance = engine, counts, phase, distance
        self._plain, self._mapping, self._motion = plain, mapping, motion

    def begin(self, window: Window) -> None:
        self.engine.reset()
        self._waiting = deque[tuple[Moment, Compared | None]]()
        self._start = window.start_of(self.phase)

    def step(self, moment: Moment) -> None:
        if moment.offset >= self._start:
            self._waiting.append((moment, self._plain.current))
            self._take(self.engine.push(moment.rgb, pts_seconds=moment.pts_seconds, motion=self._motion.current))

    def end(self) -> None:
        """The frames whose results were still to come."""
        self._take(self.engine.finish())

    def _take(self, results: Sequence[Result]) -> None:
        for result in results:
            moment, compared = self._waiting.popleft()
            if compared is not None and result.distance == self.distance:
                kinds, labels = compared.kinds[self.distance], self._mapping(result.labels)
                self.counts.add(labels, plain=compared.plain, truth=compared.truth, kinds=kinds, block=moment.block)


@dataclass(frozen=True)
class Losses:
    """A method at an interval: what it loses `distance` frames after its key frames."""

    method: Method
    name: str
    interval: int
    distance: int
    counts: LossCounts


def knows_hidden(dataset: Dataset) -> bool:
    """Whether exact flow and occlusion are stored with the first pair of frames; of the others as well then."""
    return judging_flow(dataset)["occlusion"] == "left out"
