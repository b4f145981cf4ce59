"""The command `segtween`. Every command is a thin entry point; its module and heavy imports load when it is run."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Any

import typer

from segtween._version import __version__
from segtween.cli.commands import Commands, Group, Listed
from segtween.cli.guard import INTERRUPTED, TERMINATED, leave_at_once

COMMANDS = {
    "run": ("run:run", "Segment every frame of a video: the network on key frames, optical flow in between."),
    "propagate": ("propagate:propagate", "Label some frames of a video, get all of them."),
    "ui": ("segtween.ui.command:ui", "A page in the browser: drop a video, watch the result, label frames."),
    "demo": ("demo:demo", "Segment a synthetic street both ways and show the two side by side."),
    "advise": ("advise:advise", "How to run a video: agreement with the network, and speed; without labels."),
    "evaluate": ("evaluate:evaluate", "Measure accuracy and temporal consistency on a data set."),
    "bench": ("bench:app", "Measure speed; without a subcommand: segtween bench speed."),
    "train": ("train:train", "Train a network from a recipe."),
    "export": ("export:export", "Write a network as a folder for --model, or make it ready for int8."),
    "synth": ("synth:synth", "Render synthetic street clips with exact labels, flow and occlusion."),
    "models": ("models:app", "List the shipped networks; look into an ONNX file."),
    "weights": ("weights:app", "Look into weight files of any published form; convert them."),
    "scores": ("scores:app", "Store a network's scores, to judge methods without running it again."),
    "table": ("table:app", "Tables of accuracy and speed, as Markdown, CSV, JSON and a plot."),
    "figure": ("figure:app", "Pictures of what the method does, side by side, as PNG."),
    "info": ("info:info", "Processor, precisions, threads, versions, graphics cards: for bug reports."),
}
"""Every command: where it is, in this package or by a full name, and a line of help that can be shown without loading
it."""


class Everything(Commands):
    """All commands, each loaded when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Listed | None:  # noqa: ARG002
        return Listed(cmd_name, *COMMANDS[cmd_name]) if cmd_name in COMMANDS else None


app = Group(
    cls=Everything,
    name="segtween",
    help="Video semantic segmentation: the network on key frames, optical flow in between.",
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"segtween {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


LOADING = ("run", "advise")
"""Commands that say at once that they load: what they need takes a second or two."""
SILENT = re.compile(r"-[a-z]*[qh][a-z]*|--quiet|--help(-all)?")


def main() -> None:
    """Runs the command and exits: 0, 2 for what cannot be used, 130 after Ctrl-C."""
    words = sys.argv[1:]
    if len(words) > 1 and words[0] in LOADING and not any(map(SILENT.fullmatch, words)):
        print("loading", file=sys.stderr, flush=True)  # noqa: T201
    try:
        app(prog_name="segtween")
    except SystemExit as end:
        if end.code in (INTERRUPTED, TERMINATED):
            leave_at_once(int(end.code))
        raise
