from __future__ import annotations

from pathlib import Path
from typing import Any

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
        ("colours: []", "mine.yaml: it has no field 'names'; expected names: ...; add it"),
        ("[1, 2]", r"mine.yaml: it is \[1, 2\]; expected a mapping with names"),
        ("names: []", r"names is \[\]; expected a list with 1 or more entries"),
        ("names: {0: sky, 1: road}", r"names is \{0: 'sky', 1: 'road'\}; expected a list"),
        ("names: sky", "names is 'sky'; expected a list"),
        ("names: !!binary YWI=", "names is b'ab'; expected a list"),
        ("names: [a, true]", r"names\[1\] is True; expected a name"),
        ("names: [a, 3]", r"names\[1\] is 3; expected a name"),
        ("names: [a, 2001-01-01]", r"names\[1\] is datetime.date\(2001, 1, 1\); expected a name"),
        ("names: [a, '']", r"names\[1\] is ''; expected a name"),
        ("names: [a, b, c]\n1: 2\nx: 3", "it has an unknown field 1; expected fields out of .*; remove it"),
        ("names: [a, b]\ncolors: []", "it has an unknown field 'colors'; .*; did you mean colours?"),
        ("names: [a, a]", "repeats a name or an id"),
        ("names: [a]\ncolours: [[1, 2]]", r"colours\[0\] is \[1, 2\]; expected \[red, green, blue\], whole numbers"),
        ("names: [a]\ncolours: [[1, 2, 300]]", r"colours\[0\] is \[1, 2, 300\]; expected \[red, green, blue\]"),
        ("names: [a]\ncolours: [[1, 2, 3.5]]", r"colours\[0\] is \[1, 2, 3.5\]; expected \[red, green, blue\]"),
        ("names: [a]\ncolours: 5", "colours is 5; expected a list"),
        ("names: [a, b]\nids: [true, 2]", r"ids\[0\] is True; expected a whole number from 0 to 255"),
        ("names: [a, b]\nids: true", "ids is True; expected a list"),
        ("names: [a]\nids: [256]", r"ids\[0\] is 256; expected a whole number from 0 to 255"),
        ("names: [a]\nignore_id: -1", "ignore_id is -1; expected a whole number from 0 to 255"),
        ("names: [a]\nids: [1, 2]", "1 names, 1 colours and 2 ids"),
        (f"names: {[f'c{i}' for i in range(255)]}", "has 255 classes; expected 1 to 254"),
        ("x: &x [a, b]\nnames: [*x]", "it has an unknown field 'x'"),
        ("names: &n [a, *n]", "holds an alias of the value that it stands in"),
        ("names: " + "[" * 5000, "is nested more than 32 levels deep"),
        ("names: [a", "is not YAML"),
    ],
)
def test_label_files_that_cannot_be_used_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(LabelError, match=message) as caught:
        label_set(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("which", "message"),
    [
        ({0: "sky", 1: "road"}, r"label set is \{0: 'sky', 1: 'road'\}; expected a name, a .yaml file, or a list of"),
        (b"ab", "label set is b'ab'; expected a name, a .yaml file, or a list of class names"),
        ({"sky"}, r"label set is \{'sky'\}; expected a name"),
        (11, "label set is 11; expected a name, a .yaml file, or a list of class names; see docs/labels.md"),
        (None, "label set is None; expected a name"),
        (["sky", 3], r"label set is \['sky', 3\]; expected a name, a .yaml file, or a list of class names"),
        (["sky", ""], r"label set is \['sky', ''\]; expected"),
        ([], "has 0 classes; expected 1 to 254"),
        ("x" * 5000, "label set 'xxx.*xxx' is not known; expected one of"),
        ("x" * 5000 + ".yaml", "cannot be read .*; expected a YAML file; check the path"),
        ("a\0b.yaml", "cannot be read .*; expected a YAML file; check the path"),
    ],
)
def test_what_is_no_label_set_is_refused(which: Any, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        label_set(which)


@pytest.mark.parametrize(
    ("names", "colours", "ids", "message"),
    [
        (("a", 1), ((0, 0, 0), (1, 1, 1)), (0, 1), "has a name that is no text"),
        (("a", "b"), ((0, 0, 0), (1, 1, 1)), (True, 2), r"has a colour or id outside 0\.\.255"),
        (("a", "b"), ((0, 0, 0), (1, 1, 300)), (0, 1), r"has a colour or id outside 0\.\.255"),
        (("a", "b"), ((0, 0, 0), (1, 1)), (0, 1), r"has a colour or id outside 0\.\.255"),
    ],
)
def test_a_label_set_made_by_hand_is_checked_too(names: Any, colours: Any, ids: Any, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        LabelSet("mine", names, colours, ids)


def test_unknown_label_sets_name_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="label set 'camvid' is not known; .*did you mean camvid11"):
        label_set("camvid")
    with pytest.raises(LabelError, match="cannot be read .*expected a YAML file; check the path"):
        label_set(tmp_path / "none.yaml")
