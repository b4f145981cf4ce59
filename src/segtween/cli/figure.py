"""`segtween figure`: pictures of what a method does, for papers and documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segtween.cli import options
from segtween.cli.guard import guarded

if TYPE_CHECKING:
    from segtween.build import Settings
    from segtween.figures.shots import Shots
    from segtween.interfaces import Segmenter
    from segtween.types import Rgb

app = typer.Typer(help="Pictures of what the method does, side by side, as PNG.", no_args_is_help=True)

Out = Annotated[Path, typer.Option("--out", "-o", metavar="FILE.png", help="The picture to write.")]
Video = Annotated[str | None, typer.Argument(metavar="[INPUT]", help="A video or image folder.")]
Dataset = Annotated[
    str | None, typer.Option("--dataset", "-d", metavar="NAME", help="Or a data set: camvid, cityscapes, ...")
]
Root = Annotated[Path | None, typer.Option("--root", metavar="FOLDER", help="Where the data set lies.")]
Split = Annotated[str, typer.Option("--split", metavar="NAME", help="Part of the data set.")]
Clip = Annotated[str, typer.Option("--clip", metavar="NAME|N", help="Clip of the data set, by name or number.")]
Street = Annotated[int | None, typer.Option("--street", metavar="SEED", help="Or a drive through the street.")]
Size = Annotated[str, typer.Option("--size", metavar="WIDTHxHEIGHT", help="Size of the street's frames.")]
Map = Annotated[str | None, typer.Option("--map", metavar="NAME", help="Label map to the data set's classes.")]


@app.callback()
def figure() -> None:
    pass


@app.command("clip")
@guarded
def clip(
    out: Out,
    video: Video = None,
    dataset: Dataset = None,
    root: Root = None,
    split: Split = "val",
    clip_name: Clip = "0",
    street: Street = None,
    size: Size = "640x480",
    frames: Annotated[
        str | None, typer.Option("--frames", metavar="LIST", help="Frames to show, with commas, one row each.")
    ] = None,
    interval: options.Interval = None,
    every: options.Every = None,
    preset: options.Preset = "blend",
    occlusion: Annotated[
        str, typer.Option("--occlusion", metavar="NAME", help="Estimate: photometric or forward-backward.")
    ] = "photometric",
    panel: Annotated[int, typer.Option("--panel", metavar="PIXELS", help="Width of a panel.")] = 360,
    overwrite: options.Overwrite = False,
    model: options.Model = "swiftnet-lite0.camvid",
    label_map: Map = None,
    labels: options.Labels = None,
    dataset_labels: options.DatasetLabels = None,
    runtime: options.Runtime = "openvino",
    provider: options.Provider = None,
    precision: options.Precision = "float32",
    scale: options.Scale = 1.0,
    threads: options.Threads = 0,
) -> None:
    """Input, edge, prediction, occlusion, truth and flow of single frames, each just before the next key frame.

    Examples:

        segtween figure clip --street 7 --frames 14,44,74 -o clip.png

        segtween figure clip --dataset camvid --root CamVid --frames 50 -o clip.png
    """
    from segtween.figures.clip import clip_figure

    shown = None if frames is None else options.numbers(frames, option="--frames")
    settings, network = _method(
        preset, interval, every, model, runtime=runtime, provider=provider, precision=precision, scale=scale,
        threads=threads, labels=labels, out=out, overwrite=overwrite,
    )  # fmt: skip
    shots = _shots(video, dataset, root, street, network, size=size, split=split, clip=clip_name, label_map=label_map,
                   labels=labels, dataset_labels=dataset_labels, threads=threads)  # fmt: skip
    page = clip_figure(
        shots, network, settings=settings, name=preset, frames=shown, occlusion=occlusion, width=panel, threads=threads
    )
    _finish(page, out)


@app.command("sequence")
@guarded
def sequence(
    out: Out,
    video: Video = None,
    dataset: Dataset = None,
    root: Root = None,
    split: Split = "val",
    clip_name: Clip = "0",
    street: Street = None,
    size: Size = "640x480",
    key: Annotated[int | None, typer.Option("--key", metavar="N", help="The key frame to begin with.")] = None,
    interval: options.Interval = None,
    every: options.Every = None,
    preset: options.Preset = "blend",
    truth: Annotated[bool, typer.Option("--truth", help="Add a row of the truth, where it is known.")] = False,
    panel: Annotated[int, typer.Option("--panel", metavar="PIXELS", help="Width of a panel.")] = 320,
    overwrite: options.Overwrite = False,
    model: options.Model = "swiftnet-lite0.camvid",
    label_map: Map = None,
    labels: options.Labels = None,
    dataset_labels: options.DatasetLabels = None,
    runtime: options.Runtime = "openvino",
    provider: options.Provider = None,
    precision: options.Precision = "float32",
    scale: options.Scale = 1.0,
    threads: options.Threads = 0,
) -> None:
    """A key interval, frame by frame: inputs, the network on every frame, the method.

    Examples:

        segtween figure sequence --street 7 --truth -o sequence.png

        segtween figure sequence drive.mp4 --key 100 --interval 4 -o sequence.png
    """
    from segtween.figures.sequence import sequence_figure

    settings, network = _method(
        preset, interval, every, model, runtime=runtime, provider=provider, precision=precision, scale=scale,
        threads=threads, labels=labels, out=out, overwrite=overwrite,
    )  # fmt: skip
    shots = _shots(video, dataset, root, street, network, size=size, split=split, clip=clip_name, label_map=label_map,
                   labels=labels, dataset_labels=dataset_labels, threads=threads)  # fmt: skip
    page = sequence_figure(
        shots, network, settings=settings, name=preset, key=key, truth=truth, width=panel, threads=threads
    )
    _finish(page, out)


def _method(
    preset: str, interval: int | None, every: int | None, model: str, *, out: Path, overwrite: bool, **network: Any
) -> tuple[Settings, Segmenter]:
    from segtween.api import resolve_interval
    from segtween.build import find_preset
    from segtween.figures.page import check_picture
    from segtween.segmenters import open_segmenter

    check_picture(out, overwrite=overwrite)
    settings = find_preset(preset).at(resolve_interval(interval, every))
    return settings, open_segmenter(model, **network)


def _shots(
    video: str | None,
    dataset: str | None,
    root: Path | None,
    street: int | None,
    network: Segmenter,
    *,
    size: str,
    split: str,
    clip: str,
    label_map: str | None,
    labels: str | None,
    dataset_labels: str | None,
    threads: int,
) -> Shots:
    from segtween.errors import SettingError
    from segtween.figures.shots import DatasetShots, StreetShots, VideoShots

    if sum(given is not None for given in (video, dataset, street)) != 1 or (dataset is None) != (root is None):
        raise SettingError(
            "the input is not clear",
            expected="one of a video, --street, or --dataset with --root",
            do="give one of the three",
        )
    if street is not None:
        return StreetShots(street, network.labels, size_hw=options.size(size))
    if dataset is not None and root is not None:
        data = options.labelled_data(dataset, root, split=split, labels=dataset_labels, network_labels=labels)
        return DatasetShots(data, clip, network.labels, map_name=label_map)
    return VideoShots(str(video), network.labels, threads=threads)


def _finish(page: Rgb, out: Path) -> None:
    from segtween.cli.screen import console
    from segtween.figures.page import save_png
    from segtween.types import format_size

    path = save_png(page, out)
    console.print(f"written: {path}, {format_size((page.shape[0], page.shape[1]))} (width x height)")
