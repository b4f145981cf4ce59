"""From pictures to a model folder that runs in int8, and the file between."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from segtween.cli import app
from segtween.errors import ModelError, SettingError, SourceError
from segtween.labels import numbered
from segtween.models.finding import find_record
from segtween.models.int8 import Int8Record, int8_path, load_int8, save_int8
from segtween.models.records import SHIPPED, InputRecord, ModelRecord, OutputRecord, save_record
from segtween.models.weights import materialise
from segtween.networks import export_network
from segtween.run.calibration import agreement, calibrate, calibrate_folder, pictures
from segtween.runtimes import openvino as openvino_module
from segtween.runtimes.base import INT8_OF_7_BITS
from segtween.runtimes.openvino import int8_is_faster, int8_weight_bits, read_graph
from segtween.runtimes.quantise import convolution_inputs, folded, weights_digest
from segtween.segmenters.network import open_network
from segtween.street.pictures import calibration_pictures
from tiny_onnx import colour_image, write_network


@pytest.fixture
def _on_any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """int8 has the form for dot products everywhere; for tests that look at none of its values."""
    monkeypatch.setattr(openvino_module, "int8_weight_bits", lambda: 8)


ANYWHERE = pytest.mark.usefixtures("_on_any_processor")


def tiny(folder: Path) -> ModelRecord:
    path = write_network(folder / "net.onnx")
    pixels = InputRecord("image", scale=255, multiple_of=4)
    record = ModelRecord(
        "tiny", path.name, pixels, OutputRecord("scores", stride=4), numbered(5), folder / "net.onnx.yaml"
    )
    save_record(record, record.path)
    return record


def write_images(folder: Path, *sizes_hw: tuple[int, int]) -> Path:
    folder.mkdir()
    for i, size in enumerate(sizes_hw):
        cv2.imwrite(str(folder / f"{i:03d}.png"), colour_image(size, seed=i))
    return folder


# ── Ranges ────────────────────────────────────────────────────────────────────────────────────


def test_ranges_span_all_images(tmp_path: Path) -> None:
    dark, light = np.full((8, 8, 3), 51, np.uint8), np.full((16, 8, 3), 204, np.uint8)
    found = calibrate(tiny(tmp_path), [dark, light], measured_on={"sources": ["two"]})
    assert found.ranges["image"] == (51, 204)
    assert found.calibrated == {"images": 2, "sources": ["two"]}
    assert len(found.weights) == 16
    with pytest.raises(SettingError, match="no image to calibrate on; expected at least one; give more with calib"):
        calibrate(tiny(tmp_path), [])


def test_agreement_with_float32_is_that_of_the_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, images = tiny(tmp_path), [colour_image((32, 48), seed=i) for i in range(3)]
    found = calibrate(record, images)
    save_int8(found, int8_path(record))
    if not int8_weight_bits():
        with pytest.raises(SettingError, match="this processor, where sums of bytes overflow"):
            agreement(record, images)
        twice = {name: (0.0, 2 * high) for name, (_, high) in found.ranges.items()}
        save_int8(replace(found, ranges=twice), int8_path(record))  # sums that overflow nowhere
        monkeypatch.setattr(openvino_module, "int8_weight_bits", lambda: 8)
    assert agreement(record, images) > 0.95
    ruined = Int8Record({"image": (0.0, 2.55)})  # all is clipped
    save_int8(ruined, int8_path(record))
    assert agreement(record, images) < 0.95


# ── The file ──────────────────────────────────────────────────────────────────────────────────


def test_the_file_stands_beside_the_record_and_comes_back(tmp_path: Path) -> None:
    record = tiny(tmp_path)
    assert int8_path(record) == tmp_path / "net.onnx.int8.yaml"
    assert int8_path(replace(record, path=tmp_path / "model.yaml")) == tmp_path / "int8.yaml"
    assert load_int8(record) is None
    kept = Int8Record({"a": (-0.5, 1.25), "b": (0.0, 3.0)}, "0123456789abcdef", {"images": 3, "sources": ["street"]})
    save_int8(kept, int8_path(record))
    found = load_int8(record)
    assert found == kept
    assert found.digest == kept.digest != replace(kept, ranges={"a": (-0.5, 1.5), "b": (0.0, 3.0)}).digest


@ANYWHERE
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", r"the file is \[1, 2\]; expected a mapping with ranges"),
        ("ranges: {}", r"ranges is \{\}; expected a mapping with 1 or more entries"),
        ("ranges: {a: [2, 1]}\nweights: x\ncalibrated: {}", r"ranges.a is \[2, 1\]; expected two numbers, the smaller"),
        ("ranges: {a: [1, .inf]}", r"ranges.a is \[1, inf\]; expected two numbers, the smaller first"),
        ("ranges: {a: 3}\nweights: x", "ranges.a is 3; expected two numbers, the smaller first"),
        ("ranges: {1: [0, 1]}", "ranges has the key 1; expected text"),
        ("ranges: {a: [0, 1]}\nweights: true", "weights is True; expected text"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    record = tiny(tmp_path)
    int8_path(record).write_text(text)
    for precision in ("int8", "auto"):
        with pytest.raises(ModelError, match=rf"net.onnx.int8.yaml: {message}.*; calibrate the network again"):
            open_network(record, precision=precision)
    assert open_network(record).describe()["precision"] == "float32"


@ANYWHERE
def test_a_network_without_the_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="network 'tiny' was never calibrated for int8; expected .*; segtween export"):
        open_network(tiny(tmp_path), precision="int8")


@pytest.mark.parametrize("name", sorted(p.parent.name for p in SHIPPED.glob("*/int8.yaml")))
def test_shipped_ranges_belong_to_the_shipped_weights(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path))
    record = find_record(name)
    ranges = load_int8(record)
    graph = folded(read_graph(materialise(record)))
    assert ranges is not None
    assert ranges.weights == weights_digest(graph)
    assert set(ranges.ranges) == {tensor.name for tensor in convolution_inputs(graph)}


def test_the_default_network_and_that_of_the_benchmark_have_ranges() -> None:
    assert {"swiftnet-lite0.camvid", "swiftnet-r18"} <= {p.parent.name for p in SHIPPED.glob("*/int8.yaml")}


# ── Pictures ──────────────────────────────────────────────────────────────────────────────────


def test_images_may_differ_in_size_and_are_spread_evenly(tmp_path: Path) -> None:
    folder = write_images(tmp_path / "images", (8, 8), (8, 12), (12, 8), (8, 16), (16, 16))
    assert [p.shape[:2] for p in pictures(str(folder), 2, {})] == [(8, 8), (12, 8)]
    assert [p.shape[:2] for p in pictures(str(folder / "00[13].png"), 9, {})] == [(8, 12), (8, 16)]
    with pytest.raises(SourceError, match="does not exist"):
        list(pictures(str(tmp_path / "none"), 2, {}))


def test_the_street_gives_as_many_as_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    driven: list[tuple[int, int]] = []

    def drive(seed: int, *, frame_rate: Any, frames: int) -> Any:
        assert frame_rate == 1
        driven.append((seed, frames))
        return (type("Frame", (), {"rgb": seed})() for _ in range(frames))

    monkeypatch.setattr("segtween.street.pictures.StreetClip", drive)
    made = {"street": calibration_pictures}
    assert list(pictures("street", 3, made)) == [1000, 1001, 1002]
    driven.clear()
    assert len(list(pictures("street", 18, made))) == 18
    assert driven == [(1000 + i, 3 if i < 2 else 2) for i in range(8)]


def test_a_video_is_read_to_its_end_or_every_15th_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    class Numbered:
        def __init__(self, known: bool) -> None:
            self.info = type("Info", (), {"n_frames": 100 if known else None})()
            self.closed = False

        def __iter__(self) -> Any:
            return (type("Frame", (), {"rgb": i})() for i in range(100))

        def close(self) -> None:
            self.closed = True

    for known, expected in ((True, [0, 25, 50, 75]), (False, [0, 15, 30, 45])):
        source = Numbered(known)
        monkeypatch.setattr("segtween.video.open_source", lambda _, source=source: source)
        assert list(pictures("drive.mp4", 4, {})) == expected
        assert source.closed


# ── The folder ────────────────────────────────────────────────────────────────────────────────


def test_a_calibrated_folder_runs_in_int8_where_the_processor_can(tmp_path: Path) -> None:
    tiny(tmp_path)
    images = write_images(tmp_path / "images", *[(32, 48)] * 3)
    steps: list[tuple[int, int]] = []
    export_network(tmp_path / "net.onnx", tmp_path / "mine")
    done = calibrate_folder(
        tmp_path / "mine", [str(images)], frames=3, progress=lambda *step: steps.append(step), threads=1
    )
    assert done.path == tmp_path / "mine" / "int8.yaml"
    assert steps == [(1, 3), (2, 3), (3, 3)]
    bits = int8_weight_bits()
    assert (done.agreement is not None) == (bits > 0)
    assert done.agreement is None or done.agreement > 0.95
    used = {8: {"int8"}, 7: {INT8_OF_7_BITS}}[bits] if bits and int8_is_faster(bits) else {"bfloat16", "float32"}
    assert load_int8(find_record(tmp_path / "mine")) == done.record
    assert done.record.calibrated["sources"] == [f"{tmp_path.name}/images"]
    assert open_network(find_record(tmp_path / "mine"), precision="auto").describe()["precision"] in used
    with pytest.raises(SettingError, match="0 frames to calibrate on; expected 1 or more; give calibrate_frames=64"):
        calibrate_folder(tmp_path / "mine", ["street"], frames=0)


def test_where_int8_cannot_run_the_ranges_are_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(openvino_module, "int8_weight_bits", lambda: 0)
    record = tiny(tmp_path)
    done = calibrate_folder(record.path, [str(write_images(tmp_path / "images", (32, 48)))], threads=1)
    assert done.agreement is None
    assert load_int8(record) is not None


@ANYWHERE
def test_export_takes_the_ranges_along_and_leaves_none_behind(tmp_path: Path) -> None:
    record = tiny(tmp_path)
    save_int8(calibrate(record, [colour_image((8, 8))]), int8_path(record))
    written = export_network(tmp_path / "net.onnx", tmp_path / "out")
    assert written[-1] == tmp_path / "out" / "int8.yaml"
    assert open_network(find_record(tmp_path / "out"), precision="int8").describe()["precision"] == "int8"
    int8_path(record).unlink()
    again = export_network(tmp_path / "net.onnx", tmp_path / "out", overwrite=True)
    assert not (tmp_path / "out" / "int8.yaml").exists()
    assert [path.name for path in again] == ["net.onnx", "model.yaml"]


@pytest.mark.parametrize("bits", [8, 7, 0])
def test_the_command_says_what_it_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bits: int) -> None:
    monkeypatch.setattr(openvino_module, "int8_weight_bits", lambda: bits)
    tiny(tmp_path)
    images = write_images(tmp_path / "images", (32, 48), (48, 32))
    out = tmp_path / "mine"
    command = ["export", str(tmp_path / "net.onnx"), "-o", str(out), "--calibrate", str(images), "--threads", "1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    told = r"int8 has float32's class at \d+\.\d\d% of their cells" if bits else "int8 cannot run here"
    assert re.search(rf"int8\.yaml; ranges of 2 images; {told}\n", done.output)


def test_sources_are_looked_at_before_anything_is_written(tmp_path: Path) -> None:
    tiny(tmp_path)
    begin = ["export", str(tmp_path / "net.onnx"), "-o", str(tmp_path / "mine")]
    (tmp_path / "empty").mkdir()
    for end, told in (
        (["--calibrate", str(tmp_path / "none.mp4")], "none.mp4' does not exist; expected a video file"),
        (["--calibrate", str(tmp_path / "empty")], "empty holds no images or videos"),
        (["--calibrate", "street", "--calibrate-frames", "0"], "0 frames to calibrate on; expected 1 or more"),
    ):
        failed = CliRunner().invoke(app, begin + end)
        assert failed.exit_code == 2
        assert told in failed.stderr
    assert not (tmp_path / "mine").exists()
