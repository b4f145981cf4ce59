"""Accuracy against speed, drawn with Matplotlib (the extra [figures])."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segtween.errors import SettingError, from_extra
from segtween.reports.tables.study import Study
from segtween.video.staging import sink_errors, written

if TYPE_CHECKING:
    from segtween.bench.sweeps import Sweep

FORMATS = ("png", "svg")
INK, GRID = "#1f2933", "#d9dee3"
COLOURS = ("#1b6ca8", "#d1495b", "#2e8b57", "#8e6bbf", "#b8860b", "#4c9a9a", "#c2559d", "#7a5c3e")
CURVES = {"ms_per_frame": "per frame", "key_ms": "key frame", "other_ms": "other frame", "label_ms": "of it labels"}
"""What is drawn of a sweep."""


def require_matplotlib() -> None:
    """MissingExtraError without it: reported before anything is measured."""
    from_extra("matplotlib", "a plot", extra="figures")


def plot(study: Study, folder: str | Path) -> list[Path]:
    """`<name>.png` and `<name>.svg` in the folder: average (line) and minimum mIoU (dashed; without edge
    dotted) over frames per second.

    `study` is one of `tables.speed`. Raises MissingExtraError, SinkError, and SettingError where no speed or no
    accuracy was measured.
    """
    check_has_accuracy(study)
    series = _series(study)
    if not series:
        raise SettingError("a plot without speeds", expected="a network that can be timed", do="leave the plot out")
    return save(lambda: _draw(study, series), study.name, folder)


def check_has_accuracy(study: Study) -> None:
    """SettingError where the data hold nothing that an accuracy could be measured against."""
    if all(row["avg_miou"] is None for row in study.rows):
        raise SettingError("a plot without accuracies", expected="data with labels of a class", do="leave the plot out")


def plot_sweep(sweep: Sweep, folder: str | Path) -> list[Path]:
    """`cost-<kind>.png` and `.svg` in the folder, which is made. Raises MissingExtraError and SinkError."""
    require_matplotlib()
    with sink_errors(Path(folder)):
        Path(folder).mkdir(parents=True, exist_ok=True)
    return save(lambda: _draw_sweep(sweep), f"cost-{sweep.kind}", folder)


def _draw_sweep(sweep: Sweep) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.add_subplot()
    for colour, (key, name) in zip(COLOURS, CURVES.items(), strict=False):
        points = [(row["at"], row[key]) for row in sweep.rows if row.get(key) is not None]
        if points:
            axes.plot(*zip(*points, strict=True), "o-", color=colour, label=name)
    axes.set_xlabel(sweep.unit)
    axes.set_ylabel("ms")
    axes.set_ylim(bottom=0)
    if sweep.kind == "length":
        axes.set_xscale("log")
        _draw_memory(axes, sweep)
    rule(axes)
    axes.set_title(f"Cost against {sweep.kind}: {sweep.note}", loc="left", fontsize=9, color=INK)
    axes.legend(frameon=False, loc="best")
    return figure


def rule(axes: Any) -> None:
    """Lines behind what is drawn, and no frame above and on the right."""
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_memory(axes: Any, sweep: Sweep) -> None:
    points = [(row["at"], row["peak_mib"]) for row in sweep.rows if row.get("peak_mib") is not None]
    if points:
        memory = axes.twinx()
        memory.plot(*zip(*points, strict=True), "s--", color=COLOURS[1])
        memory.set_ylabel("peak memory (MiB, dashed)")
        memory.set_ylim(0, 1.15 * max(mib for _, mib in points))


def save(draw: Callable[[], Any], name: str, folder: str | Path) -> list[Path]:
    """What `draw` draws as `<name>.png` and `<name>.svg`. Raises MissingExtraError and SinkError."""
    require_matplotlib()
    from matplotlib import rc_context

    with rc_context({"font.size": 9, "svg.hashsalt": name, "svg.fonttype": "none", "axes.edgecolor": INK}):
        figure = draw()
        return [_save(figure, Path(folder) / f"{name}.{kind}", kind) for kind in FORMATS]


def _series(study: Study) -> dict[str, list[dict[str, Any]]]:
    """Rows that belong on one line, by its name, in order of speed: over intervals a preset, over scales a row."""
    lines: dict[str, list[dict[str, Any]]] = {}
    for row in study.rows:
        if row["fps"] is None or row["avg_miou"] is None or row["min_miou"] is None:
            continue
        name = row["preset"]
        if study.name == "scales":
            name = "network on every frame" if row["interval"] == 0 else f"{row['preset']}, network on {row['row']}"
        line = lines.setdefault(name, [])
        if not any((row["interval"], row["scale"]) == (other["interval"], other["scale"]) for other in line):
            line.append(row)
    return lines


def _draw(study: Study, series: dict[str, list[dict[str, Any]]]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.0, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for i, (name, rows) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        speeds = [row["fps"] for row in rows]
        has_low = any(row["min_miou"] != row["avg_miou"] for row in rows)
        label = f"{name}, average" if has_low else name
        axes.plot(speeds, [100 * row["avg_miou"] for row in rows], "o-", color=colour, label=label)
        if has_low:
            low = [100 * row["min_miou"] for row in rows]
            axes.plot(speeds, low, "o--", color=colour, alpha=0.6, markersize=4, label=f"{name}, last distance")
        without = [row for row in rows if row["min_miou_without_edge"] is not None]
        if without:
            lowest = [100 * row["min_miou_without_edge"] for row in without]
            label = f"{name}, last distance, without edge"
            axes.plot([row["fps"] for row in without], lowest, "x:", color=colour, alpha=0.6, markersize=5, label=label)
    for row, colour, above in _marked(study, series):
        axes.annotate(
            _mark(study, row),
            (row["fps"], 100 * row["avg_miou"]),
            (0, 7 if above else -14),
            textcoords="offset points",
            ha="center",
            color=colour,
        )
    axes.set_xlabel("frames per second")
    axes.set_ylabel("mIoU (%)")
    axes.margins(x=0.08, y=0.15)
    axes.set_xlim(left=0)
    rule(axes)
    axes.set_title(study.title, loc="left", fontsize=10, color=INK)
    axes.legend(frameon=False, loc="best")
    return figure


def _marked(study: Study, series: dict[str, list[dict[str, Any]]]) -> Iterator[tuple[dict[str, Any], str, bool]]:
    """Points that get a name, each with its colour and whether the name goes above it.

    Points of one name at about one speed (within 10%) are named once, at the highest.
    """
    points = [(row, COLOURS[i % len(COLOURS)], i == 0) for i, rows in enumerate(series.values()) for row in rows]
    named: dict[str, list[float]] = {}
    for row, colour, first in sorted(points, key=lambda point: -point[0]["avg_miou"]):
        speeds = named.setdefault(_mark(study, row), [])
        if study.name == "scales":
            yield row, colour, first
        elif all(abs(row["fps"] / speed - 1) > 0.1 for speed in speeds):
            yield row, colour, True
            speeds.append(row["fps"])


def _mark(study: Study, row: dict[str, Any]) -> str:
    if study.name == "scales":
        return f"x{row['scale']:g}"
    return "every frame" if row["interval"] == 0 else f"i={row['interval']}"


def _save(figure: Any, target: Path, kind: str) -> Path:
    with written(target) as part:
        figure.savefig(part, format=kind, dpi=160, metadata={"Date": None} if kind == "svg" else None)
    return target
