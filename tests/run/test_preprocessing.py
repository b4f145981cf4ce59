"""The preprocessing of a network, found by trying it on a picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segtween.errors import LabelError, ModelError
from segtween.run.preprocessing import confirmed, try_preprocessing
from segtween.segmenters.inspect import inspect_onnx
from tiny_onnx import cell_scores, colour_image, write_network

SIZE = (64, 96)
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def case(tmp_path: Path, prepare: Any) -> tuple[Any, Any, Any]:
    """A network, a picture whose cells of 4x4 pixels have one colour, and the labels under one preprocessing."""
    record = inspect_onnx(write_network(tmp_path / "my.onnx", classes=5))
    cells = colour_image((SIZE[0] // 4, SIZE[1] // 4), seed=3)
    rgb = np.ascontiguousarray(cells.repeat(4, 0).repeat(4, 1))
    labels = cell_scores(prepare(rgb), classes=5).argmax(axis=0).astype(np.uint8).repeat(4, 0).repeat(4, 1)
    assert len(np.unique(labels)) >= 3
    return record, rgb, labels


@pytest.mark.parametrize(
    ("name", "channels", "prepare"),
    [
        ("as proposed", "RGB", lambda rgb: (rgb / 255 - MEAN) / STD),
        ("as proposed", "BGR", lambda rgb: ((rgb / 255 - MEAN) / STD)[..., ::-1]),
        ("-1 to 1", "RGB", lambda rgb: rgb / 127.5 - 1),
        ("-1 to 1", "BGR", lambda rgb: rgb[..., ::-1] / 127.5 - 1),
    ],
)
def test_the_preprocessing_that_labels_were_made_with_comes_first(
    tmp_path: Path, name: str, channels: str, prepare: Any
) -> None:
    record, rgb, labels = case(tmp_path, prepare)
    attempts = try_preprocessing(record, rgb, labels)
    assert len(attempts) == 10
    assert (attempts[0].name, attempts[0].input.channels) == (name, channels)
    assert attempts[0].figure > 0.7, "all but the borders of cells, between which scores are interpolated"
    assert attempts[0].figure > attempts[1].figure + 0.05
    figures = [attempt.figure for attempt in attempts]
    assert figures == sorted(figures, reverse=True)
    best = confirmed(record, attempts)
    assert best.input == attempts[0].input
    assert not {"input.mean", "input.std", "input.scale", "input.channels"} & set(best.guessed)
    assert "labels" in best.guessed


def test_what_is_known_is_not_tried(tmp_path: Path) -> None:
    record, rgb, labels = case(tmp_path, lambda rgb: (rgb / 255 - MEAN) / STD)
    known = replace(record, guessed=("input.channels",))
    assert {a.input.channels for a in try_preprocessing(known, rgb, labels)} == {"RGB", "BGR"}
    assert {a.name for a in try_preprocessing(known, rgb, labels)} == {"as proposed"}
    assert len(try_preprocessing(replace(record, guessed=()), rgb, labels)) == 1


def test_attempts_that_are_alike_confirm_nothing(tmp_path: Path) -> None:
    record, rgb, labels = case(tmp_path, lambda rgb: (rgb / 255 - MEAN) / STD)
    attempts = try_preprocessing(record, rgb, labels)[:2]
    alike = [replace(attempts[0], miou=0.5), replace(attempts[1], miou=0.495)]
    assert confirmed(record, alike).guessed == record.guessed
    apart = [replace(attempts[0], miou=0.5), replace(attempts[1], miou=0.485)]
    assert "input.mean" not in confirmed(record, apart).guessed


def test_without_labels_one_class_everywhere_and_doubt_come_last(tmp_path: Path) -> None:
    record, rgb, _ = case(tmp_path, lambda rgb: (rgb / 255 - MEAN) / STD)
    attempts = try_preprocessing(record, rgb)
    for attempt in attempts:
        assert 0 <= attempt.cell_entropy <= attempt.mean_entropy + 1e-6 <= np.log2(5) + 1e-5
    figures = [a.mean_entropy - a.cell_entropy for a in attempts]
    assert figures == sorted(figures, reverse=True)
    assert set(confirmed(record, attempts).guessed) == set(record.guessed), "entropy proves nothing"


def test_labels_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    record, rgb, labels = case(tmp_path, lambda rgb: (rgb / 255 - MEAN) / STD)
    with pytest.raises(LabelError, match="labels of 48x64 for a picture of 96x64; expected one size"):
        try_preprocessing(record, rgb, labels[:, :48])
    with pytest.raises(LabelError, match="the label image holds no class; expected labels to compare with"):
        try_preprocessing(record, rgb, np.full_like(labels, 255))
    argmax = inspect_onnx(write_network(tmp_path / "argmax.onnx", last="argmax"))
    with pytest.raises(ModelError, match=r"argmax\.onnx gives no scores, .*; expected a picture with labels"):
        try_preprocessing(argmax, rgb)
    assert try_preprocessing(argmax, rgb, labels)[0].miou > 0.95
