"""`segtween evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segtween.cli import options
from segtween.cli.grouping import grouped
from segtween.cli.guard import guarded
from segtween.cli.options import DataOptions, MethodOptions, NetworkOptions


@guarded
@grouped
def evaluate(
    *,
    data: DataOptions,
    network: NetworkOptions,
    method: MethodOptions,
    device: options.OnDevice = "cpu",
    offline: options.Offline = False,
    intervals: Annotated[
        str | None, typer.Option(metavar="LIST", help="Intervals, with commas (0,4; adaptive schedules: none).")
    ] = None,
    measures: Annotated[
        str | None,
        typer.Option(
            "--measures", metavar="LIST", help="Further measures: vspw (as VSPW's public scripts compute them)."
        ),
    ] = None,
    json_file: options.Json = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the table as CSV.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Measure accuracy and steadiness beside the network on every frame, over all phases and intervals.

    Examples:

        segtween evaluate --dataset camvid --root CamVid --split val --intervals 0,4,9 --json out.json

        segtween evaluate --dataset camvid --root CamVid --scores val_scores.npz --intervals 4

        segtween evaluate --dataset camvid --root street/ --scores labels --intervals 4
    """
    from segtween.cli.screen import progress_bar, show
    from segtween.evaluation import evaluate_method
    from segtween.run.ending import write_json

    dataset = data.open(network_labels=network.labels)
    settings = method.settings(offline=offline)
    if intervals is None:
        wanted = [0, 4] if not settings.is_adaptive else []
    else:
        wanted = options.numbers(intervals, option="--intervals")
    there = options.device(device, threads=network.threads, keeps_frame=True)
    segmenter = network.open(data=dataset, device=there)
    with progress_bar(dataset.title) as progress:
        report = evaluate_method(
            dataset,
            segmenter=segmenter,
            settings=settings,
            name=options.spoken(method, offline=offline),
            intervals=wanted,
            map_name=data.label_map,
            max_frames=data.max_frames,
            measures=options.words(measures) or (),
            threads=network.threads,
            backend=there,
            progress=progress,
        )
    if json_file is not None:
        write_json(report.to_json(), json_file)
    if csv_file is not None:
        report.write_csv(csv_file)
    if not quiet:
        show(*report.tables(), all_in="--json FILE")
