"""Ablation: each component of a method is switched off, or made simpler, one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from segtween.errors import SettingError
from segtween.flow.dis import QUALITIES
from segtween.interfaces import Segmenter
from segtween.reports.tables.compare import Compared, compare, signed, spread
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.study import Column, Study, percent
from segtween.settings import Composed, Settings, change, single_values

FULL = "all of it"

Value = Callable[[Settings], Any] | float | str | bool
"""What a setting becomes; a function is given the whole settings, and may return what there is already."""


class Without(NamedTuple):
    """One row: what is taken away, what is there instead, and the settings that say so (`settings.change`)."""

    part: str
    instead: str
    changes: Mapping[str, Value]


def _quality(steps: int) -> Callable[[Settings], str | None]:
    """The quality `steps` above that of the settings, where there is one."""

    def value(settings: Settings) -> str | None:
        names = list(QUALITIES)  # from little to much
        flow = settings.flow
        if flow.name != "dis" or settings.quality not in names:
            return flow.quality
        index = names.index(settings.quality) + steps
        return names[index] if 0 <= index < len(names) else flow.quality

    return value


def _resampled(settings: Settings) -> str:
    """Propagation as it is, but for that along composed flow."""
    return "resampled" if isinstance(settings.propagation, Composed) else single_values(settings)["propagation"]


def _matching(quality: str) -> Callable[[Settings], str | None]:
    """Another quality of matching, for what matches."""

    def value(settings: Settings) -> str | None:
        return quality if isinstance(settings.propagation, Composed) else None

    return value


PARTS = (
    # Weights that only the refinement takes go with it.
    Without("refinement", "none", {"refine": "none", "edge": True, "weights": lambda s: s.flow.weights}),
    Without("composed flow", "resampled in each frame", {"propagation": _resampled}),
    Without("matching by appearance", "none", {"match": _matching("none")}),
    Without("matching by appearance", "fast", {"match": _matching("fast")}),
    Without("logits propagated", "probabilities", {"kind": "probabilities"}),
    Without("history at key frames", "dropped", {"history_weight": 0.0}),
    Without("fading reliability", "reliable for ever", {"tolerance": 1e6}),
    Without("grid", "a quarter of the cells", {"most_cells": lambda s: single_values(s)["most_cells"] // 4}),
    Without("scene cuts", "not looked for", {"cuts": False}),
    Without("flow quality", "less", {"flow_quality": _quality(-1)}),
    Without("flow quality", "more", {"flow_quality": _quality(+1)}),
    Without("flow", "none: labels stay where they are", {"flow": "zero"}),
)
"""The rows, in order. One whose settings are those of the preset already is not shown, nor one that it refuses."""

COLUMNS = (
    Column("part", "part"),
    Column("instead", "instead"),
    Column("avg_miou", "avg mIoU", percent),
    Column("gain", "against all of it", signed, along=("gain_low", "gain_high")),
    Column("min_miou", "last-distance mIoU", percent),
    Column("min_gain", "against all of it", signed, along=("min_gain_low", "min_gain_high")),
    Column("vc8", "VC8", percent),
    Column("tc", "TC", percent),
    Column("other_ms", "ms per other frame", lambda v: f"{v:.1f}"),
    Column("ms_per_frame", "ms per frame", lambda v: f"{v:.1f}"),
    Column("hash", "method hash"),
)
IF_MEASURED = ("vc8", "other_ms", "ms_per_frame")


def ablation_table(
    conditions: Conditions,
    segmenter: Segmenter,
    *,
    settings: Settings,
    name: str,
    interval: int = 4,
) -> Study:
    """The settings, and each of `PARTS` changed in them, at one interval above 0.

    `name` is what the settings are called elsewhere: it is a part of the hash. Raises SettingError for interval 0, and
    what `compare` raises.
    """
    if interval < 1:
        raise SettingError(f"interval {interval}", expected="1 or more", do="give interval=4")
    notes: list[str] = []
    shown = {name: Without(FULL, "", {})}
    methods = {name: settings}
    for part, changed in variants(settings, notes):
        key = f"{name}, {part.part}: {part.instead}"
        shown[key], methods[key] = part, changed
    done = compare(conditions, segmenter, methods=methods, intervals=[interval], against=name)
    rows = [_row(done, key, shown[key], interval) for key in done.reports]
    columns = [c for c in COLUMNS if c.key not in IF_MEASURED or any(row[c.key] is not None for row in rows)]
    return Study(
        "ablation",
        f"What each part of {name} brings at interval {interval}: {conditions.dataset.title}",
        columns,
        rows,
        [*done.notes(), *notes, "other frames: those without the network; each row changes one part of the first"],
        {"preset": name, "interval": interval, **done.record()},
        conditions.command,
    )


def variants(settings: Settings, notes: list[str] | None = None) -> Iterator[tuple[Without, Settings]]:
    """`PARTS` that differ from the settings, with the changed ones; refusals go to `notes`."""
    for part in PARTS:
        try:
            values = {name: new(settings) if callable(new) else new for name, new in part.changes.items()}
            changed = change(settings, **values)
        except SettingError as error:
            if notes is not None:
                notes.append(f"left out: {part.part}, {part.instead}: {error.got}")
            continue
        if changed != settings:
            yield part, changed


def _row(done: Compared, name: str, part: Without, interval: int) -> dict[str, Any]:
    report, speed = done.reports[name], done.speed(name, interval)
    figures = next(result for result in report.results if result["interval"] == interval)
    gain = figures["gain_over_method"] if part.part != FULL else None
    other = None if speed is None else speed["other_frame"]
    return {
        "part": part.part,
        "instead": part.instead or "-",
        "avg_miou": figures["avg_miou"],
        **spread(gain, "gain"),
        "min_miou": figures["min_miou"],
        **spread(None if gain is None else gain["min_miou"], "min_gain"),
        "vc8": figures["vc8"],
        "tc": figures["tc"],
        "other_ms": None if other is None else other["median"],
        "ms_per_frame": None if speed is None else speed["ms_per_frame"],
        "hash": report.method.hash,
    }
