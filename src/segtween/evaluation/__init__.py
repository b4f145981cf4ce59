"""Measures a method on labelled clips, compared with the plain network on every frame (docs/evaluation.md).

Everything runs in one pass over each clip: the plain network, the method at interval 0, and for each
interval one run per phase (dense labels) or distance (sparse labels) go through the frames side by side.
They share the network's scores and the flow of the current pair of frames, each computed at most once, so
memory does not grow with the clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from segtween.build import Backend, Processor, build_engine, build_every_frame
from segtween.build import method as method_of
from segtween.datasets import Dataset
from segtween.engine.causal import CausalEngine
from segtween.errors import LabelError, SettingError, check_known
from segtween.evaluation.losses import Losses, LossRun, PlainRun
from segtween.evaluation.report import HEADINGS, Report
from segtween.evaluation.runs import Make, MakeAdaptive, Observe, Run, Table, TruthRun, every_frame
from segtween.evaluation.sharing import Shared
from segtween.evaluation.windows import clips_of_blocks, judging_flow, moments, plan
from segtween.interfaces import Engine, FlowEstimator, Segmenter
from segtween.labels import LabelMap, LabelSet
from segtween.labels import label_map as known_map
from segtween.metrics.bootstrap import Bootstrap
from segtween.metrics.losses import LossCounts
from segtween.metrics.tally import share_tc_classes
from segtween.settings import Adaptive, Settings, change
from segtween.texttable import count
from segtween.types import Method, Progress, is_whole, steps

__all__ = [
    "HEADINGS", "Losses", "Make", "MakeAdaptive", "Report", "evaluate", "evaluate_losses", "evaluate_method",
    "evaluate_methods", "evaluate_modes",
]  # fmt: skip

MEASURES = ("vspw", "boundary")
"""Measures that are made on request: those of VSPW's public scripts (`metrics.vspw`), and agreement along label edges
(`metrics.boundary`)."""


@dataclass(frozen=True)
class EvaluationOptions:
    """How methods are evaluated.

    map_name    the label map from the segmenter's labels to the data set's; None: the known one
    max_frames  of the data set, at most; None: all
    measures    as in `evaluate`, and so is `observe`
    threads     of the processor, 0 being all
    backend     None: the processor. The segmenter of another backend, which keeps the frame, is one of its own
    """

    map_name: str | None = None
    max_frames: int | None = None
    measures: Sequence[str] = ()
    observe: Observe | None = None
    threads: int = 0
    backend: Backend | None = None
    progress: Progress | None = None

    def device(self) -> Backend:
        return self.backend or Processor(self.threads)


USUAL = EvaluationOptions()


def evaluate_method(
    dataset: Dataset,
    *,
    segmenter: Segmenter,
    settings: Settings,
    name: str,
    intervals: Sequence[int],
    adaptive: Sequence[Settings] = (),
    starts: int = 1,
    options: EvaluationOptions = USUAL,
) -> Report:
    """`evaluate` for a preset's settings under the preset's name.

    An adaptive schedule of the settings is a row of its own, and so are those of `adaptive`, settings that differ in
    the schedule alone; `starts` as in `evaluate`.
    """
    reports = evaluate_methods(
        dataset,
        segmenter=segmenter,
        methods={name: settings},
        intervals=intervals,
        adaptive=adaptive,
        starts=starts,
        options=options,
    )
    return reports[name]


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
    observe: Observe | None = None,
) -> Report:
    """Measures `make`'s engines at the intervals, each compared with every frame and every frame fused.

    `adaptive` are engines by the names of their rows, each with one run from the first frame of a clip; with more
    `starts` (dense labels) there are further runs from the second, third, ... frame, pooled with it.
    `label_map` goes from the segmenter's labels to the data set's; None takes the known one. `method` is
    written into the report as it is. A segmenter with `select` gets each frame's name first.
    `measures` are those of `MEASURES` that are wanted besides the usual ones; vspw needs labels on every frame.
    `observe` is called with every scored frame of the method (`runs.Judged`).

    Raises SettingError for intervals and starts that no clip can hold and for unknown measures, LabelError where the
    labels do not fit each other, DatasetError for unreadable files and for frames of another size within a clip.
    """
    wanted, free, dataset = _checked(intervals), adaptive or {}, dataset.limited(max_frames)
    if wanted and flow is None:
        raise SettingError(
            "intervals without a flow estimator", expected="a flow, or no intervals", do="leave the intervals out"
        )
    _check_starts(starts, dataset)
    mapping = _mapping(segmenter.labels, dataset.labels, label_map)
    through = _Pass(dataset, segmenter, mapping, wanted, measures, bootstrap or Bootstrap(), whole=bool(free))
    table, shared = through.table(observe=observe), through.shared
    motion = None if flow is None else shared.motion_of(flow, make(segmenter, None, 0).ops)
    runs = table.runs(make, shared.scores, motion, intervals=wanted, adaptive=free, starts=starts, mapping=mapping)
    cuts = through.walk(runs, progress)
    return through.report(table, method, cuts=cuts, tc_left_out=share_tc_classes(table.tallies()))


def evaluate_modes(
    dataset: Dataset,
    *,
    segmenter: Segmenter,
    modes: Mapping[str, Settings],
    intervals: Sequence[int],
    options: EvaluationOptions = USUAL,
) -> Report:
    """`evaluate_methods` for one method in one or more modes, by name, as one report: that of the first, which has the
    `others`. One mode alone may have an adaptive schedule."""
    reports = evaluate_methods(dataset, segmenter=segmenter, methods=modes, intervals=intervals, options=options)
    first, *others = reports.values()
    return replace(first, others=others)


def evaluate_methods(
    dataset: Dataset,
    *,
    segmenter: Segmenter,
    methods: Mapping[str, Settings],
    intervals: Sequence[int],
    adaptive: Sequence[Settings] = (),
    starts: int = 1,
    against: str | None = None,
    options: EvaluationOptions = USUAL,
) -> dict[str, Report]:
    """`evaluate_method` for several methods by name in one pass: the plain network runs once, and methods with one flow
    estimator share its flows. The reports are those of separate evaluations, but that TC is averaged over the classes
    that all methods give (`Report.tc_left_out` names the others).

    With `against`, one of the names, every result also says how it differs from that method at the same interval, as
    `gain_over_method` with its 95% intervals. Raises what `evaluate` raises.
    """
    device, wanted, dataset = options.device(), _checked(intervals), dataset.limited(options.max_frames)
    _check_starts(starts, dataset)
    mapping = _mapping(segmenter.labels, dataset.labels, _named_map(options.map_name, segmenter, dataset))
    free = {name: [*([own] if own.is_adaptive else []), *adaptive] for name, own in methods.items()}
    through = _Pass(dataset, segmenter, mapping, wanted, options.measures, whole=any(free.values()))
    shared, tables = through.shared, dict[str, Table]()
    runs: list[Run | TruthRun] = []
    for name, chosen in methods.items():
        motion = shared.motion_of(device.flow(chosen, classes=len(segmenter.labels)), device.ops(chosen))
        table = tables[name] = through.table(next(iter(tables.values()), None), observe=options.observe)
        make, rows = _make(chosen, device), {_row_name(one): _make_adaptive(one, device) for one in free[name]}
        runs += table.runs(make, shared.scores, motion, intervals=wanted, adaptive=rows, starts=starts, mapping=mapping)
    cuts = through.walk(runs, options.progress)
    lacking = share_tc_classes([tally for table in tables.values() for tally in table.tallies()])
    other = None if against is None else tables[against]
    named = {
        name: method_of(build_engine(segmenter, chosen, backend=device), name=name) for name, chosen in methods.items()
    }
    return {
        name: through.report(table, named[name], cuts=cuts, tc_left_out=lacking, against=other)
        for name, table in tables.items()
    }


def evaluate_losses(
    dataset: Dataset,
    *,
    segmenter: Segmenter,
    methods: Mapping[str, Settings],
    intervals: Sequence[int],
    distance: int | None = None,
    options: EvaluationOptions = USUAL,
) -> list[Losses]:
    """What each method loses at each interval against the network on every frame, `distance` frames after the key frame
    (None: just before the next one), all phases; in one pass. Pixels are hidden by the data's exact flow and occlusion,
    where they have both. Measures and `observe` of the options are not for losses.

    Raises SettingError for no interval above 0 and for a distance that an interval does not have, and what `evaluate`
    raises.
    """
    backend, dataset = options.device(), dataset.limited(options.max_frames)
    wanted = _checked_distances(intervals, distance)
    mapping = _mapping(segmenter.labels, dataset.labels, _named_map(options.map_name, segmenter, dataset))
    through = _Pass(dataset, segmenter, mapping, wanted)
    shared = through.shared
    engine = build_every_frame(shared.scores, backend=backend)
    plain = PlainRun(engine, dataset, mapping, distances={distance or interval for interval in wanted})
    runs: list[PlainRun | LossRun] = [plain]
    found = []
    for name, chosen in methods.items():
        motion = shared.motion_of(backend.flow(chosen, classes=len(segmenter.labels)), backend.ops(chosen))
        make, named = _make(chosen, backend), method_of(build_engine(segmenter, chosen, backend=backend), name=name)
        for interval in wanted:
            engines = [make(shared.scores, motion.flow, interval) for _ in range(interval + 1)]
            motion.estimator.bidirectional |= not engines[0].is_causal
            counts = LossCounts(through.clips, classes=len(dataset.labels))
            far = distance or interval
            found.append(Losses(named, name, interval, far, counts))
            runs += [
                LossRun(own, plain, counts, mapping, phase=phase, distance=far, motion=motion)
                for phase, own in enumerate(engines)
            ]
    through.walk(runs, options.progress)
    return found


def _make(settings: Settings, backend: Backend) -> Make:
    def make(network: Segmenter, flow: FlowEstimator | None, interval: int) -> Engine:
        if flow is None:
            return build_every_frame(network, backend=backend)
        # At interval 0, where every frame has scores of its own, they do not come late.
        chosen = change(settings, async_keys=None) if interval == 0 else settings
        return build_engine(network, chosen.fixed(interval), backend=backend, flow=flow)

    if settings.delay == "auto":
        raise SettingError(
            "async_keys='auto' in an evaluation",
            expected="a number: when scores arrive would depend on the machine",
            do="give a number of frames",
        )
    return make


def _make_adaptive(settings: Settings, backend: Backend) -> MakeAdaptive:
    def make(network: Segmenter, flow: FlowEstimator) -> CausalEngine:
        engine = build_engine(network, settings, backend=backend, flow=flow)
        assert isinstance(engine, CausalEngine), "an adaptive schedule is causal"
        return engine

    return make


class _Pass:
    """One pass over a data set: all runs go through all frames, side by side. `whole` as in `windows.plan`."""

    def __init__(
        self,
        dataset: Dataset,
        segmenter: Segmenter,
        mapping: LabelMap,
        wanted: Sequence[int],
        measures: Sequence[str] = (),
        bootstrap: Bootstrap | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self._dataset, self._mapping, self._wanted, self._measures = dataset, mapping, wanted, measures
        self._bootstrap = bootstrap or Bootstrap()
        self._windows, self._left_out = plan(dataset, max(wanted, default=0), self._bootstrap, whole=whole)
        _check_measures(measures, dataset)
        self.shared, self.clips = Shared(segmenter), clips_of_blocks(self._windows)

    def table(self, first: Table | None = None, *, observe: Observe | None = None) -> Table:
        """A method's rows; `first` is that of another method, whose runs fill what both have in common."""
        with_vspw = "vspw" in self._measures
        return Table(self._dataset, self.clips, shared=first, with_vspw=with_vspw, observe=observe)

    def walk(self, runs: Sequence[Run | TruthRun | PlainRun | LossRun], progress: Progress | None) -> int:
        """All runs through all frames. Returns how many scene cuts there were, each counted once where windows
        overlap."""
        cuts, step = set[Path](), steps(progress, sum(len(window.blocks) for window in self._windows))
        for window in self._windows:
            for run in runs:
                run.begin(window)
            self.shared.begin()
            for moment in moments(self._dataset, window, self.shared, measures=self._measures):
                self.shared.next(moment.rgb)
                for run in runs:
                    run.step(moment)
                if moment.is_cut:
                    cuts.add(window.clip.frames[window.first + moment.offset].image_path)
                step()
            for run in runs:
                run.end()
        return len(cuts)

    def report(
        self, table: Table, method: Method, *, cuts: int, tc_left_out: list[str], against: Table | None = None
    ) -> Report:
        dataset, settings = self._dataset, self._bootstrap
        return Report(
            method=method,
            dataset=dataset.name,
            split=dataset.split,
            title=dataset.title,
            protocol="dense" if dataset.is_dense else "sparse",
            label_map=self._mapping.name,
            clips=len(dataset.clips),
            frames=table.plain.scored,
            truth={**table.truth.temporal_figures(), **table.truth.vspw_figures()} if dataset.is_dense else None,
            every_frame=every_frame(table.plain, None, settings),
            every_frame_fused=None if table.fused is None else every_frame(table.fused, table.plain, settings),
            results=[
                *(table.result(interval, settings, against=against) for interval in self._wanted),
                *(table.adaptive_result(name, settings) for name in table.adaptive),
            ],
            tc_flow=judging_flow(dataset),
            cuts=cuts,
            bootstrap={
                "clips": len(set(self.clips.tolist())),
                "blocks": len(self.clips),
                "block_frames": settings.block_frames if dataset.is_dense else 1,
                "resamples": settings.resamples,
                "level": settings.level,
                "seed": settings.seed,
            },
            left_out=self._left_out,
            tc_left_out=tc_left_out,
        )


