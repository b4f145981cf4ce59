from __future__ import annotations

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from segtween.datasets import open_dataset
from segtween.datasets.reading import read_flow, read_ids, read_rgb
from segtween.errors import DatasetError, SettingError
from small_sets import camvid, cityscapes, grey, picture


def folders(root: Path, *, frames: int = 12, labelled: tuple[int, ...] = (3, 7)) -> Path:
    for i in range(frames):
        picture(root / "val/frames/walk" / f"{i}.png", grey())
    for i in labelled:
        picture(root / "val/labels/walk" / f"{i}.png", np.ones((8, 12), np.uint8))
    (root / "labels.yaml").write_text("names: [ground, person]\n")
    return root


def test_folders_in_natural_order_with_their_own_label_set(tmp_path: Path) -> None:
    data = open_dataset("folders", folders(tmp_path), split="val")
    (clip,) = data.clips
    assert [frame.image_path.stem for frame in clip.frames] == [str(i) for i in range(12)]
    assert clip.frames[10].name == "walk/10"
    assert clip.labelled == [3, 7]
    assert data.labels.names == ("ground", "person")
    assert data.frame_rate is None
    labels = data.read_labels(clip.frames[3], size_hw=(8, 12))
    assert labels is not None
    assert labels.tolist() == np.ones((8, 12)).tolist()
    assert data.read_labels(clip.frames[4], size_hw=(8, 12)) is None


def test_folders_with_missing_parts(tmp_path: Path) -> None:
    root = folders(tmp_path)
    with pytest.raises(DatasetError, match=r"train/frames is missing; expected <root>/<split>/frames/<clip>/\*\.png"):
        open_dataset("folders", root, split="train")
    picture(root / "val/labels/walk/77.png", np.ones((8, 12), np.uint8))
    with pytest.raises(DatasetError, match=r"77\.png has no picture; expected a picture 77 in .*; rename it"):
        open_dataset("folders", root, split="val")
    (root / "val/frames/empty").mkdir()
    with pytest.raises(DatasetError, match=r"clip folder .*empty has no pictures; expected files .*remove the folder"):
        open_dataset("folders", root, split="val")
    (root / "labels.yaml").unlink()
    with pytest.raises(DatasetError, match=r"has no label set; expected labels\.yaml in it; write one"):
        open_dataset("folders", root, split="val")


def test_a_split_without_labels(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"split 'val' of folders has no labels; expected a label image for"):
        open_dataset("folders", folders(tmp_path, labelled=()), split="val")


def test_limited(tmp_path: Path) -> None:
    dense = open_dataset("camvid", camvid(tmp_path / "d", ["A_1", "A_2", "A_3", "B_1", "B_2"]), split="val")
    assert [len(clip) for clip in dense.limited(4).clips] == [3, 1]
    assert [len(clip) for clip in dense.limited(3).clips] == [3]
    assert dense.limited(None) is dense
    assert dense.limited(99) is dense
    with pytest.raises(SettingError, match="0 frames; expected 1 or more"):
        dense.limited(0)
    frames = {"a_0": range(30), "b_0": range(30)}
    sparse = open_dataset("cityscapes", cityscapes(tmp_path / "s", frames, {"a_0": [19], "b_0": [19]}), split="val")
    assert [len(clip) for clip in sparse.limited(45).clips] == [30]
    with pytest.raises(SettingError, match=r"29 frames; expected at least the 30 frames of the first clip"):
        sparse.limited(29)


def test_pictures_come_as_rgb(tmp_path: Path) -> None:
    bgr = grey()
    bgr[..., 0], bgr[..., 2] = 10, 30
    assert read_rgb(picture(tmp_path / "a.png", bgr))[0, 0].tolist() == [30, 100, 10]


@pytest.mark.parametrize("colour_type", [0, 3], ids=["grey", "palette"])
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
def test_labels_read_as_the_numbers_that_are_stored(tmp_path: Path, depth: int, colour_type: int) -> None:
    """Files as painting programs write them: grey, or indices into colours, here two equal ones."""
    ids = np.arange(5 * 8).reshape(5, 8).astype(np.uint8) % min(2**depth, 5)
    bits = np.unpackbits(ids[..., None], axis=2)[..., 8 - depth :].reshape(5, -1)
    rows = b"".join(b"\0" + np.packbits(row).tobytes() for row in bits)
    colours = bytes([0, 0, 0] + [9, 9, 9] * 4)[: 3 * 2**depth]

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 5, depth, colour_type, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + (chunk(b"PLTE", colours) if colour_type else b"")
    path = tmp_path / "p.png"
    path.write_bytes(png + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
    assert read_ids(path).tolist() == ids.tolist()
    path.write_bytes(png)
    with pytest.raises(DatasetError, match=r"p\.png is not a readable image"):
        read_ids(path)


def test_exact_flow_is_found_and_checked(tmp_path: Path) -> None:
    root = camvid(tmp_path, ["A_1", "A_2"])
    (root / "flow").mkdir()
    path = root / "flow/A_2.npz"
    np.savez(path, flow=np.ones((8, 12, 2), np.float16))
    data = open_dataset("camvid", root, split="val")
    assert data.has_flow, "the first frame of a clip needs none"
    first, second = data.clips[0].frames
    assert data.read_flow(first, size_hw=(8, 12)) is None
    flow = data.read_flow(second, size_hw=(8, 12))
    assert flow is not None
    assert flow.dtype == np.float32
    with pytest.raises(DatasetError, match=r"A_2\.npz is 12x8; expected 6x4 \(width x height\)"):
        data.read_flow(second, size_hw=(4, 6))
    np.savez(path, flow=np.ones((8, 12), np.float32))
    with pytest.raises(DatasetError, match=r"holds float32 of shape \(8, 12\); expected an array `flow` of floats"):
        read_flow(path)
    np.savez(path, other=np.ones(1))
    with pytest.raises(DatasetError, match=r"A_2\.npz holds no flow; expected an array `flow` of floats"):
        read_flow(path)
    np.savez(path, flow=np.ones((8, 12, 2), np.float32))
    assert data.read_occlusion(second, size_hw=(8, 12)) is None
    np.savez(path, flow=np.ones((8, 12, 2), np.float32), occlusion=np.eye(8, 12, dtype=bool))
    assert data.read_occlusion(first, size_hw=(8, 12)) is None
    occlusion = data.read_occlusion(second, size_hw=(8, 12))
    assert occlusion is not None
    assert occlusion.sum() == 8
    with pytest.raises(DatasetError, match=r"A_2\.npz is 12x8; expected 6x4 \(width x height\)"):
        data.read_occlusion(second, size_hw=(4, 6))
    np.savez(path, flow=np.ones((8, 12, 2), np.float32), occlusion=np.ones((8, 12), np.uint8))
    with pytest.raises(
        DatasetError, match=r"occlusion of uint8 and shape \(8, 12\); expected an array `occlusion` of bo"
    ):
        data.read_occlusion(second, size_hw=(8, 12))
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DatasetError, match=r"A_2\.npz cannot be read \(File is not a zip file\)"):
        read_flow(path)


def test_repr_is_short(tmp_path: Path) -> None:
    data = open_dataset("folders", folders(tmp_path), split="val")
    assert repr(data) == "Dataset(folders val, 12 frames, 1 clip, sparse labels)"
    assert replace(data, frame_rate=None) == data
