"""Another threshold than that of the record, for networks whose classes are scored each for itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import segtween
from segtween.cli import app
from segtween.errors import SegtweenError
from segtween.labels import numbered
from segtween.models.records import InputRecord, ModelRecord, OutputRecord, save_record
from segtween.segmenters import open_segmenter
from tiny_onnx import cell_scores, colour_image, write_network

SIZE_HW = (32, 48)


def model(folder: Path, *, classes: int = 1, last: Any = "sigmoid", **output: Any) -> Path:
    path = write_network(folder / "net.onnx", classes=classes, dtype="uint8", normalise=True, last=last)
    kind = {"sigmoid": "probabilities", "": "logits"}[last]
    record = ModelRecord(
        "net",
        path.name,
        InputRecord("image", scale=255, multiple_of=4),
        OutputRecord("scores", stride=4, **{"kind": kind, "threshold": 0.5, **output}),
        numbered(classes + ("threshold" not in output)),
        path.with_name("net.onnx.yaml"),
    )
    save_record(record, record.path)
    return path


def shares(rgb: Any) -> Any:
    """The probability of the class in each cell, as the network has it."""
    return 1 / (1 + np.exp(-cell_scores((rgb.astype(float) - 100) / 50, classes=1)[0]))


def load(path: Path, **options: Any) -> Any:
    return segtween.load(path, preset="every-frame", threads=1, **options)


@pytest.mark.parametrize("last", ["sigmoid", ""])
@pytest.mark.parametrize("threshold", [None, 0.2, 0.8])
def test_a_class_is_where_its_probability_is_above_it(tmp_path: Path, last: str, threshold: float | None) -> None:
    path, rgb = model(tmp_path, last=last), colour_image(SIZE_HW)
    found = open_segmenter(path, threads=1, threshold=threshold)(rgb)
    expected = shares(rgb) > (0.5 if threshold is None else threshold)
    assert 0.02 < expected.mean() < 0.98
    np.testing.assert_array_equal(found.argmax(axis=0), expected)


def test_it_is_part_of_the_method(tmp_path: Path) -> None:
    path = model(tmp_path)
    plain, same, other = (load(path, threshold=threshold) for threshold in (None, 0.5, 0.6))
    assert plain.method == same.method != other.method


@pytest.mark.parametrize("threshold", [0, 1, -1, 2, float("nan"), True, "0.5"])
def test_what_is_no_probability_is_refused(tmp_path: Path, threshold: Any) -> None:
    with pytest.raises(SegtweenError, match=r"threshold=.*; expected a number above 0 and below 1; try threshold=0\.5"):
        load(model(tmp_path), threshold=threshold)


def by_brightness(rgb: Any) -> Any:
    return np.stack([rgb.mean(axis=2), 255 - rgb.mean(axis=2)])


def test_models_without_one_refuse_it(tmp_path: Path) -> None:
    path = model(tmp_path, classes=3, threshold=None)
    for given in (path, "swiftnet-lite0.camvid"):
        with pytest.raises(SegtweenError, match="for network .*; expected a network whose classes are scored each"):
            load(given, threshold=0.4)
    with pytest.raises(SegtweenError, match=r"threshold=0\.4 for a model of form callable; expected a network whose"):
        load(by_brightness, threshold=0.4, label_set=["a", "b"])
    with pytest.raises(SegtweenError, match=r"threshold=0\.4 for a model of form function; expected a network whose"):
        load(f"{__file__}:by_brightness", threshold=0.4, label_set=["a", "b"])  # type: ignore[arg-type]
    np.savez(tmp_path / "s.npz", scores=np.zeros((1, 2, 4, 4), np.float32), frames=["a"])
    with pytest.raises(SegtweenError, match=r"threshold=0\.4 for a model of form scores"):
        load(tmp_path / "s.npz", threshold=0.4, label_set=["a", "b"])


def test_on_the_command_line(tmp_path: Path) -> None:
    path, rgb = model(tmp_path), colour_image(SIZE_HW)
    (tmp_path / "clip").mkdir()
    cv2.imwrite(str(tmp_path / "clip" / "0.png"), rgb[..., ::-1])

    def run(name: str, *options: str) -> Any:
        words = ["run", str(tmp_path / "clip"), "-o", str(tmp_path / name), "--save", "labels", "--online"]
        return CliRunner().invoke(app, [*words, "--model", str(path), *options])

    area = {}
    for threshold in ("0.2", "0.8"):
        done = run(threshold, "--threshold", threshold)
        assert done.exit_code == 0, done.output
        (labels,) = (tmp_path / threshold / "labels").glob("*.png")
        with Image.open(labels) as picture:
            area[threshold] = (np.asarray(picture) == 1).sum()
    assert area["0.2"] > area["0.8"] > 0
    done = run("x", "--threshold", "1.5")
    assert done.exit_code == 2
    assert "--threshold 1.5" in done.output
    assert not (tmp_path / "x").exists()
