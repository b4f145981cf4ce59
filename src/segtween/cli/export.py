"""`segtween export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segtween.cli import shared

STREET = "street"
"""As a source of pictures to calibrate on: drives through the synthetic street."""


def export(
    *,
    what: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A network as for --model, or a weight file.")],
    out: Annotated[Path, shared.out_folder("Where the network goes.")],
    label_set: shared.LabelSetName = None,
    calibrate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH|street",
            rich_help_panel="Calibration",
            help="Make it ready for int8 with example images, a video, or synthetic drives; may be repeated.",
        ),
    ] = None,
    calibrate_frames: Annotated[
        int, typer.Option(metavar="N", rich_help_panel="Calibration", help="Frames taken of each, evenly spaced.")
    ] = 64,
    threads: shared.Threads = 0,
    overwrite: shared.Overwrite = False,
) -> None:
    """Write a network as graph, weights and record, ready for `--model FOLDER` and for any ONNX runtime.

    Examples:

        segtween export swiftnet-lite0.camvid -o mine/

        segtween export runs/mine/checkpoint.pt -o mine/

        segtween export cityscapes-swnet-R18.pt --label-set cityscapes19 -o swiftnet/

        segtween export hf:owner/network -o mine/

        segtween export my.onnx -o mine/ --calibrate drive.mp4
    """
    from segtween.adapters import exported_model
    from segtween.cli.screen import console, progress_bar, show
    from segtween.networks import export_network
    from segtween.video.staging import check_folder

    if calibrate:
        from segtween.run.calibration import check_sources

        check_sources(calibrate, frames=calibrate_frames, made=(STREET,))
    check_folder(out)
    foreign = exported_model(what, label_set=label_set)
    own = None if foreign else label_set  # a foreign network's record has it
    written = export_network(foreign or what, out, overwrite=overwrite, label_set=own)
    console.print("written: " + ", ".join(str(path) for path in written))
    if not calibrate:
        return
    from segtween.run.calibration import calibrate_folder
    from segtween.street.pictures import calibration_pictures

    with progress_bar("calibrate") as progress:
        done = calibrate_folder(
            out,
            calibrate,
            frames=calibrate_frames,
            threads=threads,
            made={STREET: calibration_pictures},
            progress=progress,
        )
    same = done.agreement
    agreement = "int8 cannot run here" if same is None else f"int8 has float32's class at {same:.2%} of their cells"
    show(f"written: {done.path}; ranges of {done.record.calibrated['images']} images; {agreement}")
