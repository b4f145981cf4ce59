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
from segtween.cli import app
from segtween.errors import SettingError, SourceError
from segtween.run.pipeline import LatestFrame
from segtween.run.summary import Summary
from segtween.settings import PRESETS, change, find_preset
from segtween.types import Frame, OutputReport, Result, SourceInfo
from segtween.video import open_source
from segtween.video.container import ContainerSource
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


def test_the_newest_is_given_and_nothing_piles_up() -> None:
    go = threading.Event()

    def numbers() -> Iterator[int]:
        yield 0
        go.wait(5)
        yield from range(1, 50)

    newest = LatestFrame(numbers())
    items = iter(newest)
    assert next(items)[0] == 0
    go.set()
    newest._thread.join(5)
    assert [item for item, _ in items] == [49]
    assert newest.dropped == 48


def test_an_error_comes_after_the_frame_before_it() -> None:
    closed: list[bool] = []

    def numbers() -> Iterator[int]:
        yield 7
        raise SourceError("the camera is gone")

    newest = LatestFrame(numbers(), close=lambda: closed.append(True))
    items = iter(newest)
    assert next(items)[0] == 7
    with pytest.raises(SourceError, match="the camera is gone"):
        next(items)
    newest.stop()
    assert closed == [True]


def test_the_offline_mode_cannot_be_live(clip: Path, tmp_path: Path) -> None:
    source = open_source(clip)
    seg = Segtween(BrightnessSegmenter(), change(find_preset("blend"), mode="bidirectional"), threads=1)
    with pytest.raises(
        SettingError, match="bidirectional propagation live; expected a mode that gives each frame's labels at"
    ):
        run_source(seg.engine, source, Kept(), tmp_path, method=seg.method, interval=1, saved=(), live=True)
    assert isinstance(source, ContainerSource)
    assert list(source) == []


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
    refused = CliRunner().invoke(app, ["run", str(clip), "-o", str(out / "2"), "--live", "--offline", "--model", MODEL])
    assert refused.exit_code == 2
    assert "bidirectional propagation live" in " ".join(refused.output.split())