def _check_measures(measures: Sequence[str], dataset: Dataset) -> None:
    for name in measures:
        check_known(f"measure {name!r}", name, MEASURES)
    if "vspw" in measures and not dataset.is_dense:
        raise SettingError(
            f"measures 'vspw' of {dataset.title}, where few frames are labelled",
            expected="a data set with labels on every frame, as VSPW has",
            do="leave the measure out",
        )


def _row_name(settings: Settings) -> str:
    schedule = settings.mode.schedule
    assert isinstance(schedule, Adaptive), "rows are named by what adaptive schedules may spend"
    if schedule.target_ms is not None:
        return f"adaptive, {schedule.target_ms:g} ms"
    budget = 100 / (schedule.interval + 1) if schedule.budget is None else schedule.budget
    return f"adaptive, {budget:.3g} per 100"


def _checked(intervals: Sequence[int]) -> list[int]:
    wrong = [i for i in intervals if not is_whole(i, least=0)]
    if wrong:
        raise SettingError(f"interval {wrong[0]}", expected="whole numbers, 0 or more", do="give intervals=[0, 4, 9]")
    return sorted(set(intervals))


def _check_starts(starts: int, dataset: Dataset) -> None:
    if starts != 1 and not dataset.is_dense:
        raise SettingError(
            f"{starts} starts in {dataset.title}, where few frames are labelled",
            expected="1: a run leads up to each label",
            do="leave starts= out",
        )
    longest = max(len(clip) for clip in dataset.clips)
    if not 1 <= starts <= longest:
        raise SettingError(
            f"{starts} starts",
            expected=f"1 to {longest}, as many as the longest clip has frames",
            do="give starts=1 for one run from the first frame on",
        )


def _checked_distances(intervals: Sequence[int], distance: int | None) -> list[int]:
    """The intervals, in order."""
    wanted = sorted(set(intervals))
    if not wanted or wanted[0] < 1:
        raise SettingError(
            f"intervals {wanted}", expected="one or more, above 0", do="give intervals=[4]: at 0 nothing is propagated"
        )
    if distance is not None and not 1 <= distance <= wanted[0]:
        raise SettingError(
            f"distance {distance} at interval {wanted[0]}",
            expected=f"1 to {count(wanted[0], 'frame')} since the key frame",
            do="choose another distance or longer intervals",
        )
    return wanted


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
