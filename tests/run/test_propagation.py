"""`segtween propagate`: labels of some frames in, labels of every frame out, and what is refused."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from fakes import panning
from segtween.cli import app
from segtween.datasets.labelled import open_labelled
from segtween.errors import LabelError
from segtween.labels import LabelSet
from segtween.run.propagation import look_next
from segtween.types import Frame, ScoreMap, SourceInfo
from segtween.types import Result as EngineResult
from segtween.video import SaveOptions
from segtween.video.saving import open_sinks
from small_sets import picture

SIZE = (48, 64)
FRAMES = 7
YARD = LabelSet("yard", ("low", "high"), ((200, 10, 10), (10, 200, 10)), (4, 9), ignore_id=0)
YAML = "names: [low, high]\ncolours: [[200, 10, 10], [10, 200, 10]]\nids: [4, 9]\nignore_id: 0\n"


def call(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)


def refused(*args: str | Path) -> str:
    """The one line that a refused command prints."""
    done = call("propagate", *args)
    assert done.exit_code == 2, done.output
    (line,) = (line for line in done.stderr.splitlines() if line.startswith("segtween: error: "))
    return line


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Images left_0.png .. left_6.png."""
    for i, rgb in enumerate(panning(FRAMES, SIZE, cell=16)):
        picture(tmp_path / "clip" / f"left_{i}.png", np.ascontiguousarray(rgb[..., ::-1]))
    (tmp_path / "yard.yaml").write_text(YAML)
    return tmp_path / "clip"


def exported(folder: Path, kind: str) -> Path:
    """Frames 1 and 5 labelled, the others unknown, as `run --save` writes them for annotation tools."""
    info = SourceInfo("clip", "clip", SIZE, Fraction(25), FRAMES)
    sink = open_sinks(folder, SaveOptions([kind]), info=info, labels=YARD)
    scores = ScoreMap(np.ones((2, 1, 1), np.float32), "probabilities", SIZE)
    for i in range(FRAMES):
        labels = truth(i) if i in (1, 5) else np.full(SIZE, 255, np.uint8)
        frame = Frame(i, Fraction(i, 25), np.zeros((*SIZE, 3), np.uint8))
        sink.write(frame, EngineResult(i, i / 25, True, 0, False, labels, scores))
    sink.close()
    (path,) = (path for path in folder.iterdir() if path.name != "frames.csv")
    return path


def truth(index: int) -> np.ndarray:
    """Train ids: what is bright is high."""
    return (panning(FRAMES, SIZE, cell=16)[index][..., 0] > 128).astype(np.uint8)


def label(folder: Path, name: str, values: np.ndarray) -> Path:
    picture(folder / f"{name}.png", values)
    return folder


def labels_of(folder: Path, index: int) -> np.ndarray:
    from segtween.datasets.reading import read_ids

    return np.asarray(read_ids(folder / "labels" / f"{index:06d}.png"))


def two(folder: Path, names: Sequence[str] = ("left_1", "left_5")) -> Path:
    for name, index in zip(names, (1, 5), strict=True):
        label(folder, name, truth(index))
    return folder


@pytest.mark.parametrize("kind", ["cvat", "cvat-images", "cvat-video", "coco", "coco-polygons", "yolo", "label-studio"])
def test_labels_come_from_every_annotation_tool(clip: Path, tmp_path: Path, kind: str) -> None:
    given, out = exported(tmp_path / "given", kind), tmp_path / "out"
    done = call("propagate", clip, "--labels", given, "-o", out, "--save", "labels", "--threads", "1")
    assert done.exit_code == 0, done.output
    assert "clip: 7 frames from 2 labelled ones" in done.stdout
    names = json.loads((out / "run.json").read_text())
    assert names["totals"]["network_runs"] == 2
    order = [1, 0] if kind == "label-studio" else [0, 1]  # which has its classes by name: high, low
    for index in (1, 5):
        assert np.array_equal(labels_of(out, index), np.array(order, np.uint8)[truth(index)])


