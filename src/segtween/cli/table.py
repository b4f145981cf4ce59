"""`segtween table`: accuracy and speed in one table, over intervals or scales; how well occlusion is estimated."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from segtween.cli import options
from segtween.cli.guard import guarded

if TYPE_CHECKING:
    from segtween.tables.study import Study

app = typer.Typer(help="Tables of accuracy and speed, as Markdown, CSV, JSON and a plot.", no_args_is_help=True)

Dataset = Annotated[str, typer.Option("--dataset", "-d", metavar="NAME", help="camvid, cityscapes, folders or vspw.")]
Root = Annotated[Path, typer.Option("--root", metavar="FOLDER", help="Where the data set lies.")]
Split = Annotated[str, typer.Option("--split", metavar="NAME", help="Part of the data set.")]
Presets = Annotated[str, typer.Option("--presets", metavar="LIST", help="Presets of the method, with commas.")]
Map = Annotated[str | None, typer.Option("--map", metavar="NAME", help="Label map to the data set's classes.")]
Repeats = Annotated[int, typer.Option("--repeats", metavar="N", help="Periods timed per interval.")]
MaxFrames = Annotated[
    int | None, typer.Option("--max-frames", metavar="N", help="Accuracy on the first N frames of the data set only.")
]
Out = Annotated[
    Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="Write the table there: .md, .csv and .json.")
]
Plot = Annotated[bool, typer.Option("--plot", help="Draw accuracy against speed too: .png and .svg; needs [figures].")]


@app.callback()
def table() -> None:
    pass


@app.command("intervals")
@guarded
def intervals(
    dataset: Dataset,
    root: Root,
    split: Split = "val",
    model: options.Model = "swiftnet-lite0.camvid",
    presets: Presets = "blend",
    wanted: Annotated[str, typer.Option("--intervals", metavar="LIST", help="Intervals, with commas.")] = "0,1,2,3,4",
    scale: options.Scale = 1.0,
    out: Out = None,
    plot: Plot = False,
    overwrite: options.Overwrite = False,
    repeats: Repeats = 7,
    max_frames: MaxFrames = None,
    label_map: Map = None,
    labels: options.Labels = None,
    dataset_labels: options.DatasetLabels = None,
    runtime: options.Runtime = "openvino",
    provider: options.Provider = None,
    precision: options.Precision = "float32",
    threads: options.Threads = 0,
) -> None:
    """Accuracy, speed and steadiness over intervals, at one scale.

    Example:

        segtween table intervals --dataset camvid --root CamVid --presets blend,warp -o tables/ --plot
    """
    network = {"runtime": runtime, "provider": provider, "precision": precision, "threads": threads, "labels": labels}
    measured = {"max_frames": max_frames, "map_name": label_map, "repeats": repeats, "threads": threads}
    _speed(
        "intervals",
        options.labelled_data(dataset, root, split=split, labels=dataset_labels, network_labels=labels),
        model,
        presets,
        {"intervals": options.numbers(wanted, option="--intervals"), "scale": scale, **measured},
        network,
        out,
        plot=plot,
        overwrite=overwrite,
    )


@app.command("scales")
@guarded
def scales(
    dataset: Dataset,
    root: Root,
    split: Split = "val",
    model: options.Model = "swiftnet-lite0.camvid",
    presets: Presets = "blend",
    wanted: Annotated[str, typer.Option("--scales", metavar="LIST", help="Scales, with commas.")] = "0.5,0.75,1",
    interval: Annotated[int, typer.Option("--interval", "-i", metavar="I", help="Frames between key frames.")] = 2,
    out: Out = None,
    plot: Plot = False,
    overwrite: options.Overwrite = False,
    repeats: Repeats = 7,
    max_frames: MaxFrames = None,
    label_map: Map = None,
    labels: options.Labels = None,
    dataset_labels: options.DatasetLabels = None,
    runtime: options.Runtime = "openvino",
    provider: options.Provider = None,
    precision: options.Precision = "float32",
    threads: options.Threads = 0,
) -> None:
    """Accuracy, speed and steadiness at one interval, with frames shown to the network at several scales.

    Example:

        segtween table scales --dataset camvid --root CamVid --interval 2 -o tables/ --plot
    """
    network = {"runtime": runtime, "provider": provider, "precision": precision, "threads": threads, "labels": labels}
    measured = {"max_frames": max_frames, "map_name": label_map, "repeats": repeats, "threads": threads}
    _speed(
        "scales",
        options.labelled_data(dataset, root, split=split, labels=dataset_labels, network_labels=labels),
        model,
        presets,
        {"scales": options.scales(wanted), "interval": interval, **measured},
        network,
        out,
        plot=plot,
        overwrite=overwrite,
    )


@app.command("occlusion")
@guarded
def occlusion(
    seeds: Annotated[str, typer.Option(metavar="LIST", help="Drives through the synthetic street.")] = "1,2,3,4",
    frames: Annotated[int, typer.Option(metavar="N", help="Frames per drive.")] = 20,
    size: Annotated[str, typer.Option(metavar="WIDTHxHEIGHT", help="Size of the frames.")] = "480x360",
    preset: options.Preset = "blend",
    sweep: Annotated[bool, typer.Option("--sweep", help="Try other thresholds as well.")] = False,
    out: Out = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Precision, recall and F1 of the occlusion estimates, against the synthetic street's exact occlusion.

    Example:

        segtween table occlusion --seeds 1,2,3,4
    """
    from segtween.build import find_preset
    from segtween.cli.screen import progress_bar
    from segtween.tables.occlusion import occlusion_table
    from segtween.tables.study import FORMS, check_targets

    if out is not None:
        check_targets(out, [f"occlusion{form}" for form in FORMS], overwrite=overwrite)
    with progress_bar("street") as progress:
        study = occlusion_table(
            seeds=options.numbers(seeds, option="--seeds"),
            frames=frames,
            size_hw=options.size(size),
            settings=find_preset(preset),
            sweep=sweep,
            command=options.command_line(),
            progress=progress,
        )
    _finish(study, out, plot=False)


