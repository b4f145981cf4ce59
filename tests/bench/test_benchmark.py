from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes import BrightnessSegmenter
from segtween.bench import BenchReport, Plan, bench, bench_modes, moving_clip
from segtween.build import build_engine, build_flow, method
from segtween.cli import app
from segtween.errors import SettingError
from segtween.run.modes import each_mode
from segtween.schedule.cuts import ResidualCuts
from segtween.settings import change, find_preset

MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"


class Slow(BrightnessSegmenter):
    """Takes 20 ms, like a network that is slow beside everything else."""

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        time.sleep(0.02)
        return super().__call__(rgb)


@pytest.fixture(scope="module")
def measured() -> tuple[BenchReport, list[tuple[int, int]]]:
    seen: list[tuple[int, int]] = []
    report = bench(
        Slow(),
        settings=find_preset("blend"),
        name="blend",
        plan=Plan((64, 128), intervals=[3], repeats=2, threads=1, clip="textured"),
        progress=lambda done, total: seen.append((done, total)),
    )
    return report, seen


def test_the_record_has_what_was_asked_for(measured: tuple[BenchReport, list[tuple[int, int]]]) -> None:
    record = json.loads(json.dumps(measured[0].to_json(), allow_nan=False))
    assert set(record) >= {"method", "size_hw", "scale", "model", "runtime", "precision", "threads", "results"}
    assert record["size_hw"] == [64, 128]
    assert record["threads"] == 1
    keys = {"interval", "ms_per_frame", "fps", "stages_ms", "share_of_limit"}
    assert [set(result) >= keys for result in record["results"]] == [True, True]
    assert [result["interval"] for result in record["results"]] == [0, 3], "interval 0 is always measured"


def test_one_hash_for_accuracy_and_speed(measured: tuple[BenchReport, list[tuple[int, int]]]) -> None:
    engine = build_engine(Slow(), find_preset("blend").at(9))
    assert measured[0].header.method.hash == method(engine, name="blend").hash


def test_figures_follow_from_the_medians(measured: tuple[BenchReport, list[tuple[int, int]]]) -> None:
    plain, three = measured[0].results
    assert plain["key_frame"]["frames"] == 2
    assert plain["other_frame"] is None
    assert set(plain["stages_ms"]) == {"segment", "label"}, "the plain network has neither flow nor fusion"
    assert (three["key_frame"]["frames"], three["other_frame"]["frames"]) == (2, 6), "no cut, two periods"
    assert set(three["key_frame"]["stages_ms"]) >= {"prepare", "flow", "propagate", "segment", "label"}
    assert "segment" not in three["other_frame"]["stages_ms"]
    ms = (three["key_frame"]["median"] + 3 * three["other_frame"]["median"]) / 4
    assert three["ms_per_frame"] == pytest.approx(ms)
    assert three["fps"] == pytest.approx(1e3 / ms)
    assert three["share_of_limit"] == pytest.approx(plain["ms_per_frame"] / ms / 4)
    assert plain["share_of_limit"] == 1
    assert plain["ms_per_frame"] >= 20
    assert sum(three["stages_ms"].values()) <= ms
    assert three["stages_ms"]["segment"] >= 20 / 4, "a stage's share of the period"
    assert 0 <= three["mixed_cells"] <= 1


def test_both_modes_are_timed_in_one_run() -> None:
    modes = each_mode({"composed": find_preset("composed")})
    report = bench_modes(
        Slow(), modes=modes, plan=Plan((64, 128), intervals=[2], repeats=2, threads=1, clip="textured")
    )
    assert [name for name, _ in report.named_results()] == ["0 (network on every frame)", "2, offline", "2, online"]
    record = json.loads(json.dumps(report.to_json(), allow_nan=False))
    offline = record["offline"]
    assert (record["method"]["mode"], offline["method"]["mode"]) == ("causal", "bidirectional")
    assert record["results"][0] == offline["results"][0], "the plain network, timed once"
    both = offline["results"][1]
    assert both["ms_per_frame"] == pytest.approx(both["period_ms"]["median"] / 3)
    assert both["share_of_limit"] == pytest.approx(record["results"][0]["ms_per_frame"] / both["ms_per_frame"] / 3)
    assert both["key_frame"]["median"] >= 20
    assert both["other_frame"]["median"] < both["key_frame"]["median"]
    assert both["latency_frames"]["most"] == 3, "a key frame, too, waits for the next one"
    assert record["results"][1]["latency_frames"]["most"] == 0
    figures, stages, remarks = report.tables()
    assert not isinstance(figures, str)
    assert not isinstance(stages, str)
    assert figures.column(0) == ["0 (network on every frame)", "2, offline", "2, online"]
    assert figures.column(figures.columns.index("frames until labels")) == ["0", "3", "0"]
    assert stages.column(0) == ["0", *["2, offline"] * 2, *["2, online"] * 2]
    (slow,) = (line for line in str(remarks).splitlines() if line.startswith("interval 2, offline"))
    assert slow.endswith("; its labels come 3 frames later at most")
    assert f"method composed, bidirectional {offline['method']['hash']}, offline" in str(remarks)


