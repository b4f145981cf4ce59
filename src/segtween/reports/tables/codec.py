"""Flow from motion vectors against flow that is estimated, on clips that were coded as videos are."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any

from segtween.bench.machine import processor_name
from segtween.build import Processor
from segtween.datasets import Dataset
from segtween.errors import SettingError
from segtween.evaluation import Report, evaluate_methods
from segtween.evaluation.coded import CodedDataset, coded
from segtween.evaluation.report import interval_note, scored
from segtween.interfaces import FlowEstimator, Segmenter, select
from segtween.reports.tables.compare import signed, spread
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.study import Column, Study, percent
from segtween.settings import Settings, change
from segtween.types import Frame

FLOWS = ("dis", "codec")
MODES = {"online": "causal", "offline": "bidirectional"}
TIMED_FRAMES = 100
COLUMNS = (
    Column("mode", "mode"),
    Column("interval", "interval"),
    Column("flow", "flow"),
    Column("avg_miou", "avg mIoU", percent),
    Column("gain", "against dis", signed, along=("gain_low", "gain_high")),
    Column("min_miou", "last-distance mIoU", percent),
    Column("min_gain", "against dis", signed, along=("min_gain_low", "min_gain_high")),
    Column("tc", "TC", percent),
    Column("flow_ms", "flow of a frame (ms)", lambda v: f"{v:.2f}"),
)


def codec_table(
    conditions: Conditions,
    segmenter: Segmenter,
    *,
    settings: Settings,
    coding: str = "camera",
    crf: int = 23,
    intervals: Sequence[int] = (4, 9),
) -> Study:
    """The settings with flow `dis` and with flow `codec`, online and offline, all on the decoded pictures.

    Flow is timed on the first frames, the two estimators taking turns. Raises SettingError for sparse labels, and what
    `evaluation.coded.coded` and `evaluation.evaluate_methods` raise.
    """
    dataset = coded(conditions.dataset.limited(conditions.max_frames), coding, crf=crf)
    if not dataset.is_dense:
        raise SettingError(
            f"sparse labels of {dataset.name} {dataset.split}",
            expected="a label for every frame, so that clips are read from their first frame on",
            do="give a data set with dense labels",
        )
    rows, reports = [], dict[str, Report]()
    for mode in MODES:
        methods = {f"{mode}, {flow}": change(settings, mode=MODES[mode], flow=flow) for flow in FLOWS}
        found = evaluate_methods(
            dataset,
            segmenter=segmenter,
            methods=methods,
            intervals=intervals,
            against=f"{mode}, dis",
            options=conditions.of_evaluation(),
        )
        took = _flow_ms(dataset, methods, threads=conditions.threads)
        reports |= found
        rows += [
            _row(mode, interval, flow, found[f"{mode}, {flow}"], took[f"{mode}, {flow}"])
            for interval in intervals
            for flow in FLOWS
        ]
    return Study(
        "codec",
        f"Flow from motion vectors: {dataset.title}",
        COLUMNS,
        rows,
        _notes(reports, dataset),
        {
            "machine": processor_name(),
            "coding": coding,
            "crf": crf,
            "sets": [{"name": key, "accuracy": report.to_json()} for key, report in reports.items()],
        },
        conditions.command,
    )


def _row(mode: str, interval: int, flow: str, report: Report, flow_ms: float) -> dict[str, Any]:
    figures = next(result for result in report.results if result["interval"] == interval)
    gain = None if flow == "dis" else figures["gain_over_method"]
    return {
        "mode": mode,
        "interval": interval,
        "flow": flow,
        "avg_miou": figures["avg_miou"],
        **spread(gain, "gain"),
        "min_miou": figures["min_miou"],
        **spread(None if gain is None else gain["min_miou"], "min_gain"),
        "tc": figures["tc"],
        "flow_ms": flow_ms,
    }


def _notes(reports: Mapping[str, Report], dataset: Dataset) -> list[str]:
    first = next(iter(reports.values()))
    gains = {
        f"{name} at {result['interval']}": result["gain_over_method"]
        for name, report in reports.items()
        if name.endswith("codec")
        for result in report.results
    }
    return [
        f"data: {first.title}, {scored(first.frames, first.clips, is_dense=dataset.is_dense)}; "
        f"network on every frame: {percent(first.every_frame['miou'])}; labels by {first.label_map}",
        "figures in percent; all phases; "
        + interval_note(gains, level=first.bootstrap["level"], keys=("value", "min_miou")),
        *first.temporal_notes(),
        f"flow: median of the first {TIMED_FRAMES} frames, backward, and forward where the mode needs it",
    ]


def _flow_ms(dataset: CodedDataset, methods: Mapping[str, Settings], *, threads: int) -> dict[str, float]:
    """The median time of a frame's flow, by method; all on the same frames, in turns."""
    backend = Processor(threads)
    flows = {name: backend.flow(settings, classes=None) for name, settings in methods.items()}
    both = any(settings.is_bidirectional for settings in methods.values())
    took: dict[str, list[float]] = {name: [] for name in methods}
    for previous, frame in islice(_pairs(dataset), TIMED_FRAMES):
        for name in sorted(methods, reverse=frame.index % 2 == 0):
            took[name].append(_timed(flows[name], previous, frame, both=both))
    return {name: 1e3 * statistics.median(times) for name, times in took.items()}


def _pairs(dataset: CodedDataset) -> Iterator[tuple[Frame, Frame]]:
    for clip in dataset.clips:
        yield from pairwise(map(dataset.frame_of, clip.frames))


def _timed(flow: FlowEstimator, previous: Frame, frame: Frame, *, both: bool) -> float:
    views = []
    for one in (previous, frame):
        select(flow, one)
        views.append(flow.prepare(one.rgb))
    began = time.perf_counter()
    flow(views[1], views[0])
    if both:
        flow(views[0], views[1])
    return time.perf_counter() - began
