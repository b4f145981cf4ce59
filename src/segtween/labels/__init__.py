"""Label sets (names, colours, ids, ignore) and maps between them.

| module | what it holds |
| --- | --- |
| `label_set` | `LabelSet` and `LabelMap`; `numbered`, for classes without names |
| `known` | the sets and maps that have a name; `label_sets.json`, their data |
| `reading` | `label_set` and `label_map`: from what a person gives |
| `naming` | how class names are compared, and which of them say the same |
| `palettes` | colours that can be told apart with any colour vision |
"""

from segtween.labels.known import CAMVID11, CITYSCAPES19, LABEL_MAPS, LABEL_SETS, usual
from segtween.labels.label_set import MOST_CLASSES, LabelMap, LabelSet, PaletteName, numbered
from segtween.labels.palettes import Colour
from segtween.labels.reading import Which, label_map, label_set, label_set_from_record

__all__ = [
    "CAMVID11", "CITYSCAPES19", "LABEL_MAPS", "LABEL_SETS", "MOST_CLASSES", "Colour", "LabelMap", "LabelSet",
    "PaletteName", "Which", "label_map", "label_set", "label_set_from_record", "numbered", "usual",
]  # fmt: skip
