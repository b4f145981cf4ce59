"""Accuracy and speed of one method in one table: over intervals, and over scales.

Every row set (one preset at one scale) is measured with one segmenter and stands under one method hash: accuracy
by `evaluation`, speed by `bench` on frames of the data's size.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from segtween.bench import BenchReport, bench_presets
from segtween.bench.machine import processor_name
from segtween.build import build_refiner, has_stored_flow
from segtween.errors import ModelError, SettingError
from segtween.evaluation import Report, evaluate_method
from segtween.evaluation.report import scored
from segtween.interfaces import Segmenter
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.study import Column, Study, percent
from segtween.segmenters.network import Scale
from segtween.settings import Published, Settings, change
from segtween.texttable import count

OpenAt = Callable[[Scale], Segmenter]
"""scale -> the segmenter that sees frames at it."""

COLUMNS = (
    Column("preset", "preset"),
    Column("mode", "mode"),
    Column("scale", "scale", lambda v: f"{v:g}"),
    Column("interval", "interval"),
    Column("row", "network on"),
    Column("avg_miou", "avg mIoU", percent),
    Column("min_miou", "last-distance mIoU", percent),
    Column("min_miou_without_edge", "last-distance mIoU without edge", percent),
    Column("tc", "TC", percent),
    Column("fps", "frames per second", lambda v: f"{v:.1f}"),
    Column("times_faster", "times faster", lambda v: f"{v:.2f}x"),
    Column("share_of_limit", "share of the limit", lambda v: f"{100 * v:.0f}%"),
    Column("hash", "method"),
)


def intervals_table(
    conditions: Conditions,
    open_at: OpenAt,
    *,
    presets: Mapping[str, Settings],
    intervals: Sequence[int] = (0, 1, 2, 3, 4),
    scale: Scale = 1.0,
) -> Study:
    """Every interval at one scale, for every preset.

    Raises SettingError, LabelError and DatasetError as `evaluation.evaluate` and `bench.bench` do.
    """
    title = f"Intervals at scale {scale}" if isinstance(scale, str) else f"Intervals at scale {scale:g}"
    return _study("intervals", title, conditions, open_at, presets, [scale], intervals)


def scales_table(
    conditions: Conditions,
    open_at: OpenAt,
    *,
    presets: Mapping[str, Settings],
    scales: Sequence[float] = (0.5, 0.75, 1.0),
    interval: int = 2,
) -> Study:
    """One interval at every scale, and the network on every frame. Only networks see frames at a scale."""
    title = f"Scales at interval {interval}"
    return _study("scales", title, conditions, open_at, presets, scales, [0, interval])


def _study(
    name: str,
    title: str,
    conditions: Conditions,
    open_at: OpenAt,
    presets: Mapping[str, Settings],
    scales: Sequence[Scale],
    intervals: Sequence[int],
) -> Study:
    if not presets or not scales:
        raise SettingError("no presets or no scales", expected="at least one of each", do="name one")
    rows: list[dict[str, Any]] = []
    sets: list[dict[str, Any]] = []
    notes: list[str] = []
    for scale in scales:
        segmenter = open_at(scale)
        _check_scale(segmenter, scale, scales)
        for preset, measured in measure(conditions, segmenter, presets=presets, intervals=intervals).items():
            rows += [{"preset": preset, "scale": scale, **row} for row in _rows(measured)]
            sets.append({"preset": preset, "scale": scale, **_record(measured)})
            notes += [note for note in _notes(measured) if note not in notes]
    network = sets[0]["method"]["network"].get("name", "a function")
    left_out = {"scale"} if len(scales) == 1 else set()
    if all(row["min_miou_without_edge"] is None for row in rows):
        left_out.add("min_miou_without_edge")
    columns = [column for column in COLUMNS if column.key not in left_out]
    title = f"{title}: {network} on {conditions.dataset.title}"
    return Study(name, title, columns, rows, notes, {"sets": sets}, conditions.command)


class Measured(NamedTuple):
    """One preset. `speed` is None where scores or flow are stored; `without_edge` is the accuracy with nothing but the
    edge of the refinement left out, None where there is none, and `no_edge` then says why if one would expect it."""

    accuracy: Report
    speed: BenchReport | None
    without_edge: Report | None = None
    no_edge: str | None = None


def measure(
    conditions: Conditions, segmenter: Segmenter, *, presets: Mapping[str, Settings], intervals: Sequence[int]
) -> dict[str, Measured]:
    """Accuracy, and speed on frames of the data's size, by preset; no speed of stored scores or flow.

    Timing of presets is interleaved, so that their speeds may be compared. Each runs the network anew for its accuracy.
    """

    def judge(name: str, settings: Settings, intervals: Sequence[int]) -> Report:
        return evaluate_method(
            conditions.dataset,
            segmenter=segmenter,
            settings=settings,
            name=name,
            intervals=intervals,
            options=conditions.of_evaluation(),
        )

    made = {name: Measured(judge(name, settings, intervals), None) for name, settings in presets.items()}
    above = [interval for interval in intervals if interval > 0]
    for name, settings in presets.items():
        refine = settings.propagation.refine if isinstance(settings.propagation, Published) else None
        if refine is not None and refine.edge and above:
            without = change(settings, edge=False)
            try:
                build_refiner(without, classes=len(segmenter.labels))
            except ModelError as error:
                made[name] = made[name]._replace(no_edge=error.got)
            else:
                made[name] = made[name]._replace(without_edge=judge(name, without, above))
    reports = {name: measured.accuracy for name, measured in made.items()}
    times = time_methods(conditions, reports, segmenter, presets, intervals=intervals)
    return {name: measured._replace(speed=times.get(name)) for name, measured in made.items()}


def time_methods(
    conditions: Conditions,
    reports: Mapping[str, Report],
    segmenter: Segmenter,
    presets: Mapping[str, Settings],
    *,
    intervals: Sequence[int],
    fused: Collection[str] = (),
) -> dict[str, BenchReport]:
    """Speed of the presets that can be timed, each of the very method whose accuracy is reported: stored scores, true
    labels and stored flow have none. Those in `fused` are timed at interval 0 with flow and fusion too."""
    timed = {name: s for name, s in presets.items() if not hasattr(segmenter, "select") and not has_stored_flow(s)}
    if not timed:
        return {}
    times = bench_presets(
        segmenter,
        presets=timed,
        plan=conditions.plan(intervals),
        fused=[name for name in fused if name in timed],
        progress=conditions.progress,
    )
    return {name: of_one_method(reports[name], found) for name, found in times.items()}


def of_one_method(accuracy: Report, speed: BenchReport) -> BenchReport:
    timed = speed.header.method.hash
    if timed != accuracy.method.hash:
        raise SettingError(
            f"speed of method {timed} beside accuracy of {accuracy.method.hash}",
            expected="one method",
            do="measure with a segmenter that describes itself the same every time",
        )
    return speed


def _check_scale(segmenter: Segmenter, scale: Scale, scales: Sequence[Scale]) -> None:
    if getattr(segmenter, "scale", None) is None and (len(scales) > 1 or scale not in (1, "auto")):
        raise SettingError(
            f"scale {scale} for {segmenter.describe().get('name', 'this model')}",
            expected="a network, which can be shown frames at a scale",
            do="give model=NAME or FILE.onnx",
        )


def _rows(measured: Measured) -> list[dict[str, Any]]:
    """Every frame, every frame fused, then each interval above 0."""
    report, times, without = measured.accuracy, measured.speed, measured.without_edge
    speeds = {} if times is None else {result["interval"]: result for result in times.results}
    lowest = {} if without is None else {result["interval"]: result["min_miou"] for result in without.results}
    plain, fused = report.every_frame, report.every_frame_fused
    rows = [_row("every frame", 0, plain, speeds.get(0), report)]
    if fused is not None:
        # Only the plain network is timed at interval 0: it is what everything is compared with.
        rows.append(_row("every frame, fused", 0, fused, None, report))
    for result in report.results:
        interval = result["interval"]
        if interval > 0:
            row = _row(f"1 frame in {interval + 1}", interval, result, speeds.get(interval), report)
            if without is not None:
                row |= {"min_miou_without_edge": lowest[interval], "hash_without_edge": without.method.hash}
            rows.append(row)
    return rows


def _row(
    name: str, interval: int, block: dict[str, Any], speed: dict[str, Any] | None, report: Report
) -> dict[str, Any]:
    average = "avg_miou" if "avg_miou" in block else "miou"
    figures = {key: None if speed is None else speed[key] for key in ("fps", "ms_per_frame")}
    faster = {
        key: None if speed is None or interval == 0 else speed[key]
        for key in ("times_faster", "times_possible", "share_of_limit")
    }
    return {
        "row": name,
        "mode": report.method.mode_word if interval else None,
        "interval": interval,
        "avg_miou": block[average],
        **{f"avg_miou_{key}": block[f"{average}_{key}"] for key in ("low", "high", "clips", "blocks", "kind")},
        # At interval 0 every frame is the last one before the next key frame.
        "min_miou": block.get("min_miou", block[average]),
        "min_miou_without_edge": None,
        "tc": block["tc"],
        **figures,
        **faster,
        "hash": report.method.hash,
        "hash_without_edge": None,
    }


def _record(measured: Measured) -> dict[str, Any]:
    report, times, without = measured.accuracy, measured.speed, measured.without_edge
    speed = None if times is None else {k: v for k, v in times.to_json().items() if k != "method"}
    return {
        "method": report.method.to_json(),
        "accuracy": report.to_json(),
        "accuracy_without_edge": None if without is None else without.to_json(),
        "speed": speed,
        "machine": processor_name(),
    }


def _notes(measured: Measured) -> list[str]:
    report, times, without = measured.accuracy, measured.speed, measured.without_edge
    data = scored(report.frames, report.clips, is_dense=report.protocol == "dense")
    notes = [
        f"data: {report.title}, {data}; labels by {report.label_map}",
        "avg mIoU over all frames, last-distance mIoU over the frames before the next key frame; figures in percent",
        *(f"left out: {what}" for what in report.left_out),
    ]
    name = report.method.name
    if without is not None:
        notes.append(
            f"last-distance mIoU without edge: {name} with --no-edge (its method: hash_without_edge in CSV and JSON)"
        )
    if measured.no_edge is not None:
        notes.append(f"{name} without edge: not measured, {measured.no_edge}")
    if times is None:
        if report.method.record.get("flow") == "stored":
            return [*notes, f"speed of {name}: not measured, the flow is stored"]
        return [*notes, "speed: not measured, the scores are stored"]
    return [
        *notes,
        speed_note(times),
        "share of the limit: (ms per frame on every frame / ms per frame) / (interval + 1)",
        versions_note(times),
        *times.header.notes,
    ]


def speed_note(times: BenchReport) -> str:
    """On what and how speed was measured."""
    header = times.header
    return (
        f"speed: frames of {header.frames} in memory, medians of {count(times.repeats, 'period')}, all taking turns, "
        f"{header.network.get('precision', 'unknown')} precision, {count(header.threads or 1, 'thread')} "
        f"of {processor_name()}"
    )


def versions_note(times: BenchReport) -> str:
    return ", ".join(f"{name} {version}" for name, version in times.header.versions.items())
