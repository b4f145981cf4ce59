from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes import panning
from segtween.cli import app
from segtween.datasets import open_dataset
from segtween.errors import DatasetError, LabelError
from segtween.labels import label_set, usual
from small_sets import picture

BRIGHTNESS = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"


def vspw(root: Path, videos: dict[str, int], *, split: str = "val", size_hw: tuple[int, int] = (32, 48)) -> Path:
    """Moving textures; a pixel's id is 1 + the quarter of brightness its red lies in, void at the left border."""
    for video, frames in videos.items():
        for i, rgb in enumerate(panning(frames, size_hw, cell=16)):
            name = f"{i:08d}"
            picture(root / "data" / video / "origin" / f"{name}.jpg", np.ascontiguousarray(rgb[..., ::-1]))
            truth = 1 + rgb[..., 0] // 64
            truth[:, 0], truth[:, 1] = 0, 255
            picture(root / "data" / video / "mask" / f"{name}.png", truth)
    (root / f"{split}.txt").write_text("\n".join(videos) + "\n")
    return root


def test_listed_videos_are_dense_clips_at_15_hz(tmp_path: Path) -> None:
    data = open_dataset("vspw", vspw(tmp_path, {"2_b": 3, "1_a": 2}), split="val")
    assert [(clip.name, len(clip)) for clip in data.clips] == [("2_b", 3), ("1_a", 2)]
    assert data.clips[1].frames[1].name == "1_a/00000001"
    assert data.is_dense
    assert data.frame_rate == Fraction(15)


def test_classes_are_vspw_s_and_void_is_ignored(tmp_path: Path) -> None:
    data = open_dataset("vspw", vspw(tmp_path, {"a": 1}), split="val")
    assert len(data.labels) == 124
    assert data.labels.names == usual(124).names, "a network without names fits"
    frame = data.clips[0].frames[0]
    assert frame.label_path is not None
    stored = np.array([[0, 1, 2, 124, 255, 0]], np.uint8).repeat(32, 0).repeat(8, 1)
    picture(frame.label_path, stored)
    labels = data.read_labels(frame, size_hw=(32, 48))
    assert labels is not None
    assert labels[0, ::8].tolist() == [255, 0, 1, 123, 255, 255]
    picture(frame.label_path, np.full((32, 48), 125, np.uint8))
    with pytest.raises(LabelError, match=r"00000000\.png holds ids \[125\]"):
        data.read_labels(frame, size_hw=(32, 48))


def test_a_label_set_of_ones_own_may_use_id_0(tmp_path: Path) -> None:
    root = vspw(tmp_path, {"a": 1})
    (tmp_path / "own.yaml").write_text("names: [dark, light]\nids: [0, 1]\n")
    data = open_dataset("vspw", root, split="val", labels=tmp_path / "own.yaml")
    frame = data.clips[0].frames[0]
    assert frame.label_path is not None
    picture(frame.label_path, np.array([[0, 1, 255]], np.uint8).repeat(32, 0).repeat(16, 1))
    labels = data.read_labels(frame, size_hw=(32, 48))
    assert labels is not None
    assert labels[0, ::16].tolist() == [0, 1, 255]
    one = open_dataset("vspw", root, split="val", labels=label_set(["only"]))
    assert one.labels.names == ("only",)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    root = vspw(tmp_path, {"a": 2})
    with pytest.raises(DatasetError, match=r"test\.txt cannot be read .*splits there: val"):
        open_dataset("vspw", root, split="test")
    (root / "test.txt").write_text("a\nb\n")
    with pytest.raises(DatasetError, match="video 'b' has no folder"):
        open_dataset("vspw", root, split="test")
    (root / "data" / "b" / "origin").mkdir(parents=True)
    with pytest.raises(DatasetError, match="origin has no pictures"):
        open_dataset("vspw", root, split="test")
    (root / "test.txt").write_text("a\na\n")
    with pytest.raises(DatasetError, match=r"test\.txt lists video 'a' twice"):
        open_dataset("vspw", root, split="test")
    (root / "data" / "a" / "origin" / "00000001.jpg").unlink()
    with pytest.raises(DatasetError, match=r"label .*00000001\.png has no picture"):
        open_dataset("vspw", root, split="val")


@pytest.mark.parametrize("option", ["--label-set", "--dataset-labels"])
def test_evaluate_takes_the_label_set_of_the_data(tmp_path: Path, option: str) -> None:
    root, out = vspw(tmp_path, {"a": 6}), tmp_path / "out.json"
    (tmp_path / "own.yaml").write_text("names: [dark, dim, light, bright]\nids: [1, 2, 3, 4]\n")
    command = ["evaluate", "--dataset", "vspw", "--root", root, option, tmp_path / "own.yaml", "--model", BRIGHTNESS]
    done = CliRunner().invoke(app, [*map(str, command), "--intervals", "1", "--threads", "1", "--json", str(out)])
    assert done.exit_code == 0, done.output
    record = json.loads(out.read_text())
    assert record["dataset"] == "vspw"
    assert record["frames"] == 6
    assert record["every_frame"]["miou"] > 0.5
