"""Recipes of propagation models: every wrong field is named, hashes of published recipes stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_clips import write_recipe

from segtween.compat.swnet_seq.training import PropagationRecipe
from segtween.errors import SettingError
from segtween.training import Recipe, load_recipe

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
PUBLISHED = {
    "smoke": "878d60f0b42de590997f71fe6d6784e0ad76f3bf343725247a59da26c10170e6",
    "swiftnet-lite0.camvid-first": "98dd14a15f88efd6ba72c02573bc25d185f80d33f24de09b484b46a182918847",
    "swiftnet-lite0.camvid": "d23be526394a14a01b78352e5382837eaf9db8195d42c8184d5a4b9d5474a7c9",
}
STREET: dict[str, Any] = {"kind": "street"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_hashes_of_published_recipes_stay(name: str) -> None:
    """The record of a shipped network names the hash of its recipe."""
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    assert isinstance(recipe, Recipe)
    assert recipe.sha256 == PUBLISHED[name]


def test_defaults_are_those_of_the_reference() -> None:
    from segtween.compat.swnet_seq.training import Clips

    recipe = PropagationRecipe("r", "swiftnet-lite0.camvid", (Clips("street"),), epochs=1)
    assert (recipe.crop_hw, recipe.batch, recipe.chain, recipe.gradient_steps) == ((768, 1536), 8, (1, 2, 3, 4), 2)
    rates = recipe.optimiser
    assert (rates.kind, rates.intra, rates.guide, rates.flow) == ("sgd", 0.002, 0.02, 0.02)
    assert (rates.weight_decay, rates.every, rates.gamma) == (5e-4, 100, 0.992)
    assert (recipe.loss.ce, recipe.loss.distil) == (10, 10)
    assert recipe.with_steps(3).epochs == 0


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"trains": "flow"}, r"^trains is 'flow'; expected propagation, or nothing for a segmenter"),
    ({"segmenter": None}, r"^the recipe has no field 'segmenter'; expected segmenter: \.\.\.; add it"),
    (
        {"batchs": 3},
        r"^the recipe has an unknown field 'batchs'; expected fields out of accumulate, after, augment, batch, chain",
    ),
    ({"name": "a b"}, r"^name is 'a b'; expected letters"),
    ({"flow": "flownet2s"}, r"^flow is 'flownet2s'; expected one of flow-light, flownets"),
    ({"edge": "sobel"}, r"^edge is 'sobel'; expected one of laplacian, zero, absent"),
    ({"scores": "old"}, r"^scores is 'old'; expected one of fresh, stored"),
    (
        {"scores": "stored"},
        r"^augment\.scale is \[1\.0, 1\.2\]; expected \[1, 1\], as aspect, because scores is stored",
    ),
    ({"scores": "stored", "augment": {}, "finetune_all": True}, r"^finetune_all is True; expected false, because"),
    ({"crop": "100x64"}, r"^crop is '100x64'; expected sides that are multiples of 32"),
    ({"scale": 0.0}, r"^scale is 0\.0; expected a number above 0"),
    ({"steps": 0}, r"^steps is 0; expected 1 or more, or epochs instead, not both"),
    ({"epochs": 2}, r"^steps is 6; expected 1 or more, or epochs instead, not both"),
    ({"batch": 0}, r"^batch is 0; expected a whole number of at least 1"),
    ({"accumulate": 3}, r"^accumulate is 3; expected a divisor of batch, 2"),
    ({"chain": [0]}, r"^chain is \[0\]; expected a list of lengths in 1\.\.30"),
    ({"chain": []}, r"^chain is \[\]; expected a list of lengths in 1\.\.30"),
    ({"gradient_steps": 0}, r"^gradient_steps is 0; expected a whole number of at least 1"),
    ({"precision": "float16"}, r"^precision is 'float16'; expected one of float32, bfloat16"),
    ({"seed": -1}, r"^seed is -1; expected a whole number of at least 0"),
    ({"early_stop": -1}, r"^early_stop is -1; expected a whole number of at least 0"),
    ({"train_flow": 1}, r"^train_flow is 1; expected true or false"),
    ({"train": []}, r"^train is \[\]; expected a list of at least one source"),
    ({"train": [STREET, STREET]}, r"^train\.name is .*; expected each name once"),
    ({"train": [{"kind": "film"}]}, r"^train\[0\]: kind is 'film'; expected one of street, dataset, list-clips, video"),
    ({"train": [{"kind": "video"}]}, r"^train\[0\]: files is \(\); expected something for kind video only"),
    (
        {"train": [{**STREET, "layout": "camvid"}]},
        r"^train\[0\]: layout is 'camvid'; expected something for kind dataset",
    ),
    (
        {"train": [{**STREET, "exclude": ["a1..a2"]}]},
        r"^train\[0\]: exclude is .*; expected nothing but for kind dataset",
    ),
    ({"train": [{**STREET, "seeds": [3, 1]}]}, r"^train\[0\]: seeds is \[3, 1\]; expected two numbers from 0"),
    ({"train": [{**STREET, "share": 0}]}, r"^train\[0\]: share is 0; expected a number above 0"),
    ({"train": [{**STREET, "size": "big"}]}, r"^train\[0\]: size is 'big'; expected WIDTHxHEIGHT"),
    ({"loss": {"ce": -1}}, r"^loss\.ce is -1; expected a number of at least 0"),
    ({"loss": {"class_power": 2}}, r"^loss\.class_power is 2; expected a number from 0 to 1"),
    ({"loss": {"label_stride": 9}}, r"^loss\.label_stride is 9; expected a whole number from 1 to 8"),
    ({"optimiser": {"kind": "lion"}}, r"^optimiser\.kind is 'lion'; expected one of sgd, adam"),
    ({"optimiser": {"guide": 0}}, r"^optimiser\.guide is 0; expected a number above 0"),
    ({"optimiser": {"gamma": 2}}, r"^optimiser\.gamma is 2; expected a number above 0 and of at most 1"),
]


@pytest.mark.parametrize(("changes", "text"), WRONG, ids=[text[1:40] for _, text in WRONG])
def test_wrong_field_is_named(changes: dict[str, Any], text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=text):
        load_recipe(write_recipe(tmp_path, **changes))


def test_hash_is_of_values(tmp_path: Path) -> None:
    first = load_recipe(write_recipe(tmp_path))
    assert load_recipe(write_recipe(tmp_path)).sha256 == first.sha256
    assert load_recipe(write_recipe(tmp_path, seed=9)).sha256 != first.sha256


def test_shipped_propagation_models_name_their_recipes() -> None:
    import yaml

    from segtween.models.components import shipped_components

    folders = shipped_components()
    assert "swnet-seq-lite0.camvid" in folders
    for folder in folders.values():
        for path in sorted(folder.glob("*.onnx.yaml")):
            provenance = yaml.safe_load(path.read_text())["provenance"]
            recipe = load_recipe(RECIPES.parent / provenance["recipe"])
            assert isinstance(recipe, PropagationRecipe)
            assert (recipe.sha256, recipe.steps) == (provenance["recipe_sha256"], provenance["steps"])
            assert provenance["licence"] == recipe.licence
