"""Accuracy of propagating true labels from some labelled frames to all others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from segtween.build import Backend, Processor, build_labelled
from segtween.datasets import Clip, Dataset, of_one_size
from segtween.engine.sources import LabelKeys, Sides
from segtween.errors import SettingError
from segtween.evaluation.report import interval_note
from segtween.evaluation.sharing import FrameMotion
from segtween.interfaces import Engine, FlowEstimator
from segtween.metrics.bootstrap import Bootstrap, block_numbers
from segtween.metrics.segmentation import confusion, fraction, miou
from segtween.metrics.tally import Tally
from segtween.reports.tables.compare import signed
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.study import Column, Study, percent
from segtween.settings import Bidirectional, Settings
from segtween.texttable import count
from segtween.types import Labels, Result, SizeHW

METHODS = ("copied from the nearest label", "propagated from the label before", "propagated from both sides")


def propagation_table(conditions: Conditions, *, every: int = 30, settings: Settings | None = None) -> Study:
    """mIoU over all frames when one frame in `every` is labelled, against copying and propagating from one side.

    One run for each phase 0..every - 1, frames before the first labelled one not scored, all phases pooled; the labels
    are the truth's own. Also by distance to the nearest labelled frame: after the last one of a clip that is up to
    every - 1 frames. Raises SettingError for labels that are not dense and clips that are too short.
    """
    dataset = conditions.dataset.limited(conditions.max_frames)
    if every < 2 or not dataset.is_dense or every >= max(len(clip) for clip in dataset.clips):
        raise SettingError(
            f"one labelled frame in {every} of {dataset.name} {dataset.split}",
            expected="2 or more, fewer than a clip has frames, and clips with a label for every frame",
            do="give another number or data set",
        )
    bootstrap = Bootstrap()
    tallies = _tallies(replace(conditions, dataset=dataset), every, settings or Settings(Bidirectional()), bootstrap)
    ranges = _ranges(every)
    rows = [_row(name, tally, tallies[0], ranges, bootstrap) for name, tally in zip(METHODS, tallies, strict=True)]
    gains = {name: t.gain_over(tallies[0], bootstrap) for name, t in zip(METHODS[1:], tallies[1:], strict=True)}
    notes = [
        f"data: {dataset.title}, {count(dataset.n_frames, 'frame')} in "
        f"{count(len(dataset.clips), 'clip')}; "
        f"true labels of one frame in {every}, all {every} phases pooled",
        f"mIoU in percent; {interval_note(gains, level=bootstrap.level, of='paired difference to copying')}",
    ]
    title, command = f"One frame in {every} labelled", conditions.command
    return Study("propagation", title, _columns(ranges), rows, notes, {"every": every}, command)


def _tallies(conditions: Conditions, every: int, settings: Settings, bootstrap: Bootstrap) -> list[Tally]:
    """One for each of METHODS, of all phases."""
    dataset, threads = conditions.dataset, conditions.threads
    classes = len(dataset.labels)
    backend = Processor(threads)
    flow = backend.flow(settings, classes=classes)
    clips = [_Numbered(clip, block_numbers(len(clip), block_frames=bootstrap.block_frames)) for clip in dataset.clips]
    of_blocks = np.repeat(np.arange(len(clips)), [int(clip.blocks[-1]) + 1 for clip in clips])
    tallies = [Tally(dataset.labels, clips=of_blocks, distances=every) for _ in METHODS]
    first, done, total = 0, 0, every * sum(len(clip.clip) for clip in clips)
    for clip in clips:
        truth = [_truth(dataset, clip.clip, i) for i in range(len(clip.clip))]
        for phase in range(min(every, len(truth))):
            answers = _answers(dataset, clip.clip, truth, range(phase, len(truth), every), settings, backend, flow)
            for index, (nearest, labels) in enumerate(answers):
                if index >= phase:
                    for tally, answer in zip(tallies, labels, strict=True):
                        counts = confusion(answer, truth[index], classes=classes)
                        tally.score(counts, block=first + int(clip.blocks[index]), distance=nearest)
                done += 1
                if conditions.progress is not None:
                    conditions.progress(done, total)
        first += int(clip.blocks[-1]) + 1
    return tallies


@dataclass(frozen=True)
class _Numbered:
    clip: Clip
    blocks: NDArray[np.intp]


class _FromBefore(LabelKeys):
    """Reads from the earlier labelled frame alone, where there is one."""

    def read(self, sides: Sides, size_hw: SizeHW) -> Labels:
        return super().read(sides if sides.before is None else Sides(sides.before, None), size_hw)


def _truth(dataset: Dataset, clip: Clip, index: int) -> Labels:
    frame = clip.frames[index]
    rgb = dataset.read_rgb(frame)
    labels = dataset.read_labels(frame, size_hw=(rgb.shape[0], rgb.shape[1]))
    assert labels is not None
    return labels


def _answers(
    dataset: Dataset,
    clip: Clip,
    truth: list[Labels],
    keys: range,
    settings: Settings,
    backend: Backend,
    flow: FlowEstimator,
) -> Iterator[tuple[int, tuple[Labels, ...]]]:
    """For every frame in order: frames to the nearest labelled one, and each method's labels."""
    given = dataset.labels, truth.__getitem__, keys, settings
    one = build_labelled(*given, backend=backend, flow=flow, kind=_FromBefore)
    both = build_labelled(*given, backend=backend, flow=flow)
    motion = FrameMotion(flow, ops=both.ops)
    motion.estimator.bidirectional = True
    for index, (from_one, from_both) in enumerate(_side_by_side(dataset, clip, one, both, motion)):
        nearest = min(keys, key=lambda k, i=index: abs(k - i))  # type: ignore[misc]
        yield abs(nearest - index), (truth[nearest], from_one.labels, from_both.labels)


def _side_by_side(
    dataset: Dataset, clip: Clip, one: Engine, both: Engine, motion: FrameMotion
) -> Iterator[tuple[Result, Result]]:
    for rgb in of_one_size(clip.frames, dataset.read_rgb):
        moved = motion.next(rgb)
        yield from zip(one.push(rgb, motion=moved), both.push(rgb, motion=moved), strict=True)
    yield from zip(one.finish(), both.finish(), strict=True)


def _ranges(every: int) -> list[tuple[int, int]]:
    """Distances to the nearest label, first and last: three parts of those between two labels, and the rest."""
    half = every // 2
    edges = sorted({0, -(-half // 3), -(-2 * half // 3), half, every - 1})
    return [(a + 1, b) for a, b in pairwise(edges)]


def _columns(ranges: list[tuple[int, int]]) -> list[Column]:
    return [
        Column("method", "labels"),
        Column("miou", "all frames", percent),
        Column("gain", "gain over copying"),
        Column("unlabelled", "without the labelled", percent),
        *(Column(f"d{a}_{b}", f"{a} to {b} frames away" if a < b else f"{a} away", percent) for a, b in ranges),
    ]


def _row(
    name: str, tally: Tally, copied: Tally, ranges: list[tuple[int, int]], bootstrap: Bootstrap
) -> dict[str, object]:
    gain = tally.gain_over(copied, bootstrap)
    shown = None
    if tally is not copied and gain["value"] is not None:
        shown = signed(gain["value"], gain["low"], gain["high"])
    by_distance = tally.overlap.sum(axis=0)
    return {
        "method": name,
        "miou": tally.average(bootstrap).value,
        "gain": shown,
        "unlabelled": fraction(miou(by_distance[1:].sum(axis=0))),
        **{f"d{a}_{b}": fraction(miou(by_distance[a : b + 1].sum(axis=0))) for a, b in ranges},
    }
