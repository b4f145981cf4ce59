"""Tables of accuracy and speed, and of occlusion."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from fakes import BrightnessSegmenter, FakeSegmenter, panning
from segtween.cli import app
from segtween.datasets import Dataset, open_dataset
from segtween.errors import MissingExtraError, SettingError, SinkError
from segtween.labels import numbered
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.occlusion import SWEEP, occlusion_table, reduce_mask
from segtween.reports.tables.plot import plot
from segtween.reports.tables.speed import intervals_table, scales_table
from segtween.reports.tables.study import Column, Study, check_targets
from segtween.settings import PRESETS as ALL_PRESETS
from segtween.settings import change, find_preset
from small_sets import picture
from tiny_propagation import write_model

PRESETS = {name: ALL_PRESETS[name] for name in ("blend", "warp")}
MODEL = f"{Path(__file__).parents[2] / 'fakes.py'}:by_brightness"


def fast(data: Dataset, **others: Any) -> Conditions:
    return Conditions(data, repeats=1, clip="textured", threads=1, **others)


class Scaled(BrightnessSegmenter):
    """Sees frames at a scale: its grid is that much finer."""

    def __init__(self, scale: float) -> None:
        super().__init__(stride=round(4 / scale))
        self.scale = scale


class Forgetful(BrightnessSegmenter):
    def describe(self) -> dict[str, Any]:
        self.calls += 1
        return {"name": f"another each time: {self.calls}"}


def clip(root: Path, frames: int = 6) -> Dataset:
    for i, rgb in enumerate(panning(frames, (64, 80), cell=16)):
        picture(root / "val/frames/a" / f"{i}.png", np.ascontiguousarray(rgb[..., ::-1]))
        picture(root / "val/labels/a" / f"{i}.png", rgb[..., 0] // 64)
    (root / "labels.yaml").write_text("names: [dark, dim, light, bright]\n")
    return open_dataset("folders", root, split="val", labels=numbered(4))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return clip(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def two_presets(data: Dataset) -> Study:
    return intervals_table(
        fast(data, command="segtween table"), lambda _: BrightnessSegmenter(), presets=PRESETS, intervals=[0, 1, 2]
    )


def test_every_preset_has_every_row_under_one_hash(two_presets: Study) -> None:
    rows = two_presets.rows
    assert [(r["preset"], r["row"]) for r in rows if r["preset"] == "blend"] == [
        ("blend", row) for row in ("every frame", "every frame, fused", "1 frame in 2", "1 frame in 3")
    ]
    assert [r["interval"] for r in rows] == [0, 0, 1, 2] * 2
    hashes = {preset: {r["hash"] for r in rows if r["preset"] == preset} for preset in PRESETS}
    assert all(len(of) == 1 for of in hashes.values())
    assert hashes["blend"] != hashes["warp"]
    assert [s["method"]["hash"] for s in two_presets.record["sets"]] == [*hashes["blend"], *hashes["warp"]]


def test_figures_are_those_of_evaluation_and_bench(two_presets: Study) -> None:
    first, *_ = two_presets.record["sets"]
    by_interval = {r["interval"]: r for r in two_presets.rows if r["preset"] == "blend" and "fused" not in r["row"]}
    for result in first["accuracy"]["results"]:
        if result["interval"]:
            row = by_interval[result["interval"]]
            assert (row["avg_miou"], row["min_miou"], row["tc"]) == tuple(
                result[k] for k in ("avg_miou", "min_miou", "tc")
            )
    for result in first["speed"]["results"]:
        assert by_interval[result["interval"]]["fps"] == result["fps"]
    plain = by_interval[0]
    assert plain["min_miou"] == plain["avg_miou"] == first["accuracy"]["every_frame"]["miou"]
    assert plain["share_of_limit"] is None
    row = by_interval[2]
    assert row["share_of_limit"] == pytest.approx(plain["ms_per_frame"] / row["ms_per_frame"] / 3)
    assert row["times_faster"] == pytest.approx(row["share_of_limit"] * row["times_possible"])
    assert first["speed"]["size_hw"] == [64, 80], "timed on frames of the data's size"
    every = [r["fps"] for r in two_presets.rows if r["row"] == "every frame"]
    assert len(every) == 2
    assert every[0] == every[1], "presets are compared with the same run"


def test_all_forms_hold_the_same(two_presets: Study, tmp_path: Path) -> None:
    paths = two_presets.save(tmp_path / "new")
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == sorted(p.name for p in paths)
    record = json.loads((tmp_path / "new/intervals.json").read_text())
    assert record["rows"] == two_presets.rows
    assert record["command"] == "segtween table"
    with (tmp_path / "new/intervals.csv").open(newline="") as file:
        stored = list(csv.DictReader(file))
    assert [float(r["avg_miou"]) for r in stored] == [r["avg_miou"] for r in two_presets.rows]
    assert stored[1]["fps"] == ""
    text = (tmp_path / "new/intervals.md").read_text()
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + len(two_presets.rows)
    assert len({line.count("|") for line in lines}) == 1
    assert f" {100 * two_presets.rows[2]['avg_miou']:.1f} " in lines[4]
    for told in (
        " val (folders layout), 6 frames in 1 clip, every frame labelled",
        "80x64 (width x height) of the clip textured in memory",
        "command: `segtween table`",
    ):
        assert told in text
    assert "scale" not in two_presets.headings(), "all rows are at one"
    assert len(two_presets.screen().rows) == len(two_presets.rows)


def test_scales_have_rows_of_their_own(data: Dataset) -> None:
    study = scales_table(fast(data), Scaled, presets={"warp": PRESETS["warp"]}, scales=[0.5, 1.0], interval=1)
    assert [(r["scale"], r["interval"]) for r in study.rows] == [(0.5, 0), (0.5, 0), (0.5, 1), (1, 0), (1, 0), (1, 1)]
    assert study.rows[0]["avg_miou"] < study.rows[3]["avg_miou"], "a coarser grid is worse"
    assert "scale" in study.headings()
    with pytest.raises(SettingError, match=r"scale 0\.5 for this model; expected a network, which can be shown"):
        scales_table(fast(data), lambda _: BrightnessSegmenter(), presets=PRESETS)


def test_sparse_labels_have_tables_too(tmp_path: Path) -> None:
    for i, rgb in enumerate(panning(30, (64, 80), cell=16)):
        name = f"bonn_000000_{i:06d}"
        picture(
            tmp_path / f"leftImg8bit_sequence/val/bonn/{name}_leftImg8bit.png", np.ascontiguousarray(rgb[..., ::-1])
        )
        if i == 19:
            picture(tmp_path / f"gtFine/val/bonn/{name}_gtFine_labelIds.png", rgb[..., 0] // 64)
    data = open_dataset("cityscapes", tmp_path, split="val", labels=numbered(4))
    presets = {"blend": PRESETS["blend"]}
    study = intervals_table(fast(data), lambda _: BrightnessSegmenter(), presets=presets, intervals=[0, 2])
    assert [row["interval"] for row in study.rows] == [0, 0, 2]
    assert all(row["avg_miou"] > 0.5 for row in study.rows)
    assert any("cityscapes layout), 1 labelled frame in 1 clip; " in note for note in study.notes)
    basis = [[row[f"avg_miou_{key}"] for key in ("clips", "blocks", "kind")] for row in study.rows]
    assert basis == [[1, 1, None]] * 3
    assert any(note.startswith("left out: vc8") for note in study.notes)


def test_a_refinement_stands_beside_itself_without_edge(data: Dataset, tmp_path: Path) -> None:
    presets = {"swnet-seq": change(ALL_PRESETS["swnet-seq"], weights=str(write_model(tmp_path, classes=4)))}
    made = intervals_table(fast(data), lambda _: BrightnessSegmenter(), presets=presets | PRESETS, intervals=[1])
    assert made.headings()[1] == "mode"
    assert made.headings()[4:7] == ["avg mIoU", "last-distance mIoU", "last-distance mIoU without edge"]
    lowest = {(r["preset"], r["row"]): (r["min_miou"], r["min_miou_without_edge"]) for r in made.rows}
    with_edge, without = lowest["swnet-seq", "1 frame in 2"]
    assert without < with_edge, "a class is lost without the edge"
    assert {second for (name, row), (_, second) in lowest.items() if row != "1 frame in 2" or name != "swnet-seq"} == {
        None
    }
    first = made.record["sets"][0]
    judged = first["accuracy_without_edge"]
    assert judged["results"][0]["min_miou"] == without
    assert judged["method"]["hash"] != first["method"]["hash"]
    assert any(note.startswith("last-distance mIoU without edge: swnet-seq with --no-edge") for note in made.notes)
    assert {r["hash_without_edge"] for r in made.rows} == {judged["method"]["hash"], None}
    assert first["speed"]["results"][1]["mixed_cells"] > 0


def test_a_model_that_knows_no_other_edge_says_so(data: Dataset, tmp_path: Path) -> None:
    model = write_model(tmp_path, classes=4, without_edge=False)
    presets = {"swnet-seq": change(ALL_PRESETS["swnet-seq"], weights=str(model))}
    made = intervals_table(fast(data), lambda _: BrightnessSegmenter(), presets=presets, intervals=[1])
    assert "last-distance mIoU without edge" not in made.headings()
    assert any(
        re.match(r"swnet-seq without edge: not measured, .* holds no refine-no-edge.onnx", note) for note in made.notes
    )


def test_without_edge_there_is_nothing_to_leave_out(data: Dataset, tmp_path: Path) -> None:
    settings = change(ALL_PRESETS["swnet-seq"], weights=str(write_model(tmp_path, classes=4)), edge=False)
    made = intervals_table(fast(data), lambda _: BrightnessSegmenter(), presets={"s*": settings}, intervals=[1])
    assert "last-distance mIoU without edge" not in made.headings()
    assert not [note for note in made.notes if "edge" in note]


def test_stored_flow_has_no_speed(data: Dataset, tmp_path: Path) -> None:
    for frame in data.clips[0].frames:
        target = tmp_path / f"{frame.name}.npz"
        target.parent.mkdir(exist_ok=True)
        np.savez(target, flow=np.zeros((64, 80, 2), np.float32))
    presets = {"warp": change(PRESETS["warp"], flow=str(tmp_path)), "blend": PRESETS["blend"]}
    made = intervals_table(fast(data), lambda _: BrightnessSegmenter(), presets=presets, intervals=[1])
    timed = {(r["preset"], r["fps"] is not None) for r in made.rows if "fused" not in r["row"]}
    assert timed == {("warp", False), ("blend", True)}
    assert "speed of warp: not measured, the flow is stored" in made.notes


def test_stored_scores_have_no_speed(data: Dataset, tmp_path: Path) -> None:
    labels = [np.zeros((64, 80), np.uint8)] * 6
    fake = FakeSegmenter(numbered(4), frames=labels)
    fake.select = lambda key: setattr(fake, "_next", int(str(key).split("/")[1]))  # type: ignore[method-assign]
    study = intervals_table(fast(data), lambda _: fake, presets={"warp": find_preset("blend")}, intervals=[1])
    assert {r["fps"] for r in study.rows} == {None}
    assert "speed: not measured, the scores are stored" in study.notes
    with pytest.raises(SettingError, match="a plot without speeds; expected a network that can be timed"):
        plot(study, tmp_path)


def test_a_method_that_changes_is_refused(data: Dataset) -> None:
    with pytest.raises(SettingError, match=r"speed of method \w+ beside accuracy of \w+; expected one method"):
        intervals_table(fast(data), lambda _: Forgetful(), presets={"warp": find_preset("blend")}, intervals=[1])
    with pytest.raises(SettingError, match="no presets or no scales"):
        intervals_table(fast(data), lambda _: BrightnessSegmenter(), presets={})


def speeds(name: str) -> Study:
    rows = [
        {"preset": "blend", "row": f"1 frame in {i + 1}", "interval": i, "scale": s, "fps": 10.0 * (i + 1) / s,
         "avg_miou": 0.7 - i / 50 + s / 10, "min_miou": 0.7 - i / 30 + s / 10,
         "min_miou_without_edge": 0.6 if i else None}
        for i in (0, 2) for s in (0.5, 1.0)
    ]  # fmt: skip
    return Study(name, "Title & <things>", [Column("row", "row")], rows, [])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["intervals", "scales"])
def test_the_plot_is_drawn_twice_the_same(name: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    first = [path.read_bytes() for path in plot(speeds(name), tmp_path)]
    again = [path.read_bytes() for path in plot(speeds(name), tmp_path)]
    assert first == again
    assert first[0].startswith(b"\x89PNG")
    words = set(re.findall(r">([^<>]+)</text>", first[1].decode()))
    assert {"frames per second", "mIoU (%)", "Title &amp; &lt;things&gt;"} <= words
    assert ("blend, last distance" in words) == (name == "intervals")
    assert ("blend, last distance, without edge" in words) == (name == "intervals")
    assert ("x0.5" in words) == (name == "scales")
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{name}.png", f"{name}.svg"]


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(
        MissingExtraError, match=r"a plot needs a package that is not installed; expected the extra \[f"
    ):
        plot(speeds("intervals"), tmp_path)


def test_files_that_exist_are_kept(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("mine")
    with pytest.raises(SinkError, match=r"a\.md exists; expected no such file yet; give overwrite=True to replace it"):
        check_targets(tmp_path, ["a.csv", "a.md"], overwrite=False)
    check_targets(tmp_path, ["a.csv", "a.md"], overwrite=True)


@pytest.mark.slow
def test_occlusion_is_judged_on_exact_masks() -> None:
    study = occlusion_table(seeds=[1], frames=3, size_hw=(48, 64), command="x")
    assert [r["estimate"] for r in study.rows] == ["forward-backward", "photometric", "outside"]
    for row in study.rows:
        if row["precision"]:
            mean = 2 / (1 / row["precision"] + 1 / row["recall"])
            assert row["f1"] == pytest.approx(mean)
    found, true = study.rows[1]["estimated_share"], study.record["true_share"]
    assert study.rows[1]["recall"] * true == pytest.approx(study.rows[1]["precision"] * found)
    assert 0 < true < 0.2
    with pytest.raises(SettingError, match="1 frame of 1 drive; expected 2 or more of 1 or more"):
        occlusion_table(seeds=[1], frames=1)
    with pytest.raises(SettingError, match=r"stored flow .* for drives that are rendered; expected a flow estimator"):
        occlusion_table(seeds=[1], settings=change(find_preset("blend"), flow=str(Path(__file__).parent)))


def test_the_sweep_tries_all_thresholds() -> None:
    study = occlusion_table(seeds=[1], frames=2, size_hw=(48, 64), sweep=True)
    assert len(study.rows) == 3 + sum(len(options) for options in SWEEP.values())
    assert len({(r["estimate"], r["thresholds"]) for r in study.rows[3:]}) == len(study.rows) - 3


def test_a_cell_is_occluded_where_most_of_it_is() -> None:
    mask = np.zeros((4, 4), bool)
    mask[:2, :2] = True
    mask[0, 2:] = True
    mask[2, 0] = True
    np.testing.assert_array_equal(reduce_mask(mask, (2, 2)), [[True, False], [False, False]])
    assert reduce_mask(mask, (4, 4)) is mask


def test_the_commands(tmp_path: Path) -> None:
    clip(tmp_path)
    base = ["--dataset", "folders", "--root", str(tmp_path), "--model", MODEL, "--repeats", "1", "--threads", "1"]
    base += ["--clip", "textured", "--max-frames", "4", "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["table", "intervals", *base, "--intervals", "0,1", "--presets", "warp"])
    assert done.exit_code == 0, done.output
    assert "1 frame in 2" in done.stdout
    assert "written: " in done.stdout
    again = CliRunner().invoke(app, ["table", "intervals", *base])
    assert again.exit_code == 2
    assert "intervals.md exists" in again.stderr
    scales = CliRunner().invoke(app, ["table", "scales", *base, "--scales", "a"])
    assert "--scales 'a'; expected numbers with commas between" in scales.stderr
    lone = CliRunner().invoke(app, ["table", "scales", *base[:-2], "--plot"])
    assert "--plot without --out; expected a folder for the plot" in lone.stderr
    occlusion = ["table", "occlusion", "--seeds", "1", "--frames", "2", "--size", "64x48", "-o", str(tmp_path / "out")]
    assert CliRunner().invoke(app, occlusion).exit_code == 0
    assert (tmp_path / "out/occlusion.md").is_file()
