"""Several inputs at once: each ends as it would alone, and one that fails leaves the others alone."""

from __future__ import annotations

import csv
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from fakes import BrightnessSegmenter, panning
from segtween.api import Segtween
from segtween.cli import app
from segtween.errors import ScoresError, SettingError, SinkError, SourceError
from segtween.run.inputs import Job, Opened
from segtween.run.options import Outputs, Reading
from segtween.run.pipeline import LatestFrame
from segtween.run.session import Labelling, run_session
from segtween.run.summary import SessionSummary
from segtween.settings import PRESETS, change
from segtween.types import Frame, OutputReport, Rgb, SourceInfo
from segtween.video import open_source, open_sources
from segtween.video.encode import Clock, VideoWriter

SIZE, LARGE = (48, 64), (96, 128)
MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"


def write_clip(path: Path, frames: list[Rgb]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = VideoWriter(path, codec="h264", clock=Clock(Fraction(1, 16), Fraction(16)))
    for i, rgb in enumerate(frames):
        writer.write(rgb, Fraction(i, 16))
    writer.close()
    return path


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Three, of two sizes and lengths; two have one name."""
    return [
        write_clip(tmp_path / "a.mkv", panning(12, LARGE, step=1, cell=32)),
        write_clip(tmp_path / "b.mkv", panning(9, (128, 96), step=1, seed=1, cell=32)),
        write_clip(tmp_path / "other" / "a.mkv", panning(12, LARGE, step=1, seed=2, cell=32)),
    ]


def segtween_of(segmenter: Any = None, **changes: Any) -> Segtween:
    return Segtween(segmenter or BrightnessSegmenter(), change(PRESETS["composed"].at(3), **changes), threads=1)


def rows(folder: Path) -> list[dict[str, str]]:
    """frames.csv without what the frames took."""
    with open(folder / "frames.csv", newline="") as file:
        return [{name: value for name, value in row.items() if name != "ms"} for row in csv.DictReader(file)]


class Played:
    """A source from memory, which may fail at the end."""

    def __init__(self, frames: list[Rgb], error: Exception | None = None, *, wait_seconds: float = 0.0) -> None:
        self.info = SourceInfo("played", "memory", frames[0].shape[:2], Fraction(16), len(frames), live=True)  # type: ignore[arg-type]
        self.closed = False
        self._frames, self._error, self._wait_seconds = frames, error, wait_seconds

    def __iter__(self) -> Iterator[Frame]:
        for i, rgb in enumerate(self._frames):
            time.sleep(self._wait_seconds)
            yield Frame(i, Fraction(i, 16), rgb)
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self.closed = True


class Kept:
    """A sink that keeps which frames it got, and how it ended; it may fail at one of them."""

    def __init__(self, fails_at: int | None = None) -> None:
        self.frames: list[int] = []
        self.labels: list[NDArray[np.uint8]] = []
        self.ended: list[str] = []
        self.report = OutputReport()
        self._fails_at = fails_at

    def write(self, frame: Frame, result: Any) -> None:
        if frame.index == self._fails_at:
            raise SinkError("no space is left", expected="room", do="free some")
        self.frames.append(frame.index)
        self.labels.append(result.labels)

    def close(self) -> None:
        self.ended.append("closed")

    def abort(self) -> None:
        self.ended.append("aborted")


def run(
    seg: Segtween,
    folder: Path,
    sources: list[Played | SourceError],
    sinks: list[Kept] | None = None,
    *,
    live: bool = False,
) -> tuple[SessionSummary, list[Kept]]:
    made = sinks or [Kept() for _ in sources]

    def opened(source: Played | SourceError, sink: Kept) -> Opened:
        if isinstance(source, SourceError):
            raise source
        return Opened(source, sink)

    inputs = [
        Job(f"{i}", folder / f"{i}", lambda pair=pair: opened(*pair))  # type: ignore[misc]
        for i, pair in enumerate(zip(sources, made, strict=True))
    ]
    for item in inputs:
        item.folder.mkdir(parents=True, exist_ok=True)
    how = Labelling(seg.method, interval=3, live=live)
    return run_session(seg.streams(len(inputs)), inputs, how, folder=folder), made


def test_each_input_is_labelled_and_written_as_if_it_were_alone(clips: list[Path], tmp_path: Path) -> None:
    out, network, seen = tmp_path / "out", BrightnessSegmenter(), []
    seg = segtween_of(network)
    done = seg.run(clips, out, save=["labels-video"], progress=lambda *counts: seen.append(counts), report=True)
    assert [o.name for o in done.outcomes] == ["a", "b", "a-2"]
    assert not done.failed
    assert sum(summary.cuts for summary in done.summaries) == 0
    assert all(summary.prefetched for summary in done.summaries), "flow was estimated by the threads that read"
    assert [s.frames for s in done.summaries] == [12, 9, 12]
    assert seen == [(n, 33) for n in range(1, 34)]
    calls = network.calls
    assert done.network_runs == calls
    assert done.runs["most_planned"] == 1
    record = json.loads((out / "session.json").read_text())
    assert record["totals"]["network_runs"] == calls
    assert record["method"]["hash"] == seg.method.hash
    assert [stream["name"] for stream in record["streams"]] == ["a", "b", "a-2"]
    for name in ("a", "b", "a-2"):
        own = json.loads((out / name / "run.json").read_text())
        assert own["error"] is None
        assert own["consistency"] is not None
        assert (out / name / "labels.mkv").stat().st_size > 0
    alone = segtween_of().run(clips[0], tmp_path / "alone", save=["labels-video"])
    assert (alone.frames, alone.network_runs) == (12, done.summaries[0].network_runs)
    assert rows(out / "a") == rows(tmp_path / "alone"), "the first stream's key frames are where they are alone"
    assert [row["key"] for row in rows(out / "a-2")] != [row["key"] for row in rows(out / "a")]


def files_of(folder: Path) -> dict[str, bytes]:
    """The label images, byte by byte."""
    return {path.name: path.read_bytes() for path in sorted((folder / "labels").iterdir())}


@pytest.mark.parametrize(
    ("changes", "identical"),
    [
        ({}, ["a"]),  # the others' key frames are staggered
        ({"async_keys": 2}, ["a"]),
        ({"schedule": "adaptive", "budget": 30.0}, ["a", "b", "a-2"]),
        ({"mode": "bidirectional"}, ["a", "b", "a-2"]),
    ],
)
def test_one_input_and_several_give_the_same_bits(
    changes: dict[str, Any], identical: list[str], clips: list[Path], tmp_path: Path
) -> None:
    several = segtween_of(**changes).run(clips, tmp_path / "several", save=["labels"])
    assert not several.failed
    for name, clip in zip(("a", "b", "a-2"), clips, strict=True):
        out = tmp_path / f"alone-{name}"
        alone = segtween_of(**changes).run(clip, out, save=["labels"])
        same = files_of(tmp_path / "several" / name) == files_of(out)
        assert same == (name in identical)
        assert (
            len(files_of(out))
            == alone.frames
            == several.summaries[[o.name for o in several.outcomes].index(name)].frames
        )
    (only,) = segtween_of(**changes).run([clips[1]], tmp_path / "list", save=["labels"]).summaries
    assert only.folder == tmp_path / "list" / "b"
    assert files_of(only.folder) == files_of(tmp_path / "alone-b")
    assert rows(only.folder) == rows(tmp_path / "alone-b")


def test_several_files_are_labelled_from_the_key_frames_on_both_sides(clips: list[Path], tmp_path: Path) -> None:
    seg = segtween_of(mode="bidirectional")
    done = seg.run(clips, tmp_path / "out", save=["labels-video"])
    assert [s.frames for s in done.summaries] == [12, 9, 12]
    assert done.summaries[0].method.record["mode"] == "bidirectional"
    for summary in done.summaries:
        distances = [int(row["frames_since_key"]) for row in rows(summary.folder)]
        assert distances == [i % 4 for i in range(summary.frames)], "every frame once, in order"


def test_what_waits_for_a_key_frame_is_written_when_its_input_breaks_off(tmp_path: Path) -> None:
    film = panning(20, SIZE, cell=16)
    sources = [Played(film), Played(film[:7], SourceError("the disk is gone"))]
    sinks = [Kept(), Kept()]
    done, _ = run(segtween_of(mode="bidirectional"), tmp_path, sources, sinks)  # type: ignore[arg-type]
    assert [str(o.error or "") for o in done.outcomes] == ["", "the disk is gone"]
    assert sinks[0].frames == list(range(20))
    assert sinks[1].frames == list(range(7)), "frames 5 and 6 are read from key frame 4 alone"


def test_options_by_name_and_as_values_are_the_same(clips: list[Path], tmp_path: Path) -> None:
    seg = segtween_of()
    named = seg.run(clips[0], tmp_path / "named", save=["labels"], classes=["class-1"], start_seconds=0.25)
    outputs, reading = Outputs(save=["labels"], classes=["class-1"]), Reading(start_seconds=0.25)
    typed = seg.run(clips[0], tmp_path / "typed", outputs=outputs, reading=reading)
    assert named.frames == typed.frames == 8
    assert files_of(named.folder) == files_of(typed.folder)
    with pytest.raises(SinkError, match="exists already"):
        seg.run(clips[0], tmp_path / "typed", outputs=outputs)
    again = seg.run(clips[0], tmp_path / "typed", outputs=outputs, reading=reading, overwrite=True)
    assert again.saved == ("labels",), "a name replaces one field of the value"


def test_an_unknown_option_is_named_with_the_nearest(clips: list[Path], tmp_path: Path) -> None:
    with pytest.raises(
        SettingError, match="option 'saves'; expected one of alpha, background, classes, .*; did you mean save"
    ):
        segtween_of().run(clips[0], tmp_path / "out", saves=["labels"])
    assert not (tmp_path / "out").exists()


def test_one_input_that_holds_several_videos_is_refused(clips: list[Path], tmp_path: Path) -> None:
    folder = clips[0].parent
    with pytest.raises(SourceError, match="holds 2 videos; expected one video; give one of them, or a list with it"):
        segtween_of().run(folder, tmp_path / "out")
    done = segtween_of().run([folder], tmp_path / "out", save=["labels"])
    assert [o.name for o in done.outcomes] == ["a", "b"]


def test_opened_sources_are_run_as_they_are(clips: list[Path], tmp_path: Path) -> None:
    seg = segtween_of()
    alone = seg.run(open_source(clips[0]), tmp_path / "alone", save=["labels"])
    several = seg.run([open_source(clips[0]), *open_sources(clips[2:])], tmp_path / "several", save=["labels"])
    assert [o.name for o in several.outcomes] == ["a", "a-2"]
    assert files_of(alone.folder) == files_of(tmp_path / "several" / "a")


def test_results_of_several_inputs_come_together(clips: list[Path]) -> None:
    results = list(segtween_of().stream_multi(clips))
    assert [sum(r is not None for r in tick) for tick in results] == [3] * 9 + [2] * 3
    assert results[1][1].pts_seconds == pytest.approx(1 / 16)


def test_what_ends_one_input_does_not_end_the_others(tmp_path: Path) -> None:
    class Fails(BrightnessSegmenter):
        def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            if rgb.shape[0] == 32 and self.calls > 8:
                raise ScoresError("not finite")
            return super().__call__(rgb)

    film, small = panning(20, SIZE, cell=16), panning(20, (32, 64), cell=16)
    gone, missing = SourceError("the camera is gone"), SourceError("no such camera")
    sources = [Played(film), Played(film[:5], gone), missing, Played(small), Played(film)]
    sinks = [Kept(), Kept(), Kept(), Kept(), Kept(fails_at=7)]
    done, _ = run(segtween_of(Fails()), tmp_path, sources, sinks)  # type: ignore[arg-type]
    assert [str(o.error or "").split(";")[0] for o in done.outcomes] == [
        "", "the camera is gone", "no such camera", "not finite", "no space is left",
    ]  # fmt: skip
    assert sinks[0].frames == list(range(20))
    assert sinks[1].frames == list(range(5)), "what came before is kept"
    assert 4 < len(sinks[3].frames) < 20
    assert sinks[4].frames == list(range(7))
    assert [sink.ended[-1:] for sink in sinks] == [["closed"], ["aborted"], [], ["aborted"], ["aborted"]]
    assert all(source.closed for source in sources if isinstance(source, Played))
    assert done.outcomes[2].summary is None
    told = json.loads((tmp_path / "session.json").read_text())["streams"]
    assert [stream["error"] for stream in told][1:3] == ["the camera is gone", "no such camera"]
    assert json.loads((tmp_path / "1" / "run.json").read_text())["error"] == "the camera is gone"


def test_an_error_of_the_program_ends_all_and_closes_all(tmp_path: Path) -> None:
    class Breaks(BrightnessSegmenter):
        def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            if self.calls == 4:
                raise RuntimeError("a fault")
            return super().__call__(rgb)

    film, sinks = panning(20, SIZE, cell=16), [Kept(), Kept()]
    sources = [Played(film), Played(film)]
    with pytest.raises(RuntimeError, match="a fault"):
        run(segtween_of(Breaks()), tmp_path, sources, sinks)  # type: ignore[arg-type]
    assert [sink.ended for sink in sinks] == [["aborted"], ["aborted"]]
    assert all(source.closed for source in sources)
    assert json.loads((tmp_path / "0" / "run.json").read_text())["error"] == "a fault"


@pytest.mark.parametrize("late", [None, "auto"])
def test_live_the_newest_of_each_is_labelled_and_the_rest_counted(late: Any, tmp_path: Path) -> None:
    class Slow(BrightnessSegmenter):
        def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            time.sleep(0.05)
            return super().__call__(rgb)

    sources = [Played(panning(30, SIZE, seed=i, step=1, cell=16), wait_seconds=0.01 * (i + 1)) for i in range(2)]
    done, sinks = run(segtween_of(Slow(), async_keys=late), tmp_path, sources, live=True)  # type: ignore[arg-type]
    for summary, sink in zip(done.summaries, sinks, strict=True):
        assert summary.frames + summary.dropped == 30
        assert sink.frames == sorted(set(sink.frames))
        assert sink.frames[-1] == 29, "the newest is never dropped"
        assert summary.live()["latency_ms"]["p50"] < 500
    if late is None:
        assert done.summaries[0].dropped > 5
    assert json.loads((tmp_path / "session.json").read_text())["live"] is True


def test_the_newest_can_be_asked_for_without_waiting() -> None:
    told: list[None] = []

    def numbers() -> Iterator[int]:
        yield from range(3)
        raise SourceError("gone")

    newest = LatestFrame(numbers(), notify=lambda: told.append(None))
    newest._thread.join(5)
    assert len(told) == 4
    taken = newest.take()
    assert taken is not None
    assert taken[0] == 2
    with pytest.raises(SourceError, match="gone"):
        newest.take()
    assert newest.take() is None
    ended = LatestFrame(iter([]))
    ended._thread.join(5)
    with pytest.raises(StopIteration):
        ended.take()


def test_as_many_inputs_as_streams() -> None:
    seg = segtween_of()
    with pytest.raises(SettingError, match="0 inputs for 2 streams; expected one for each; give as many"):
        run_session(seg.streams(2), [], Labelling(seg.method, interval=3))


def test_the_command(clips: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["run", *map(str, clips), str(tmp_path / "none.mp4"), "-o", str(out), "--model", MODEL]
    done = CliRunner().invoke(app, [*command, "--multi", "--save", "labels-video", "--online"])
    said = " ".join(done.output.split())
    assert done.exit_code == 2, "one of them is missing"
    assert "none.mp4' does not exist" in said
    assert "a-2 12 " in said
    assert "none (failed) 0 - -" in said
    assert "all inputs 33 " in said
    assert "at most 1, 3 where inputs begin or scenes are cut" in said
    assert sorted(p.name for p in out.iterdir()) == ["a", "a-2", "b", "session.json"]
    again = CliRunner().invoke(app, [*command[:4], "-o", str(out), "--model", MODEL, "--multi", "--save", "labels"])
    assert again.exit_code == 2
    assert "exists already" in again.output


def test_where_every_input_fails_nothing_is_said_to_be_written(tmp_path: Path) -> None:
    missing = [str(tmp_path / name) for name in ("one.mp4", "two.mp4")]
    done = CliRunner().invoke(app, ["run", *missing, "-o", str(tmp_path / "out"), "--model", MODEL, "--multi"])
    assert done.exit_code == 2
    assert done.output.count("does not exist") == 2
    assert "written" not in done.output


def test_which_inputs_are_run_at_once(clips: list[Path], tmp_path: Path) -> None:
    two = ["run", *map(str, clips[:2]), "--model", MODEL, "--save", "labels-video", "-q"]
    CliRunner().invoke(app, [*two, "-o", str(tmp_path / "1")])
    assert not (tmp_path / "1" / "session.json").exists(), "files: one after the other"
    camera = CliRunner().invoke(app, [*two, "camera:97", "-o", str(tmp_path / "2")])
    assert camera.exit_code == 2
    assert "camera 97 cannot be opened" in camera.output
    assert (tmp_path / "2" / "session.json").exists()
    CliRunner().invoke(app, [*two, "-o", str(tmp_path / "3"), "--live"])
    assert json.loads((tmp_path / "3" / "session.json").read_text())["live"]
    done = CliRunner().invoke(app, [*two, "-o", str(tmp_path / "4"), "--live", "--one-by-one"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "4" / "b" / "run.json").exists()
    assert not (tmp_path / "4" / "session.json").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            ["--compare", "every-frame"],
            "--compare every-frame with several inputs at once; expected one video after the other",
        ),
        (["--save", "nothing"], "--save nothing is not known"),
    ],
)
def test_what_several_inputs_cannot_have(option: list[str], message: str, clips: list[Path], tmp_path: Path) -> None:
    command = ["run", *map(str, clips[:2]), "-o", str(tmp_path / "out"), "--model", MODEL, "--multi", *option]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_of_each(tmp_path: Path) -> None:
    clips = [write_clip(tmp_path / f"{name}.mkv", panning(200, SIZE, cell=16)) for name in "ab"]
    out = tmp_path / "out"
    command = [sys.executable, "-m", "segtween", "run", *map(str, clips), "-o", str(out), "--live", "--model", MODEL]
    process = subprocess.Popen([*command, "--save", "labels-video"], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120  # the first frame waits for what is compiled

    def rows(name: str) -> int:
        return sum(max(0, table.read_text().count("\n") - 1) for table in out.glob(f"{name}/.frames.csv*"))

    while time.monotonic() < deadline and min(map(rows, "ab")) < 10:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "stopped; what was done by then is kept" in said
    record = json.loads((out / "session.json").read_text())
    assert all(0 < stream["frames"] < 200 for stream in record["streams"])
    for name in "ab":
        assert json.loads((out / name / "run.json").read_text())["error"] == "stopped by the user"
        assert (out / name / "labels.mkv").exists()
