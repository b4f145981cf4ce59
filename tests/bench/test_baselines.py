from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import BrightnessSegmenter
from segtween.bench import BenchReport, Plan, bench, moving_clip
from segtween.bench.accuracy import read_accuracy, with_accuracy
from segtween.bench.baselines import BASELINES
from segtween.build import Processor
from segtween.errors import MissingExtraError, ModelError, SettingError
from segtween.interfaces import Segmenter
from segtween.segmenters import open_segmenter
from segtween.settings import find_preset
from segtween.types import Method

SIZE = (64, 128)
LIGHT = "swiftnet-lite0.camvid"


def timed(segmenter: Segmenter, *against: str, **options: Any) -> BenchReport:
    plan = Plan(
        SIZE, **{"intervals": [2], "repeats": 2, "threads": 1, "against": against, "clip": "textured", **options}
    )
    return bench(segmenter, settings=find_preset("blend"), name="blend", plan=plan)


@pytest.fixture(scope="module")
def light() -> Segmenter:
    return open_segmenter(LIGHT, threads=1)


@pytest.fixture(scope="module")
def repeated() -> BenchReport:
    return timed(BrightnessSegmenter(), "repeat")


def test_the_last_labels_again_cost_nothing_between_key_frames(repeated: BenchReport) -> None:
    (row,) = json.loads(json.dumps(repeated.to_json(), allow_nan=False))["against"]
    assert (row["name"], row["interval"]) == ("repeat", 2)
    assert (row["key_frame"]["frames"], row["other_frame"]["frames"]) == (2, 4)
    assert row["other_frame"]["median"] < row["key_frame"]["median"]
    own = {f"{result['interval']}": result["ms_per_frame"] for result in repeated.results}
    assert row["method_times_faster"] == {i: pytest.approx(row["ms_per_frame"] / ms) for i, ms in own.items()}


def test_the_table_puts_the_slowest_first(repeated: BenchReport) -> None:
    table = repeated.tables()[1]
    assert not isinstance(table, str)
    assert {"the last labels again", "segtween, blend"} < set(table.column(0))
    speeds = [float(ms) for ms in table.column(list(table.columns).index("ms per frame"))]
    assert speeds == sorted(speeds, reverse=True)
    assert table.columns[-1] == "segtween at 2, online, is faster"
    own = list(table.column(0)).index("segtween, blend")
    assert table.rows[own][-1] == "1.0x"


def test_without_baselines_nothing_is_said_of_them() -> None:
    report = timed(BrightnessSegmenter())
    assert "against" not in report.to_json()
    assert len(report.tables()) == 3


def test_unknown_rivals_and_what_has_no_graph() -> None:
    with pytest.raises(SettingError, match=r"against 'torhc'; expected .*torch-compile.*; did you mean torch"):
        timed(BrightnessSegmenter(), "torhc")
    with pytest.raises(SettingError, match=r"other ways to run .*; expected a network.*; give a model NAME or FILE"):
        timed(BrightnessSegmenter(), "onnxruntime")


def test_runtimes_give_the_networks_labels(light: Segmenter) -> None:
    frame, ops = moving_clip(SIZE)[0], Processor(1)
    expected = BASELINES["openvino"].open(light, SIZE, ops)(frame, is_key=True)
    assert np.array_equal(BASELINES["repeat"].open(light, SIZE, ops)(frame, is_key=True), expected)
    assert np.mean(BASELINES["onnxruntime"].open(light, SIZE, ops)(frame, is_key=True) == expected) > 0.99


@pytest.mark.train
def test_plain_torch_gives_the_networks_labels(light: Segmenter) -> None:
    frame, ops = moving_clip(SIZE)[0], Processor(1)
    expected = BASELINES["openvino"].open(light, SIZE, ops)(frame, is_key=True)
    assert np.mean(BASELINES["torch"].open(light, SIZE, ops)(frame, is_key=True) == expected) > 0.99
    reference = BASELINES["reference"].open(light, SIZE, ops)
    assert np.mean(reference(frame, is_key=True) == expected) > 0.9, "its enlargement keeps corners"


@pytest.mark.train
@pytest.mark.parametrize("name", ["reference", "reference-flownets"])
def test_the_reference_carries_on_frames_of_any_size(light: Segmenter, name: str) -> None:
    size = (90, 150)
    baseline = BASELINES[name].open(light, size, Processor(1))
    for i, frame in enumerate(moving_clip(size)[:3]):
        labels = baseline(frame, is_key=i == 0)
        assert (labels.shape, labels.dtype) == (size, np.uint8)
        assert labels.max() < len(light.labels)


