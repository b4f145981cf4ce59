"""`segtween figure`: pictures of what a method does, for papers and documents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import typer

from segtween.cli import options
from segtween.cli.grouping import grouped
from segtween.cli.guard import guarded
from segtween.cli.options import MethodOptions, NetworkOptions

if TYPE_CHECKING:
    from segtween.interfaces import Segmenter
    from segtween.reports.figures.shots import Shots
    from segtween.settings import Settings
    from segtween.types import Rgb

app = typer.Typer(help="Pictures of what the method does, side by side, as PNG.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", "-o", metavar="FILE.png", help="The picture to write.")]


@dataclass(frozen=True)
class SceneOptions(options.InputOptions):
    """Frames from a video, a data set's clip, or the synthetic street."""

    clip: Annotated[str, typer.Option("--clip", metavar="NAME|N", help="Clip of the data set, by name or number.")] = (
        "0"
    )
    label_map: options.LabelMapName = None
    street: Annotated[int | None, typer.Option("--street", metavar="SEED", help="Or a drive through the street.")] = (
        None
    )
    size: Annotated[str, typer.Option("--size", metavar="WIDTHxHEIGHT", help="Size of the street's frames.")] = (
        "640x480"
    )

    WAYS: ClassVar[tuple[str, ...]] = ("video", "street", "dataset")
    EXPECTED: ClassVar[str] = "one of a video, --street, or --dataset with --root"

    def open(self, network: Segmenter, *, labels: str | None, threads: int) -> Shots:
        from segtween.reports.figures.shots import DatasetShots, StreetShots, VideoShots

        data = self.open_dataset(network_labels=labels)
        if data is not None:
            return DatasetShots(data, self.clip, network.labels, map_name=self.label_map)
        if self.street is not None:
            return StreetShots(self.street, network.labels, size_hw=options.size(self.size))
        return VideoShots(str(self.video), network.labels, threads=threads)


@app.callback()
def figure() -> None:
    pass


@app.command("clip")
@guarded
@grouped
def clip(
    *,
    out: Out,
    scene: SceneOptions,
    frames: Annotated[
        str | None, typer.Option("--frames", metavar="LIST", help="Frames to show, with commas, one row each.")
    ] = None,
    interval: options.Interval = None,
    every: options.Every = None,
    method: Annotated[MethodOptions, options.BY_INTERVAL],
    occlusion: Annotated[
        str, typer.Option("--occlusion", metavar="NAME", help="Estimate: photometric or forward-backward.")
    ] = "photometric",
    panel: Annotated[int, typer.Option("--panel", metavar="PIXELS", help="Width of a panel.")] = 360,
    overwrite: options.Overwrite = False,
    network: NetworkOptions,
) -> None:
    """Input, edge, prediction, occlusion, truth and flow of single frames, each just before the next key frame.

    Examples:

        segtween figure clip --street 7 --frames 14,44,74 -o clip.png

        segtween figure clip --dataset camvid --root CamVid --frames 50 -o clip.png
    """
    from segtween.reports.figures.clip import clip_figure

    shown = None if frames is None else options.numbers(frames, option="--frames")
    made = _prepare(out, scene, method, network, interval=interval, every=every, overwrite=overwrite)
    page = clip_figure(
        made.shots,
        made.segmenter,
        settings=made.settings,
        name=method.name,
        frames=shown,
        occlusion=occlusion,
        width=panel,
        threads=network.threads,
    )
    _finish(page, out)


