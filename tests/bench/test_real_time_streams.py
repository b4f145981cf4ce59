"""Several cameras whose frames come at a rate: every frame labelled soon, the network shared fairly."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from fakes import BrightnessSegmenter
from segtween.bench.plan import RatePlan
from segtween.bench.real_time import (
    RealTimeStreamsReport,
    bench_real_time_streams,
)
from segtween.cli import app
from segtween.errors import ScoresError, SettingError
from segtween.settings import PRESETS, change

MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"


class Slow(BrightnessSegmenter):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(self._seconds)
        return super().__call__(rgb)


def at_rate(segmenter: BrightnessSegmenter, *, late: Any, count: int = 3, **others: Any) -> RealTimeStreamsReport:
    plan = RatePlan((96, 160), **{"rate": 20.0, "seconds": 1.0, "threads": 1, "clip": "textured", **others})
    settings = change(PRESETS["composed"].at(1), async_keys=late)
    return bench_real_time_streams(segmenter, settings=settings, name="composed", count=count, plan=plan)


@pytest.mark.slow
def test_no_camera_waits_for_a_slow_network_and_each_gets_its_turn() -> None:
    late, waiting = at_rate(Slow(0.1), late="auto"), at_rate(Slow(0.1), late=None)
    late_all, waiting_all = late.to_json()["all"], waiting.to_json()["all"]
    assert late_all["frames"] == waiting_all["frames"] == 60
    assert late_all["dropped_frames"] < waiting_all["dropped_frames"]
    assert late_all["latency_ms"]["p50"] < 50 < waiting_all["latency_ms"]["p95"]
    assert late_all["unknown_frames"] > 0
    assert waiting_all["unknown_frames"] == 0
    arrivals = [camera["arrivals"] for camera in late.to_json()["streams"]]
    assert max(arrivals) - min(arrivals) <= 1, "in turn"
    assert late.network_runs_per_tick["most_planned"] == 1
    assert late.network.alone_ms >= 100
    assert len(late.network.ms) >= 5


def test_the_record_and_the_table() -> None:
    report = at_rate(Slow(0.0), late=None, seconds=0.5)
    record = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert [camera["frames"] for camera in record["streams"]] == [10] * 3
    assert record["all"]["frames"] == 30
    assert record["all"]["dropped_frames"] == sum(camera["dropped_frames"] for camera in record["streams"])
    assert 0 <= record["all"]["in_time"] <= 1
    table, remarks = report.tables()
    assert not isinstance(table, str)
    assert table.title.startswith(
        "3 cameras of 160x96 (width x height) of the clip textured, 20 frames per second each for 0.5 s"
    )
    assert table.column(0) == ["0", "1", "2", "all"]
    assert "alone it takes" in str(remarks)


def test_what_the_network_raises_ends_it() -> None:
    class Fails(BrightnessSegmenter):
        def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
            if self.calls > 12:
                raise ScoresError("not finite")
            return super().__call__(rgb)

    with pytest.raises(ScoresError, match="not finite"):
        at_rate(Fails(), late=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rate": 0.0}, "0 frames per second for 1 s, of 160x96; expected a rate of up to 1000, 1 frame or more"),
        ({"count": 0}, "0 streams; expected 1 or more"),
    ],
)
def test_what_cannot_be_measured(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        at_rate(BrightnessSegmenter(), late=None, **options)


def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "pace.json"
    command = [
        "bench",
        "real-time",
        "--streams",
        "2",
        "--rate",
        "20",
        "--seconds",
        "0.3",
        "--clip",
        "textured",
        "--async-keys",
        "auto",
    ]
    done = CliRunner().invoke(
        app, [*command, "--model", MODEL, "--size", "96x64", "--threads", "1", "--json", str(file)]
    )
    assert done.exit_code == 0, done.output
    assert "2 cameras of 96x64 (width x height) of the clip textured, 20 frames per second each" in " ".join(
        done.output.split()
    )
    assert len(json.loads(file.read_text())["streams"]) == 2
