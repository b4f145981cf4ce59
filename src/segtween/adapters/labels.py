"""The label set of a network that names its classes, or does not."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from segtween.errors import LabelError, ModelError
from segtween.labels import LABEL_SETS, LabelSet, numbered
from segtween.labels import label_set as find_label_set
from segtween.types import IGNORE

_PLACEHOLDER = re.compile(r"LABEL_\d+")
BACKGROUND = "background"
_BLACK = (0, 0, 0)


def labels_for(classes: int, given: Any, *, named: Sequence[str] | None, name: str) -> LabelSet:
    """The label set of a network of so many classes: the one `given`, else of the class names that it has itself.

    A single class is named with or without its background. Raises LabelError without either, ModelError for another
    number of classes.
    """
    if given is None and named is None:
        raise without_labels(name, classes)
    found = find_label_set(given) if given is not None else of_names(named or ())
    if classes == 2 and len(found) == 1:
        found = of_names((BACKGROUND, *found.names))
    if len(found) != classes:
        raise ModelError(
            f"network {name!r} has {classes} classes",
            expected=f"{len(found)}, as label set {found.name!r} has",
            do="give the label set that belongs to it as label_set=",
        )
    return found


def labels_of_words(given: Any, *, name: str) -> LabelSet:
    """The classes of a network that looks for words: the background, where none of them fits, then the words in their
    order. `given` is anything that `labels.label_set` takes; "background" in it is no word to look for.

    Raises LabelError: no words, an empty one, one twice.
    """
    if given is None or isinstance(given, int):
        raise LabelError(
            f"network {name!r} takes words as its classes, and got {'none' if given is None else given}",
            expected="what it is to look for, such as cat, sofa, floor",
            do="give the words as label_set=",
        )
    chosen = find_label_set(given)
    colours = {
        name: colour for name, colour in zip(chosen.names, chosen.colours, strict=True) if _plain(name) != BACKGROUND
    }
    plain = [_plain(word) for word in colours]
    for word in plain:
        if not word or plain.count(word) > 1:
            raise LabelError(
                f"network {name!r} is given {'an empty word' if not word else f'the word {word!r} twice'}",
                expected="each word once, and none of them empty",
                do="correct label_set=",
            )
    if not plain:
        raise LabelError(
            f"network {name!r} is given no word but background", expected="what to look for", do="add to label_set="
        )
    words = numbered(1 + len(plain))
    names, palette = (BACKGROUND, *colours), (_BLACK, *colours.values())
    return replace(words, name=chosen.name, names=names, colours=palette)


def without_labels(name: str, classes: int) -> LabelError:
    """The error for a network of so many classes that nobody named."""
    return LabelError(
        f"network {name!r} comes without labels",
        expected=f"the names of its {classes} classes",
        do="give label_set=NAME: a label set's name, a YAML file or a list of names",
    )


def of_names(names: Sequence[str], *, first_id: int = 0, ignore_id: int = IGNORE) -> LabelSet:
    """A known label set of these names, else one made of them; repeated names get their number.

    `first_id` is the id of class 0 in label files, `ignore_id` that of pixels of no class.
    """
    plain = [_plain(name) for name in names]
    for known in LABEL_SETS.values():
        if first_id == 0 and [_plain(name) for name in known.names] == plain:
            return known
    own = tuple(name if names.index(name) == i else f"{name} {i}" for i, name in enumerate(names))
    ids = tuple(range(first_id, first_id + len(own)))
    return replace(numbered(len(own)), name="custom", names=own, ids=ids, ignore_id=ignore_id)


def names_in(id2label: Any) -> list[str] | None:
    """The class names of a configuration of transformers, in order; None where they are no names, numbered from 0, and
    for those that it makes up (LABEL_0, ...)."""
    if not isinstance(id2label, Mapping) or not id2label:
        return None
    try:
        by_id = {int(key): name for key, name in id2label.items()}
    except (TypeError, ValueError):
        return None
    names = [by_id.get(i) for i in range(len(id2label))]
    plain = [name for name in names if isinstance(name, str) and name and not _PLACEHOLDER.fullmatch(name)]
    return plain if len(plain) == len(names) else None


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", "-", name.strip().lower())
