"""`cvat.zip`, for annotation tools."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from segtween.errors import SinkError
from segtween.labels import LabelSet
from segtween.labels.naming import comparable
from segtween.types import Frame, Result
from segtween.video.png import encode_png
from segtween.video.staging import Staged, sink_error

BACKGROUND, BLACK = "background", (0, 0, 0)
_OTHERWISE = "change the label set's colours, give palette='colour-blind', or save labels instead"


class CvatArchive:
    """`cvat.zip` in CVAT's layout "Segmentation mask 1.1", written frame by frame.

    labelmap.txt (name:r,g,b::), ImageSets/Segmentation/default.txt, SegmentationClass/ in the label
    set's colours (black = background, ignore) and SegmentationObject/ with one object per class.
    CVAT and what else reads the layout take the label in black for what is not labelled, whatever its
    name: a class in black is refused unless it is the background, which is no object then.
    Frames are called frame_000000 and so on, as CVAT calls those of a video.
    """

    def __init__(self, target: Path, labels: LabelSet) -> None:
        if len(set(labels.colours)) != len(labels):
            raise SinkError(
                f"label set {labels.name!r} uses a colour twice, so cvat.zip cannot tell its classes apart",
                expected="one colour per class",
                do=_OTHERWISE,
            )
        black = labels.colours.index(BLACK) if BLACK in labels.colours else None
        if black is not None and comparable(labels.names[black]) != BACKGROUND:
            raise SinkError(
                f"class {labels.names[black]!r} of label set {labels.name!r} is black, which is no label in cvat.zip",
                expected="no class in black but the background",
                do=_OTHERWISE,
            )
        self.staged, self._labels = Staged(target), labels
        self._objects = np.zeros((256, 3), np.uint8)
        self._objects[: len(labels)] = [BLACK if i == black else _object_colour(i + 1) for i in range(len(labels))]
        self._zip: zipfile.ZipFile | None = None
        self._written: list[str] = []

    def write(self, frame: Frame, result: Result) -> None:
        palettes = {"SegmentationClass": self._labels.palette, "SegmentationObject": self._objects}
        images = {folder: encode_png(palette[result.labels]) for folder, palette in palettes.items()}
        with self._dropped_on_error():
            if self._zip is None:
                self._file = self.staged.part.open("wb")
                self._zip = zipfile.ZipFile(self._file, "w")
            for folder, data in images.items():
                self._add(f"{folder}/frame_{frame.index:06d}.png", data)
        self._written.append(f"frame_{frame.index:06d}\n")

    def _add(self, name: str, data: bytes) -> None:
        assert self._zip is not None
        self._zip.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)

    def close(self) -> None:
        if self._zip is None:
            return
        with self._dropped_on_error():
            classes = dict(zip(self._labels.names, self._labels.colours, strict=True))
            # A class of that name is one of its own, as in CVAT; black is ignore all the same.
            has_background = BACKGROUND in classes or BLACK in self._labels.colours
            entries = classes if has_background else {BACKGROUND: BLACK, **classes}
            lines = [f"{name}:{r},{g},{b}::\n" for name, (r, g, b) in entries.items()]
            self._add("labelmap.txt", "".join(["# label:color_rgb:parts:actions\n", *lines]).encode())
            self._add("ImageSets/Segmentation/default.txt", "".join(self._written).encode())
            self._zip.close()
            self._file.close()
        self._zip = None
        self.staged.commit()

    abort = close

    @contextmanager
    def _dropped_on_error(self) -> Iterator[None]:
        """An archive in which a write failed lacks its directory: it is removed, without another try to write one.

        zipfile raises ValueError, too, where an earlier error has closed its file.
        """
        try:
            yield
        except (OSError, ValueError) as error:
            if self._zip is not None:
                self._zip.fp = None
                self._zip = None
                with suppress(OSError):
                    self._file.close()  # which writes what is buffered
            self.staged.discard()
            raise sink_error(self.staged.target, error) from None


def _object_colour(index: int) -> tuple[int, int, int]:
    """The Pascal VOC colour of object `index`: its bits, dealt to red, green and blue from the top."""
    colour = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            colour[channel] |= ((index >> (3 * bit + channel)) & 1) << (7 - bit)
    return colour[0], colour[1], colour[2]
