"""`segtween table`: accuracy and speed in one table; ablations; how well components do alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import typer

from segtween.cli import options, shared, texts
from segtween.cli.commands import Group
from segtween.cli.grouping import Rare, Without
from segtween.cli.losses import IntervalsAboveZero, WithOffline, losses
from segtween.cli.options import DataOptions, MethodOptions, NetworkOptions
from segtween.cli.outputs import NoPlot, OutputOptions, Presets, measuring
from segtween.settings import DEFAULT_PRESET

app = Group(help="Tables of accuracy and speed, as Markdown, CSV, JSON and a plot.")

AtInterval = Annotated[
    int,
    typer.Option(
        "--interval",
        "-i",
        metavar="I",
        rich_help_panel="Method",
        help="Frames between key frames; 4 for every 5th frame.",
    ),
]
Data = Annotated[DataOptions, Rare("dataset_labels", "label_map")]


@dataclass(frozen=True)
class TimingOptions:
    """What is timed, and how often."""

    PANEL: ClassVar[str] = "Timing"

    repeats: Annotated[int, typer.Option(metavar="N", help="Periods timed per interval.")] = 7
    clip: shared.Clip = "street"


@dataclass(frozen=True)
class IntervalsOptions(shared.ModeOptions):
    intervals: Annotated[str, typer.Option(metavar="LIST", help="Intervals, with commas.")] = "0,1,2,3,4"


@dataclass(frozen=True)
class ScalesOptions(shared.ModeOptions):
    scales: Annotated[str, typer.Option(metavar="LIST", rich_help_panel="Network", help="Scales, with commas.")] = (
        "0.5,0.75,1"
    )
    interval: AtInterval = 2


@dataclass(frozen=True)
class MethodsOptions:
    PANEL: ClassVar[str] = "Method"

    intervals: IntervalsAboveZero = "4"
    offline: WithOffline = True
    measures: shared.Measures = None


Network = Annotated[NetworkOptions, Rare(*options.SELDOM_RUNTIME)]
_CHANGES = Rare("refine", "edge", "match", "flow_quality", "weights", "async_keys")
Method = Annotated[MethodOptions, options.BY_INTERVAL, _CHANGES]
OfPresets = Annotated[MethodOptions, Without("preset"), options.BY_INTERVAL, _CHANGES]


@app.command("intervals")
def intervals(
    *,
    data: Data,
    network: Network,
    presets: Presets = DEFAULT_PRESET,
    method: OfPresets,
    rows: IntervalsOptions,
    timing: TimingOptions,
    output: OutputOptions,
) -> None:
    """Accuracy, speed and temporal consistency over intervals, at one scale.

    Online and offline, unless one of them is asked for.

    Example:

        segtween table intervals --dataset camvid --root CamVid --presets blend,warp -o tables/ --plot
    """
    from segtween.reports.tables.speed import intervals_table
    from segtween.run.modes import each_mode

    chosen = texts.numbers(rows.intervals, option="--intervals")
    with measuring("intervals", output, data, network, repeats=timing.repeats, clip=timing.clip) as conditions:
        study = intervals_table(
            conditions,
            lambda scale: network.open(scale=scale, data=conditions.dataset),
            presets=each_mode(method.of_presets(texts.words(presets) or []), rows.asked()),
            intervals=chosen,
            scale=network.chosen_scale(),
        )
    output.finish(study)


@app.command("scales")
def scales(
    *,
    data: Data,
    network: Annotated[NetworkOptions, Without("scale", "scores"), Rare(*options.SELDOM_RUNTIME)],
    presets: Presets = DEFAULT_PRESET,
    method: OfPresets,
    rows: ScalesOptions,
    timing: TimingOptions,
    output: OutputOptions,
) -> None:
    """Accuracy, speed and temporal consistency at one interval, with frames shown to the network at several scales.

    Online and offline, unless one of them is asked for.

    Example:

        segtween table scales --dataset camvid --root CamVid --interval 2 -o tables/ --plot
    """
    from segtween.reports.tables.speed import scales_table
    from segtween.run.modes import each_mode

    chosen = texts.scales(rows.scales)
    with measuring("scales", output, data, network, repeats=timing.repeats, clip=timing.clip) as conditions:
        study = scales_table(
            conditions,
            lambda scale: network.open(scale=scale, data=conditions.dataset),
            presets=each_mode(method.of_presets(texts.words(presets) or []), rows.asked()),
            scales=chosen,
            interval=rows.interval,
        )
    output.finish(study)


@app.command("methods")
def methods(
    *,
    data: Data,
    network: Network,
    presets: Annotated[
        str | None,
        typer.Option(metavar="LIST", rich_help_panel="Method", help="Presets of the method, with commas (all)."),
    ] = None,
    method: OfPresets,
    rows: MethodsOptions,
    timing: TimingOptions,
    output: OutputOptions,
) -> None:
    """Accuracy, temporal consistency and speed of everything there is to choose: every frame, the presets, offline.

    Examples:

        segtween table methods --dataset camvid --root street/ --intervals 4,9 -o tables/ --plot

        segtween table methods --dataset camvid --root street/ --scores labels
    """
    from segtween.reports.tables.methods import methods_table
    from segtween.settings import PRESETS

    default, chosen = MethodOptions.preset, texts.numbers(rows.intervals, option="--intervals")
    names = texts.words(presets) or [*(name for name in PRESETS if name != default), default]
    default = default if default in names else names[-1]
    changed = method.of_presets(names)
    with measuring(
        "methods", output, data, network, repeats=timing.repeats, clip=timing.clip, measures=rows.measures
    ) as conditions:
        study = methods_table(
            conditions,
            network.open(data=conditions.dataset),
            presets=changed,
            default=list(changed)[names.index(default)],
            unchanged={key: (name, PRESETS[name]) for key, name in zip(changed, names, strict=True)},
            intervals=chosen,
            offline=rows.offline,
        )
    output.finish(study)


@app.command("ablation")
def ablation(
    *,
    data: Data,
    network: Network,
    method: Method,
    interval: AtInterval = 4,
    timing: TimingOptions,
    output: NoPlot,
) -> None:
    """What each part of a preset brings: each is switched off, or made simpler, one at a time.

    Example:

        segtween table ablation --dataset camvid --root street/ -o tables/
    """
    from segtween.reports.tables.ablation import ablation_table

    settings = method.settings()
    with measuring("ablation", output, data, network, repeats=timing.repeats, clip=timing.clip) as conditions:
        segmenter = network.open(data=conditions.dataset)
        study = ablation_table(conditions, segmenter, settings=settings, name=method.name, interval=interval)
    output.finish(study)


@app.command("budgets")
def budgets(
    *,
    data: Data,
    network: Network,
    presets: Presets = DEFAULT_PRESET,
    method: OfPresets,
    wanted: Annotated[
        str,
        typer.Option(
            "--intervals",
            metavar="LIST",
            rich_help_panel="Method",
            help="Intervals, and as many runs for the adaptive schedule.",
        ),
    ] = "1,2,4,9,14",
    starts: Annotated[
        int,
        typer.Option(
            metavar="N", rich_help_panel="Method", help="Run the adaptive schedule from each of the first N frames."
        ),
    ] = 1,
    output: OutputOptions,
) -> None:
    """Accuracy against network runs: a fixed interval and an adaptive schedule with as many runs.

    Example:

        segtween table budgets --dataset camvid --root street/ --presets composed -o tables/ --plot
    """
    from segtween.reports.tables.budgets import budgets_table

    chosen = texts.numbers(wanted, option="--intervals")
    with measuring("budgets", output, data, network) as conditions:
        study = budgets_table(
            conditions,
            network.open(data=conditions.dataset),
            presets=method.of_presets(texts.words(presets) or []),
            intervals=chosen,
            starts=starts,
        )
    output.finish(study)


@app.command("delays")
def delays(
    *,
    data: Data,
    network: Network,
    method: Annotated[
        MethodOptions,
        Without("async_keys"),
        options.BY_INTERVAL,
        Rare("refine", "edge", "match", "flow_quality", "weights"),
    ],
    wanted: Annotated[
        str,
        typer.Option(
            "--delays",
            metavar="LIST",
            rich_help_panel="Method",
            help="Frames that scores come late, at most interval + 1.",
        ),
    ] = "0,1,2,4,5",
    interval: AtInterval = 4,
    output: NoPlot,
) -> None:
    """Accuracy against delay: what asynchronous key frames cost, for scores that arrive 0, 1, ... frames late.

    Example:

        segtween table delays --dataset camvid --root CamVid --interval 4 --delays 0,1,2,4,5
    """
    from segtween.reports.tables.delays import delays_table

    settings, chosen = method.settings(), texts.numbers(wanted, option="--delays")
    with measuring("delays", output, data, network) as conditions:
        segmenter = network.open(data=conditions.dataset)
        study = delays_table(
            conditions, segmenter, settings=settings, name=method.name, delays=chosen, interval=interval
        )
    output.finish(study)


@app.command("codec")
def codec(
    *,
    data: Data,
    network: Network,
    method: Annotated[
        MethodOptions,
        Without("async_keys", "flow"),
        options.BY_INTERVAL,
        Rare("refine", "edge", "match", "flow_quality", "weights"),
    ],
    coding: Annotated[
        str,
        typer.Option(metavar="NAME", rich_help_panel="Data", help="camera: no B pictures; file: libx264's default."),
    ] = "camera",
    crf: Annotated[int, typer.Option(metavar="N", rich_help_panel="Data", help="Constant rate factor, 0 to 51.")] = 23,
    wanted: IntervalsAboveZero = "4,9",
    output: NoPlot,
) -> None:
    """Flow from a video's motion vectors against estimated flow, on clips that are coded as H.264 for it.

    Example:

        segtween table codec --dataset camvid --root CamVid --coding camera
    """
    from segtween.reports.tables.codec import codec_table

    settings, chosen = method.settings(), texts.numbers(wanted, option="--intervals")
    with measuring("codec", output, data, network) as conditions:
        segmenter = network.open(data=conditions.dataset)
        study = codec_table(conditions, segmenter, settings=settings, coding=coding, crf=crf, intervals=chosen)
    output.finish(study)


@app.command("occlusion")
def occlusion(
    *,
    seeds: Annotated[
        str, typer.Option(rich_help_panel="Frames", metavar="LIST", help="Drives through the synthetic street.")
    ] = "1,2,3,4",
    frames: Annotated[int, typer.Option(rich_help_panel="Frames", metavar="N", help="Frames per drive.")] = 20,
    size: Annotated[
        str, typer.Option(rich_help_panel="Frames", metavar="WIDTHxHEIGHT", help="Size of the frames.")
    ] = "480x360",
    method: Annotated[
        MethodOptions,
        Without("refine", "edge", "match", "async_keys", "key_tta"),
        options.BY_INTERVAL,
        Rare("flow_quality"),
    ],
    sweep: Annotated[
        bool, typer.Option("--sweep", rich_help_panel="Method", help="Try other thresholds as well.")
    ] = False,
    output: NoPlot,
) -> None:
    """Precision, recall and F1 of the occlusion estimates, against the synthetic street's exact occlusion.

    Example:

        segtween table occlusion --seeds 1,2,3,4
    """
    from segtween.cli.screen import progress_bar
    from segtween.reports.tables.occlusion import occlusion_table

    output.check("occlusion")
    with progress_bar("street") as progress:
        study = occlusion_table(
            seeds=texts.numbers(seeds, option="--seeds"),
            frames=frames,
            size_hw=texts.size(size),
            settings=method.settings(),
            sweep=sweep,
            command=texts.command_line(),
            progress=progress,
        )
    output.finish(study)


@app.command("propagation")
def propagation(
    *,
    data: Annotated[DataOptions, Without("label_map"), Rare("dataset_labels")],
    every: Annotated[int, typer.Option(metavar="N", rich_help_panel="Data", help="One labelled frame in N.")] = 30,
    flow: Annotated[
        str, typer.Option(metavar="NAME|FILE", rich_help_panel="Method", help="Optical flow: dis, zero, or a network.")
    ] = ("dis"),
    threads: shared.Threads = 0,
    output: NoPlot,
) -> None:
    """What `segtween propagate` makes of true labels of one frame in N, against copying and one-sided propagation.

    Example:

        segtween table propagation --dataset camvid --root CamVid --every 30
    """
    from segtween.reports.tables.propagation import propagation_table
    from segtween.settings import Bidirectional, Settings, change

    with measuring("propagation", output, data, NetworkOptions(threads=threads)) as conditions:
        study = propagation_table(conditions, every=every, settings=change(Settings(Bidirectional()), flow=flow))
    output.finish(study)


app.command("losses")(losses)
