"""`segtween evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segtween.cli import options
from segtween.cli.guard import guarded


@guarded
def evaluate(
    dataset: Annotated[
        str, typer.Option("--dataset", "-d", metavar="NAME", help="Layout: camvid, cityscapes, folders or vspw.")
    ],
    root: Annotated[Path, typer.Option("--root", metavar="FOLDER", help="Where the data set lies.")],
    split: Annotated[str, typer.Option(metavar="NAME", help="Part of the data set.")] = "val",
    dataset_labels: options.DatasetLabels = None,
    model: options.Model = "swiftnet-lite0.camvid",
    scores: Annotated[
        Path | None, typer.Option(metavar="FILE.npz", help="Stored scores instead of a network (same as --model).")
    ] = None,
    label_map: Annotated[
        str | None, typer.Option("--map", metavar="NAME", help="Label map from the scores' classes to the data set's.")
    ] = None,
    labels: options.Labels = None,
    intervals: Annotated[str, typer.Option(metavar="LIST", help="Intervals, with commas: 0,4,9.")] = "0,4",
    preset: options.Preset = "blend",
    json_file: options.Json = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the table as CSV.")] = None,
    max_frames: Annotated[
        int | None, typer.Option("--max-frames", metavar="N", help="Only the first N frames of the data set.")
    ] = None,
    runtime: options.Runtime = "openvino",
    provider: options.Provider = None,
    precision: options.Precision = "float32",
    scale: options.Scale = 1.0,
    threads: options.Threads = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Measure accuracy and steadiness beside the network on every frame, over all phases and intervals.

    Examples:

        segtween evaluate --dataset camvid --root CamVid --split val --intervals 0,4,9 --json out.json

        segtween evaluate --dataset camvid --root CamVid --scores val_scores.npz --intervals 4
    """
    from segtween.build import find_preset
    from segtween.cli.screen import console, progress_bar
    from segtween.evaluation import evaluate_method
    from segtween.runner import write_json
    from segtween.segmenters import open_segmenter

    data = options.labelled_data(dataset, root, split=split, labels=dataset_labels, network_labels=labels)
    segmenter = open_segmenter(
        str(scores) if scores is not None else model,
        runtime=runtime,
        provider=provider,
        precision=precision,
        threads=threads,
        scale=scale,
        labels=labels,
    )
    with progress_bar(f"{dataset} {split}") as progress:
        report = evaluate_method(
            data,
            segmenter=segmenter,
            settings=find_preset(preset),
            name=preset,
            intervals=options.numbers(intervals, option="--intervals"),
            map_name=label_map,
            max_frames=max_frames,
            threads=threads,
            progress=progress,
        )
    if json_file is not None:
        write_json(report.to_json(), json_file)
    if csv_file is not None:
        report.write_csv(csv_file)
    if not quiet:
        for part in report.tables():
            console.print(part)
