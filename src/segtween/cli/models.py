"""`segtween models`: what is shipped, and how to bring your own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segtween.cli import options
from segtween.cli.guard import guarded

app = typer.Typer(help="List the shipped networks; look into an ONNX file.", invoke_without_command=True)


@app.callback()
@guarded
def models(context: typer.Context) -> None:
    """List the shipped networks with their labels, licence and measured figures."""
    if context.invoked_subcommand is not None:
        return
    from segtween.cli.screen import show
    from segtween.models.finding import find_record, shipped_models
    from segtween.texttable import TextTable

    records = [find_record(name) for name in shipped_models()]
    rows = []
    for record in records:
        measured = record.provenance.get("measured") or {}
        figures = ", ".join(f"{k} {v}" for k, v in measured.items() if not isinstance(v, dict)) or "-"
        rows.append((record.name, record.labels.name, figures, record.provenance.get("licence", "-")))
    show(TextTable("Shipped networks", ("name", "labels", "measured", "licence"), rows))


@app.command("inspect")
@guarded
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="Any ONNX segmentation network.")],
    write: Annotated[bool, typer.Option("--write", help="Write the proposal beside the file as its sidecar.")] = False,
    overwrite: options.Overwrite = False,
) -> None:
    """Propose the sidecar of an ONNX file: preprocessing, layout, stride, label set; guesses are marked.

    Example:

        segtween models inspect my.onnx --write
    """
    from segtween.cli.screen import show
    from segtween.errors import SinkError
    from segtween.models.records import save_record, sidecar_path
    from segtween.segmenters.inspect import inspect_onnx, summary_rows
    from segtween.texttable import TextTable

    record = inspect_onnx(file)
    show(TextTable(f"{file}", ("field", "value", ""), summary_rows(record)))
    if not write:
        show("Add --write to keep this as the file's sidecar.")
        return
    target = sidecar_path(file)
    if target.exists() and not overwrite:
        raise SinkError(f"{target} exists", expected="no such file yet", do="give --overwrite to replace it")
    save_record(record, target)
    show(f"written: {target}" + ("; check the guessed fields" if record.guessed else ""))
