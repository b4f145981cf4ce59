"""Accuracy against network runs: the table, its plot and its command."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes import BrightnessSegmenter, panning
from segtween.build import build_every_frame
from segtween.cli import app
from segtween.datasets import Dataset, open_dataset
from segtween.errors import SettingError
from segtween.evaluation import evaluate_method
from segtween.labels import numbered
from segtween.metrics.segmentation import confusion, miou, overlap
from segtween.reports.tables.budgets import budgets_table
from segtween.reports.tables.conditions import Conditions
from segtween.settings import PRESETS, change
from small_sets import picture

MODEL = f"{Path(__file__).parents[2] / 'fakes.py'}:by_brightness"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A camera that stands for 20 frames, then moves for 20."""
    root = tmp_path_factory.mktemp("budgets")
    moving = panning(21, (64, 80), cell=16)
    for i, rgb in enumerate([moving[0]] * 20 + moving[1:]):
        picture(root / "val/frames/a" / f"{i:02}.png", np.ascontiguousarray(rgb[..., ::-1]))
        picture(root / "val/labels/a" / f"{i:02}.png", rgb[..., 0] // 64)
    (root / "labels.yaml").write_text("names: [dark, dim, light, bright]\n")
    return open_dataset("folders", root, split="val", labels=numbered(4))


def test_adaptive_beside_fixed_at_the_same_number_of_runs(data: Dataset) -> None:
    study = budgets_table(
        Conditions(data, threads=1), BrightnessSegmenter(), presets={"blend": PRESETS["blend"]}, intervals=[0, 4]
    )
    plain, fixed, adaptive = study.rows
    assert [row["schedule"] for row in study.rows] == ["every frame", "fixed", "adaptive"]
    assert plain["runs_per_100"] == 100
    assert adaptive["runs_per_100"] == pytest.approx(20, abs=7.6)
    assert fixed["longest"] == 4
    assert adaptive["avg_miou"] > fixed["avg_miou"], "runs are saved for the motion"
    over_plain = [result["gain_over_every_frame"] for result in study.record["evaluations"][0]["results"]]
    assert adaptive["gain"] == pytest.approx(over_plain[1]["value"] - over_plain[0]["value"])
    lasts = [gain["min_miou"]["value"] for gain in over_plain]
    assert adaptive["min_gain"] == pytest.approx(lasts[1] - lasts[0]), "each to the network on the same frames"
    assert (adaptive["gain_low"], adaptive["gain_high"]) == (None, None)
    assert "no interval (4 blocks of one clip: too few for an interval)" in study.to_markdown()
    assert (fixed["gain"], plain["min_gain"]) == (None, None)
    (record,) = study.record["evaluations"]
    row = record["results"][-1]
    assert row["schedule"]["budget"] == 20
    assert sum(row["frames_at_distance"]) == 40
    assert len(row["per_distance"]) == len(row["frames_at_distance"]) == adaptive["longest"] + 1
    assert row["worst_distance"] is None, "no distance has 30 frames"
    assert "adaptive: one run from the first frame" in study.to_markdown()


def test_an_adaptive_schedule_is_measured_just_before_its_key_frames(data: Dataset) -> None:
    settings = PRESETS["blend"].fixed(4)
    held = evaluate_method(
        data,
        segmenter=BrightnessSegmenter(),
        settings=settings,
        name="x",
        intervals=[],
        adaptive=[adaptive_every(settings, 5)],
    )
    (row,) = held.results
    assert row["key_rate"] == pytest.approx(8 / 40)
    assert row["frames_at_distance"] == [8] * 5
    # All runs of five frames but the last end before a key frame.
    assert row["min_miou"] == pytest.approx(row["per_distance"][-1], abs=0.03)
    assert row["min_miou"] != row["per_distance"][-1]
    plain = plain_miou(data, range(4, 39, 5))
    assert plain != held.every_frame["miou"]
    assert row["gain_over_every_frame"]["min_miou"]["value"] == pytest.approx(row["min_miou"] - plain)
    assert [row["row"] for row in held.rows()[-2:]] == ["adaptive, 20 per 100, online", "true labels"]


def plain_miou(data: Dataset, indices: range) -> float:
    """mIoU of the network on every frame, over some frames alone."""
    engine, counts = build_every_frame(BrightnessSegmenter()), np.zeros((4, 5), np.int64)
    for index, frame in enumerate(data.clips[0].frames):
        labels = engine.step(data.read_rgb(frame)).labels
        truth = data.read_labels(frame, size_hw=(labels.shape[0], labels.shape[1]))
        assert truth is not None
        counts += confusion(labels, truth, classes=4) * (index in indices)
    return float(miou(overlap(counts)))


def adaptive_every(settings, frames):  # type: ignore[no-untyped-def]

    return change(settings, schedule="adaptive", budget=20.0, least_distance=frames, most_distance=frames)


def test_more_starts_are_pooled(data: Dataset) -> None:
    presets, network = {"blend": PRESETS["blend"]}, BrightnessSegmenter()
    study = budgets_table(Conditions(data, threads=1), network, presets=presets, intervals=[4], starts=3)
    frames = study.record["evaluations"][0]["results"][-1]["frames_at_distance"]
    assert sum(frames) == 40 + 39 + 38
    assert frames[0] > 3 * 5, "key frames of three runs"
    assert "runs from the first 3 frames, pooled" in study.to_markdown()


def test_nothing_to_compare_is_refused(data: Dataset) -> None:
    with pytest.raises(SettingError, match="no interval above 0, or no preset; expected at least one of each; name"):
        budgets_table(Conditions(data), BrightnessSegmenter(), presets={"blend": PRESETS["blend"]}, intervals=[0])


def test_the_command_writes_table_and_plot(data: Dataset, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    root = next(p for p in data.clips[0].frames[0].image_path.parents if (p / "labels.yaml").is_file())
    done = CliRunner().invoke(
        app,
        ["table", "budgets", "--dataset", "folders", "--root", str(root), "--model", MODEL, "--presets", "warp",
         "--intervals", "2,4", "--threads", "1", "--label-set", str(root / "labels.yaml"),
         "-o", str(tmp_path), "--plot"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    rows = json.loads((tmp_path / "budgets.json").read_text())["rows"]
    assert [row["schedule"] for row in rows] == ["every frame", "fixed", "fixed", "adaptive", "adaptive"]
    assert (tmp_path / "budgets.png").read_bytes()[:4] == b"\x89PNG"
    assert "network runs" in (tmp_path / "budgets.svg").read_text()
    assert "| warp | adaptive |" in (tmp_path / "budgets.md").read_text()
