"""Networks as segmenters: every shape that real files come in, and records that do not fit."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeRuntime
from segtween.errors import ModelError, ScoresError, SettingError
from segtween.labels import numbered
from segtween.models.finding import find_record
from segtween.models.records import InputRecord, ModelRecord, OutputRecord, save_record
from segtween.ops import threads as threads_module
from segtween.runtimes import RUNTIMES
from segtween.runtimes import openvino as openvino_module
from segtween.segmenters import open_segmenter
from segtween.segmenters.network import (
    LARGEST_AUTO,
    NEAR,
    SCALE_STEP,
    NetworkSegmenter,
    auto_scale,
    open_network,
    scale_at,
)
from tiny_onnx import cell_scores, colour_image, write_network

RAW = InputRecord("image", scale=255, multiple_of=4)


def make_record(path: Path, *, pixels: InputRecord = RAW, classes: int = 5, **output: Any) -> ModelRecord:
    values: dict[str, Any] = {"name": "scores", "stride": 4} | output
    sidecar = path.with_name(path.name + ".yaml")
    return ModelRecord("tiny", path.name, pixels, OutputRecord(**values), numbered(classes), sidecar)


def fake_network(tmp_path: Path, function: Any, *, scale: float = 1.0, **changes: Any) -> NetworkSegmenter:
    return NetworkSegmenter(make_record(tmp_path / "fake.onnx", **changes), FakeRuntime(function), scale=scale)


def flat_scores(batch: Any) -> Any:
    return np.zeros((1, 5, -(-batch.shape[1] // 4), -(-batch.shape[2] // 4)), np.float32)


def expected_labels(rgb: Any) -> Any:
    return cell_scores(rgb, classes=5).argmax(axis=0)


@pytest.mark.parametrize("name", sorted(RUNTIMES))
@pytest.mark.parametrize(
    ("graph", "pixels", "output"),
    [
        ({}, {}, {}),
        ({"layout": "NHWC"}, {"layout": "NHWC"}, {}),
        ({"dtype": "uint8"}, {}, {}),
        ({"dtype": "uint8", "layout": "NHWC"}, {"layout": "NHWC"}, {}),
        ({"size_hw": (32, 48)}, {"size_hw": (32, 48), "multiple_of": 1}, {}),
        ({"output_layout": "NHWC"}, {}, {"layout": "NHWC"}),
        ({"extra": True}, {}, {}),
    ],
    ids=["plain", "NHWC", "uint8", "uint8-NHWC", "fixed", "NHWC-output", "extra-outputs"],
)
def test_scores_are_those_of_the_image(name: str, tmp_path: Path, graph: Any, pixels: Any, output: Any) -> None:
    path = write_network(tmp_path / "net.onnx", **graph)
    segmenter = open_network(make_record(path, pixels=replace(RAW, **pixels), **output), runtime=name)
    rgb = colour_image((32, 48))
    scores = segmenter(rgb)
    assert scores.dtype == np.float32
    assert scores.flags.c_contiguous
    np.testing.assert_allclose(scores, cell_scores(rgb, classes=5), rtol=1e-4, atol=1e-3)


def test_bgr_networks_see_blue_first(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    segmenter = open_network(make_record(path, pixels=replace(RAW, channels="BGR")))
    rgb = colour_image((16, 16))
    np.testing.assert_allclose(segmenter(rgb), cell_scores(rgb[..., ::-1], classes=5), rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_probabilities_become_their_logarithms(name: str, tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", last="softmax", normalise=True)
    segmenter = open_network(make_record(path, kind="probabilities"), runtime=name)
    rgb = colour_image((16, 24))
    logits = cell_scores((rgb.astype(np.float64) - 100) / 50, classes=5)
    shares = np.exp(logits) / np.exp(logits).sum(axis=0)
    np.testing.assert_allclose(segmenter(rgb), np.log(np.maximum(shares, 1e-6)), atol=1e-3)


@pytest.mark.parametrize("name", sorted(RUNTIMES))
@pytest.mark.parametrize("label_type", ["int64", "int32", "uint8", "float"])
@pytest.mark.parametrize("keepdims", [True, False])
def test_a_baked_in_argmax_becomes_scores_with_the_same_labels(
    name: str, tmp_path: Path, label_type: str, keepdims: bool
) -> None:
    path = write_network(tmp_path / "net.onnx", last="argmax", label_type=label_type, keepdims=keepdims)
    layout = "NCHW" if keepdims else "NHW"
    segmenter = open_network(make_record(path, kind="labels", layout=layout), runtime=name)
    rgb = colour_image((32, 48))
    scores = segmenter(rgb)
    np.testing.assert_array_equal(scores.argmax(axis=0), expected_labels(rgb))
    assert set(np.unique(scores)) == {-4, 4}


@pytest.mark.parametrize("last", ["", "softmax"])
def test_full_size_scores_come_back_as_they_were_before_enlarging(tmp_path: Path, last: Any) -> None:
    path = write_network(tmp_path / "net.onnx", full_size=True, last=last, normalise=True)
    segmenter = open_network(make_record(path, stride=1, kind="probabilities" if last else "logits"))
    rgb = cv2.GaussianBlur(colour_image((40, 64)), (0, 0), 4)
    scores = segmenter(rgb)
    assert scores.shape == (5, 10, 16)
    logits = cell_scores((rgb.astype(np.float64) - 100) / 50, classes=5)
    if last:
        logits -= np.log(np.exp(logits).sum(axis=0))
    np.testing.assert_allclose(scores, logits, atol=0.05 if last else 1e-3)


def test_full_size_labels_are_reduced_to_stride_4(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", full_size=True, last="argmax")
    segmenter = open_network(make_record(path, stride=1, kind="labels", layout="NHW"))
    rgb = np.zeros((32, 48, 3), np.uint8)
    rgb[:, 24:] = (250, 10, 120)
    scores = segmenter(rgb)
    assert scores.shape == (5, 8, 12)
    far_from_the_border = np.r_[0:5, 7:12]
    np.testing.assert_array_equal(
        scores.argmax(axis=0)[:, far_from_the_border], expected_labels(rgb)[:, far_from_the_border]
    )


# ── Sizes ─────────────────────────────────────────────────────────────────────────────────────


@given(st.integers(1, 300), st.integers(1, 300), st.floats(0.05, 4), st.sampled_from([1, 4, 32]))
def test_the_network_sees_the_nearest_multiple_of_its_stride(h: int, w: int, scale: float, multiple: int) -> None:
    pixels = replace(RAW, multiple_of=multiple)
    segmenter = NetworkSegmenter(make_record(Path("x.onnx"), pixels=pixels), FakeRuntime(flat_scores), scale=scale)
    for asked, got in zip((h * scale, w * scale), segmenter.input_size((h, w)), strict=True):
        assert got % multiple == 0
        assert got >= multiple
        assert abs(got - asked) <= max(multiple / 2, multiple - asked) + 1e-6


@pytest.mark.parametrize(
    ("size_hw", "scale"), [((90, 120), 1.0), ((90, 120), 0.75), ((33, 65), 1.0), ((200, 100), 0.3)]
)
def test_a_position_in_the_image_is_found_at_its_share_of_the_grid(
    tmp_path: Path, size_hw: tuple[int, int], scale: float
) -> None:
    path = write_network(tmp_path / "net.onnx")
    segmenter = open_network(make_record(path, pixels=replace(RAW, multiple_of=8)), scale=scale)
    ramp = np.linspace(0, 200, size_hw[1], dtype=np.float32)
    rgb = np.repeat(np.repeat(ramp[None, :, None], size_hw[0], 0), 3, 2).round().astype(np.uint8)
    scores = segmenter(rgb)
    centres = (np.arange(scores.shape[2]) + 0.5) / scores.shape[2] * size_hw[1] - 0.5
    seen = cell_scores(
        np.interp(centres, np.arange(size_hw[1]), ramp)[None].repeat(4, 0).repeat(4, 1)[..., None].repeat(3, 2),
        classes=5,
    )
    np.testing.assert_allclose(scores[:, scores.shape[1] // 2], seen[:, 0], atol=4)


def test_large_reductions_average_all_pixels(tmp_path: Path) -> None:
    seen = []

    def see(batch: Any) -> Any:
        seen.append(batch)
        return flat_scores(batch)

    segmenter = fake_network(tmp_path, see, scale=0.25)
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::4] = 200
    segmenter(stripes)
    np.testing.assert_array_equal(seen[-1], np.full((1, 32, 32, 3), 50))


def test_an_image_of_the_right_size_is_not_resampled(tmp_path: Path) -> None:
    seen = []
    segmenter = fake_network(tmp_path, lambda batch: (seen.append(batch), flat_scores(batch))[1])
    rgb = colour_image((32, 64))
    segmenter(rgb)
    np.testing.assert_array_equal(seen[-1][0], rgb)
    segmenter(cv2.resize(rgb, (65, 33)))
    assert seen[-1].shape == (1, 32, 64, 3)


@pytest.mark.parametrize("scale", [0, -1, 5, float("nan")])
def test_a_scale_that_cannot_be_is_refused(tmp_path: Path, scale: float) -> None:
    with pytest.raises(
        SettingError, match=rf"scale {scale}; expected auto, or a number above 0, at most 4; try scale=0.75"
    ):
        fake_network(tmp_path, flat_scores, scale=scale)


def test_a_scale_for_a_fixed_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SettingError, match="scale 0.5 for network 'tiny'; expected 1, because it takes 48x32 only; lea"
    ):
        fake_network(tmp_path, flat_scores, scale=0.5, pixels=replace(RAW, size_hw=(32, 48)))


# ── What does not fit ─────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("graph", "record", "message"),
    [
        ({}, {"classes": 11}, "has 5 classes .*; expected 11, as label set 'classes11' has; correct"),
        ({}, {"layout": "NHWC"}, r"has 64 classes \(shape \(1, 5, 64, 64\), read as NHWC\)"),
        ({}, {"layout": "CHW"}, r"has shape \(1, 5, 64, 64\); expected layout CHW, as net.onnx.yaml says; c"),
        ({}, {"stride": 8}, "has 64x64 cells for an image of 256x256; expected stride 8, as .*; correct `out"),
        ({}, {"kind": "labels"}, r"has shape \(1, 5, 64, 64\); expected kind labels"),
        ({}, {"kind": "probabilities"}, "has values from .* to .*; expected kind probabilities"),
        ({"last": "argmax", "keepdims": True}, {}, "has 1 classes"),
        ({}, {"name": "logits"}, "net.onnx has no output 'logits'; expected one of scores"),
        ({}, {"pixels": replace(RAW, name="x")}, "net.onnx has the inputs image; expected one image input called 'x'"),
        ({"layout": "NHWC"}, {}, "net.onnx does not take"),
    ],
)
def test_a_record_that_does_not_fit_its_graph_is_found_at_once(
    tmp_path: Path, graph: Any, record: Any, message: str
) -> None:
    path = write_network(tmp_path / "net.onnx", **graph)
    with pytest.raises(ModelError, match=message):
        open_network(make_record(path, **record))


def test_a_fixed_graph_at_another_size_runs_where_the_runtime_can_reshape_it(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", size_hw=(32, 32))
    rgb = colour_image((48, 64))
    scores = open_network(make_record(path))(rgb)
    np.testing.assert_allclose(scores, cell_scores(rgb, classes=5), rtol=1e-4, atol=1e-3)
    with pytest.raises(
        ModelError, match=r"net\.onnx does not take an input of shape \(1, 3, 256, 256\) .*; correct `input`"
    ):
        open_network(make_record(path), runtime="onnxruntime")


def test_scores_that_are_not_finite_name_the_network_and_the_frame(tmp_path: Path) -> None:
    def sometimes(batch: Any) -> Any:
        return flat_scores(batch) + (np.nan if batch.max() == 7 else 0)

    segmenter = fake_network(tmp_path, sometimes)
    segmenter(np.zeros((8, 8, 3), np.uint8))
    with pytest.raises(
        ScoresError,
        match="network 'tiny' in the 2nd frame it was given gave NaN scores, first in class 'class-0'; .*float32",
    ):
        segmenter(np.full((8, 8, 3), 7, np.uint8))


def test_a_network_that_is_never_finite_is_found_in_the_trial(tmp_path: Path) -> None:
    with pytest.raises(ScoresError, match="network 'tiny' in a trial on random pixels gave infinite scores"):
        fake_network(tmp_path, lambda batch: flat_scores(batch) + np.inf)


def test_labels_outside_the_label_set_name_the_network(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", last="argmax")
    rgb = colour_image((32, 48))
    assert expected_labels(rgb).max() > 1
    with pytest.raises(ScoresError, match="network 'tiny' in .* gave class [2-4]; expected 0..1 of label set"):
        open_network(make_record(path, kind="labels", layout="NHW", classes=2))(rgb)


@pytest.mark.parametrize(
    "rgb", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_image_is_refused(tmp_path: Path, rgb: Any) -> None:
    with pytest.raises(SettingError, match="expected an RGB image, uint8"):
        fake_network(tmp_path, flat_scores)(rgb)


# ── The scale that brings frames near the training frames ─────────────────────────────────────


SIDES = st.tuples(st.integers(60, 3000), st.integers(60, 3000))


@given(trained_hw=SIDES, size_hw=SIDES)
def test_auto_is_the_smallest_change_that_brings_a_frame_near(trained_hw: Any, size_hw: Any) -> None:
    scale = auto_scale(trained_hw, size_hw)
    larger = math.sqrt(math.prod(size_hw) / math.prod(trained_hw))
    if 1 / NEAR <= larger <= NEAR:
        assert scale == 1
    elif larger > NEAR:
        assert scale == pytest.approx(max(NEAR / larger, SCALE_STEP), abs=SCALE_STEP / 2 + 1e-9)
    else:
        assert scale == pytest.approx(min(1 / NEAR / larger, LARGEST_AUTO), abs=SCALE_STEP / 2 + 1e-9)


@pytest.mark.parametrize("name", ["swiftnet-lite0.camvid", "swiftnet-r18.camvid"])
def test_shipped_networks_see_frames_of_camvid_as_they_are(name: str) -> None:
    record = find_record(name)
    assert record.trained_size_hw is not None
    assert scale_at(record, (360, 480), scale="auto") == 1
    assert scale_at(record, (1024, 2048), scale="auto") < 0.5
    assert scale_at(record, (1024, 2048), scale=1.0) == 1


def test_each_image_is_seen_at_its_own_scale(tmp_path: Path) -> None:
    seen = []

    def see(batch: Any) -> Any:
        seen.append(batch.shape[1:3])
        return flat_scores(batch)

    record = replace(make_record(write_network(tmp_path / "net.onnx")), trained_size_hw=(96, 128))
    segmenter = NetworkSegmenter(record, FakeRuntime(see), scale="auto")
    for size_hw in ((96, 128), (384, 512), (24, 32)):
        segmenter(colour_image(size_hw))
        assert seen[-1] == segmenter.input_size(size_hw)
    assert seen[-3:] == [(96, 128), (136, 180), (48, 64)]
    assert segmenter.scale_at((384, 512)) == 0.35
    assert segmenter.describe()["scale"] == "auto 128x96"
    assert seen[-1] != NetworkSegmenter(record, FakeRuntime(see)).input_size((24, 32))


@pytest.mark.parametrize("changes", [{}, {"pixels": replace(RAW, size_hw=(32, 48))}], ids=["unknown", "fixed"])
def test_auto_is_1_where_no_size_is_known_or_only_one_is_taken(tmp_path: Path, changes: Any) -> None:
    record = make_record(write_network(tmp_path / "net.onnx"), **changes)
    if changes:
        record = replace(record, trained_size_hw=(8, 8))
    segmenter = NetworkSegmenter(record, FakeRuntime(flat_scores), scale="auto")
    assert segmenter.scale == segmenter.describe()["scale"] == segmenter.scale_at((500, 700)) == 1


# ── What is said of it ────────────────────────────────────────────────────────────────────────


def test_the_description_changes_with_everything_that_changes_the_numbers(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    other = write_network(tmp_path / "other.onnx", normalise=True)
    records = [make_record(path), make_record(path, pixels=replace(RAW, mean=(1, 2, 3))), make_record(other)]
    said = [open_network(record).describe() for record in records]
    said.append(open_network(records[0], scale=0.5).describe())
    said.append(open_network(records[0], runtime="onnxruntime").describe())
    assert len({str(sorted(s.items())) for s in said}) == len(said)
    assert open_network(records[0]).describe() == said[0]
    assert said[0]["precision"] == "float32"


def test_guesses_that_nobody_confirmed_are_noted(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    record = replace(make_record(path), guessed=("input.mean", "labels"))
    assert open_network(record).notes == ["guessed in net.onnx.yaml, not confirmed: input.mean, labels"]


def test_a_network_gets_no_more_threads_than_there_are_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads_module, "available_threads", lambda: 2)
    record = make_record(write_network(tmp_path / "net.onnx"))
    opened = [open_network(record, runtime="onnxruntime", threads=threads) for threads in (0, 1, 16)]
    assert [segmenter.runtime.threads for segmenter in opened] == [0, 1, 2]


@pytest.mark.parametrize(("record_file", "called"), [("net.onnx.yaml", "net.onnx"), ("model.yaml", "tiny")])
def test_messages_of_a_runtime_call_a_network_as_its_user_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record_file: str, called: str
) -> None:
    """The graph of a folder may be a copy in the cache, of any name."""
    monkeypatch.setattr(openvino_module, "bfloat16_is_right", lambda: False)
    record = replace(make_record(write_network(tmp_path / "net.onnx")), path=tmp_path / record_file)
    runtime = open_network(record, precision="bfloat16").runtime
    assert [note.partition(" does not compile as bfloat16")[0] for note in runtime.notes] == [called]
    with pytest.raises(ModelError, match=f"^{called} does not take an input of shape"):
        runtime.run(np.zeros((1, 8, 8, 2), np.uint8))
    with pytest.raises(ModelError, match=f"^output 'scores' of {called} has 5 classes"):
        open_network(replace(record, labels=numbered(2)))


def test_an_onnx_file_with_its_sidecar_opens_by_path_and_takes_other_labels(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx")
    save_record(make_record(path), tmp_path / "net.onnx.yaml")
    segmenter = open_segmenter(path, label_set=["a", "b", "c", "d", "e"])
    assert segmenter.labels.names == ("a", "b", "c", "d", "e")
    with pytest.raises(ModelError, match="label set 'camvid11' has 11 classes; expected 5, as network 'tiny' has"):
        open_segmenter(str(path), label_set="camvid11")
    (tmp_path / "net.onnx.yaml").unlink()
    with pytest.raises(ModelError, match=r"let `segtween models inspect .*net\.onnx` propose and write one"):
        open_segmenter(path)
