"""Frames that come at a rate: how soon their labels are there, and who goes first when a network works beside them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from fakes import BrightnessSegmenter
from segtween.bench.plan import RatePlan
from segtween.bench.real_time import RealTimeReport, bench_real_time, bench_real_time_streams
from segtween.build import build_engine
from segtween.cli import app
from segtween.errors import SettingError
from segtween.models.records import InputRecord
from segtween.ops.threads import in_background, lower_priority
from segtween.segmenters import open_segmenter
from segtween.settings import PRESETS, Settings, change, find_preset
from tiny_onnx import colour_image, write_network

SIZE = (128, 192)
MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"
PIXELS = InputRecord("image", scale=255)
EVERY_OTHER = PRESETS["composed"].at(1)
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="threads have priorities of their own on Linux only")


class Slow(BrightnessSegmenter):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self.policies: set[int] = set()

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.policies.add(os.sched_getscheduler(0) if sys.platform == "linux" else 0)
        time.sleep(self._seconds)
        return super().__call__(rgb)


def at_rate(
    segmenter: BrightnessSegmenter, settings: Settings, *, seconds: float = 1.0, **others: Any
) -> RealTimeReport:
    plan = RatePlan(SIZE, rate=25, seconds=seconds, threads=1, clip="textured")
    return bench_real_time(segmenter, settings=settings, name="composed", plan=plan, **others)


@pytest.mark.slow
def test_late_keys_keep_a_rate_that_waiting_for_the_network_does_not() -> None:
    late, waiting = at_rate(Slow(0.2), change(EVERY_OTHER, async_keys="auto")), at_rate(Slow(0.2), EVERY_OTHER)
    late_frames, waiting_frames = late.frames, waiting.frames
    assert late_frames.due == waiting_frames.due == 25
    assert late_frames.dropped < waiting_frames.dropped
    assert waiting_frames.dropped >= 10, "of six frames that come during a run of the network one is labelled"
    assert len(late_frames.latency_ms) == 25 - late_frames.dropped
    assert late.in_time > waiting.in_time
    assert 2 <= len(late.network.ms) <= 6
    assert late.network.alone_ms >= 200
    assert late_frames.unknown >= 1
    assert sum(late_frames.age.values()) == len(late_frames.latency_ms) - late_frames.unknown
    assert max(late_frames.age) >= 4
    assert waiting_frames.unknown == 0
    assert set(waiting_frames.age) <= {0, 1}
    assert max(waiting_frames.latency_ms) >= 200


def test_latency_counts_from_when_a_frame_came() -> None:
    report = at_rate(Slow(0.05), PRESETS["composed"].at(0), seconds=0.8)
    frames = report.frames
    assert min(frames.latency_ms) >= 50
    assert all(late >= work - 1 for late, work in zip(frames.latency_ms, frames.work_ms, strict=True))
    assert frames.cuts == 0
    assert frames.dropped > 0
    assert report.in_time == 0


def test_the_record_and_what_is_printed() -> None:
    seen: list[tuple[int, int]] = []
    report = at_rate(
        Slow(0.01), change(EVERY_OTHER, async_keys="auto"), seconds=0.4, progress=lambda i, n: seen.append((i, n))
    )
    record = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert (record["rate"], record["frames"], record["method"]["async_keys"]) == (25, 10, "auto")
    assert set(record["latency_ms"]) == {"p50", "p95", "p99", "most"}
    assert seen[-1] == (10, 10)
    table, said, *_ = report.tables()
    assert not isinstance(table, str)
    assert table.column(0)[0] == "labels after (ms)"
    assert "frames dropped" in str(said)
    assert f"of {report.frames.due} frames" in str(said)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 0}, "0 frames per second for 1 s, of 192x128; expected a rate of up to 1000, 1 frame or more"),
        ({"seconds": 0.01}, "25 frames per second for 0.01 s, of 192x128; expected .* correct rate"),
        ({"seconds": float("nan")}, "25 frames per second for nan s, of 192x128; expected .* at most a day"),
        ({"seconds": float("inf")}, "25 frames per second for inf s, of 192x128; expected .* at most a day"),
        ({"seconds": 1e6}, r"25 frames per second for 1e\+06 s, of 192x128; expected .* at most a day"),
        ({"size_hw": (16, 16)}, "of 16x16; expected .* at least 64x64"),
    ],
)
def test_what_cannot_be_measured(change: dict[str, Any], message: str) -> None:
    def measure(**plan: Any) -> None:
        asked = RatePlan(**{"size_hw": SIZE, "rate": 25.0, "seconds": 1.0, "clip": "textured", **plan})
        bench_real_time(BrightnessSegmenter(), settings=EVERY_OTHER, name="composed", plan=asked)

    with pytest.raises(SettingError, match=message):
        measure(**change)


def test_with_a_lag_labels_come_up_to_a_period_and_the_networks_time_late() -> None:
    settings = change(find_preset("composed"), mode="bidirectional", interval=3, flow="zero")
    report = at_rate(Slow(0.05), settings, seconds=1.6)
    frames = report.frames
    assert frames.due == 40
    assert len(frames.latency_ms) == 40 - frames.dropped
    assert min(frames.latency_ms) >= 0
    assert max(frames.latency_ms) >= 3 * 40 + 50, "the oldest of a period waits for the next key frame and the network"
    assert set(frames.age) <= {0, 1, 2, 3}
    assert len(report.network.ms) == frames.arrivals >= 5
    assert frames.unknown == 0
    cameras = bench_real_time_streams(
        Slow(0.01),
        settings=settings,
        name="composed",
        count=2,
        plan=RatePlan(SIZE, rate=25, seconds=0.8, threads=1, clip="textured"),
    ).cameras
    assert [len(camera.latency_ms) + camera.dropped for camera in cameras] == [20, 20]
    assert all(max(camera.latency_ms) >= 3 * 40 for camera in cameras)


def test_the_command(tmp_path: Path) -> None:
    asked = [
        "bench",
        "real-time",
        "--model",
        MODEL,
        "--size",
        "192x128",
        "--clip",
        "textured",
        "--threads",
        "1",
        "--async-keys",
        "auto",
    ]
    out = tmp_path / "pace.json"
    done = CliRunner().invoke(app, [*asked, "--rate", "25", "--seconds", "0.4", "--json", str(out)])
    assert done.exit_code == 0, done.output
    assert "labels after (ms)" in done.output
    assert json.loads(out.read_text())["frames"] == 10
    done = CliRunner().invoke(app, [*asked, "--rate", "25", "--seconds", "0.4", "--lag", "--json", str(out)])
    assert done.exit_code == 0, done.output
    assert json.loads(out.read_text())["method"]["name"] == "composed*, bidirectional"
    refused = CliRunner().invoke(app, [*asked, "--preset", "swnet-seq", "--lag"])
    assert refused.exit_code == 2
    assert "--lag with propagation='published'" in refused.output


ASIDE = """
import os, sys, time
import numpy as np
from segtween.ops.threads import in_background
from segtween.models.records import InputRecord
from segtween.runtimes import open_runtime
from segtween.runtimes.base import RuntimeOptions

