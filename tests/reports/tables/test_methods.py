"""Methods beside each other, their parts one at a time, and true labels for scores."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import segtween.reports.tables.ablation as ablation
from fakes import BrightnessSegmenter, panning
from segtween.bench import Plan, bench_presets
from segtween.build import build_every_frame
from segtween.cli import app
from segtween.datasets import Dataset, open_dataset
from segtween.errors import DatasetError, ScoresError, SettingError
from segtween.evaluation import EvaluationOptions, evaluate_method, evaluate_methods
from segtween.evaluation.truth import true_labels
from segtween.labels import numbered
from segtween.metrics.segmentation import confusion, miou, overlap
from segtween.reports.tables.ablation import PARTS, Without, ablation_table, variants
from segtween.reports.tables.compare import signed
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.methods import methods_table, plot_methods
from segtween.reports.tables.study import Column, Study
from segtween.settings import PRESETS as ALL_PRESETS
from segtween.settings import change, find_preset, single_values
from small_sets import cityscapes, picture

MODEL = f"{Path(__file__).parents[2] / 'fakes.py'}:by_brightness"
NAMES = ("blend", "warp", "composed", "swnet-seq")
PRESETS = {name: ALL_PRESETS[name] for name in NAMES}
PATH = PRESETS["composed"]


def fast(data: Dataset) -> Conditions:
    return Conditions(data, repeats=1, clip="textured", threads=1)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = tmp_path_factory.mktemp("drive")
    for i, rgb in enumerate(panning(8, (64, 80), cell=16)):
        picture(root / "val/frames/a" / f"{i}.png", np.ascontiguousarray(rgb[..., ::-1]))
        picture(root / "val/labels/a" / f"{i}.png", rgb[..., 0] // 64)
    (root / "labels.yaml").write_text("names: [dark, dim, light, bright]\n")
    return open_dataset("folders", root, split="val", labels=numbered(4))


@pytest.fixture(scope="module")
def study(data: Dataset) -> Study:
    return methods_table(fast(data), BrightnessSegmenter(), presets=PRESETS, default="composed", intervals=[1, 2])


def test_one_pass_gives_what_separate_evaluations_give(data: Dataset) -> None:
    methods = {
        "blend": find_preset("blend"),
        "composed": PATH,
        "still": change(find_preset("blend"), flow="zero"),
        "late": change(PATH, mode="bidirectional"),
    }
    together = evaluate_methods(
        data,
        segmenter=BrightnessSegmenter(),
        methods=methods,
        intervals=[0, 2],
        options=EvaluationOptions(threads=1),
        against="blend",
    )
    for name, settings in methods.items():
        alone = evaluate_method(
            data,
            segmenter=BrightnessSegmenter(),
            settings=settings,
            name=name,
            intervals=[0, 2],
            options=EvaluationOptions(threads=1),
        ).to_json()
        found = together[name].to_json()
        differences = [result.pop("gain_over_method") for result in found["results"]]
        assert found == alone
        assert differences[1]["value"] == pytest.approx(
            alone["results"][1]["avg_miou"] - together["blend"].results[1]["avg_miou"]
        )


def test_the_network_runs_once_for_all_methods(data: Dataset) -> None:
    network = BrightnessSegmenter()
    evaluate_methods(
        data,
        segmenter=network,
        methods={"a": find_preset("blend"), "b": PATH},
        intervals=[3],
        options=EvaluationOptions(threads=1),
    )
    assert network.calls == data.n_frames


def plain_miou(data: Dataset, weights: list[int]) -> float:
    """mIoU of the network on every frame, each frame counted so many times."""
    engine, counts = build_every_frame(BrightnessSegmenter()), np.zeros((4, 5), np.int64)
    for weight, frame in zip(weights, data.clips[0].frames, strict=True):
        labels = engine.step(data.read_rgb(frame)).labels
        truth = data.read_labels(frame, size_hw=(labels.shape[0], labels.shape[1]))
        assert truth is not None
        counts += confusion(labels, truth, classes=4) * weight
    return float(miou(overlap(counts)))


def test_every_method_has_accuracy_and_speed_under_its_hash(data: Dataset, study: Study) -> None:
    rows = {(row["row"], row["interval"]): row for row in study.rows}
    above = [(name, i) for i in (1, 2) for name in ("composed, bidirectional", "blend", "warp", "composed")]
    assert list(rows) == [("every frame", 0), ("every frame, fused", 0), *above, ("true labels", None)]
    modes = {name: rows[name, 1]["mode"] for name, i in above if i == 1}
    assert modes == {"composed, bidirectional": "offline", "blend": "online", "warp": "online", "composed": "online"}
    assert rows["every frame", 0]["mode"] is None
    assert all(row["ms_per_frame"] > 0 and row["times_faster"] > 0 for row in study.rows[:-1])
    assert rows["every frame, fused", 0]["hash"] == rows["composed", 1]["hash"] == rows["composed", 2]["hash"]
    assert len({rows[name, 1]["hash"] for name in ("blend", "warp", "composed", "composed, bidirectional")}) == 4
    assert rows["every frame", 0]["gain"] is None
    # Frames of 8 as often as three phases score them, and each once at the last distance.
    plain, last = plain_miou(data, [1, 2, *[3] * 6]), plain_miou(data, [0, 0, *[1] * 6])
    assert rows["composed", 2]["gain"] == pytest.approx(rows["composed", 2]["avg_miou"] - plain)
    assert rows["composed", 2]["min_gain"] == pytest.approx(rows["composed", 2]["min_miou"] - last)
    assert [row["runs_per_100"] for row in study.rows[:2]] == [100, 100]
    assert 50 < study.rows[2]["runs_per_100"] < 55, "counted: every run begins with a key frame"
    truth = study.rows[-1]
    assert (truth["row"], truth["avg_miou"], truth["vc8"]) == ("true labels", None, 1.0)
    assert 0 < truth["tc"] <= 1
    alone = evaluate_method(
        data,
        segmenter=BrightnessSegmenter(),
        settings=PATH,
        name="composed",
        intervals=[2],
        options=EvaluationOptions(threads=1),
    )
    assert (rows["composed", 2]["hash"], rows["composed", 2]["tc"]) == (alone.method.hash, alone.results[0]["tc"])


def test_what_cannot_run_is_left_out_and_says_why(study: Study) -> None:
    assert "left out: swnet-seq: no refinement is shipped for 4 classes" in study.to_markdown()
    assert "error_removed" not in [column.key for column in study.columns]


def test_differences_stand_with_their_interval() -> None:
    gain = Column("gain", "gain", signed, along=("gain_low", "gain_high"))
    assert gain.cell({"gain": 0.012, "gain_low": -0.004, "gain_high": 0.0191}) == "+1.2 (-0.4 to +1.9)"
    assert gain.cell({"gain": 0.012, "gain_low": None, "gain_high": None}) == "+1.2", "one block has no interval"
    assert gain.cell({"gain": None, "gain_low": None, "gain_high": None}) == "-"


def test_the_plot_is_drawn(study: Study, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    study.save(tmp_path)
    drawn = plot_methods(study, tmp_path)
    assert [path.name for path in drawn] == ["methods.png", "methods.svg"]
    text = drawn[1].read_text()
    assert all(
        told in text for told in ("milliseconds per frame", "network runs per 100 frames", "composed, bidirectional")
    )


def test_an_offline_period_is_timed_as_a_whole() -> None:
    times = bench_presets(
        BrightnessSegmenter(), presets={"late": change(PATH, mode="bidirectional")}, fused=["late"],
        plan=Plan((64, 80), intervals=[2], repeats=1, threads=1, clip="textured"),
    )["late"]  # fmt: skip
    late = times.results[1]
    assert late["ms_per_frame"] == pytest.approx(late["period_ms"]["median"] / 3)
    assert set(late["other_frame"]["stages_ms"]) == {"prepare", "flow", "propagate", "label"}
    assert times.fused is not None
    assert times.fused["interval"] == 0


# ── True labels ───────────────────────────────────────────────────────────────────────────────


def test_true_labels_at_key_frames_leave_the_error_of_the_way(data: Dataset) -> None:
    study = methods_table(
        fast(data),
        true_labels(data),
        presets={"warp": PRESETS["warp"], "composed": PATH},
        default="composed",
        intervals=[2],
    )
    plain, _, late, warp, path, _ = study.rows
    assert plain["avg_miou"] == 1
    assert warp["error_removed"] == 0
    assert path["error_removed"] == pytest.approx(1 - (1 - path["min_miou"]) / (1 - warp["min_miou"]))
    assert late["row"] == "composed, bidirectional"
    assert plain["ms_per_frame"] is None
    assert "of warp's error removed" in study.headings()
    assert "speed: not measured, labels are stored" in study.to_markdown()


def test_true_labels_come_frame_by_frame(data: Dataset) -> None:
    truth, frame = true_labels(data), data.clips[0].frames[3]
    rgb = data.read_rgb(frame)
    with pytest.raises(ScoresError, match="before a frame was chosen; expected select"):
        truth(rgb)
    truth.select(frame.name)
    assert np.array_equal(truth(rgb).argmax(axis=0), data.read_labels(frame, size_hw=(64, 80)))
    with pytest.raises(ScoresError, match="frame 'a/99' has no true labels; expected one of the data set's"):
        truth.select("a/99")


def test_a_frame_without_label_is_no_key_frame(tmp_path: Path) -> None:
    cityscapes(tmp_path, {"ulm_000000": range(30)}, {"ulm_000000": [19]})
    sparse = open_dataset("cityscapes", tmp_path, split="val")
    with pytest.raises(DatasetError, match="ulm_000000_000000 of .* has no label to stand in for the network; exp"):
        true_labels(sparse)


def test_frames_of_one_name_are_refused(data: Dataset) -> None:
    doubled = replace(data, clips=[data.clips[0], data.clips[0]])
    with pytest.raises(DatasetError, match="2 frames of .* are called a/0; expected a name of its own"):
        true_labels(doubled)


# ── Parts of a method ─────────────────────────────────────────────────────────────────────────


def test_each_part_is_taken_away_alone(data: Dataset) -> None:
    study = ablation_table(fast(data), BrightnessSegmenter(), settings=PATH, name="composed", interval=2)
    full, *others = study.rows
    assert (full["part"], full["gain"]) == ("all of it", None)
    assert full["hash"] == evaluate_method(
        data, segmenter=BrightnessSegmenter(), settings=PATH, name="composed", intervals=[2],
        options=EvaluationOptions(threads=1)
    ).method.hash  # fmt: skip
    assert [row["part"] for row in others] == [part.part for part, _ in variants(PATH)]
    assert "repair" not in [row["part"] for row in others], "there is none in this preset"
    assert len({row["hash"] for row in study.rows}) == len(study.rows)
    for row in others:
        assert row["gain"] == pytest.approx(row["avg_miou"] - full["avg_miou"])
        assert row["min_gain"] == pytest.approx(row["min_miou"] - full["min_miou"])
    assert all(row["other_ms"] > 0 for row in study.rows)
    zero = next(row for row in others if row["part"] == "flow")
    assert zero["min_gain"] < 0


@pytest.mark.parametrize("name", list(ALL_PRESETS))
def test_every_part_differs_from_its_preset_in_what_it_says(name: str) -> None:
    preset = ALL_PRESETS[name]
    for part, changed in variants(preset):
        assert set(part.changes) <= set(single_values(changed))
        assert changed != preset
        assert changed.interval == preset.interval
    assert len({repr(changed) for _, changed in variants(preset)}) == len(list(variants(preset)))


def test_a_preset_that_refuses_a_change_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "PARTS", (Without("edge", "none", {"edge": False}),))
    notes: list[str] = []
    assert not list(variants(PATH, notes))
    assert notes == ["left out: edge, none: edge=False without refinement"]


def test_the_parts_that_are_taken_away() -> None:
    assert {part.part for part in PARTS} >= {"refinement", "composed flow", "flow"}


def test_interval_0_has_no_parts_between(data: Dataset) -> None:
    with pytest.raises(SettingError, match="interval 0; expected 1 or more"):
        ablation_table(fast(data), BrightnessSegmenter(), settings=PATH, name="composed", interval=0)


# ── Commands ──────────────────────────────────────────────────────────────────────────────────


def call(*args: str | Path) -> str:
    done = CliRunner().invoke(app, [str(arg) for arg in args])
    assert done.exit_code in (0, 2), done.output
    return " ".join(done.output.split())


@pytest.fixture
def drive(data: Dataset) -> list[str | Path]:
    root = data.clips[0].frames[0].image_path.parents[3]
    return ["--dataset", "folders", "--root", root, "--dataset-labels", root / "labels.yaml", "--threads", "1"]


def test_the_commands(drive: list[str | Path], tmp_path: Path) -> None:
    told = call("table", "methods", *drive, "--scores", "labels", "--presets", "warp,composed", "-o", tmp_path)
    record = json.loads((tmp_path / "methods.json").read_text())
    assert [row["row"] for row in record["rows"]][2:] == ["composed, bidirectional", "warp", "composed", "true labels"]
    assert "written:" in told
    labels = ["--model", MODEL, "--label-set", drive[5]]
    call(
        "table",
        "ablation",
        *drive,
        *labels,
        "--preset",
        "composed",
        "-i",
        "2",
        "--repeats",
        "1",
        "--clip",
        "textured",
        "-o",
        tmp_path,
    )
    record = json.loads((tmp_path / "ablation.json").read_text())
    assert record["preset"] == "composed"
    assert record["rows"][0]["part"] == "all of it"
    assert "exists; expected no such file yet" in call("table", "methods", *drive, "-o", tmp_path)
    assert "mIoU" in call("evaluate", *drive, "--scores", "labels", "--intervals", "2")


def test_true_labels_belong_to_a_data_set(tmp_path: Path) -> None:
    told = call("run", tmp_path, "-o", tmp_path / "out", "--scores", "labels")
    assert "--scores labels; expected a command that measures on a data set with labels" in told


def test_weights_go_to_the_preset_that_they_fit(data: Dataset, tmp_path: Path) -> None:
    given = change(ALL_PRESETS["swnet-seq"], weights=str(tmp_path))
    presets = {"warp": ALL_PRESETS["warp"], "odd*": change(PATH, flow="light", weights=str(tmp_path)), "swnet*": given}
    unchanged = {"odd*": ("composed", PATH), "swnet*": ("swnet-seq", ALL_PRESETS["swnet-seq"])}
    study = methods_table(
        fast(data), true_labels(data), presets=presets, default="odd*", intervals=[2], unchanged=unchanged
    )
    assert [row["row"] for row in study.rows[2:]] == ["composed, bidirectional", "warp", "composed", "true labels"]
    told = study.to_markdown()
    assert "composed: unchanged, since" in told
    assert "left out: swnet-seq: no refinement is shipped for 4 classes" in told
