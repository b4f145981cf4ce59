"""Where a bidirectional engine's key frames come from, and how a frame between two is labelled from both.

| source | key frames | their scores |
| --- | --- | --- |
| `NetworkKeys` | at a fixed interval, and after a scene cut | the network's, blended with the history |
| `LabelKeys` | the frames that somebody labelled | those labels, exactly |
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Protocol

import numpy as np

from segtween.engine.delayed import Delay, Inline, Worker, even_scores
from segtween.engine.state import Float, KeyState, Propagation
from segtween.errors import LabelError
from segtween.geometry import shrink_to
from segtween.interfaces import Schedule, Segmenter, Selecting, Situation, notes_of, segmented, select
from segtween.labels import LabelSet
from segtween.types import IGNORE, Appearance, Flow, FrameKey, Labels, LazyScores, Rgb, ScoreMap, SizeHW, format_size

LEAST_RIGHT, FADING = 0.68, 0.25
"""How often a propagated true label is right, by its reliability r: about LEAST_RIGHT + (1 - LEAST_RIGHT) r^FADING. So
it is on the synthetic street (drives 700, 703, 706 and 709, one frame in 5 and in 15 labelled)."""


@dataclass(frozen=True)
class Sides:
    """The key frames that a frame is read from: the one before, the one after, or both; `share` (gh, gw) in 0..1 is
    the weight of the later one. `appearance` is the frame's own."""

    before: KeyState | None
    after: KeyState | None
    share: Float | None = None
    appearance: Appearance | None = None

    @property
    def only(self) -> KeyState | None:
        """The key frame to read from, where there is only one."""
        if self.before is not None and self.after is not None:
            return None
        return self.before or self.after


class KeySource(Protocol):
    """Chooses key frames, gives their scores, and reads labels and scores of other frames from them."""

    stage: str
    propagation: Propagation
    evenness: float
    """How little it matters which of two key frames is nearer, in frames (`bidirectional.share`)."""

    @property
    def delay(self) -> Delay | None:
        """When scores are used: so many frames after their key frame, or as soon as they are there, which then says
        when the next key frame may come (auto). None: as soon as they are there, for which the next key frame waits."""

    @property
    def is_stored(self) -> bool:
        """Whether scores belong to certain frames."""

    @property
    def by_distance(self) -> bool:
        """Whether nothing but the distance decides which frame is the next key frame."""

    @property
    def labels(self) -> LabelSet: ...
    @property
    def longest(self) -> int:
        """Frames from a key frame to the next, at most; 0 where nothing limits them."""

    @property
    def notes(self) -> list[str]: ...
    def reset(self) -> None: ...
    def select(self, key: FrameKey) -> None: ...
    def is_key(self, index: int, history: KeyState | None) -> bool:
        """`history` is None where no key frame of this scene has come yet."""

    def may_follow(self, index: int) -> bool:
        """Whether a frame after `index` may be a key frame."""

    def send(self, rgb: Rgb) -> Future[Any]:
        """Begins to compute what the state of a key frame is made of."""

    def key(self, arrived: Any, history: KeyState | None, size_hw: SizeHW) -> KeyState:
        """The state of a key frame of this size, from what has arrived."""

    def provisional(self, history: KeyState | None, size_hw: SizeHW) -> KeyState:
        """The same until it has arrived: to be propagated, not to be read."""

    def read(self, sides: Sides, size_hw: SizeHW) -> Labels: ...
    def score_map(self, sides: Sides, size_hw: SizeHW) -> ScoreMap: ...
    def lazy_scores(self, sides: Sides, size_hw: SizeHW) -> LazyScores:
        """Those of the score map, and their confidence."""

    def describe(self) -> dict[str, Any]: ...


