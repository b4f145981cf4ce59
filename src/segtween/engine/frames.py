"""What engines have in common: frames one by one, in streams, and the plain network on every frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from segtween.engine.clock import Clock
from segtween.interfaces import ArrayOps, Engine, MotionSource, Segmenter, Selecting, notes_of, select
from segtween.types import Frame, Motion, Result, Rgb, SizeHW


def stream(engine: Engine, source: Iterable[Frame] | Iterable[Rgb]) -> Iterator[Result]:
    """One result for every frame, in order; starts afresh."""
    engine.reset()
    items: Iterator[Frame | Rgb] = iter(source)
    for index, item in enumerate(items):
        engine.select(index)
        if isinstance(item, Frame):
            yield from engine.push(item.rgb, pts_seconds=float(item.pts_seconds))
        else:
            yield from engine.push(item)
    yield from engine.finish()


def black(size_hw: SizeHW) -> Rgb:
    """A black frame."""
    return np.zeros((*size_hw, 3), np.uint8)


class OneByOne:
    """An engine whose frames are labelled as they come."""

    is_causal = True
    prefetches = False
    """Whether its motion may be estimated by the thread that reads the frames."""

    def step(self, rgb: Rgb, *, pts_seconds: float | None = None, motion: Motion | None = None) -> Result:
        raise NotImplementedError

    def push(self, rgb: Rgb, *, pts_seconds: float | None = None, motion: Motion | None = None) -> list[Result]:
        """`step` in the form that engines have of which a frame may complete none or several results."""
        return [self.step(rgb, pts_seconds=pts_seconds, motion=motion)]

    def finish(self) -> list[Result]:
        """What is still to come after the last frame: nothing."""
        return []

    def warm_up(self, size_hw: SizeHW) -> None:
        """Shows the engine two black frames of a size: what is compiled, is compiled then. Afterwards a clip begins."""
        raise NotImplementedError


class EveryFrame(OneByOne):
    """The plain network on every frame, without memory."""

    motion: MotionSource | None = None

    def __init__(self, segmenter: Segmenter, *, ops: ArrayOps) -> None:
        self.segmenter, self.ops = segmenter, ops
        self.clock: Callable[[], Clock] = Clock
        self._count = 0

    def reset(self) -> None:
        """The next frame has index 0."""
        self._count = 0

    def select(self, key: str | int) -> None:
        select(self.segmenter, key)

    def step(self, rgb: Rgb, *, pts_seconds: float | None = None, motion: Motion | None = None) -> Result:  # noqa: ARG002
        """The next frame, (H, W, 3) uint8 RGB, as labels (H, W). SettingError for anything else."""
        clock = self.clock()
        with self.ops.scope():
            image = self.ops.image(rgb)
            size_hw = image.shape[0], image.shape[1]
            with clock("segment"):
                logits = self.segmenter(image)
                scores = self.ops.score_map(logits, kind="logits", most_cells=None, image_hw=size_hw)
            with clock("label"):
                labels = self.ops.labels(scores, size_hw)
        index, self._count = self._count, self._count + 1
        return Result(
            index,
            math.nan if pts_seconds is None else pts_seconds,
            is_key=True,
            distance=0,
            is_cut=False,
            labels=self.ops.host(labels, like=rgb),
            scores=scores,
            stages_ms=clock.stages_ms,
        )

    def warm_up(self, size_hw: SizeHW) -> None:
        if not isinstance(self.segmenter, Selecting):  # stored scores need none, and have none for such frames
            self.step(black(size_hw))
            self.reset()

    def stream(self, source: Iterable[Frame] | Iterable[Rgb]) -> Iterator[Result]:
        """One result for every frame, as they come; starts afresh."""
        return stream(self, source)

    @property
    def notes(self) -> list[str]:
        return notes_of(self.segmenter)

    @property
    def longest(self) -> int:
        """The largest distance that a result can have."""
        return 0

    def describe(self) -> dict[str, Any]:
        return {"network": self.segmenter.describe(), **self.ops.describe()}
