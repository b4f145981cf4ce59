"""`segtween scores`: a network's scores, stored once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segtween.cli import shared
from segtween.cli.commands import Group
from segtween.cli.grouping import Rare, Without
from segtween.cli.options import SEEN, InputOptions, NetworkOptions

app = Group(help="Store a network's scores, to judge methods without running it again.")


@app.command("export")
def export(
    *,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", rich_help_panel="Output", help="The .npz file to write.")
    ],
    frames_of: InputOptions,
    network: Annotated[NetworkOptions, Without("scores"), Rare("provider", "precision", "network_threads", *SEEN)],
    before: Annotated[
        int | None,
        typer.Option(
            metavar="N", rich_help_panel="Input", help="Sparse labels: only N frames before each labelled one."
        ),
    ] = None,
    max_frames: Annotated[
        int | None, typer.Option(metavar="N", rich_help_panel="Input", help="Only the first N frames of the data set.")
    ] = None,
    overwrite: shared.Overwrite = False,
) -> None:
    """Run a network once over a data set or a video and store its key scores, for --scores and --model.

    Examples:

        segtween scores export --dataset camvid --root CamVid --split val -o val.npz

        segtween scores export drive.mp4 -o drive.npz --model my.onnx
    """
    from segtween.cli.screen import console, progress_bar
    from segtween.run.score_cache import check_target, dataset_frames, export_scores, names_of, source_frames
    from segtween.texttable import count
    from segtween.types import format_size
    from segtween.video import open_source

    check_target(out, overwrite=overwrite)
    data = frames_of.open_dataset(network_labels=network.label_set)
    if data is not None:
        data = data.limited(max_frames)
        total: int | None = len(names_of(data, before=before))
        frames = dataset_frames(data, before=before)
    else:
        source = open_source(str(frames_of.video), threads=network.threads)
        total, frames = source.info.n_frames, source_frames(source)
    segmenter = network.open()
    with progress_bar("scores") as progress:
        stored = export_scores(segmenter, frames, out, total=total, overwrite=overwrite, progress=progress)
    console.print(
        f"{out}: scores of {count(stored.frames, 'frame')}, {stored.classes} classes on {format_size(stored.grid_hw)} "
        f"cells (width x height), in steps of {stored.step:.4f}, each within {stored.largest_error:.4f} of the "
        "network's"
    )
