"""The conditions under which all rows of a table are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segtween.bench import Plan
from segtween.bench.plan import STREET
from segtween.datasets import Dataset
from segtween.evaluation import EvaluationOptions
from segtween.types import Progress, SizeHW


@dataclass(frozen=True)
class Conditions:
    """The data, of which at most `max_frames` frames are used, with the label map of that name (None: the fitting one);
    `repeats` periods of a `clip` (`bench.plan`) timed at each interval; `threads` 0 uses every processor;
    `measures` are as in `evaluation.evaluate`. `command` is what asked for the table.
    """

    dataset: Dataset
    map_name: str | None = None
    max_frames: int | None = None
    repeats: int = 7
    clip: str = STREET
    threads: int = 0
    measures: Sequence[str] = ()
    command: str | None = None
    progress: Progress | None = None

    def of_evaluation(self) -> EvaluationOptions:
        return EvaluationOptions(
            map_name=self.map_name,
            max_frames=self.max_frames,
            measures=self.measures,
            threads=self.threads,
            progress=self.progress,
        )

    def plan(self, intervals: Sequence[int]) -> Plan:
        return Plan(frame_size(self.dataset), intervals=intervals, repeats=self.repeats, threads=self.threads,
                    clip=self.clip)  # fmt: skip


def frame_size(dataset: Dataset) -> SizeHW:
    """(height, width) of the data set's first frame."""
    first = next(clip for clip in dataset.clips if len(clip)).frames[0]
    rgb = dataset.read_rgb(first)
    return rgb.shape[0], rgb.shape[1]
