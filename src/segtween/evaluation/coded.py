"""A data set as a video would show it: its clips coded with H.264 and decoded again, with their motion vectors."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

from segtween.datasets import Clip, ClipFrame, Dataset, of_one_size
from segtween.errors import SettingError, check_known
from segtween.types import Frame, FrameKey, Rgb
from segtween.video import open_source

CODINGS: dict[str, dict[str, str]] = {
    "camera": {"preset": "veryfast", "tune": "zerolatency", "refs": "1"},
    "file": {"preset": "medium"},
}
"""Options of libx264. camera: fast, without B pictures and with one reference picture, as cameras send; file: its
default."""
USUAL_RATE = Fraction(25)


@dataclass(frozen=True)
class CodedDataset(Dataset):
    """`coded(dataset)`; frames are decoded in the order in which they are read."""

    coding: str = "camera"
    crf: int = 23
    _reading: _Reading = field(default_factory=lambda: _Reading(), repr=False, compare=False)

    @property
    def title(self) -> str:
        return f"{Dataset.title.fget(self)}, coded as H.264 ({self.coding}, CRF {self.crf})"  # type: ignore[attr-defined]

    def read_rgb(self, frame: ClipFrame) -> Rgb:
        return self.frame_of(frame).rgb

    def key_of(self, frame: ClipFrame) -> FrameKey:
        """With its motion vectors; its name would lead to stored scores of other pictures."""
        return self.frame_of(frame)

    def frame_of(self, frame: ClipFrame) -> Frame:
        """The decoded picture with its motion vectors; its index counts within the clip."""
        clip = next(clip for clip in self.clips if any(one is frame for one in clip.frames))
        index = next(i for i, one in enumerate(clip.frames) if one is frame)
        return self._reading(self, clip, index)


def coded(dataset: Dataset, coding: str, *, crf: int = 23) -> CodedDataset:
    """`dataset` with its clips coded at a constant rate factor, 0 (lossless) to 51.

    Raises SettingError for another coding or factor, and for frames of odd width or height.
    """
    check_known(f"coding {coding!r}", coding, CODINGS)
    if not 0 <= crf <= 51:
        raise SettingError(f"a rate factor of {crf}", expected="0 (lossless) to 51", do="give crf=23")
    given = {one.name: getattr(dataset, one.name) for one in fields(Dataset)}
    return CodedDataset(**given, coding=coding, crf=crf)


class _Reading:
    """The clip that is being decoded, from a file that is removed with this object."""

    def __init__(self) -> None:
        self._path = Path(tempfile.mkdtemp(prefix="segtween-coded-")) / "clip.mp4"
        weakref.finalize(self, shutil.rmtree, self._path.parent, ignore_errors=True)
        self._clip: Clip | None = None
        self._frames: Iterator[Frame] = iter(())
        self._last: Frame | None = None

    def __call__(self, dataset: CodedDataset, clip: Clip, index: int) -> Frame:
        if clip is not self._clip:
            encode(self._path, of_one_size(clip.frames, partial(Dataset.read_rgb, dataset)), dataset)
        if clip is not self._clip or self._last is None or index < self._last.index:
            self._clip, self._last = clip, None
            self._frames = iter(open_source(self._path, motion_vectors=True))
        while self._last is None or self._last.index < index:
            self._last = next(self._frames)
        return self._last


def encode(path: Path, frames: Iterator[Rgb], dataset: CodedDataset) -> None:
    """An MP4 file of these frames, (H, W, 3) with even H and W."""
    import av

    with av.open(str(path), "w") as container:
        stream: Any = None
        for rgb in frames:
            if stream is None:
                stream = _stream(container, rgb, dataset)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode())


def _stream(container: Any, rgb: Rgb, dataset: CodedDataset) -> Any:
    height, width = rgb.shape[:2]
    if height % 2 or width % 2:
        raise SettingError(
            f"frames of {width}x{height} to be coded", expected="an even width and height", do="choose other data"
        )
    options = {**CODINGS[dataset.coding], "crf": str(dataset.crf)}
    stream = container.add_stream("libx264", rate=dataset.frame_rate or USUAL_RATE, options=options)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    return stream
