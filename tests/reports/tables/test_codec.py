"""Flow from motion vectors against estimated flow: the coded data set, the table and its command."""

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
from segtween.evaluation.coded import coded
from segtween.labels import numbered
from segtween.reports.tables.codec import codec_table
from segtween.reports.tables.conditions import Conditions
from segtween.settings import PRESETS
from small_sets import picture

MODEL = f"{Path(__file__).parents[2] / 'fakes.py'}:by_brightness"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of a camera that moves by 3 pixels per frame."""
    place = tmp_path_factory.mktemp("codec")
    for clip, seed in (("a", 0), ("b", 7)):
        for i, rgb in enumerate(panning(10, (96, 160), step=3, cell=16, seed=seed)):
            picture(place / "val/frames" / clip / f"{i:02}.png", np.ascontiguousarray(rgb[..., ::-1]))
            picture(place / "val/labels" / clip / f"{i:02}.png", rgb[..., 0] // 64)
    (place / "labels.yaml").write_text("names: [dark, dim, light, bright]\n")
    return place


@pytest.fixture(scope="module")
def data(root: Path) -> Dataset:
    return open_dataset("folders", root, split="val", labels=numbered(4))


def test_a_coded_data_set_shows_what_a_video_of_it_would(data: Dataset) -> None:
    known = coded(data, "camera", crf=30)
    assert known.title == f"{data.title}, coded as H.264 (camera, CRF 30)"
    for clip in known.clips:
        for index, one in enumerate(clip.frames):
            seen, plain = known.read_rgb(one), data.read_rgb(one)
            assert seen.shape == plain.shape
            assert 0 < np.abs(seen.astype(int) - plain).mean() < 12
            found = known.frame_of(one)
            assert found.index == index
            assert (found.vectors is None) == (index == 0)
    first = known.clips[0].frames[0]
    np.testing.assert_array_equal(known.read_rgb(first), known.frame_of(first).rgb)  # back to the first clip


def test_a_lower_rate_factor_keeps_more(data: Dataset) -> None:
    one = data.clips[0].frames[4]
    plain = data.read_rgb(one).astype(int)
    errors = [np.abs(coded(data, "file", crf=crf).read_rgb(one) - plain).mean() for crf in (10, 40)]
    assert errors[0] < errors[1]


def test_what_cannot_be_coded(data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="coding 'tape'; expected one of camera, file"):
        coded(data, "tape")
    with pytest.raises(SettingError, match="a rate factor of 52; expected 0"):
        coded(data, "camera", crf=52)
    for i in range(2):
        picture(tmp_path / "val/frames/a" / f"{i}.png", np.zeros((33, 47, 3), np.uint8))
        picture(tmp_path / "val/labels/a" / f"{i}.png", np.zeros((33, 47), np.uint8))
    odd = coded(open_dataset("folders", tmp_path, split="val", labels=numbered(4)), "camera")
    with pytest.raises(SettingError, match="frames of 47x33 to be coded; expected an even width and height"):
        odd.read_rgb(odd.clips[0].frames[0])


def test_rows_of_both_flows_in_both_modes(data: Dataset) -> None:
    study = codec_table(Conditions(data, threads=1), BrightnessSegmenter(), settings=PRESETS["composed"], intervals=[2])
    assert [(row["mode"], row["flow"]) for row in study.rows] == [
        ("online", "dis"), ("online", "codec"), ("offline", "dis"), ("offline", "codec"),
    ]  # fmt: skip
    assert [row["gain"] is None for row in study.rows] == [True, False, True, False]
    for estimated, read in (study.rows[:2], study.rows[2:]):
        assert read["avg_miou"] == pytest.approx(estimated["avg_miou"], abs=0.05)
        assert read["avg_miou"] != estimated["avg_miou"]  # the flow is another one
        assert read["flow_ms"] > 0


def test_the_command_writes_the_table(root: Path, tmp_path: Path) -> None:
    words = ["table", "codec", "--dataset", "folders", "--root", str(root), "--split", "val", "--model", MODEL]
    words += ["--intervals", "2", "--coding", "file", "--crf", "28", "--threads", "1", "-o", str(tmp_path)]
    done = CliRunner().invoke(app, words, catch_exceptions=False)
    assert done.exit_code == 0
    stored = json.loads((tmp_path / "codec.json").read_text())
    assert (stored["coding"], stored["crf"], len(stored["rows"])) == ("file", 28, 4)
    refused = CliRunner().invoke(app, [*words[:-1], str(tmp_path / "no"), "--crf", "99"], catch_exceptions=False)
    assert refused.exit_code == 2
    assert "a rate factor of 99" in refused.output
