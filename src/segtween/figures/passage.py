"""A method on its way to the frames that a figure shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.engine import Engine
from segtween.errors import SettingError
from segtween.figures.shots import Shot, Shots
from segtween.flow.occlusion import Occlusion
from segtween.interfaces import FlowEstimator
from segtween.types import Flow, Labels, Method

HISTORY = 2
"""Periods (a key frame and the frames up to the next) that a run has behind it, where the clip has them."""


@dataclass(frozen=True)
class Seen:
    """A frame and what the method says of it: labels of the truth's set, frames since the last key frame."""

    shot: Shot
    labels: Labels
    distance: int


def first_frame(shown: int, *, distance: int, interval: int) -> int:
    """Where a run begins so that frame `shown` comes `distance` frames after a key frame, with history behind it."""
    if shown < 0:
        raise SettingError(f"frame {shown}", expected="0 or more", do="give a higher number")
    key = shown - distance
    return 0 if key < 0 else key - min(HISTORY, key // (interval + 1)) * (interval + 1)


def passage(shots: Shots, engine: Engine, first: int, last: int) -> Iterator[Seen]:
    """Every frame first..last; the engine starts afresh."""
    engine.reset()
    for shot in shots.read(first, last):
        engine.select(shot.key)
        result = engine.step(shot.rgb)
        yield Seen(shot, shots.mapping(result.labels), result.distance)


@dataclass(frozen=True)
class Motion:
    """Backward flow (h, w, 2) in pixels of the image, and the occlusion estimated from it, (h, w)."""

    flow: Flow
    occlusion: NDArray[np.bool_]


def motion_between(previous: Shot, current: Shot, *, flow: FlowEstimator, estimate: Occlusion) -> Motion:
    now, before = flow.prepare(current.rgb), flow.prepare(previous.rgb)
    backward = flow(now, before)
    grid, size = backward.shape[:2], current.rgb.shape[:2]
    scale = np.array([size[1] / grid[1], size[0] / grid[0]], np.float32)
    return Motion(backward * scale, estimate(flow, now, before, backward))


def footer(method: Method, shots: Shots, *, interval: int) -> str:
    """What has to be known to make the picture again."""
    network: dict[str, Any] = method.record["network"]
    name = network.get("name", "a function")
    return f"{shots.title}; {name}, network on 1 frame in {interval + 1}; method {method.name} {method.hash}"
