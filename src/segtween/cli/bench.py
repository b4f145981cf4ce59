"""`segtween bench`: how fast a method is, and what its speed depends on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import typer

from segtween.cli import options, shared, texts
from segtween.cli.commands import Commands, Group
from segtween.cli.grouping import Rare, Without
from segtween.cli.options import SEEN, MethodOptions, NetworkOptions
from segtween.cli.outputs import ReportOutput
from segtween.errors import SettingError
from segtween.types import SizeHW, format_size

if TYPE_CHECKING:
    from segtween.bench import Plan
    from segtween.bench.plan import RatePlan
    from segtween.bench.report import Report


class SpeedByDefault(Commands):
    """Options without a subcommand are those of `speed`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or (args[0].startswith("-") and args[0] not in ctx.help_option_names):
            args = ["speed", *args]
        return super().parse_args(ctx, args)


app = Group(
    cls=SpeedByDefault,
    no_args_is_help=False,
    help="Measure speed; without a subcommand: segtween bench speed.",
)

Network = Annotated[
    NetworkOptions, Without("scores"), Rare("label_set", "runtime", "provider", "threads", "network_threads", *SEEN)
]
Method = Annotated[
    MethodOptions,
    options.BY_INTERVAL,
    Rare("refine", "edge", "match", "flow", "flow_quality", "weights", "async_keys", "key_tta"),
]
Synchronous = Annotated[
    MethodOptions,
    Without("schedule", "budget", "target_ms", "least_distance", "most_distance", "async_keys"),
    Rare("refine", "edge", "match", "flow", "flow_quality", "weights", "key_tta"),
]
Size = Annotated[
    str, typer.Option("--size", metavar="WIDTHxHEIGHT", rich_help_panel="Timing", help="Size of the frames.")
]
Output = Annotated[ReportOutput, Rare("report")]
Streams = Annotated[int, typer.Option(metavar="N", rich_help_panel="Timing", help="How many streams.")]


@dataclass(frozen=True)
class TimingOptions:
    """What is timed, and how often."""

    size: Size = "1280x720"
    clip: shared.Clip = "street"
    intervals: Annotated[
        str, typer.Option(metavar="LIST", help="Frames between key frames, with commas; 0, every frame, is always run.")
    ] = "0,4"
    repeats: Annotated[int, typer.Option(metavar="N", help="Periods (a key frame to the next) timed per interval.")] = 7
    against: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Baselines in the same run: reference, reference-flownets, torch, torch-compile, onnxruntime, "
            "openvino, openvino-bfloat16, openvino-int8, repeat.",
        ),
    ] = None

    PANEL: ClassVar[str] = "Timing"

    def plan(self, *, threads: int) -> Plan:
        from segtween.bench import Plan

        return Plan(
            texts.size(self.size),
            intervals=texts.numbers(self.intervals, option="--intervals"),
            repeats=self.repeats,
            threads=threads,
            against=texts.words(self.against) or (),
            clip=told(self.clip, texts.size(self.size)),
        )


def told(clip: str, size_hw: SizeHW) -> str:
    """The clip itself, after a line that says so where its frames are to be rendered, which takes long."""
    from segtween.bench.plan import is_at_hand
    from segtween.cli.screen import notes

    if not is_at_hand(clip, size_hw):
        notes.print(f"rendering the {clip} in {format_size(size_hw)}; the next time its frames are on disk")
    return clip


@dataclass(frozen=True)
class SweepTiming(TimingOptions):
    most_frames: Annotated[int, typer.Option(metavar="N", help="The longest video, for length.")] = 10_000


@dataclass(frozen=True)
class DeviceTiming(TimingOptions):
    against: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", help="Baselines in the same run: reference, reference-flownets, torch, torch-compile."
        ),
    ] = None


OneInterval = Without("intervals", "against")


