"""The cost of delayed scores: accuracy against the number of frames until a key frame's scores arrive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segtween.bench.machine import processor_name
from segtween.errors import SettingError
from segtween.evaluation import Report, evaluate_methods
from segtween.evaluation.report import interval_note, scored
from segtween.interfaces import Segmenter
from segtween.reports.tables.compare import signed, spread
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.study import Column, Study, percent
from segtween.settings import Settings, change
from segtween.texttable import count

COLUMNS = (
    Column("late", "frames late"),
    Column("avg_miou", "avg mIoU", percent),
    Column("gain", "against no delay", signed, along=("gain_low", "gain_high")),
    Column("oldest", "oldest labels (frames)"),
    Column("min_miou", "mIoU of these", percent),
    Column("min_gain", "against no delay", signed, along=("min_gain_low", "min_gain_high")),
    Column("vc8", "VC8", percent),
    Column("tc", "TC", percent),
)


def delays_table(
    conditions: Conditions,
    segmenter: Segmenter,
    *,
    settings: Settings,
    name: str,
    delays: Sequence[int] = (0, 1, 2, 4, 5),
    interval: int = 4,
) -> Study:
    """The settings at one interval, with scores that arrive 0, 1, ... frames late; all in one pass.

    Differences are to no delay, which is always a row. Raises SettingError for interval 0, for delays above interval
    + 1, and what `evaluation.evaluate_methods` raises.
    """
    if interval < 1:
        raise SettingError(f"interval {interval}", expected="1 or more", do="give interval=4")
    dataset, wanted = conditions.dataset, sorted({0, *delays})
    named = {late: f"{name}, {count(late, 'frame')} late" if late else name for late in wanted}
    methods = {named[late]: change(settings.at(interval), async_keys=late or None) for late in wanted}
    reports = evaluate_methods(
        dataset,
        segmenter=segmenter,
        methods=methods,
        intervals=[interval],
        against=name,
        options=conditions.of_evaluation(),
    )
    first = reports[name]
    return Study(
        "delays",
        f"What late scores cost {name} at interval {interval}: {dataset.title}",
        COLUMNS,
        [_row(reports[named[late]], late, interval) for late in wanted],
        [
            f"data: {first.title}, {scored(first.frames, first.clips, is_dense=dataset.is_dense)}; "
            f"network on every frame: {percent(first.every_frame['miou'])}; labels by {first.label_map}",
            "oldest labels: those just before the next key frame's scores arrive; all phases; figures in percent; "
            + _interval_note(reports),
            *first.temporal_notes(),
            *(f"left out: {what}" for what in first.left_out),
        ],
        {
            "preset": name,
            "interval": interval,
            "machine": processor_name(),
            "sets": [{"name": key, "accuracy": report.to_json()} for key, report in reports.items()],
        },
        conditions.command,
    )


def _interval_note(reports: Mapping[str, Report]) -> str:
    first, *late = reports.values()
    gains = {report.method.name: report.results[0]["gain_over_method"] for report in late}
    return interval_note(gains, level=first.bootstrap["level"], keys=("value", "min_miou"))


def _row(report: Report, late: int, interval: int) -> dict[str, Any]:
    figures = report.results[0]
    gain = figures["gain_over_method"] if late else None
    return {
        "late": late,
        "avg_miou": figures["avg_miou"],
        **spread(gain, "gain"),
        "oldest": interval + late,
        "min_miou": figures["min_miou"],
        **spread(None if gain is None else gain["min_miou"], "min_gain"),
        "vc8": figures["vc8"],
        "tc": figures["tc"],
    }
