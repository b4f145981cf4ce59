"""Accuracy against network runs: key frames at a fixed interval, and where an adaptive schedule sets them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segtween.errors import SettingError
from segtween.evaluation import Report, evaluate_method
from segtween.evaluation.report import interval_note, scored
from segtween.interfaces import Segmenter
from segtween.reports.tables.compare import signed, spread
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.plot import COLOURS, INK, check_has_accuracy, rule, save
from segtween.reports.tables.study import Column, Study, percent
from segtween.settings import Settings, change

COLUMNS = (
    Column("preset", "preset"),
    Column("schedule", "schedule"),
    Column("runs_per_100", "network runs per 100 frames", lambda v: f"{v:.1f}"),
    Column("avg_miou", "avg mIoU", percent),
    Column("min_miou", "last-distance mIoU", percent),
    Column("gain", "avg against fixed", signed),
    Column("gain_low", "from", signed),
    Column("gain_high", "to", signed),
    Column("min_gain", "last-distance mIoU against fixed", signed),
    Column("min_gain_low", "from", signed),
    Column("min_gain_high", "to", signed),
    Column("worst_miou", "worst distance", percent),
    Column("longest", "longest distance"),
    Column("tc", "TC", percent),
    Column("flicker_at_keys", "flicker at keys", lambda v: f"{v:.2f}x"),
)
DRAWN = (("avg_miou", "o-", "average"), ("min_miou", "o--", "last distance"))


def budgets_table(
    conditions: Conditions,
    segmenter: Segmenter,
    *,
    presets: Mapping[str, Settings],
    intervals: Sequence[int] = (1, 2, 4, 9, 14),
    starts: int = 1,
) -> Study:
    """Every interval, all its phases pooled, compared with the adaptive schedule with as many network runs, from the
    first frame on. With more `starts` the latter is run from the second, third, ... frame as well, and pooled too:
    where it sets its key frames is then less a matter of luck.

    Raises SettingError for no interval above 0, and what `evaluation.evaluate` refuses.
    """
    wanted = sorted({i for i in intervals if i > 0})
    if not wanted or not presets:
        raise SettingError("no interval above 0, or no preset", expected="at least one of each", do="name one")
    dataset = conditions.dataset
    rows: list[dict[str, Any]] = []
    records: list[dict[str, Any]] = []
    notes: list[str] = []
    for preset, settings in presets.items():
        report = _evaluated(conditions, segmenter, preset, settings, wanted, starts)
        rows += [_row(preset, None, report.every_frame)] if not rows else []
        rows += [_row(preset, report.every_frame, result) for result in report.results]
        records.append({"preset": preset, **report.to_json()})
        method = report.method
        notes.append(f"method {method.name} {method.hash}, {method.mode_word}; labels by {report.label_map}")
    notes.append(
        f"data: {dataset.title}, {scored(records[0]['frames'], records[0]['clips'], is_dense=dataset.is_dense)}; "
        f"fixed: all phases; adaptive: {_starts_note(starts)}; worst distance: among those of 30 frames or more; "
        + _interval_note(records)
    )
    title = f"Accuracy against network runs: {dataset.title}"
    return Study("budgets", title, COLUMNS, rows, notes, {"evaluations": records}, conditions.command)


def _evaluated(
    conditions: Conditions, segmenter: Segmenter, name: str, settings: Settings, intervals: list[int], starts: int
) -> Report:
    return evaluate_method(
        conditions.dataset,
        segmenter=segmenter,
        settings=settings.fixed(intervals[0]),
        name=name,
        intervals=intervals,
        adaptive=[change(settings.fixed(i), schedule="adaptive") for i in intervals],
        starts=starts,
        options=conditions.of_evaluation(),
    )


def _interval_note(records: Sequence[Mapping[str, Any]]) -> str:
    gains = {
        f"{record['preset']}, {result['row']}": result["gain_over_fixed"]
        for record in records
        for result in record["results"]
        if result["interval"] is None
    }
    note = interval_note(gains, level=records[0]["bootstrap"]["level"], keys=("value", "min_miou"))
    return f"from, to: {note.removeprefix('in brackets ')}"


def _row(preset: str, plain: dict[str, Any] | None, figures: dict[str, Any]) -> dict[str, Any]:
    if plain is None:
        name, longest = "every frame", None
    elif figures["interval"] is None:
        name, longest = "adaptive", len(figures["per_distance"]) - 1
    else:
        name, longest = "fixed", figures["interval"]
    gain = figures.get("gain_over_fixed") or {}
    same = ("min_miou", "worst_miou", "tc", "flicker_at_keys")
    return {
        "preset": preset if plain is not None else "-",
        "schedule": name,
        "runs_per_100": 100 * figures["key_rate"],
        "avg_miou": figures.get("avg_miou", figures.get("miou")),
        "longest": longest,
        **{key: figures.get(key) for key in same},
        **spread(gain, "gain"),
        **spread(gain.get("min_miou"), "min_gain"),
    }


def _starts_note(starts: int) -> str:
    return "one run from the first frame" if starts == 1 else f"runs from the first {starts} frames, pooled"


def plot_budgets(study: Study, folder: str | Path) -> list[Path]:
    """`budgets.png` and `budgets.svg`: average (line) and minimum mIoU (dashed) over network runs.

    Raises MissingExtraError, SinkError, and SettingError where no accuracy was measured.
    """
    check_has_accuracy(study)
    return save(lambda: _draw(study), study.name, folder)


def _draw(study: Study) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.4), layout="constrained")
    axes = figure.add_subplot()
    lines: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in study.rows:
        lines.setdefault((row["preset"], row["schedule"]), []).append(row)
    plain = lines.pop(("-", "every frame"))[0]
    axes.axhline(100 * plain["avg_miou"], color=INK, linewidth=0.8, linestyle=":", label="network on every frame")
    for i, ((preset, schedule), rows) in enumerate(lines.items()):
        for key, style, words in DRAWN:
            points = sorted((row["runs_per_100"], 100 * row[key]) for row in rows if row[key] is not None)
            if not points:  # no labelled frame lies just before a key frame
                continue
            axes.plot(
                *zip(*points, strict=True),
                style,
                color=COLOURS[i % len(COLOURS)],
                markersize=4,
                alpha=1.0 if key == "avg_miou" else 0.6,
                label=f"{preset}, {schedule}, {words}",
            )
    axes.set_xlabel("network runs per 100 frames")
    axes.set_ylabel("mIoU (%)")
    axes.set_xlim(left=0)
    rule(axes)
    axes.set_title(study.title, loc="left", fontsize=10, color=INK)
    axes.legend(frameon=False, loc="best")
    return figure
