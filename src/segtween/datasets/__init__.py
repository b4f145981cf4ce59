"""Data sets: labelled clips to measure on.

| name | layout | labels |
| --- | --- | --- |
| `camvid` | list file `<split>.txt` of images and labels | dense |
| `cityscapes` | `leftImg8bit_sequence` and `gtFine` | sparse: one frame of a clip; dense where all are labelled |
| `folders` | one folder of pictures per clip, one of labels beside it | either |
| `vspw` | list file `<split>.txt` of videos, `data/<video>/origin` and `mask` | dense |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from segtween.datasets.camvid import open_camvid
from segtween.datasets.cityscapes import open_cityscapes
from segtween.datasets.clips import Clip, ClipFrame, Dataset
from segtween.datasets.folders import open_folders
from segtween.datasets.vspw import open_vspw
from segtween.errors import DatasetError, unknown
from segtween.labels import LabelSet, label_set

__all__ = ["DATASETS", "WITHOUT_LABEL_SET", "Clip", "ClipFrame", "Dataset", "open_dataset"]


class Opener(Protocol):
    def __call__(self, root: Path, *, split: str, labels: LabelSet | None = None) -> Dataset: ...


DATASETS: dict[str, Opener] = {
    "camvid": open_camvid,
    "cityscapes": open_cityscapes,
    "folders": open_folders,
    "vspw": open_vspw,
}

WITHOUT_LABEL_SET = ("vspw",)
"""Layouts that do not say what their classes are called."""


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
    opened = DATASETS[name](root, split=split, labels=None if labels is None else label_set(labels))
    return replace(opened, folder=root.resolve().name)
