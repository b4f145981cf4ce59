"""`segtween advise`."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Any

import typer

from segtween.cli import options, shared
from segtween.cli.grouping import Rare, Without
from segtween.cli.options import NetworkOptions
from segtween.settings import DEFAULT_PRESET

Network = Annotated[
    NetworkOptions,
    Without("scores", "network_threads"),
    Rare(*(name for name in options.SELDOM_NETWORK if name not in ("scores", "network_threads"))),
]


def advise(
    *,
    video: Annotated[str, typer.Argument(metavar="VIDEO", help="A video file, image folder or pattern.")],
    network: Network,
    tolerance: Annotated[
        float,
        typer.Option(
            metavar="SHARE",
            rich_help_panel="Method",
            help="Agreement that speed may cost, against what agrees best: mIoU with the network, 0 to 1.",
        ),
    ] = 0.05,
    seconds: Annotated[
        float, typer.Option(metavar="S", rich_help_panel="Timing", help="How long it may take, roughly.")
    ] = 60.0,
    quiet: shared.Quiet = False,
    json_file: shared.Json = None,
) -> None:
    """How to run this video with this network: agreement with the network on every frame, and speed. No labels needed.

    Clips from all over the video are labelled online and offline, with the network on every 2nd to 15th frame.

    Examples:

        segtween advise drive.mp4

        segtween advise drive.mp4 --model my.onnx --tolerance 0.02 --json advice.json
    """
    from segtween.cli.run_texts import compiling
    from segtween.cli.screen import progress_bar, show
    from segtween.device import CPU
    from segtween.reports.advice import Request
    from segtween.reports.advice import advise as measure
    from segtween.run.ending import write_json
    from segtween.video import open_source
    from segtween.video.staging import check_writable

    request = Request(video, seconds=seconds, tolerance=tolerance, threads=network.threads)
    open_source(video).close()  # what cannot be read is said before anything takes long
    if json_file is not None:
        check_writable(json_file)
    with compiling(network.chosen_model(), device=CPU, quiet=quiet):
        segmenter = network.open()

    def command(row: Mapping[str, Any] | None) -> str:
        return shlex.join(["segtween", "run", video, "-o", "out", *_method_words(row), *_network_words(network)])

    with progress_bar("advise") as progress:
        found = measure(request, segmenter, command=command, progress=progress)
    if json_file is not None:
        write_json(found.to_json(), json_file)
    if not quiet:
        show(*found.tables(), all_in="--json FILE")


def _method_words(row: Mapping[str, Any] | None) -> list[str]:
    """The options of `segtween run` for what a row is of; files are run offline where nothing else is asked for."""
    from segtween.api import EVERY_FRAME

    if row is None:
        return ["--preset", EVERY_FRAME]
    preset = [] if row["preset"] == DEFAULT_PRESET else ["--preset", row["preset"]]
    return ["--every", f"{row['interval'] + 1}", f"--{row['mode']}", *preset]


def _network_words(network: NetworkOptions) -> list[str]:
    given = {field.name: (getattr(network, field.name), field.default) for field in fields(network)}
    changed = {name: value for name, (value, default) in given.items() if value != default}
    return [word for name, value in changed.items() for word in (f"--{name.replace('_', '-')}", str(value))]
