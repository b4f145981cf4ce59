"""What several streams cost with one network, against a network for each."""

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
from segtween.bench import Plan
from segtween.bench import streams as module
from segtween.bench.streams import StreamsReport, bench_streams, resident_mb
from segtween.cli import app
from segtween.errors import SettingError
from segtween.settings import PRESETS, Settings, change, find_preset

EVERY_OTHER = PRESETS["composed"].at(1)
MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"


class Slow(BrightnessSegmenter):
    """Takes 10 ms, and 4 MB."""

    opened = 0

    def __init__(self) -> None:
        super().__init__()
        type(self).opened += 1
        self._held = np.ones(500_000)

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        time.sleep(0.01)
        return super().__call__(rgb)


@pytest.fixture(scope="module")
def report() -> StreamsReport:
    plan = Plan((96, 160), repeats=3, threads=1, clip="textured")
    return bench_streams(Slow, settings=PRESETS["composed"].at(3), name="composed", count=4, plan=plan)


def test_one_network_against_one_each(report: StreamsReport) -> None:
    assert Slow.opened == 1 + 4
    assert set(report.ways) == {"staggered", "same_tick", "separate"}
    ways = report.ways
    for way in ways.values():
        assert way["tick_ms"]["median"] >= 10, "a run of the network in every tick, on average"
    assert ways["same_tick"]["ticks_ms"]["p95"] >= 4 * 10
    assert ways["staggered"]["ticks_ms"]["p50"] < ways["same_tick"]["ticks_ms"]["p95"]
    assert report.network_runs_per_tick == {"ticks": 12, "mean": 1.0, "most": 1, "most_planned": 1}
    assert 0.1 < report.share_of_separate["median"] < 10
    assert report.cuts == 0


def test_the_record_and_the_table(report: StreamsReport) -> None:
    record = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert (record["streams"], record["interval"], record["size_hw"]) == (4, 3, [96, 160])
    table, remarks = report.tables()
    assert not isinstance(table, str)
    assert table.title.startswith("4 streams of 160x96 (width x height) of the clip textured at interval 3")
    assert table.column(0) == [
        "one network, staggered key frames",
        "one network, key frames in the same tick",
        "4 separate runs, one after the other",
    ]
    assert "network runs per tick: 1.00 on average, at most 1" in str(remarks)
    assert "of the time of 4 separate runs; p95 of the ticks is" in str(remarks)


def test_memory_is_what_the_system_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text("Name:\tx\nVmRSS:\t  2048 kB\n")
    monkeypatch.setattr(module, "Path", lambda _: status)
    assert resident_mb() == 2
    monkeypatch.setattr(module, "Path", lambda _: tmp_path / "none")
    assert resident_mb() is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeats": 0}, "0 repeats on frames of 96x64; expected 1 repeat or more"),
        ({"count": 0}, "0 streams; expected 1 or more"),
        (
            {"settings": change(find_preset("blend"), async_keys=2)},
            "streams against separate runs with asynchronous key frames, the offline mode or an adaptive",
        ),
    ],
)
def test_what_cannot_be_timed(options: dict[str, Any], message: str) -> None:
    def measure(settings: Settings = EVERY_OTHER, count: int = 2, repeats: int = 1) -> None:
        plan = Plan((64, 96), repeats=repeats, threads=1, clip="textured")
        bench_streams(BrightnessSegmenter, settings=settings, name="composed", count=count, plan=plan)

    with pytest.raises(SettingError, match=message):
        measure(**options)


def test_the_command(tmp_path: Path) -> None:
    file = tmp_path / "streams.json"
    command = [
        "bench",
        "streams",
        "--streams",
        "2",
        "--model",
        MODEL,
        "--size",
        "96x64",
        "--clip",
        "textured",
        "-i",
        "1",
        "--repeats",
        "1",
    ]
    done = CliRunner().invoke(app, [*command, "--threads", "1", "--json", str(file)])
    assert done.exit_code == 0, done.output
    assert "2 streams of 96x64 (width x height) of the clip textured at interval 1" in " ".join(done.output.split())
    assert json.loads(file.read_text())["streams"] == 2
