from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from segtween.datasets import open_dataset
from segtween.errors import DatasetError, LabelError
from small_sets import cityscapes, picture


def test_each_labelled_frame_has_a_clip_around_it(tmp_path: Path) -> None:
    # As in the data set: one sequence number may hold several snippets, even without a gap between them.
    frames = {"aachen_000000": range(30), "hanover_000000": range(100, 160)}
    data = open_dataset(
        "cityscapes",
        cityscapes(tmp_path, frames, {"aachen_000000": [19], "hanover_000000": [119, 149]}),
        split="val",
    )
    assert [(c.name, c.frames[0].name, len(c), c.labelled) for c in data.clips] == [
        ("aachen_000000_000019", "aachen_000000_000000", 30, [19]),
        ("hanover_000000_000119", "hanover_000000_000100", 30, [19]),
        ("hanover_000000_000149", "hanover_000000_000130", 30, [19]),
    ]
    assert not data.is_dense
    assert data.frame_rate == Fraction(17)


def test_a_gap_and_a_shortened_clip(tmp_path: Path) -> None:
    root = cityscapes(tmp_path, {"ulm_000001": [3, 4, 15, 16, 17, 18, 19, 20]}, {"ulm_000001": [19]})
    (clip,) = open_dataset("cityscapes", root, split="val").clips
    assert clip.frames[0].name == "ulm_000001_000015"
    assert clip.labelled == [4]


def test_labels_for_every_frame_are_dense(tmp_path: Path) -> None:
    data = open_dataset(
        "cityscapes",
        cityscapes(tmp_path, {"S0001_000000": range(40)}, {"S0001_000000": range(40)}),
        split="val",
    )
    assert data.is_dense
    assert [len(clip) for clip in data.clips] == [40]


def test_ids_that_are_no_train_class_read_as_ignore(tmp_path: Path) -> None:
    data = open_dataset("cityscapes", cityscapes(tmp_path, {"a_0": [19]}, {"a_0": [19]}), split="val")
    frame = data.clips[0].frames[0]
    assert frame.label_path is not None
    ids = np.zeros((8, 12), np.uint8)
    ids[0, :6] = 7, 33, 1, 6, 29, 255
    picture(frame.label_path, ids)
    labels = data.read_labels(frame, size_hw=(8, 12))
    assert labels is not None
    assert labels[0, :7].tolist() == [0, 18, 255, 255, 255, 255, 255]
    ids[0, 0] = 40
    picture(frame.label_path, ids)
    with pytest.raises(LabelError, match=r"holds ids \[40\]; expected the ids of label set 'cityscapes19'"):
        data.read_labels(frame, size_hw=(8, 12))


def test_missing_parts(tmp_path: Path) -> None:
    root = cityscapes(tmp_path, {"a_0": [18, 19]}, {"a_0": [19]})
    with pytest.raises(DatasetError, match=r"leftImg8bit_sequence/train is missing; expected the pictures of split"):
        open_dataset("cityscapes", root, split="train")
    (root / "leftImg8bit_sequence/val/a/a_0_000019_leftImg8bit.png").unlink()
    with pytest.raises(DatasetError, match=r"1 label files in .* have no picture, such as a_0_000019_gtFine_labelIds"):
        open_dataset("cityscapes", root, split="val")
    (root / "gtFine/val/a/a_0_000019_gtFine_labelIds.png").unlink()
    with pytest.raises(DatasetError, match=r"split 'val' of cityscapes has no frames"):
        open_dataset("cityscapes", root, split="val")
