"""A label set from what a person gives, and the map from one to another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, cast

from annotated_types import Interval, MinLen

from segtween.errors import LabelError, unknown
from segtween.labels.known import LABEL_MAPS, LABEL_SETS
from segtween.labels.label_set import LabelMap, LabelSet, numbered
from segtween.types import IGNORE
from segtween.validation import Expected, Name, read_yaml, shown, validate

_FILES = (".yaml", ".yml")
_Byte = Annotated[int, Interval(ge=0, le=255)]
_Colour = Annotated[tuple[_Byte, _Byte, _Byte], Expected("[red, green, blue], whole numbers from 0 to 255")]

Which = str | Path | LabelSet | Sequence[str] | Mapping[Any, str] | int
"""A label set, or what `label_set` makes one of."""


def label_set(which: Which) -> LabelSet:
    """A label set by name (`camvid11`), from a YAML file, or from class names: a list, or a text with commas
    (`"sky, road"`); a mapping of ids to names (`{0: "sky", 1: "road"}`), as files hold them; or their number alone.

    The YAML holds `names` and, as wanted, `name`, `colours`, `ids`, `ignore_id`.
    """
    if isinstance(which, LabelSet):
        return which
    if isinstance(which, int) and not isinstance(which, bool):
        return numbered(which)
    if isinstance(which, Mapping) and which:
        return _by_id(which)
    if isinstance(which, str) and "," in which and not which.endswith(_FILES):
        which = [name.strip() for name in which.split(",")]
    if not isinstance(which, (str, Path)):
        names = validate(cast(Any, _Names), which, whole="label set", do="see docs/labels.md", error=LabelError)
        return replace(numbered(len(names)), name="custom", names=tuple(names))
    if str(which) in LABEL_SETS:
        return LABEL_SETS[str(which)]
    path = Path(which)
    if path.suffix.lower() not in _FILES:
        raise unknown(
            f"label set {shown(str(which))} is not known",
            str(which)[:60],
            sorted(LABEL_SETS),
            also="or a .yaml file, or names with commas",
            otherwise="see docs/labels.md for the file's form",
            error=LabelError,
        )
    record = read_yaml(
        path, what="label file", expected="names: [road, car, ...]", do="see docs/labels.md", error=LabelError
    )
    return label_set_from_record(record, name=path.stem, source=f"label file {path}")


_Names = Annotated[Sequence[Name], Expected("a name, a .yaml file, or a list of class names")]


def _by_id(which: Mapping[Any, Any]) -> LabelSet:
    """Train ids go by the order of the ids, which may be written as text (`{"0": "sky"}`)."""
    plain = {int(k) if isinstance(k, str) and k.isdecimal() else k: name for k, name in which.items()}
    named = all(isinstance(name, str) and name for name in plain.values())
    is_once = len(plain) == len(which)
    if not named or not is_once or not all(type(i) is int and 0 <= i <= 255 for i in plain):
        raise LabelError(
            f"label set is {shown(which)}",
            expected="whole numbers from 0 to 255, each once and with the name of its class",
            do="see docs/labels.md",
        )
    ids = tuple(sorted(plain))
    base = replace(numbered(len(ids)), name="custom", names=tuple(plain[i] for i in ids))
    return replace(base, ids=ids, ignore_id=next(i for i in (IGNORE, 0, *range(256)) if i not in plain))


@dataclass(frozen=True)
class _Form:
    names: Annotated[tuple[Name, ...], MinLen(1)]
    name: Name | None = None
    colours: tuple[_Colour, ...] | None = None
    ids: tuple[_Byte, ...] | None = None
    ignore_id: _Byte = IGNORE


def label_set_from_record(record: Any, *, name: str, source: str = "") -> LabelSet:
    """A label set from the plain values of `LabelSet.to_json` or of a YAML file; errors say that they are of `source`.

    What is left out is as `numbered` has it.
    """
    form = validate(_Form, record, source=source or f"label set {name!r}", whole="it", error=LabelError)
    base = numbered(len(form.names))
    return LabelSet(
        form.name or name,
        form.names,
        base.colours if form.colours is None else form.colours,
        base.ids if form.ids is None else form.ids,
        form.ignore_id,
    )


def label_map(source: LabelSet, target: LabelSet, *, name: str | None = None) -> LabelMap:
    """The map from one label set to another: the named one, the identity, or the known one.

    Raises LabelError where none fits.
    """
    if name is not None:
        if name not in LABEL_MAPS:
            raise unknown(f"label map {name!r} is not known", name, sorted(LABEL_MAPS), error=LabelError)
        known = LABEL_MAPS[name]
        if known.source.names != source.names or known.target.names != target.names:
            raise LabelError(
                f"label map {name!r} goes from {known.source.name!r} to {known.target.name!r}",
                expected=f"a map from {source.name!r} to {target.name!r}",
                do="leave map_name= out or choose another",
            )
        return known
    if source.names == target.names:
        return LabelMap(f"{source.name}-as-is", source, target, tuple(range(len(source))))
    for known in LABEL_MAPS.values():
        if known.source.names == source.names and known.target.names == target.names:
            return known
    mapped = sorted(known.source.name for known in LABEL_MAPS.values() if known.target.names == target.names)
    raise LabelError(
        f"no map is known from label set {source.name!r} to {target.name!r}",
        expected=f"a network with the classes of {target.name!r}, or of one from which there is a map to it "
        f"({', '.join(mapped) or 'there is none'})",
        do="give another network, or another label set for the data set",
    )
