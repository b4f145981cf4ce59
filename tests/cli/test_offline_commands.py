"""`--offline` of run and evaluate, and the table that measures labels of some frames."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import segtween
from fakes import BrightnessSegmenter, panning
from segtween.cli import app
from segtween.datasets import Dataset, open_dataset
from segtween.errors import SettingError
from segtween.evaluation.sharing import FrameMotion
from segtween.flow import open_flow
from segtween.labels import numbered
from segtween.ops.cpu import CpuOps
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.propagation import propagation_table
from segtween.settings import find_preset
from small_sets import picture

MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"
FRAMES, SIZE = 12, (64, 80)


def call(*args: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Layout `folders`: a clip of four classes."""
    root = tmp_path_factory.mktemp("set")
    for i, rgb in enumerate(panning(FRAMES, SIZE, cell=16)):
        picture(root / "val/frames/a" / f"{i}.png", np.ascontiguousarray(rgb[..., ::-1]))
        picture(root / "val/labels/a" / f"{i}.png", rgb[..., 0] // 64)
    (root / "labels.yaml").write_text("names: [dark, dim, light, bright]\n")
    return root


@pytest.fixture(scope="module")
def data(root: Path) -> Dataset:
    return open_dataset("folders", root, split="val", labels=numbered(4))


def test_run_offline_gives_every_frame_once_in_order(root: Path, tmp_path: Path) -> None:
    done = call("run", root / "val/frames/a", "-o", tmp_path, "--model", MODEL, "--offline", "--preset", "composed",
                "--save", "labels", "--interval", "3", "--threads", "1")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "network on 3 of 12 frames" in done.stdout
    assert "method: composed, bidirectional" in done.stdout
    rows = list(csv.DictReader((tmp_path / "frames.csv").read_text().splitlines()))
    assert [int(row["frame"]) for row in rows] == list(range(FRAMES))
    assert [int(row["frames_since_key"]) for row in rows] == [i % 4 for i in range(FRAMES)]
    assert len(list((tmp_path / "labels").iterdir())) == FRAMES
    assert json.loads((tmp_path / "run.json").read_text())["method"]["mode"] == "bidirectional"


def test_evaluate_offline_scores_every_frame_and_has_its_own_hash(root: Path, tmp_path: Path) -> None:
    args = ("evaluate", "--dataset", "folders", "--root", root, "--model", MODEL, "--preset", "composed", "--intervals",
            "0,3", "--threads", "1", "--quiet")  # fmt: skip
    reports = {}
    for name, more in (("one", ("--online",)), ("both", ("--offline",))):
        assert call(*args, *more, "--json", tmp_path / f"{name}.json").exit_code == 0
        reports[name] = json.loads((tmp_path / f"{name}.json").read_text())
    one, both = reports["one"], reports["both"]
    assert one["method"]["hash"] != both["method"]["hash"]
    # Without frames in between there is nothing to hear from the other side.
    assert one["every_frame_fused"]["miou"] == pytest.approx(both["every_frame_fused"]["miou"], abs=0.01)
    assert len(both["results"][1]["per_distance"]) == 4
    assert both["results"][1]["key_rate"] == one["results"][1]["key_rate"]
    assert both["results"][1]["avg_miou"] > one["results"][1]["avg_miou"]


def test_evaluate_measures_both_modes_unless_one_is_asked_for(root: Path, tmp_path: Path) -> None:
    args = ("evaluate", "--dataset", "folders", "--root", root, "--model", MODEL, "--intervals", "0,3", "--threads",
            "1", "--flow", "zero")  # fmt: skip
    done = call(*args, "--json", tmp_path / "all.json", "--csv", tmp_path / "all.csv")
    assert done.exit_code == 0, done.output
    alone = {}
    for mode in ("online", "offline"):
        assert call(*args, "--quiet", f"--{mode}", "--json", tmp_path / f"{mode}.json").exit_code == 0
        alone[mode] = json.loads((tmp_path / f"{mode}.json").read_text())
        assert alone[mode]["method"]["mode"] == {"online": "causal", "offline": "bidirectional"}[mode]
        assert not {"online", "offline"} & alone[mode].keys()
    record = json.loads((tmp_path / "all.json").read_text())
    for mode, found in (("online", record), ("offline", record["offline"])):
        assert found["method"] == alone[mode]["method"], "the hash of a run in this mode"
        for ours, theirs in zip(found["results"], alone[mode]["results"], strict=True):
            assert ours["avg_miou"] == theirs["avg_miou"]
            assert ours["gain_over_every_frame"] == theirs["gain_over_every_frame"]
    rows = [line.split("  ")[0] for line in done.stdout.splitlines() if line.startswith("interval 3, ")]
    assert rows[:2] == ["interval 3, offline", "interval 3, online"]
    assert f"{record['offline']['method']['hash']} (offline)" in done.stdout
    lines = {row["row"]: row for row in csv.DictReader((tmp_path / "all.csv").read_text().splitlines())}
    assert lines["interval 3, offline"]["hash"] == alone["offline"]["method"]["hash"]
    assert lines["interval 3, online"]["hash"] == lines["every frame"]["hash"] == alone["online"]["method"]["hash"]


@pytest.mark.parametrize("more", [("--intervals", "0"), ("--preset", "warp"), ("--schedule", "adaptive")])
def test_evaluate_measures_what_has_one_mode_once(more: tuple[str, ...], root: Path, tmp_path: Path) -> None:
    done = call("evaluate", "--dataset", "folders", "--root", root, "--model", MODEL, "--threads", "1", "--flow",
                "zero", "--json", tmp_path / "one.json", *more)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert ", offline" not in done.stdout
    assert "offline" not in json.loads((tmp_path / "one.json").read_text())


@pytest.mark.parametrize(
    ("more", "modes"),
    [((), ["online", "offline"]), (("--online",), ["online"]), (("--offline",), ["offline"])],
)
def test_tables_of_intervals_have_both_modes_unless_one_is_asked_for(
    more: tuple[str, ...], modes: list[str], root: Path, tmp_path: Path
) -> None:
    done = call("table", "intervals", "--dataset", "folders", "--root", root, "--model", MODEL, "--intervals", "0,2",
                "--repeats", "1", "--clip", "textured", "--threads", "1", "--flow", "zero", "-o", tmp_path,
                *more)  # fmt: skip
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "intervals.json").read_text())
    rows = [(row["preset"], row["mode"]) for row in record["rows"] if row["interval"]]
    names = {"online": "composed*", "offline": "composed*, bidirectional"}
    assert rows == [(names[mode], mode) for mode in modes]
    assert all(row["mode"] is None for row in record["rows"] if not row["interval"])


