"""Live: frames come at their time, the newest is labelled, the rest is counted."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from one_input import run_source
from typer.testing import CliRunner

from fakes import BrightnessSegmenter, panning
from segtween.api import Segtween
from segtween.build import build_engine
from segtween.cli import app
from segtween.errors import SourceError
from segtween.run.lane import Arrivals
from segtween.run.pipeline import LatestFrame
from segtween.run.summary import Summary
from segtween.settings import PRESETS, change, find_preset
from segtween.types import Frame, OutputReport, Result, SourceInfo
from segtween.video import open_source
from segtween.video.encode import Clock, VideoWriter
from segtween.video.pace import AtItsRate

SIZE = (48, 64)
MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """24 frames, a second and a half."""
    writer = VideoWriter(tmp_path / "clip.mkv", codec="h264", clock=Clock(Fraction(1, 16), Fraction(16)))
    for i, rgb in enumerate(panning(24, SIZE, step=1, cell=16)):
        writer.write(rgb, Fraction(i, 16))
    writer.close()
    return tmp_path / "clip.mkv"


class Kept:
    def __init__(self) -> None:
        self.frames: list[int] = []
        self.results: list[Result] = []
        self.report = OutputReport()

    def write(self, frame: Frame, result: Result) -> None:
        self.frames.append(frame.index)
        self.results.append(result)

    def close(self) -> None:
        pass

    abort = close


class SlowNetwork(BrightnessSegmenter):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(self._seconds)
        return super().__call__(rgb)


def run(clip: Path, folder: Path, *, network_seconds: float, **settings: Any) -> tuple[Summary, Kept]:
    chosen = change(PRESETS["composed"].at(1), **settings)
    seg, sink = Segtween(SlowNetwork(network_seconds), chosen, threads=1), Kept()
    source = open_source(clip)
    summary = run_source(
        seg.engine, source, sink, folder, method=seg.method, interval=1, saved=(), live=True
    )  # fmt: skip
    return summary, sink


def test_a_file_is_played_at_its_rate(clip: Path) -> None:
    began = time.perf_counter()
    source = AtItsRate(open_source(clip))
    times = [(float(frame.pts_seconds), time.perf_counter() - began) for frame in source]
    source.close()
    assert len(times) == 24
    first = times[0][1]
    assert all(came - first >= due - 0.05 for due, came in times)
    assert times[-1][1] - first >= 23 / 16 - 0.05


def test_a_live_source_is_not_held_back() -> None:
    class Camera:
        info = SourceInfo("camera", "camera:0", SIZE, Fraction(1), None, live=True)

        def __iter__(self) -> Iterator[Frame]:
            yield from (Frame(i, Fraction(i), np.zeros((*SIZE, 3), np.uint8)) for i in range(3))

        def close(self) -> None:
            pass

    began = time.perf_counter()
    assert [frame.index for frame in AtItsRate(Camera())] == [0, 1, 2]
    assert time.perf_counter() - began < 0.5


def test_late_keys_keep_up_by_a_longer_interval(clip: Path, tmp_path: Path) -> None:
    summary, sink = run(clip, tmp_path, network_seconds=0.25, async_keys="auto")
    assert summary.dropped <= 8
    assert summary.frames + summary.dropped == 24
    assert sink.frames == sorted(set(sink.frames))
    assert max(r.distance for r in sink.results) > 2, "more than the interval of 1: the network is busy"
    assert 1 <= summary.network_runs <= 6
    assert json.loads((tmp_path / "run.json").read_text())["live"]["dropped_frames"] == summary.dropped
    assert summary.live()["latency_ms"]["p50"] < 200


def test_what_cannot_be_kept_up_with_is_dropped_and_counted(clip: Path, tmp_path: Path) -> None:
    began = time.perf_counter()
    summary, sink = run(clip, tmp_path, network_seconds=0.25, async_keys=None)
    assert time.perf_counter() - began < 5
    assert summary.dropped > 5
    assert summary.frames == len(sink.frames) == 24 - summary.dropped
    assert sink.frames[-1] == 23, "the newest frame is never dropped"


def given(newest: LatestFrame[int]) -> int:
    taken = newest.take()
    assert taken is not None
    return taken[0]


def test_the_newest_is_given_and_nothing_piles_up() -> None:
    go, came = threading.Event(), threading.Event()

    def numbers() -> Iterator[int]:
        yield 0
        go.wait(5)
        yield from range(1, 50)

    newest = LatestFrame(numbers(), notify=came.set)
    assert came.wait(5)
    assert given(newest) == 0
    go.set()
    newest._thread.join(5)
    assert given(newest) == 49
    with pytest.raises(StopIteration):
        newest.take()
    assert newest.dropped == 48


def test_an_error_comes_after_the_frame_before_it() -> None:
    closed: list[bool] = []

    def numbers() -> Iterator[int]:
        yield 7
        raise SourceError("the camera is gone")

    newest = LatestFrame(numbers(), close=lambda: closed.append(True))
    newest._thread.join(5)
    assert given(newest) == 7
    with pytest.raises(SourceError, match="the camera is gone"):
        newest.take()
    newest.stop()
    assert closed == [True]


class Paced:
    """Frames from memory, each after a pause of so many seconds; `rate` is what it says of itself."""

    def __init__(self, pauses: list[float], *, rate: int = 50) -> None:
        self.info = SourceInfo("paced", "memory", SIZE, Fraction(rate), None, live=True)
        self._pauses = pauses

    def __iter__(self) -> Iterator[Frame]:
        for i, (rgb, pause) in enumerate(zip(panning(len(self._pauses), SIZE, step=1, cell=16), self._pauses)):  # noqa: B905
            time.sleep(pause)
            yield Frame(i, Fraction(i, 50), rgb)

    def close(self) -> None:
        pass


LAG = change(find_preset("composed"), mode="bidirectional", interval=3, flow="zero")


def lagging(source: Paced, folder: Path, network: BrightnessSegmenter, **changes: Any) -> tuple[Summary, Kept]:
    seg, sink = Segtween(network, change(LAG, **changes), threads=1), Kept()
    used = seg.in_mode_for(source, live=True)
    how = {"method": used.method, "interval": 3, "live": True}
    return run_source(used.engine, source, sink, folder, **how), sink  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{}, {"async_keys": 2}])
def test_with_a_lag_labels_are_those_of_a_file(changes: dict[str, Any], tmp_path: Path) -> None:
    source = Paced([0.04] * 24, rate=1)  # however late a frame is on a busy machine, it does not stay away
    summary, sink = lagging(source, tmp_path, SlowNetwork(0.02), **changes)
    assert summary.frames + summary.dropped == 24
    assert summary.method.mode == "bidirectional"
    film = [frame.rgb for frame in Paced([0.0] * 24)]
    wanted = build_engine(BrightnessSegmenter(), LAG)
    expected = []
    for index in sink.frames:
        wanted.select(index)
        expected += wanted.push(film[index])
    expected += wanted.finish()
    for ours, theirs in zip(sink.results, expected, strict=True):
        assert (ours.is_key, ours.distance) == (theirs.is_key, theirs.distance)
        assert np.array_equal(ours.labels, theirs.labels)
    ms = summary.live()["latency_ms"]
    assert {"p50", "p95", "p99", "most"} == set(ms)
    assert ms["most"] >= 3 * 40, "the oldest of a period waits for the next key frame"
    assert len(summary.latency_ms) == summary.frames


def test_a_slow_network_makes_the_lag_longer_and_drops_nothing_more(tmp_path: Path) -> None:
    summary, sink = lagging(Paced([0.02] * 60), tmp_path, SlowNetwork(0.3), async_keys="auto")
    assert summary.frames + summary.dropped == 60
    assert sink.frames == sorted(set(sink.frames))
    assert 2 <= summary.network_runs <= 6, "it runs for most of the time, one key frame at a time"
    assert summary.frames > 30
    assert max(r.distance for r in sink.results) > 3


def test_where_a_camera_stops_for_a_while_labels_do_not_wait_for_it(tmp_path: Path) -> None:
    pauses = [0.02] * 6 + [2.0] + [0.02] * 5
    summary, sink = lagging(Paced(pauses), tmp_path, BrightnessSegmenter())
    assert summary.frames == len(sink.frames) == 12 - summary.dropped
    assert max(summary.latency_ms) < 1500, "less than the camera stood still"


def test_frames_stay_away_after_a_period_of_the_rate_that_they_had() -> None:
    info = SourceInfo("camera", "camera:0", SIZE, Fraction(25), None, live=True)
    arrivals = Arrivals(info, period=5)
    assert not arrivals.stay_away(100.0), "nothing has come yet"
    for seconds in (0.0, 0.1, 0.2):
        arrivals.add(seconds)
    assert not arrivals.stay_away(0.69), "10 frames per second, not the 25 that the camera claims"
    assert arrivals.stay_away(0.71)
    assert not arrivals.stay_away(5.0), "said once"
    arrivals.add(6.0)
    assert not arrivals.stay_away(6.1)
    quick = Arrivals(info, period=1)
    quick.add(0.0)
    assert not quick.stay_away(0.19), "a frame that is a little late is no gap"
    assert quick.stay_away(0.21)


def test_a_period_of_frames_may_wait_where_they_are_made_at_once() -> None:
    both = LatestFrame(iter(range(50)), most=4)
    both._thread.join(5)
    assert [given(both) for _ in range(4)] == [46, 47, 48, 49]
    with pytest.raises(StopIteration):
        both.take()
    assert both.dropped == 46


@pytest.mark.slow
def test_the_command_says_how_it_went(clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = CliRunner().invoke(
        app, ["run", str(clip), "-o", str(out), "--live", "--model", MODEL, "--save", "labels,cvat"]
    )
    assert done.exit_code == 0, done.output
    assert "frames dropped; labels after" in " ".join(done.output.split())
    record = json.loads((out / "run.json").read_text())
    assert record["method"]["async_keys"] == "auto"
    assert record["totals"]["frames"] + record["live"]["dropped_frames"] == 24
    assert {"p50", "p95", "p99", "most"} == set(record["live"]["latency_ms"])
    command = ["run", str(clip), "--live", "--lag", "--model", MODEL, "--save", "labels", "--flow", "zero"]
    done = CliRunner().invoke(app, [*command, "-o", str(out / "2")])
    assert done.exit_code == 0, done.output
    assert "method composed*, offline" in done.output
    record = json.loads((out / "2" / "run.json").read_text())
    assert record["method"]["mode"] == "bidirectional"
    assert "async_keys" not in record["method"]
    assert record["totals"]["frames"] + record["live"]["dropped_frames"] == 24
    done = CliRunner().invoke(app, [*command, "-o", str(out / "3"), "--async-keys", "auto"])
    assert done.exit_code == 0, done.output
    assert json.loads((out / "3" / "run.json").read_text())["method"]["async_keys"] == "auto"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--online"], "--online and --lag; expected one of them; leave one out"),
        (["--schedule", "adaptive"], "--lag with --schedule adaptive; expected a fixed interval"),
        (["--preset", "swnet-seq"], "--lag with propagation='published'"),
        (["--async-keys", "9"], "--async-keys 9 with --interval 4; expected at most 5 frames"),
    ],
)
def test_contradictions_with_a_lag_name_both_flags(more: list[str], message: str, clip: Path, tmp_path: Path) -> None:
    command = ["run", str(clip), "-o", str(tmp_path / "out"), "--live", "--lag", "--model", MODEL, *more]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert message in " ".join(refused.output.split())


def test_several_live_inputs_with_a_lag(clip: Path, tmp_path: Path) -> None:
    command = ["run", str(clip), str(clip), "-o", str(tmp_path), "--live", "--lag", "--model", MODEL]
    done = CliRunner().invoke(app, [*command, "--save", "labels", "--flow", "zero", "--threads", "1"])
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "session.json").read_text())
    assert record["method"]["mode"] == "bidirectional"
    dropped = [stream["live"]["dropped_frames"] for stream in record["streams"]]
    assert record["totals"]["network_runs_per_tick"]["most_planned"] <= (2 if any(dropped) else 1)
    for stream in record["streams"]:
        assert stream["frames"] + stream["live"]["dropped_frames"] == 24
        assert stream["live"]["latency_ms"]["most"] >= 4 * 62, "a period of frames at 16 per second"
