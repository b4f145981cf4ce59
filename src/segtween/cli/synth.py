"""`segtween synth`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import typer

from segtween.cli import options, shared
from segtween.cli.grouping import grouped
from segtween.cli.guard import guarded


@guarded
@grouped
def synth(
    *,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    layout: Annotated[
        Literal["camvid", "cityscapes"],
        typer.Option(
            "--layout", metavar="NAME", help="Folders and label ids as that data set has them: camvid or cityscapes."
        ),
    ] = "camvid",
    clips: Annotated[int, typer.Option(metavar="N", help="How many clips.")] = 1,
    frames: Annotated[int, typer.Option(metavar="N", help="Frames per clip.")] = 30,
    seed: Annotated[
        int, typer.Option(metavar="N", help="The first clip's seed; each further clip has the next one.")
    ] = 1,
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the frames.")] = "480x360",
    frame_rate: Annotated[str, typer.Option(metavar="FPS", help="Frame rate, 15 or 30000/1001.")] = "15",
    truth: Annotated[bool, typer.Option(help="Store exact flow and occlusion as well.")] = True,
    overwrite: shared.Overwrite = False,
) -> None:
    """Render synthetic street clips with exact labels, backward flow and occlusion.

    Examples:

        segtween synth street/ --clips 4 --frames 60

        segtween synth street/ --layout cityscapes --size 2048x1024 --clips 2
    """
    from segtween.cli.screen import console, progress_bar
    from segtween.errors import SettingError
    from segtween.street import Drives, write_camvid, write_cityscapes

    try:
        rate = Fraction(frame_rate)
    except (ValueError, ZeroDivisionError):
        raise SettingError(
            f"--frame-rate {frame_rate!r}", expected="a number or a fraction", do="give 15 or 30000/1001"
        ) from None
    drives = Drives(seed=seed, clips=clips, frames=frames, size_hw=options.size(size), frame_rate=rate, truth=truth)
    write = write_camvid if layout == "camvid" else write_cityscapes
    with progress_bar("street") as progress:
        write(out, drives, overwrite=overwrite, progress=progress)
    console.print(
        f"{clips} clip(s) of {frames} frames, {size} (width x height), seeds {seed} to {seed + clips - 1}: {out}"
    )
