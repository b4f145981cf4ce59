from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from segtween.errors import LabelError, SettingError
from segtween.labels import (
    CAMVID11,
    CITYSCAPES19,
    LABEL_MAPS,
    LABEL_SETS,
    LabelSet,
    label_map,
    label_set,
    label_set_from_record,
    numbered,
    usual,
)
from segtween.labels.palettes import as_seen, colour_blind_safe


@pytest.mark.parametrize("labels", [*LABEL_SETS.values(), numbered(150)], ids=lambda s: s.name)
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
        (
            numbered(5),
            None,
            r"no map is known from label set 'classes5' to 'camvid11'; expected a network with the classes of "
            r"'camvid11', or of one from which there is a map to it \(cityscapes19, idd26, mapillary65\); give another",
        ),
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


# Name: classes, ignore id, and some classes with the ids and colours that their data sets document; camvid11's colours
# are brighter than CamVid's, of which some are near black.
KNOWN = {
    "camvid11": (11, 11, {"sky": (0, (110, 180, 245)), "bicyclist": (10, (0, 235, 225))}),
    "cityscapes19": (19, 0, {"road": (7, (128, 64, 128)), "bicycle": (33, (119, 11, 32))}),
    "bdd19": (19, 255, {"road": (0, (128, 64, 128)), "bicycle": (18, (119, 11, 32))}),
    "kitti": (19, 0, {"road": (7, (128, 64, 128)), "person": (24, (220, 20, 60))}),
    "idd26": (26, 255, {"road": (0, (128, 64, 128)), "autorickshaw": (8, (255, 204, 54)), "sky": (25, (70, 130, 180))}),
    "mapillary65": (65, 65, {"Road": (13, (128, 64, 128)), "Ego Vehicle": (64, (120, 10, 10))}),
    "ade20k150": (150, 0, {"wall": (1, (120, 120, 120)), "person": (13, (150, 5, 61)), "flag": (150, (92, 0, 255))}),
    "coco-stuff171": (171, 255, {"toothbrush": (89, (192, 160, 0)), "wood": (181, (64, 64, 0))}),
    "voc21": (21, 255, {"person": (15, (192, 128, 128)), "tvmonitor": (20, (0, 64, 128))}),
    "vspw124": (124, 0, {"wall": (1, (120, 120, 120)), "person": (61, (11, 200, 200)), "train": (124, (133, 255, 0))}),
    "lip20": (20, 255, {"Background": (0, (0, 0, 0)), "Hat": (1, (128, 0, 0)), "Right-shoe": (19, (255, 170, 0))}),
}  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_label_sets_known_by_name_have_their_data_sets_ids_and_colours(name: str) -> None:
    known = label_set(name)
    classes, ignore_id, some = KNOWN[name]
    assert (known.name, len(known), known.ignore_id) == (name, classes, ignore_id)
    assert ignore_id == 255 or ignore_id not in known.ids
    for class_name, (own_id, colour) in some.items():
        place = known.names.index(class_name)
        assert (known.ids[place], known.colours[place]) == (own_id, colour)


def test_no_label_set_is_left_out_above_and_the_usual_ones_are_found_by_their_size() -> None:
    assert set(KNOWN) == set(LABEL_SETS)
    assert [usual(n).name for n in (11, 19, 21, 26, 65, 124, 150, 171)] == [
        "camvid11", "cityscapes19", "voc21", "classes26", "mapillary65", "vspw124", "ade20k150", "coco-stuff171",
    ]  # fmt: skip


def test_the_driving_sets_are_mapped_to_each_other_where_a_class_has_a_counterpart() -> None:
    def mapped(source: str, target: str, *names: str) -> list[str | None]:
        sets = label_set(source), label_set(target)
        labels = np.array([[sets[0].names.index(name) for name in names]], np.uint8)
        return [None if t == 255 else sets[1].names[t] for t in label_map(*sets)(labels)[0]]

    assert mapped("camvid11", "cityscapes19", "pavement", "tree", "bicyclist") == ["sidewalk", "vegetation", None]
    assert mapped("camvid11", "kitti", "pedestrian") == ["person"]
    assert mapped("bdd19", "camvid11", "person", "truck") == ["pedestrian", "car"]
    assert mapped("kitti", "bdd19", "train") == ["train"]
    assert mapped("idd26", "cityscapes19", "autorickshaw", "traffic sign") == [None, "traffic-sign"]
    assert mapped("mapillary65", "camvid11", "Motorcyclist", "Lane Marking - General", "Sky", "Bird") == [
        "bicyclist", "road", "sky", None,
    ]  # fmt: skip
    assert mapped("cityscapes19", "mapillary65", "train", "rider") == ["On Rails", None]
    assert mapped("camvid11", "idd26", "pavement", "pedestrian", "bicyclist") == ["sidewalk", "person/animal", None]
    assert mapped("camvid11", "mapillary65", "tree", "sign-symbol", "bicyclist") == [
        "Vegetation", "Traffic Sign (Front)", None,
    ]  # fmt: skip


