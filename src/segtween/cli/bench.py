"""`segtween bench`."""

from __future__ import annotations

from typing import Annotated

import typer

from segtween.cli import options
from segtween.cli.guard import guarded


@guarded
def bench(
    model: options.Model = "swiftnet-lite0.camvid",
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the frames.")] = "1280x720",
    scale: options.Scale = 1.0,
    intervals: Annotated[str, typer.Option(metavar="LIST", help="Intervals, with commas; 0 is always run.")] = "0,4",
    preset: options.Preset = "blend",
    repeats: Annotated[
        int, typer.Option(metavar="N", help="Periods (key frame and the frames after it) timed per interval.")
    ] = 7,
    json_file: options.Json = None,
    labels: options.Labels = None,
    runtime: options.Runtime = "openvino",
    provider: options.Provider = None,
    precision: options.Precision = "float32",
    threads: options.Threads = 0,
) -> None:
    """Measure speed: frames in memory, label arrays out, one frame after the other, every stage apart.

    Example:

        segtween bench --model swiftnet-r18 --size 2048x1024 --scale 0.75 --intervals 0,1,2,3,4 --json bench.json
    """
    from segtween.benchmark import bench as measure
    from segtween.build import find_preset
    from segtween.cli.screen import console, progress_bar
    from segtween.runner import write_json
    from segtween.segmenters import open_segmenter

    size_hw = options.size(size)
    wanted = options.numbers(intervals, option="--intervals")
    segmenter = open_segmenter(
        model, runtime=runtime, provider=provider, precision=precision, threads=threads, scale=scale, labels=labels
    )
    with progress_bar("bench") as progress:
        report = measure(
            segmenter,
            settings=find_preset(preset),
            name=preset,
            size_hw=size_hw,
            intervals=wanted,
            repeats=repeats,
            threads=threads,
            progress=progress,
        )
    if json_file is not None:
        write_json(report.to_json(), json_file)
    for part in report.tables():
        console.print(part)