def test_the_command_times_the_offline_mode_alone_and_says_its_latency(tmp_path: Path) -> None:
    asked = ["bench", "--offline", "--model", MODEL, "--size", "96x64", "--clip", "textured", "--intervals", "3"]
    asked += ["--repeats", "1", "--threads", "1", "--json", str(tmp_path / "bench.json")]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "bench.json").read_text())
    assert (record["method"]["mode"], record["clip"]) == ("bidirectional", "textured")
    assert not {"online", "offline"} & set(record), "one mode, and interval 0"
    plain, both = record["results"]
    assert (plain["latency_frames"]["most"], both["latency_frames"]["most"]) == (0, 4)
    row = next(line for line in done.stdout.splitlines() if line.startswith("3, offline"))
    assert row.split()[-2] == "4"


def test_progress_counts_every_frame(measured: tuple[BenchReport, list[tuple[int, int]]]) -> None:
    assert measured[1][0][1] == (2 + 2) * (1 + 4)
    assert measured[1][-1] == (20, 20)


def test_tables_say_it_in_words(measured: tuple[BenchReport, list[tuple[int, int]]]) -> None:
    figures, stages, remarks = measured[0].tables()
    assert not isinstance(figures, str)
    assert not isinstance(stages, str)
    assert "128x64 (width x height) of the clip textured" in str(figures.title)
    cells = [figures.column(i) for i in range(len(figures.columns))]
    assert cells[0] == ["0 (network on every frame)", "3, online"]
    assert "x of 4x possible (" in str(cells[5][1])
    assert stages.column(1) == ["key", "key", "other"]
    assert f"method blend {measured[0].header.method.hash}, online; medians of 2 periods after warm-up" in str(remarks)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repeats": 0}, r"0 repeats on frames of 128x64; expected 1 repeat or more, frames of at least 64x64"),
        ({"size_hw": (8, 128)}, r"7 repeats on frames of 128x8; expected 1 repeat or more"),
        ({"intervals": [-1]}, r"interval is -1; expected a whole number, 0 or more"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], message: str) -> None:
    def measure() -> None:
        plan = Plan(**{"size_hw": (64, 128), "intervals": [1], "repeats": 7, **options}, threads=1, clip="textured")
        bench(BrightnessSegmenter(), settings=find_preset("blend"), name="blend", plan=plan)

    with pytest.raises(SettingError, match=message):
        measure()


def test_a_clip_taken_for_cuts_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ResidualCuts, "score", lambda *_: 1.0)
    report = bench(
        BrightnessSegmenter(),
        settings=find_preset("blend"),
        name="blend",
        plan=Plan((64, 128), intervals=[1], repeats=2, threads=1, clip="textured"),
    )
    assert report.header.notes == ["interval 1: 4 frames of the clip taken for scene cuts and made key frames"]


def test_the_clip_moves_on_steadily() -> None:
    frames = moving_clip((64, 128))
    assert all(frame.shape == (64, 128, 3) and frame.flags.c_contiguous for frame in frames)
    assert np.array_equal(frames[0][1:, 2:], frames[1][:-1, :-2]), "one pixel down, two to the right"
    assert all(np.array_equal(a, b) for a, b in zip(frames, moving_clip((64, 128)), strict=True))
    flow = build_flow(find_preset("blend"))
    found = flow(flow.prepare(frames[1]), flow.prepare(frames[0]))
    assert np.abs(np.median(found, axis=(0, 1)) - [2, 1]).max() < 0.3, "textured enough for flow to follow"


def test_what_is_stored_cannot_be_timed(tmp_path: Path) -> None:
    class Stored(BrightnessSegmenter):
        def select(self, key: str | int) -> None: ...

    given = {"name": "blend", "plan": Plan((64, 64), intervals=[1], clip="textured")}
    with pytest.raises(SettingError, match=r"stored scores cannot be timed; expected a network; give a model NAME"):
        bench(Stored(), settings=find_preset("blend"), **given)  # type: ignore[arg-type]
    with pytest.raises(
        SettingError,
        match=r"stored flow .* cannot be timed \(preset blend\); expected a flow estimator; give flow dis",
    ):
        bench(BrightnessSegmenter(), settings=change(find_preset("blend"), flow=str(tmp_path)), **given)  # type: ignore[arg-type]
