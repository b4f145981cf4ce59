"""The kinds of training, by what a recipe says that it `trains`, and reading a recipe of any kind."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from segtween.errors import SettingError
from segtween.training.fields import build, check
from segtween.training.recipe import BaseRecipe
from segtween.validation import read_yaml

KINDS = {
    "": "segtween.training.segmenter",
    "propagation": "segtween.compat.swnet_seq.training",
}
"""The package of each kind, whose modules are loaded when they are needed: a task needs torch, and an edge of the
library may bring a kind of its own."""


def recipe_class(trains: Any) -> type[BaseRecipe]:
    """SettingError for something that nothing trains."""
    named = [name for name in KINDS if name]
    check(trains in KINDS, "trains", trains, f"{' or '.join(named)}, or nothing for a segmenter")
    found: type[BaseRecipe] = import_module(f"{KINDS[trains]}.recipe").RECIPE
    return found


def open_task(recipe: BaseRecipe, context: Any) -> Any:
    """The task of a recipe, opened."""
    return import_module(f"{KINDS[recipe.trains]}.task").open_task(recipe, context)


def load_recipe(path: str | Path) -> Any:
    """A recipe from its YAML file: of a segmenter, unless it says what else it `trains`: propagation.

    SettingError says which field is wrong.
    """
    path = Path(path)
    values = read_yaml(path, what="recipe", expected="field: value lines")
    kind = recipe_class(values["trains"] if isinstance(values, dict) and "trains" in values else "")
    first = values.get("after") if isinstance(values, dict) else None
    if first is not None:
        check(isinstance(first, str), "after", first, "the name of a recipe file")
        if (path.parent / first).resolve() == path.resolve():
            raise SettingError(f"after is {first!r}, the recipe itself", expected="another recipe", do="")
        values["after"] = load_recipe(path.parent / first)
        check(isinstance(values["after"], kind), "after", first, "a recipe of the same kind")
    return build(kind, values)
