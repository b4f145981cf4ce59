"""The command `segtween`. Every command is a thin door; heavy imports wait until one is run."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from segtween._version import __version__
from segtween.cli import (
    bench,
    demo,
    evaluate,
    export,
    figure,
    models,
    propagate,
    run,
    scores,
    synth,
    table,
    train,
    weights,
)
from segtween.cli.guard import BAD_INPUT, say_error

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
app.command("propagate")(propagate.propagate)
app.command("demo")(demo.demo)
app.command("evaluate")(evaluate.evaluate)
app.add_typer(bench.app, name="bench")
app.command("train")(train.train)
app.command("export")(export.export)
app.command("synth")(synth.synth)
app.add_typer(models.app, name="models")
app.add_typer(weights.app, name="weights")
app.add_typer(scores.app, name="scores")
app.add_typer(table.app, name="table")
app.add_typer(figure.app, name="figure")


def main() -> None:
    """Runs the command and exits: 0, 2 for what cannot be used, 130 after Ctrl-C."""
    try:
        code = app(standalone_mode=False)
    except Exception as error:
        # Wrong options: Typer's own exceptions know their message; everything else is a fault of ours.
        tell = getattr(error, "format_message", None)
        if tell is None:
            raise
        if type(error).__name__ == "NoArgsIsHelpError":
            typer.echo(tell())
        else:
            say_error(f"{tell().rstrip('.')}; see `segtween --help` and `segtween COMMAND --help`")
        sys.exit(BAD_INPUT)
    sys.exit(code if isinstance(code, int) else 0)
