"""`segtween figure`: pictures of what a method does, for papers and documents."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import typer

from segtween.cli import options, shared, texts
from segtween.cli.commands import Group
from segtween.cli.grouping import Rare, Without
from segtween.cli.options import MethodOptions, NetworkOptions

if TYPE_CHECKING:
    from segtween.interfaces import Segmenter
    from segtween.reports.figures.failures import Drives
    from segtween.reports.figures.passage import Subject
    from segtween.reports.figures.shots import Shots
    from segtween.types import Rgb

app = Group(help="Pictures of what the method does, side by side, as PNG.")

Network = Annotated[NetworkOptions, Rare(*options.SELDOM_RUNTIME)]
Method = Annotated[MethodOptions, options.BY_INTERVAL, Rare("refine", "edge", "flow_quality", "weights", "async_keys")]
Panel = Annotated[int, typer.Option(metavar="PIXELS", help="Width of a panel.")]


@dataclass(frozen=True)
class PictureOptions:
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE.png", help="The picture to write.")]
    overwrite: shared.Overwrite = False

    PANEL: ClassVar[str] = "Output"

    def check(self) -> Path:
        """Whether it can be written: reported before anything is drawn."""
        from segtween.reports.figures.page import check_picture

        return check_picture(self.out, overwrite=self.overwrite)

    def save(self, page: Rgb) -> None:
        from segtween.cli.screen import show
        from segtween.reports.figures.page import save_png
        from segtween.types import format_size, size_of

        path = save_png(page, self.out)
        show(f"written: {path}, {format_size(size_of(page))} (width x height)")


@dataclass(frozen=True)
class ClipPicture(PictureOptions):
    panel: Panel = 360


@dataclass(frozen=True)
class SequencePicture(PictureOptions):
    truth: Annotated[bool, typer.Option("--truth", help="Add a row of the truth, where it is known.")] = False
    panel: Panel = 320


@dataclass(frozen=True)
class DrivesPicture(PictureOptions):
    rows: Annotated[int, typer.Option(metavar="N", help="Frames to show.")] = 4
    panel: Panel = 240


@dataclass(frozen=True)
class DriveOptions:
    """The synthetic street: one frame a second of each drive."""

    PANEL: ClassVar[str] = "Frames"

    seeds: Annotated[str, typer.Option(metavar="LIST", help="Drives through the synthetic street.")]
    traffic: Annotated[
        Literal["normal", "heavy"], typer.Option(metavar="NAME", help="normal or heavy, as in synth.")
    ] = "normal"
    frames: Annotated[int, typer.Option(metavar="N", help="Frames per drive, one a second.")] = 10
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the frames.")] = "480x360"

    def open(self, *, rate: Fraction = Fraction(1)) -> Drives:
        from segtween.reports.figures.failures import Drives

        return Drives(
            texts.numbers(self.seeds, option="--seeds"),
            frames=self.frames,
            rate=rate,
            size_hw=texts.size(self.size),
            traffic=self.traffic,
        )


@dataclass(frozen=True)
class FilmedDriveOptions(DriveOptions):
    """The synthetic street: every frame of each drive."""

    frames: Annotated[int, typer.Option(metavar="N", help="Frames per drive.")] = 30


@dataclass(frozen=True)
class SceneOptions(options.InputOptions):
    """Frames from a video, a data set's clip, or the synthetic street."""

    PANEL: ClassVar[str] = "Frames"

    clip: Annotated[str, typer.Option(metavar="NAME|N", help="Clip of the data set, by name or number.")] = "0"
    label_map: shared.LabelMapName = None
    street: Annotated[int | None, typer.Option(metavar="SEED", help="Or a drive through the street.")] = None
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the street's frames.")] = "640x480"

    INPUTS: ClassVar[tuple[str, ...]] = ("video", "street", "dataset")
    EXPECTED: ClassVar[str] = "one of a video, --street, or --dataset with --root"

    def open(self, network: Segmenter, *, labels: str | None, threads: int) -> Shots:
        from segtween.reports.figures.shots import DatasetShots, StreetShots, VideoShots

        data = self.open_dataset(network_labels=labels)
        if data is not None:
            return DatasetShots(data, self.clip, network.labels, map_name=self.label_map)
        if self.street is not None:
            return StreetShots(self.street, network.labels, size_hw=texts.size(self.size))
        return VideoShots(str(self.video), network.labels, threads=threads)


