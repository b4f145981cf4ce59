"""What ends a run, and what it says."""

from __future__ import annotations

import errno
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fakes import BrightnessSegmenter, panning
from segtween.api import Segtween
from segtween.errors import SegtweenError, SinkError, SourceError
from segtween.run.ending import close_outputs, write_json, write_summary
from segtween.run.options import Outputs as Wanted
from segtween.run.propagation import Labelled, propagate
from segtween.run.summary import Summary
from segtween.settings import PRESETS
from segtween.types import OutputReport, OutputState, SourceInfo
from segtween.video.encode import Clock, VideoWriter
from segtween.video.interrupt import Terminated

FULL = SinkError("no space is left to write x.zip", expected="room on the disk", do="free some")
SAID = "no space is left to write x.zip; expected room on the disk; free some (finished: a.mp4)"


def no_space(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


class Outputs:
    """A sink of two outputs, one of which may have failed."""

    def __init__(self, *, failed: bool, raises: BaseException | None = None) -> None:
        self.report = OutputReport([OutputState("a.mp4", 3), OutputState("x.zip", 0, FULL if failed else None)])
        self._raises, self.ended = raises, ""

    def write(self, *_: object) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.ended = "closed"
        if self._raises is not None:
            raise self._raises

    def abort(self) -> None:
        self.ended = "aborted"


def ended(
    folder: Path, error: BaseException | None, *, failed: bool, raises: BaseException | None = None, frames: int = 3
) -> tuple[BaseException | None, dict[str, Any]]:
    """What the run ends with, and its `run.json`."""
    method = Segtween(BrightnessSegmenter(), PRESETS["composed"], threads=1).method
    info = SourceInfo("clip", "clip", (48, 64), Fraction(25), 3)
    summary, sink = Summary(info, folder, method, 4, (), frames, 1), Outputs(failed=failed, raises=raises)
    error = write_summary(summary, sink.report, close_outputs(sink, error))  # type: ignore[arg-type]
    path = folder / "run.json"
    return error, json.loads(path.read_text()) if path.exists() else {}


def test_nothing_went_wrong(tmp_path: Path) -> None:
    error, record = ended(tmp_path, None, failed=False)
    assert error is None
    assert record["error"] is None
    assert record["outputs"] == [
        {"name": "a.mp4", "frames": 3, "error": None}, {"name": "x.zip", "frames": 0, "error": None},
    ]  # fmt: skip


@pytest.mark.parametrize(("frames", "runs"), [(3, 0), (3, 1), (0, 0)])
def test_frames_without_a_label_are_told(tmp_path: Path, frames: int, runs: int) -> None:
    method = Segtween(BrightnessSegmenter(), PRESETS["composed"], threads=1).method
    summary = Summary(SourceInfo("clip", "clip", (48, 64), Fraction(25), 3), tmp_path, method, 4, (), frames, runs)
    write_summary(summary, report := OutputReport(), None)
    assert [note.partition(":")[0] for note in report.notes] == ["no frame has labels"] * (frames > 0 and runs == 0)


def test_an_output_failed(tmp_path: Path) -> None:
    for raises in (None, SinkError("said by close")):
        error, record = ended(tmp_path, None, failed=True, raises=raises)
        assert isinstance(error, SinkError)
        assert str(error) == record["error"] == SAID
        assert record["outputs"][1]["error"] == str(FULL)


def test_outputs_that_failed_alike_are_told_once() -> None:
    full = {"expected": "room on the disk", "do": "free some"}
    shut = SinkError("z cannot be written", expected="a folder that you may write to", do="choose another")
    states = [OutputState(name, 0, SinkError(f"no space is left to write {name}", **full)) for name in ("a", "b", "c")]
    report = OutputReport([*states[:2], OutputState("z", 0, shut), states[2], OutputState("z2", 0, shut)])
    assert str(report.error()) == (
        "no space is left to write a, and likewise b, c and z cannot be written; expected room on the disk and a "
        "folder that you may write to; free some and choose another (finished: none)"
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyboardInterrupt(), "stopped by the user"),
        (Terminated(), "stopped by SIGTERM"),
        (SourceError("damaged after 3 frames"), "damaged after 3 frames"),
    ],
)
def test_what_else_went_wrong_is_said_with_it(tmp_path: Path, error: BaseException, words: str) -> None:
    alone, record = ended(tmp_path, error, failed=False)
    assert alone is error
    assert record["error"] == words
    both, record = ended(tmp_path, error, failed=True)
    assert both is error
    assert record["error"] == f"{words}; {SAID}"
    assert str(both) == ("; ".join([words, SAID]) if isinstance(error, SegtweenError) else SAID)


