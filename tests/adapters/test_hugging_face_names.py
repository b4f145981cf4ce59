"""`hf:` without the packages that it needs; names of classes and words."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

import segtween
from segtween.adapters.labels import labels_of_words, names_in
from segtween.errors import LabelError, MissingExtraError, ModelError


@pytest.fixture(autouse=True)
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, missing = importlib.util.find_spec, ("huggingface_hub", "transformers")
    monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name in missing else own(name))


def test_a_name_and_a_folder_name_the_install_line(tmp_path: Path) -> None:
    with pytest.raises(MissingExtraError, match=r"hf:owner/net needs .*; pip install 'segtween\[huggingface\]'"):
        segtween.load("hf:owner/net")
    (tmp_path / "config.json").write_text('{"architectures": ["SegformerForSemanticSegmentation"]}')
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    with pytest.raises(MissingExtraError, match=r"exporting hf:.* needs .*; pip install 'segtween\[huggingface\]'"):
        segtween.load(f"hf:{tmp_path}")


def test_what_is_neither_a_folder_nor_a_name_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not found; expected a folder, or a name such as hf:owner/network"):
        segtween.load("hf:no such folder")
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        segtween.load(f"hf:{tmp_path}")


@pytest.mark.parametrize("named", ["5", '{"a": 1}', "[]", "null"])
def test_a_configuration_that_names_no_architecture_is_told(tmp_path: Path, named: str) -> None:
    (tmp_path / "config.json").write_text(f'{{"architectures": {named}}}')
    with pytest.raises(ModelError, match=r"is without `architectures` in its config\.json; expected \.\.\.ForSemantic"):
        segtween.load(f"hf:{tmp_path}")


def test_the_background_is_no_word_however_it_is_written() -> None:
    assert labels_of_words(["Background", "cat"], name="net").names == ("background", "cat")
    with pytest.raises(LabelError, match="is given no word but background"):
        labels_of_words([" BACKGROUND"], name="net")


@pytest.mark.parametrize("names", [5, "road", ["a"], {"a": "b"}, {0: None}, {0: "a", 2: "b"}, {0: "LABEL_0"}, {}])
def test_what_is_no_list_of_names_is_none(names: Any) -> None:
    assert names_in(names) is None
    assert names_in({"1": "b", "0": "a"}) == ["a", "b"]
