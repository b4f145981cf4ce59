"""A text file that is written frame by frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from segtween.labels import LabelSet
from segtween.masks.rle import Mask
from segtween.types import IGNORE, Frame, Labels, Result
from segtween.video.paint import class_counts
from segtween.video.staging import Staged, sink_errors


class Form(Protocol):
    """A format: what stands before the first frame, for each frame, and after the last one."""

    def head(self, frame: Frame) -> str: ...
    def frame(self, frame: Frame, result: Result) -> str: ...
    def tail(self) -> str: ...


class TextOutput:
    """The file `target` in a `form`, whole up to the last frame whenever it is closed. A file in which a frame could
    not be written is removed."""

    def __init__(self, target: Path, form: Form) -> None:
        self.staged, self._form = Staged(target), form
        self._file: Any = None
        self._broken = False

    def write(self, frame: Frame, result: Result) -> None:
        text = self._form.frame(frame, result)
        with sink_errors(self.staged.target):
            try:
                if self._file is None:
                    self._file = self.staged.part.open("w", encoding="utf-8")
                    self._file.write(self._form.head(frame))
                self._file.write(text)
                self._file.flush()
            except OSError:
                self._broken = True
                raise

    def close(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            with sink_errors(self.staged.target), file:
                if not self._broken:
                    file.write(self._form.tail())
        except BaseException:
            if not self._broken:  # else what broke it has been raised
                self.staged.discard()
                raise
        if self._broken:
            self.staged.discard()
        else:
            self.staged.commit()

    abort = close


def frame_name(index: int) -> str:
    """What a frame is called in files: as CVAT calls those of a video."""
    return f"frame_{index:06d}.png"


def masks_of(labels: Labels, known: LabelSet) -> Iterator[tuple[int, Mask]]:
    """Train id and (H, W) mask of each class that occurs."""
    for train_id in class_counts(labels).nonzero()[0].tolist():
        if train_id != IGNORE and train_id < len(known):
            yield train_id, labels == train_id
