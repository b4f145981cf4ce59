from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segtween.datasets import open_dataset
from segtween.datasets.camvid import equal_runs
from segtween.errors import DatasetError, LabelError
from small_sets import camvid, picture


def test_equal_spacing_makes_a_clip(tmp_path: Path) -> None:
    names = ["A_0010", "A_0012", "A_0014", "A_0016", "B_00000", "B_00001", "lone"]
    data = open_dataset("camvid", camvid(tmp_path, names), split="val")
    assert [(clip.name, [f.name for f in clip.frames]) for clip in data.clips] == [
        ("A", names[:4]), ("B", names[4:6]), ("lone", ["lone"]),
    ]  # fmt: skip
    assert data.is_dense
    assert data.frame_rate == Fraction(15), "CamVid counts at 30 Hz, these frames lie 2 apart"
    assert not data.has_flow


def test_labels_are_train_ids_with_void_as_ignore(tmp_path: Path) -> None:
    data = open_dataset("camvid", camvid(tmp_path, ["A_1", "A_2"]), split="val")
    frame = data.clips[0].frames[0]
    assert frame.label_path is not None
    stored = np.array([[0, 10, 11, 255]], np.uint8).repeat(8, 0).repeat(3, 1)
    picture(frame.label_path, stored)
    labels = data.read_labels(frame, size_hw=(8, 12))
    assert labels is not None
    assert labels[0].tolist() == [0] * 3 + [10] * 3 + [255] * 6


def test_names_listed_with_a_foreign_root_are_found(tmp_path: Path) -> None:
    camvid(tmp_path, ["A_1", "A_2"])
    listing = tmp_path / "val.txt"
    lines = listing.read_text().splitlines()
    listing.write_text("\n".join("/data/CamVid/" + line.replace(" ", " /data/CamVid/") for line in lines))
    assert open_dataset("camvid", tmp_path, split="val").n_frames == 2


@pytest.mark.parametrize(
    ("numbers", "runs"),
    [
        ([5], [(0, 1)]),
        ([5, 6], [(0, 2)]),
        ([5, 9], [(0, 1), (1, 2)]),
        ([0, 2, 4, 6], [(0, 4)]),
        ([10, 100, 101, 102], [(0, 1), (1, 4)]),
        ([0, 30, 60, 90, 91, 92], [(0, 4), (4, 6)]),
        ([0, 30, 60, 500, 530], [(0, 3), (3, 5)]),
    ],
)
def test_equal_runs(numbers: list[int], runs: list[tuple[int, int]]) -> None:
    assert equal_runs(numbers) == runs


@given(st.lists(st.integers(0, 200), min_size=1, max_size=30, unique=True).map(sorted))
def test_equal_runs_cover_every_number_once_at_one_spacing(numbers: list[int]) -> None:
    runs = equal_runs(numbers)
    assert [i for first, last in runs for i in range(first, last)] == list(range(len(numbers)))
    for first, last in runs:
        assert len({b - a for a, b in pairwise(numbers[first:last])}) <= 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("val/A_1.png\n", r"val\.txt, line 1: 'val/A_1\.png'; expected an image and its label file"),
        ("\nval/A_1.png valannot/none.png", r"line 2: valannot/none\.png is missing; expected that file under"),
        ("val/none.png valannot/A_1.png", r"line 1: val/none\.png is missing"),
        ("", r"split 'val' of camvid has no frames; expected at least one; check root and split"),
        ("val/A_1.png valannot/A_1.png\n" * 2, r"lists frame 1 of 'A' twice; expected each frame once"),
    ],
)
def test_bad_lists(tmp_path: Path, lines: str, message: str) -> None:
    camvid(tmp_path, ["A_1", "A_2"])
    (tmp_path / "val.txt").write_text(lines)
    with pytest.raises(DatasetError, match=message):
        open_dataset("camvid", tmp_path, split="val")


def test_a_missing_list_names_the_splits_that_exist(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"test\.txt cannot be read .*splits there: val\); check root= and split="):
        open_dataset("camvid", camvid(tmp_path, ["A_1"]), split="test")


def test_a_list_that_is_no_text_is_refused(tmp_path: Path) -> None:
    root = camvid(tmp_path, ["A_1"])
    (root / "val.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DatasetError, match=r"val\.txt cannot be read \(it is not text\); expected <split>\.txt"):
        open_dataset("camvid", root, split="val")


def test_a_missing_root_and_an_unknown_layout(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"root .*nowhere is not a folder; expected a data set laid out as camvid"):
        open_dataset("camvid", tmp_path / "nowhere", split="val")
    with pytest.raises(DatasetError, match=r"data set 'camvids' is not known; .*; did you mean camvid\?"):
        open_dataset("camvids", tmp_path, split="val")


def test_labels_outside_the_set_and_of_another_size(tmp_path: Path) -> None:
    data = open_dataset("camvid", camvid(tmp_path, ["A_1"], value=12), split="val")
    frame = data.clips[0].frames[0]
    with pytest.raises(LabelError, match=r"A_1\.png holds ids \[12\]; expected the ids of label set 'camvid11'"):
        data.read_labels(frame, size_hw=(8, 12))
    with pytest.raises(LabelError, match=r"A_1\.png is 12x8; expected 24x16 \(width x height\), the size of A_1\.png"):
        data.read_labels(frame, size_hw=(16, 24))


def test_coloured_and_corrupt_labels(tmp_path: Path) -> None:
    data = open_dataset("camvid", camvid(tmp_path, ["A_1"]), split="val")
    frame = data.clips[0].frames[0]
    assert frame.label_path is not None
    picture(frame.label_path, np.zeros((8, 12, 3), np.uint8))
    with pytest.raises(LabelError, match=r"is uint8 of shape \(8, 12, 3\); expected one channel"):
        data.read_labels(frame, size_hw=(8, 12))
    frame.label_path.write_bytes(b"text")
    with pytest.raises(DatasetError, match=r"is not a readable image \(4 bytes\); expected a whole PNG or JPEG file"):
        data.read_labels(frame, size_hw=(8, 12))
    frame.label_path.unlink()
    with pytest.raises(DatasetError, match=r"cannot be read \(No such file or directory\); expected an image file"):
        data.read_labels(frame, size_hw=(8, 12))


@pytest.mark.shared
def test_camvid_val_is_one_clip(shared: Path) -> None:
    data = open_dataset("camvid", shared / "data/camvid", split="val")
    assert [len(clip) for clip in data.clips] == [101]
    assert data.frame_rate == Fraction(15)
    frame = data.clips[0].frames[0]
    rgb = data.read_rgb(frame)
    labels = data.read_labels(frame, size_hw=rgb.shape[:2])  # type: ignore[arg-type]
    assert frame.name == "0016E5_07959"
    assert rgb.shape == (360, 480, 3)
    assert labels is not None
    assert set(np.unique(labels)) <= {*range(11), 255}
