"""Measures a method on labelled clips, beside the plain network on every frame (docs/evaluation.md).

Everything runs in one pass over each clip: the plain network, the method at interval 0, and for each
interval one run per phase (dense labels) or distance (sparse labels) go through the frames side by side.
They share the network's scores and the flow of the current pair of frames, each computed at most once, so
memory does not grow with the clip.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from segtween.build import Settings, build_engine, build_flow, build_method, build_plain
from segtween.build import method as method_of
from segtween.datasets import Dataset
from segtween.engine import Engine
from segtween.engine.bidirectional import BidirectionalEngine
from segtween.errors import LabelError, SettingError, unknown
from segtween.evaluation.report import HEADINGS, Report
from segtween.evaluation.runs import Make, MakeAdaptive, Run, Table, TruthRun, every_frame
from segtween.evaluation.sharing import SharedFlow, SharedSegmenter
from segtween.evaluation.windows import Window, clips_of_blocks, judging_flow, moments, plan
from segtween.interfaces import FlowEstimator, Segmenter
from segtween.labels import LabelMap, LabelSet
from segtween.labels import label_map as known_map
from segtween.metrics.bootstrap import Bootstrap
from segtween.on_device import Device
from segtween.ops.cpu import CpuOps
from segtween.types import Method, Progress

__all__ = ["HEADINGS", "Make", "MakeAdaptive", "Report", "evaluate", "evaluate_method", "evaluate_methods"]

MEASURES = ("vspw",)
"""Measures that are made on request: those of VSPW's public scripts (`metrics.vspw`)."""


def evaluate_method(
    dataset: Dataset,
    *,
    segmenter: Segmenter,
    settings: Settings,
    name: str,
    intervals: Sequence[int],
    adaptive: Sequence[Settings] = (),
    starts: int = 1,
    map_name: str | None = None,
    max_frames: int | None = None,
    measures: Sequence[str] = (),
    threads: int = 0,
    device: Device | None = None,
    progress: Progress | None = None,
) -> Report:
    """`evaluate` for a preset's settings under the preset's name. `threads` 0 uses every processor.

    On a `device`, which keeps the frame, the segmenter is one of its own.

    An adaptive schedule of the settings is a row of its own, and so are those of `adaptive`, settings that differ in
    the schedule alone; `starts` as in `evaluate`.
    """
    wanted = [*([settings] if settings.schedule == "adaptive" else []), *adaptive]
    ops, classes = CpuOps(threads=threads), len(segmenter.labels)

    def free(chosen: Settings) -> MakeAdaptive:
        if device is not None:
            return lambda network, flow: device.engine(network, chosen, flow=flow)
        return lambda network, flow: build_engine(network, chosen, ops=ops, flow=flow)

    whole = build_method(segmenter, settings, ops=ops) if device is None else device.engine(segmenter, settings)
    return evaluate(
        dataset,
        segmenter=segmenter,
        flow=build_flow(settings, classes=classes, threads=threads) if device is None else whole.flow,
        make=_make(settings, ops, device),
        intervals=intervals,
        adaptive={_row_name(chosen): free(chosen) for chosen in wanted},
        starts=starts,
        method=method_of(whole, name=name),
        label_map=_named_map(map_name, segmenter, dataset),
        progress=progress,
        max_frames=max_frames,
        measures=measures,
    )


