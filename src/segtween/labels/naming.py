"""How class names are compared, and which of them say the same."""

from __future__ import annotations

import re
from collections.abc import Sequence

SAME = (
    ("person", "pedestrian", "human", "people", "person/animal"),
    ("rider", "bicyclist", "cyclist"),
    ("bicycle", "bike"),
    ("motorcycle", "motorbike"),
    ("car", "automobile"),
    ("truck", "lorry"),
    ("train", "on-rails"),
    ("airplane", "aeroplane", "plane"),
    ("boat", "ship", "ship-or-boat"),
    ("road", "street"),
    ("sidewalk", "pavement", "footpath"),
    ("crosswalk", "crosswalk-plain", "zebra-crossing"),
    ("vegetation", "tree"),
    ("traffic-sign", "traffic-sign-(front)", "sign-symbol"),
    ("street-light", "street-lamp", "streetlight"),
    ("bridge", "bridge/tunnel"),
    ("trash-can", "ashcan", "rubbish-bin", "dustbin"),
    ("sofa", "couch"),
    ("chair", "chair-or-seat"),
    ("table", "dining-table", "diningtable", "table-or-desk"),
    ("potted-plant", "pottedplant"),
    ("tv", "television", "tvmonitor", "television-receiver", "screen-or-television"),
    ("cow", "cattle"),
    ("refrigerator", "fridge"),
    ("mobile-phone", "cell-phone"),
)
"""Names of one thing in different label sets. Where a set holds several of them, the first in this order counts."""

_BETWEEN = re.compile(r"[\s_-]+")


def comparable(name: str) -> str:
    """Small letters, words joined by one hyphen: `Traffic Sign`, `traffic_sign` and `traffic-sign` are one name."""
    return _BETWEEN.sub("-", name.strip().lower())


def find_name(name: str, names: Sequence[str]) -> int | None:
    """The place of a name in `names`: of the very name, else of one that compares as the same, else of the first that
    means the same; None for none of these."""
    if name in names:
        return names.index(name)
    places = {comparable(own): i for i, own in reversed(list(enumerate(names)))}
    key = comparable(name)
    others = next((group for group in SAME if key in group), ())
    return next((places[other] for other in (key, *others) if other in places), None)
