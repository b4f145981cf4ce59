from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segtween.errors import LabelError
from segtween.labels import (
    CAMVID11,
    CITYSCAPES19,
    LABEL_MAPS,
    LabelSet,
    label_map,
    label_set,
    label_set_from_record,
    numbered,
)


@pytest.mark.parametrize("labels", [CAMVID11, CITYSCAPES19, numbered(150)], ids=lambda s: s.name)
def test_encode_and_decode_return_the_train_ids(labels: LabelSet) -> None:
    train = np.array([[*range(len(labels)), 255]], np.uint8)
    assert np.array_equal(labels.decode(labels.encode(train), strict=True), train)
    assert labels.colourise(train).shape == (1, len(labels) + 1, 3)
    assert tuple(labels.palette[3]) == labels.colours[3]


def test_unknown_ids_are_ignored_or_refused() -> None:
    ids = np.array([[7, 8, 200]], np.uint8)
    assert CITYSCAPES19.decode(ids).tolist() == [[0, 1, 255]]
    with pytest.raises(LabelError, match=r"a.png holds ids \[200\]; expected the ids of label set 'cityscapes19'"):
        CITYSCAPES19.decode(ids, name="a.png", strict=True)
    with pytest.raises(LabelError, match="label image is float64 of shape .*expected one channel of whole numbers"):
        CITYSCAPES19.decode(np.zeros((2, 2)))
    with pytest.raises(LabelError, match="holds id 300; expected ids 0..255"):
        CITYSCAPES19.decode(np.array([[300]]))


def test_a_map_is_applied_after_the_argmax_and_keeps_ignore() -> None:
    known = label_map(CITYSCAPES19, CAMVID11)
    assert known.name == "cityscapes19-to-camvid11"
    assert known(np.array([[0, 10, 18, 255]], np.uint8)).tolist() == [[3, 0, 10, 255]]
    assert label_map(CAMVID11, CAMVID11)(np.array([[4, 255]], np.uint8)).tolist() == [[4, 255]]
    assert label_map(CITYSCAPES19, CAMVID11, name=known.name) is LABEL_MAPS[known.name]


@pytest.mark.parametrize(
    ("source", "name", "text"),
    [
        (
            CITYSCAPES19,
            "cityscapes-to-camvid",
            "is not known; expected one of .*; did you mean cityscapes19-to-camvid11",
        ),
        (
            CAMVID11,
            "cityscapes19-to-camvid11",
            "goes from 'cityscapes19' to 'camvid11'; expected a map from 'camvid11'",
        ),
        (numbered(5), None, "no map is known from label set 'classes5' to 'camvid11'"),
    ],
)
def test_maps_that_do_not_fit_are_refused(source: LabelSet, name: str | None, text: str) -> None:
    with pytest.raises(LabelError, match=text):
        label_map(source, CAMVID11, name=name)


def test_class_names_are_found_and_the_nearest_are_offered() -> None:
    assert CAMVID11.index("Sign Symbol") == CAMVID11.index("sign_symbol") == 6
    with pytest.raises(LabelError, match=r"class 'cars' is not in label set 'camvid11'; .*did you mean car"):
        CAMVID11.index("cars")


def test_a_yaml_file_names_classes_colours_and_ids(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("names: [road, car]\ncolours: [[1, 2, 3], [4, 5, 6]]\nids: [3, 9]\nignore_id: 0\n")
    mine = label_set(path)
    assert mine == LabelSet("mine", ("road", "car"), ((1, 2, 3), (4, 5, 6)), (3, 9), 0)
    assert label_set_from_record(mine.to_json(), name="x") == mine
    assert label_set(["road", "car"]).names == ("road", "car")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("colours: []", "has no list of names; expected names"),
        ("names: [a, b]\ncolors: []", r"has unknown keys \['colors'\]"),
        ("names: [a, a]", "repeats a name or an id"),
        ("names: [a]\ncolours: [[1, 2]]", "has a colour or id outside 0..255"),
        ("names: [a]\ncolours: [[1, 2, 300]]", "has a colour or id outside 0..255"),
        ("names: [a]\ncolours: 5", "has colours or ids of a wrong form"),
        ("names: [a]\nids: [1, 2]", "1 names, 1 colours and 2 ids"),
        ("names: [a", "is not YAML"),
    ],
)
def test_label_files_that_cannot_be_used_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(LabelError, match=message):
        label_set(path)


def test_unknown_label_sets_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="label set 'camvid' is not known; .*did you mean camvid11"):
        label_set("camvid")
    with pytest.raises(LabelError, match="cannot be read .*expected a YAML file; check the path"):
        label_set(tmp_path / "none.yaml")