runtime, graph = sys.argv[1:]
pixels, image = InputRecord("image", scale=255), np.arange(96 * 128 * 3, dtype=np.uint8).reshape(1, 96, 128, 3)
one_thread = RuntimeOptions(threads=1)
open_runtime(runtime, graph, pixels=pixels, options=one_thread).run(image)  # libraries start threads of their own
before = set(os.listdir("/proc/self/task"))
opened = open_runtime(runtime, graph, pixels=pixels, options=RuntimeOptions(threads=3, aside=in_background))
answers = [opened.run(image)[0] for _ in range(2)]
time.sleep(0.3)  # those that end are gone
started = set(os.listdir("/proc/self/task")) - before
expected = open_runtime(runtime, graph, pixels=pixels, options=RuntimeOptions(threads=2)).run(image)[0]
for answer in answers:
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-4)
    assert answer.flags.writeable
print(sorted({os.sched_getscheduler(int(name)) for name in started}), os.sched_getscheduler(0))
"""


@on_linux
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_runtimes_threads_give_way_and_no_others(tmp_path: Path, runtime: str) -> None:
    # In a process of its own: OpenVINO's threads serve one network after the other, and keep the priority they have.
    graph = write_network(tmp_path / "tiny.onnx")
    done = subprocess.run(
        [sys.executable, "-c", ASIDE, runtime, str(graph)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[-2] == f"[{os.SCHED_IDLE}] {os.SCHED_OTHER}"


@on_linux
def test_a_thread_that_may_hold_pythons_lock_is_never_kept_waiting() -> None:
    network = Slow(0.0)
    build_engine(network, change(EVERY_OTHER, async_keys="auto")).warm_up(SIZE)
    assert network.policies == {os.SCHED_OTHER}


@on_linux
def test_what_is_done_in_the_background_gives_way_with_its_threads() -> None:
    def policies() -> tuple[int, int]:
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.append(os.sched_getscheduler(0)))
        thread.start()
        thread.join()
        return os.sched_getscheduler(0), found[0]

    assert in_background(policies) == (os.SCHED_IDLE, os.SCHED_IDLE)
    assert policies() == (os.SCHED_OTHER, os.SCHED_OTHER)
    with pytest.raises(ZeroDivisionError):
        in_background(lambda: 1 // 0)


@pytest.mark.slow
def test_the_scores_of_a_network_in_the_background_are_the_same() -> None:
    usual, behind = (open_segmenter("swiftnet-lite0.camvid", threads=1, background=b) for b in (False, True))
    rgb = colour_image((96, 128))
    np.testing.assert_array_equal(behind(rgb), usual(rgb))
    assert behind.describe() == usual.describe()
    assert open_segmenter(MODEL, background=True).labels.names == ("dark", "dim", "light", "bright")


@on_linux
def test_where_priorities_are_refused_all_stay_equal(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(os, "sched_setscheduler", refuse)
    lower_priority()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
