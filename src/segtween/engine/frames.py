"""What engines have in common: frames one by one, in streams, and the plain network on every frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from segtween.engine.clock import Clock
from segtween.engine.state import own_labels
from segtween.errors import SettingError
from segtween.interfaces import ArrayOps, Engine, MotionSource, Segmenter, Selecting, notes_of, segmented, select
from segtween.types import Frame, FrameKey, Motion, Result, Rgb, SizeHW, format_size


def black(size_hw: SizeHW) -> Rgb:
    """A black frame."""
    return np.zeros((*size_hw, 3), np.uint8)


def check_size(index: int, size_hw: SizeHW, before_hw: SizeHW) -> None:
    """SettingError for a frame of another size than the one before."""
    if size_hw != before_hw:
        raise SettingError(
            f"frame {index} is {format_size(size_hw)}",
            expected=f"{format_size(before_hw)} as before",
            do="call reset() where a new clip begins",
        )


MOST_BUFFERED = 30


def frames_buffered(engine: Engine) -> int:
    """How many new frames of a camera may wait for the engine, before the oldest is dropped: one; where results come
    late half a period of them, since those of a period are made at once, which takes about half of all work."""
    return 1 if engine.is_causal else min(1 + engine.longest // 2, MOST_BUFFERED)


class Streaming:
    """What every engine does with the frames of a whole clip."""

    def stream(self: Engine, source: Iterable[Frame] | Iterable[Rgb]) -> Iterator[Result]:
        """One result for every frame, in order; starts afresh."""
        self.reset()
        items: Iterator[Frame | Rgb] = iter(source)
        for index, item in enumerate(items):
            self.select(item if isinstance(item, Frame) else index)
            if isinstance(item, Frame):
                yield from self.push(item.rgb, pts_seconds=float(item.pts_seconds))
            else:
                yield from self.push(item)
        yield from self.finish()


class OneByOne(Streaming):
    """An engine whose frames are labelled as they come, by its `step`."""

    is_causal = True
    prefetches = False
    """Whether its motion may be estimated by the thread that reads the frames."""

    def push(self: Engine, rgb: Rgb, *, pts_seconds: float | None = None, motion: Motion | None = None) -> list[Result]:
        """`step` in the form that engines have of which a frame may complete none or several results."""
        return [self.step(rgb, pts_seconds=pts_seconds, motion=motion)]

    def finish(self) -> list[Result]:
        """What is still to come after the last frame: nothing."""
        return []


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

    def select(self, key: FrameKey) -> None:
        select(self.segmenter, key)

    def step(self, rgb: Rgb, *, pts_seconds: float | None = None, motion: Motion | None = None) -> Result:  # noqa: ARG002
        """The next frame, (H, W, 3) uint8 RGB, as labels (H, W). SettingError for anything else."""
        clock = self.clock()
        with self.ops.scope():
            image = self.ops.image(rgb)
            size_hw = image.shape[0], image.shape[1]
            with clock("segment"):
                logits, detail = segmented(self.segmenter, image)
                scores = self.ops.score_map(logits, kind="logits", most_cells=None, image_hw=size_hw)
            with clock("label"):
                labels = self.ops.labels(scores, size_hw) if detail is None else own_labels(self.ops, detail, size_hw)
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
        """Shows the engine a black frame of a size: what is compiled, is compiled then. Afterwards a clip begins."""
        if not isinstance(self.segmenter, Selecting):  # stored scores need none, and have none for such frames
            self.step(black(size_hw))
            self.reset()

    @property
    def notes(self) -> list[str]:
        return notes_of(self.segmenter)

    @property
    def longest(self) -> int:
        """The largest distance that a result can have."""
        return 0

    def describe(self) -> dict[str, Any]:
        return {"network": self.segmenter.describe(), **self.ops.describe()}
