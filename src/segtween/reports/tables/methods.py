"""All methods in one table: the network on every frame, the presets, and the offline mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segtween.errors import SettingError
from segtween.evaluation.report import BOUNDARY
from segtween.interfaces import Segmenter
from segtween.reports.tables.compare import Compared, compare, signed, spread, unfit
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.plot import COLOURS, INK, check_has_accuracy, rule, save
from segtween.reports.tables.study import Column, Study, percent
from segtween.settings import Settings
from segtween.types import Method, method_name

BASELINE = "warp"
MARKS = "osD^vPX"
EVERY, FUSED, TRUTH = "every frame", "every frame, fused", "true labels"

EDGES = {key: heading for key, heading in BOUNDARY.items() if key != "row"}
"""Agreement along label edges, where it was asked for."""

COLUMNS = (
    Column("row", "method"),
    Column("mode", "mode"),
    Column("interval", "interval"),
    Column("runs_per_100", "network runs per 100 frames", lambda v: f"{v:.1f}"),
    Column("avg_miou", "avg mIoU", percent),
    Column("gain", "against every frame", signed, along=("gain_low", "gain_high")),
    Column("min_miou", "last-distance mIoU", percent),
    Column("min_gain", "against every frame", signed, along=("min_gain_low", "min_gain_high")),
    Column("error_removed", f"of {BASELINE}'s error removed", lambda v: f"{100 * v:.0f}%"),
    Column("vc8", "VC8", percent),
    Column("tc", "TC", percent),
    *(Column(key, heading, percent) for key, heading in EDGES.items()),
    Column("ms_per_frame", "ms per frame", lambda v: f"{v:.1f}"),
    Column("times_faster", "times faster", lambda v: f"{v:.2f}x"),
    Column("hash", "method hash"),
)


def methods_table(
    conditions: Conditions,
    segmenter: Segmenter,
    *,
    presets: Mapping[str, Settings],
    default: str,
    intervals: Sequence[int] = (4,),
    offline: bool = True,
    unchanged: Mapping[str, tuple[str, Settings]] | None = None,
) -> Study:
    """Every frame, every frame fused (the preset `default`), then at each interval what files get, the default offline
    (or the last preset that has such a mode), and each preset online. `unchanged` gives a preset's own name and
    settings by the name that it has here: they are taken where the changed ones lack weights.

    With true labels for scores the table says how much of the error of the preset `warp` a method removes, just before
    the next key frame. Raises SettingError for no interval above 0, and what `compare` raises.
    """
    wanted = sorted({i for i in intervals if i > 0})
    if not wanted or default not in presets:
        raise SettingError("no interval above 0, or no preset", expected="at least one of each", do="name one")
    methods, notes = fitting(segmenter, presets, unchanged or {})
    default = list(methods)[list(presets).index(default)]
    methods, refused = with_offline(methods, default) if offline else (methods, [])
    notes += refused
    done = compare(conditions, segmenter, methods=methods, intervals=wanted, fused=[default])
    shown = default if default in done.reports else next(iter(done.reports))
    rows = [_every(done), _fused(done, shown)]
    rows += [_row(done, name, interval) for interval in wanted for name in done.reports]
    if done.is_truth:
        _add_error_removed(rows)
    if done.first.truth is not None:
        temporal = {key: done.first.truth[key] for key in ("tc", "vc8")}
        rows.append({**dict.fromkeys(rows[0]), "row": TRUTH, "hash": "-", **temporal})
    return Study(
        "methods",
        f"Methods: {conditions.dataset.title}",
        _columns(rows),
        rows,
        [*done.notes(), *notes, f"{FUSED}: by {shown}; default preset: {default}"],
        done.record(),
        conditions.command,
    )


COLUMNS_IF_MEASURED = ("error_removed", "vc8", "ms_per_frame", "times_faster", *EDGES)


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    measured = {key for key in COLUMNS_IF_MEASURED if any(row.get(key) is not None for row in rows)}
    return [c for c in COLUMNS if c.key not in COLUMNS_IF_MEASURED or c.key in measured]


def fitting(
    segmenter: Segmenter, presets: Mapping[str, Settings], unchanged: Mapping[str, tuple[str, Settings]]
) -> tuple[dict[str, Settings], list[str]]:
    """The presets, those unchanged whose changes do not fit (weights that belong to another one); and what was done."""
    methods, notes = {}, []
    for name, settings in presets.items():
        own, plain = unchanged.get(name, (name, settings))
        reason = None if settings == plain else unfit(segmenter, settings)
        methods[name if reason is None else own] = settings if reason is None else plain
        if reason is not None:
            notes.append(f"{own}: unchanged, since {reason}")
    return methods, notes


def with_offline(methods: dict[str, Settings], default: str) -> tuple[dict[str, Settings], list[str]]:
    """The methods below the offline mode of the default, else of the last preset that can; and which could not."""
    refused: list[str] = []
    for name in [default, *(name for name in reversed(methods) if name != default)]:
        both = method_name(name, bidirectional=True)
        try:
            return {both: methods[name].bidirectional(), **methods}, refused
        except SettingError as error:
            refused.append(f"left out: {both}: {error.expected}")
    return methods, refused


def _every(done: Compared) -> dict[str, Any]:
    figures = done.first.every_frame
    speed = done.speed(next(iter(done.times), ""), 0)
    row = _figures(EVERY, 0, figures, speed, done.first.method)
    return {**row, "mode": None, "hash": "-", "times_faster": None if speed is None else 1.0}


def _fused(done: Compared, name: str) -> dict[str, Any]:
    report = done.reports[name]
    assert report.every_frame_fused is not None
    return _figures(FUSED, 0, report.every_frame_fused, done.speed(name, 0, fused=True), report.method)


def _row(done: Compared, name: str, interval: int) -> dict[str, Any]:
    report = done.reports[name]
    figures = next(result for result in report.results if result["interval"] == interval)
    return _figures(name, interval, figures, done.speed(name, interval), report.method)


def _figures(
    name: str, interval: int, figures: dict[str, Any], speed: dict[str, Any] | None, method: Method
) -> dict[str, Any]:
    gain = figures.get("gain_over_every_frame")
    average = figures.get("avg_miou", figures.get("miou"))
    return {
        "row": name,
        "mode": method.mode_word if interval else None,
        "interval": interval,
        "runs_per_100": 100 * figures["key_rate"],
        "avg_miou": average,
        **spread(gain, "gain"),
        # At interval 0 every frame is the last one before the next key frame.
        "min_miou": figures.get("min_miou", average),
        **spread(None if gain is None else gain["min_miou"], "min_gain"),
        "error_removed": None,
        "vc8": figures["vc8"],
        "tc": figures["tc"],
        **_along_edges(figures),
        "ms_per_frame": None if speed is None else speed["ms_per_frame"],
        "times_faster": None if speed is None else speed["times_faster"],
        "hash": method.hash,
    }


def _along_edges(figures: dict[str, Any]) -> dict[str, float | None]:
    return {key: figures["boundary"][key] for key in EDGES} if "boundary" in figures else {}


def _add_error_removed(rows: list[dict[str, Any]]) -> None:
    """1 - (1 - last-distance mIoU) / (1 - that of the baseline at the same interval)."""
    lowest = {row["interval"]: row["min_miou"] for row in rows if row["row"].rstrip("*") == BASELINE}
    for row in rows:
        base = lowest.get(row["interval"])
        if base is not None and base < 1:
            row["error_removed"] = 1 - (1 - row["min_miou"]) / (1 - base)


# ── The plot ──────────────────────────────────────────────────────────────────────────────────


def plot_methods(study: Study, folder: str | Path) -> list[Path]:
    """`methods.png` and `methods.svg`: average and minimum mIoU over ms per frame (where measured) and over network
    runs. Raises MissingExtraError, SinkError, and SettingError where no accuracy was measured."""
    check_has_accuracy(study)
    return save(lambda: _draw(study), study.name, folder)


def _draw(study: Study) -> Any:
    from matplotlib.figure import Figure

    axes_of = {"ms_per_frame": "milliseconds per frame", "runs_per_100": "network runs per 100 frames"}
    keys = [key for key in axes_of if any(row[key] is not None for row in study.rows)]
    figure = Figure(figsize=(1.5 + 4.8 * len(keys), 4.6), layout="constrained")
    panels = figure.subplots(1, len(keys), sharey=True, squeeze=False)[0]
    lines: dict[str, list[dict[str, Any]]] = {}
    for row in (row for row in study.rows if row["avg_miou"] is not None and row["min_miou"] is not None):
        lines.setdefault(row["row"], []).append(row)
    for axes, key in zip(panels, keys, strict=True):
        axes.axhline(100 * lines[EVERY][0]["avg_miou"], color=INK, linewidth=0.8, linestyle=":")
        for i, (name, rows) in enumerate(lines.items()):
            colour = INK if i == 0 else COLOURS[(i - 1) % len(COLOURS)]
            _line(axes, key, name, [row for row in rows if row[key] is not None], colour, MARKS[i % len(MARKS)])
        axes.set_xlabel(axes_of[key])
        axes.set_xlim(left=0)
        rule(axes)
    panels[0].set_ylabel("mIoU (%): average filled, last distance open")
    figure.suptitle(study.title, x=0.01, ha="left", fontsize=10, color=INK)
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, loc="outside right center")
    return figure


def _line(axes: Any, key: str, name: str, rows: list[dict[str, Any]], colour: str, mark: str) -> None:
    """Average with filled marks, minimum with open ones, joined over intervals, and both joined at each interval."""
    rows = sorted(rows, key=lambda row: float(row[key]))
    at = [row[key] for row in rows]
    average, least = ([100 * row[k] for row in rows] for k in ("avg_miou", "min_miou"))
    axes.plot(at, average, f"{mark}-", color=colour, markersize=5, label=name)
    if least != average:
        axes.plot(at, least, f"{mark}--", color=colour, markersize=5, markerfacecolor="white", alpha=0.8)
        axes.vlines(at, least, average, color=colour, linewidth=0.8, alpha=0.5)
