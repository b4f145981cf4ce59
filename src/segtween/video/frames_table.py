"""`frames.csv`."""

from __future__ import annotations

import csv
import errno
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segtween.labels import LabelSet
from segtween.types import Frame, Labels, Result
from segtween.video.paint import class_counts
from segtween.video.staging import Staged, sink_errors

FRAMES_TABLE = "frames.csv"


class FramesTable:
    """`frames.csv`: one line per frame, flushed as it is written.

    Columns: frame, pts_seconds, key (1 or 0), frames_since_key, ms (all stages), confidence (`Result.mean_confidence`),
    share_<class> (share of the frame's pixels, 0..1) for every class, change_rate (share of pixels
    whose label differs from the frame before, 0 at the first).
    """

    def __init__(self, target: Path, labels: LabelSet) -> None:
        self.staged, self._labels = Staged(target), labels
        self._previous: Labels | None = None
        self._done = self._broken = False
        self._good = 0  # bytes up to the last whole line
        with sink_errors(target):
            self._file = self.staged.part.open("wb", buffering=0)
        shares = [f"share_{name}" for name in labels.names]
        head = ["frame", "pts_seconds", "key", "frames_since_key", "ms", "confidence", *shares, "change_rate"]
        self._line(head)

    def write(self, frame: Frame, result: Result) -> None:
        shares = class_counts(result.labels)[: len(self._labels)] / result.labels.size
        changed, previous = 0.0, self._previous
        if previous is not None and previous.shape == result.labels.shape:
            changed = np.count_nonzero(previous != result.labels) / result.labels.size
        self._line(
            [
                frame.index,
                float(frame.pts_seconds),
                int(result.is_key),
                result.distance,
                f"{sum(result.stages_ms.values()):.3f}",
                f"{result.mean_confidence:.6f}",
                *(f"{share:.6f}" for share in shares),
                f"{changed:.6f}",
            ]
        )
        self._previous = result.labels.copy()

    def _line(self, values: Sequence[Any]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values)
        data = text.getvalue().encode()
        with sink_errors(self.staged.target):
            try:
                if self._file.write(data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            except OSError:
                self._broken = True
                raise
        self._good += len(data)

    def close(self) -> None:
        """Keeps the whole lines. Without any frame there is no table."""
        if self._done:
            return
        self._done = True
        with sink_errors(self.staged.target), self._file:
            if self._broken:
                self._file.truncate(self._good)
        if self._previous is None:
            self.staged.discard()
        else:
            self.staged.commit()

    abort = close
