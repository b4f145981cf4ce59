"""`segtween models`: what is shipped, and how to bring your own."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from segtween.cli import shared
from segtween.cli.commands import Group
from segtween.cli.guard import guarded

if TYPE_CHECKING:
    from segtween.models.records import ModelRecord
    from segtween.texttable import TextTable

WIDTH = 80

app = Group(
    no_args_is_help=False,
    help="List the shipped networks; look into an ONNX file.",
    invoke_without_command=True,
)


@app.callback()
@guarded
def models(context: typer.Context) -> None:
    """List the shipped networks with their labels, licence and measured figures."""
    if context.invoked_subcommand is not None:
        return
    from segtween.cli.screen import show
    from segtween.models.finding import find_record, shipped_models

    records = [find_record(name) for name in shipped_models()]
    show(listed(records), *licences(records))


def listed(records: Sequence[ModelRecord]) -> TextTable:
    """Name, label set and measured mIoU of each network; those with random weights say so."""
    from segtween.texttable import TextTable

    rows = [[record.name, record.labels.name, _measured(record)] for record in records]
    return TextTable("Shipped networks", ["name", "labels", "measured mIoU, %"], rows)


def _measured(record: ModelRecord) -> str:
    if record.is_random:
        return "random weights: for timing only"
    figures = record.provenance.get("measured") or {}
    known = [f"{data} {100 * of['miou']:.1f}" for data, of in figures.items() if isinstance(of, dict) and "miou" in of]
    return ", ".join(known) or "-"


def licences(records: Sequence[ModelRecord]) -> list[str]:
    """A text for each network that has one, of lines that fit a narrow terminal."""
    licences_by_name = {record.name: record.provenance.get("licence") for record in records}
    return [
        textwrap.fill(f"{name}: {licence}", WIDTH, subsequent_indent="  ", break_long_words=False)
        for name, licence in licences_by_name.items()
        if licence is not None
    ]


@app.command("inspect")
@guarded
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="Any ONNX segmentation network.")],
    write: Annotated[bool, typer.Option("--write", help="Write the proposal beside the file as its sidecar.")] = False,
    overwrite: shared.Overwrite = False,
    label_set: shared.LabelSetName = None,
    output_kind: Annotated[
        str | None,
        typer.Option(
            "--output-kind",
            metavar="KIND",
            help="What the output is: logits, probabilities, labels, yolo-seg, maskformer, mask2former, oneformer.",
        ),
    ] = None,
    fixed: Annotated[
        list[str] | None,
        typer.Option("--fixed", metavar="NAME=NUMBERS", help="Values of an input beside the image: size=512,1024."),
    ] = None,
) -> None:
    """Propose the sidecar of an ONNX file: preprocessing, layout, stride, label set; guesses are marked.

    Examples:

        segtween models inspect my.onnx --write

        segtween models inspect my.onnx --label-set my.yaml
    """
    from segtween.cli.screen import show
    from segtween.errors import SinkError
    from segtween.models.records import save_record, sidecar_path
    from segtween.segmenters.inspect import propose
    from segtween.texttable import TextTable

    proposal = propose(
        file, label_set=label_set, output_kind=cast(Any, output_kind), fixed=dict(map(_fixed, fixed or []))
    )
    show(TextTable(f"{file}", ("field", "value", "from"), proposal.rows()))
    if not write:
        show("Add --write to keep this as the file's sidecar.")
        return
    target = sidecar_path(file)
    if target.exists() and not overwrite:
        raise SinkError(f"{target} exists", expected="no such file yet", do="give --overwrite to replace it")
    save_record(proposal.record, target)
    show(f"written: {target}" + ("; check the guessed fields" if proposal.record.guessed else ""))


def _fixed(text: str) -> tuple[str, Any]:
    """`size=512,1024` -> size, [512, 1024], and `alpha=1` -> alpha, 1; whole numbers stay whole."""
    from segtween.errors import SettingError

    name, _, numbers = text.rpartition("=")
    try:
        values = [int(n) if n.strip().lstrip("-").isdigit() else float(n) for n in numbers.split(",")]
    except ValueError:
        values = []
    if not name or not values:
        raise SettingError(f"--fixed {text!r}", expected="NAME=NUMBERS", do="give --fixed size=512,1024")
    return name, values if "," in numbers else values[0]
