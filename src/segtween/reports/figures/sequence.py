"""A key frame and the frames up to the next one: inputs, the network on every frame, the method."""

from __future__ import annotations

from collections.abc import Sequence

from segtween.build import build_every_frame, method
from segtween.reports.figures import panels
from segtween.reports.figures.page import compose, panel_size, seen_classes
from segtween.reports.figures.passage import Subject, first_frame, footer, passage
from segtween.reports.figures.shots import Shots
from segtween.types import Labels, Rgb, SizeHW

PANEL_WIDTH = 320


def sequence_figure(subject: Subject, *, key: int | None = None, truth: bool = False, width: int = PANEL_WIDTH) -> Rgb:
    """The preset's work from key frame `key` (None: with history behind it) to the frame before the next one.

    `truth` adds a row of the truth where it is known. Raises SettingError for frames that are not there.
    """
    interval, shots, engine = subject.settings.interval, subject.shots, subject.engine
    first = 2 * (interval + 1) if key is None else key
    start = first_frame(first, distance=0, interval=interval)
    last = first + interval
    ours = [labelled for labelled in passage(shots, engine, start, last) if labelled.shot.index >= first]
    plain = list(passage(shots, build_every_frame(subject.segmenter, backend=subject.backend), first, last))
    shape = ours[0].shot.rgb.shape
    size_hw = panel_size((shape[0], shape[1]), width)
    rows = [
        [panels.photo(labelled.shot.rgb, size_hw) for labelled in ours],
        [panels.classes(labelled.labels, shots.labels, size_hw) for labelled in plain],
        [panels.classes(labelled.labels, shots.labels, size_hw) for labelled in ours],
    ]
    names = ["input", "network on\nevery frame", f"network on\n1 frame in {interval + 1}"]
    maps = [labelled.labels for labelled in (*ours, *plain)]
    known = [labelled.shot.truth for labelled in ours] if truth else []
    if any(one is not None for one in known):
        rows.append(_truth_row(known, shots, size_hw))
        names.append("truth")
        maps += [one for one in known if one is not None]
    return compose(
        rows,
        headings=["key frame" if labelled.distance == 0 else f"{labelled.distance} since key" for labelled in ours],
        row_names=names,
        legend=seen_classes(shots.labels, maps),
        footer=footer(method(engine, name=subject.name), shots, interval=interval),
    )


def _truth_row(known: Sequence[Labels | None], shots: Shots, size_hw: SizeHW) -> list[Rgb]:
    nothing = panels.empty(size_hw)
    return [nothing if one is None else panels.classes(one, shots.labels, size_hw) for one in known]
