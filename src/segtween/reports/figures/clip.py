"""One row per frame: input, edge, prediction, occlusion, truth, backward flow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segtween.build import method
from segtween.flow.occlusion import Occlusion, open_occlusion
from segtween.reports.figures import panels
from segtween.reports.figures.page import compose, panel_size, seen_classes
from segtween.reports.figures.passage import Labelled, Motion, Subject, first_frame, footer, motion_between, passage
from segtween.reports.figures.shots import Shot, Shots
from segtween.types import Rgb, SizeHW
from segtween.video.text import Entry

PANEL_WIDTH = 360


@dataclass(frozen=True)
class _Row:
    labelled: Labelled
    motion: Motion | None


def clip_figure(
    subject: Subject,
    *,
    frames: Sequence[int] | None = None,
    occlusion: str = "photometric",
    width: int = PANEL_WIDTH,
) -> Rgb:
    """The preset's work on the frames, each just before the next key frame would come.

    `frames` None is the first frame that has so much history as `passage.HISTORY` says. The truth's column is left out
    where no frame has one. Frame 0 has no frame before it: no occlusion, no flow. `occlusion` is a name of
    `flow.occlusion.OCCLUSIONS`, `width` a panel's in pixels. Raises SettingError for frames that are not there.
    """
    interval, shots = subject.settings.interval, subject.shots
    wanted = [3 * (interval + 1) - 1] if frames is None else list(frames)
    estimate = open_occlusion(occlusion)
    rows = [_row(subject, shown, estimate) for shown in wanted]
    full = _full_colour(rows)
    size_hw = panel_size(rows[0].labelled.shot.rgb.shape[:2], width)
    has_truth = any(row.labelled.shot.truth is not None for row in rows)
    guided = any(row.labelled.edge is not None for row in rows)
    edge = "edge that guides refinement" if guided else "edge of the prediction"
    headings = ["input", edge, "prediction", "occlusion", *(["truth"] if has_truth else [])]
    return compose(
        [_panels(row, shots, size_hw, full=full, has_truth=has_truth) for row in rows],
        headings=[*headings, f"backward flow, up to {full:.0f} px"],
        row_names=[f"frame {row.labelled.shot.index}\n{row.labelled.distance} since key" for row in rows],
        legend=_legend(rows, shots, occlusion),
        footer=footer(method(subject.engine, name=subject.name), shots, interval=interval),
    )


def _row(subject: Subject, shown: int, estimate: Occlusion) -> _Row:
    before: Shot | None = None
    interval, engine = subject.settings.interval, subject.engine
    start = first_frame(shown, distance=min(interval, shown), interval=interval)
    for labelled in passage(subject.shots, engine, start, shown, refiner=subject.refiner):
        last, before = before, labelled.shot
    if last is None:
        return _Row(labelled, None)
    return _Row(labelled, motion_between(last, labelled, flow=subject.flow, ops=engine.ops, estimate=estimate))


def _panels(row: _Row, shots: Shots, size_hw: SizeHW, *, full: float, has_truth: bool) -> list[Rgb]:
    shot, labels, motion = row.labelled.shot, row.labelled.labels, row.motion
    nothing = panels.empty(size_hw)
    shown = [
        panels.photo(shot.rgb, size_hw),
        panels.edge(labels, size_hw) if row.labelled.edge is None else panels.guiding_edge(row.labelled.edge, size_hw),
        panels.classes(labels, shots.labels, size_hw),
        panels.occlusion(shot.rgb, motion.occlusion, shot.occlusion, size_hw) if motion else nothing,
    ]
    if has_truth:
        shown.append(nothing if shot.truth is None else panels.classes(shot.truth, shots.labels, size_hw))
    return [*shown, panels.flow(motion.flow, size_hw, full=full) if motion else nothing]


def _full_colour(rows: Sequence[_Row]) -> float:
    """The length that is drawn in full colour: what 1% of all vectors exceed, in whole pixels."""
    lengths = [np.hypot(*np.moveaxis(row.motion.flow, 2, 0)).ravel() for row in rows if row.motion is not None]
    return max(1.0, float(np.ceil(np.quantile(np.concatenate(lengths), 0.99)))) if lengths else 1.0


def _legend(rows: Sequence[_Row], shots: Shots, estimate: str) -> list[Entry]:
    maps = [row.labelled.labels for row in rows]
    maps += [row.labelled.shot.truth for row in rows if row.labelled.shot.truth is not None]
    entries = seen_classes(shots.labels, maps)
    if any(row.motion is not None for row in rows):
        if any(row.labelled.shot.occlusion is not None for row in rows):
            entries += [("occluded, found", panels.FOUND), ("missed", panels.MISSED), ("false alarm", panels.FALSE)]
        else:
            entries.append((f"occluded ({estimate})", panels.FALSE))
    return entries
