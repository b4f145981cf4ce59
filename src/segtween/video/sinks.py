"""Videos and folders of files: what they show of each frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segtween.labels import LabelSet
from segtween.types import Frame, Labels, Result
from segtween.video.encode import VideoWriter
from segtween.video.paint import Painter, full_size, side_by_side
from segtween.video.png import encode_png
from segtween.video.staging import Staged, sink_errors

Ids = Literal["train", "dataset"]
Draw = Callable[[Frame, Result], NDArray[np.uint8]]


class Film(NamedTuple):
    """A further video: what it shows of each frame, and options of its encoder, x264; with its own it has no sound."""

    draw: Draw
    x264: Mapping[str, str] | None = None


class VideoSink:
    """A video of what `draw` makes of each frame."""

    def __init__(self, writer: VideoWriter, draw: Draw) -> None:
        self._writer, self._draw = writer, draw
        self.staged = writer.staged

    def write(self, frame: Frame, result: Result) -> None:
        self._writer.write(self._draw(frame, result), frame.pts_seconds)

    def close(self) -> None:
        self._writer.close()

    def abort(self) -> None:
        self._writer.abort()


class SharedPainter:
    """One painted picture per frame, however many outputs show it."""

    def __init__(self, painter: Painter) -> None:
        self._painter = painter
        self._last: tuple[int, NDArray[np.uint8]] | None = None

    def __call__(self, frame: Frame, result: Result) -> NDArray[np.uint8]:
        if self._last is None or self._last[0] != frame.index:
            self._last = frame.index, self._painter(frame.rgb, result.labels)
        return self._last[1]

    def beside_input(self, frame: Frame, result: Result) -> NDArray[np.uint8]:
        return side_by_side(frame.rgb, self(frame, result), captions=("input", how_made(result)))


def how_made(result: Result) -> str:
    if result.is_key:
        return (
            "network (key frame)" if "segment" in result.stages_ms or not result.stages_ms else "labelled (key frame)"
        )
    return f"optical flow, {result.distance} frame{'s' * (result.distance > 1)} since key"


def confidence_picture(frame: Frame, result: Result) -> NDArray[np.uint8]:
    """(H, W) uint8: round(255 * confidence), enlarged bilinearly from its grid to the frame's size."""
    return np.rint(full_size(result.confidence, frame.size_hw) * 255).astype(np.uint8)


def mask_picture(train_id: int) -> Draw:
    """(H, W) uint8: 255 where the label is `train_id`, 0 elsewhere."""
    return lambda _, result: np.where(result.labels == train_id, np.uint8(255), np.uint8(0))


def values_in_file(labels: LabelSet, ids: Ids) -> tuple[Callable[[Labels], Labels], NDArray[np.uint8]]:
    """What turns train ids into the values that are written, and the (256, 3) colours of those values."""
    if ids == "train":
        return lambda values: values, labels.palette
    colours = np.zeros((256, 3), np.uint8)
    colours[list(labels.ids)] = labels.colours
    return labels.encode, colours


class FrameFiles:
    """`<folder>/<inside>/<stem>000000.<ending>, ...`: one file per frame, of what `encode` gives. The files before one
    that fails are kept. `beside` are files of the folder itself, by name."""

    def __init__(
        self,
        target: Path,
        encode: Callable[[Frame, Result], bytes],
        *,
        naming: str = "{:06d}.png",
        inside: str = ".",
        beside: Mapping[str, str] | None = None,
    ) -> None:
        self.staged = Staged(target)
        self._encode, self._naming, self._inside, self._beside = encode, naming, inside, beside or {}
        self._count = 0
        self._done = False

    def write(self, frame: Frame, result: Result) -> None:
        path = self.staged.part / self._inside / self._naming.format(frame.index)
        data = self._encode(frame, result)
        with sink_errors(self.staged.target / path.name):
            if self._count == 0:
                self._begin(path.parent)
            try:
                path.write_bytes(data)
            except OSError:
                path.unlink(missing_ok=True)
                raise
        self._count += 1

    def _begin(self, folder: Path) -> None:
        self.staged.part.mkdir()
        folder.mkdir(exist_ok=True)
        for name, text in self._beside.items():
            (self.staged.part / name).write_text(text, encoding="utf-8")

    def close(self) -> None:
        if self._done:
            return
        self._done = True
        if self._count:
            self.staged.commit()
        else:
            self.staged.discard()

    abort = close


def label_images(target: Path, labels: LabelSet, *, ids: Ids) -> FrameFiles:
    """`labels/000000.png, ...`: one 8-bit palette PNG per frame."""
    values, palette = values_in_file(labels, ids)
    return FrameFiles(target, lambda _, result: encode_png(values(result.labels), palette=palette))
