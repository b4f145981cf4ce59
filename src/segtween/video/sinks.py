"""What can be saved of a clip: one class per kind of file, and the composite that feeds them all."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SinkError
from segtween.labels import LabelSet
from segtween.types import Frame, Labels, Result
from segtween.video.encode import VideoWriter
from segtween.video.interrupt import Interrupts
from segtween.video.paint import Painter, class_counts, side_by_side
from segtween.video.png import encode_png
from segtween.video.staging import Staged, sink_errors

Ids = Literal["train", "dataset"]
Draw = Callable[[Frame, Result], NDArray[np.uint8]]


class Part(Protocol):
    """A Sink of one file or folder; `broken` once a write has failed."""

    @property
    def broken(self) -> bool: ...
    def write(self, frame: Frame, result: Result) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Sinks:
    """All outputs of one clip. `stale` are old files that go once the new ones are there.

    Ctrl-C never falls between the outputs of a frame: it waits for the next call.
    """

    def __init__(self, parts: Sequence[Part], *, stale: Sequence[Path] = ()) -> None:
        self._parts, self._stale = list(parts), list(stale)
        self._interrupts = Interrupts()

    def write(self, frame: Frame, result: Result) -> None:
        self._interrupts.raise_if_asked()
        with self._interrupts.held():
            for part in self._parts:
                part.write(frame, result)

    def close(self) -> None:
        """Finishes every output, and raises the first error when all have had their turn."""
        errors = []
        with self._interrupts.held():
            for part in self._parts:
                try:
                    part.close()
                except SinkError as error:
                    errors.append(error)
                    part.abort()
        if errors:
            raise errors[0]
        for path in self._stale:
            path.unlink(missing_ok=True)
        self._stale = []
        self._interrupts.raise_if_asked()

    def abort(self) -> None:
        """Keeps every output that is whole up to the last frame; broken ones go first, to make room."""
        with self._interrupts.held():
            for part in sorted(self._parts, key=lambda p: not p.broken):
                part.abort()


class VideoSink:
    """A video of what `draw` makes of each frame."""

    def __init__(self, writer: VideoWriter, draw: Draw) -> None:
        self._writer, self._draw = writer, draw

    @property
    def broken(self) -> bool:
        return self._writer.broken

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
    import cv2

    full = cv2.resize(result.confidence, (frame.size_hw[1], frame.size_hw[0]), interpolation=cv2.INTER_LINEAR)
    return np.rint(np.clip(full, 0, 1) * 255).astype(np.uint8)


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


class LabelImages:
    """`labels/000000.png, ...`: one 8-bit palette PNG per frame."""

    def __init__(self, target: Path, labels: LabelSet, *, ids: Ids) -> None:
        self._staged = Staged(target)
        self._values, self._palette = values_in_file(labels, ids)
        self._count = 0
        self._done = self.broken = False

    def write(self, frame: Frame, result: Result) -> None:
        path = self._staged.part / f"{frame.index:06d}.png"
        data = encode_png(self._values(result.labels), palette=self._palette)
        with sink_errors(self._staged.target / path.name):
            try:
                if self._count == 0:
                    self._staged.part.mkdir()
                path.write_bytes(data)
            except OSError:
                self.broken = True
                path.unlink(missing_ok=True)
                raise
        self._count += 1

    def close(self) -> None:
        """The images before a failed one are whole, so they stay in any case."""
        if self._done:
            return
        self._done = True
        if self._count:
            self._staged.commit()
        else:
            self._staged.discard()

    abort = close


class CvatArchive:
    """`cvat.zip` in CVAT's layout "Segmentation mask 1.1", written frame by frame.

    labelmap.txt (name:r,g,b::), ImageSets/Segmentation/default.txt, SegmentationClass/ in the label
    set's colours (black = background, ignore) and SegmentationObject/ with one object per class.
    Frames are called frame_000000 and so on, as CVAT calls those of a video.
    """

    def __init__(self, target: Path, labels: LabelSet) -> None:
        colours = [(0, 0, 0), *labels.colours]
        if len(set(colours)) != len(colours):
            raise SinkError(
                f"label set {labels.name!r} uses a colour twice, or black, so cvat.zip cannot tell its classes apart",
                expected="one colour per class, none of them black",
                do="change the label set's colours or save labels instead",
            )
        self._staged, self._labels = Staged(target), labels
        self._objects = np.zeros((256, 3), np.uint8)
        self._objects[: len(labels)] = [_object_colour(i + 1) for i in range(len(labels))]
        self._zip: zipfile.ZipFile | None = None
        self._written: list[str] = []
        self._done = self.broken = False

    def write(self, frame: Frame, result: Result) -> None:
        with sink_errors(self._staged.target):
            try:
                if self._zip is None:
                    self._zip = zipfile.ZipFile(self._staged.part, "w")
                for folder, palette in (
                    ("SegmentationClass", self._labels.palette),
                    ("SegmentationObject", self._objects),
                ):
                    self._add(f"{folder}/frame_{frame.index:06d}.png", encode_png(palette[result.labels]))
            except OSError:
                self.broken = True
                raise
        self._written.append(f"frame_{frame.index:06d}\n")

    def _add(self, name: str, data: bytes) -> None:
        assert self._zip is not None
        self._zip.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)

    def close(self) -> None:
        if self._done or self._zip is None:
            return
        self._done = True
        with sink_errors(self._staged.target):
            lines = [
                f"{n}:{r},{g},{b}::" for n, (r, g, b) in zip(self._labels.names, self._labels.colours, strict=True)
            ]
            head = ["# label:color_rgb:parts:actions", "background:0,0,0::"]
            try:
                self._add("labelmap.txt", ("\n".join([*head, *lines]) + "\n").encode())
                self._add("ImageSets/Segmentation/default.txt", "".join(self._written).encode())
                self._zip.close()
            except OSError:
                self.broken = True
                raise
        self._staged.commit()

    def abort(self) -> None:
        try:
            if not self.broken:
                self.close()
        except SinkError:
            pass
        if self.broken:
            self._done = True
            if self._zip is not None and self._zip.fp is not None:
                self._zip.fp.close()  # without the directory at its end, which there is no room for
                self._zip.fp = None
            self._staged.discard()


def _object_colour(index: int) -> tuple[int, int, int]:
    """The Pascal VOC colour of object `index`: its bits, dealt to red, green and blue from the top."""
    colour = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            colour[channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return colour[0], colour[1], colour[2]


class FramesTable:
    """`frames.csv`: one line per frame, flushed as it is written.

    Columns: frame, pts_seconds, key (1 or 0), frames_since_key, ms (all stages), confidence (mean, 0..1),
    share_<class> (share of the frame's pixels, 0..1) for every class, change_rate (share of pixels
    whose label differs from the frame before, 0 at the first).
    """

    def __init__(self, target: Path, labels: LabelSet) -> None:
        self._staged, self._labels = Staged(target), labels
        self._previous: Labels | None = None
        self._done = self.broken = False
        self._good = 0  # bytes up to the last whole line
        with sink_errors(target):
            self._file = self._staged.part.open("wb", buffering=0)
        shares = [f"share_{name}" for name in labels.names]
        head = ["frame", "pts_seconds", "key", "frames_since_key", "ms", "confidence", *shares, "change_rate"]
        self._line(head)

    def write(self, frame: Frame, result: Result) -> None:
        shares = class_counts(result.labels)[: len(self._labels)] / result.labels.size
        changed = 0.0
        if self._previous is not None and self._previous.shape == result.labels.shape:
            changed = np.count_nonzero(self._previous != result.labels) / result.labels.size
        self._previous = result.labels.copy()
        self._line(
            [
                frame.index,
                float(frame.pts_seconds),
                int(result.is_key),
                result.distance,
                f"{sum(result.stages_ms.values()):.3f}",
                f"{float(result.confidence.mean()):.6f}",
                *(f"{share:.6f}" for share in shares),
                f"{changed:.6f}",
            ]
        )

    def _line(self, values: Sequence[Any]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        data = text.getvalue().encode()
        with sink_errors(self._staged.target):
            try:
                if self._file.write(data) != len(data):
                    raise OSError(28, "No space left on device")
            except OSError:
                self.broken = True
                raise
        self._good += len(data)

    def close(self) -> None:
        """Keeps the whole lines. Without any frame there is no table."""
        if self._done:
            return
        self._done = True
        with sink_errors(self._staged.target):
            if self.broken:
                self._file.truncate(self._good)
            self._file.close()
        if self._previous is None:
            self._staged.discard()
        else:
            self._staged.commit()

    abort = close
