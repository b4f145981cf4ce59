"""Adaptive schedules and the report on temporal consistency, from the command line and from Python."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

import segtween
from fakes import by_brightness, panning
from segtween.errors import SettingError
from segtween.settings import DEFAULT_PRESET
from small_sets import picture

MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"


def call(*args: str | Path) -> Result:
    from segtween.cli import app

    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    for i, rgb in enumerate(panning(20, (48, 64))):
        cv2.imwrite(str(folder / f"f{i:02}.png"), rgb[..., ::-1])
    return folder


def test_run_spends_a_budget_and_reports_temporal(clip: Path, tmp_path: Path) -> None:
    done = call("run", clip, "-o", tmp_path / "out", "--save", "labels", "--model", MODEL, "--schedule", "adaptive",
                "--budget", "25", "--most-distance", "8", "--report")  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    runs = record["totals"]["network_runs"]
    words = " ".join(done.stdout.split())
    assert f"network on {runs} of 20 frames ({5 * runs:.1f} per 100)" in words
    assert "temporal consistency " in words
    assert "of pixels per frame change back and forth" in words
    assert "change label at key frames" in words
    assert runs == pytest.approx(5, abs=3)
    assert record["interval"] is None
    assert (record["method"]["schedule"], record["method"]["budget"], record["method"]["most_distance"]) == (
        "adaptive", 25.0, 8)  # fmt: skip
    assert record["method"]["name"] == f"{DEFAULT_PRESET}*"
    assert 0 < record["consistency"]["tc"] <= 1
    assert record["consistency"]["classes_seen"] > 1
    assert record["stages_ms"]["report"]["runs"] == 20


def test_without_report_nothing_is_measured(clip: Path, tmp_path: Path) -> None:
    done = call("run", clip, "-o", tmp_path / "out", "--save", "labels", "--model", MODEL)
    assert done.exit_code == 0, done.output
    assert "consistency" not in done.stdout
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["consistency"] is None
    assert "report" not in record["stages_ms"]


def test_one_class_and_one_frame_are_told(clip: Path, tmp_path: Path) -> None:
    black = tmp_path / "black"
    black.mkdir()
    for i in range(3):
        cv2.imwrite(str(black / f"{i}.png"), np.zeros((48, 64, 3), np.uint8))
    done = call("run", black, "-o", tmp_path / "a", "--model", MODEL, "--save", "labels", "--report")
    assert "all of one class, which is always steady" in " ".join(done.stdout.split())
    done = call("run", clip / "f00.png", "-o", tmp_path / "b", "--model", MODEL, "--save", "labels", "--report")
    assert "temporal consistency: no two frames to compare" in done.stdout


def test_an_interval_beside_a_budget_is_refused(clip: Path, tmp_path: Path) -> None:
    done = call("run", clip, "-o", tmp_path / "out", "--model", MODEL, "--schedule", "adaptive", "--budget", "20",
                "--every", "5")  # fmt: skip
    assert done.exit_code == 2
    assert "every 5 and budget 20; expected one of them; leave one out" in done.stderr
    with pytest.raises(SettingError, match=r"interval 3 and target 5\.0 ms; expected one of them; leave one out"):
        segtween.load(by_brightness, interval=3, schedule="adaptive", target_ms=5.0)


def test_a_target_in_ms_runs_and_says_that_it_depends_on_the_machine(clip: Path) -> None:
    seg = segtween.load(by_brightness, schedule="adaptive", target_ms=1000.0, least_distance=2)
    results = list(seg.stream(clip))
    keys = [r.index for r in results if r.is_key]
    assert set(np.diff(keys[-4:])) == {2}, "more than it can spend: as often as it may"
    assert seg.method.record["deterministic"] is False


def test_evaluate_measures_an_adaptive_schedule_in_a_row_of_its_own(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for i, rgb in enumerate(panning(12, (48, 64), cell=16)):
        picture(root / "val/frames/a" / f"{i:02}.png", np.ascontiguousarray(rgb[..., ::-1]))
        picture(root / "val/labels/a" / f"{i:02}.png", rgb[..., 0] // 64)
    (root / "labels.yaml").write_text("names: [dark, dim, light, bright]\n")
    common = ("evaluate", "--dataset", "folders", "--root", root, "--model", MODEL, "--label-set", root / "labels.yaml",
              "--schedule", "adaptive", "--budget", "25", "--json", tmp_path / "out.json")  # fmt: skip
    done = call(*common)
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "out.json").read_text())["results"]
    assert (row["interval"], row["row"], row["schedule"]["budget"]) == (None, "adaptive, 25 per 100", 25.0)
    assert sum(row["frames_at_distance"]) == 12
    assert call(*common, "--intervals", "3").exit_code == 0
    both = json.loads((tmp_path / "out.json").read_text())["results"]
    assert [r["interval"] for r in both] == [3, None]
    fixed, adaptive = (result["gain_over_every_frame"]["value"] for result in both)
    assert both[1].pop("gain_over_fixed")["value"] == pytest.approx(adaptive - fixed), "each to the same frames"
    assert row.pop("gain_over_fixed") is None
    assert both[1] == row
