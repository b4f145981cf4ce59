"""How an image is resized to what a network sees: as its record says, else as it was always done."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from segtween.errors import ModelError
from segtween.labels import numbered
from segtween.models.records import InputRecord, ModelRecord, OutputRecord, Resampling, load_record, save_record
from segtween.segmenters.inspect import propose
from segtween.segmenters.network import open_network, resize
from tiny_onnx import cell_scores, write_network

FILTERS: dict[Resampling, Any] = {
    "antialiased-bilinear": Image.Resampling.BILINEAR,
    "antialiased-bicubic": Image.Resampling.BICUBIC,
}
NOISE = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)


def by_pillow(rgb: NDArray[np.uint8], size_hw: tuple[int, int], how: Resampling) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(rgb).resize(size_hw[::-1], FILTERS[how]))


def make_record(path: Path, how: Resampling | None, **pixels: Any) -> ModelRecord:
    seen: dict[str, Any] = {"scale": 255, "multiple_of": 1, "size_hw": (64, 96), "resampling": how} | pixels
    sidecar = path.with_name(path.name + ".yaml")
    output = OutputRecord("scores", stride=4)
    return ModelRecord("tiny", path.name, InputRecord("image", **seen), output, numbered(5), sidecar)


@pytest.mark.parametrize("how", FILTERS)
@pytest.mark.parametrize("size", [(96, 96), (41, 97), (13, 160), (96, 7), (200, 75), (131, 333), (1, 1), (96, 160)])
def test_antialiased_it_is_what_pillow_makes_of_it(how: Resampling, size: tuple[int, int]) -> None:
    resized = resize(NOISE, size, how)
    np.testing.assert_array_equal(resized, by_pillow(NOISE, size, how))
    assert resized.flags.c_contiguous


def test_bilinear_skips_pixels_where_nothing_is_said_it_does_not() -> None:
    for size in ((64, 96), (30, 40)):
        plain = cv2.resize(NOISE, size[::-1], interpolation=cv2.INTER_LINEAR)
        np.testing.assert_array_equal(resize(NOISE, size, "bilinear"), plain)
    assert resize(NOISE, (30, 40)).std() < 0.5 * resize(NOISE, (30, 40), "bilinear").std()


@pytest.mark.parametrize("how", [None, *FILTERS])
def test_a_larger_frame_is_seen_as_the_record_says(tmp_path: Path, how: Resampling | None) -> None:
    path = write_network(tmp_path / "net.onnx", size_hw=(64, 96), dtype="uint8")
    scores = open_network(make_record(path, how))(NOISE)
    found = {name: np.abs(scores - cell_scores(by_pillow(NOISE, (64, 96), name), classes=5)).max() for name in FILTERS}
    assert {name for name, off in found.items() if off < 0.01} == ({how} if how else set())


def test_in_windows_and_within_a_border_it_is_seen_so_too(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", size_hw=(64, 64), dtype="uint8")
    how: Resampling = "antialiased-bilinear"
    windows = make_record(path, how, size_hw=(64, 64), window_stride_hw=(32, 32))
    scores = open_network(windows, scale=0.75)(NOISE)
    np.testing.assert_allclose(scores, cell_scores(by_pillow(NOISE, (72, 120), how), classes=5), rtol=1e-4, atol=1e-2)
    boxed = make_record(path, how, size_hw=(64, 64), fit="letterbox")
    scores = open_network(boxed)(NOISE[:80])
    np.testing.assert_allclose(
        scores, cell_scores(by_pillow(NOISE[:80], (32, 64), how), classes=5), rtol=1e-4, atol=1e-2
    )


def test_it_is_part_of_the_record_and_of_the_method_only_where_it_is_said(tmp_path: Path) -> None:
    path = write_network(tmp_path / "net.onnx", size_hw=(64, 96), dtype="uint8")
    record = make_record(path, "antialiased-bicubic")
    save_record(record, record.path)
    assert load_record(record.path) == record
    silent = replace(record, input=replace(record.input, resampling=None))
    assert "resampling" not in silent.input.to_dict()
    assert open_network(record).describe()["preprocessing"] != open_network(silent).describe()["preprocessing"]
    record.path.write_text(record.path.read_text().replace("antialiased-bicubic", "lanczos"))
    with pytest.raises(ModelError, match=r"input\.resampling is 'lanczos'; expected .*antialiased-bilinear"):
        load_record(record.path)


@pytest.mark.parametrize(
    ("said", "how"),
    [
        ({"resample": 2}, "antialiased-bilinear"),
        ({"resample": 3}, "antialiased-bicubic"),
        ({"resample": 1}, None),
        ({"resample": [2]}, None),
        ({"resample": 2, "do_resize": False}, None),
        ({}, None),
    ],
)
def test_it_is_read_beside_a_file_of_optimum(tmp_path: Path, said: dict[str, Any], how: Resampling | None) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "segformer"}))
    own = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "size": {"height": 64, "width": 96}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(own | said))
    proposal = propose(write_network(tmp_path / "net.onnx", size_hw=(64, 96)))
    assert proposal.record.input.resampling == how
    assert proposal.sources.get("input.resampling") == (how and "preprocessor_config.json")
