"""Cityscapes' sequence layout: clips of 30 frames at 17 Hz of which the 20th (index 19) is labelled.

    leftImg8bit_sequence/<split>/<city>/<city>_<sequence>_<frame>_leftImg8bit.png
    gtFine/<split>/<city>/<city>_<sequence>_<frame>_gtFine_labelIds.png

A clip whose frames are all labelled (synthetic ones) is dense; otherwise each labelled frame has a clip
of its own.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

from segtween.datasets.clips import Clip, ClipFrame, Dataset
from segtween.errors import DatasetError
from segtween.labels import CITYSCAPES19, LabelSet

IMAGES, LABELS, FLOW = "leftImg8bit_sequence", "gtFine", "flow"
LABELLED_INDEX = 19
CLIP_FRAMES = 30
FRAME_RATE = Fraction(17)
ALL_IDS = range(34)
"""labelIds of the whole data set; those that are no train id read as ignore."""

_NAME = re.compile(r"(?P<sequence>.+)_(?P<number>\d+)_leftImg8bit\.(png|jpg)")
_Numbered = dict[int, ClipFrame]


def open_cityscapes(root: Path, *, split: str, labels: LabelSet | None = None) -> Dataset:
    """The split's clips, by default with the 19 train classes.

    Raises DatasetError for missing folders and for labelled frames without their picture.
    """
    images, truths = root / IMAGES / split, root / LABELS / split
    for folder, what in ((images, "pictures"), (truths, "labels")):
        if not folder.is_dir():
            raise DatasetError(
                f"folder {folder} is missing", expected=f"the {what} of split {split!r}", do="check root= and split="
            )
    clips = [
        clip
        for city in sorted(p for p in images.iterdir() if p.is_dir())
        for clip in _city(city, truths / city.name, root / FLOW / split / city.name)
    ]
    known = labels or CITYSCAPES19
    return Dataset("cityscapes", split, known, clips, FRAME_RATE, void_ids(known))


def void_ids(labels: LabelSet) -> tuple[int, ...]:
    """The data set's ids that are no class of these."""
    return tuple(i for i in ALL_IDS if i not in labels.ids)


def _city(images: Path, truths: Path, flows: Path) -> list[Clip]:
    unmatched = {p.name for p in truths.glob("*_gtFine_labelIds.png")}
    with_flow = {p.name for p in flows.glob("*.npz")}
    sequences: dict[str, _Numbered] = {}
    for path in sorted(images.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match is None:
            continue
        name = f"{match['sequence']}_{match['number']}"
        truth, flow = f"{name}_gtFine_labelIds.png", f"{name}.npz"
        frame = ClipFrame(
            name, path, truths / truth if truth in unmatched else None, flows / flow if flow in with_flow else None
        )
        unmatched.discard(truth)
        sequences.setdefault(match["sequence"], {})[int(match["number"])] = frame
    if unmatched:
        example = min(unmatched)
        raise DatasetError(
            f"{len(unmatched)} label files in {truths} have no picture, such as {example}",
            expected=f"{example.replace('_gtFine_labelIds', '_leftImg8bit')} in {images}",
            do="download the sequences of this city completely",
        )
    return [clip for frames in sequences.values() for clip in _sequence(frames)]


def _sequence(frames: _Numbered) -> list[Clip]:
    """Runs of consecutive numbers: whole where every frame is labelled, else around each labelled frame."""
    clips = []
    run: list[ClipFrame] = []
    for number in sorted(frames):
        if run and number - 1 not in frames:
            clips += _run(run)
            run = []
        run.append(frames[number])
    return clips + _run(run)


def _run(run: list[ClipFrame]) -> list[Clip]:
    labelled = [i for i, frame in enumerate(run) if frame.label_path is not None]
    if len(labelled) == len(run):
        return [Clip(run[0].name, tuple(run))]
    return [
        Clip(run[i].name, tuple(_only_label(run, i)))
        for i in labelled  # frames without any label near them are of no use
    ]


def _only_label(run: list[ClipFrame], index: int) -> list[ClipFrame]:
    first, last = max(0, index - LABELLED_INDEX), min(len(run), index - LABELLED_INDEX + CLIP_FRAMES)
    return [
        frame if i == index else ClipFrame(frame.name, frame.image_path, None, frame.flow_path)
        for i, frame in enumerate(run[first:last], first)
    ]


# ── Which frames come before a frame, by the number in its name ──────────────────────────────


SINGLE = "leftImg8bit"
_NUMBERED = re.compile(r"(?P<before>.*?)(?P<number>\d+)(?P<after>(_leftImg8bit)?)")


def split_number(stem: str) -> tuple[str, int] | None:
    """The recording and the number of a frame's name without its ending; None without a number."""
    match = _NUMBERED.fullmatch(stem)
    return None if match is None else (match["before"], int(match["number"]))


def frames_before(image: Path, count: int) -> list[Path] | None:
    """Where the `count` frames before `image` should lie, in order of time; they may be missing.

    Numbers count on by 1, or by 2 where a recording beside it has every second number only (CamVid at 15 Hz). A frame
    of Cityscapes' folder of single pictures has its predecessors among the sequences. None for a name without a
    number.
    """
    match = _NUMBERED.fullmatch(image.stem)
    if match is None:
        return None
    number, digits = int(match["number"]), len(match["number"])

    def at(back: int) -> Path:
        # A number below 0 stays as it is: no file has such a name.
        name = f"{match['before']}{number - back:0{digits}d}{match['after']}{image.suffix}"
        path = image.with_name(name)
        parts = [IMAGES if part == SINGLE else part for part in path.parts]
        return path if path.is_file() or SINGLE not in path.parts else Path(*parts)

    second = at(2).is_file() and not at(1).is_file() and not at(3).is_file()
    return [at(back * (2 if second else 1)) for back in range(count, 0, -1)]
