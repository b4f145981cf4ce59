"""What the engine and the wiring expect of the parts they are given.

Parts satisfy these protocols by shape; none has to inherit from them. Every part has
`describe()`: plain JSON values with everything that changes its numbers, which go into the
method record and its hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segtween.labels import LabelSet
from segtween.types import (
    Correction,
    Flow,
    Frame,
    Labels,
    OutputReport,
    Result,
    Rgb,
    ScoreKind,
    ScoreMap,
    SizeHW,
    SourceInfo,
)

Described = dict[str, Any]


class Segmenter(Protocol):
    """Turns one frame into class scores: RGB uint8 (H, W, 3) -> logits float32 (C, h, w).

    The scores' grid spans the whole image, half-pixel-centred, at any stride. `labels` names the
    C classes. Preprocessing is the segmenter's own business. Raises ScoresError for scores that
    are not finite or not of `len(labels)` classes.
    """

    @property
    def labels(self) -> LabelSet: ...
    def __call__(self, rgb: Rgb) -> NDArray[np.float32]: ...
    def describe(self) -> Described: ...


class FlowEstimator(Protocol):
    """Backward flow between two frames, on the estimator's own grid.

    `prepare` reduces a frame to what the estimator looks at (it is kept for the next frame);
    calling gives (h, w, 2) float32 with current(x, y) = previous(x + dx, y + dy).
    """

    def prepare(self, rgb: Rgb) -> NDArray[np.uint8]: ...
    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow: ...
    def describe(self) -> Described: ...


class ResamplingRefiner(Protocol):
    """Repairs carried scores at a non-key frame: (carried, current image, reliability (h, w)) -> carried."""

    def __call__(self, carried: ScoreMap, rgb: Rgb, reliability: NDArray[np.float32]) -> ScoreMap: ...
    def describe(self) -> Described: ...


class Refiner(Protocol):
    """Replaces what a key frame's scores, read along a path, cannot say of a later frame.

    `see` reduces a frame to what it looks at; the key frame's is kept. Calling takes the key frame's scores, the path
    that leads to them, what was seen of the key frame and of this one, and the distance in frames.
    """

    def see(self, rgb: Rgb) -> NDArray[np.uint8]: ...
    def __call__(
        self, scores: ScoreMap, path: Flow, key: NDArray[np.uint8], seen: NDArray[np.uint8], distance: int
    ) -> Correction: ...
    def describe(self) -> Described: ...


class Fusion(Protocol):
    """The carried history's share of a key frame's scores, by its reliability (h, w), both in 0..1; None: none."""

    def __call__(self, reliability: NDArray[np.float32]) -> NDArray[np.float32] | None: ...
    def describe(self) -> Described: ...


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known of a frame before the network may see it. Not known for a clip's first frame and after a cut.

    index        frames since the clip's first, 1 or more
    distance     frames since the last key frame, 1 or more
    reliability  of the carried scores, (h, w) in 0..1; it fades from frame to frame
    error        what the motion leaves unexplained, (h, w) in grey levels, 255 where nothing is carried from
    previous_ms  what the frame before took, milliseconds
    """

    index: int
    distance: int
    reliability: NDArray[np.float32]
    error: NDArray[np.float32]
    previous_ms: float

    @property
    def unreliability(self) -> float:
        """0..1: the share of trust that is lost since the last key frame."""
        return 1.0 - float(self.reliability.mean())


class Schedule(Protocol):
    """Says whether a frame is a key frame, from that frame and those before it.

    It is asked once for every frame but a clip's first and those after a cut, which are key frames in any case; `reset`
    tells it that a new clip begins. `longest` is the largest distance that a frame can have. `by_distance` says that
    nothing but the distance counts: then runs that begin at other frames have other key frames.
    """

    @property
    def longest(self) -> int: ...
    @property
    def by_distance(self) -> bool: ...
    def reset(self) -> None: ...
    def is_key(self, situation: Situation) -> bool: ...
    def describe(self) -> Described: ...


