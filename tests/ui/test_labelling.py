"""The labelling of a video: its frames, saved labels, what comes from outside, and what the propagation makes of it."""

from __future__ import annotations

import io
import json
import shlex
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from browsers import IN_CI
from fakes import by_brightness
from segtween.cli import app
from segtween.datasets.labelled import open_labelled
from segtween.errors import DatasetError, LabelError, SegtweenError, SourceError
from segtween.labels import label_set
from ui.labelled_clip import FRAMES, SIZE, truth, video_of, write_clip

if not IN_CI:
    pytest.importorskip("starlette", reason="not installed: starlette")

from segtween.ui import labelling as module
from segtween.ui.jobs import Job
from segtween.ui.label_upload import take_file
from segtween.ui.labelling import Labelling, spread

CLASSES = label_set(["ground", "square"])


def done(work: Callable[[Job], Any]) -> Job:
    """The job, as it ended."""
    job = Job("session", "labelling", "a test", work)
    job.run()
    return job


def succeed(work: Callable[[Job], Any]) -> None:
    job = done(work)
    assert (job.state, job.error) == ("done", None)


@pytest.fixture
def labelling(tmp_path: Path) -> Labelling:
    video = video_of(write_clip(tmp_path / "videos" / "video"))
    made = Labelling(tmp_path / "labelling", video, labels=CLASSES, threads=1)
    succeed(made.prepare)
    return made


def png(values: np.ndarray) -> bytes:
    """Grey or true colour."""
    return cv2.imencode(".png", values[..., ::-1] if values.ndim == 3 else values)[1].tobytes()


