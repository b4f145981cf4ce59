"""The label sets and maps that are known by name; `label_sets.json` holds what the data sets say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from segtween.labels.label_set import LabelMap, LabelSet, numbered
from segtween.labels.naming import comparable
from segtween.labels.palettes import Colour
from segtween.types import IGNORE


def _read() -> dict[str, LabelSet]:
    stored = json.loads(Path(__file__).with_name("label_sets.json").read_text(encoding="utf-8"))
    return {name: _label_set(name, values) for name, values in stored.items()}


def _label_set(name: str, values: Mapping[str, Any]) -> LabelSet:
    colours = tuple(_colour(text) for text in values["colours"].split())
    return LabelSet(name, tuple(values["names"]), colours, tuple(values["ids"]), values["ignore_id"])


def _colour(text: str) -> Colour:
    red, green, blue = bytes.fromhex(text)
    return red, green, blue


LABEL_SETS = _read()
CAMVID11, CITYSCAPES19 = LABEL_SETS["camvid11"], LABEL_SETS["cityscapes19"]
_IDD26, _MAPILLARY65 = LABEL_SETS["idd26"], LABEL_SETS["mapillary65"]

USUAL = ("camvid11", "cityscapes19", "voc21", "vspw124", "mapillary65", "ade20k150", "coco-stuff171")
"""The sets whose number of classes gives them away."""


def usual(classes: int) -> LabelSet:
    """The label set that a network of so many classes most likely has: one of `USUAL`, else `numbered`."""
    return next((LABEL_SETS[name] for name in USUAL if len(LABEL_SETS[name]) == classes), None) or numbered(classes)


# ── Maps ──────────────────────────────────────────────────────────────────────────────────────


def _named(source: LabelSet, target: LabelSet, classes: Mapping[str, str]) -> LabelMap:
    """From the target's name of each class that is another one there; the others keep theirs, or are no class of it."""
    places = {comparable(name): i for i, name in enumerate(target.names)}
    table = tuple(places.get(classes.get(comparable(name), comparable(name)), IGNORE) for name in source.names)
    return LabelMap(f"{source.name}-to-{target.name}", source, target, table)


def _by_way_of(first: LabelMap, second: LabelMap) -> LabelMap:
    table = tuple(IGNORE if t == IGNORE else second.table[t] for t in first.table)
    return LabelMap(f"{first.source.name}-to-{second.target.name}", first.source, second.target, table)


_CITYSCAPES_TO_CAMVID = LabelMap(
    "cityscapes19-to-camvid11",
    CITYSCAPES19,
    CAMVID11,
    (3, 4, 1, 7, 7, 2, 6, 6, 5, 5, 0, 9, 10, 8, 8, 8, 8, 10, 10),
)
# CamVid's bicyclist is rider and bicycle in one, so that no class of Cityscapes is the same.
_CAMVID_TO_CITYSCAPES = _named(
    CAMVID11,
    CITYSCAPES19,
    {"pavement": "sidewalk", "tree": "vegetation", "sign-symbol": "traffic-sign", "pedestrian": "person"},
)
_IDD_TO_CITYSCAPES = _named(_IDD26, CITYSCAPES19, {"person/animal": "person", "non-drivable-fallback": "terrain"})
_CITYSCAPES_TO_IDD = _named(
    CITYSCAPES19,
    _IDD26,
    {"person": "person/animal", "terrain": "non-drivable-fallback", "train": "vehicle-fallback"},
)
_MAPILLARY_TO_CITYSCAPES = _named(
    _MAPILLARY65,
    CITYSCAPES19,
    {
        **dict.fromkeys(
            ("bike-lane", "crosswalk-plain", "service-lane", "lane-marking-crosswalk", "lane-marking-general",
             "catch-basin", "manhole", "pothole"), "road"
        ),
        **dict.fromkeys(("curb", "curb-cut", "pedestrian-area"), "sidewalk"),
        **dict.fromkeys(("bicyclist", "motorcyclist", "other-rider"), "rider"),
        **dict.fromkeys(("traffic-sign-(front)", "traffic-sign-(back)"), "traffic-sign"),
        "utility-pole": "pole",
        "sand": "terrain",
        "on-rails": "train",
    },
)  # fmt: skip
_CITYSCAPES_TO_MAPILLARY = _named(
    CITYSCAPES19, _MAPILLARY65, {"traffic-sign": "traffic-sign-(front)", "train": "on-rails"}
)

LABEL_MAPS: dict[str, LabelMap] = {
    known.name: known
    for known in (
        _CITYSCAPES_TO_CAMVID,
        _CAMVID_TO_CITYSCAPES,
        _IDD_TO_CITYSCAPES,
        _CITYSCAPES_TO_IDD,
        _MAPILLARY_TO_CITYSCAPES,
        _CITYSCAPES_TO_MAPILLARY,
        _by_way_of(_IDD_TO_CITYSCAPES, _CITYSCAPES_TO_CAMVID),
        _by_way_of(_MAPILLARY_TO_CITYSCAPES, _CITYSCAPES_TO_CAMVID),
        _by_way_of(_CAMVID_TO_CITYSCAPES, _CITYSCAPES_TO_IDD),
        _by_way_of(_CAMVID_TO_CITYSCAPES, _CITYSCAPES_TO_MAPILLARY),
    )
}
"""Maps by name. `bdd19` and `kitti` have the classes of `cityscapes19`, and so its maps."""
