"""`segtween weights`: what a checkpoint holds, and how to take weights over from other projects."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from segtween.cli import shared
from segtween.cli.commands import Group

app = Group(help="Look into weight files of any published form; convert them.")

File = Annotated[Path, typer.Argument(metavar="FILE", help="A torch checkpoint (.pt, .pth, .pth.tar) or safetensors.")]


@app.command("inspect")
def inspect(
    file: File,
    keys: Annotated[bool, typer.Option("--keys", help="List every key with its shape.")] = False,
    json_file: shared.Json = None,
) -> None:
    """Say which networks a file holds, whether they are whole, and what is missing or surplus. No code in it is run.

    Example:

        segtween weights inspect cityscapes-swnet_model_best.pth.tar
    """
    from segtween.cli.screen import console
    from segtween.networks import describe_weights
    from segtween.run.ending import write_json

    found = describe_weights(file)
    console.print(str(file))
    for line in _lines({"form": found["form"], "sha256": found["sha256"], **found["facts"]}):
        console.print(line, markup=False)
    for name, part in found["parts"].items():
        console.print(f"\n{name}", markup=False)
        shapes = {key: _by(shape) for key, shape in part["shapes"].items()} if keys else {}
        for line in (*_lines(_about(part)), *_lines(shapes)):
            console.print(line, markup=False)
    if json_file is not None:
        write_json(found, json_file)


def _about(part: dict[str, Any]) -> dict[str, Any]:
    classes = {} if part["classes"] is None else {"classes": part["classes"]}
    largest = sorted(part["shapes"], key=lambda key: -math.prod(part["shapes"][key]))[:3]
    about = {"network": part["network"] or "unknown", **classes, "fit": part["fit"], "keys": part["keys"]}
    about["values"] = f"{part['values']:,}"
    about["types"] = ", ".join(f"{name} ({count})" for name, count in part["types"].items())
    about["largest"] = ", ".join(f"{key} {_by(part['shapes'][key])}" for key in largest)
    for name, numbers in part.get("normalisation", {}).items():
        about[f"its {name}"] = ", ".join(map(str, numbers))
    if part["not_finite"]:
        about["not finite"] = ", ".join(part["not_finite"][:3])
    return about


def _lines(values: dict[str, Any]) -> list[str]:
    width = max(map(len, values), default=0)
    return [f"  {name:<{width}}  {_short(str(value))}" for name, value in values.items()]


def _short(text: str, *, most: int = 300) -> str:
    return text if len(text) <= most else text[:most] + " ..."


def _by(shape: list[int]) -> str:
    return "x".join(map(str, shape)) or "1"


@app.command("convert")
def convert(
    file: File,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="OUT.safetensors; OUT.onnx for flow and refinement.")
    ],
    part: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which state dict: state_dict, state_dict_of, ...")
    ] = None,
    float16: Annotated[bool, typer.Option("--float16", help="Half the size; values are rounded.")] = False,
    overwrite: shared.Overwrite = False,
) -> None:
    """Write a checkpoint's weights as safetensors, or a flow or refinement network as an ONNX graph.

    Examples:

        segtween weights convert model_best.pth.tar --part state_dict_of -o flow.safetensors

        segtween weights convert model_best.pth.tar --part state_dict_of -o flow.onnx
    """
    from segtween.cli.screen import console
    from segtween.networks import convert_weights
    from segtween.video.staging import check_writable, refuse_existing

    refuse_existing(out, overwrite=overwrite)
    check_writable(out)
    written = convert_weights(file, out, part=part, float16=float16, overwrite=overwrite)
    console.print("written: " + ", ".join(str(path) for path in written))