@app.command("speed")
def speed(
    *,
    timing: TimingOptions,
    accuracy: Annotated[
        str | None,
        typer.Option(
            metavar="FILES",
            rich_help_panel="Output",
            help="Accuracy to show too: files of segtween evaluate --json, with commas.",
        ),
    ] = None,
    network: Network,
    method: Method,
    mode: shared.ModeOptions,
    output: Output,
) -> None:
    """Milliseconds per frame at several intervals: frames in memory, label arrays out, one after the other.

    Online, from the past alone, and offline, from the key frames on both sides, unless one of them is asked for.

    Examples:

        segtween bench --model swiftnet-r18 --size 2048x1024 --scale 0.75 --intervals 0,1,2,3,4 --json bench.json

        segtween bench --size 1280x720 --offline

        segtween bench --size 2048x1024 --intervals 0,4 --precision int8 --against reference,torch,onnxruntime,repeat
    """
    from segtween.bench import bench_modes
    from segtween.bench.accuracy import read_accuracy, with_accuracy
    from segtween.cli.screen import progress_bar

    output.check()
    accuracies = [of for file in texts.words(accuracy) or () for of in read_accuracy(file)]
    if accuracy is not None and not accuracies:
        raise SettingError(
            f"--accuracy {accuracy!r}", expected="files of segtween evaluate --json, with commas", do="name one"
        )
    plan, modes = timing.plan(threads=network.threads), method.measured(mode.asked())
    segmenter = network.open(background=any(settings.delay is not None for settings in modes.values()))
    with progress_bar("bench") as progress:
        report = bench_modes(segmenter, modes=modes, plan=plan, progress=progress)
    output.finish(report if accuracy is None else with_accuracy(report, accuracies))


@app.command("roofline")
def against_the_roofline(
    *,
    timing: Annotated[TimingOptions, Without("against")],
    network: Network,
    method: Synchronous,
    output: Output,
) -> None:
    """Speed, and how far each stage is from what memory and processor allow, both measured here.

    Example:

        segtween bench roofline --model swiftnet-r18 --size 2048x1024 --scale 0.75
    """
    from segtween.bench import bench as measure
    from segtween.bench.roofline import measure_machine, roofline
    from segtween.bench.roofline_report import RooflineReport
    from segtween.cli.screen import progress_bar

    output.check()
    plan, settings = timing.plan(threads=network.threads), method.settings()
    segmenter = network.open()
    with progress_bar("bench") as progress:
        report = measure(segmenter, settings=settings, name=method.name, plan=plan, progress=progress)
    machine = measure_machine(threads=network.threads)
    output.finish(RooflineReport(report, roofline(report, segmenter, settings=settings, machine=machine)))


@app.command("cold-start")
def cold_start(
    *,
    size: Size = "1280x720",
    repeats: Annotated[
        int, typer.Option(metavar="N", rich_help_panel="Timing", help="Processes that are started.")
    ] = 7,
    network: Annotated[Network, Without("network_threads", *SEEN)],
    method: Synchronous,
    output: Output,
) -> None:
    """The time from the start of a process to its first labels.

    Example:

        segtween bench cold-start --size 640x480 --repeats 3
    """
    from segtween.bench.cold_start import Process, measure_cold_start

    output.check()
    names = ("runtime", "provider", "precision", "label_set")
    process = Process(
        model=network.model,
        options={**{name: getattr(network, name) for name in names}, "scale": network.chosen_scale()},
        name=method.name,
        settings=method.settings(),
        size_hw=texts.size(size),
        threads=network.threads,
    )
    output.finish(measure_cold_start(process, repeats=repeats))


@app.command("sweep")
def sweep(
    *,
    kinds: Annotated[
        list[str], typer.Argument(metavar="KIND", help="pixels, classes, interval, length: one or several.")
    ],
    timing: Annotated[SweepTiming, OneInterval],
    keys: shared.KeyFrameOptions,
    network: Network,
    method: Synchronous,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", rich_help_panel="Output", help="Draw the curves there (extra \\[figures])."),
    ] = None,
    output: Output,
) -> None:
    """How cost grows with pixels, classes, the interval, or the length of the video.

    Example:

        segtween bench sweep pixels length --size 640x360 --most-frames 1000
    """
    from segtween.bench.sweeps import check_kinds
    from segtween.bench.sweeps import sweep as measure
    from segtween.cli.screen import progress_bar, show
    from segtween.reports.html.bench_page import sweep_page
    from segtween.reports.tables.plot import plot_sweep, require_matplotlib
    from segtween.video.staging import check_folder

    check_kinds(kinds)
    if plot is not None:
        require_matplotlib()
        check_folder(plot)
    output.check()
    plan, settings = timing.plan(threads=network.threads), method.settings().at(keys.resolve())
    segmenter, curves = network.open(), []
    for kind in kinds:
        with progress_bar(kind) as progress:
            curves.append(
                measure(kind, segmenter, settings=settings, name=method.name, plan=plan,
                        most_frames=timing.most_frames, progress=progress)
            )  # fmt: skip
        show(curves[-1].table(), all_in="--json FILE")
    figures = {"sweeps": [curve.to_json() for curve in curves]}
    output.write(figures, lambda: sweep_page(curves, command=texts.command_line()))
    if plot is not None:
        for curve in curves:
            plot_sweep(curve, plot)


