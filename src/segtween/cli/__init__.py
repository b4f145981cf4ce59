"""The command `segtween`. Every command is a thin door; heavy imports wait until one is run."""

from __future__ import annotations

from typing import Annotated

import typer

from segtween._version import __version__
from segtween.cli import bench, demo, evaluate, export, models, run, synth, train

app = typer.Typer(
    name="segtween",
    help="Video semantic segmentation: the network on key frames, optical flow in between.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
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


app.command("run")(run.run)
app.command("demo")(demo.demo)
app.command("evaluate")(evaluate.evaluate)
app.command("bench")(bench.bench)
app.command("train")(train.train)
app.command("export")(export.export)
app.command("synth")(synth.synth)
app.add_typer(models.app, name="models")


def main() -> None:
    app()
