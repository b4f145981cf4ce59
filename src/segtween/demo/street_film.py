"""Films of synthetic drives: each picture next to its true labels."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from segtween.labels import CAMVID11, LabelSet
from segtween.street import StreetFrame
from segtween.video.encode import Clock, VideoWriter
from segtween.video.paint import Painter, side_by_side
from segtween.video.side_by_side import panel_size, smaller, smaller_labels
from segtween.video.staging import sink_errors

FOLDER = "films"


class StreetFilms:
    """`films/<seed>.mp4` in a folder, one for each drive. Raises SinkError where they cannot be written."""

    def __init__(self, root: Path, *, labels: LabelSet, frame_rate: Fraction) -> None:
        self._folder, self._labels, self._rate = root / FOLDER, labels, frame_rate
        self._seed: int | None = None
        self._writer: VideoWriter | None = None
        with sink_errors(self._folder):
            self._folder.mkdir()

    def write(self, seed: int, frame: StreetFrame) -> None:
        """The next frame of the drive, or the first of the next one."""
        if self._writer is None or seed != self._seed:
            self.close()
            target = self._folder / f"{seed}.mp4"
            self._writer = VideoWriter(target, codec="h264", clock=Clock(1 / self._rate, self._rate))
            self._seed, self._paint = seed, Painter(self._labels)
        truth = frame.camvid11 if self._labels is CAMVID11 else frame.cityscapes19
        size_hw = panel_size((truth.shape[0], truth.shape[1]))
        rgb = smaller(frame.rgb, size_hw)
        painted = self._paint(rgb, smaller_labels(truth, size_hw))
        picture = side_by_side(rgb, painted, captions=(f"synthetic street, drive {seed}", "true labels"))
        self._writer.write(picture, frame.pts_seconds)

    def close(self) -> None:
        """Finishes the film of the last drive."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
