"""`segtween bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from segtween.cli import options
from segtween.cli.grouping import Without, grouped
from segtween.cli.guard import guarded
from segtween.cli.options import MethodOptions, NetworkOptions


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
    json_file: options.Json = None,
) -> None:
    """Measure speed: frames in memory, label arrays out, one frame after the other, every stage apart.

    Example:

        segtween bench --model swiftnet-r18 --size 2048x1024 --scale 0.75 --intervals 0,1,2,3,4 --json bench.json

        segtween bench --size 2048x1024 --intervals 0,4 --precision int8 --against reference,torch,onnxruntime,repeat
    """
    from segtween.benchmark import bench as measure
    from segtween.benchmark.accuracy import with_accuracy
    from segtween.cli.screen import progress_bar, show
    from segtween.runner import write_json

    size_hw = options.size(size)
    wanted = options.numbers(intervals, option="--intervals")
    settings = method.settings()
    segmenter = network.open()
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
    if json_file is not None:
        write_json(report.to_json(), json_file)
    show(*report.tables())