@app.command("sequence")
@guarded
@grouped
def sequence(
    *,
    out: Out,
    scene: SceneOptions,
    key: Annotated[int | None, typer.Option("--key", metavar="N", help="The key frame to begin with.")] = None,
    interval: options.Interval = None,
    every: options.Every = None,
    method: Annotated[MethodOptions, options.BY_INTERVAL],
    truth: Annotated[bool, typer.Option("--truth", help="Add a row of the truth, where it is known.")] = False,
    panel: Annotated[int, typer.Option("--panel", metavar="PIXELS", help="Width of a panel.")] = 320,
    overwrite: options.Overwrite = False,
    network: NetworkOptions,
) -> None:
    """A key interval, frame by frame: inputs, the network on every frame, the method.

    Examples:

        segtween figure sequence --street 7 --truth -o sequence.png

        segtween figure sequence drive.mp4 --key 100 --interval 4 -o sequence.png
    """
    from segtween.reports.figures.sequence import sequence_figure

    made = _prepare(out, scene, method, network, interval=interval, every=every, overwrite=overwrite)
    page = sequence_figure(
        made.shots,
        made.segmenter,
        settings=made.settings,
        name=method.name,
        key=key,
        truth=truth,
        width=panel,
        threads=network.threads,
    )
    _finish(page, out)


@app.command("failures")
@guarded
@grouped
def failures(
    *,
    out: Out,
    seeds: Annotated[str, typer.Option("--seeds", metavar="LIST", help="Drives through the synthetic street.")],
    frames: Annotated[int, typer.Option("--frames", metavar="N", help="Frames per drive, one a second.")] = 10,
    rows: Annotated[int, typer.Option("--rows", metavar="N", help="Frames to show.")] = 4,
    size: Annotated[str, typer.Option("--size", metavar="WIDTHxHEIGHT", help="Size of the frames.")] = "480x360",
    panel: Annotated[int, typer.Option("--panel", metavar="PIXELS", help="Width of a panel.")] = 240,
    overwrite: options.Overwrite = False,
    network: NetworkOptions,
) -> None:
    """The worst frames of a network on drives through the synthetic street, beside their truth.

    Examples:

        segtween figure failures --seeds 640,641,642,643 -o failures.png
    """
    from segtween.cli.screen import progress_bar
    from segtween.reports.figures.failures import failure_figure
    from segtween.reports.figures.page import check_picture

    check_picture(out, overwrite=overwrite)
    with progress_bar("street") as progress:
        page, _ = failure_figure(
            network.open(),
            seeds=options.numbers(seeds, option="--seeds"),
            frames=frames,
            rows=rows,
            size_hw=options.size(size),
            width=panel,
            threads=network.threads,
            progress=progress,
        )
    _finish(page, out)


@app.command("training")
@guarded
def training(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where `segtween train` wrote to.")],
    *,
    out: Out,
    overwrite: options.Overwrite = False,
) -> None:
    """How the loss of a training fell, with that of the recipes before it.

    Examples:

        segtween figure training runs/mine -o loss.png
    """
    from segtween.cli.screen import console
    from segtween.reports.figures.curves import loss_figure
    from segtween.reports.figures.page import check_picture

    parts = loss_figure(folder, check_picture(out, overwrite=overwrite))
    console.print(f"written: {out}, {sum(len(part.losses) for part in parts)} steps")


class _Made(NamedTuple):
    shots: Shots
    segmenter: Segmenter
    settings: Settings


def _prepare(
    out: Path,
    scene: SceneOptions,
    method: MethodOptions,
    network: NetworkOptions,
    *,
    interval: int | None,
    every: int | None,
    overwrite: bool,
) -> _Made:
    from segtween.api import resolve_interval
    from segtween.reports.figures.page import check_picture

    check_picture(out, overwrite=overwrite)
    settings = method.settings().at(resolve_interval(interval, every))
    segmenter = network.open()
    return _Made(scene.open(segmenter, labels=network.labels, threads=network.threads), segmenter, settings)


def _finish(page: Rgb, out: Path) -> None:
    from segtween.cli.screen import console
    from segtween.reports.figures.page import save_png
    from segtween.types import format_size

    path = save_png(page, out)
    console.print(f"written: {path}, {format_size((page.shape[0], page.shape[1]))} (width x height)")
