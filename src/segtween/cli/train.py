"""`segtween train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from segtween.cli import shared


def train(
    *,
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.yaml", help="What to train, on what, and how.")],
    data_root: Annotated[
        Path | None, typer.Option(metavar="FOLDER", envvar="SEGTWEEN_DATA", help="Where the data sets lie.")
    ] = None,
    out: Annotated[Path | None, shared.out_folder("The run's folder (runs/RECIPE).")] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda.")] = "auto",
    steps: Annotated[int | None, typer.Option(metavar="N", help="Train N steps instead of the recipe's.")] = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew where the run's folder holds a checkpoint.")
    ] = False,
) -> None:
    """Train a network from a recipe; a run that was interrupted goes on where it stopped. Needs the extra 'train'.

    Example:

        segtween train recipes/swiftnet-lite0.camvid.yaml --data-root data/
    """
    from segtween.cli.screen import console
    from segtween.models.components import FLOW
    from segtween.training import train_recipe

    folder = out or Path("runs") / recipe.stem
    report = train_recipe(recipe, data_root=data_root, out=folder, resume=not fresh, device=device, steps=steps)
    if not report["text"]:
        return  # another process of the same training shows it
    console.print(report["text"])
    option = "--weights" if (folder / "model" / FLOW).is_file() else "--model"
    console.print(f"trained: {folder / 'model'}, for {option}")
