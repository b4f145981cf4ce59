"""What speaks at key frames, and how a frame in between is read from the key frames on both of its sides.

| who | key frames | what they say |
| --- | --- | --- |
| `NetworkKeySource` | at a fixed interval, and after a scene cut | the network's scores, blended with the history |
| `LabelKeySource` | the frames that somebody labelled | those labels, exactly |
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segtween.errors import LabelError
from segtween.geometry import shrink_to
from segtween.interfaces import BetweenOps, Fusion, Segmenter
from segtween.labels import LabelSet
from segtween.types import IGNORE, Flow, Labels, Rgb, ScoreMap, SizeHW, format_size

Float = NDArray[np.float32]

LEAST_RIGHT, FADING = 0.68, 0.25
"""How often a carried true label is right, by the trust t in it: about LEAST_RIGHT + (1 - LEAST_RIGHT) t^FADING. So it
is on the synthetic street (drives 700, 703, 706 and 709, one frame in 5 and in 15 labelled)."""


@dataclass(frozen=True)
class KeyView:
    """A key frame as another frame sees it: what was said there, the path (gh, gw, 2) that leads to it and how far to
    trust it, (gh, gw) in 0..1. Both are None at the key frame itself. `distance` is in frames, to either side."""

    said: Any
    path: Flow | None = None
    trust: Float | None = None
    distance: int = 0


@dataclass(frozen=True)
class Sides:
    """The key frames that speak for a frame: the one before, the one after, or both; `share` (gh, gw) in 0..1 is the
    later one's part."""

    before: KeyView | None
    after: KeyView | None
    share: Float | None = None

    @property
    def only(self) -> KeyView | None:
        """The one that speaks, where it is one."""
        if self.before is not None and self.after is not None:
            return None
        return self.before or self.after


class KeySource(Protocol):
    """Says which frames are key frames, and reads labels and scores from what was said there."""

    stage: str

    @property
    def labels(self) -> LabelSet: ...
    def select(self, key: str | int) -> None: ...
    def is_key(self, index: int, distance: int | None) -> bool:
        """`distance` is None where no key frame of this scene has come yet."""

    def may_follow(self, index: int) -> bool:
        """Whether a frame after `index` may be a key frame."""

    def say(self, rgb: Rgb, before: KeyView | None) -> Any: ...
    def read(self, sides: Sides, size_hw: SizeHW) -> Labels: ...
    def scores(self, sides: Sides, size_hw: SizeHW) -> ScoreMap: ...
    def describe(self) -> dict[str, Any]: ...


class NetworkKeySource:
    """Logits of the network, on their own grid or one of at most `most_cells` cells."""

    stage = "segment"

    def __init__(
        self, segmenter: Segmenter, *, ops: BetweenOps, interval: int, fusion: Fusion, most_cells: int
    ) -> None:
        self.segmenter, self.ops, self.interval = segmenter, ops, interval
        self.fusion, self.most_cells = fusion, most_cells

    @property
    def labels(self) -> LabelSet:
        return self.segmenter.labels

    def select(self, key: str | int) -> None:
        chosen = getattr(self.segmenter, "select", None)
        if chosen is not None:
            chosen(key)

    def is_key(self, index: int, distance: int | None) -> bool:  # noqa: ARG002
        return distance is None or distance > self.interval

    def may_follow(self, index: int) -> bool:  # noqa: ARG002
        return True

    def say(self, rgb: Rgb, before: KeyView | None) -> ScoreMap:
        image_hw = rgb.shape[0], rgb.shape[1]
        fresh = self.ops.carry(self.segmenter(rgb), kind="logits", most_cells=self.most_cells, image_hw=image_hw)
        share = None if before is None or before.trust is None else self.fusion(before.trust)
        if before is None or share is None:
            return fresh
        return replace(fresh, values=self.ops.blend(fresh.values, before.said.values, before.path, share))

    def read(self, sides: Sides, size_hw: SizeHW) -> Labels:
        if sides.only is not None:
            return self.ops.labels(sides.only.said, size_hw, path=sides.only.path)
        before, after, share = _both(sides)
        return self.ops.mixed_labels((before.said, _path(before)), (after.said, _path(after)), share, size_hw)

    def scores(self, sides: Sides, size_hw: SizeHW) -> ScoreMap:  # noqa: ARG002
        if sides.only is not None:
            return self._moved(sides.only)
        before, after, share = _both(sides)
        first, second = self._moved(before), self._moved(after)
        part = self.ops.resize(share, first.grid_hw)
        return replace(first, values=first.values + part * (second.values - first.values))

    def _moved(self, reach: KeyView) -> ScoreMap:
        if reach.path is None:
            return reach.said
        said: ScoreMap = reach.said
        values, _ = self.ops.warp(said.values, self.ops.resize_flow(reach.path, said.grid_hw))
        return replace(said, values=values)

    def describe(self) -> dict[str, Any]:
        # Without the interval: one method has figures at many intervals, and each says its own.
        carry = {"kind": "logits", "most_cells": self.most_cells}
        return {"network": self.segmenter.describe(), "schedule": "fixed", "carry": carry, **self.fusion.describe()}


