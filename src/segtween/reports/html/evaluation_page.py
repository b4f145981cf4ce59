"""The page of an evaluation: accuracy by distance, classes, confusion, worst frames."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from segtween.evaluation.report import Report, scored
from segtween.labels import LabelSet
from segtween.reports.html import charts
from segtween.reports.html.page import Html, code, details, numbers, page, paragraph, record, section, text_table
from segtween.reports.html.worst import ALT, WorstFrames
from segtween.texttable import TextTable

MOST_CELLS = 24
"""With more classes the confusion is a list of the pairs that are confused most."""
PAIRS = 30


def evaluation_page(report: Report, *, labels: LabelSet, worst: WorstFrames, command: str) -> Html:
    """`labels` are those of the data."""
    method = report.method
    tables = report.tables()
    remarks = [part for part in tables if isinstance(part, str)]
    others = [text_table(part) for part in tables if isinstance(part, TextTable)]
    frames = scored(report.frames, report.clips, is_dense=report.protocol == "dense")
    sections = [
        section("Figures", numbers(_figures(report)), others[0], *(_lines(text) for text in remarks)),
        section("Accuracy by distance to the key frame", _by_distance(report)),
        section("Classes", _classes(report), *others[1:2]),
        section("Confusion", *_confusions(report, labels)),
        section("Worst frames", _worst(worst, labels)),
        section("More measures", *others[2:]),
        section("How to repeat it", code(command)),
        section("Method", *(details(f"{of.name} {of.hash}", record(of.to_json())) for of in _methods(report))),
    ]
    return page(f"{report.title}: accuracy", f"{method.name} {method.hash}; {frames}", sections)


def _methods(report: Report) -> list[Any]:
    return [report.method, *(other.method for other in report.others)]


def _rows(report: Report) -> list[tuple[str, dict[str, Any]]]:
    """The method's results above interval 0, in each mode, by name."""
    return [
        (f"{result.get('row') or 'interval {}'.format(result['interval'])}, {of.method.mode_word}", result)
        for of in (*report.others, report)
        for result in of.results
        if result["interval"] != 0
    ]


def _figures(report: Report) -> list[tuple[str, str, str]]:
    plain = report.every_frame
    found = [("mIoU, every frame", _percent(plain["miou"]), f"TC {_percent(plain['tc'])}")]
    for name, result in _rows(report):
        gain = result["gain_over_every_frame"]["value"]
        note = "" if gain is None else f"{100 * gain:+.1f} against every frame, "
        found.append((f"mIoU, {name}", _percent(result["avg_miou"]), f"{note}TC {_percent(result['tc'])}"))
    return found


def _by_distance(report: Report) -> Html:
    series = []
    for name, result in _rows(report):
        known = [(d, value) for d, value in enumerate(result["per_distance"]) if value is not None]
        bounds = [_bounds(result, d) for d, _ in known]
        series.append(charts.Series(name, [(d, 100 * value) for d, value in known], bounds))
    if not any(one.points for one in series):
        return ""
    most = max(d for one in series for d, _ in one.points)
    plain = report.every_frame["miou"]
    flat = charts.Series("every frame", [(0, 100 * plain), (most, 100 * plain)], colour=charts.OF_EVERY_FRAME)
    chart = charts.line_chart(
        "mIoU by distance", [*series, flat], x="frames since the key frame", y="mIoU (%)", whole_x=True
    )
    level = f"{100 * report.bootstrap['level']:g}% intervals of each figure, where there are enough clips or blocks"
    return chart + paragraph(f"Whiskers: {level}.", note=True)


def _bounds(result: dict[str, Any], distance: int) -> tuple[float, float] | None:
    intervals = result.get("per_distance_intervals")
    if intervals is None or intervals[distance]["low"] is None:
        return None
    return 100 * intervals[distance]["low"], 100 * intervals[distance]["high"]


