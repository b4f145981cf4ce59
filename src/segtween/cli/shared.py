"""Single options that several commands share, and some groups of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import typer

from segtween.cli import texts
from segtween.errors import SettingError

if TYPE_CHECKING:
    from segtween.run.options import Outputs

LabelSetName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        rich_help_panel="Network",
        help="Classes, where the network does not name them: a label set's name, a YAML file, or names with commas.",
    ),
]
DatasetLabels = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="Label set of the data set instead of its layout's own; vspw, which has none, takes that of --label-set.",
    ),
]
LabelMapName = Annotated[
    str | None, typer.Option("--map", metavar="NAME", help="Label map from the network's classes to the data set's.")
]
Split = Annotated[str, typer.Option(metavar="NAME", help="Part of the data set.")]
MaxFrames = Annotated[int | None, typer.Option(metavar="N", help="Only the first N frames of the data set.")]
Clip = Annotated[
    str,
    typer.Option(
        "--clip",
        metavar="street|textured|FILE",
        help="What is timed: the synthetic street, a picture that is broken up everywhere, or a video's first frames.",
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        metavar="N", rich_help_panel="Machine", help="Processors to use; 0, or more than there are, for all of them."
    ),
]
OnDevice = Annotated[
    str,
    typer.Option(
        metavar="NAME", rich_help_panel="Machine", help="cpu; cuda or cuda:1 for a graphics card (extra \\[gpu])."
    ),
]
Lag = Annotated[
    bool,
    typer.Option(
        "--lag",
        rich_help_panel="Live",
        help="For cameras, streams and --live: labels from the key frames on both sides, up to a period and the "
        "network's time late.",
    ),
]
Duration = Annotated[float | None, typer.Option(metavar="SECONDS", help="Stop after this many seconds of input.")]
FrameRate = Annotated[
    float | None, typer.Option(metavar="FPS", rich_help_panel="Input", help="Frame rate of image folders (25).")
]
Ids = Annotated[
    Literal["train", "dataset"],
    typer.Option(
        metavar="KIND", rich_help_panel="Output", help="Numbers in label files: train ids, or those of the dataset."
    ),
]


def named_folder(text: str | Path) -> Path:
    """The folder of `--out`; an empty name is refused, which would be the current folder."""
    if not str(text).strip():
        raise typer.BadParameter("it is empty; expected the name of a folder; give . for this one")
    return Path(text)


def out_folder(help: str) -> Any:
    """`--out` of a command whose outputs are a folder."""
    return typer.Option("--out", "-o", metavar="FOLDER", rich_help_panel="Output", help=help, parser=named_folder)


Folder = Annotated[Path, out_folder("Where the outputs go.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", rich_help_panel="Output", help="Replace outputs that exist.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel="Output", help="Print errors only.")]
Measures = Annotated[
    str | None,
    typer.Option(
        metavar="LIST",
        rich_help_panel="Output",
        help="Further measures: boundary (along label edges), vspw (as VSPW's public scripts compute them).",
    ),
]
ReportFile = Annotated[
    Path | None, typer.Option(metavar="FILE", rich_help_panel="Output", help="Write a page with charts: report.html.")
]
Json = Annotated[
    Path | None, typer.Option("--json", metavar="FILE", rich_help_panel="Output", help="Write the figures as JSON.")
]


@dataclass(frozen=True)
class SaveOptions:
    """What is written of each frame, and where."""

    PANEL: ClassVar[str] = "Output"

    out: Folder
    save: Annotated[
        str,
        typer.Option(
            metavar="KINDS",
            help="overlay, side-by-side, labels, labels-video, confidence, masks, cutout, cvat, coco, yolo, ...: "
            "docs/video.md; with commas.",
        ),
    ] = "overlay"
    overwrite: Overwrite = False
    classes: Annotated[
        str | None,
        typer.Option(
            metavar="NAMES",
            help="Only these classes in overlays, masks and cut-outs: car,person. A network that takes words (CLIPSeg) "
            "looks for these, unless --label-set names more.",
        ),
    ] = None
    alpha: Annotated[float, typer.Option(metavar="A", help="How strongly overlays are tinted: 0 to 1.")] = 0.5
    outline: Annotated[
        Literal["none", "thin"], typer.Option(metavar="KIND", help="Lines between classes in overlays: none or thin.")
    ] = "thin"
    palette: Annotated[
        Literal["usual", "colour-blind"],
        typer.Option(
            metavar="NAME", help="Colours of the classes: usual, or colour-blind, which differ in any colour vision."
        ),
    ] = "usual"
    background: Annotated[
        str | None,
        typer.Option(
            metavar="COLOUR|IMAGE|blur", help="What cut-outs are put before; without it they are see-through."
        ),
    ] = None
    unknown_below: Annotated[
        float | None, typer.Option(metavar="X", help="Labels of a confidence below X (0 to 1) become unknown.")
    ] = None
    quiet: Quiet = False

    def outputs(self, *, ids: Literal["train", "dataset"]) -> Outputs:
        from segtween.run.options import Outputs

        return Outputs(
            texts.words(self.save) or [],
            overwrite=self.overwrite,
            classes=texts.words(self.classes),
            ids=ids,
            alpha=self.alpha,
            outline=self.outline,
            palette=self.palette,
            background=self.background,
            unknown_below=self.unknown_below,
        )


@dataclass(frozen=True)
class KeyFrameOptions:
    """How often the network runs."""

    PANEL: ClassVar[str] = "Method"

    every: Annotated[
        int | None,
        typer.Option(metavar="N", help="Run the network on every Nth frame; 5 for every 5th, as by default."),
    ] = None
    interval: Annotated[
        int | None,
        typer.Option(
            "--interval",
            "-i",
            metavar="I",
            help="The same, as the number of frames between key frames; 4 for every 5th.",
        ),
    ] = None

    def resolve(self) -> int:
        """The interval, the usual one where nothing is said; SettingError where both are given and differ."""
        from segtween.api import resolve_interval

        return resolve_interval(self.interval, self.every)


@dataclass(frozen=True)
class ModeOptions:
    """Which key frames a frame is labelled from: the one before it, or those on both sides."""

    PANEL: ClassVar[str] = "Method"

    online: Annotated[
        bool,
        typer.Option(
            "--online", help="Labels from the past alone, at once, as for cameras, streams and --live by default."
        ),
    ] = False
    offline: Annotated[
        bool,
        typer.Option(
            "--offline",
            help="Labels from the key frames before and after each frame, as for files by default: more accurate, a "
            "period late.",
        ),
    ] = False

    def asked(self, *, lag: bool = False) -> Literal["causal", "bidirectional"] | None:
        """The mode that was asked for, None where it is open; `lag` asks for both sides, too. SettingError where both
        modes were asked for."""
        if self.online and (self.offline or lag):
            other = "--offline" if self.offline else "--lag"
            raise SettingError(f"--online and {other}", expected="one of them", do="leave one out")
        if self.online:
            return "causal"
        return "bidirectional" if self.offline or lag else None


@contextmanager
def errors_of_lag(given: bool) -> Iterator[None]:
    """Where --lag was `given`, errors that name the mode name that flag."""
    try:
        yield
    except SettingError as error:
        if not given:
            raise
        parts = (part.replace("mode='bidirectional'", "--lag") for part in (error.got, error.expected, error.do))
        got, expected, do = parts
        raise SettingError(got, expected=expected, do=do) from None