Scene = Annotated[SceneOptions, Rare("dataset_labels", "label_map")]


@app.command("clip")
def clip(
    *,
    picture: ClipPicture,
    scene: Scene,
    frames: Annotated[
        str | None,
        typer.Option(metavar="LIST", rich_help_panel="Frames", help="Frames to show, with commas, one row each."),
    ] = None,
    keys: shared.KeyFrameOptions,
    method: Method,
    occlusion: Annotated[
        str, typer.Option(metavar="NAME", rich_help_panel="Method", help="Estimate: photometric or forward-backward.")
    ] = "photometric",
    network: Network,
) -> None:
    """Input, edge, prediction, occlusion, truth and flow of single frames, each just before the next key frame.

    Examples:

        segtween figure clip --street 7 --frames 14,44,74 -o clip.png

        segtween figure clip --dataset camvid --root CamVid --frames 50 -o clip.png
    """
    from segtween.reports.figures.clip import clip_figure

    shown = None if frames is None else texts.numbers(frames, option="--frames")
    picture.check()
    subject = _subject(scene, method, network, keys)
    picture.save(clip_figure(subject, frames=shown, occlusion=occlusion, width=picture.panel))


@app.command("sequence")
def sequence(
    *,
    picture: SequencePicture,
    scene: Scene,
    key: Annotated[
        int | None, typer.Option(metavar="N", rich_help_panel="Frames", help="The key frame to begin with.")
    ] = None,
    keys: shared.KeyFrameOptions,
    method: Method,
    network: Network,
) -> None:
    """A key interval, frame by frame: inputs, the network on every frame, the method.

    Examples:

        segtween figure sequence --street 7 --truth -o sequence.png

        segtween figure sequence drive.mp4 --key 100 --interval 4 -o sequence.png
    """
    from segtween.reports.figures.sequence import sequence_figure

    picture.check()
    subject = _subject(scene, method, network, keys)
    picture.save(sequence_figure(subject, key=key, truth=picture.truth, width=picture.panel))


@app.command("failures")
def failures(
    *,
    picture: DrivesPicture,
    street: Annotated[DriveOptions, Without("traffic")],
    network: Network,
) -> None:
    """The worst frames of a network on drives through the synthetic street, with their truth.

    Examples:

        segtween figure failures --seeds 640,641,642,643 -o failures.png
    """
    from segtween.cli.screen import progress_bar
    from segtween.reports.figures.failures import failure_figure

    picture.check()
    drives = street.open()
    with progress_bar("street") as progress:
        page, _ = failure_figure(
            network.open(), drives, rows=picture.rows, width=picture.panel, threads=network.threads, progress=progress
        )
    picture.save(page)


@app.command("losses")
def losses(
    *,
    picture: DrivesPicture,
    street: FilmedDriveOptions,
    keys: shared.KeyFrameOptions,
    method: Method,
    network: Network,
) -> None:
    """The frames on which composed flow loses most against the network, without and with matching by appearance.

    Examples:

        segtween figure losses --seeds 900,901,902,903 -o losses.png
    """
    from segtween.cli.screen import progress_bar
    from segtween.reports.figures.losses import loss_figure
    from segtween.reports.figures.shots import STREET_RATE

    picture.check()
    settings = method.settings().at(keys.resolve())
    drives = street.open(rate=STREET_RATE)
    with progress_bar("street") as progress:
        page, _ = loss_figure(
            network.open(),
            settings,
            drives,
            rows=picture.rows,
            width=picture.panel,
            threads=network.threads,
            progress=progress,
        )
    picture.save(page)


@app.command("training")
def training(
    *,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where `segtween train` wrote to.")],
    picture: PictureOptions,
) -> None:
    """How the loss of a training fell, with that of the recipes before it.

    Examples:

        segtween figure training runs/mine -o loss.png
    """
    from segtween.cli.screen import show
    from segtween.reports.figures.curves import loss_figure

    parts = loss_figure(folder, picture.check())
    show(f"written: {picture.out}, {sum(len(part.losses) for part in parts)} steps")


def _subject(
    scene: SceneOptions, method: MethodOptions, network: NetworkOptions, keys: shared.KeyFrameOptions
) -> Subject:
    from segtween.reports.figures.passage import Subject

    settings = method.settings().at(keys.resolve())
    segmenter = network.open()
    shots = scene.open(segmenter, labels=network.label_set, threads=network.threads)
    return Subject(shots, segmenter, settings, method.name, threads=network.threads)
