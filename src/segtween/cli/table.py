"""`segtween table`: accuracy and speed in one table; what each part of a method brings; how well parts do alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segtween.cli import options
from segtween.cli.grouping import Without, grouped
from segtween.cli.guard import guarded
from segtween.cli.options import DataOptions, MethodOptions, NetworkOptions
from segtween.settings import DEFAULT_PRESET

if TYPE_CHECKING:
    from segtween.reports.tables.study import Study
    from segtween.settings import Settings

app = typer.Typer(help="Tables of accuracy and speed, as Markdown, CSV, JSON and a plot.", no_args_is_help=True)

Presets = Annotated[str, typer.Option("--presets", metavar="LIST", help="Presets of the method, with commas.")]
Repeats = Annotated[int, typer.Option("--repeats", metavar="N", help="Periods timed per interval.")]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="Write the table there: .md, .csv and .json.")
]
Plot = Annotated[bool, typer.Option("--plot", help="Draw accuracy against speed too: .png and .svg; needs [figures].")]


@app.callback()
def table() -> None:
    pass


@app.command("intervals")
@guarded
@grouped
def intervals(
    *,
    data: DataOptions,
    network: NetworkOptions,
    presets: Presets = DEFAULT_PRESET,
    method: Annotated[MethodOptions, Without("preset"), options.BY_INTERVAL],
    wanted: Annotated[str, typer.Option("--intervals", metavar="LIST", help="Intervals, with commas.")] = "0,1,2,3,4",
    out: Out = None,
    plot: Plot = False,
    overwrite: options.Overwrite = False,
    repeats: Repeats = 7,
) -> None:
    """Accuracy, speed and steadiness over intervals, at one scale.

    Example:

        segtween table intervals --dataset camvid --root CamVid --presets blend,warp -o tables/ --plot
    """
    from segtween.reports.tables.speed import intervals_table

    chosen = options.numbers(wanted, option="--intervals")
    make = partial(intervals_table, intervals=chosen, scale=network.scale)
    _speed("intervals", make, data, network, method.of_presets(options.words(presets) or []), repeats, out, plot=plot,
           overwrite=overwrite)  # fmt: skip


@app.command("scales")
@guarded
@grouped
def scales(
    *,
    data: DataOptions,
    network: Annotated[NetworkOptions, Without("scale", "scores")],
    presets: Presets = DEFAULT_PRESET,
    method: Annotated[MethodOptions, Without("preset"), options.BY_INTERVAL],
    wanted: Annotated[str, typer.Option("--scales", metavar="LIST", help="Scales, with commas.")] = "0.5,0.75,1",
    interval: Annotated[int, typer.Option("--interval", "-i", metavar="I", help="Frames between key frames.")] = 2,
    out: Out = None,
    plot: Plot = False,
    overwrite: options.Overwrite = False,
    repeats: Repeats = 7,
) -> None:
    """Accuracy, speed and steadiness at one interval, with frames shown to the network at several scales.

    Example:

        segtween table scales --dataset camvid --root CamVid --interval 2 -o tables/ --plot
    """
    from segtween.reports.tables.speed import scales_table

    make = partial(scales_table, scales=options.scales(wanted), interval=interval)
    _speed("scales", make, data, network, method.of_presets(options.words(presets) or []), repeats, out, plot=plot,
           overwrite=overwrite)  # fmt: skip


@app.command("methods")
@guarded
@grouped
def methods(
    *,
    data: DataOptions,
    network: NetworkOptions,
    presets: Annotated[
        str | None, typer.Option("--presets", metavar="LIST", help="Presets of the method, with commas (all).")
    ] = None,
    method: Annotated[MethodOptions, Without("preset"), options.BY_INTERVAL],
    wanted: Annotated[str, typer.Option("--intervals", metavar="LIST", help="Intervals above 0, with commas.")] = "4",
    offline: Annotated[bool, typer.Option("--offline/--no-offline", help="With a row of the offline mode.")] = True,
    out: Out = None,
    plot: Plot = False,
    overwrite: options.Overwrite = False,
    repeats: Repeats = 7,
) -> None:
    """Accuracy, steadiness and speed of everything there is to choose: every frame, every frame fused, the presets.

    Examples:

        segtween table methods --dataset camvid --root street/ --intervals 4,9 -o tables/ --plot

        segtween table methods --dataset camvid --root street/ --scores labels
    """
    from segtween.reports.tables.methods import methods_table
    from segtween.settings import PRESETS

    default = MethodOptions.preset
    names = options.words(presets) or [*(name for name in PRESETS if name != default), default]
    if default not in names:
        default = names[-1]
    chosen = method.of_presets(names)
    _compared(
        "methods", methods_table, data, network, repeats, out, plot=plot, overwrite=overwrite,
        presets=chosen, default=list(chosen)[names.index(default)], offline=offline,
        unchanged={key: (name, PRESETS[name]) for key, name in zip(chosen, names, strict=True)},
        intervals=options.numbers(wanted, option="--intervals"),
    )  # fmt: skip


@app.command("ablation")
@guarded
@grouped
def ablation(
    *,
    data: DataOptions,
    network: NetworkOptions,
    method: Annotated[MethodOptions, options.BY_INTERVAL],
    interval: Annotated[int, typer.Option("--interval", "-i", metavar="I", help="Frames between key frames.")] = 4,
    out: Out = None,
    overwrite: options.Overwrite = False,
    repeats: Repeats = 7,
) -> None:
    """What each part of a preset brings: each is switched off, or made simpler, one at a time.

    Example:

        segtween table ablation --dataset camvid --root street/ -o tables/
    """
    from segtween.reports.tables.ablation import ablation_table

    _compared(
        "ablation", ablation_table, data, network, repeats, out, plot=False, overwrite=overwrite,
        settings=method.settings(), name=method.name, interval=interval,
    )  # fmt: skip


@app.command("budgets")
@guarded
@grouped
def budgets(
    *,
    data: DataOptions,
    network: NetworkOptions,
    presets: Presets = DEFAULT_PRESET,
    method: Annotated[MethodOptions, Without("preset"), options.BY_INTERVAL],
    wanted: Annotated[
        str, typer.Option("--intervals", metavar="LIST", help="Intervals, and as many runs for the adaptive schedule.")
    ] = "1,2,4,9,14",
    starts: Annotated[
        int, typer.Option("--starts", metavar="N", help="Run the adaptive schedule from each of the first N frames.")
    ] = 1,
    out: Out = None,
    plot: Plot = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Accuracy against network runs: a fixed interval beside an adaptive schedule with as many runs.

    Example:

        segtween table budgets --dataset camvid --root street/ --presets composed -o tables/ --plot
    """
    from segtween.cli.screen import progress_bar
    from segtween.reports.tables.budgets import budgets_table

    _check_out("budgets", out, plot=plot, overwrite=overwrite)
    with progress_bar("budgets") as progress:
        opened = data.open(network_labels=network.labels)
        study = budgets_table(
            opened,
            network.open(data=opened),
            presets=method.of_presets(options.words(presets) or []),
            intervals=options.numbers(wanted, option="--intervals"),
            starts=starts,
            map_name=data.label_map,
            max_frames=data.max_frames,
            threads=network.threads,
            command=options.command_line(),
            progress=progress,
        )
    _finish(study, out, plot=plot)


