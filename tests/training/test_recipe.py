"""Recipes: every published one loads, and every wrong field is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from segtween.compat.swnet_seq.training import PropagationRecipe
from segtween.errors import SettingError
from segtween.training import Recipe, load_recipe
from segtween.training.recipe import NameRange

RECIPES = sorted((Path(__file__).resolve().parents[2] / "recipes").glob("*.yaml"))
PLAIN: dict[str, Any] = {
    "name": "mine",
    "network": "swiftnet-lite0",
    "steps": 4,
    "crop": "64x32",
    "train": [{"kind": "list", "list": "train.txt"}],
}


def load(tmp_path: Path, **changes: Any) -> Recipe:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in {**PLAIN, **changes}.items() if v is not None}))
    recipe = load_recipe(path)
    assert isinstance(recipe, Recipe)
    return recipe


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: p.name)
def test_every_published_recipe_loads(path: Path) -> None:
    recipe = load_recipe(path)
    assert path.name == f"{recipe.name}.yaml"
    for source in recipe.train:
        assert all("val" not in name for name in (source.list, source.name)), "val is for measuring only"
    if isinstance(recipe, PropagationRecipe):
        assert all(source.split == "train" for source in recipe.train)
        assert all(source.seeds[0] >= 2000 for source in recipe.train if source.kind == "street")


@pytest.mark.parametrize("name", ["swiftnet-lite0.camvid", "swiftnet-r18.camvid"])
def test_camvid_recipes_leave_the_neighbours_of_val_out(name: str) -> None:
    recipe = load_recipe(next(p for p in RECIPES if p.name == f"{name}.yaml"))
    (camvid,) = (s for s in recipe.train if s.kind == "list")
    excluded = [n for n in range(9000) if any(f"0016E5_{n:05d}" in r for r in camvid.ranges)]
    assert (excluded[0], excluded[-1]) == (7800, 8310)
    trained = {
        s for source in recipe.train if source.kind == "street" for s in range(source.seeds[0], source.seeds[1] + 1)
    }
    measured = {
        s for source in recipe.evaluate if source.kind == "street" for s in range(source.seeds[0], source.seeds[1] + 1)
    }
    assert not trained & measured
    assert all(s >= 1000 for s in trained)


def test_name_range_holds_both_ends_of_its_own_recording() -> None:
    excluded = NameRange.parse("0016E5_07800 .. 0016E5_08310")
    assert all(f"0016E5_{n}" in excluded for n in ("07800", "08000", "08310"))
    assert not any(n in excluded for n in ("0016E5_07799", "0016E5_08311", "0006R0_08000", "08000x"))


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"steps": None}, r"^the recipe has no field 'steps'; expected steps: \.\.\.; add it$"),
    (
        {"stepz": 3},
        r"^the recipe has an unknown field 'stepz'; expected fields out of accumulate, after, .*; did you mean steps\?",
    ),
    ({"steps": 0}, r"^steps is 0; expected a whole number of at least 1; correct the recipe$"),
    ({"steps": 1.5}, r"^steps is 1\.5; expected a whole number"),
    ({"batch": 1}, r"^batch is 1; expected 2 or more, because of batch norms"),
    ({"crop": "64"}, r"^crop is '64'; expected WIDTHxHEIGHT, such as 480x352"),
    ({"crop": "64x30"}, r"^crop is '64x30'; expected sides that are multiples of 32"),
    ({"name": "a b"}, r"^name is 'a b'; expected letters, digits, dots and dashes"),
    ({"network": "swiftnet"}, r"^network is 'swiftnet'; expected one of swiftnet-r18, .*; did you mean"),
    ({"network": "swiftnet-r18", "initial": "imagenet"}, r"^initial is 'imagenet'; expected random, for swiftnet-r18"),
    ({"initial": "zeros"}, r"^initial is 'zeros'; expected one of imagenet, random"),
    ({"precision": "int8"}, r"^precision is 'int8'; expected one of bfloat16, float16, float32"),
    ({"batch": 8, "accumulate": 3}, r"^accumulate is 3; expected a divisor of batch, 8"),
    ({"loss": {"hard_threshold": 1}}, r"^loss\.hard_threshold is 1; expected a number of at least 0 and below 1"),
    ({"loss": {"hard_threshold": 0.7}}, r"^loss\.hard_fraction is 1\.0; expected less than 1, because there is a hard"),
    ({"loss": {"boundary": -1}}, r"^loss\.boundary is -1; expected a number from 0 to 100"),
    ({"loss": {"boundary_sigma": 0}}, r"^loss\.boundary_sigma is 0; expected a number above 0"),
    ({"seed": -1}, r"^seed is -1; expected a whole number of at least 0"),
    ({"train": []}, r"^train is \[\]; expected a list of at least one source"),
    ({"train": "train.txt"}, r"^train is 'train\.txt'; expected a list of at least one source"),
    ({"train": [{"kind": "lists"}]}, r"^train\[0\]: kind is 'lists'; expected one of list, street"),
    ({"train": [{"kind": "list"}]}, r"^train\[0\]: list is ''; expected a file name, for kind list only"),
    ({"train": [{"kind": "street", "seeds": [3, 1]}]}, r"^train\[0\]: seeds is \[3, 1\]; expected two numbers from 0"),
    ({"train": [{"kind": "street", "seeds": [3]}]}, r"^train\[0\]: seeds is \[3\]; expected two numbers from 0"),
    ({"train": [{"kind": "street", "size": 3}]}, r"^train\[0\]: size is 3; expected WIDTHxHEIGHT, such as 480x352"),
    ({"train": [{**PLAIN["train"][0], "share": 0}]}, r"^train\[0\]: share is 0; expected a number above 0"),
    (
        {"train": [{**PLAIN["train"][0], "exclude": ["a1..b2"]}]},
        r"exclude is \['a1\.\.b2'\]; expected a list of FIRST",
    ),
    ({"train": PLAIN["train"] * 2}, r"^train\.name is \['train\.txt', 'train\.txt'\]; expected each name once"),
    ({"augment": {"flip": 2}}, r"^augment\.flip is 2; expected a number from 0 to 1"),
    ({"augment": {"scale": [2, 1]}}, r"^augment\.scale is \[2, 1\]; expected two numbers, the smaller first"),
    ({"augment": {"hue": [0, 2]}}, r"^augment\.hue is \[0, 2\]; expected two numbers, .* in -0\.5\.\.0\.5"),
    ({"augment": 3}, r"^augment is 3; expected a mapping with aspect, brightness, contrast"),
    ({"augment": {"zoom": 3}}, r"^augment has an unknown field 'zoom'; expected fields out of aspect,"),
    ({"optimiser": {"kind": "lion"}}, r"^optimiser\.kind is 'lion'; expected one of adamw, sgd"),
    ({"optimiser": {"rate": 0}}, r"^optimiser\.rate is 0; expected a number above 0"),
    ({"optimiser": {"rate": "fast"}}, r"^optimiser\.rate is 'fast'; expected a number"),
    ({"optimiser": {"warmup": 4}}, r"^optimiser\.warmup is 4; expected less than steps"),
    ({"optimiser": {"schedule": "step"}}, r"^optimiser\.schedule is 'step'; expected one of cosine, poly"),
    ({"loss": {"class_power": 2}}, r"^loss\.class_power is 2; expected a number from 0 to 1"),
    ({"loss": {"hard_fraction": 0}}, r"^loss\.hard_fraction is 0; expected a number above 0 and of at most 1"),
    ({"loss": {"overlap": -1}}, r"^loss\.overlap is -1; expected a number from 0 to 10"),
    ({"loss": {"weight_limit": 0.5}}, r"^loss\.weight_limit is 0\.5; expected a number of at least 1"),
]


@pytest.mark.parametrize(("changes", "text"), WRONG, ids=[text[1:40] for _, text in WRONG])
def test_wrong_field_is_named(changes: dict[str, Any], text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=text):
        load(tmp_path, **changes)


def test_unreadable_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"nowhere.yaml cannot be read .*; expected a YAML file; check the path"):
        load_recipe(tmp_path / "nowhere.yaml")
    (tmp_path / "odd.yaml").write_text("a: [")
    with pytest.raises(SettingError, match=r"odd.yaml is not YAML .*; expected field: value lines; correct it"):
        load_recipe(tmp_path / "odd.yaml")
    (tmp_path / "text.yaml").write_text("just text")
    with pytest.raises(SettingError, match=r"the recipe is 'just text'; expected a mapping with crop, name, network"):
        load_recipe(tmp_path / "text.yaml")


def test_recipe_after_another_holds_it_whole(tmp_path: Path) -> None:
    (tmp_path / "first.yaml").write_text(yaml.safe_dump({**PLAIN, "name": "first", "optimiser": {"warmup": 3}}))
    recipe = load(tmp_path, after="first.yaml")
    assert recipe.after is not None
    assert recipe.after.name == "first"
    assert recipe.with_steps(2).after == recipe.after.with_steps(2)
    (tmp_path / "first.yaml").write_text(yaml.safe_dump({**PLAIN, "name": "first", "seed": 9}))
    assert load(tmp_path, after="first.yaml").sha256 != recipe.sha256
    with pytest.raises(SettingError, match=r"^network is 'swiftnet-r18'; expected swiftnet-lite0, as in first, which"):
        load(tmp_path, after="first.yaml", network="swiftnet-r18")
    with pytest.raises(SettingError, match=r"^after is 'recipe.yaml', the recipe itself; expected another recipe"):
        load(tmp_path, after="recipe.yaml")
    with pytest.raises(SettingError, match=r"^after is 3; expected the name of a recipe file"):
        load(tmp_path, after=3)


def test_hash_is_of_values_not_of_writing(tmp_path: Path) -> None:
    plain = load(tmp_path)
    (tmp_path / "other.yaml").write_text("# a comment\n" + yaml.safe_dump(dict(reversed(PLAIN.items()))))
    assert load_recipe(tmp_path / "other.yaml").sha256 == plain.sha256
    assert load(tmp_path, seed=1).sha256 != plain.sha256


def test_other_steps_keep_the_recipe_valid(tmp_path: Path) -> None:
    recipe = load(tmp_path, steps=100, optimiser={"warmup": 50})
    assert recipe.with_steps(10).optimiser.warmup == 9
    assert recipe.with_steps(200).optimiser.warmup == 50