@app.command("streams")
def streams(
    *,
    streams: Streams = 4,
    timing: Annotated[TimingOptions, OneInterval],
    keys: shared.KeyFrameOptions,
    network: Network,
    method: Synchronous,
    output: Output,
) -> None:
    """Several streams with one network against as many separate runs.

    Example:

        segtween bench streams --streams 4
    """
    from segtween.bench.streams import bench_streams
    from segtween.cli.screen import progress_bar

    output.check()
    plan, settings = timing.plan(threads=network.threads), method.settings().at(keys.resolve())
    with progress_bar("bench") as progress:
        report = bench_streams(
            network.open, settings=settings, name=method.name, count=streams, plan=plan, progress=progress
        )
    output.finish(report)


@dataclass(frozen=True)
class ArrivalOptions:
    """How frames come."""

    PANEL: ClassVar[str] = "Timing"

    rate: Annotated[float, typer.Option(metavar="FPS", help="Frames of each stream come at this rate.")] = 25.0
    seconds: Annotated[float, typer.Option(metavar="S", help="How long frames come.")] = 60.0
    streams: Annotated[
        int | None, typer.Option(metavar="N", help="N cameras that share the network, instead of one.")
    ] = None
    size: Size = "1280x720"
    clip: shared.Clip = "street"

    def plan(self, *, threads: int) -> RatePlan:
        from segtween.bench.plan import RatePlan

        size_hw = texts.size(self.size)
        return RatePlan(size_hw, rate=self.rate, seconds=self.seconds, threads=threads, clip=told(self.clip, size_hw))


@app.command("real-time")
def real_time(
    *,
    arrival: Annotated[ArrivalOptions, Rare("clip")],
    keys: shared.KeyFrameOptions,
    network: Network,
    method: Annotated[
        MethodOptions,
        options.BY_INTERVAL,
        Rare("refine", "edge", "match", "flow", "flow_quality", "weights", "key_tta"),
    ],
    lag: shared.Lag = False,
    output: Output,
) -> None:
    """Frames come at a rate, like a camera's: how soon their labels are there, and how many are dropped.

    Examples:

        segtween bench real-time --model swiftnet-r18 --async-keys auto --rate 15 --seconds 30

        segtween bench real-time --streams 4 --async-keys auto --rate 10

        segtween bench real-time --rate 10 --lag
    """
    from segtween.bench.real_time import bench_real_time, bench_real_time_streams
    from segtween.cli.screen import progress_bar

    output.check()
    plan = arrival.plan(threads=network.threads)
    with shared.errors_of_lag(lag):
        ((name, settings),) = method.measured("bidirectional" if lag else "causal", at=keys.resolve()).items()
    segmenter = network.open(background=settings.delay is not None)
    report: Report
    with progress_bar("bench") as progress:
        if arrival.streams is None:
            report = bench_real_time(segmenter, settings=settings, name=name, plan=plan, progress=progress)
        else:
            report = bench_real_time_streams(
                segmenter, settings=settings, name=name, count=arrival.streams, plan=plan, progress=progress
            )
    output.finish(report)


@app.command("device")
def device(
    *,
    name: Annotated[str, typer.Argument(metavar="DEVICE", help="cuda or cuda:1, a graphics card (extra \\[gpu]).")],
    timing: DeviceTiming,
    without: Annotated[
        str | None,
        typer.Option(
            metavar="LIST", rich_help_panel="Machine", help="Leave out half, kernels, graphs, compiled, with commas."
        ),
    ] = None,
    network: Network,
    method: Synchronous,
    mode: shared.ModeOptions,
    output: Output,
) -> None:
    """Speed on a graphics card: frames in its memory, labels into its memory; online, unless --offline is given.

    Example:

        segtween bench device cuda --model swiftnet-r18 --size 2048x1024 --scale 0.75 --against reference,torch
    """
    from segtween.bench.on_device import bench_device
    from segtween.cli.screen import progress_bar

    output.check()
    plan = timing.plan(threads=network.threads)
    ((method_name, settings),) = method.measured(mode.asked() or "causal").items()
    opened = options.device(name, threads=network.threads, without=texts.words(without) or ())
    if opened is None:
        raise SettingError(f"device {name}", expected="cuda or cuda:1", do="use segtween bench speed for the processor")
    segmenter = network.open(device=opened)
    with progress_bar("bench") as progress:
        report = bench_device(
            segmenter, device=opened, settings=settings, name=method_name, plan=plan, progress=progress
        )
    output.finish(report)
