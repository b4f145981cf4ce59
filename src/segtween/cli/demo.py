"""`segtween demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segtween.cli import shared


def demo(
    *,
    out: Annotated[Path, shared.out_folder("Where the video goes.")] = Path("demo"),
    seconds: Annotated[
        float, typer.Option(metavar="S", rich_help_panel="Input", help="Length of the street clip.")
    ] = 3.0,
    animation: Annotated[
        Path | None,
        typer.Option(metavar="FILE", rich_help_panel="Output", help="An animated WebP of the flicker, too."),
    ] = None,
    keys: shared.KeyFrameOptions,
    threads: shared.Threads = 0,
) -> None:
    """Render a street, segment it on every frame and with the network on one frame in five, show both.

    Example:

        segtween demo --out demo

        segtween demo --animation flicker.webp
    """
    from segtween.cli.screen import notes, progress_bar, show

    notes.print("getting ready")  # at once: what is loaded next takes seconds the first time
    from segtween.demo import run_demo

    with progress_bar("demo") as progress:
        shown = run_demo(
            out, seconds=seconds, interval=keys.resolve(), threads=threads, progress=progress,
            tell=notes.print, animation=animation,
        )  # fmt: skip
    show(shown.table, f"Watch {shown.video}")
