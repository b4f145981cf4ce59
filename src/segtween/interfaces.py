"""What the engine and `build` expect of the components they are given.

Components satisfy these protocols by shape; none has to inherit from them. Every component has
`describe()`: plain JSON values with everything that changes its numbers, which go into the
method record and its hash.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from segtween.labels import LabelSet
from segtween.types import (
    Appearance,
    Flow,
    Frame,
    FrameKey,
    Labels,
    Motion,
    OutputReport,
    Result,
    Rgb,
    ScoreKind,
    ScoreMap,
    SizeHW,
    SourceInfo,
)

Made = TypeVar("Made")

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


@runtime_checkable
class Detailed(Protocol):
    """What segmenters offer as well whose networks answer in more detail than is propagated.

    `detailed` gives the logits that a call gives, and what the network's own labels of the frame are read from: scores
    (C, H, W) whose enlarged argmax they are, the labels themselves, uint8 (H, W) of the frame's size, or None where the
    logits will do.
    """

    def detailed(self, rgb: Rgb) -> tuple[NDArray[np.float32], NDArray[Any] | None]: ...


def segmented(segmenter: Segmenter, rgb: Rgb) -> tuple[NDArray[np.float32], NDArray[Any] | None]:
    """A segmenter's logits for a frame, and the detail of one that has more (`Detailed`)."""
    return segmenter.detailed(rgb) if isinstance(segmenter, Detailed) else (segmenter(rgb), None)


class FlowEstimator(Protocol):
    """Backward flow between two frames, on the estimator's own grid.

    `prepare` reduces a frame to the estimator's input (it is kept for the next frame);
    calling gives (h, w, 2) float32 with current(x, y) = previous(x + dx, y + dy).
    """

    def prepare(self, rgb: Rgb) -> NDArray[np.uint8]: ...
    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow: ...
    def describe(self) -> Described: ...


