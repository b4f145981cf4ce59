"""`segtween propagate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from segtween.cli import options
from segtween.cli.guard import guarded


@guarded
def propagate(
    video: Annotated[str, typer.Argument(metavar="INPUT", help="A video file, or a folder of images.")],
    labels: Annotated[
        Path,
        typer.Option(
            "--labels", metavar="FOLDER|ZIP", help="Labels of some frames: PNG files, or masks exported from CVAT."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the outputs go.")],
    label_set: Annotated[
        str | None,
        typer.Option("--label-set", metavar="NAME|YAML", help="Their classes, where no labelmap.txt says them."),
    ] = None,
    ids: Annotated[
        Literal["train", "dataset"],
        typer.Option(help="Numbers in label files, read and written: train ids or the data set's own."),
    ] = "train",
    save: Annotated[
        str,
        typer.Option(
            metavar="KINDS", help="overlay, side-by-side, labels, labels-video, confidence, masks, cvat; with commas."
        ),
    ] = "overlay",
    next_frames: Annotated[int, typer.Option("--next", metavar="N", help="Name so many frames to look at next.")] = 5,
    classes: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Only these classes in overlays and masks: car,person.")
    ] = None,
    flow: Annotated[
        str, typer.Option("--flow", metavar="NAME|FILE", help="Optical flow: dis, zero, or a network FILE.onnx.")
    ] = "dis",
    frame_rate: Annotated[float | None, typer.Option(metavar="FPS", help="Frame rate of image folders (25).")] = None,
    threads: options.Threads = 0,
    overwrite: options.Overwrite = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.")] = False,
) -> None:
    """Label some frames of a video, get all of them: labels travel along the flow, from both sides.

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
