"""Synthetic drives on disk: readable as the data sets they are laid out as."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from segtween.datasets import open_dataset
from segtween.demo.street_film import StreetFilms
from segtween.errors import SettingError, SinkError
from segtween.labels import CAMVID11
from segtween.street import Drives, StreetClip, StreetFrame, write_camvid, write_cityscapes

SIZE = (48, 64)


def files(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.mark.slow
def test_camvid_layout_reads_back_exactly(tmp_path: Path) -> None:
    out, calls = tmp_path / "street", []
    write_camvid(out, Drives(seed=7, clips=2, frames=3, size_hw=SIZE), progress=lambda *done: calls.append(done))
    assert calls == [(i, 6) for i in range(1, 7)]
    assert (out / "val.txt").read_text().splitlines()[:2] == [
        "val/S0007_00000.png valannot/S0007_00000.png",
        "val/S0007_00002.png valannot/S0007_00002.png",
    ]
    data = open_dataset("camvid", out, split="val")
    assert (data.frame_rate, data.is_dense, data.has_flow) == (15, True, True)
    assert [len(clip) for clip in data.clips] == [3, 3]
    for clip, seed in zip(data.clips, (7, 8), strict=True):
        for stored, frame in zip(clip.frames, StreetClip(seed, size_hw=SIZE, frames=3), strict=True):
            assert (data.read_rgb(stored) == frame.rgb).all()
            assert (data.read_labels(stored, size_hw=SIZE) == frame.camvid11).all()
            assert (data.read_flow(stored, size_hw=SIZE) == frame.flow).all()
            with np.load(out / "flow" / f"{stored.name}.npz") as truth:
                assert (truth["occlusion"] == frame.occlusion).all()


@pytest.mark.slow
def test_writing_again_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_camvid(tmp_path / name, Drives(seed=1, clips=1, frames=2, size_hw=SIZE))
    assert files(tmp_path / "a") == files(tmp_path / "b")


@pytest.mark.slow
def test_a_film_of_each_drive_with_its_labels(tmp_path: Path) -> None:
    out, size, also = tmp_path / "s", (240, 320), partial(StreetFilms, labels=CAMVID11, frame_rate=Fraction(15))
    write_camvid(out, Drives(seed=4, clips=2, frames=2, size_hw=size, truth=False), also=also)
    assert sorted(path.name for path in (out / "films").iterdir()) == ["4.mp4", "5.mp4"]
    for seed in (4, 5):
        with av.open(str(out / "films" / f"{seed}.mp4")) as film:
            pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        first = next(iter(StreetClip(seed, size_hw=size, frames=1)))
        assert len(pictures) == 2
        assert pictures[0].shape == (240, 640, 3)
        rows = slice(60, 120)  # below the captions and above the legend
        left, right = pictures[0][rows, :318].astype(int), pictures[0][rows, 322:].astype(int)
        assert np.abs(left - first.rgb[rows, :318]).mean() < 12
        tinted = (first.rgb[rows, 2:].astype(int) + CAMVID11.colourise(first.camvid11)[rows, 2:]) // 2
        assert np.median(np.abs(right - tinted)) < 6


@pytest.mark.slow
def test_an_error_while_filming_leaves_no_folder(tmp_path: Path) -> None:
    class Broken:
        def __init__(self, root: Path) -> None:
            self.root = root

        def write(self, seed: int, frame: StreetFrame) -> None:
            raise SinkError(f"{self.root}, drive {seed}, frame {frame.index}", expected="room", do="free some")

        def close(self) -> None: ...

    with pytest.raises(SinkError, match="drive 4, frame 0; expected room"):
        write_camvid(tmp_path / "s", Drives(seed=4, frames=2, size_hw=SIZE), also=Broken)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_every_leads_from_written_frame_to_written_frame(tmp_path: Path) -> None:
    write_camvid(tmp_path / "s", Drives(seed=2, clips=1, frames=3, size_hw=SIZE), every=5)
    slow = list(StreetClip(2, size_hw=SIZE, frame_rate=Fraction(3), frames=3))
    data = open_dataset("camvid", tmp_path / "s", split="val")
    assert data.frame_rate == 3
    assert (data.read_flow(data.clips[0].frames[2], size_hw=SIZE) == slow[2].flow).all()


@pytest.mark.slow
def test_without_truth_there_is_no_flow(tmp_path: Path) -> None:
    write_camvid(tmp_path / "s", Drives(seed=2, clips=1, frames=2, size_hw=SIZE, frame_rate=Fraction(7), truth=False))
    assert not (tmp_path / "s" / "flow").exists()
    assert (tmp_path / "s" / "val" / "S0002_00001.png").is_file()


@pytest.mark.slow
def test_cityscapes_labels_one_frame_of_thirty(tmp_path: Path) -> None:
    out = tmp_path / "street"
    write_cityscapes(out, Drives(seed=3, clips=1, frames=30, size_hw=SIZE, truth=False, frame_rate=Fraction(17)))
    labels = [p.name for p in (out / "gtFine/val/street").iterdir()]
    assert labels == ["street_000003_000019_gtFine_labelIds.png"]
    assert len(list((out / "leftImg8bit_sequence/val/street").iterdir())) == 30
    data = open_dataset("cityscapes", out, split="val")
    assert (len(data.clips), len(data.clips[0]), data.is_dense) == (1, 30, False)
    frame = next(iter(StreetClip(3, size_hw=SIZE, frame_rate=Fraction(17), start=19)))
    assert (data.read_labels(data.clips[0].frames[19], size_hw=SIZE) == frame.cityscapes19).all()
    ids = cv2.imread(str(out / "gtFine/val/street" / labels[0]), cv2.IMREAD_UNCHANGED)
    assert ids.ndim == 2
    assert 7 in ids  # road, in the data set's own ids


@pytest.mark.slow
def test_cityscapes_can_label_every_frame(tmp_path: Path) -> None:
    write_cityscapes(
        tmp_path / "s",
        Drives(seed=3, clips=2, frames=2, size_hw=SIZE, split="train", frame_rate=Fraction(17)),
        dense=True,
    )
    data = open_dataset("cityscapes", tmp_path / "s", split="train")
    assert (len(data.clips), data.is_dense, data.has_flow) == (2, True, True)


@pytest.mark.slow
def test_an_existing_folder_is_kept_unless_told(tmp_path: Path) -> None:
    out = tmp_path / "street"
    out.mkdir()
    write_camvid(out, Drives(seed=1, clips=1, frames=1, size_hw=SIZE))
    before = files(out)
    with pytest.raises(SinkError, match=r"street exists already; expected a new or empty folder; add overwrite=True"):
        write_camvid(out, Drives(seed=2, clips=1, frames=1, size_hw=SIZE))
    assert files(out) == before
    write_camvid(out, Drives(seed=2, clips=1, frames=1, size_hw=SIZE), overwrite=True)
    assert "S0002_00000" in (out / "val.txt").read_text()
    assert not (out / "val" / "S0001_00000.png").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_link_to_an_empty_folder_or_an_old_street_stays_one(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "street").symlink_to("disk")
    for seed in (1, 2) if overwrite else (1,):
        write_camvid(tmp_path / "street", Drives(seed=seed, clips=1, frames=1, size_hw=SIZE), overwrite=seed == 2)
        assert (tmp_path / "street").is_symlink()
        assert f"S{seed:04d}_00000" in (tmp_path / "disk" / "val.txt").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "street"]


def test_overwrite_replaces_streets_only(tmp_path: Path) -> None:
    out = tmp_path / "photographs"
    out.mkdir()
    (out / "mine.jpg").write_bytes(b"x")
    with pytest.raises(SinkError, match=r"photographs holds something else; .* overwrite=True replaces streets only"):
        write_camvid(out, Drives(seed=1, clips=1, frames=1, size_hw=SIZE), overwrite=True)
    assert files(out) == {"mine.jpg": b"x"}


def test_interrupted_writing_leaves_nothing(tmp_path: Path) -> None:
    def stop(done: int, _: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_camvid(tmp_path / "street", Drives(seed=1, clips=1, frames=4, size_hw=SIZE), progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SinkError, match=r"street cannot be written \(.*\); expected a folder that may be written to"):
        write_camvid(tmp_path / "file" / "street", Drives(seed=1, clips=1, frames=1, size_hw=SIZE))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"clips": 0}, "clips is 0; expected a whole number of 1 or more"),
        ({"frames": 0}, "frames is 0; expected a whole number of 1 or more"),
        ({"every": 0}, "every is 0; expected a whole number of 1 or more"),
        ({"size_hw": (8, 8)}, r"frame size \(8, 8\)"),
        ({"frame_rate": Fraction(-1)}, "frame rate"),
    ],
)
def test_settings_are_checked_before_anything_is_written(change: dict[str, object], text: str, tmp_path: Path) -> None:
    drives = Drives(**{name: value for name, value in change.items() if name != "every"})  # type: ignore[arg-type]
    with pytest.raises(SettingError, match=text):
        write_camvid(tmp_path / "s", drives, every=change.get("every", 1))  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_sparse_clips_must_reach_their_label(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"clips of 19 frames; expected 20 or more"):
        write_cityscapes(tmp_path / "s", Drives(seed=1, clips=1, frames=19, size_hw=SIZE, frame_rate=Fraction(17)))