@pytest.mark.train
def test_a_network_without_a_definition_in_torch() -> None:
    other = open_segmenter(LIGHT, threads=1)
    other.record = replace(other.record, provenance={})  # type: ignore[attr-defined]
    with pytest.raises(ModelError, match=r"swiftnet-lite0.camvid has no definition in torch here; expected a model of"):
        BASELINES["torch"].open(other, SIZE, Processor(1))


def test_torch_that_is_missing_is_said(light: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"a pipeline in plain torch.*train"):
        timed(light, "reference")


def accuracy_file(path: Path, report: BenchReport, **changes: Any) -> Path:
    method = {**report.header.method.to_json(), **changes}
    values = {
        "method": method,
        "every_frame": {"miou": 0.5},
        "results": [{"interval": 2, "avg_miou": 0.625}],
        "dataset": "camvid",
        "split": "val",
    }
    path.write_text(json.dumps(values))
    return path


def test_accuracy_stands_beside_speed_under_one_hash(repeated: BenchReport, tmp_path: Path) -> None:
    report = with_accuracy(repeated, read_accuracy(accuracy_file(tmp_path / "own.json", repeated)))
    assert [row["miou"] for row in report.results] == [0.5, 0.625]
    table = report.tables()[1]
    assert not isinstance(table, str)
    assert sorted(table.column(list(table.columns).index("mIoU"))) == ["-", "50.0", "62.5"]
    assert "miou" not in repeated.results[0], "the first report stays as it was"


def test_accuracy_of_both_modes_stands_beside_their_speed(repeated: BenchReport, tmp_path: Path) -> None:
    method = Method("blend, bidirectional", {"mode": "bidirectional"})
    other = replace(repeated, header=replace(repeated.header, method=method), against=())
    both = replace(repeated, others=[other])
    file = accuracy_file(tmp_path / "both.json", repeated)
    values = json.loads(file.read_text())
    offline = {**values, "method": method.to_json(), "results": [{"interval": 2, "avg_miou": 0.75}]}
    file.write_text(json.dumps({**values, "offline": offline}))
    report = with_accuracy(both, read_accuracy(file))
    assert [row["miou"] for row in report.results] == [0.5, 0.625]
    assert [row["miou"] for row in report.others[0].results] == [0.5, 0.75]
    table = report.tables()[1]
    assert not isinstance(table, str)
    assert sorted(table.column(list(table.columns).index("mIoU"))) == ["-", "50.0", "62.5", "75.0"]
    assert "miou" not in other.results[0]


def test_accuracy_of_another_method_is_refused(repeated: BenchReport, tmp_path: Path) -> None:
    other = accuracy_file(tmp_path / "other.json", repeated, hash="0" * 12)
    with pytest.raises(SettingError, match=rf"accuracy of other methods .*; expected a file of method {'.' * 12}: the"):
        with_accuracy(repeated, read_accuracy(other))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", r"\(Expecting value: line 1 column 1 \(char 0\)\)"),
        ("{}", r"\(no 'method'\)"),
        ("[1]", r"\(list indices must be integers or slices, not str\)"),
        ("[" * 100_000, r"\(.*recursion"),
        ({"every_frame": {"miou": float("nan")}}, r"\(NaN is no figure\)"),
        ({"every_frame": {"miou": 74.3}}, r"\(mIoU 74.3, not a number from 0 to 1\)"),
        ({"every_frame": {"miou": "0.5"}}, r"\(mIoU '0.5', not a number from 0 to 1\)"),
        ({"results": [{"interval": 2}]}, r"\(no 'avg_miou'\)"),
        ({"offline": {}}, r"\(no 'method'\)"),
    ],
)
def test_a_file_without_accuracy_is_refused(repeated: BenchReport, tmp_path: Path, content: Any, told: str) -> None:
    file = accuracy_file(tmp_path / "other.json", repeated)
    file.write_text(content if isinstance(content, str) else json.dumps({**json.loads(file.read_text()), **content}))
    expected = r"; expected a file of segtween evaluate, in JSON; give what that command wrote"
    with pytest.raises(SettingError, match=rf"other.json holds no accuracy {told}.*{expected}"):
        read_accuracy(file)
    with pytest.raises(SettingError, match=r"none.json holds no accuracy \(No such file or directory\)"):
        read_accuracy(tmp_path / "none.json")