@app.command("delays")
@guarded
@grouped
def delays(
    *,
    data: DataOptions,
    network: NetworkOptions,
    method: Annotated[MethodOptions, Without("late"), options.BY_INTERVAL],
    wanted: Annotated[
        str, typer.Option("--delays", metavar="LIST", help="Frames that scores come late, at most interval + 1.")
    ] = "0,1,2,4,5",
    interval: Annotated[int, typer.Option("--interval", "-i", metavar="I", help="Frames between key frames.")] = 4,
    out: Out = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Accuracy against delay: what late keys cost at one interval, for scores that arrive 0, 1, ... frames late.

    Example:

        segtween table delays --dataset camvid --root CamVid --interval 4 --delays 0,1,2,4,5
    """
    from segtween.cli.screen import progress_bar
    from segtween.reports.tables.delays import delays_table

    _check_out("delays", out, plot=False, overwrite=overwrite)
    opened = data.open(network_labels=network.labels)
    with progress_bar("delays") as progress:
        study = delays_table(
            opened,
            network.open(data=opened),
            settings=method.settings(),
            name=method.name,
            delays=options.numbers(wanted, option="--delays"),
            interval=interval,
            map_name=data.label_map,
            max_frames=data.max_frames,
            threads=network.threads,
            command=options.command_line(),
            progress=progress,
        )
    _finish(study, out, plot=False)


@app.command("occlusion")
@guarded
@grouped
def occlusion(
    *,
    seeds: Annotated[str, typer.Option(metavar="LIST", help="Drives through the synthetic street.")] = "1,2,3,4",
    frames: Annotated[int, typer.Option(metavar="N", help="Frames per drive.")] = 20,
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the frames.")] = "480x360",
    method: Annotated[MethodOptions, Without("refine", "edge"), options.BY_INTERVAL],
    sweep: Annotated[bool, typer.Option("--sweep", help="Try other thresholds as well.")] = False,
    out: Out = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Precision, recall and F1 of the occlusion estimates, against the synthetic street's exact occlusion.

    Example:

        segtween table occlusion --seeds 1,2,3,4
    """
    from segtween.cli.screen import progress_bar
    from segtween.reports.tables.occlusion import occlusion_table
    from segtween.reports.tables.study import FORMS, check_targets

    if out is not None:
        check_targets(out, [f"occlusion{form}" for form in FORMS], overwrite=overwrite)
    with progress_bar("street") as progress:
        study = occlusion_table(
            seeds=options.numbers(seeds, option="--seeds"),
            frames=frames,
            size_hw=options.size(size),
            settings=method.settings(),
            sweep=sweep,
            command=options.command_line(),
            progress=progress,
        )
    _finish(study, out, plot=False)


@app.command("propagation")
@guarded
@grouped
def propagation(
    *,
    data: Annotated[DataOptions, Without("label_map")],
    every: Annotated[int, typer.Option("--every", metavar="N", help="One labelled frame in N.")] = 30,
    flow: Annotated[str, typer.Option("--flow", metavar="NAME|FILE", help="Optical flow: dis, zero, or a network.")] = (
        "dis"
    ),
    threads: options.Threads = 0,
    out: Out = None,
    overwrite: options.Overwrite = False,
) -> None:
    """What `segtween propagate` makes of true labels of one frame in N, beside copying and carrying from one side.

    Example:

        segtween table propagation --dataset camvid --root CamVid --every 30
    """
    from segtween.cli.screen import progress_bar
    from segtween.reports.tables.propagation import propagation_table
    from segtween.reports.tables.study import FORMS, check_targets
    from segtween.settings import Settings

    if out is not None:
        check_targets(out, [f"propagation{form}" for form in FORMS], overwrite=overwrite)
    with progress_bar("propagation") as progress:
        study = propagation_table(
            data.open(network_labels=None),
            every=every,
            settings=Settings(flow=flow, offline=True),
            max_frames=data.max_frames,
            threads=threads,
            command=options.command_line(),
            progress=progress,
        )
    _finish(study, out, plot=False)


def _speed(
    name: str,
    make: Callable[..., Study],
    data: DataOptions,
    network: NetworkOptions,
    presets: dict[str, Settings],
    repeats: int,
    out: Path | None,
    *,
    plot: bool,
    overwrite: bool,
) -> None:
    from segtween.cli.screen import progress_bar

    _check_out(name, out, plot=plot, overwrite=overwrite)
    with progress_bar(name) as progress:
        opened = data.open(network_labels=network.labels)
        study = make(
            opened,
            lambda scale: network.open(scale=scale, data=opened),
            presets=presets,
            map_name=data.label_map,
            max_frames=data.max_frames,
            repeats=repeats,
            threads=network.threads,
            command=options.command_line(),
            progress=progress,
        )
    _finish(study, out, plot=plot)


def _compared(
    table: str,
    make: Callable[..., Study],
    data: DataOptions,
    network: NetworkOptions,
    repeats: int,
    out: Path | None,
    *,
    plot: bool,
    overwrite: bool,
    **chosen: Any,
) -> None:
    from segtween.cli.screen import progress_bar

    _check_out(table, out, plot=plot, overwrite=overwrite)
    opened = data.open(network_labels=network.labels)
    with progress_bar(table) as progress:
        study = make(
            opened,
            network.open(data=opened),
            **chosen,
            map_name=data.label_map,
            max_frames=data.max_frames,
            repeats=repeats,
            threads=network.threads,
            command=options.command_line(),
            progress=progress,
        )
    _finish(study, out, plot=plot)


def _check_out(name: str, out: Path | None, *, plot: bool, overwrite: bool) -> None:
    """Whether the files can be written: said before anything is measured."""
    from segtween.errors import SettingError
    from segtween.reports.tables.plot import FORMATS, require_matplotlib
    from segtween.reports.tables.study import FORMS, check_targets

    if plot:
        require_matplotlib()
        if out is None:
            raise SettingError("--plot without --out", expected="a folder for the plot", do="give --out tables/")
    if out is not None:
        forms = [*FORMS, *(f".{kind}" for kind in FORMATS if plot)]
        check_targets(out, [f"{name}{form}" for form in forms], overwrite=overwrite)


def _finish(study: Study, out: Path | None, *, plot: bool) -> None:
    from segtween.cli.screen import show

    show(study.screen(), *study.notes)
    if out is None:
        return
    written: Sequence[Path] = study.save(out)
    if plot:
        from segtween.reports.tables.budgets import plot_budgets
        from segtween.reports.tables.methods import plot_methods
        from segtween.reports.tables.plot import plot as plot_speeds

        draw = {"budgets": plot_budgets, "methods": plot_methods}.get(study.name, plot_speeds)
        written = [*written, *draw(study, out)]
    show("written: " + ", ".join(str(path) for path in written))
