"""The page of a measurement of speed: stages, share of the limit, machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from segtween.bench.machine import processor_name
from segtween.bench.report import MethodReport, Report
from segtween.bench.roofline_report import RooflineReport
from segtween.bench.speed_report import STAGES, BenchReport
from segtween.ops.threads import available_threads
from segtween.reports.html import charts
from segtween.reports.html.page import Html, code, details, numbers, page, paragraph, record, section, text_table
from segtween.reports.tables.plot import CURVES
from segtween.texttable import TextTable

if TYPE_CHECKING:
    from segtween.bench.sweeps import Sweep


def bench_page(report: Report, *, command: str) -> Html:
    """Of any report of `segtween bench`; those of speed have charts."""
    speed = report.speed if isinstance(report, RooflineReport) else report
    tables = [text_table(part) for part in report.tables() if isinstance(part, TextTable)]
    remarks = [line for part in report.tables() if isinstance(part, str) for line in part.splitlines()]
    charted = _charts(speed) if isinstance(speed, BenchReport) else []
    header = speed.header if isinstance(speed, MethodReport) else None
    method = {} if header is None else header.method.to_json()
    sections = [
        *charted,
        section("Figures", *tables, *(paragraph(line, note=True) for line in remarks)),
        section("Machine", record(_machine() if header is None else _machine(header.threads, header.versions))),
        section("How to repeat it", code(command)),
        section("Method", details("Method record", record(method))) if method else "",
    ]
    title = "Speed" if header is None else f"Speed of {header.model}"
    return page(title, "" if header is None else header.title, sections)


def sweep_page(sweeps: Sequence[Sweep], *, command: str) -> Html:
    """How cost grows: one chart for each kind."""
    sections = [section(f"Cost against {one.kind}", _curves(one), text_table(one.table())) for one in sweeps]
    sections += [section("Machine", record(_machine())), section("How to repeat it", code(command))]
    return page("Cost", ", ".join(one.kind for one in sweeps), sections)


def _machine(threads: int | None = None, versions: dict[str, str] | None = None) -> dict[str, Any]:
    used = {} if threads is None else {"threads used": str(threads)}
    return {"processor": processor_name(), "processors": str(available_threads()), **used, **(versions or {})}


def _charts(report: BenchReport) -> list[Html]:
    named = report.named_results()
    return [
        section("At a glance", numbers([_glance(name, result) for name, result in named])),
        section("Share of the limit", _limits(named)),
        section("Stages", _stages(named)),
    ]


def _glance(name: str, result: dict[str, Any]) -> tuple[str, str, str]:
    faster = "" if not result["interval"] else f", {result['times_faster']:.1f} times faster"
    return f"Interval {name}", f"{result['fps']:.1f} frames/s", f"{result['ms_per_frame']:.1f} ms per frame{faster}"


def _limits(named: Sequence[tuple[str, dict[str, Any]]]) -> Html:
    rows = [
        charts.Bar(
            f"interval {name}",
            [(result["share_of_limit"], "var(--accent)")],
            f"{result['times_faster']:.1f}x of {result['times_possible']}x ({100 * result['share_of_limit']:.0f}%)",
        )
        for name, result in named
        if result["interval"]
    ]
    said = "How much faster than the network on every frame; a full bar: frames between key frames take no time"
    return charts.bars(rows, caption=said, most=1.0) if rows else ""


def _stages(named: Sequence[tuple[str, dict[str, Any]]]) -> Html:
    colours = {stage: charts.colour_of(row) for row, stage in enumerate(STAGES)}
    rows = [
        charts.Bar(
            f"interval {name.partition(' (')[0]}",
            [(ms, colours[stage]) for stage, ms in result["stages_ms"].items()],
            f"{sum(result['stages_ms'].values()):.1f} ms",
        )
        for name, result in named
    ]
    caption = "Milliseconds per frame by stage: medians, whose sum need not be that of a frame"
    return charts.bars(rows, caption=caption) + f'<p class="note">{charts.key_lines(colours.items())}</p>'


def _curves(sweep: Sweep) -> Html:
    series = [
        charts.Series(name, [(row["at"], row[key]) for row in sweep.rows if row.get(key) is not None])
        for key, name in CURVES.items()
    ]
    return charts.line_chart(f"Cost against {sweep.kind}, {sweep.note}", series, x=sweep.unit, y="ms")
