"""Images whose proportions are kept within a network's one size."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes import FakeRuntime
from segtween.errors import ModelError
from segtween.labels import numbered
from segtween.models.records import InputRecord, ModelRecord, OutputRecord, load_record, save_record
from segtween.run.calibration import calibrate
from segtween.segmenters.network import NetworkSegmenter, open_network
from segtween.segmenters.one_size import place_in
from tiny_onnx import cell_scores, colour_image, write_network

BOX = InputRecord("image", scale=255, multiple_of=1, size_hw=(64, 64), fit="letterbox")


def make_record(path: Path, pixels: InputRecord = BOX, **output: Any) -> ModelRecord:
    values: dict[str, Any] = {"name": "scores", "stride": 4} | output
    sidecar = path.with_name(path.name + ".yaml")
    return ModelRecord("tiny", path.name, pixels, OutputRecord(**values), numbered(5), sidecar)


@pytest.mark.parametrize("size_hw", [(32, 64), (64, 40), (64, 64)])
def test_scores_are_those_of_the_image_and_the_border_is_gone(tmp_path: Path, size_hw: tuple[int, int]) -> None:
    path = write_network(tmp_path / "net.onnx", size_hw=(64, 64), dtype="uint8")
    rgb = colour_image(size_hw)
    scores = open_network(make_record(path))(rgb)
    np.testing.assert_allclose(scores, cell_scores(rgb, classes=5), rtol=1e-4, atol=1e-3)
    labels = write_network(tmp_path / "labels.onnx", size_hw=(64, 64), dtype="uint8", last="argmax")
    found = open_network(make_record(labels, kind="labels", layout="NHW"))(rgb)
    np.testing.assert_array_equal(found.argmax(axis=0), cell_scores(rgb, classes=5).argmax(axis=0))


def test_the_network_sees_grey_around_it(tmp_path: Path) -> None:
    seen = []

    def see(batch: Any) -> Any:
        seen.append(batch)
        return np.zeros((1, 5, 16, 16), np.float32)

    segmenter = NetworkSegmenter(make_record(tmp_path / "x.onnx"), FakeRuntime(see))
    assert segmenter(np.full((90, 160, 3), 7, np.uint8)).shape == (5, 9, 16)
    assert (seen[-1][0, 12:48] == 7).all()
    assert (seen[-1][0, :12] == 114).all()
    assert (seen[-1][0, 48:] == 114).all()


@given(st.integers(8, 90), st.integers(8, 90), st.integers(1, 500), st.integers(1, 500), st.sampled_from([1, 4, 8]))
def test_the_place_is_whole_cells_within_the_size(h: int, w: int, image_h: int, image_w: int, cell: int) -> None:
    size = h // cell * cell, w // cell * cell
    place = place_in(size, (image_h, image_w), cell=cell)
    assert all(value % cell == 0 for value in place)
    assert 0 <= place.top <= place.top + place.height <= size[0]
    assert 0 <= place.left <= place.left + place.width <= size[1]
    assert place.height == size[0] or place.width == size[1]
    assert abs(place.top - (size[0] - place.top - place.height)) <= cell


def test_calibration_sees_the_border_too(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", size_hw=(64, 64))
    assert calibrate(make_record(path), [colour_image((32, 64))]).calibrated["images"] == 1


def test_the_record_is_kept_and_changes_the_numbers(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", size_hw=(64, 64), dtype="uint8")
    record = make_record(path)
    save_record(record, record.path)
    assert load_record(record.path) == record
    stretched = replace(record, input=replace(BOX, fit="stretch"))
    assert open_network(record).describe() != open_network(stretched).describe()


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="input.fit is 'letterbox'; expected stretch, because there is no one size"):
        replace(BOX, size_hw=None)
    record = make_record(tmp_path / "x.onnx", kind="maskformer", masks="m")
    with pytest.raises(ModelError, match="input.fit letterbox for output.kind maskformer in x.onnx.yaml; expected str"):
        NetworkSegmenter(record, FakeRuntime(lambda batch: batch))