class NetworkKeys:
    """The network's scores at key frames by a schedule that asks for nothing but the distance, from a `worker`: by
    default in place, else while the next frames come."""

    stage = "segment"
    evenness = 5.0
    """A network's errors average out between two key frames, those of propagation over many frames do not. On synthetic
    drives, noisy (700 to 702) and clean (800 to 811): with 4 and 9 frames between key frames better than 0 and as good
    as more; with 19 better than more."""

    def __init__(
        self,
        segmenter: Segmenter,
        schedule: Schedule,
        propagation: Propagation,
        *,
        delay: Delay | None = None,
        worker: Worker | None = None,
    ) -> None:
        self.segmenter, self.schedule, self.propagation = segmenter, schedule, propagation
        self.delay, self.worker = delay, worker or Inline()

    @property
    def by_distance(self) -> bool:
        return self.schedule.by_distance

    @property
    def is_stored(self) -> bool:
        return isinstance(self.segmenter, Selecting)

    @property
    def labels(self) -> LabelSet:
        return self.segmenter.labels

    @property
    def longest(self) -> int:
        return self.schedule.longest

    @property
    def notes(self) -> list[str]:
        return notes_of(self.segmenter)

    def reset(self) -> None:
        self.schedule.reset()

    def select(self, key: FrameKey) -> None:
        select(self.segmenter, key)

    def is_key(self, index: int, history: KeyState | None) -> bool:
        if history is None:
            return True
        assert history.reliability is not None, "it has followed"
        situation = Situation(index, history.distance, history.reliability, history.reliability, history.took_ms)
        return self.schedule.is_key(situation)

    def may_follow(self, index: int) -> bool:  # noqa: ARG002
        return True

    def send(self, rgb: Rgb) -> Future[Any]:
        return self.worker.send(partial(segmented, self.segmenter), rgb)

    def key(self, arrived: Any, history: KeyState | None, size_hw: SizeHW) -> KeyState:
        logits, detail = arrived
        return self.propagation.key(logits, history, image_hw=size_hw, detail=detail)

    def provisional(self, history: KeyState | None, size_hw: SizeHW) -> KeyState:
        if history is not None:  # of its scores the grid alone counts
            return KeyState(history.scores)
        return KeyState(even_scores(self.propagation, len(self.labels), size_hw))

    def read(self, sides: Sides, size_hw: SizeHW) -> Labels:
        ops = self.propagation.ops
        if sides.only is not None:
            if sides.only.own_labels is not None:
                return sides.only.own_labels
            labels = ops.labels(sides.only.scores, size_hw, composed=sides.only.composed)
            return self.propagation.matched(labels, [sides.only], sides.appearance)
        before, after, share = _both(sides)
        first, second = (before.scores, before.composed), (after.scores, after.composed)
        labels = ops.mixed_labels(first, second, share, size_hw)
        return self.propagation.matched(labels, [before, after], sides.appearance, share)

    def score_map(self, sides: Sides, size_hw: SizeHW) -> ScoreMap:  # noqa: ARG002
        if sides.only is not None:
            return self.propagation.score_map(sides.only)
        before, after, share = _both(sides)
        first, second = self.propagation.score_map(before), self.propagation.score_map(after)
        part = self.propagation.ops.resize(share, first.grid_hw)
        return replace(first, values=first.values + part * (second.values - first.values))

    def lazy_scores(self, sides: Sides, size_hw: SizeHW) -> LazyScores:
        if sides.only is not None:
            return self.propagation.lazy_scores(sides.only)
        before, after, share = _both(sides)
        of = (before.scores, before.composed), (after.scores, after.composed), share

        def mean() -> float:
            return float(self.propagation.confidence(*of, step=2).mean(dtype=np.float64))

        return LazyScores(partial(self.score_map, sides, size_hw), partial(self.propagation.confidence, *of), mean)

    def describe(self) -> dict[str, Any]:
        late = {} if self.delay is None else {"async_keys": self.delay}
        return {"network": self.segmenter.describe(), **self.schedule.describe(), **late, **self.propagation.describe()}


@dataclass(frozen=True)
class LabelledKey(KeyState):
    """A labelled frame: its scores are, on a coarse grid, the share of each class in each cell."""

    label_image: Labels | None = None


