"""The pages of evaluations, of speed and of tables, and the commands that write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_reader import Page, check_alone
from typer.testing import CliRunner

from fakes import BrightnessSegmenter, panning
from segtween.bench.plan import Plan
from segtween.bench.speed import bench_presets
from segtween.bench.sweeps import Sweep
from segtween.cli import app
from segtween.datasets import Dataset, open_dataset
from segtween.evaluation import EvaluationOptions, evaluate_method
from segtween.evaluation.runs import Judged
from segtween.labels import numbered
from segtween.metrics.segmentation import confusion, miou, overlap
from segtween.reports.html import charts
from segtween.reports.html.bench_page import bench_page, sweep_page
from segtween.reports.html.evaluation_page import evaluation_page
from segtween.reports.html.study_page import study_page
from segtween.reports.html.worst import SHOWN, WorstFrames
from segtween.reports.tables.methods import EVERY, FUSED
from segtween.reports.tables.study import Column, Study
from segtween.settings import PRESETS
from small_sets import picture

MODEL = f"{Path(__file__).parents[2] / 'fakes.py'}:by_brightness"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("moving")
    for i, rgb in enumerate(panning(100, (48, 64), cell=16)):
        picture(root / "val/frames/a" / f"{i:03}.png", np.ascontiguousarray(rgb[..., ::-1]))
        picture(root / "val/labels/a" / f"{i:03}.png", rgb[..., 0] // 64)
    return root


@pytest.fixture(scope="module")
def data(root: Path) -> Dataset:
    return open_dataset("folders", root, split="val", labels=numbered(4))


@pytest.fixture(scope="module")
def evaluated(data: Dataset) -> tuple[Any, WorstFrames, list[Judged]]:
    worst, judged = WorstFrames(data.labels), []

    def observe(frame: Judged) -> None:
        judged.append(frame)
        worst(frame)

    report = evaluate_method(
        data, segmenter=BrightnessSegmenter(), settings=PRESETS["blend"], name="blend", intervals=[0, 2],
        options=EvaluationOptions(threads=1, observe=observe),
    )  # fmt: skip
    return report, worst, judged


def test_confusion_and_intervals_agree_with_the_other_figures(evaluated: Any) -> None:
    report, _, judged = evaluated
    block = report.results[-1]
    counts = np.array(block["confusion"])
    assert float(miou(overlap(counts))) == pytest.approx(block["avg_miou"])
    np.testing.assert_array_equal(counts, sum(frame.confusion for frame in judged))
    each = block["per_distance_intervals"]
    assert [one["value"] for one in each] == pytest.approx(block["per_distance"])
    assert all(one["low"] < one["value"] < one["high"] for one in each)
    json.dumps(report.to_json(), allow_nan=False)


def test_every_scored_frame_of_every_phase_is_seen(evaluated: Any) -> None:
    judged = evaluated[2]
    assert {frame.row for frame in judged} == {"interval 2, online"}
    wanted = {(f"a/{phase + i:03}", i % 3) for phase in range(3) for i in range(100 - phase)}
    assert {(frame.name, frame.distance) for frame in judged} == wanted
    frame = judged[7]
    np.testing.assert_array_equal(confusion(frame.labels, frame.truth, classes=4), frame.confusion)


def test_the_worst_frames_are_the_worst(evaluated: Any) -> None:
    _, worst, judged = evaluated
    ((row, shown),) = worst.rows.items()
    assert row == "interval 2, online"
    lowest: dict[int, float] = {}
    for frame in judged:
        value = float(miou(overlap(frame.confusion)))
        lowest[frame.block] = min(value, lowest.get(frame.block, 1.0))
    assert len(shown) == SHOWN
    assert shown[0].miou == min(lowest.values())
    assert [one.miou for one in shown] == sorted(one.miou for one in shown)
    assert {one.miou for one in shown} <= set(lowest.values()), "each the worst of its block"


def test_the_page_of_an_evaluation(evaluated: Any, data: Dataset) -> None:
    report, worst, _ = evaluated
    read = Page(evaluation_page(report, labels=data.labels, worst=worst, command="segtween evaluate --x"))
    check_alone(read)
    assert read.headings[1:] == [
        "Figures", "Accuracy by distance to the key frame", "Classes", "Confusion", "Worst frames", "More measures",
        "How to repeat it", "Method",
    ]  # fmt: skip
    result = report.results[-1]
    for value in (report.every_frame["miou"], result["avg_miou"], result["per_class"]["class-2"]):
        assert f"{100 * value:.1f}%" in read.text
    for distance, value in enumerate(result["per_distance"]):
        assert f"{100 * value:.4g} at {distance}" in read.text
    assert len(read.all("img")) == SHOWN
    assert "segtween evaluate --x" in read.text
    assert report.method.hash in read.text
    table = np.array(result["confusion"])
    share = table[1, 2] / table[1].sum()
    assert f"{100 * share:.1f}" in read.text


def test_many_classes_are_listed_by_what_is_confused_most() -> None:
    from segtween.reports.html.evaluation_page import _confusion

    counts = np.eye(30, 31, dtype=np.int64) * 100
    counts[3, 7] = 50
    read = Page(_confusion("row", counts, numbered(30)))
    assert "class-3 as class-7 33.3% of class-3" in read.text
    assert read.text.count(" as ") == 1


def test_the_page_of_speed() -> None:
    plan = Plan((64, 64), intervals=[2], repeats=1, threads=1)
    report = bench_presets(BrightnessSegmenter(), presets={"blend": PRESETS["blend"]}, plan=plan)["blend"]
    read = Page(bench_page(report, command="segtween bench --x"))
    check_alone(read)
    assert read.headings[1:] == [
        "At a glance", "Share of the limit", "Stages", "Figures", "Machine", "How to repeat it", "Method"
    ]  # fmt: skip
    result = report.results[-1]
    assert f"{result['times_faster']:.1f}x of 3x ({100 * result['share_of_limit']:.0f}%)" in read.text
    bars = [float(bar["width"] or 0) for bar in read.all("rect")]
    assert bars[0] == pytest.approx(100 * result["share_of_limit"], abs=0.01)
    assert len(bars) == 1 + sum(len(one["stages_ms"]) for one in report.results)
    assert "threads used 1" in read.text
    assert report.header.versions["numpy"] in read.text


def test_the_page_of_a_sweep() -> None:
    rows = [{"at": at, "ms_per_frame": 2.0 * at, "key_ms": None, "label": str(at)} for at in (1, 2, 4)]
    one = Sweep("pixels", "millions of pixels", rows, "interval 4")
    read = Page(sweep_page([one], command="segtween bench sweep"))
    assert len(read.all("circle")) == 3


def test_the_page_of_a_table() -> None:
    columns = [Column("preset", "preset"), Column("avg_miou", "avg mIoU", lambda value: f"{100 * value:.1f}")]
    rows = [
        {"preset": name, "fps": fps, "avg_miou": value, "avg_miou_low": 0.5, "avg_miou_high": 0.8}
        for name, fps, value in (("a<", 10, 0.7), ("a<", 20, 0.6), ("b", 15, 0.65), ("c", None, None))
    ]
    study = Study("intervals", "Speed & accuracy", columns, rows, ["a note"], {"data": "x", "sets": [1]}, "segtween x")
    read = Page(study_page(study))
    check_alone(read)
    assert "a<: 70 at 10, 60 at 20; b: 65 at 15." in read.text
    assert len(read.all("circle")) == 3
    assert "preset avg mIoU a< 70.0 a< 60.0 b 65.0 c -" in read.text
    assert "a note" in read.text


def test_methods_are_told_apart_by_their_colours() -> None:
    names = [EVERY, FUSED, "composed, bidirectional", *PRESETS]
    rows = [{"row": name, "runs_per_100": 20.0, "avg_miou": 0.6} for name in names]
    read = Page(study_page(Study("methods", "Methods", [Column("row", "method")], rows, [], {}, None)))
    drawn = [circle["fill"] for circle in read.all("circle")]
    assert len(drawn) == len(set(drawn)) == len(names)
    assert drawn[0] == charts.OF_EVERY_FRAME, "as in the page of an evaluation"


def test_a_table_without_accuracy_has_no_chart() -> None:
    study = Study("occlusion", "Occlusion", [Column("row", "estimate")], [{"row": "x"}], [], {}, None)
    assert Page(study_page(study)).headings == ["Occlusion", "Table"]


def call(*args: str | Path) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    return done.exit_code, " ".join(done.output.split())


def test_evaluate_writes_its_page(root: Path, tmp_path: Path) -> None:
    (root / "labels.yaml").write_text("names: [dark, dim, light, bright]\n")
    target = tmp_path / "report.html"
    common = ("evaluate", "-d", "folders", "--root", root, "--dataset-labels", root / "labels.yaml", "--model", MODEL,
              "--preset", "blend", "--intervals", "1", "--max-frames", "12", "-q")  # fmt: skip
    code, told = call(*common, "--report", target)
    assert code == 0, told
    read = Page(target.read_text())
    check_alone(read)
    assert "Worst frames" in read.headings
    code, told = call(*common, "--report", tmp_path / "no" / "report.html")
    assert code == 2
    assert "expected a file in a folder that is there" in told


def test_bench_and_table_write_theirs(root: Path, tmp_path: Path) -> None:
    code, told = call("bench", "--model", MODEL, "--preset", "blend", "--size", "64x64", "--intervals", "1",
                      "--repeats", "1", "--threads", "1", "--report", tmp_path / "bench.html")  # fmt: skip
    assert code == 0, told
    assert "Stages" in Page((tmp_path / "bench.html").read_text()).headings
    (root / "labels.yaml").write_text("names: [dark, dim, light, bright]\n")
    table = (
        "table", "budgets", "-d", "folders", "--root", root, "--dataset-labels", root / "labels.yaml",
        "--model", MODEL, "--presets", "blend", "--intervals", "1", "--max-frames", "12",
        "--report", tmp_path / "t.html",
    )  # fmt: skip
    code, told = call(*table)
    assert code == 0, told
    assert Page((tmp_path / "t.html").read_text()).headings[1:3] == ["Accuracy", "Table"]
    code, told = call(*table)
    assert code == 2
    assert "t.html exists" in told