def test_ctrl_c_that_waited_for_the_outputs_and_faults_of_the_program_are_raised(tmp_path: Path) -> None:
    for raised in (KeyboardInterrupt(), RuntimeError("a fault")):
        error, record = ended(tmp_path, None, failed=False, raises=raised)
        assert error is raised
        assert record["error"] in ("stopped by the user", "a fault")


def test_an_error_that_no_output_knows_of_stays(tmp_path: Path) -> None:
    unknown = SinkError("gone")
    assert ended(tmp_path, unknown, failed=False)[0] is unknown
    assert not ended(tmp_path / "none", unknown, failed=False, frames=0)[1]


def test_a_disk_too_full_for_run_json_leaves_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "write_text", no_space)
    error, _ = ended(tmp_path, KeyboardInterrupt(), failed=False)
    assert isinstance(error, KeyboardInterrupt)
    assert f"no space is left to write {tmp_path / 'run.json'}" in str(error)
    error, _ = ended(tmp_path, None, failed=True)
    assert "x.zip and no space is left to write" in str(error)
    assert list(tmp_path.iterdir()) == []


def test_json_is_there_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_text

    def stopped(path: Path, *given: Any, **named: Any) -> None:
        real(path, *given, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_text", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_json({}, tmp_path / "a.json")
    assert list(tmp_path.iterdir()) == []


def clip(path: Path) -> Path:
    writer = VideoWriter(path, codec="h264", clock=Clock(Fraction(1, 16), Fraction(16)))
    for i, rgb in enumerate(panning(8, (48, 64), step=1, cell=16)):
        writer.write(rgb, Fraction(i, 16))
    writer.close()
    return path


def fails_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No image can be written below the folder `name`."""
    real = Path.write_bytes
    monkeypatch.setattr(Path, "write_bytes", lambda path, data: no_space() if name in path.parts else real(path, data))


def test_an_output_of_one_of_several_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seg = Segtween(BrightnessSegmenter(), PRESETS["composed"], threads=1)
    fails_in("b", monkeypatch)
    done = seg.run(
        [clip(tmp_path / "a.mkv"), clip(tmp_path / "b.mkv")], tmp_path / "out", save=["labels", "labels-video"]
    )
    assert [str(o.error or "").split(" (")[0] for o in done.outcomes] == [
        "", f"no space is left to write {tmp_path / 'out' / 'b' / 'labels' / '000000.png'}",
    ]  # fmt: skip
    assert [s.frames for s in done.summaries] == [8, 8]
    assert [[o.name for o in s.outputs.finished] for s in done.summaries] == [
        ["labels", "labels.mkv", "frames.csv"], ["labels.mkv", "frames.csv"],
    ]  # fmt: skip
    assert sorted(p.name for p in (tmp_path / "out" / "b").iterdir()) == ["frames.csv", "labels.mkv", "run.json"]


def test_propagation_names_the_next_frames_although_an_output_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    cv2.imwrite(str(labels / "000000.png"), np.zeros((48, 64), np.uint8))
    fails_in(".labels.part", monkeypatch)
    with pytest.raises(SinkError, match=r"labels/000000.png .*\(finished: overlay.mp4, frames.csv\)"):
        propagate(
            clip(tmp_path / "a.mkv"),
            labels,
            tmp_path / "out",
            how=Labelled(label_set="camvid11"),
            outputs=Wanted(save=["labels", "overlay"]),
        )
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "frames.csv", "next.json", "overlay.mp4", "run.json",
    ]  # fmt: skip