def test_a_class_may_have_another_name_and_it_is_said() -> None:
    assert CAMVID11.choose(["person", "Road", "pedestrian"]) == (
        (9, 3), ("class 'person' is 'pedestrian' in label set 'camvid11'",)
    )  # fmt: skip
    assert label_set("voc21").names[label_set("voc21").index("airplane")] == "aeroplane"
    assert label_set("idd26").index("human") == 4
    assert CITYSCAPES19.choose(["traffic light"]) == ((6,), ())
    cased = label_set(["Car", "car", "tree", "vegetation"])
    assert [cased.index(name) for name in ("car", "CAR", "vegetation")] == [1, 0, 3]
    for nothing in ([], "car", ["car", 3]):
        with pytest.raises(SettingError, match="classes=.*; expected a list of class names"):
            CAMVID11.choose(nothing)  # type: ignore[arg-type]


@pytest.mark.parametrize(("classes", "least"), [(11, 16), (19, 16), (30, 13)])
def test_colours_for_the_colour_blind_differ_in_every_kind_of_colour_vision(classes: int, least: float) -> None:
    def differences(labels: LabelSet) -> np.ndarray:
        seen = as_seen(np.array(labels.colours, np.uint8))
        apart = np.linalg.norm(seen[:, :, None] - seen[:, None], axis=3)
        apart[:, range(classes), range(classes)] = np.inf
        return apart.min(axis=(1, 2))

    usual_set = usual(classes)
    safe = usual_set.with_palette("colour-blind")
    assert safe.names == usual_set.names
    assert differences(safe).min() > least > 1.5 * differences(usual_set).min()
    assert usual_set.with_palette("usual") is usual_set
    with pytest.raises(SettingError, match="palette='bright'; expected usual or colour-blind"):
        usual_set.with_palette("bright")  # type: ignore[arg-type]


def test_as_many_colours_as_there_may_be_classes_all_differ() -> None:
    assert len(set(colour_blind_safe(254))) == 254
    assert (0, 0, 0) not in colour_blind_safe(254)


def test_ids_with_names_and_numbers_of_classes_are_label_sets() -> None:
    plain = label_set({0: "sky", 1: "road"})
    assert (plain.names, plain.ids, plain.ignore_id) == (("sky", "road"), (0, 1), 255)
    own = label_set({"9": "car", "7": "road", "255": "void"})
    assert (own.names, own.ids, own.ignore_id) == (("road", "car", "void"), (7, 9, 255), 0)
    assert label_set(11) == numbered(11)


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
        (
            {0: "sky", 1: 5},
            r"label set is \{0: 'sky', 1: 5\}; expected whole numbers from 0 to 255, each once and with",
        ),
        ({0: "sky", 300: "road"}, "label set is .*; expected whole numbers from 0 to 255, each once"),
        ({"sky": "road"}, "label set is .*; expected whole numbers from 0 to 255, each once and with the name of its"),
        ({0: "sky", "0": "road"}, "label set is .*; expected whole numbers from 0 to 255, each once"),
        ({}, "label set is {}; expected a name, a .yaml file, or a list of class names"),
        (True, "label set is True; expected a name"),
        (b"ab", "label set is b'ab'; expected a name, a .yaml file, or a list of class names"),
        ({"sky"}, r"label set is \{'sky'\}; expected a name"),
        (1.5, "label set is 1.5; expected a name, a .yaml file, or a list of class names; see docs/labels.md"),
        (255, "has 255 classes; expected 1 to 254, because a label is one byte"),
        (0, "has 0 classes; expected 1 to 254"),
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
        (("a", 1), ((0, 0, 0), (1, 1, 1)), (0, 1), "has the name '1'; expected text of one line"),
        (("a", "b\nc"), ((0, 0, 0), (1, 1, 1)), (0, 1), "expected text of one line without control"),
        (("a", "\ud800"), ((0, 0, 0), (1, 1, 1)), (0, 1), "expected text of one line without control"),
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
