"""Sweeps, the roofline and the cold start of a process: `segtween bench sweep`, `roofline`, `cold-start`."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes import BrightnessSegmenter
from segtween.bench import Plan, bench, cold_start, sweeps
from segtween.bench import roofline as roofline_module
from segtween.bench.cold_start import Process, measure_cold_start
from segtween.bench.roofline import measure_machine, roofline
from segtween.bench.roofline_report import Machine, Need, RooflineReport
from segtween.bench.sweeps import Patches, sweep
from segtween.cli import app
from segtween.errors import SettingError
from segtween.interfaces import Segmenter
from segtween.segmenters import open_segmenter
from segtween.segmenters.network import NetworkSegmenter
from segtween.settings import find_preset
from segtween.types import SizeHW

PATH = find_preset("composed").at(1)
SIZE = (64, 128)


def of(kind: str, **options: object) -> sweeps.Sweep:
    plan = Plan(SIZE, repeats=1, threads=1, clip="textured")
    return sweep(kind, BrightnessSegmenter(), settings=PATH, name="composed", plan=plan, **options)  # type: ignore[arg-type]


def test_every_curve_has_its_points(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "SIZES", ((64, 128), (128, 256)))
    monkeypatch.setattr(sweeps, "INTERVALS", (0, 3))
    monkeypatch.setattr(sweeps, "CLASSES", (2, 20))
    points = {kind: of(kind) for kind in ("pixels", "classes", "interval")}
    assert [row["at"] for row in points["pixels"].rows] == [0.008192, 0.032768]
    assert [row["at"] for row in points["classes"].rows] == [2, 20]
    assert [row["at"] for row in points["interval"].rows] == [0, 3]
    for curve in points.values():
        record = json.loads(json.dumps(curve.to_json(), allow_nan=False))
        assert all(row["ms_per_frame"] > 0 for row in record["rows"])
        assert curve.table().column(0) == [row["label"] for row in curve.rows]
    last = points["interval"].rows[-1]
    assert last["ms_per_frame"] == pytest.approx((last["key_ms"] + 3 * last["other_ms"]) / 4)
    assert points["interval"].rows[0]["other_ms"] is None, "every frame is a key frame"


def test_length_looks_at_one_run_on_its_way() -> None:
    curve = of("length", most_frames=120)
    assert [row["at"] for row in curve.rows] == [10, 100, 120]
    assert all(row["peak_mib"] is None or row["peak_mib"] > 1 for row in curve.rows)
    with pytest.raises(SettingError, match=r"3 frames; expected 10 or more; give more frames"):
        of("length", most_frames=3)


def test_an_unknown_sweep() -> None:
    with pytest.raises(SettingError, match=r"sweep 'pixel'; expected .*classes.*did you mean pixels"):
        of("pixel")


def test_patches_are_smooth_scores_of_any_number_of_classes() -> None:
    made = Patches(150)
    scores = made(np.zeros((192, 384, 3), np.uint8))
    assert (scores.shape, scores.dtype) == ((150, 48, 96), np.float32)
    same = np.mean(np.diff(scores.argmax(0), axis=1) == 0)
    assert 0.7 < same < 1, "patches, not noise"


@pytest.mark.train
def test_sweeps_are_drawn(tmp_path: Path) -> None:
    from segtween.reports.tables.plot import plot_sweep

    written = plot_sweep(of("length", most_frames=20), tmp_path / "new")
    assert [path.name for path in written] == ["cost-length.png", "cost-length.svg"]
    assert "peak memory" in written[1].read_text()


def test_the_roofline_is_the_slower_of_moving_and_doing() -> None:
    machine = Machine(gigabytes=10, gigaflops=100, threads=2)
    assert Need("label", "other", bytes=1e7, operations=1e6).bound_ms(machine) == pytest.approx(1)
    assert Need("label", "other", bytes=1e6, operations=1e9).bound_ms(machine) == pytest.approx(10)


@pytest.mark.parametrize(
    ("precision", "size", "at_once"),
    [("float32", 4, 1), ("bfloat16", 2, 2), ("int8", 1, 4), ("int8 (7-bit weights)", 1, 4 / 3)],
)
def test_what_the_network_needs_depends_on_its_precision(precision: str, size: int, at_once: float) -> None:
    class Counted:
        runtime = SimpleNamespace(work=lambda shape: (shape[1] * shape[2], 100))

        def input_size(self, size_hw: SizeHW) -> SizeHW:
            return size_hw

        def describe(self) -> dict[str, str]:
            return {"precision": precision}

    (need,) = roofline_module._network(cast(Segmenter, Counted()), (8, 10))
    assert (need.bytes, need.operations) == (100 * size + 3 * 80, 2 * 80 / at_once)


def test_no_stage_is_faster_than_the_roofline() -> None:
    segmenter = open_segmenter("swiftnet-lite0.camvid", threads=1)
    assert isinstance(segmenter, NetworkSegmenter)
    plan = Plan((192, 256), intervals=[1], repeats=2, threads=1, clip="textured")
    report = bench(segmenter, settings=PATH, name="composed", plan=plan)
    machine = Machine(gigabytes=400, gigaflops=4000, threads=1)
    found = roofline(report, segmenter, settings=PATH, machine=machine)
    assert [row["stage"] for row in found.rows] == ["prepare", "flow", "propagate", "label", "segment"]
    assert all(0 < row["bound_ms"] < row["ms"] for row in found.rows)
    assert found.table().column(0)[-1] == "segment (key frame)"
    whole = RooflineReport(report, found)
    record = json.loads(json.dumps(whole.to_json(), allow_nan=False))
    assert record["roofline"]["stages"] == found.rows
    assert record["results"] == report.results
    assert [table.title for table in whole.tables() if not isinstance(table, str)][-1].startswith("the roofline at")


def test_work_grows_with_the_pixels() -> None:
    runtime = open_segmenter("swiftnet-lite0.camvid", threads=1).runtime  # type: ignore[attr-defined]
    small, large = runtime.work((1, 128, 128, 3)), runtime.work((1, 128, 256, 3))
    assert large[1] == small[1], "the weights stay the same"
    assert 1.9 < large[0] / small[0] < 2.1


@pytest.mark.slow
def test_the_machine_is_measured() -> None:
    machine = measure_machine(threads=1, rounds=1)
    assert 0.5 < machine.gigabytes < 1000
    assert 1 < machine.gigaflops < 1000


@pytest.mark.slow
def test_a_process_is_started_and_its_first_labels_awaited() -> None:
    options = {"precision": "float32", "scale": 1.0}
    process = Process("swiftnet-lite0.camvid", options, "composed", PATH, SIZE, threads=1)
    report = measure_cold_start(process, repeats=1)
    steps = {step: ms["median"] for step, ms in report.steps_ms.items()}
    assert report.first_labels_ms["median"] == pytest.approx(sum(list(steps.values())[:3]))
    assert all(ms > 0 for ms in steps.values())
    (table,) = report.tables()
    assert not isinstance(table, str)
    assert table.column(0)[-1] == "from start to first labels"


def test_a_process_finds_bytecode_as_an_installed_package_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, str]] = []

    def run(command: list[str], *, env: dict[str, str], **_: Any) -> Any:
        seen.append(env)
        return subprocess.CompletedProcess(command, 0, json.dumps([time.time()] * 5), "")

    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setattr(cold_start.subprocess, "run", run)
    measure_cold_start(Process("swiftnet-lite0.camvid", {}, "composed", PATH, SIZE), repeats=1)
    assert len(seen) == 2
    assert all("PYTHONDONTWRITEBYTECODE" not in env and env["PATH"] == os.environ["PATH"] for env in seen)


@pytest.mark.parametrize("repeats", [0, -1])
def test_at_least_one_process_is_started(repeats: int) -> None:
    with pytest.raises(SettingError, match=f"{repeats} repeats; expected 1 or more"):
        measure_cold_start(Process("swiftnet-lite0.camvid", {}, "composed", PATH, SIZE), repeats=repeats)


def test_a_process_that_fails_says_why() -> None:
    process = Process("swiftnet-lite9", {}, "composed", PATH, SIZE, threads=1)
    with pytest.raises(SettingError, match=r"a process that does not start \(.*lite9.*\); expected a first frame"):
        measure_cold_start(process, repeats=1)


def test_the_command_sweeps_and_writes_what_it_drew(tmp_path: Path) -> None:
    given = ["--size", "128x64", "--interval", "1", "--repeats", "1", "--threads", "1", "--most-frames", "20"]
    given += ["--clip", "textured"]
    out = tmp_path / "sweeps.json"
    done = CliRunner().invoke(app, ["bench", "sweep", "length", *given, "--json", str(out)])
    assert done.exit_code == 0, done.output
    assert "cost against length (clip textured, frames of 128x64, interval 1)" in done.output
    (curve,) = json.loads(out.read_text())["sweeps"]
    assert [row["at"] for row in curve["rows"]] == [10, 20]