def test_offline_contradictions_are_one_line_each(root: Path, tmp_path: Path) -> None:
    clip = root / "val/frames/a"
    for more, text in (
        (("--schedule", "adaptive"), "--offline with --schedule adaptive; expected a fixed interval"),
        (("--preset", "swnet-seq"), "--offline with propagation='published'; expected propagation='composed'"),
        (("--flow", str(tmp_path)), "bidirectional propagation along stored flow"),
    ):
        done = call("run", clip, "-o", tmp_path / "out", "--model", MODEL, "--offline", *more)
        assert done.exit_code == 2
        assert text in done.stderr


def test_the_front_door_streams_offline_and_refuses_single_steps() -> None:
    frames = panning(6, SIZE)
    seg = segtween.load(
        BrightnessSegmenter(), label_set=numbered(4), interval=2, preset="composed", mode="bidirectional"
    )
    assert [r.distance for r in seg.stream(frames)] == [0, 1, 2, 0, 1, 2]
    with pytest.raises(SettingError, match="one step of bidirectional propagation"):
        seg.step(frames[0])


def test_flow_is_computed_once_in_each_direction() -> None:
    calls = []

    class Counting:
        def __init__(self) -> None:
            self.inner = open_flow("zero")

        def prepare(self, rgb: np.ndarray) -> np.ndarray:
            return self.inner.prepare(rgb)

        def __call__(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
            calls.append((id(current), id(previous)))
            return self.inner(current, previous)

        def describe(self) -> dict[str, str]:
            return {}

    motion = FrameMotion(Counting(), ops=CpuOps(threads=1))
    motion.estimator.bidirectional = True
    a, b = panning(2, SIZE)
    first, second = motion.next(a), motion.next(b)
    assert calls == [(id(second.view), id(first.view)), (id(first.view), id(second.view))]
    assert second.forward is not None
    assert motion.current is second


def test_labels_from_both_sides_beat_those_from_one_and_copies(data: Dataset) -> None:
    done: list[int] = []
    study = propagation_table(Conditions(data, threads=1, progress=lambda n, _: done.append(n)), every=5)
    copied, one, both = (row["miou"] for row in study.rows)
    assert copied < one < both
    assert done == list(range(1, 5 * FRAMES + 1))
    # At a distance of up to 2 frames both sides speak; 3 and 4 occur after the last labelled frame only.
    assert [column.key for column in study.columns][4:] == ["d1_1", "d2_2", "d3_4"]
    assert study.rows[0]["gain"] is None
    assert str(study.rows[2]["gain"]).startswith("+")
    assert study.notes[1].startswith("mIoU in percent; no interval ("), "nothing stands in brackets"
    assert "(" not in str(study.rows[2]["gain"])


@pytest.mark.parametrize("every", [1, FRAMES])
def test_a_table_that_cannot_be_is_refused(every: int, data: Dataset) -> None:
    with pytest.raises(SettingError, match=rf"one labelled frame in {every} of folders val; expected 2 or more"):
        propagation_table(Conditions(data), every=every, settings=find_preset("blend"))


def test_the_table_is_a_command(root: Path, tmp_path: Path) -> None:
    args = ("table", "propagation", "--dataset", "folders", "--root", root, "--every", "6", "--threads", "1")
    done = call(*args, "--flow", "zero", "-o", tmp_path / "t")
    assert done.exit_code == 0, done.output
    assert "One frame in 6 labelled" in done.stdout
    assert json.loads((tmp_path / "t" / "propagation.json").read_text())["every"] == 6
    assert call(*args, "-o", tmp_path / "t").exit_code == 2
