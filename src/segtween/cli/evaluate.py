"""`segtween evaluate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from segtween.cli import options, shared, texts
from segtween.cli.grouping import Rare
from segtween.cli.options import DataOptions, MethodOptions, NetworkOptions
from segtween.cli.outputs import ReportOutput


@dataclass(frozen=True)
class MeasuredOptions(DataOptions):
    measures: shared.Measures = None


@dataclass(frozen=True)
class EvaluationOutput(ReportOutput):
    PANEL: ClassVar[str] = "Output"

    csv_file: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the table as CSV.")] = None
    quiet: shared.Quiet = False

    def check(self) -> None:
        from segtween.video.staging import check_writable

        super().check()
        if self.csv_file is not None:
            check_writable(self.csv_file)


def evaluate(
    *,
    data: Annotated[MeasuredOptions, Rare("dataset_labels", "label_map", "measures")],
    output: Annotated[EvaluationOutput, Rare("quiet")],
    network: Annotated[NetworkOptions, Rare(*(name for name in options.SELDOM_NETWORK if name != "scores"))],
    intervals: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            rich_help_panel="Method",
            help="Frames between key frames, with commas (0,4; adaptive schedules: none); 0 is every frame.",
        ),
    ] = None,
    method: Annotated[MethodOptions, Rare(*options.SELDOM_METHOD)],
    mode: shared.ModeOptions,
    device: shared.OnDevice = "cpu",
) -> None:
    """Measure accuracy and temporal consistency over intervals, compared with the network on every frame.

    Online, from the past alone, and offline, from the key frames on both sides, unless one of them is asked for.

    Examples:

        segtween evaluate --dataset camvid --root CamVid --split val --intervals 0,4,9 --json out.json

        segtween evaluate --dataset camvid --root CamVid --scores val_scores.npz --intervals 4

        segtween evaluate --dataset camvid --root street/ --scores labels --intervals 4 --report street.html
    """
    from segtween.cli.screen import progress_bar, show
    from segtween.evaluation import EvaluationOptions, evaluate_modes
    from segtween.reports.html.evaluation_page import evaluation_page
    from segtween.reports.html.worst import WorstFrames

    output.check()
    dataset = data.labelled(network_labels=network.label_set)
    worst = WorstFrames(dataset.labels)
    settings = method.settings(mode.asked())
    if intervals is None:
        wanted = [0, 4] if not settings.is_adaptive else []
    else:
        wanted = texts.numbers(intervals, option="--intervals")
    backend = options.device(device, threads=network.threads, keeps_frame=True)
    segmenter = network.open(data=dataset, device=backend)
    # Without a key frame after the labelled one, or without frames in between, both modes are one.
    is_one = not dataset.is_dense or not any(wanted) or settings.is_adaptive
    with progress_bar(dataset.title) as progress:
        report = evaluate_modes(
            dataset,
            segmenter=segmenter,
            modes=method.measured(mode.asked() or ("causal" if is_one else None)),
            intervals=wanted,
            options=EvaluationOptions(
                map_name=data.label_map,
                max_frames=data.max_frames,
                measures=texts.words(data.measures) or (),
                observe=None if output.report is None else worst,
                threads=network.threads,
                backend=backend,
                progress=progress,
            ),
        )
    output.write(
        report.to_json(),
        lambda: evaluation_page(report, labels=dataset.labels, worst=worst, command=texts.command_line()),
    )
    if output.csv_file is not None:
        report.write_csv(output.csv_file)
    if not output.quiet:
        show(*report.tables(), all_in="--json FILE")