def _classes(report: Report) -> Html:
    """What each class gains or loses by the last row against every frame."""
    name, result = _rows(report)[-1] if _rows(report) else ("every frame", report.every_frame)
    values = {c: v for c, v in result["per_class"].items() if v is not None}
    rows = [
        charts.Bar(c, [(value, "var(--accent)")], f"{100 * value:.1f}%{_against(report.every_frame, c, value)}")
        for c, value in sorted(values.items(), key=lambda item: -item[1])
    ]
    return charts.bars(rows, caption=f"IoU of each class, {name}; in brackets against every frame", most=1.0)


def _against(plain: dict[str, Any], name: str, value: float) -> str:
    other = plain["per_class"].get(name)
    return "" if other is None else f" ({100 * (value - other):+.1f})"


def _confusions(report: Report, labels: LabelSet) -> list[Html]:
    blocks = [*_rows(report)[-1:], ("every frame", report.every_frame)]
    return [_confusion(name, np.array(block["confusion"]), labels) for name, block in blocks]


def _confusion(name: str, counts: Any, labels: LabelSet) -> Html:
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    there = np.flatnonzero(counts.sum(axis=1))
    if len(there) > MOST_CELLS:
        return _pairs(name, counts, shares, labels)
    columns = [*there, *([counts.shape[1] - 1] if counts[:, -1].any() else [])]
    names = [*labels.names, "none"]
    head = "".join(f'<th scope="col">{escape(names[c])}</th>' for c in columns)
    lines = "".join(
        f'<tr><th scope="row">{escape(names[r])}</th>{"".join(_heat(shares[r, c], c == r) for c in columns)}</tr>\n'
        for r in there
    )
    said = f"Of the pixels of each class (row), the share predicted as each class (column), in percent: {name}"
    table = f"<thead><tr><td></td>{head}</tr></thead><tbody>\n{lines}</tbody>"
    return f'<div class="scroll"><table class="heat"><caption>{escape(said)}</caption>{table}</table></div>'


def _heat(share: float, is_right: bool) -> Html:
    colour, strength = "21, 115, 71" if is_right else "194, 65, 12", min(0.6, 0.03 + 0.6 * share)
    shown, strength = ("", 0.0) if share < 0.0005 else (f"{100 * share:.1f}", strength)
    return f'<td style="background: rgba({colour}, {strength:.2f})">{shown}</td>'


def _pairs(name: str, counts: Any, shares: Any, labels: LabelSet) -> Html:
    off = counts[:, :-1].copy()
    np.fill_diagonal(off, 0)
    order = np.argsort(-off, axis=None)[:PAIRS]
    found = [(int(at) // off.shape[1], int(at) % off.shape[1]) for at in order if off.flat[at]]
    rows = [
        charts.Bar(f"{labels.names[r]} as {labels.names[c]}", [(shares[r, c], "var(--before)")],
                   f"{100 * shares[r, c]:.1f}% of {labels.names[r]}")
        for r, c in found
    ]  # fmt: skip
    return charts.bars(rows, caption=f"What is confused most: {name}", most=1.0)


def _worst(worst: WorstFrames, labels: LabelSet) -> Html:
    parts = []
    for row, found in worst.rows.items():
        shown = "".join(f"<li>{one.image}<span>{escape(one.title)}</span></li>" for one in found)
        parts.append(f'<h3>{escape(row)}</h3><ul class="frames wide">{shown}</ul>')
    if not parts:
        return ""
    said = paragraph(f"From left to right: {ALT}. At most one frame of each ten.", note=True)
    return said + _legend(labels) + "".join(parts)


def _legend(labels: LabelSet) -> Html:
    items = "".join(
        f'<li><span class="swatch" style="background:{charts.css(colour)}"></span>{escape(name)}</li>'
        for name, colour in zip(labels.names, labels.colours, strict=True)
    )
    return f'<ul class="legend">{items}</ul>'


def _lines(text: str) -> Html:
    return "".join(paragraph(line, note=True) for line in text.splitlines())


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}%"
