"""Which frames are evaluated, where runs begin in them, and what is read of each."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.datasets import Clip, ClipFrame, Dataset, of_one_size
from segtween.datasets.reading import read_occlusion
from segtween.errors import SettingError
from segtween.evaluation.pairing import FrameRecord
from segtween.evaluation.sharing import Shared
from segtween.metrics.bootstrap import Bootstrap, block_numbers
from segtween.metrics.boundary import TruthEdges
from segtween.metrics.temporal import FARNEBACK, Correspondence, Farneback, correspondence
from segtween.metrics.vspw import Sampling, sampling
from segtween.metrics.vspw import judging_flow as vspw_flow
from segtween.schedule.cuts import ResidualCuts
from segtween.texttable import count
from segtween.types import Labels, Motion, Rgb, size_of

SHORTEST_HISTORY = 4
"""Sparse labels: frames before the labelled one that "every frame, fused" gets at least, where the clip has them."""


@dataclass(frozen=True)
class Window:
    """The frames from `first` on of a clip, with the block of each. Sparse labels: the last is scored.

    `number` is the clip's place in the data set; `blocks` go on from window to window.
    """

    clip: Clip
    number: int
    first: int
    blocks: NDArray[np.intp]
    is_dense: bool

    def start_of(self, phase: int | None) -> int:
        """Where a run begins: at its phase; sparse: this many frames before the last. None: at the first frame."""
        if phase is None:
            return 0
        return phase if self.is_dense else len(self.blocks) - 1 - phase


def plan(dataset: Dataset, longest: int, settings: Bootstrap, *, whole: bool = False) -> tuple[list[Window], list[str]]:
    """The windows to run, and notes on what is left out. `whole`: from every clip's first frame on."""
    return _dense(dataset, longest, settings) if dataset.is_dense else _sparse(dataset, longest, whole=whole)


def _dense(dataset: Dataset, longest: int, settings: Bootstrap) -> tuple[list[Window], list[str]]:
    if longest >= max(len(clip) for clip in dataset.clips):
        raise SettingError(
            f"interval {longest}",
            expected=f"less than the {count(max(len(clip) for clip in dataset.clips), 'frame')} of the longest clip",
            do="give shorter intervals",
        )
    windows, blocks = [], 0
    for number, clip in enumerate(dataset.clips):
        if len(clip):
            numbers = block_numbers(len(clip), block_frames=settings.block_frames) + blocks
            windows.append(Window(clip, number, 0, numbers, True))
            blocks = int(numbers[-1]) + 1
    return windows, []


def _sparse(dataset: Dataset, longest: int, *, whole: bool) -> tuple[list[Window], list[str]]:
    """One window, and one block, per labelled frame that has enough frames before it."""
    history = max(longest, SHORTEST_HISTORY)
    labelled = [(number, last) for number, clip in enumerate(dataset.clips) for last in clip.labelled]
    usable = [(number, last) for number, last in labelled if last >= longest]
    if not usable:
        most = max(last for _, last in labelled)
        raise SettingError(
            f"interval {longest}",
            expected=f"at most the {count(most, 'frame')} before a labelled frame in {dataset.name} {dataset.split}",
            do="give shorter intervals",
        )
    windows = []
    for block, (number, last) in enumerate(usable):
        first = 0 if whole else max(0, last - history)
        windows.append(Window(dataset.clips[number], number, first, np.full(last - first + 1, block), False))
    left_out = ["vc8, vc16 and flicker_at_keys: they need labels on consecutive frames"]
    if len(usable) < len(labelled):
        few = count(len(labelled) - len(usable), "labelled frame")
        left_out.append(f"{few} with fewer than {count(longest, 'frame')} before")
    return windows, left_out


def clips_of_blocks(windows: Iterable[Window]) -> NDArray[np.intp]:
    """(blocks,) the clip of each block, by its place in the data set."""
    return np.concatenate([np.full(len(np.unique(window.blocks)), window.number) for window in windows])