def evaluate(
    dataset: Dataset,
    *,
    segmenter: Segmenter,
    flow: FlowEstimator | None,
    make: Make,
    intervals: Sequence[int],
    method: Method,
    adaptive: Mapping[str, MakeAdaptive] | None = None,
    starts: int = 1,
    label_map: LabelMap | None = None,
    progress: Progress | None = None,
    bootstrap: Bootstrap | None = None,
    max_frames: int | None = None,
    measures: Sequence[str] = (),
) -> Report:
    """Measures `make`'s engines at the intervals, each beside every frame and every frame fused.

    `adaptive` are engines by the names of their rows, each with one run from the first frame of a clip; with more
    `starts` (dense labels) there are further runs from the second, third, ... frame, pooled with it.
    `label_map` goes from the segmenter's labels to the data set's; None takes the known one. `method` is
    written into the report as it is. A segmenter with `select` is told each frame's name first.
    `measures` are those of `MEASURES` that are wanted besides the usual ones; they need labels on every frame.

    Raises SettingError for intervals that no clip can hold and for unknown measures, LabelError where the labels do not
    fit each other, DatasetError for unreadable files.
    """
    settings = bootstrap or Bootstrap()
    wanted, free = _checked(intervals, flow), adaptive or {}
    dataset = dataset.limited(max_frames)
    mapping = _mapping(segmenter.labels, dataset.labels, label_map)
    windows, left_out = plan(dataset, max(wanted, default=0), settings, whole=bool(free))
    with_vspw = _with_vspw(measures, dataset)
    table = Table(dataset, clips_of_blocks(windows), with_vspw=with_vspw)
    shared = SharedSegmenter(segmenter), None if flow is None else SharedFlow(flow)
    runs = table.runs(make, *shared, intervals=wanted, adaptive=free, starts=starts, mapping=mapping)
    cuts = _walk(dataset, windows, runs, (segmenter, flow), progress, with_vspw=with_vspw)
    return _report(table, method, dataset, mapping, wanted, settings, left_out, cuts=cuts)


