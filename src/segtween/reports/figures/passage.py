"""Running a method up to the frames that a figure shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.build import Processor, build_engine, build_refiner
from segtween.engine import Engine
from segtween.errors import SettingError
from segtween.flow.occlusion import Occlusion, look_at
from segtween.interfaces import ArrayOps, FlowEstimator, Refiner, Segmenter
from segtween.reports.figures.shots import Shot, Shots
from segtween.settings import Settings
from segtween.types import Flow, Labels, Method, Result, SizeHW, covered

HISTORY = 2
"""Periods (a key frame and the frames up to the next) that a run has behind it, where the clip has them."""


@dataclass(frozen=True)
class Subject:
    """What a figure shows: frames, and a method by that name with its network."""

    shots: Shots
    segmenter: Segmenter
    settings: Settings
    name: str
    threads: int = 0

    @cached_property
    def backend(self) -> Processor:
        return Processor(self.threads)

    @cached_property
    def flow(self) -> FlowEstimator:
        return self.backend.flow(self.settings, classes=len(self.segmenter.labels))

    @cached_property
    def refiner(self) -> Refiner | None:
        """The method's refiner of resampled scores, where it has one."""
        return build_refiner(self.settings, classes=len(self.segmenter.labels), threads=self.threads)

    @cached_property
    def engine(self) -> Engine:
        return build_engine(self.segmenter, self.settings, backend=self.backend, flow=self.flow, refiner=self.refiner)


@dataclass(frozen=True)
class Labelled:
    """A frame and what the method makes of it: labels of the truth's set, frames since the last key frame.

    `edge` (h, w) is the one that guided the refinement of its scores, over the image, True where the class changes;
    None where nothing was refined, or without an edge. `spans_hw` is the frame's size, padded if the method pads it.
    """

    shot: Shot
    labels: Labels
    distance: int
    spans_hw: SizeHW
    edge: NDArray[np.bool_] | None = None


def first_frame(shown: int, *, distance: int, interval: int) -> int:
    """Where a run begins so that frame `shown` comes `distance` frames after a key frame, with history behind it."""
    if shown < 0:
        raise SettingError(f"frame {shown}", expected="0 or more", do="give a higher number")
    key = shown - distance
    return 0 if key < 0 else key - min(HISTORY, key // (interval + 1)) * (interval + 1)


def passage(
    shots: Shots, engine: Engine, first: int, last: int, *, refiner: Refiner | None = None
) -> Iterator[Labelled]:
    """Every frame first..last; the engine starts afresh. `refiner` is the one that it has, if it has one."""
    engine.reset()
    for shot in shots.read(first, last):
        engine.select(shot.key)
        result = engine.step(shot.rgb)
        spans = result.score_map.spans_hw or result.score_map.image_hw
        yield Labelled(shot, shots.mapping(result.labels), result.distance, spans, _edge(refiner, result))


def _edge(refiner: Refiner | None, result: Result) -> NDArray[np.bool_] | None:
    edge = getattr(refiner, "edge", None)
    if refiner is None or result.is_key or edge is None or refiner.describe().get("edge") != "laplacian":
        return None
    score_map = result.score_map
    rows, columns = covered(edge.shape, image_hw=score_map.image_hw, spans_hw=score_map.spans_hw or score_map.image_hw)
    return np.asarray(edge[:rows, :columns] > 0)


@dataclass(frozen=True)
class Motion:
    """Backward flow (h, w, 2) in pixels of the image, and the occlusion estimated from it, (h, w)."""

    flow: Flow
    occlusion: NDArray[np.bool_]


def motion_between(
    previous: Shot, current: Labelled, *, flow: FlowEstimator, ops: ArrayOps, estimate: Occlusion
) -> Motion:
    """By a flow estimator of its own kind."""
    rgb = current.shot.rgb
    pair = look_at(rgb, previous.rgb, flow=flow, ops=ops, spans_hw=current.spans_hw)
    grid, size = pair.current.shape, rgb.shape
    return Motion(pair.backward * np.array([size[1] / grid[1], size[0] / grid[0]], np.float32), estimate(pair))


def footer(method: Method, shots: Shots, *, interval: int) -> str:
    """What has to be known to make the picture again."""
    network: dict[str, Any] = method.record["network"]
    name = network.get("name", "a function")
    return f"{shots.title}; {name}, network on 1 frame in {interval + 1}; method {method.name} {method.hash}"
