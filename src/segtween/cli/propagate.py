"""`segtween propagate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import typer

from segtween.cli import shared
from segtween.cli.flags import in_flags


@dataclass(frozen=True)
class LabelledInput:
    """The labels that are given, and how the video is read."""

    PANEL: ClassVar[str] = "Input"

    labels: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER|FILE",
            help="Labels of some frames: PNG files, or an export of CVAT, COCO, Label Studio or YOLO.",
        ),
    ]
    label_set: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Their classes, where no labelmap.txt names them: a label set's name or a YAML file.",
        ),
    ] = None
    ids: Annotated[
        Literal["train", "dataset"],
        typer.Option(
            metavar="KIND", help="Numbers in label files, read and written: train ids, or those of the dataset."
        ),
    ] = "train"
    duration: shared.Duration = None
    frame_rate: shared.FrameRate = None


@dataclass(frozen=True)
class PropagatedOutput(shared.SaveOptions):
    next_frames: Annotated[
        int, typer.Option("--next", metavar="N", help="Name N frames that are worth labelling next.")
    ] = 5


def propagate(
    *,
    video: Annotated[str, typer.Argument(metavar="INPUT", help="A video file, or a folder of images.")],
    given: LabelledInput,
    output: PropagatedOutput,
    flow: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE", rich_help_panel="Method", help="Optical flow: dis, zero, or a network FILE.onnx."
        ),
    ] = "dis",
    threads: shared.Threads = 0,
) -> None:
    """Label some frames of a video, get all of them: labels are propagated along optical flow from both directions.

    Examples:

        segtween propagate drive.mp4 --labels my-labels/ --label-set mine.yaml -o out/ --save overlay,labels

        segtween propagate drive.mp4 --labels cvat-export.zip -o out/ --save cvat
    """
    from segtween.cli.screen import notes, progress_bar, show
    from segtween.run.inputs import note_on_rate
    from segtween.run.options import Reading
    from segtween.run.propagation import Labelled, report
    from segtween.run.propagation import propagate as run_propagation
    from segtween.settings import Bidirectional, Settings, change
    from segtween.video.staging import check_folder

    outputs = output.outputs(ids=given.ids)
    settings = change(Settings(Bidirectional()), flow=flow)
    part = Reading(duration_seconds=given.duration, frame_rate=given.frame_rate)
    if note := note_on_rate([video], part):
        notes.print(in_flags(note))
    check_folder(output.out)
    how = Labelled(given.label_set, settings, output.next_frames, part, threads)
    with progress_bar(video) as bar:
        progress = None if output.quiet else bar
        done = run_propagation(video, given.labels, output.out, how=how, outputs=outputs, progress=progress)
    if not output.quiet:
        written = ", ".join([*outputs.save, "frames.csv", "run.json", "next.json"])
        show(*report(done), f"  written: {written} in {output.out}")