class CutDetector(Protocol):
    """Says whether two consecutive frames belong to different scenes.

    `current` and `previous` are the flow estimator's prepared images, `error` is the mean absolute
    difference (0..255) between the current one and the previous one warped onto it, per cell.
    """

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8], error: NDArray[np.float32]) -> bool: ...
    def describe(self) -> Described: ...


class ArrayOps(Protocol):
    """The engine's array operations on one kind of device; `segtween.ops.cpu` says what each returns.

    Arrays are NumPy's, or torch tensors of the same shapes in the device's memory (`segtween.device.arrays`)."""

    def image(self, rgb: Rgb) -> Rgb: ...
    def carry(
        self, logits: NDArray[np.float32], *, kind: ScoreKind, most_cells: int | None, image_hw: SizeHW
    ) -> ScoreMap: ...
    def warp(self, values: NDArray[np.float32], flow: Flow) -> tuple[NDArray[np.float32], NDArray[np.bool_]]: ...
    def join(self, near: Flow, far: Flow) -> Flow: ...
    def difference(
        self, current: NDArray[np.uint8], previous: NDArray[np.uint8], flow: Flow
    ) -> NDArray[np.float32]: ...
    def follow(
        self,
        trust: NDArray[np.float32] | None,
        path: Flow | None,
        motion: Flow,
        error: NDArray[np.float32],
        *,
        grid_hw: SizeHW,
        tolerance: float,
    ) -> tuple[NDArray[np.float32], Flow]: ...
    def blend(
        self,
        fresh: NDArray[np.float32],
        history: NDArray[np.float32],
        path: Flow | None,
        share: NDArray[np.float32],
    ) -> NDArray[np.float32]: ...
    def resize_flow(self, flow: Flow, grid_hw: SizeHW) -> Flow: ...
    def resize(self, plane: NDArray[np.float32], grid_hw: SizeHW) -> NDArray[np.float32]: ...
    def labels(
        self, carried: ScoreMap, size_hw: SizeHW, *, path: Flow | None = None, correction: Correction | None = None
    ) -> Labels: ...
    def describe(self) -> Described: ...


class ReadingOps(Protocol):
    """What a `Refiner` needs of the array operations."""

    def resize_flow(self, flow: Flow, grid_hw: SizeHW) -> Flow: ...
    def resize(self, plane: NDArray[np.float32], grid_hw: SizeHW) -> NDArray[np.float32]: ...
    def read(
        self, carried: ScoreMap, path: Flow, *, certain: bool = True
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]: ...
    def borrow(
        self,
        read: NDArray[np.float32],
        attention: NDArray[np.float32],
        offsets: NDArray[np.int64],
        share: NDArray[np.float32],
        *,
        least: float,
    ) -> NDArray[np.float32]: ...


class BetweenOps(ArrayOps, Protocol):
    """Array operations of the offline mode besides: what two frames say of a third one, each along a path to it."""

    def mixed_labels(
        self,
        first: tuple[ScoreMap, Flow | None],
        second: tuple[ScoreMap, Flow | None],
        share: NDArray[np.float32],
        size_hw: SizeHW,
    ) -> Labels: ...
    def voted_labels(
        self, first: tuple[Labels, Flow], second: tuple[Labels, Flow], share: NDArray[np.float32]
    ) -> Labels: ...


class Selecting(Protocol):
    """What a segmenter with stored scores offers besides: `select` says which frame comes next, by name or index."""

    def select(self, key: str | int) -> None: ...


class Source(Protocol):
    """Frames in order. Iterating may be done once; `close` is safe to call twice."""

    @property
    def info(self) -> SourceInfo: ...
    def __iter__(self) -> Iterator[Frame]: ...
    def close(self) -> None: ...


class Sink(Protocol):
    """Takes every frame with its result, in order.

    `close` finishes the output under its final name; `abort` keeps what is playable of it. Both are
    safe to call twice. `report` says what became of each file, at the latest after either.
    """

    @property
    def report(self) -> OutputReport: ...
    def write(self, frame: Frame, result: Result) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Metric(Protocol):
    """update(prediction, truth) per frame; compute() at the end; reset() to start again."""

    def update(self, prediction: Labels, truth: Labels) -> None: ...
    def compute(self) -> dict[str, Any]: ...
    def reset(self) -> None: ...
