"""Data sets: labelled clips to measure on. `DATASETS` is the table of their layouts; a new one is one file here and one
row there (CONTRIBUTING.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name

from segtween.datasets.clips import Clip, ClipFrame, Dataset, of_one_size
from segtween.errors import DatasetError, unknown
from segtween.labels import LabelSet, label_set

__all__ = ["DATASETS", "Clip", "ClipFrame", "Dataset", "DatasetSpec", "of_one_size", "open_dataset"]


@dataclass(frozen=True)
class DatasetSpec:
    """One row of `DATASETS`.

    name           of the layout
    layout         how files lie, for documents
    labels         which frames are labelled, for documents
    place          "module:function", (root, split=, labels=) -> Dataset; it raises DatasetError for whatever the
                   layout lacks, and is imported when it is first opened
    names_classes  whether the layout says what its classes are called
    """

    name: str
    layout: str
    labels: str
    place: str
    names_classes: bool = True

    def open(self, root: Path, *, split: str, labels: LabelSet | None = None) -> Dataset:
        opened: Dataset = resolve_name(self.place)(root, split=split, labels=labels)
        return opened


def _by_name(*rows: DatasetSpec) -> dict[str, DatasetSpec]:
    """The rows by name; DatasetError for a name that stands there twice."""
    names = [row.name for row in rows]
    if len(set(names)) < len(names):
        raise DatasetError(f"layouts are named {', '.join(names)}", expected="one of each name", do="rename one")
    return dict(zip(names, rows, strict=True))


DATASETS = _by_name(
    DatasetSpec(
        "camvid", "list file `<split>.txt` of images and labels", "dense", "segtween.datasets.camvid:open_camvid"
    ),
    DatasetSpec(
        "cityscapes",
        "`leftImg8bit_sequence` and `gtFine`",
        "sparse: one frame of a clip; dense where all are labelled",
        "segtween.datasets.cityscapes:open_cityscapes",
    ),
    DatasetSpec(
        "folders",
        "one folder of pictures per clip, and one of labels",
        "either",
        "segtween.datasets.folders:open_folders",
    ),
    DatasetSpec(
        "vspw",
        "list file `<split>.txt` of videos, `data/<video>/origin` and `mask`",
        "dense",
        "segtween.datasets.vspw:open_vspw",
        names_classes=False,
    ),
)


def open_dataset(
    name: str, root: str | Path, *, split: str, labels: str | Path | LabelSet | Sequence[str] | None = None
) -> Dataset:
    """A data set by the name of its layout. Only lists and folders are read here; pictures when they are asked for.

    `labels` replaces the layout's own label set. Raises DatasetError for an unknown name, a missing
    root, and whatever the layout lacks.
    """
    if name not in DATASETS:
        raise unknown(
            f"data set {name!r} is not known",
            name,
            DATASETS,
            otherwise="choose the layout of your folders",
            error=DatasetError,
        )
    root = Path(root)
    if not root.is_dir():
        raise DatasetError(f"root {root} is not a folder", expected=f"a data set laid out as {name}", do="check root=")
    opened = DATASETS[name].open(root, split=split, labels=None if labels is None else label_set(labels))
    return replace(opened, folder=root.resolve().name)
