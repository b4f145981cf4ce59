"""Which clips the reference's command line takes: list files, Cityscapes' and CamVid's folders, any pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segtween.compat.swnet_seq.clips import clips_of_list, labelled_clips, split_exists, unlabelled_clips
from segtween.compat.swnet_seq.flags import Options
from segtween.errors import DatasetError, LabelError, SettingError
from small_sets import camvid, cityscapes, grey, picture


@pytest.fixture
def city(tmp_path: Path) -> Path:
    """Two snippets of 30 frames of one sequence, as Frankfurt has them, and one of another."""
    frames = {"ulm_000000": [*range(30), *range(100, 130)], "ulm_000001": range(30)}
    return cityscapes(tmp_path / "city", frames, {"ulm_000000": [19, 119], "ulm_000001": [19]})


def options(root: Path | None, **changes: object) -> Options:
    return Options(data_root="" if root is None else str(root), **changes)  # type: ignore[arg-type]


def test_cityscapes_folders_are_clips_around_each_labelled_frame(city: Path) -> None:
    data = labelled_clips(options(city), split="val", listing="", before=4)
    assert [clip.name for clip in data.clips] == ["ulm_000000_000019", "ulm_000000_000119", "ulm_000001_000019"]
    assert all(clip.labelled == [19] and len(clip) == 30 for clip in data.clips)
    truth = data.read_labels(data.clips[0].frames[19], size_hw=(8, 12))
    assert truth is not None
    assert not truth.any()  # id 7 is road, train id 0


def test_a_list_line_is_the_labelled_frame_and_those_before_it(city: Path, tmp_path: Path) -> None:
    image = "leftImg8bit_sequence/val/ulm/ulm_000000_000119_leftImg8bit.png"
    label = "gtFine/val/ulm/ulm_000000_000119_gtFine_labelIds.png"
    listing = tmp_path / "lists" / "some.txt"
    listing.parent.mkdir()
    listing.write_text(f"{image} {label}\n\n{city / image} {city / label}\n")
    data = labelled_clips(options(city), split="val", listing=str(listing), before=2)
    assert [[f.name for f in clip.frames] for clip in data.clips] == [
        ["ulm_000000_000117", "ulm_000000_000118", "ulm_000000_000119"]
    ] * 2
    assert data.clips[0].labelled == [2]
    assert data.split == "some"


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("a b c", r"some\.txt, line 1: 'a b c'; expected an image and its label file, with a space between; correct"),
        ("a", r"some\.txt, line 1: 'a'; expected an image and its label file"),
        (
            "none.png none.png",
            r"some\.txt, line 1: none\.png is missing; expected it at .*none\.png; check --data-root",
        ),
        (
            "leftImg8bit_sequence/val/ulm/ulm_000000_000001_leftImg8bit.png x",
            r"some\.txt, line 1: x is missing; expected it at",
        ),
        (
            "leftImg8bit_sequence/val/ulm/ulm_000000_000002_leftImg8bit.png "
            "gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png",
            r"line 1: .*-00001_leftImg8bit\.png is missing, 3 before ulm_000000_000002_leftImg8bit\.png; "
            r"expected the 3 frames before each labelled one; add them, or give shorter steps",
        ),
        ("", r"list file .*some\.txt names no frame; expected lines of `image label`; add some"),
    ],
)
def test_a_wrong_list_is_said(line: str, text: str, city: Path, tmp_path: Path) -> None:
    listing = tmp_path / "some.txt"
    listing.write_text(line + "\n")
    with pytest.raises(DatasetError, match=text):
        clips_of_list(listing, city, before=3)


def test_a_list_that_is_not_there_or_no_text_is_said(city: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"list file .*none\.txt cannot be read \(No such file or directory\)"):
        clips_of_list(tmp_path / "none.txt", city, before=1)
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DatasetError, match=r"list file .*b\.txt cannot be read \(it is not text\)"):
        clips_of_list(tmp_path / "b.txt", city, before=1)


def test_a_frame_without_a_number_has_none_before_it(tmp_path: Path) -> None:
    picture(tmp_path / "frame.png", grey())
    (tmp_path / "l.txt").write_text("frame.png frame.png\n")
    with pytest.raises(DatasetError, match=r"line 1: frame\.png has no frame number; expected a number at the end"):
        clips_of_list(tmp_path / "l.txt", tmp_path, before=1)


def test_a_clip_shorter_than_the_longest_step_is_said(tmp_path: Path) -> None:
    root = cityscapes(tmp_path, {"ulm_000000": range(17, 25)}, {"ulm_000000": [19]})
    text = r"clip ulm_000000_000019 has 2 frames before its last labelled one; expected 4 or more, .*--eval-multi-step"
    with pytest.raises(DatasetError, match=text):
        labelled_clips(options(root), split="val", listing="", before=4)
    assert labelled_clips(options(root), split="val", listing="", before=2).n_frames == 8


def test_ids_outside_the_table_are_said(city: Path) -> None:
    data = labelled_clips(options(city), split="val", listing="", before=0)
    frame = data.clips[0].frames[19]
    assert frame.label_path is not None
    picture(frame.label_path, np.full((8, 12), 77, np.uint8))
    with pytest.raises(LabelError, match=r"gtFine_labelIds\.png holds ids \[77\]; expected the ids of label set"):
        data.read_labels(frame, size_hw=(8, 12))


def test_camvid_has_long_clips_and_single_frames_with_those_before_them_in_their_folder(tmp_path: Path) -> None:
    root = camvid(tmp_path, [f"A_{n:05d}" for n in range(10, 22, 2)] + ["B_00050"])
    for n in (44, 46, 48):
        picture(root / "val" / f"B_{n:05d}.png", grey())
    data = labelled_clips(options(root, dataset="camvid"), split="val", listing="", before=3)
    assert [(len(clip), clip.labelled) for clip in data.clips] == [(6, [0, 1, 2, 3, 4, 5]), (4, [3])]
    with pytest.raises(DatasetError, match=r"B: .*B_00042\.png is missing, 4 before B_00050\.png"):
        labelled_clips(options(root, dataset="camvid"), split="val", listing="", before=4)


def test_inference_takes_every_frame_and_needs_no_labels(city: Path, tmp_path: Path) -> None:
    assert [(c.name, len(c)) for c in unlabelled_clips(options(city))] == [
        ("ulm_000000_000000", 30), ("ulm_000000_000100", 30), ("ulm_000001_000000", 30)
    ]  # fmt: skip
    for name in ("one/a_1.png", "one/a_2.png", "one/a_3.png", "two/x.png", "two/y.png"):
        picture(tmp_path / "plain" / name, grey())
    found = unlabelled_clips(options(tmp_path / "plain"))
    assert [[f.name for f in clip.frames] for clip in found] == [["a_1", "a_2", "a_3"], ["x", "y"]]
    listing = tmp_path / "plain" / "test.txt"
    listing.write_text("one/a_3.png\n")
    chosen = unlabelled_clips(options(tmp_path / "plain", test_list=str(listing), eval_multi_step=(2,)))
    assert [[f.name for f in clip.frames] for clip in chosen] == [["a_1", "a_2", "a_3"]]
    listing.write_text("one/a_3.png one/label_that_is_not_there.png\n")
    assert unlabelled_clips(options(tmp_path / "plain", test_list=str(listing), eval_multi_step=(2,))) == chosen


def test_what_is_missing_is_said(city: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SEGTWEEN_DATA", raising=False)
    with pytest.raises(SettingError, match=r"no data folder; expected --data-root FOLDER; give it, or set SEGTWEEN_DA"):
        labelled_clips(options(None), split="val", listing="", before=1)
    with pytest.raises(SettingError, match=r"--data-root .*none; expected a folder; check the path"):
        unlabelled_clips(options(tmp_path / "none"))
    with pytest.raises(DatasetError, match=r"folder .*/test is missing; expected the pictures of that split"):
        unlabelled_clips(options(city, split="test"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match=r"empty holds no pictures; expected leftImg8bit_sequence/<split>"):
        unlabelled_clips(options(tmp_path / "empty"))
    monkeypatch.setenv("SEGTWEEN_DATA", str(city))
    assert len(labelled_clips(options(None), split="val", listing="", before=1).clips) == 3
    assert split_exists(options(None), "val")
    assert not split_exists(options(None), "train")
