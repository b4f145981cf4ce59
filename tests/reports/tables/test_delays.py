"""Accuracy against delay: the table and its command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes import BrightnessSegmenter, panning
from segtween.cli import app
from segtween.datasets import Dataset, open_dataset
from segtween.errors import SettingError
from segtween.evaluation import EvaluationOptions, evaluate_method
from segtween.labels import numbered
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.delays import delays_table
from segtween.settings import PRESETS, change
from small_sets import picture

MODEL = f"{Path(__file__).parents[2] / 'fakes.py'}:by_brightness"
PATH = PRESETS["composed"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera that moves by 3 pixels per frame."""
    place = tmp_path_factory.mktemp("delays")
    for i, rgb in enumerate(panning(14, (64, 96), step=3, cell=16)):
        picture(place / "val/frames/a" / f"{i:02}.png", np.ascontiguousarray(rgb[..., ::-1]))
        picture(place / "val/labels/a" / f"{i:02}.png", rgb[..., 0] // 64)
    (place / "labels.yaml").write_text("names: [dark, dim, light, bright]\n")
    return place


@pytest.fixture(scope="module")
def data(root: Path) -> Dataset:
    return open_dataset("folders", root, split="val", labels=numbered(4))


def test_rows_are_evaluations_with_that_delay(data: Dataset) -> None:
    study = delays_table(
        Conditions(data, threads=1), BrightnessSegmenter(), settings=PATH, name="composed", delays=[3, 1], interval=2
    )
    assert [row["late"] for row in study.rows] == [0, 1, 3]
    assert [row["oldest"] for row in study.rows] == [2, 3, 5]
    for row in study.rows:
        alone = evaluate_method(
            data,
            segmenter=BrightnessSegmenter(),
            settings=change(PATH.at(2), async_keys=row["late"] or None),
            name="x",
            intervals=[2],
            options=EvaluationOptions(threads=1),
        )
        assert row["avg_miou"] == alone.results[0]["avg_miou"]
        assert row["min_miou"] == alone.results[0]["per_distance"][row["oldest"]]
    none, one, three = study.rows
    assert none["gain"] is None
    assert three["gain"] == pytest.approx(three["avg_miou"] - none["avg_miou"])
    assert three["avg_miou"] < one["avg_miou"] < none["avg_miou"], "older labels have seen less of what came in"
    assert [s["name"] for s in study.record["sets"]] == [
        "composed",
        "composed, 1 frame late",
        "composed, 3 frames late",
    ]
    assert "oldest labels (frames)" in study.to_markdown()


def test_what_cannot_be(data: Dataset) -> None:
    with pytest.raises(SettingError, match="interval 0; expected 1 or more; give interval=4"):
        delays_table(Conditions(data), BrightnessSegmenter(), settings=PATH, name="composed", interval=0)
    with pytest.raises(SettingError, match="async_keys=4 with interval=2; expected at most 3 frames"):
        delays_table(Conditions(data), BrightnessSegmenter(), settings=PATH, name="composed", delays=[4], interval=2)


def test_the_command(root: Path, tmp_path: Path) -> None:
    asked = ["table", "delays", "--dataset", "folders", "--root", str(root), "--model", MODEL, "--threads", "1"]
    done = CliRunner().invoke(app, [*asked, "--interval", "1", "--delays", "0,2", "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "out/delays.json").read_text())
    assert [row["late"] for row in record["rows"]] == [0, 2]
    refused = CliRunner().invoke(app, [*asked, "--delays", "0,9"])
    assert refused.exit_code == 2
    assert "--async-keys 9 with --interval 4" in " ".join(refused.output.split())