@dataclass(frozen=True)
class Moment:
    """One frame for all runs. `offset` counts within the window; `truth` is None where nothing is scored; `motion`
    leads to the frame before, None where there is none or a scene cut (`is_cut`) lies between."""

    offset: int
    block: int
    rgb: Rgb
    pts_seconds: float | None
    truth: Labels | None
    motion: Correspondence | None
    is_cut: bool = False
    vspw: Sampling | None = None
    """How VSPW's scripts lead from the frame before to this one, where their measures were asked for."""
    edges: TruthEdges | None = None
    """Where the true labels' edges are, where agreement along them was asked for."""
    record: FrameRecord = field(default_factory=FrameRecord)
    """What the plain network and "every frame, fused" counted of this frame, for the rows next to them."""
    name: str = ""
    """The frame's, in its data set."""


def moments(dataset: Dataset, window: Window, shared: Shared, *, measures: Collection[str] = ()) -> Iterator[Moment]:
    """The frames of a window; what reads stored scores or flow gets each frame's name first.
    `measures` are those of `evaluation.MEASURES` that are asked for."""
    previous: Rgb | None = None
    judge = _JudgingMotion(dataset)
    frames = window.clip.frames[window.first : window.first + len(window.blocks)]
    pictures = of_one_size(frames, dataset.read_rgb)
    for offset, (block, frame, rgb) in enumerate(zip(window.blocks, frames, pictures, strict=True)):
        size_hw = size_of(rgb)
        scored = window.is_dense or offset == len(window.blocks) - 1
        motion, is_cut = judge(frame, rgb, is_first=offset == 0)
        shared.select(dataset.key_of(frame))
        truth = dataset.read_labels(frame, size_hw=size_hw) if scored else None
        yield Moment(
            offset,
            int(block),
            rgb,
            None if dataset.frame_rate is None else float((window.first + offset) / dataset.frame_rate),
            truth,
            motion,
            is_cut,
            sampling(vspw_flow(previous, rgb)) if "vspw" in measures and previous is not None else None,
            TruthEdges(truth, classes=len(dataset.labels)) if truth is not None and "boundary" in measures else None,
            name=frame.name,
        )
        previous = rgb


def judging_flow(dataset: Dataset) -> dict[str, Any]:
    """The record of the motion that temporal measures compare along."""
    if not dataset.has_flow:
        return {"flow": "farneback", **FARNEBACK, "occlusion": "unknown"}
    second = next(clip.frames[1] for clip in dataset.clips if len(clip) > 1)
    assert second.flow_path is not None
    return {"flow": "exact", "occlusion": "unknown" if read_occlusion(second.flow_path) is None else "left out"}


class _JudgingMotion:
    """The motion that temporal measures compare along: exact where the data set holds it, without what was occluded;
    else Farneback's. Scene cuts are looked for in the latter case, by the same motion for all methods."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset, self._has_flow = dataset, dataset.has_flow
        self._farneback, self._cuts = Farneback(), ResidualCuts()
        self._previous: NDArray[np.uint8] | None = None

    def __call__(self, frame: ClipFrame, rgb: Rgb, *, is_first: bool) -> tuple[Correspondence | None, bool]:
        """The motion to the frame before, and whether there is a cut between: no motion then."""
        import cv2

        size_hw = size_of(rgb)
        if self._has_flow:
            flow = None if is_first else self._dataset.read_flow(frame, size_hw=size_hw)
            occlusion = None if flow is None else self._dataset.read_occlusion(frame, size_hw=size_hw)
            return None if flow is None else correspondence(flow, occlusion), False
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        motion, previous, self._previous = self._farneback(rgb), self._previous, grey
        if motion is None or previous is None:
            return None, False
        moved = previous.ravel().take(motion.source)
        error = np.where(motion.inside, np.abs(grey.astype(np.float32) - moved), np.float32(255))
        is_cut = self._cuts(Motion(grey, residual=error))
        return None if is_cut else motion, is_cut