@runtime_checkable
class BothWays(Protocol):
    """What flow estimators offer that take less time for both directions together."""

    def both_ways(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> tuple[Flow, Flow]:
        """The flow from the current frame to the previous one, and back."""


class Refiner(Protocol):
    """Refines propagated scores at a non-key frame: (scores, current image) -> scores."""

    def __call__(self, scores: ScoreMap, rgb: Rgb) -> ScoreMap: ...
    def describe(self) -> Described: ...


class Fusion(Protocol):
    """The propagated history's share of a key frame's scores, by its reliability (h, w), both in 0..1; None: none."""

    def __call__(self, reliability: NDArray[np.float32]) -> NDArray[np.float32] | None: ...
    def describe(self) -> Described: ...


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known of a frame before the network may see it. Not known for a clip's first frame and after a cut.

    index        frames since the clip's first, 1 or more
    distance     frames since the last key frame, 1 or more
    reliability  of the propagated scores, (h, w) in 0..1; it fades from frame to frame
    error        the photometric residual of the flow, (h, w) in grey levels, 255 where nothing is propagated from
    previous_ms  what the frame before took, milliseconds
    """

    index: int
    distance: int
    reliability: NDArray[np.float32]
    error: NDArray[np.float32]
    previous_ms: float

    @property
    def unreliability(self) -> float:
        """0..1: the share of reliability that is lost since the last key frame."""
        return 1.0 - float(self.reliability.mean())


class Schedule(Protocol):
    """Decides whether a frame is a key frame, from that frame and those before it.

    It is called once for every frame but a clip's first and those after a cut, which are key frames in any case;
    `reset` tells it that a new clip begins. `longest` is the largest distance that a frame can have. `by_distance` says
    that nothing but the distance counts: then runs that begin at other frames have other key frames. `by_time`: what
    frames took counts, `Situation.previous_ms`.
    """

    @property
    def longest(self) -> int: ...
    @property
    def by_distance(self) -> bool: ...
    @property
    def by_time(self) -> bool: ...
    def reset(self) -> None: ...
    def is_key(self, situation: Situation) -> bool: ...
    def describe(self) -> Described: ...


class CutDetector(Protocol):
    """Detects whether a new scene begins with a frame, from its motion since the frame before.

    `score` is a number, in the memory of the motion's device; `is_cut` says what it means.
    """

    def score(self, motion: Motion) -> Any: ...
    def is_cut(self, score: float) -> bool: ...
    def __call__(self, motion: Motion) -> bool: ...
    def describe(self) -> Described: ...


class ArrayOps(Protocol):
    """The engine's array operations on one kind of device; `segtween.ops.cpu` says what each returns.

    Arrays are NumPy's, or torch tensors of the same shapes in the device's memory (`segtween.device.arrays`)."""

    @property
    def threads(self) -> int: ...
    @property
    def mixed_cells(self) -> float: ...
    def scope(self) -> AbstractContextManager[object]: ...
    def sibling(self) -> ArrayOps: ...
    def each(self, works: Sequence[Callable[[], Made]]) -> list[Made]: ...
    def image(self, rgb: Rgb) -> Rgb: ...
    def host(self, values: Any, *, like: Any) -> Any: ...
    def score_map(
        self, logits: NDArray[np.float32], *, kind: ScoreKind, most_cells: int | None, image_hw: SizeHW
    ) -> ScoreMap: ...
    def warp(self, values: NDArray[np.float32], flow: Flow) -> tuple[NDArray[np.float32], NDArray[np.bool_]]: ...
    def compose_flow(self, near: Flow, far: Flow) -> Flow: ...
    def residual(self, current: NDArray[np.uint8], previous: NDArray[np.uint8], flow: Flow) -> NDArray[np.float32]: ...
    def follow(
        self,
        reliability: NDArray[np.float32] | None,
        composed: Flow | None,
        flow: Flow,
        error: NDArray[np.float32],
        *,
        grid_hw: SizeHW,
        tolerance: float,
    ) -> tuple[NDArray[np.float32], Flow]: ...
    def blend(
        self,
        fresh: NDArray[np.float32],
        history: NDArray[np.float32],
        composed: Flow | None,
        share: NDArray[np.float32],
    ) -> NDArray[np.float32]: ...
    def labels(self, scores: ScoreMap, size_hw: SizeHW, *, composed: Flow | None = None) -> Labels: ...
    def resize_flow(self, flow: Flow, grid_hw: SizeHW) -> Flow: ...
    def resize(self, plane: NDArray[np.float32], grid_hw: SizeHW) -> NDArray[np.float32]: ...
    def mixed_labels(
        self,
        first: tuple[ScoreMap, Flow | None],
        second: tuple[ScoreMap, Flow | None],
        share: NDArray[np.float32],
        size_hw: SizeHW,
    ) -> Labels: ...
    def mixed_label_maps(
        self, first: tuple[Labels, Flow], second: tuple[Labels, Flow], share: NDArray[np.float32]
    ) -> Labels: ...
    def confidence(
        self,
        first: tuple[ScoreMap, Flow | None],
        second: tuple[ScoreMap, Flow | None] | None = None,
        share: NDArray[np.float32] | None = None,
        *,
        step: int = 1,
    ) -> NDArray[np.float32]: ...
    def appearance(self, rgb: Rgb, grid_hw: SizeHW) -> Appearance: ...
    def match(self, composed: Flow, now: Appearance, key: Appearance, *, quality: str) -> Flow: ...
    def match_labels(
        self,
        labels: Labels,
        sources: Sequence[tuple[ScoreMap, Flow, Appearance]],
        now: Appearance,
        share: NDArray[np.float32] | None = None,
        *,
        quality: str,
    ) -> Labels: ...
    def describe_matching(self, quality: str) -> Described: ...
    def describe(self) -> Described: ...


@runtime_checkable
class Selecting(Protocol):
    """What components with stored scores or stored flow offer as well: `select` says which frame comes next, by name or
    index. They belong to certain frames: nothing else can be shown to them."""

    def select(self, key: str | int) -> None: ...


@runtime_checkable
class Watching(Protocol):
    """What components offer that use more of a frame than its picture: `watch` is called before the frame comes."""

    def watch(self, frame: Frame) -> None: ...


def select(component: object, key: FrameKey) -> None:
    """Tells a component which frame comes next, by name, by index or, of a source, the frame itself."""
    if isinstance(key, Frame):
        if isinstance(component, Watching):
            component.watch(key)
        key = key.index
    if isinstance(component, Selecting):
        component.select(key)


@runtime_checkable
class Noting(Protocol):
    """What components offer that may do something differently than requested: one line for each such thing."""

    @property
    def notes(self) -> list[str]: ...


def notes_of(component: object) -> list[str]:
    """The notes of a component that has any."""
    return list(component.notes) if isinstance(component, Noting) else []


def scale_of(segmenter: object, size_hw: SizeHW) -> float:
    """The scale at which a segmenter's network sees frames of this size: what its `scale_at` says, or its `scale`; 1
    for what is no network."""
    found = getattr(segmenter, "scale_at", None)
    return float(getattr(segmenter, "scale", 1.0) if found is None else found(size_hw))


@runtime_checkable
class Staying(Protocol):
    """Flow estimators whose work stays on the device (`stays`), so that calls can be captured."""

    stays: bool


class MotionSource(Protocol):
    """The motion of each frame since the one before (`engine.motion`)."""

    def reset(self) -> None: ...
    def select(self, key: FrameKey) -> None: ...
    def __call__(self, rgb: Rgb, clock: Any) -> Motion: ...
    def forward(self, motion: Motion, clock: Any) -> Motion: ...
    def ahead(self, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Motion]]: ...
    def describe(self) -> Described: ...


class Engine(Protocol):
    """Labels for every frame of a clip (`segtween.engine`).

    `push` takes the next frame and gives the results that it completes, in order, `finish` what is still to come;
    `step` is for engines whose results come at once (`is_causal`). `motion` is None where no frame needs any;
    `prefetches` says whether it may be estimated by the thread that reads the frames. `longest` is the largest
    distance that a result can have, 0 where nothing limits it.
    """

    ops: ArrayOps
    is_causal: bool
    prefetches: bool

    @property
    def motion(self) -> MotionSource | None: ...
    @property
    def notes(self) -> list[str]: ...
    @property
    def longest(self) -> int: ...
    def reset(self) -> None: ...
    def select(self, key: FrameKey) -> None: ...
    def step(self, rgb: Rgb, *, pts_seconds: float | None = None, motion: Motion | None = None) -> Result: ...
    def push(self, rgb: Rgb, *, pts_seconds: float | None = None, motion: Motion | None = None) -> list[Result]: ...
    def finish(self) -> list[Result]: ...
    def warm_up(self, size_hw: SizeHW) -> None: ...
    def stream(self, source: Iterable[Frame] | Iterable[Rgb]) -> Iterator[Result]: ...
    def describe(self) -> Described: ...


class Source(Protocol):
    """Frames in order. Iterating may be done once; `close` is safe to call twice."""

    @property
    def info(self) -> SourceInfo: ...
    def __iter__(self) -> Iterator[Frame]: ...
    def close(self) -> None: ...


class Sink(Protocol):
    """Takes every frame with its result, in order.

    `close` finishes the output under its final name; `abort` keeps what is playable of it. Both are
    safe to call twice. `report` gives the outcome of each file, at the latest after either.
    """

    @property
    def report(self) -> OutputReport: ...
    def write(self, frame: Frame, result: Result) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...
