"""`segtween models`: what is shipped, and how to bring your own."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from segtween.cli import shared
from segtween.cli.commands import Group
from segtween.cli.guard import guarded
from segtween.errors import SettingError, SinkError

if TYPE_CHECKING:
    from segtween.models.records import ModelRecord
    from segtween.texttable import TextTable

WIDTH = 80
TRAINED_SIZE = (
    "At what size were its training frames shown to it? With `trained_size: WIDTHxHEIGHT` in its sidecar, --scale auto "
    "brings frames near that size; without it they keep their own."
)

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
def inspect(
    file: Annotated[Path, typer.Argument(metavar="FILE.onnx", help="Any ONNX segmentation network.")],
    labels: Annotated[
        Path | None, typer.Argument(metavar="[LABELS.png]", help="Labels of the picture that --check is given.")
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="IMAGE.png",
            help="Try the usual preprocessings on a picture: ranked by mIoU, without labels by entropy.",
        ),
    ] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the proposal beside the file as its sidecar.")] = False,
    overwrite: shared.Overwrite = False,
    label_set: shared.LabelSetName = None,
    output_kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="What the output is: logits, probabilities, labels, yolo-seg, maskformer, mask2former, oneformer.",
        ),
    ] = None,
    fixed: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=NUMBERS", help="Values of an input beside the image: size=512,1024."),
    ] = None,
) -> None:
    """Propose the sidecar of an ONNX file: preprocessing, layout, stride, label set; guesses are marked.

    Examples:

        segtween models inspect my.onnx --write

        segtween models inspect my.onnx --label-set my.yaml

        segtween models inspect my.onnx --check image.png labels.png --write
    """
    from segtween.cli.screen import show
    from segtween.models.records import save_record, sidecar_path
    from segtween.segmenters.inspect import propose
    from segtween.texttable import TextTable
    from segtween.video.staging import check_writable, refuse_existing

    target = sidecar_path(file)
    if write:
        refuse_existing(target, overwrite=overwrite)
        check_writable(target)
    proposal = propose(
        file, label_set=label_set, output_kind=cast(Any, output_kind), fixed=dict(map(_fixed, fixed or []))
    )
    if check is not None or labels is not None:
        proposal = replace(proposal, record=_checked(proposal.record, check, labels))
    show(TextTable(f"{file}", ("field", "value", "from"), proposal.rows()))
    if proposal.asks_for_trained_size:
        show(TRAINED_SIZE)
    if not write:
        show("Add --write to keep this as the file's sidecar.")
        return
    save_record(proposal.record, target)
    show(f"written: {target}" + ("; check the guessed fields" if proposal.record.guessed else ""))


def _checked(record: ModelRecord, image: Path | None, labels: Path | None) -> ModelRecord:
    """The record with the preprocessing that does best on a picture; shows how all of them do."""
    from segtween.cli.screen import progress_bar, show
    from segtween.datasets.reading import read_ids
    from segtween.run.preprocessing import confirmed, try_preprocessing
    from segtween.texttable import TextTable
    from segtween.video.images import read_image

    if image is None:
        raise SettingError(f"{labels} without a picture", expected="--check IMAGE.png LABELS.png", do="give both")
    truth = None if labels is None else record.labels.decode(read_ids(labels), name=str(labels), strict=True)
    with progress_bar("preprocessings") as progress:
        attempts = try_preprocessing(record, read_image(image), truth, progress=progress)
    if truth is None:
        names, figures = ["bits per cell", "bits of all"], [[a.cell_entropy, a.mean_entropy] for a in attempts]
    else:
        names, figures = ["mIoU, %"], [[100 * a.figure] for a in attempts]
    rows = [
        [a.name, a.input.channels, *(f"{value:.2f}" for value in of)] for a, of in zip(attempts, figures, strict=True)
    ]
    show(TextTable(f"Preprocessing, tried on {image.name}", ["preprocessing", "channels", *names], rows))
    return confirmed(record, attempts)


@app.command("test")
def draw_sheet(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A network: shipped name, .onnx, .xml or .pt2 file, function.")
    ],
    source: Annotated[str, typer.Argument(metavar="INPUT", help="A video, an image, or a folder of images.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.png", help="The picture; by default NAME.test.png here.")
    ] = None,
    overwrite: shared.Overwrite = False,
    label_set: shared.LabelSetName = None,
) -> None:
    """One picture of a network at work: input, labels, confidence, area of each class, time on this machine.

    A file without a sidecar is tried as `models inspect` proposes.

    Example:

        segtween models test my.onnx drive.mp4
    """
    from segtween.cli.screen import show
    from segtween.run.network_sheet import sheet_of
    from segtween.video.png import encode_png
    from segtween.video.staging import check_writable, refuse_existing, written

    target = out or Path(f"{Path(model).stem}.test.png")
    refuse_existing(target, overwrite=overwrite)
    check_writable(target)
    if target.suffix.lower() != ".png":
        raise SinkError(f"{target} is no .png file", expected="a name that ends in .png", do="rename it")
    sheet = sheet_of(model, source, label_set=label_set)
    with written(target) as part:
        part.write_bytes(encode_png(sheet.picture))
    show(*sheet.lines, f"written: {target}")


def _fixed(text: str) -> tuple[str, Any]:
    """`size=512,1024` -> size, [512, 1024], and `alpha=1` -> alpha, 1; whole numbers stay whole."""
    name, _, numbers = text.rpartition("=")
    try:
        values = [int(n) if n.strip().lstrip("-").isdigit() else float(n) for n in numbers.split(",")]
    except ValueError:
        values = []
    if not name or not values:
        raise SettingError(f"--fixed {text!r}", expected="NAME=NUMBERS", do="give --fixed size=512,1024")
    return name, values if "," in numbers else values[0]
