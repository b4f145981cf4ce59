"""Clips as plain folders: one folder of pictures per clip, and label images of the same names beside them.

<root>/<split>/frames/<clip>/<name>.png    (or .jpg; in natural order)
<root>/<split>/labels/<clip>/<name>.png    (for every frame: dense; for some: sparse)
<root>/labels.yaml                         (the label set, where none is given)
"""

from __future__ import annotations

from pathlib import Path

from segtween.datasets.clips import Clip, ClipFrame, Dataset
from segtween.errors import DatasetError
from segtween.labels import LabelSet, label_set
from segtween.texttable import natural_key

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")


def open_folders(root: Path, *, split: str, labels: LabelSet | None = None) -> Dataset:
    """The split's clips. Raises DatasetError for missing folders, clips without pictures and labels without one."""
    pictures, truths = root / split / "frames", root / split / "labels"
    if not pictures.is_dir():
        raise DatasetError(
            f"folder {pictures} is missing",
            expected="<root>/<split>/frames/<clip>/*.png",
            do="check root= and split=",
        )
    if labels is None:
        file = root / "labels.yaml"
        if not file.is_file():
            raise DatasetError(
                f"{root} has no label set", expected="labels.yaml in it", do="write one: names: [road, car, ...]"
            )
        labels = label_set(file)
    folders = sorted((p for p in pictures.iterdir() if p.is_dir()), key=natural_key)
    flows = root / split / "flow"
    clips = [clip_of_folders(f.name, f, truths / f.name, flows / f.name) for f in folders]
    return Dataset("folders", split, labels, clips)


def clip_of_folders(name: str, pictures: Path, truths: Path, flows: Path | None = None) -> Clip:
    """The pictures of a folder in natural order, with the label images and flows of the same names. DatasetError for no
    picture, and for a label image without one."""
    paths = sorted((p for p in pictures.iterdir() if p.suffix.lower() in PICTURES), key=natural_key)
    if not paths:
        raise DatasetError(
            f"clip folder {pictures} has no pictures",
            expected=f"files {', '.join(PICTURES)}",
            do="add some, or remove the folder",
        )
    labels = {p.stem: p for p in truths.glob("*.png")}
    lost = sorted(set(labels) - {p.stem for p in paths})
    if lost:
        raise DatasetError(
            f"label {labels[lost[0]]} has no picture",
            expected=f"a picture {lost[0]} in {pictures}",
            do="rename it, or add the picture",
        )
    flow = {} if flows is None else {p.stem: p for p in flows.glob("*.npz")}
    return Clip(name, tuple(ClipFrame(f"{name}/{p.stem}", p, labels.get(p.stem), flow.get(p.stem)) for p in paths))
