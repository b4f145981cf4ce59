"""`segtween propagate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from segtween.cli import options, shared
from segtween.cli.grouping import grouped
from segtween.cli.guard import guarded


@guarded
@grouped
def propagate(
    *,
    video: Annotated[str, typer.Argument(metavar="INPUT", help="A video file, or a folder of images.")],
    labels: Annotated[
        Path,
        typer.Option(
            "--labels",
            metavar="FOLDER|ZIP",
            rich_help_panel="Input",
            help="Labels of some frames: PNG files, or masks exported from CVAT.",
        ),
    ],
    label_set: Annotated[
        str | None,
        typer.Option(
            "--label-set",
            metavar="NAME|FILE",
            rich_help_panel="Input",
            help="Their classes, where no labelmap.txt names them: a label set's name or a YAML file.",
        ),
    ] = None,
    ids: Annotated[
        Literal["train", "dataset"],
        typer.Option(
            "--ids",
            metavar="KIND",
            rich_help_panel="Input",
            help="Numbers in label files, read and written: train ids, or those of the dataset.",
        ),
    ] = "train",
    frame_rate: shared.FrameRate = None,
    out: shared.Folder,
    save: shared.Save = "overlay",
    next_frames: Annotated[
        int,
        typer.Option(
            "--next", metavar="N", rich_help_panel="Output", help="Name N frames that are worth labelling next."
        ),
    ] = 5,
    classes: shared.Classes = None,
    flow: Annotated[
        str,
        typer.Option(
            "--flow",
            metavar="NAME|FILE",
            rich_help_panel="Method",
            help="Optical flow: dis, zero, or a network FILE.onnx.",
        ),
    ] = "dis",
    threads: shared.Threads = 0,
    overwrite: shared.Overwrite = False,
    quiet: shared.Quiet = False,
) -> None:
    """Label some frames of a video, get all of them: labels are propagated along optical flow from both directions.

    Examples:

        segtween propagate drive.mp4 --labels my-labels/ --label-set mine.yaml -o out/ --save overlay,labels

        segtween propagate drive.mp4 --labels cvat-export.zip -o out/ --save cvat
    """
    from segtween.cli.screen import progress_bar, show
    from segtween.run.options import Outputs
    from segtween.run.propagation import Labelled, report
    from segtween.run.propagation import propagate as run_propagation
    from segtween.settings import Bidirectional, Settings, change

    outputs = Outputs(options.words(save) or [], overwrite=overwrite, classes=options.words(classes), ids=ids)
    how = Labelled(label_set, change(Settings(Bidirectional()), flow=flow), next_frames, frame_rate, threads)
    with progress_bar(video) as progress:
        done = run_propagation(video, labels, out, how=how, outputs=outputs, progress=None if quiet else progress)
    if not quiet:
        show(*report(done), f"  written: {', '.join([*outputs.save, 'frames.csv', 'run.json', 'next.json'])} in {out}")
