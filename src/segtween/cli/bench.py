"""`segtween bench`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segtween.cli import options
from segtween.cli.grouping import Without, grouped
from segtween.cli.guard import guarded
from segtween.cli.options import MethodOptions, NetworkOptions
from segtween.errors import SettingError

if TYPE_CHECKING:
    from segtween.device.backend import Device
    from segtween.interfaces import Segmenter
    from segtween.settings import Settings
    from segtween.types import SizeHW


@guarded
@grouped
def bench(
    *,
    network: Annotated[NetworkOptions, Without("scores")],
    method: Annotated[MethodOptions, options.BY_INTERVAL],
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the frames.")] = "1280x720",
    intervals: Annotated[str, typer.Option(metavar="LIST", help="Intervals, with commas; 0 is always run.")] = "0,4",
    repeats: Annotated[
        int, typer.Option(metavar="N", help="Periods (key frame and the frames after it) timed per interval.")
    ] = 7,
    against: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Time beside it, in the same run: reference, reference-flownets, torch, torch-compile, onnxruntime, "
            "openvino, openvino-bfloat16, openvino-int8, repeat.",
        ),
    ] = None,
    accuracy: Annotated[
        str | None,
        typer.Option(metavar="FILES", help="Accuracy beside speed: files of evaluate --json, with commas."),
    ] = None,
    floor: Annotated[
        bool, typer.Option("--floor", help="How far each stage is from what memory and processor allow, measured here.")
    ] = False,
    start: Annotated[
        bool, typer.Option("--start", help="Only the time from a process's start to its first labels.")
    ] = False,
    sweep: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Only how cost grows with: pixels, classes, interval, length (the last interval)."
        ),
    ] = None,
    sweep_frames: Annotated[int, typer.Option(metavar="N", help="The longest video of --sweep length.")] = 10_000,
    plot: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Draw the curves of --sweep there (extra [figures]).")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            metavar="FPS",
            help="Only this: frames come at this rate (at the last interval); how soon their labels are there.",
        ),
    ] = None,
    seconds: Annotated[float, typer.Option(metavar="S", help="How long frames come, with --rate.")] = 60.0,
    streams: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Only this: N streams with one network against N separate runs (at the last interval); with --rate, N "
            "cameras at that rate.",
        ),
    ] = None,
    device: options.OnDevice = "cpu",
    without: Annotated[
        str | None,
        typer.Option(metavar="LIST", help="With --device: leave out half, kernels, graphs, compiled, with commas."),
    ] = None,
    json_file: options.Json = None,
) -> None:
    """Measure speed: frames in memory, label arrays out, one frame after the other, with the time of each stage.

    Example:

        segtween bench --model swiftnet-r18 --size 2048x1024 --scale 0.75 --intervals 0,1,2,3,4 --json bench.json

        segtween bench --size 2048x1024 --intervals 0,4 --precision int8 --against reference,torch,onnxruntime,repeat

        segtween bench --model swiftnet-r18 --scale 2 --late auto --rate 25 --seconds 60

        segtween bench --streams 4

        segtween bench --streams 4 --late auto --rate 10

        segtween bench --device cuda --model swiftnet-r18 --size 2048x1024 --scale 0.75 --against reference,torch
    """
    from segtween.bench import bench as measure
    from segtween.bench.accuracy import with_accuracy
    from segtween.cli.screen import progress_bar, show
    from segtween.run.single import write_json

    size_hw = options.size(size)
    wanted = options.numbers(intervals, option="--intervals")
    settings = method.settings()
    there = options.device(device, threads=network.threads, without=options.words(without) or ())
    if there is not None:
        alone = {"--accuracy": accuracy, "--floor": floor, "--start": start, "--sweep": sweep, "--rate": rate}
        refuse_beside_device({**alone, "--streams": streams})
        measured = {"name": method.name, "size_hw": size_hw, "repeats": repeats, "intervals": wanted}
        measured |= {"against": options.words(against) or ()}
        show_device(there, network, settings, measured, json_file=json_file)
        return
    if without is not None:
        raise SettingError(f"--without {without} on the processor", expected="--device cuda", do="leave it out")
    if start:
        show_start(network, method, size_hw=size_hw, repeats=repeats, json_file=json_file)
        return
    if streams is not None and rate is None:
        measured = {"name": method.name, "size_hw": size_hw, "repeats": repeats}
        show_streams(network, settings.at(wanted[-1]), measured, count=streams, json_file=json_file)
        return
    segmenter = network.open(background=bool(settings.late))
    if rate is not None:
        measured = {"name": method.name, "size_hw": size_hw, "threads": network.threads}
        measured |= {"rate": rate, "seconds": seconds}
        show_pace(segmenter, settings.at(wanted[-1]), measured, streams=streams, json_file=json_file)
        return
    if sweep is not None:
        shown = settings.at(wanted[-1])
        measured = {"name": method.name, "size_hw": size_hw, "repeats": repeats, "threads": network.threads}
        show_sweeps(
            options.words(sweep) or [], segmenter, shown, measured, frames=sweep_frames, plot=plot, json_file=json_file
        )
        return
    with progress_bar("bench") as progress:
        report = measure(
            segmenter,
            settings=settings,
            name=method.name,
            size_hw=size_hw,
            intervals=wanted,
            repeats=repeats,
            threads=network.threads,
            against=options.words(against) or (),
            progress=progress,
        )
    if accuracy is not None:
        report = with_accuracy(report, options.words(accuracy) or ())
    lowest = None
    if floor:
        from segtween.bench.roofline import floor as floor_of
        from segtween.bench.roofline import measure_machine

        lowest = floor_of(report, segmenter, settings=settings, machine=measure_machine(threads=network.threads))
    if json_file is not None:
        write_json({**report.to_json(), **({} if lowest is None else {"floor": lowest.to_json()})}, json_file)
    show(*report.tables(), *([] if lowest is None else [lowest.table()]))


def refuse_beside_device(asked: dict[str, Any]) -> None:
    """SettingError for options that are measured on the processor only."""
    for option, value in asked.items():
        if value:
            raise SettingError(
                f"{option} with --device", expected="--size, --intervals, --repeats, --against", do="leave one out"
            )


def show_device(
    device: Device, network: NetworkOptions, settings: Settings, measured: dict[str, Any], *, json_file: Path | None
) -> None:
    from segtween.bench.on_device import bench_device
    from segtween.cli.screen import progress_bar, show
    from segtween.run.single import write_json

    segmenter = network.open(device=device)
    with progress_bar("bench") as progress:
        report = bench_device(segmenter, device=device, settings=settings, progress=progress, **measured)
    if json_file is not None:
        write_json(report.to_json(), json_file)
    show(*report.tables())


def show_start(
    network: NetworkOptions, method: MethodOptions, *, size_hw: SizeHW, repeats: int, json_file: Path | None
) -> None:
    from segtween.bench.cold_start import Started, measure_start
    from segtween.cli.screen import show
    from segtween.run.single import write_json

    names = ("runtime", "provider", "precision", "scale", "labels")
    started = Started(
        model=network.model,
        options={name: getattr(network, name) for name in names},
        name=method.name,
        settings=method.settings(),
        size_hw=size_hw,
        threads=network.threads,
    )
    report = measure_start(started, repeats=repeats)
    if json_file is not None:
        write_json(report.to_json(), json_file)
    show(report.table())


def show_pace(
    segmenter: Segmenter,
    settings: Settings,
    measured: dict[str, Any],
    *,
    streams: int | None,
    json_file: Path | None,
) -> None:
    from segtween.bench.real_time import PacedReport, keep_pace
    from segtween.bench.real_time_streams import PacedStreamsReport, keep_pace_together
    from segtween.cli.screen import progress_bar, show
    from segtween.run.single import write_json

    report: PacedReport | PacedStreamsReport
    with progress_bar("bench") as progress:
        if streams is None:
            report = keep_pace(segmenter, settings=settings, progress=progress, **measured)
        else:
            report = keep_pace_together(segmenter, settings=settings, count=streams, progress=progress, **measured)
    if json_file is not None:
        write_json(report.to_json(), json_file)
    show(*report.tables())


def show_streams(
    network: NetworkOptions, settings: Settings, measured: dict[str, Any], *, count: int, json_file: Path | None
) -> None:
    from segtween.bench.streams import bench_streams
    from segtween.cli.screen import progress_bar, show
    from segtween.run.single import write_json

    with progress_bar("bench") as progress:
        report = bench_streams(
            network.open, settings=settings, count=count, threads=network.threads, progress=progress, **measured
        )
    if json_file is not None:
        write_json(report.to_json(), json_file)
    show(*report.tables())


def show_sweeps(
    kinds: Sequence[str],
    segmenter: Segmenter,
    settings: Settings,
    measured: dict[str, Any],
    *,
    frames: int,
    plot: Path | None,
    json_file: Path | None,
) -> None:
    from segtween.bench.sweeps import check_kinds
    from segtween.bench.sweeps import sweep as one
    from segtween.cli.screen import progress_bar, show
    from segtween.reports.tables.plot import plot_sweep, require_matplotlib
    from segtween.run.single import write_json

    check_kinds(kinds)
    if plot is not None:
        require_matplotlib()
    curves = []
    for kind in kinds:
        with progress_bar(kind) as progress:
            curves.append(one(kind, segmenter, settings=settings, most_frames=frames, progress=progress, **measured))
        show(curves[-1].table())
    if json_file is not None:
        write_json({"sweeps": [curve.to_json() for curve in curves]}, json_file)
    if plot is not None:
        for curve in curves:
            plot_sweep(curve, plot)
