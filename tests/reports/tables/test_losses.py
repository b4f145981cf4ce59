"""What propagation loses, on a clip of which every lost pixel can be counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes import BrightnessSegmenter
from segtween.cli import app
from segtween.datasets import Dataset, open_dataset
from segtween.errors import SettingError
from segtween.evaluation import EvaluationOptions, evaluate_losses
from segtween.labels import numbered
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.losses import losses_table, rendered
from segtween.settings import PRESETS, Settings, change
from segtween.street import Drives
from small_sets import camvid, picture

STILL = change(PRESETS["warp"], flow="zero", cuts=False)
"""Labels of the key frame stay where they are."""

FRAMES, BLOCK, POLE = 6, 12 * 12, 2 * 20
GROUND = 40 * 90 - BLOCK - POLE


def scene(t: int) -> np.ndarray:
    """A block of 12x12 pixels that moves by 4 from frame to frame, and a pole, two pixels wide, by 3."""
    labels = np.zeros((40, 90), np.uint8)
    labels[20:32, 5 + 4 * t : 17 + 4 * t] = 1
    labels[5:25, 60 + 3 * t : 62 + 3 * t] = 2
    return labels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = camvid(tmp_path_factory.mktemp("scene"), [f"A_{t}" for t in range(FRAMES)])
    (root / "flow").mkdir()
    for t in range(FRAMES):
        truth, before = scene(t), scene(max(t - 1, 0))
        picture(root / f"val/A_{t}.png", np.repeat((truth * 64 + 32)[..., None], 3, axis=2))
        picture(root / f"valannot/A_{t}.png", truth)
        flow = np.zeros((*truth.shape, 2), np.float32)
        flow[truth == 1, 0], flow[truth == 2, 0] = -4, -3
        np.savez(root / f"flow/A_{t}.npz", flow=flow, occlusion=(truth == 0) & (before > 0))
    return open_dataset("camvid", root, split="val", labels=numbered(4))


def conditions(data: Dataset) -> Conditions:
    return Conditions(data, threads=1, command="segtween table losses")


def table(data: Dataset, preset: Settings = STILL, **options: object) -> dict[str, object]:
    segmenter = BrightnessSegmenter(stride=1)
    study = losses_table(
        conditions(data), segmenter, presets={"still": preset}, default="still", offline=False, **options
    )  # type: ignore[arg-type]
    return {**study.to_json(), "headings": study.headings(), "cells": study.cells()}


def test_every_lost_pixel_is_where_it_belongs(data: Dataset) -> None:
    found = table(data, intervals=[1])
    (row,) = found["rows"]  # type: ignore[misc]
    # Of the block's first four columns, two lie at its front, and four pixels of the others at its top and bottom.
    assert row["thin"] == pytest.approx(1 / 3), "the whole pole"
    assert row["hidden"] == pytest.approx((4 * 12 + POLE) / GROUND / 3), "what both have left"
    assert row["edge"] == pytest.approx((2 * 12 + 2 * 4) / BLOCK / 3)
    assert row["elsewhere"] == pytest.approx(2 * 8 / BLOCK / 3)
    assert row["lost"] == pytest.approx(row["thin"] + row["hidden"] + row["edge"] + row["elsewhere"])
    assert (row["won"], row["net"]) == (0, pytest.approx(row["lost"]))
    assert row["most"] == "class-2 100.0, class-1 33.3, class-0 2.6"
    assert (row["distance"], row["interval"]) == (1, 1)
    classes = {c["class"]: c for c in found["classes"]}  # type: ignore[attr-defined]
    assert list(classes) == ["class-0", "class-1", "class-2"]
    assert (classes["class-2"]["recall_every_frame"], classes["class-2"]["recall"]) == (1, 0)
    assert classes["class-2"]["pixels"] == POLE * (FRAMES - 1), "each frame but the first, once over both phases"
    (clip,) = found["clips"]  # type: ignore[misc]
    assert (clip["net"], clip["lost"]) == (pytest.approx(row["net"]), pytest.approx(row["lost"]))


def test_farther_from_the_key_frame(data: Dataset) -> None:
    found = table(data, intervals=[3], distance=2)
    (row,) = found["rows"]  # type: ignore[misc]
    block = next(c for c in found["classes"] if c["class"] == "class-1")  # type: ignore[attr-defined]
    assert row["distance"] == 2
    assert block["lost"] == pytest.approx(8 / 12)
    ground = next(c for c in found["classes"] if c["class"] == "class-0")  # type: ignore[attr-defined]
    # Hidden on the way counts: the ground of the four columns that the block left in either frame, and the pole's.
    assert ground["hidden"] == pytest.approx((8 * 12 + POLE) / GROUND)
    assert ground["pixels"] == GROUND * 4


def test_rows_of_classes_are_shown_on_request(data: Dataset) -> None:
    assert "class" not in table(data, intervals=[1])["headings"]  # type: ignore[operator]
    found = table(data, intervals=[1, 2], per_class=True)
    assert "class" in found["headings"]  # type: ignore[operator]
    order = [(row["interval"], row["class"]) for row in found["rows"]]  # type: ignore[attr-defined]
    assert order == [(i, c) for i in (1, 2) for c in ("mean", "class-0", "class-1", "class-2")]


def test_without_exact_flow_nothing_is_called_hidden(data: Dataset) -> None:
    clips = [replace(clip, frames=[replace(frame, flow_path=None) for frame in clip.frames]) for clip in data.clips]
    found = table(replace(data, clips=clips), intervals=[1])
    (row,) = found["rows"]  # type: ignore[misc]
    assert row["hidden"] is None
    assert "hidden at the key frame" not in found["headings"]  # type: ignore[operator]
    assert any("left out: what was hidden at the key frame" in note for note in found["notes"])  # type: ignore[attr-defined]
    assert row["lost"] == pytest.approx(table(data, intervals=[1])["rows"][0]["lost"])  # type: ignore[index]


def test_frames_that_all_become_key_frames_lose_nothing_and_it_is_said(data: Dataset) -> None:
    found = table(data, change(STILL, cuts=True), intervals=[1])  # such jumps look like cuts
    assert found["rows"][0]["lost"] is None  # type: ignore[index]
    assert "still at 1: no frame is 1 frame after its key frame" in found["notes"]  # type: ignore[operator]


def test_methods_share_one_pass_and_the_offline_mode_is_one(data: Dataset) -> None:
    segmenter = BrightnessSegmenter(stride=1)
    presets = {"composed": change(PRESETS["composed"], cuts=False), "still": STILL}
    study = losses_table(conditions(data), segmenter, presets=presets, default="composed", intervals=[2])
    assert [row["row"] for row in study.rows] == ["composed, bidirectional", "composed", "still"]
    assert [row["mode"] for row in study.rows] == ["offline", "online", "online"]
    assert segmenter.calls == FRAMES
    alone = evaluate_losses(
        data, segmenter=segmenter, methods={"still": STILL}, intervals=[2], options=EvaluationOptions(threads=1)
    )[0].counts  # fmt: skip
    assert study.rows[2]["lost"] == pytest.approx(float(alone.mean(alone.lost).sum()))
    assert len({row["hash"] for row in study.rows}) == 3


@pytest.mark.parametrize(
    ("options", "text"),
    [({"intervals": [0]}, r"intervals \[0\]; expected one or more, above 0"),
     ({"intervals": [2], "distance": 3}, "distance 3 at interval 2; expected 1 to 2")],
)  # fmt: skip
def test_what_cannot_be_compared(data: Dataset, options: dict[str, object], text: str) -> None:
    with pytest.raises(SettingError, match=text):
        table(data, **options)


@pytest.mark.slow
def test_the_street_is_rendered_with_its_exact_truth() -> None:
    drives = Drives(seed=907, clips=2, frames=3, size_hw=(48, 64), traffic="heavy")
    with rendered(drives) as street:
        assert street.title == "street, drives 907 to 908, heavy traffic val (camvid layout)"
        assert (len(street.clips), street.is_dense, street.has_flow) == (2, True, True)
        place = street.clips[0].frames[0].image_path
        assert place.is_file()
    assert not place.exists()


def test_the_command(data: Dataset, tmp_path: Path) -> None:
    root = data.clips[0].frames[0].image_path.parents[1]
    model = f"{Path(__file__).parents[2] / 'fakes.py'}:by_brightness"
    words = ["table", "losses", "--model", model, "--presets", "warp", "--intervals", "1",
             "--no-offline", "--threads", "1", "-o", str(tmp_path / "out")]  # fmt: skip
    labels = ["--dataset", "camvid", "--root", str(root), "--dataset-labels", str(tmp_path / "four.yaml")]
    (tmp_path / "four.yaml").write_text("names: [dark, dim, light, bright]\n")
    done = CliRunner().invoke(app, [*words, *labels])
    assert done.exit_code == 0, done.output
    stored = json.loads((tmp_path / "out" / "losses.json").read_text())
    assert stored["table"] == "losses"
    assert stored["rows"][0]["row"] == "warp"
    assert 0 < stored["rows"][0]["lost"] < 1
    refused = CliRunner().invoke(app, ["table", "losses", "--dataset", "camvid"])
    assert refused.exit_code == 2
