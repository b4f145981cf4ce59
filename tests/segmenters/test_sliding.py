"""Windows over large frames: where they lie, how they are blended, and equality with the whole frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeRuntime, textured
from segtween.errors import ModelError, SettingError
from segtween.labels import numbered
from segtween.models.records import InputRecord, ModelRecord, OutputRecord, load_record, save_record
from segtween.run.calibration import calibrate
from segtween.runtimes import RUNTIMES
from segtween.segmenters.augmented import Augmented
from segtween.segmenters.network import NetworkSegmenter, open_network
from segtween.segmenters.one_size import places, slide
from tiny_onnx import cell_scores, colour_image, write_network

WINDOWS = InputRecord("image", scale=255, multiple_of=1, size_hw=(32, 48), window_stride_hw=(20, 24))


def make_record(path: Path, pixels: InputRecord = WINDOWS, *, classes: int = 5, **output: Any) -> ModelRecord:
    values: dict[str, Any] = {"name": "scores", "stride": 4} | output
    sidecar = path.with_name(path.name + ".yaml")
    return ModelRecord("tiny", path.name, pixels, OutputRecord(**values), numbered(classes), sidecar)


def reference_slide(image: Any, scores_of: Any, crop: tuple[int, int], stride: tuple[int, int]) -> Any:
    """MMSegmentation's slide inference as its documentation describes it: sums over counts."""
    h, w = image.shape[:2]
    rows = max(h - crop[0] + stride[0] - 1, 0) // stride[0] + 1
    columns = max(w - crop[1] + stride[1] - 1, 0) // stride[1] + 1
    total: Any = 0
    count = np.zeros((1, h, w), np.float32)
    for row in range(rows):
        for column in range(columns):
            bottom, right = min(row * stride[0] + crop[0], h), min(column * stride[1] + crop[1], w)
            top, left = max(bottom - crop[0], 0), max(right - crop[1], 0)
            scores = scores_of(image[top:bottom, left:right])
            total = total + np.pad(scores, ((0, 0), (top, h - bottom), (left, w - right)))
            count[:, top:bottom, left:right] += 1
    assert (count > 0).all()
    return total / count


def uneven(window: Any) -> Any:
    """Scores (2, h, w) that depend on where in the window a pixel is, so that blending shows."""
    rows = np.arange(window.shape[0], dtype=np.float32)[:, None]
    return np.stack([window[..., 0] + rows, window[..., 1] * rows]).astype(np.float32)


@pytest.mark.parametrize(
    ("size_hw", "crop", "stride"),
    [
        ((40, 70), (32, 48), (20, 24)),
        ((32, 48), (32, 48), (8, 8)),
        ((90, 61), (30, 20), (30, 20)),
        ((33, 50), (32, 48), (1, 2)),
    ],
)
def test_windows_are_blended_as_mmsegmentation_does(size_hw: Any, crop: Any, stride: Any) -> None:
    image = textured(size_hw)
    scores = slide(uneven, image, window_hw=crop, step_hw=stride, cell=1)
    np.testing.assert_allclose(scores, reference_slide(image, uneven, crop, stride), rtol=1e-5)


@given(st.tuples(st.integers(1, 40), st.integers(1, 40)), st.data())
def test_windows_cover_the_image_and_end_with_it(window_hw: tuple[int, int], data: st.DataObject) -> None:
    size_hw = tuple(data.draw(st.integers(side, side + 90)) for side in window_hw)
    step_hw = tuple(data.draw(st.integers(1, side)) for side in window_hw)
    count = np.zeros(size_hw, int)
    for top, left in places(size_hw, window_hw, step_hw):
        part = count[top : top + window_hw[0], left : left + window_hw[1]]
        assert part.shape == window_hw
        part += 1
    assert count.min() >= 1


@pytest.mark.parametrize("name", sorted(RUNTIMES))
def test_windows_of_a_network_of_small_context_are_the_whole_frame(name: str, tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", size_hw=(32, 48), dtype="uint8")
    rgb = colour_image((88, 120))
    scores = open_network(make_record(path), runtime=name)(rgb)
    np.testing.assert_allclose(scores, cell_scores(rgb, classes=5), rtol=1e-4, atol=1e-3)


def test_labels_and_full_size_scores_are_blended_too(tmp_path: Path) -> None:
    rgb = np.zeros((64, 96, 3), np.uint8)
    rgb[:, 48:] = (250, 10, 120)
    expected = cell_scores(rgb, classes=5).argmax(axis=0)
    labels = write_network(tmp_path / "labels.onnx", size_hw=(32, 48), dtype="uint8", last="argmax")
    scores = open_network(make_record(labels, kind="labels", layout="NHW"))(rgb)
    np.testing.assert_array_equal(scores.argmax(axis=0), expected)
    full = write_network(tmp_path / "full.onnx", size_hw=(32, 48), dtype="uint8", full_size=True)
    fine = open_network(make_record(full, stride=1))(rgb)
    assert fine.shape == (5, 16, 24)
    np.testing.assert_array_equal(fine.argmax(axis=0)[:, :10], expected[:, :10])


def test_a_frame_smaller_than_a_window_is_enlarged_to_one(tmp_path: Path) -> None:
    seen = []

    def see(batch: Any) -> Any:
        seen.append(batch.shape[1:3])
        return np.zeros((1, 5, 8, 12), np.float32)

    segmenter = NetworkSegmenter(make_record(tmp_path / "x.onnx"), FakeRuntime(see))
    assert segmenter(np.zeros((20, 130, 3), np.uint8)).shape == (5, 8, 32)
    assert set(seen) == {(32, 48)}


def test_the_scale_and_its_augmentation_work_with_windows(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", size_hw=(32, 48), dtype="uint8")
    assert open_network(make_record(path), scale=0.5)(colour_image((128, 192))).shape == (5, 16, 24)
    assert Augmented(open_network(make_record(path)), "scales")(colour_image((128, 192))).shape == (5, 32, 48)
    whole = make_record(path, replace(WINDOWS, window_stride_hw=None))
    with pytest.raises(SettingError, match="expected 1, because it takes 48x32 only"):
        open_network(whole, scale=0.5)


def test_calibration_sees_the_windows(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", size_hw=(32, 48))
    found = calibrate(make_record(path), [colour_image((64, 96)), colour_image((40, 50), seed=1)])
    assert found.calibrated["images"] == 2


def test_the_record_is_kept_and_changes_the_numbers(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", size_hw=(32, 48), dtype="uint8")
    record = make_record(path)
    save_record(record, record.path)
    assert load_record(record.path) == record
    other = replace(record, input=replace(WINDOWS, window_stride_hw=(32, 48)))
    assert open_network(record).describe() != open_network(other).describe()


@pytest.mark.parametrize(
    ("pixels", "output", "message"),
    [
        ({"size_hw": None}, {}, "input.window_stride is '24x20'; expected input.size, of which windows are"),
        ({"window_stride_hw": (40, 8)}, {}, "input.window_stride is '8x40'; expected at most 48x32"),
        (
            {"window_stride_hw": (10, 30)},
            {},
            "48x32 that are 30x10 apart in .*; expected multiples of output.stride, 4; .* 28x8",
        ),
        (
            {},
            {"kind": "mask2former", "masks": "m"},
            "input.window_stride of x.onnx.yaml for output.kind mask2former; expected scores or labels",
        ),
    ],
)
def test_windows_that_cannot_be_are_refused(tmp_path: Path, pixels: Any, output: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        NetworkSegmenter(
            make_record(tmp_path / "x.onnx", replace(WINDOWS, **pixels), **output), FakeRuntime(lambda b: b)
        )
