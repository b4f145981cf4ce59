"""Writing scores so that `CachedScores` reads them back: int8 times one step, with everything needed to use them."""

from __future__ import annotations

import json
import math
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segtween.errors import ScoresError
from segtween.interfaces import Described
from segtween.labels import LabelSet
from segtween.segmenters.scores import Scores
from segtween.types import SizeHW, format_size

LARGEST = 127
_SPOOLED = 32767


@dataclass(frozen=True, slots=True)
class Stored:
    """What a finished file holds. Each logit is at most `largest_error` from the network's."""

    frames: int
    classes: int
    grid_hw: SizeHW
    step: float

    @property
    def largest_error(self) -> float:
        """Half a step by rounding, and 1/256 of one because frames wait as 16-bit numbers for the step."""
        return self.step * (0.5 + LARGEST / (2 * _SPOOLED) + 1e-6)


class ScoresWriter:
    """An .npz file of scores in constant memory (the frames' names apart).

    The step is the largest magnitude of all scores / 127, so that nothing clips; it is known after the last frame
    only. Until then each frame waits in an unnamed file beside `path`, as int16 times a step of its own. Holds
    `scores_q` int8 (N, C, h, w), `scale` (the step), `frames` (names, where given), `labels` and `network` (JSON),
    `size_hw` (of the images) and `stride` (pixels of the image per cell, down and across).
    """

    def __init__(self, path: str | Path, *, labels: LabelSet, network: Described) -> None:
        self.path, self.labels, self.network = Path(path), labels, network
        self._spool = tempfile.TemporaryFile(dir=self.path.parent)  # noqa: SIM115
        self._steps: list[float] = []
        self._names: list[str] = []
        self._largest = 0.0
        self._shape: tuple[int, ...] | None = None
        self._size: SizeHW = (0, 0)

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, scores: Scores, *, size_hw: SizeHW, name: str | None = None) -> None:
        """The next frame's logits (C, h, w) of an image of `size_hw`. Raises ScoresError for another grid or size."""
        if self._shape is None:
            self._shape, self._size = scores.shape, size_hw
        if scores.shape != self._shape or size_hw != self._size:
            grid = self._shape[1], self._shape[2]
            raise ScoresError(
                f"scores of frame {name or len(self)} are on {format_size((scores.shape[1], scores.shape[2]))} cells "
                f"of an image of {format_size(size_hw)}",
                expected=f"{format_size(grid)} cells of {format_size(self._size)} (width x height) as before",
                do="store frames of different sizes in files of their own",
            )
        largest = float(np.abs(scores).max())
        self._largest = max(self._largest, largest)
        step = largest / _SPOOLED or 1.0
        self._spool.write(np.rint(scores / step).astype("<i2").tobytes())
        self._steps.append(step)
        if name is not None:
            self._names.append(name)

    def close(self) -> Stored:
        """Writes the file. Raises ScoresError where there was no frame."""
        if self._shape is None:
            raise ScoresError("no frame to store scores of", expected="at least one", do="check the input")
        # Rounded up to float32, so that the largest magnitude is still within 127 steps.
        step = np.nextafter(np.float32(self._largest / LARGEST), np.float32(math.inf))
        with zipfile.ZipFile(self.path, "w", zipfile.ZIP_DEFLATED, compresslevel=4) as archive:
            self._write_scores(archive, float(step))
            _write(archive, "scale", step)
            if self._names:
                _write(archive, "frames", np.array(self._names))
            _write(archive, "labels", np.array(json.dumps(self.labels.to_json())))
            _write(archive, "network", np.array(json.dumps(self.network)))
            _write(archive, "size_hw", np.array(self._size, np.int32))
            _write(archive, "stride", np.array([a / b for a, b in zip(self._size, self._shape[1:], strict=True)]))
        self.abort()
        return Stored(len(self), self._shape[0], (self._shape[1], self._shape[2]), float(step))

    def abort(self) -> None:
        """Frees the waiting frames. Safe to call twice, also after an error."""
        try:
            self._spool.close()
        except OSError:
            pass  # what is still buffered has no room, and is not needed

    def _write_scores(self, archive: zipfile.ZipFile, step: float) -> None:
        assert self._shape is not None
        header = {"descr": "|i1", "fortran_order": False, "shape": (len(self), *self._shape)}
        self._spool.seek(0)
        with archive.open("scores_q.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array_header_1_0(member, header)
            for own in self._steps:
                frame = np.frombuffer(self._spool.read(2 * math.prod(self._shape)), "<i2")
                member.write(np.rint(frame * (own / step)).astype(np.int8).tobytes())


def _write(archive: zipfile.ZipFile, name: str, value: Any) -> None:
    with archive.open(f"{name}.npy", "w") as member:
        np.lib.format.write_array(member, np.asarray(value), allow_pickle=False)
