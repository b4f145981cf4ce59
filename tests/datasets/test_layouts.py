"""The table of layouts."""

from __future__ import annotations

from pathlib import Path

import pytest

from segtween.datasets import DATASETS, DatasetSpec, _by_name, open_dataset
from segtween.errors import DatasetError
from small_sets import camvid


def test_a_name_stands_in_the_table_once() -> None:
    row = DatasetSpec("one", "somewhere", "dense", "module:function")
    with pytest.raises(DatasetError, match="layouts are named one, one; expected one of each name; rename one"):
        _by_name(row, row)


def test_an_unknown_layout_lists_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=rf"expected one of {', '.join(DATASETS)}; did you mean camvid"):
        open_dataset("camvit", tmp_path, split="val")


def test_a_layout_is_opened_by_its_place(tmp_path: Path) -> None:
    data = open_dataset("camvid", camvid(tmp_path, ["0001_1", "0001_2"]), split="val")
    assert (data.name, data.n_frames) == ("camvid", 2)


def test_the_documents_list_every_layout() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    for name in DATASETS:
        assert f"| `{name}` |" in page, name