@dataclass(frozen=True)
class _Labelled:
    """A labelled frame: its labels, and on a coarse grid the share (C, h, w) of each class in each cell."""

    labels: Labels
    shares: Float


class LabelKeySource:
    """Labels of some frames. `read` gives those of a frame by its index, (H, W) train ids, 255 = unknown.

    `scores` are probabilities: what the labelled frames say, as often as it is right when it can be trusted so far, and
    every class alike for the rest. Where nobody labelled a scene, all of it is unknown. Raises LabelError for labels of
    another size than the frame's.
    """

    stage = "label"

    def __init__(
        self, labels: LabelSet, read: Callable[[int], Labels], frames: Collection[int], *, ops: BetweenOps,
        most_cells: int,
    ) -> None:  # fmt: skip
        self.labels, self._read, self.ops, self.most_cells = labels, read, ops, most_cells
        self.frames = frozenset(frames)
        self._last, self._index = max(self.frames, default=-1), 0

    def select(self, key: str | int) -> None:
        pass

    def is_key(self, index: int, distance: int | None) -> bool:  # noqa: ARG002
        self._index = index
        return index in self.frames

    def may_follow(self, index: int) -> bool:
        return index < self._last

    def say(self, rgb: Rgb, before: KeyView | None) -> _Labelled:  # noqa: ARG002
        labels, size_hw = self._read(self._index), (rgb.shape[0], rgb.shape[1])
        if labels.shape != size_hw:
            raise LabelError(
                f"the labels of frame {self._index} are {format_size((labels.shape[0], labels.shape[1]))}",
                expected=f"{format_size(size_hw)} (width x height), the size of the frame",
                do="give labels at the frames' own size",
            )
        grid = shrink_to(size_hw, cells=self.most_cells)
        shares = [self.ops.resize((labels == i).astype(np.float32), grid) for i in range(len(self.labels))]
        return _Labelled(labels, np.stack(shares))

    def read(self, sides: Sides, size_hw: SizeHW) -> Labels:
        if sides.only is not None and sides.only.path is None:
            return sides.only.said.labels
        if sides.before is None and sides.after is None:
            return np.full(size_hw, IGNORE, np.uint8)
        if sides.only is not None:
            way = sides.only.said.labels, _path(sides.only)
            return self.ops.voted_labels(way, way, np.zeros(way[1].shape[:2], np.float32))
        before, after, share = _both(sides)
        return self.ops.voted_labels((before.said.labels, _path(before)), (after.said.labels, _path(after)), share)

    def scores(self, sides: Sides, size_hw: SizeHW) -> ScoreMap:
        classes, grid = len(self.labels), shrink_to(size_hw, cells=self.most_cells)
        values = np.zeros((classes, *grid), np.float32)
        share = np.float32(0) if sides.share is None else self.ops.resize(sides.share, grid)
        if sides.before is not None:
            values += self._trusted(sides.before) * (1 - share)
        if sides.after is not None:
            values += self._trusted(sides.after) * (share if sides.before is not None else 1)
        values += (1 - values.sum(axis=0)) / np.float32(classes)
        return ScoreMap(values, "probabilities", size_hw)

    def _trusted(self, reach: KeyView) -> Float:
        shares: Float = reach.said.shares
        if reach.path is None or reach.trust is None:
            return shares
        grid = shares.shape[1], shares.shape[2]
        moved, _ = self.ops.warp(shares, self.ops.resize_flow(reach.path, grid))
        trust = self.ops.resize(reach.trust, grid)
        return moved * (LEAST_RIGHT + (1 - LEAST_RIGHT) * np.power(trust, np.float32(FADING)))

    def describe(self) -> dict[str, Any]:
        return {"keys": "labels", "classes": len(self.labels)}


def _path(reach: KeyView) -> Flow:
    assert reach.path is not None, "a key frame speaks for itself alone"
    return reach.path


def _both(sides: Sides) -> tuple[KeyView, KeyView, Float]:
    assert sides.before is not None
    assert sides.after is not None
    assert sides.share is not None
    return sides.before, sides.after, sides.share