def packed(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return held.getvalue()


def files_in(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_from_nothing_frames_are_proposed_that_are_evenly_spread(labelling: Labelling) -> None:
    state = labelling.to_json()
    assert (state["frames"], state["width"], state["height"]) == (FRAMES, SIZE[1], SIZE[0])
    assert [one["frame"] for one in state["proposals"]] == [FRAMES // 2]
    assert [one["name"] for one in state["classes"]] == ["ground", "square"]
    assert (state["saved"], state["runs"], state["changed"]) == ([], 0, None)
    assert [one.frame for one in spread(90)] == [15, 45, 75]
    assert len(spread(3000)) == 5
    assert [one.frame for one in spread(1)] == [0]


def test_the_command_names_the_video_as_a_shell_reads_it(labelling: Labelling) -> None:
    labelling.video = replace(labelling.video, name="-it's a (film).mkv")
    assert shlex.split(labelling.to_json()["command"])[:3] == ["segtween", "propagate", "./-it's a (film).mkv"]


def test_a_frame_is_shown_as_it_is(labelling: Labelling) -> None:
    shown = cv2.imread(str(labelling.picture(4)))[..., ::-1].astype(int)
    bright = shown.mean(axis=2) > 120
    assert (bright == (truth(4) == 1)).mean() > 0.98


def test_saved_labels_are_a_palette_png_that_the_command_reads(labelling: Labelling) -> None:
    labelling.save(4, truth(4).tobytes())
    labelling.save(9, truth(9).tobytes())
    (folder,) = {path.parent for path in files_in(labelling.folder) if path.name == "000004.png"}
    assert (folder / "000004.png").read_bytes()[25] == 3, "PNG colour type 3: indices of a palette"
    found = open_labelled(folder, size_hw=SIZE, frames=FRAMES)
    assert found.labels.names == ("ground", "square")
    assert list(found.files) == [4, 9]
    assert np.array_equal(found.read(9), truth(9))
    assert labelling.to_json()["saved"] == [4, 9]
    labelling.remove(9)
    assert labelling.to_json()["saved"] == [4]


def test_labels_are_propagated_to_every_frame_and_what_changed_is_known(labelling: Labelling) -> None:
    labelling.save(2, truth(2).tobytes())
    succeed(labelling.propagate)
    assert labelling.changed == [1.0] * FRAMES, "from nothing every pixel gets a class"
    assert np.mean(labelling.labels_of(8, "after") == truth(8)) > 0.97
    assert labelling.proposals[0].frame not in (1, 2, 3), "far from the labelled frame"
    assert labelling.pending == set()
    wrong = truth(9)
    wrong[:20] = 1
    labelling.save(9, wrong.tobytes())
    assert labelling.to_json()["pending"] == [9]
    succeed(labelling.propagate)
    before, after = labelling.labels_of(9, "before"), labelling.labels_of(9, "after")
    assert np.array_equal(after, wrong)
    assert labelling.changed is not None
    assert labelling.changed[9] == pytest.approx(np.mean(before != after), abs=1e-5)
    assert labelling.changed[2] == 0, "a labelled frame keeps its labels"
    succeed(labelling.propagate)
    assert labelling.changed == [0.0] * FRAMES, "nothing was labelled in between"
    assert {path.name for path in (labelling.folder / "runs").iterdir()} == {"2", "3"}, "older runs are removed"


def test_it_gives_what_the_command_gives(labelling: Labelling, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    labelling.save(5, truth(5).tobytes())
    succeed(labelling.propagate)
    with zipfile.ZipFile(io.BytesIO(labelling.archive())) as file:
        file.extractall(tmp_path / "got")
    args = ["propagate", labelling.video.path, "--labels", tmp_path / "got" / "labels", "-o", tmp_path / "out",
            "--save", "labels", "--quiet", "--threads", "1"]  # fmt: skip
    assert CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False).exit_code == 0
    named = json.loads((tmp_path / "out" / "next.json").read_text())["frames"]
    assert [one["frame"] for one in named] == [one.frame for one in labelling.proposals]
    for index in range(FRAMES):
        written = (tmp_path / "out" / "labels" / f"{index:06d}.png").read_bytes()
        assert written == (labelling.folder / "runs" / "1" / "out" / "labels" / f"{index:06d}.png").read_bytes()


def test_it_begins_with_the_labels_of_a_network(tmp_path: Path) -> None:
    video = video_of(write_clip(tmp_path / "videos" / "video"))
    labelling = Labelling(tmp_path / "labelling", video, network=by_brightness, threads=1)
    succeed(labelling.prepare)
    assert labelling.labels is not None
    assert labelling.labels.names == ("dark", "dim", "light", "bright")
    own = labelling.labels_of(3, "network")
    assert len(np.unique(own)) > 1
    assert labelling.proposals
    assert all(0 < one.expected_error < 1 for one in labelling.proposals)
    labelling.save(3, np.zeros(SIZE, np.uint8).tobytes())
    succeed(labelling.propagate)
    assert labelling.changed is not None
    assert labelling.changed[3] == pytest.approx(np.mean(own != 0), abs=1e-5), "before the first run is the network"


def test_a_long_video_is_used_as_far_as_it_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_PIXELS", 5 * SIZE[0] * SIZE[1])
    labelling = Labelling(tmp_path / "labelling", video_of(write_clip(tmp_path / "video")), labels=CLASSES, threads=1)
    succeed(labelling.prepare)
    assert labelling.frames == 5
    assert labelling.notes == ["only the first 5 frames can be used: more do not fit into memory"]
    labelling.save(4, truth(4).tobytes())
    succeed(labelling.propagate)
    assert labelling.changed == [1.0] * 5
    assert np.mean(labelling.labels_of(0, "after") == truth(0)) > 0.95


def test_a_video_that_holds_more_frames_than_it_says(tmp_path: Path) -> None:
    video = replace(video_of(write_clip(tmp_path / "video")), frames=FRAMES - 3)
    labelling = Labelling(tmp_path / "labelling", video, labels=CLASSES, threads=1)
    succeed(labelling.prepare)
    assert labelling.frames == FRAMES
    labelling.save(FRAMES - 1, truth(FRAMES - 1).tobytes())
    succeed(labelling.propagate)
    assert np.array_equal(labelling.labels_of(FRAMES - 1, "after"), truth(FRAMES - 1))


def test_what_is_saved_while_a_run_is_at_work_belongs_to_the_next(labelling: Labelling) -> None:
    labelling.save(2, truth(2).tobytes())
    begun: list[int] = []

    class Watched(Job):
        def progress(self, done: int, total: int | None) -> None:
            if not begun:
                begun.append(done)
                labelling.save(2, np.ones(SIZE, np.uint8).tobytes())
                labelling.save(7, truth(7).tobytes())
            super().progress(done, total)

    job = Watched("session", "propagation", "a test", labelling.propagate)
    job.run()
    assert (job.state, job.error) == ("done", None)
    assert labelling.to_json()["pending"] == [2, 7]
    assert np.array_equal(labelling.labels_of(2, "after"), truth(2)), "as it was when the run began"
    assert np.array_equal(labelling.labels_of(2, "saved"), np.ones(SIZE, np.uint8))


def test_a_cancelled_run_leaves_everything_as_it_was(labelling: Labelling) -> None:
    labelling.save(2, truth(2).tobytes())
    succeed(labelling.propagate)
    before = labelling.to_json(), files_in(labelling.folder)

    class Cancelling(Job):
        def progress(self, done: int, total: int | None) -> None:
            self.cancel()
            super().progress(done, total)

    job = Cancelling("session", "propagation", "a test", labelling.propagate)
    job.run()
    assert job.state == "cancelled"
    assert (labelling.to_json(), files_in(labelling.folder)) == before


def test_no_labelled_frame(labelling: Labelling) -> None:
    job = done(labelling.propagate)
    assert job.error == "no frame is labelled; expected saved labels of one frame at least; label a frame"
    assert labelling.runs == 0
    with pytest.raises(LabelError, match="no frame is labelled"):
        labelling.archive()


@pytest.mark.parametrize(
    ("frame", "values", "message"),
    [
        (2, b"\0" * 7, "labels of frame 2 are 7 bytes; expected 12288, one for each pixel of 128x96"),
        (2, b"\2" * 96 * 128, r"the label image of frame 2 holds ids \[2\]; expected the ids of label set 'custom'"),
        (2, b"\xff" * 96 * 128, "no pixel of frame 2 has a class"),
        (12, b"\0" * 96 * 128, "frame 12; expected 0 to 11"),
        (-1, b"\0" * 96 * 128, "frame -1; expected 0 to 11"),
    ],
)
def test_labels_that_cannot_be(labelling: Labelling, frame: int, values: bytes, message: str) -> None:
    before = files_in(labelling.folder)
    with pytest.raises(LabelError, match=message):
        labelling.save(frame, values)
    assert files_in(labelling.folder) == before


def test_labels_that_are_not_there(labelling: Labelling) -> None:
    for origin in ("saved", "network", "before", "after"):
        with pytest.raises(LabelError, match=f"frame 2 has no labels here \\({origin}\\)"):
            labelling.labels_of(2, origin)
    with pytest.raises(LabelError, match=r"labels '\.\./saved'; expected one of saved, network, before, after"):
        labelling.labels_of(2, "../saved")


def test_a_damaged_video_is_used_up_to_the_damage(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "videos" / "video")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    labelling = Labelling(tmp_path / "labelling", video_of(path), labels=CLASSES, threads=1)
    succeed(labelling.prepare)
    assert 0 < labelling.frames < FRAMES
    (note,) = labelling.notes
    assert note.startswith(f"only the first {labelling.frames} frames can be used: square.mkv is damaged after")
    labelling.save(1, truth(1).tobytes())
    succeed(labelling.propagate)
    assert labelling.changed == [1.0] * labelling.frames


def test_a_video_that_is_gone_is_one_error(tmp_path: Path) -> None:
    job = done(Labelling(tmp_path / "labelling", video_of(tmp_path / "video"), labels=CLASSES).prepare)
    assert job.state == "failed"
    assert job.error is not None
    assert "square.mkv" in job.error
    assert str(tmp_path) not in job.error


def test_a_video_that_was_removed_is_propagated_through_by_its_frames(labelling: Labelling) -> None:
    labelling.video.path.unlink()
    labelling.save(5, truth(5).tobytes())
    succeed(labelling.propagate)
    assert np.mean(labelling.labels_of(8, "after") == truth(8)) > 0.95


# ── Files from outside ──


@pytest.mark.parametrize("name", ["4.png", "frame_000004.PNG", "../../000004.png"])
def test_a_png_belongs_to_the_frame_of_its_number(labelling: Labelling, name: str) -> None:
    assert take_file(labelling, name, png(truth(4))) == [4]
    assert np.array_equal(labelling.labels_of(4, "saved"), truth(4))


def test_what_was_saved_can_be_loaded_again(labelling: Labelling) -> None:
    for frame in (2, 9):
        labelling.save(frame, truth(frame).tobytes())
    data = labelling.archive()
    for frame in (2, 9):
        labelling.remove(frame)
    assert take_file(labelling, "labels.zip", data) == [2, 9]
    assert np.array_equal(labelling.labels_of(9, "saved"), truth(9))


def test_colours_and_exports_are_loaded(labelling: Labelling) -> None:
    colours = png(CLASSES.colourise(truth(3)))
    assert take_file(labelling, "3.png", colours) == [3]
    r, g, b = zip(*CLASSES.colours, strict=True)
    lines = "".join(f"{name}:{r[i]},{g[i]},{b[i]}::\n" for i, name in enumerate(CLASSES.names))
    export = {"labelmap.txt": lines.encode(), "SegmentationClass/frame_000006.png": png(CLASSES.colourise(truth(6)))}
    assert take_file(labelling, "cvat.zip", packed(export)) == [6]
    for frame in (3, 6):
        assert np.array_equal(labelling.labels_of(frame, "saved"), truth(frame))


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("4.png", png(truth(4)[:50]), "label file 4.png is 128x50; expected 128x96"),
        ("4.png", png(truth(4) + 7), r"label file 000004.png holds ids \[7, 8\]; expected the ids of label set"),
        (
            "4.png",
            png(np.full((*SIZE, 3), 77, np.uint8)),
            r"holds colour \(77, 77, 77\); expected black or the 2 colours",
        ),
        ("4.png", png(truth(4))[:60], "^4.png is not a readable image"),
        ("a.zip", packed({"4.png": png(truth(4))[:60]}), "^a.zip/000004.png is not a readable image"),
        ("4.png", b"no picture", "label file 4.png is no PNG"),
        ("4.png", png(np.full(SIZE, 255, np.uint8)), "holds no labels but files without a class"),
        ("12.png", png(truth(4)), "label file 000012.png belongs to no frame"),
        ("photo.png", png(truth(4)), "label file photo.png belongs to no frame"),
        ("notes.txt", b"hello", "file notes.txt; expected a PNG file named by the number of its frame"),
        ("x.zip", b"PK nothing", "x.zip cannot be read"),
        ("x.zip", packed({"a.txt": b""}), "x.zip holds no labels"),
        ("x.zip", packed({"4.png": png(truth(4)), "a/04.png": png(truth(4))}), "x.zip holds frame 4 twice"),
        ("x.json", b"{}", "x.json"),
        ("x.xml", b"<a/>", "x.xml"),
    ],
)
def test_files_that_hold_no_labels_of_the_video(labelling: Labelling, name: str, data: bytes, message: str) -> None:
    before = files_in(labelling.folder.parent)
    with pytest.raises(SegtweenError, match=message) as refused:
        take_file(labelling, name, data)
    assert isinstance(refused.value, (LabelError, DatasetError, SourceError))
    assert str(labelling.folder) not in str(refused.value)
    assert files_in(labelling.folder.parent) == before


def test_nothing_of_a_file_is_saved_where_one_of_its_images_is_wrong(labelling: Labelling) -> None:
    data = packed({"2.png": png(truth(2)), "3.png": png(truth(3) + 5)})
    with pytest.raises(LabelError, match="holds ids"):
        take_file(labelling, "labels.zip", data)
    assert labelling.saved == []


def test_a_zip_file_that_unpacks_to_too_much(labelling: Labelling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segtween.ui.label_upload.MOST_BYTES", 1 << 20)
    with pytest.raises(LabelError, match="x.zip holds too much; expected 1 MB at most"):
        take_file(labelling, "x.zip", packed({"2.png": bytes(2 << 20)}))
