"""`segtween export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segtween.cli import options
from segtween.cli.guard import guarded


@guarded
def export(
    what: Annotated[str, typer.Argument(metavar="NAME|CHECKPOINT", help="A shipped network or a weight file.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Where the network goes.")],
    labels: options.Labels = None,
    overwrite: options.Overwrite = False,
) -> None:
    """Write a network as graph, weights and record, ready for `--model FOLDER` and for any ONNX runtime.

    Examples:

        segtween export swiftnet-lite0.camvid -o mine/

        segtween export runs/mine/checkpoint.pt -o mine/

        segtween export cityscapes-swnet-R18.pt --labels cityscapes19 -o swiftnet/
    """
    from segtween.cli.screen import console
    from segtween.networks import export_network

    written = export_network(what, out, overwrite=overwrite, labels=labels)
    console.print("written: " + ", ".join(str(path) for path in written))
