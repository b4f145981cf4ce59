"""VSPW's layout (Miao et al.: VSPW, CVPR 2021): every frame of every video labelled, at 15 Hz.

<split>.txt                         one video per line
data/<video>/origin/<frame>.jpg
data/<video>/mask/<frame>.png       palette PNG of ids: 1..124 classes, 0 and 255 void
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from segtween.datasets.clips import Clip, Dataset
from segtween.datasets.folders import clip_of_folders
from segtween.datasets.reading import read_listing
from segtween.errors import DatasetError
from segtween.labels import LABEL_SETS, LabelSet

VOID = 0
"""Written where none of the classes is; a label set may use the id nevertheless."""
FRAME_RATE = Fraction(15)


def open_vspw(root: Path, *, split: str, labels: LabelSet | None = None) -> Dataset:
    """The videos that `<root>/<split>.txt` lists.

    Without `labels` the classes are those of `vspw124`, where id 1 is train id 0. Raises DatasetError for a missing
    list, a listed video that is not there or has no pictures, and masks without a picture.
    """
    known = labels or LABEL_SETS["vspw124"]
    clips = [_clip(root, video) for video in _read_list(root, split)]
    return Dataset("vspw", split, known, clips, FRAME_RATE, () if VOID in known.ids else (VOID,))


def _read_list(root: Path, split: str) -> list[str]:
    listing, videos = root / f"{split}.txt", read_listing(root, split).split()
    repeated = next((video for i, video in enumerate(videos) if video in videos[:i]), None)
    if repeated is not None:
        raise DatasetError(f"{listing} lists video {repeated!r} twice", expected="each video once", do="correct it")
    return videos


def _clip(root: Path, video: str) -> Clip:
    pictures, masks = root / "data" / video / "origin", root / "data" / video / "mask"
    if not pictures.is_dir():
        raise DatasetError(
            f"video {video!r} has no folder {pictures}",
            expected="data/<video>/origin/*.jpg for every video of the list",
            do="check the list and the download",
        )
    return clip_of_folders(video, pictures, masks)