class LabelKeys:
    """Labels of some frames. `label_image` gives those of a frame by its index, (H, W) train ids, 255 = unknown.

    `score_map` is of probabilities: what the labelled frames say, as often as it is right where it is so reliable, and
    every class alike for the rest. Where nobody labelled a scene, all of it is unknown. Raises LabelError for labels
    of another size than the frame's.
    """

    stage = "label"
    evenness = 0.0
    notes: list[str] = []  # noqa: RUF012
    longest = 0
    delay: Delay | None = None
    by_distance = False
    is_stored = True

    def __init__(
        self,
        labels: LabelSet,
        label_image: Callable[[int], Labels],
        frames: Collection[int],
        propagation: Propagation,
    ) -> None:
        self.labels, self._label_image, self.propagation = labels, label_image, propagation
        self.frames = frozenset(frames)
        self._last, self._index = max(self.frames, default=-1), 0

    def reset(self) -> None:
        self._index = 0

    def select(self, key: FrameKey) -> None:
        pass

    def is_key(self, index: int, history: KeyState | None) -> bool:  # noqa: ARG002
        self._index = index
        return index in self.frames

    def may_follow(self, index: int) -> bool:
        return index < self._last

    def send(self, rgb: Rgb) -> Future[Any]:
        labels, size_hw = self._label_image(self._index), (rgb.shape[0], rgb.shape[1])
        if labels.shape != size_hw:
            raise LabelError(
                f"the labels of frame {self._index} are {format_size((labels.shape[0], labels.shape[1]))}",
                expected=f"{format_size(size_hw)} (width x height), the size of the frame",
                do="give labels at the frames' own size",
            )
        read = Future[Any]()
        read.set_result(labels)
        return read

    def key(self, arrived: Any, history: KeyState | None, size_hw: SizeHW) -> KeyState:  # noqa: ARG002
        ops, grid = self.propagation.ops, self._grid(size_hw)
        shares = [ops.resize((arrived == i).astype(np.float32), grid) for i in range(len(self.labels))]
        return LabelledKey(ScoreMap(np.stack(shares), "probabilities", size_hw), label_image=arrived)

    def provisional(self, history: KeyState | None, size_hw: SizeHW) -> KeyState:  # noqa: ARG002
        raise AssertionError("labels are there at once")

    def read(self, sides: Sides, size_hw: SizeHW) -> Labels:
        if sides.only is not None and sides.only.composed is None:
            return _label_image(sides.only)
        if sides.before is None and sides.after is None:
            return np.full(size_hw, IGNORE, np.uint8)
        read = self.propagation.ops.mixed_label_maps
        if sides.only is not None:
            one = _label_image(sides.only), _composed(sides.only)
            return read(one, one, np.zeros(one[1].shape[:2], np.float32))
        before, after, share = _both(sides)
        first, second = ((_label_image(side), _composed(side)) for side in (before, after))
        return read(first, second, share)

    def score_map(self, sides: Sides, size_hw: SizeHW) -> ScoreMap:
        classes, grid = len(self.labels), self._grid(size_hw)
        values = np.zeros((classes, *grid), np.float32)
        share = np.float32(0) if sides.share is None else self.propagation.ops.resize(sides.share, grid)
        if sides.before is not None:
            values += self._probable(sides.before) * (1 - share)
        if sides.after is not None:
            values += self._probable(sides.after) * (share if sides.before is not None else 1)
        values += (1 - values.sum(axis=0)) / np.float32(classes)
        return ScoreMap(values, "probabilities", size_hw)

    def lazy_scores(self, sides: Sides, size_hw: SizeHW) -> LazyScores:
        scores = cache(partial(self.score_map, sides, size_hw))
        confidence = cache(lambda: scores().confidence())
        return LazyScores(scores, confidence, lambda: float(confidence().mean(dtype=np.float64)))

    def _probable(self, state: KeyState) -> Float:
        if state.composed is None or state.reliability is None:
            return state.scores.values
        moved = self.propagation.score_map(state)
        reliability = self.propagation.ops.resize(state.reliability, moved.grid_hw)
        right = LEAST_RIGHT + (1 - LEAST_RIGHT) * np.power(reliability, np.float32(FADING))
        return np.asarray(moved.values * right, np.float32)

    def _grid(self, size_hw: SizeHW) -> SizeHW:
        assert self.propagation.most_cells is not None, "it is built with a limit"
        return shrink_to(size_hw, cells=self.propagation.most_cells)

    def describe(self) -> dict[str, Any]:
        return {"keys": "labels", "classes": len(self.labels), "tolerance": self.propagation.tolerance}


def _label_image(state: KeyState) -> Labels:
    assert isinstance(state, LabelledKey)
    assert state.label_image is not None
    return state.label_image


def _composed(state: KeyState) -> Flow:
    assert state.composed is not None, "a key frame is read alone"
    return state.composed


def _both(sides: Sides) -> tuple[KeyState, KeyState, Float]:
    assert sides.before is not None
    assert sides.after is not None
    assert sides.share is not None
    return sides.before, sides.after, sides.share