def evaluate_methods(
    dataset: Dataset,
    *,
    segmenter: Segmenter,
    methods: Mapping[str, Settings],
    intervals: Sequence[int],
    against: str | None = None,
    map_name: str | None = None,
    max_frames: int | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> dict[str, Report]:
    """`evaluate_method` for several methods by name, with fixed intervals, in one pass: the plain network runs once,
    and methods with one flow estimator share its flows. The reports are those of separate evaluations.

    With `against`, one of the names, every result also says how it differs from that method at the same interval, as
    `gain_over_method` with its 95% intervals. Raises what `evaluate` raises.
    """
    settings, ops = Bootstrap(), CpuOps(threads=threads)
    wanted = sorted(set(intervals))
    dataset = dataset.limited(max_frames)
    mapping = _mapping(segmenter.labels, dataset.labels, _named_map(map_name, segmenter, dataset))
    windows, left_out = plan(dataset, max(wanted, default=0), settings)
    network, flows = SharedSegmenter(segmenter), _Flows(len(segmenter.labels), threads)
    tables: dict[str, Table] = {}
    runs: list[Run | TruthRun] = []
    for name, chosen in methods.items():
        flow = flows.of(chosen)
        _checked(intervals, flow)
        table = tables[name] = Table(dataset, clips_of_blocks(windows), shared=next(iter(tables.values()), None))
        runs += table.runs(_make(chosen, ops), network, flow, intervals=wanted, adaptive={}, starts=1, mapping=mapping)
    cuts = _walk(dataset, windows, runs, (segmenter, *flows.estimators), progress)
    other = None if against is None else tables[against]
    named = {name: method_of(build_method(segmenter, chosen, ops=ops), name=name) for name, chosen in methods.items()}
    return {
        name: _report(table, named[name], dataset, mapping, wanted, settings, left_out, cuts=cuts, against=other)
        for name, table in tables.items()
    }


class _Flows:
    """One shared flow estimator for all settings whose flow describes itself alike."""

    def __init__(self, classes: int, threads: int) -> None:
        self._classes, self._threads = classes, threads
        self._shared: dict[str, SharedFlow] = {}
        self.estimators: list[FlowEstimator] = []

    def of(self, settings: Settings) -> SharedFlow:
        flow = build_flow(settings, classes=self._classes, threads=self._threads)
        record = json.dumps(flow.describe(), sort_keys=True)
        if record not in self._shared:
            self._shared[record] = SharedFlow(flow)
            self.estimators.append(flow)
        return self._shared[record]


def _make(settings: Settings, ops: CpuOps, device: Device | None = None) -> Make:
    def make(network: Segmenter, flow: FlowEstimator | None, interval: int) -> Engine | BidirectionalEngine:
        if flow is None:
            return build_plain(network, ops=ops) if device is None else device.plain(network)
        chosen = replace(settings, late=None) if interval == 0 else settings
        if device is not None:
            return device.engine(network, chosen.fixed(interval), flow=flow)
        return build_method(network, chosen.fixed(interval), ops=ops, flow=flow)

    if settings.late == "auto":
        raise SettingError(
            "late auto in an evaluation",
            expected="a number: when scores arrive would depend on the machine",
            do="give late 2",
        )
    return make


def _walk(
    dataset: Dataset,
    windows: Sequence[Window],
    runs: Sequence[Run | TruthRun],
    parts: Sequence[object],
    progress: Progress | None,
    *,
    with_vspw: bool = False,
) -> int:
    """All runs through all frames, side by side. Returns how many scene cuts there were."""
    done, cuts, total = 0, 0, sum(len(window.blocks) for window in windows)
    for window in windows:
        for run in runs:
            run.begin(window)
        for moment in moments(dataset, window, parts, with_vspw=with_vspw):
            for run in runs:
                run.step(moment)
            done, cuts = done + 1, cuts + moment.is_cut
            if progress is not None:
                progress(done, total)
        for run in runs:
            run.end()
    return cuts


def _report(
    table: Table,
    method: Method,
    dataset: Dataset,
    mapping: LabelMap,
    wanted: Sequence[int],
    settings: Bootstrap,
    left_out: list[str],
    *,
    cuts: int,
    against: Table | None = None,
) -> Report:
    return Report(
        method=method,
        dataset=dataset.name,
        split=dataset.split,
        title=dataset.title,
        protocol="dense" if dataset.is_dense else "sparse",
        label_map=mapping.name,
        clips=len(dataset.clips),
        frames=table.plain.scored,
        truth={**table.truth.steadiness(), **table.truth.vspw_figures()} if dataset.is_dense else None,
        every_frame=every_frame(table.plain, None, settings),
        every_frame_fused=None if table.fused is None else every_frame(table.fused, table.plain, settings),
        results=[
            *(table.result(interval, settings, against=against) for interval in wanted),
            *(table.adaptive_result(name, settings) for name in table.adaptive),
        ],
        tc_flow=judging_flow(dataset),
        cuts=cuts,
        bootstrap={
            "clips": len(set(table.clips.tolist())),
            "blocks": len(table.clips),
            "block_frames": settings.block_frames if dataset.is_dense else 1,
            "resamples": settings.resamples,
            "level": settings.level,
            "seed": settings.seed,
        },
        left_out=left_out,
    )


def _with_vspw(measures: Sequence[str], dataset: Dataset) -> bool:
    for name in measures:
        if name not in MEASURES:
            raise unknown(f"measure {name!r}", name, MEASURES)
    if "vspw" in measures and not dataset.is_dense:
        raise SettingError(
            f"measures 'vspw' of {dataset.title}, where few frames are labelled",
            expected="a data set with labels on every frame, as VSPW has",
            do="leave the measure out",
        )
    return "vspw" in measures


def _row_name(settings: Settings) -> str:
    if settings.target_ms is not None:
        return f"adaptive, {settings.target_ms:g} ms"
    budget = 100 / (settings.interval + 1) if settings.budget is None else settings.budget
    return f"adaptive, {budget:.3g} per 100"


def _checked(intervals: Sequence[int], flow: FlowEstimator | None) -> list[int]:
    wrong = [i for i in intervals if isinstance(i, bool) or not isinstance(i, int) or i < 0]
    if wrong:
        raise SettingError(f"interval {wrong[0]}", expected="whole numbers, 0 or more", do="give --intervals 0,4,9")
    if intervals and flow is None:
        raise SettingError(
            "intervals without a flow estimator", expected="a flow, or no intervals", do="leave the intervals out"
        )
    return sorted(set(intervals))


def _named_map(name: str | None, segmenter: Segmenter, dataset: Dataset) -> LabelMap | None:
    return None if name is None else known_map(segmenter.labels, dataset.labels, name=name)


def _mapping(source: LabelSet, target: LabelSet, given: LabelMap | None) -> LabelMap:
    mapping = given or known_map(source, target)
    if mapping.source.names != source.names or mapping.target.names != target.names:
        raise LabelError(
            f"label map {mapping.name!r} goes from {mapping.source.name!r} to {mapping.target.name!r}",
            expected=f"a map from {source.name!r} to {target.name!r}",
            do="choose another map",
        )
    return mapping
