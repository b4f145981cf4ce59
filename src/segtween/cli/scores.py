"""`segtween scores`: a network's scores, stored once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segtween.cli import options
from segtween.cli.guard import guarded

app = typer.Typer(help="Store a network's scores, to judge methods without running it again.", no_args_is_help=True)


@app.callback()
def scores() -> None:
    pass


@app.command("export")
@guarded
def export(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.npz", help="The file to write.")],
    video: Annotated[str | None, typer.Argument(metavar="[INPUT]", help="A video or image folder.")] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", "-d", metavar="NAME", help="Or a data set: camvid, cityscapes, ...")
    ] = None,
    root: Annotated[Path | None, typer.Option("--root", metavar="FOLDER", help="Where the data set lies.")] = None,
    split: Annotated[str, typer.Option(metavar="NAME", help="Part of the data set.")] = "val",
    before: Annotated[
        int | None,
        typer.Option("--before", metavar="N", help="Sparse labels: only N frames before each labelled one."),
    ] = None,
    model: options.Model = "swiftnet-lite0.camvid",
    labels: options.Labels = None,
    dataset_labels: options.DatasetLabels = None,
    max_frames: Annotated[
        int | None, typer.Option("--max-frames", metavar="N", help="Only the first N frames of the data set.")
    ] = None,
    overwrite: options.Overwrite = False,
    runtime: options.Runtime = "openvino",
    provider: options.Provider = None,
    precision: options.Precision = "float32",
    scale: options.Scale = 1.0,
    threads: options.Threads = 0,
) -> None:
    """Run a network once over a data set or a video and store its key scores, for --scores and --model.

    Examples:

        segtween scores export --dataset camvid --root CamVid --split val -o val.npz

        segtween scores export drive.mp4 -o drive.npz --model my.onnx
    """
    from segtween.cli.screen import console, progress_bar
    from segtween.errors import SettingError
    from segtween.segmenters import open_segmenter
    from segtween.storing import check_target, dataset_frames, export_scores, names_of, source_frames
    from segtween.types import format_size
    from segtween.video import open_source

    check_target(out, overwrite=overwrite)
    if (video is None) == (dataset is None) or (dataset is None) != (root is None):
        raise SettingError(
            "the input is not clear", expected="either a video, or --dataset with --root", do="give one of the two"
        )
    if dataset is not None and root is not None:
        data = options.labelled_data(dataset, root, split=split, labels=dataset_labels, network_labels=labels)
        data = data.limited(max_frames)
        total: int | None = len(names_of(data, before=before))
        frames = dataset_frames(data, before=before)
    else:
        source = open_source(str(video), threads=threads)
        total, frames = source.info.n_frames, source_frames(source)
    segmenter = open_segmenter(
        model, runtime=runtime, provider=provider, precision=precision, threads=threads, scale=scale, labels=labels
    )
    with progress_bar("scores") as progress:
        stored = export_scores(segmenter, frames, out, total=total, overwrite=overwrite, progress=progress)
    console.print(
        f"{out}: scores of {stored.frames} frames, {stored.classes} classes on {format_size(stored.grid_hw)} cells "
        f"(width x height), in steps of {stored.step:.4f}, each within {stored.largest_error:.4f} of the network's"
    )