def test_every_frame_comes_out_labelled(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = call("propagate", clip, "--labels", two(tmp_path / "given"), "--label-set", tmp_path / "yard.yaml",
                "-o", out, "--save", "labels,cvat,confidence", "--next", "2", "--threads", "1")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "clip: 7 frames from 2 labelled ones" in done.stdout
    assert np.array_equal(labels_of(out, 1), truth(1))
    assert np.array_equal(labels_of(out, 5), truth(5))
    for index in range(FRAMES):
        assert (labels_of(out, index) == truth(index))[4:-4, 14:-14].mean() > 0.95
    rows = list(csv.DictReader((out / "frames.csv").read_text().splitlines()))
    assert [row["key"] for row in rows] == ["0", "1", "0", "0", "0", "1", "0"]
    assert all(0 < float(row["confidence"]) <= 1 for row in rows)
    nxt = json.loads((out / "next.json").read_text())
    assert nxt["labelled"] == [1, 5]
    assert len(nxt["frames"]) == 2
    assert {"frame", "name", "expected_error", "frames_to_label"} == set(nxt["frames"][0])
    assert all(f"frame {c['frame']} ({c['name']})" in done.stdout for c in nxt["frames"])
    assert json.loads((out / "run.json").read_text())["method"]["keys"] == "labels"


def test_what_it_writes_for_cvat_is_what_it_reads(clip: Path, tmp_path: Path) -> None:
    given, first, again = two(tmp_path / "given"), tmp_path / "a", tmp_path / "b"
    args = ("--quiet", "--threads", "1", "--save", "labels,cvat")
    assert call("propagate", clip, "--labels", given, "--label-set", tmp_path / "yard.yaml", "-o", first,
                *args).exit_code == 0  # fmt: skip
    # All frames are labelled in it: they come back as they are, under the classes of labelmap.txt.
    assert call("propagate", clip, "--labels", first / "cvat.zip", "-o", again, *args).exit_code == 0
    for index in range(FRAMES):
        assert np.array_equal(labels_of(first, index), labels_of(again, index))
    assert "low:200,10,10::" in zipfile.ZipFile(again / "cvat.zip").read("labelmap.txt").decode()


@pytest.mark.parametrize("form", ["train", "dataset", "colours", "numbers", "alpha"])
def test_label_images_in_every_form_say_the_same(form: str, clip: Path, tmp_path: Path) -> None:
    wanted = truth(2)
    wanted[:4] = 255
    rgb = YARD.colourise(wanted)
    values = {
        "dataset": YARD.encode(wanted),
        "colours": rgb[..., ::-1],
        "alpha": np.dstack([rgb[..., ::-1], np.full(SIZE, 255, np.uint8)]),
    }.get(form, wanted)
    folder = label(tmp_path / "given", "frame_000002" if form == "numbers" else "left_2", values)
    names = None if form == "numbers" else [p.stem for p in sorted(clip.iterdir())]
    found = open_labelled(folder, size_hw=SIZE, frames=FRAMES, names=names, labels=tmp_path / "yard.yaml",
                          ids="dataset" if form == "dataset" else "train")  # fmt: skip
    assert list(found.files) == [2]
    assert np.array_equal(found.read(2), wanted)


def test_a_label_set_in_the_folder_is_found(tmp_path: Path) -> None:
    folder = label(tmp_path / "given", "3", truth(3))
    (folder / "labels.yaml").write_text(YAML)
    assert open_labelled(folder, size_hw=SIZE, frames=FRAMES).labels.names == ("low", "high")


def export(root: Path, masks: dict[str, np.ndarray], lines: str = "background:0,0,0::\nlow:200,10,10::\nhigh:1,2,3::\n") -> Path:  # noqa: E501  # fmt: skip
    (root / "SegmentationClass").mkdir(parents=True)
    (root / "labelmap.txt").write_text("# label:color_rgb:parts:actions\n" + lines)
    for name, rgb in masks.items():
        cv2.imwrite(str(root / "SegmentationClass" / f"{name}.png"), rgb[..., ::-1])
    return root


def test_an_export_of_cvat_counts_empty_masks_as_not_labelled(tmp_path: Path) -> None:
    painted = np.zeros((*SIZE, 3), np.uint8)
    painted[:, :20], painted[:, 40:] = (200, 10, 10), (1, 2, 3)
    root = export(tmp_path / "task", {"frame_000000": np.zeros_like(painted), "frame_000004": painted})
    found = open_labelled(root, size_hw=SIZE, frames=FRAMES)
    assert (list(found.files), found.blank) == ([4], (0,))
    assert found.labels.names == ("low", "high")
    assert found.labels.colours == ((200, 10, 10), (1, 2, 3))
    labels = found.read(4)
    assert (labels[:, :20] == 0).all()
    assert (labels[:, 20:40] == 255).all()
    assert (labels[:, 40:] == 1).all()


def test_classes_of_an_export_can_be_those_of_a_label_set(tmp_path: Path) -> None:
    painted = np.full((*SIZE, 3), (1, 2, 3), np.uint8)
    root = export(tmp_path / "task", {"frame_000004": painted})
    (tmp_path / "other.yaml").write_text("names: [high, low, none]\n")
    found = open_labelled(root, size_hw=SIZE, frames=FRAMES, labels=tmp_path / "other.yaml")
    assert (found.read(4) == 0).all()
    (tmp_path / "other.yaml").write_text("names: [high, lower]\n")
    with pytest.raises(LabelError, match="class 'low' is not in label set 'other'"):
        open_labelled(root, size_hw=SIZE, frames=FRAMES, labels=tmp_path / "other.yaml")


def test_the_frames_to_look_at_next_are_bad_and_spread_out() -> None:
    errors = [0.0, 0.2, 0.5, 0.52, 0.5, 0.2, 0.0, 0.1, 0.3, 0.1, 0.0]
    chosen = look_next(errors, [0, 6, 10], names=[f"f{i}" for i in range(11)], count=2)
    assert [(c.frame, c.name, c.frames_to_label) for c in chosen] == [(3, "f3", 3), (8, "f8", 2)]
    assert chosen[0].expected_error == 0.52
    assert look_next(errors, range(11), count=3) == []
    assert [c.frame for c in look_next([0.5], [], count=3)] == [0]


# ── What is refused ───────────────────────────────────────────────────────────────────────────


def test_bad_labels_are_one_line_each_and_leave_no_output(clip: Path, tmp_path: Path) -> None:
    out, given, bad = tmp_path / "out", two(tmp_path / "given"), tmp_path / "bad"
    known = ("--label-set", tmp_path / "yard.yaml", "-o", out, "--quiet")
    line = refused(clip, "--labels", tmp_path / "none", *known)
    assert "none do not exist; expected a folder, or a file as exported; check the path" in line
    bad.mkdir()
    assert "bad holds no labels; expected PNG files named like frames" in refused(clip, "--labels", bad, *known)
    line = refused(clip, "--labels", given, "-o", out)
    assert "the classes of the labels in" in line
    assert "give --label-set NAME or FILE.yaml" in line
    label(bad, "left_3", np.zeros((10, 10), np.uint8))
    assert "label file left_3.png is 10x10; expected 64x48 (width x height)" in refused(clip, "--labels", bad, *known)
    label(bad, "left_3", np.full(SIZE, 7, np.uint8))
    line = refused(clip, "--labels", bad, *known)
    assert "label file left_3.png holds ids [7]; expected the ids of label set 'yard': [0, 1, 255]" in line
    assert "holds ids [7]; expected the ids of label set 'yard': [0, 4, 9, 255]" in refused(
        clip, "--labels", bad, "--ids", "dataset", *known
    )
    label(bad, "left_3", np.full((*SIZE, 3), 9, np.uint8))
    line = refused(clip, "--labels", bad, *known)
    assert "label file left_3.png holds colour (9, 9, 9); expected black or the 2 colours of yard" in line
    label(bad, "left_3", np.full(SIZE, 255, np.uint8))
    assert "bad holds no labels but files without a class" in refused(clip, "--labels", bad, *known)
    (bad / "left_3.png").write_bytes(b"no image")
    assert "left_3.png is not a readable image" in refused(clip, "--labels", bad, *known)
    assert not out.exists()


def test_labels_of_frames_that_do_not_exist_are_refused(clip: Path, tmp_path: Path) -> None:
    known = ("--label-set", tmp_path / "yard.yaml", "-o", tmp_path / "out")
    given = two(tmp_path / "given")
    line = refused(clip, "--labels", label(given, "left_9", truth(0)), *known)
    assert "label file left_9.png belongs to no frame; expected the name of one of the 7 frames of the input" in line
    numbered = label(tmp_path / "numbered", "frame_000007", truth(0))
    line = refused(clip, "--labels", numbered, *known)
    assert "label file frame_000007.png belongs to no frame; expected the number of one of the 7 frames" in line
    label(numbered, "7", truth(0))
    (numbered / "frame_000007.png").rename(numbered / "frame_7.png")
    with pytest.raises(LabelError, match=r"label files 7\.png and frame_7\.png are both of frame 7; expected one"):
        open_labelled(numbered, size_hw=SIZE, frames=None, labels=tmp_path / "yard.yaml")


def test_labels_beyond_the_end_of_a_video_are_told_when_it_ends(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from segtween.video.images import ImageSource

    class OfUnknownLength(ImageSource):
        def __setattr__(self, name: str, value: SourceInfo) -> None:
            super().__setattr__(name, replace(value, n_frames=None) if name == "info" else value)

    monkeypatch.setattr("segtween.video.images.ImageSource", OfUnknownLength)
    given = two(tmp_path / "given", ("1", "8"))
    line = refused(clip, "--labels", given, "--label-set", tmp_path / "yard.yaml", "-o", tmp_path / "out", "--quiet")
    assert "label file 8.png belongs to no frame; expected the number of one of the 7 frames" in line
    assert (tmp_path / "out" / "frames.csv").is_file()


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        ("low:200,10::\n", "holds 'low:200,10::'; expected name:red,green,blue::"),
        ("background:0,0,0::\n", "names no class"),
        ("low:1,2,3::\nhigh:1,2,3::\n", "gives two classes one colour"),
    ],
)
def test_a_label_map_that_cannot_be_used_is_refused(lines: str, text: str, tmp_path: Path) -> None:
    root = export(tmp_path / "task", {}, lines)
    with pytest.raises(LabelError, match=text):
        open_labelled(root, size_hw=SIZE, frames=FRAMES)


def test_zip_files_that_are_no_export_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"nothing")
    with pytest.raises(LabelError, match=r"a\.zip cannot be read; expected a folder, or an export of CVAT"):
        open_labelled(tmp_path / "a.zip", size_hw=SIZE, frames=FRAMES)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as file:
        file.writestr("other.xml", "")
    with pytest.raises(LabelError, match=r"b\.zip holds no labelmap\.txt; expected .*Segmentation mask 1\.1"):
        open_labelled(tmp_path / "b.zip", size_hw=SIZE, frames=FRAMES)


def test_outputs_that_exist_and_a_negative_number_are_refused(clip: Path, tmp_path: Path) -> None:
    args = (clip, "--labels", two(tmp_path / "given"), "--label-set", tmp_path / "yard.yaml", "-o", tmp_path / "out")
    assert "-1 frames to look at next; expected 0 or more; correct --next" in refused(*args, "--next", "-1")
    assert call("propagate", *args, "--save", "labels", "--quiet").exit_code == 0
    assert "exists already" in refused(*args, "--save", "labels")
    assert call("propagate", *args, "--save", "labels", "--overwrite", "--quiet").exit_code == 0
