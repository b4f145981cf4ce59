"""The page of a table: its rows, accuracy over speed or network runs where they are known, how to repeat it."""

from __future__ import annotations

from typing import Any

from segtween.reports.html import charts
from segtween.reports.html.page import Html, code, details, page, paragraph, record, section, text_table
from segtween.reports.tables.methods import EVERY
from segtween.reports.tables.study import Study

AXES = {"fps": "frames per second", "runs_per_100": "network runs per 100 frames", "interval": "interval"}
"""What accuracy is drawn over: the first of these that two rows have."""


def study_page(study: Study) -> Html:
    sections = [
        section("Accuracy", _chart(study)),
        section("Table", text_table(study.screen()), *(paragraph(note, note=True) for note in study.notes)),
        section("How to repeat it", code(study.command)) if study.command is not None else "",
        section("Conditions", details("Record", record(_plain(study.record)))) if _plain(study.record) else "",
    ]
    return page(study.title, f"segtween table {study.name}", sections)


def _chart(study: Study) -> Html:
    """Average mIoU of each preset or method; a line where its rows are those of one method."""
    rows = [row for row in study.rows if row.get("avg_miou") is not None]
    axis = next((key for key in AXES if sum(row.get(key) is not None for row in rows) > 1), None)
    if axis is None:
        return ""
    lines: dict[str, list[tuple[float, float]]] = {}
    bounds: dict[str, list[tuple[float, float] | None]] = {}
    for row in sorted((row for row in rows if row.get(axis) is not None), key=lambda row: row[axis]):
        name = str(row.get("preset") or row.get("row"))
        lines.setdefault(name, []).append((row[axis], 100 * row["avg_miou"]))
        bounds.setdefault(name, []).append(_bounds(row))
    series = [
        charts.Series(name, points, bounds[name], charts.OF_EVERY_FRAME if name == EVERY else "")
        for name, points in lines.items()
    ]
    return charts.line_chart(f"mIoU over {AXES[axis]}", series, x=AXES[axis], y="average mIoU (%)")


def _bounds(row: dict[str, Any]) -> tuple[float, float] | None:
    low, high = row.get("avg_miou_low"), row.get("avg_miou_high")
    return None if low is None or high is None else (100 * low, 100 * high)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """Without the whole reports that the JSON holds."""
    return {key: value for key, value in values.items() if not isinstance(value, (list, tuple, dict))}
