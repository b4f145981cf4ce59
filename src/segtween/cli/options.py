"""Options that several commands share, and how lists and sizes are read."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from segtween.errors import SettingError

if TYPE_CHECKING:
    from segtween.datasets import Dataset
    from segtween.types import SizeHW

Model = Annotated[
    str,
    typer.Option(
        "--model", "-m", metavar="NAME|FILE", help="A shipped network, an .onnx file, stored scores (.npz) or pkg:fn."
    ),
]
Interval = Annotated[
    int | None, typer.Option("--interval", "-i", metavar="I", help="Frames between key frames (4: network on 1 in 5).")
]
Every = Annotated[int | None, typer.Option("--every", metavar="N", help="Network on one frame in N (same: I + 1).")]
Preset = Annotated[str, typer.Option("--preset", metavar="NAME", help="Preset of the method: blend, warp.")]
Labels = Annotated[
    str | None, typer.Option("--labels", metavar="NAME|YAML", help="Label set, where the network does not say.")
]
DatasetLabels = Annotated[
    str | None,
    typer.Option(
        "--dataset-labels",
        metavar="NAME|YAML",
        help="Label set of the data set instead of its layout's own; vspw, which has none, takes that of --labels.",
    ),
]
Runtime = Annotated[str, typer.Option("--runtime", metavar="NAME", help="openvino or onnxruntime.")]
Provider = Annotated[
    str | None,
    typer.Option("--provider", metavar="NAME", help="Device or execution provider, handed on to the runtime."),
]
Precision = Annotated[str, typer.Option("--precision", metavar="P", help="auto, float32 or bfloat16.")]
Threads = Annotated[int, typer.Option("--threads", metavar="N", help="Processors to use; 0: all.")]
Scale = Annotated[float, typer.Option("--scale", metavar="S", help="The network sees the frame at this scale.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace outputs that exist.")]
Json = Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the figures as JSON.")]


def words(text: str | None) -> list[str] | None:
    """`a,b` -> ["a", "b"]; None for nothing given."""
    if text is None:
        return None
    return [part.strip() for part in text.split(",") if part.strip()]


def numbers(text: str, *, option: str) -> list[int]:
    """`0,4,9` -> [0, 4, 9]; SettingError for anything else."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(
            f"{option} {text!r}", expected="whole numbers with commas between", do=f"give {option} 0,4,9"
        ) from None
    if any(n < 0 for n in found):
        raise SettingError(f"{option} {text!r}", expected="numbers of 0 or more", do=f"give {option} 0,4,9")
    return found


def scales(text: str, *, option: str = "--scales") -> list[float]:
    """`0.5,1` -> [0.5, 1.0]; SettingError for anything else."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingError(
            f"{option} {text!r}", expected="numbers with commas between", do=f"give {option} 0.5,0.75,1"
        ) from None


def command_line() -> str:
    """What was typed."""
    return shlex.join(["segtween", *sys.argv[1:]])


def size(text: str, *, option: str = "--size") -> SizeHW:
    """`2048x1024` (width x height) -> (1024, 2048)."""
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(p.isdigit() and int(p) > 0 for p in parts):
        raise SettingError(f"{option} {text!r}", expected="WIDTHxHEIGHT in pixels", do=f"give {option} 2048x1024")
    return int(parts[1]), int(parts[0])


def labelled_data(name: str, root: Path, *, split: str, labels: str | None, network_labels: str | None) -> Dataset:
    """The data set, with `labels` where given. A layout without a label set of its own takes the network's."""
    from segtween.datasets import WITHOUT_LABEL_SET, open_dataset

    if labels is None and name in WITHOUT_LABEL_SET:
        labels = network_labels
    return open_dataset(name, root, split=split, labels=labels)
