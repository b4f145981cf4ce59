"""What every data set is made of: clips of frames on disk, read one at a time.

A data set is *dense* where every frame of every clip has a label file and *sparse* otherwise; the two
are measured differently (docs/evaluation.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from segtween.datasets.reading import read_flow, read_ids, read_occlusion, read_rgb
from segtween.errors import DatasetError, LabelError, SettingError
from segtween.labels import LabelSet
from segtween.texttable import count
from segtween.types import Flow, FrameKey, Labels, Rgb, SizeHW, format_size, size_of


@dataclass(frozen=True, slots=True)
class ClipFrame:
    """One frame on disk. `name` (without ending) is what stored scores are looked up by.

    `flow_path` holds the exact backward flow to the frame before, where a synthetic clip has it.
    """

    name: str
    image_path: Path
    label_path: Path | None = None
    flow_path: Path | None = None


@dataclass(frozen=True, slots=True)
class Clip:
    """Consecutive frames of one scene, in order of time."""

    name: str
    frames: Sequence[ClipFrame]

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def labelled(self) -> list[int]:
        """Indices of the frames that have a label file."""
        return [i for i, frame in enumerate(self.frames) if frame.label_path is not None]


@dataclass(frozen=True)
class Dataset:
    """Clips of one split. `void_ids` may stand in label files and read as 255 besides the label set's own ignore id;
    `name` is the layout's, `folder` where the data lies.

    Raises DatasetError where there is no frame or no label to measure against.
    """

    name: str
    split: str
    labels: LabelSet
    clips: Sequence[Clip]
    frame_rate: Fraction | None = None
    void_ids: tuple[int, ...] = ()
    folder: str = ""

    def __post_init__(self) -> None:
        if not any(len(clip) for clip in self.clips):
            raise DatasetError(
                f"split {self.split!r} of {self.name} has no frames", expected="at least one", do="check root and split"
            )
        if not any(clip.labelled for clip in self.clips):
            raise DatasetError(
                f"split {self.split!r} of {self.name} has no labels",
                expected="a label image for at least one frame",
                do="choose a split with labels; use `segtween run` where there are none",
            )

    @property
    def title(self) -> str:
        """For people: `camvid val`; in a folder of another name `street val (camvid layout)`."""
        if not self.folder or self.name in self.folder.lower():
            return f"{self.name} {self.split}"
        return f"{self.folder} {self.split} ({self.name} layout)"

    @property
    def n_frames(self) -> int:
        return sum(len(clip) for clip in self.clips)

    @property
    def is_dense(self) -> bool:
        """Whether every frame of every clip is labelled."""
        return all(len(clip.labelled) == len(clip) for clip in self.clips)

    @property
    def has_flow(self) -> bool:
        """Whether the exact flow of every pair of consecutive frames is stored."""
        pairs = [frame for clip in self.clips for frame in clip.frames[1:]]
        return bool(pairs) and all(frame.flow_path is not None for frame in pairs)

    def limited(self, max_frames: int | None) -> Dataset:
        """The first `max_frames` frames, clip by clip; a clip with sparse labels is taken whole or not at all."""
        if max_frames is None or max_frames >= self.n_frames:
            return self
        if max_frames < 1:
            raise SettingError(count(max_frames, "frame"), expected="1 or more", do="give a larger number")
        left, clips = max_frames, []
        for clip in self.clips:
            kept = clip if len(clip) <= left else replace(clip, frames=clip.frames[: left if self.is_dense else 0])
            if not kept.frames:
                break
            clips.append(kept)
            left -= len(kept)
        if not clips:
            raise SettingError(
                count(max_frames, "frame"),
                expected=f"at least the {count(len(self.clips[0]), 'frame')} of the first clip: its labels are sparse",
                do="give a larger number",
            )
        return replace(self, clips=clips)

    def read_rgb(self, frame: ClipFrame) -> Rgb:
        """The frame's picture. Raises DatasetError where the file is missing or not an image."""
        return read_rgb(frame.image_path)

    def key_of(self, frame: ClipFrame) -> FrameKey:
        """What components that read stored scores or flow are told of a frame: its name."""
        return frame.name

    def read_labels(self, frame: ClipFrame, *, size_hw: SizeHW) -> Labels | None:
        """(H, W) train ids; None without a label file.

        Raises LabelError for another size than the picture's and for ids outside the label set.
        """
        if frame.label_path is None:
            return None
        ids = read_ids(frame.label_path)
        if ids.shape[:2] != size_hw:
            raise LabelError(
                f"{frame.label_path} is {format_size(size_of(ids))}",
                expected=f"{format_size(size_hw)} (width x height), the size of {frame.image_path.name}",
                do="give labels at the pictures' own size",
            )
        if self.void_ids and ids.dtype == np.uint8:
            table = np.arange(256, dtype=np.uint8)
            table[list(self.void_ids)] = self.labels.ignore_id
            ids = table[ids]
        return self.labels.decode(ids, name=str(frame.label_path), strict=True)

    def read_flow(self, frame: ClipFrame, *, size_hw: SizeHW) -> Flow | None:
        """(H, W, 2) exact backward flow to the frame before; None where none is stored."""
        if frame.flow_path is None:
            return None
        flow = read_flow(frame.flow_path)
        _check_size(frame, size_of(flow), size_hw)
        return flow

    def read_occlusion(self, frame: ClipFrame, *, size_hw: SizeHW) -> NDArray[np.bool_] | None:
        """(H, W) True where a pixel was not visible in the frame before; None where that is not stored."""
        occlusion = None if frame.flow_path is None else read_occlusion(frame.flow_path)
        if occlusion is not None:
            _check_size(frame, size_of(occlusion), size_hw)
        return occlusion

    def __repr__(self) -> str:
        kind = "dense" if self.is_dense else "sparse"
        size = f"{count(self.n_frames, 'frame')}, {count(len(self.clips), 'clip')}"
        return f"Dataset({self.name} {self.split}, {size}, {kind} labels)"


def of_one_size(frames: Iterable[ClipFrame], read: Callable[[ClipFrame], Rgb]) -> Iterator[Rgb]:
    """The pictures of a clip's frames, one after the other; DatasetError for one of another size than the first."""
    first: tuple[ClipFrame, SizeHW] | None = None
    for frame in frames:
        rgb = read(frame)
        size_hw = rgb.shape[0], rgb.shape[1]
        first = first or (frame, size_hw)
        if size_hw != first[1]:
            raise DatasetError(
                f"{frame.image_path} is {format_size(size_hw)}",
                expected=f"{format_size(first[1])} (width x height), the size of {first[0].image_path.name}",
                do="make clips of one size each",
            )
        yield rgb


def _check_size(frame: ClipFrame, found_hw: SizeHW, size_hw: SizeHW) -> None:
    """DatasetError where what is stored with a frame has another size than its picture."""
    if found_hw != size_hw:
        raise DatasetError(
            f"{frame.flow_path} is {format_size(found_hw)}",
            expected=f"{format_size(size_hw)} (width x height), the size of {frame.image_path.name}",
            do="render the clip again",
        )
