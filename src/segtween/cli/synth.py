"""`segtween synth`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from segtween.cli import shared, texts
from segtween.errors import SettingError
from segtween.texttable import count

if TYPE_CHECKING:
    from segtween.street import Drives


@dataclass(frozen=True)
class StreetOptions:
    """Which drives are rendered."""

    clips: Annotated[int, typer.Option(metavar="N", help="How many clips.")] = 1
    frames: Annotated[int, typer.Option(metavar="N", help="Frames per clip.")] = 30
    seed: Annotated[
        int, typer.Option(metavar="N", help="The first clip's seed; each further clip has the next one.")
    ] = 1
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the frames.")] = "480x360"
    frame_rate: Annotated[str, typer.Option(metavar="FPS", help="Frame rate, 15 or 30000/1001.")] = "15"
    truth: Annotated[bool, typer.Option(help="Store exact flow and occlusion as well.")] = True
    traffic: Annotated[
        Literal["normal", "heavy"],
        typer.Option(metavar="NAME", help="normal, or heavy: people cross the road, traffic crosses at junctions."),
    ] = "normal"

    def drives(self) -> Drives:
        """SettingError for a rate or a size that is none."""
        from segtween.street import Drives

        try:
            rate = Fraction(self.frame_rate)
        except (ValueError, ZeroDivisionError):
            raise SettingError(
                f"--frame-rate {self.frame_rate!r}", expected="a number or a fraction", do="give 15 or 30000/1001"
            ) from None
        return Drives(self.seed, self.clips, self.frames, texts.size(self.size), rate, self.truth,
                      traffic=self.traffic)  # fmt: skip


def synth(
    *,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder to write.")],
    layout: Annotated[
        Literal["camvid", "cityscapes"],
        typer.Option(metavar="NAME", help="Folders and label ids as that data set has them: camvid or cityscapes."),
    ] = "camvid",
    street: StreetOptions,
    film: Annotated[
        bool,
        typer.Option("--film/--no-film", rich_help_panel="Output", help="A film of each clip with its labels: films/."),
    ] = True,
    overwrite: shared.Overwrite = False,
) -> None:
    """Render synthetic street clips with exact labels, backward flow and occlusion.

    Examples:

        segtween synth street/ --clips 4 --frames 60

        segtween synth street/ --layout cityscapes --size 2048x1024 --clips 2

        segtween synth crossing/ --clips 12 --frames 30 --seed 900 --traffic heavy
    """
    from segtween.cli.screen import console, progress_bar
    from segtween.demo.street_film import StreetFilms
    from segtween.labels import CAMVID11, CITYSCAPES19
    from segtween.street import write_camvid, write_cityscapes
    from segtween.video.staging import check_folder

    check_folder(out)
    drives = street.drives()
    write, labels = (write_camvid, CAMVID11) if layout == "camvid" else (write_cityscapes, CITYSCAPES19)
    films = partial(StreetFilms, labels=labels, frame_rate=drives.frame_rate)
    with progress_bar("street") as progress:
        write(out, drives, overwrite=overwrite, also=films if film else None, progress=progress)
    console.print(
        f"{count(drives.clips, 'clip')} of {count(drives.frames, 'frame')}, {street.size} (width x height), "
        f"seeds {drives.seed} to {drives.seed + drives.clips - 1}: {out}"
    )