def _speed(
    name: str,
    data: Any,
    model: str,
    presets: str,
    measured: dict[str, Any],
    network: dict[str, Any],
    out: Path | None,
    *,
    plot: bool,
    overwrite: bool,
) -> None:
    from segtween.build import find_preset
    from segtween.cli.screen import progress_bar
    from segtween.errors import SettingError
    from segtween.segmenters import open_segmenter
    from segtween.tables import speed
    from segtween.tables.plot import FORMATS, require_matplotlib
    from segtween.tables.study import FORMS, check_targets

    if plot:
        require_matplotlib()
        if out is None:
            raise SettingError("--plot without --out", expected="a folder for the plot", do="give --out tables/")
    if out is not None:
        forms = [*FORMS, *(f".{kind}" for kind in FORMATS if plot)]
        check_targets(out, [f"{name}{form}" for form in forms], overwrite=overwrite)
    chosen = {preset: find_preset(preset) for preset in options.words(presets) or []}
    make = speed.intervals_table if name == "intervals" else speed.scales_table
    with progress_bar(name) as progress:
        study = make(
            data,
            lambda scale: open_segmenter(model, scale=scale, **network),
            presets=chosen,
            command=options.command_line(),
            progress=progress,
            **measured,
        )
    _finish(study, out, plot=plot)


def _finish(study: Study, out: Path | None, *, plot: bool) -> None:
    from segtween.cli.screen import console

    console.print(study.screen())
    console.print("\n".join(study.notes))
    if out is None:
        return
    written: Sequence[Path] = study.save(out)
    if plot:
        from segtween.tables.plot import plot as draw

        written = [*written, *draw(study, out)]
    console.print("written: " + ", ".join(str(path) for path in written))
