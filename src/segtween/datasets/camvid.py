"""CamVid's layout: `<split>.txt` in the root, one line `image label` per frame, paths relative to the root.

Frames named `<scene>_<number>` that follow each other at one spacing make a clip (`0016E5_07959`,
`0016E5_07961`, ...: spacing 2). Every listed frame has a label, so the labels are dense.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from segtween.datasets.clips import Clip, ClipFrame, Dataset
from segtween.datasets.reading import names_by_line, read_listing
from segtween.errors import DatasetError
from segtween.labels import CAMVID11, LabelSet

CAMERA_RATE = 30
"""CamVid's frames are numbered at 30 Hz."""

_NAME = re.compile(r"(.*?)_?f?(\d+)")


def open_camvid(root: Path, *, split: str, labels: LabelSet | None = None) -> Dataset:
    """The clips that `<root>/<split>.txt` lists, by default with CamVid's 11 classes.

    Raises DatasetError for a missing list, a line without two names and files that are not there.
    """
    listing = root / f"{split}.txt"
    frames = _read_list(root, split, listing)
    clips, spacing = _clips(frames, listing)
    rate = Fraction(CAMERA_RATE, spacing) if spacing else None
    return Dataset("camvid", split, labels or CAMVID11, clips, rate)


def _read_list(root: Path, split: str, listing: Path) -> list[ClipFrame]:
    frames = []
    for place, names in names_by_line(read_listing(root, split), listing):
        image, label = (_find(root, name, where=place) for name in names)
        flow = root / "flow" / f"{image.stem}.npz"
        frames.append(ClipFrame(image.stem, image, label, flow if flow.is_file() else None))
    return frames


def _find(root: Path, name: str, *, where: str) -> Path:
    """The file as listed; or, for lists made on another machine, its last two parts under the root."""
    for path in (root / name.lstrip("/"), root.joinpath(*Path(name).parts[-2:])):
        if path.is_file():
            return path
    raise DatasetError(f"{where}: {name} is missing", expected=f"that file under {root}", do="check the root and list")


def _clips(frames: Sequence[ClipFrame], listing: Path) -> tuple[list[Clip], int | None]:
    """Clips in order of their first mention, and the spacing of the longest one."""
    scenes: dict[str, list[tuple[int, ClipFrame]]] = {}
    for frame in frames:
        match = _NAME.fullmatch(frame.name)
        scene, number = (match[1], int(match[2])) if match else (frame.name, 0)
        scenes.setdefault(scene, []).append((number, frame))
    clips, longest, spacing = [], 1, None
    for scene, members in scenes.items():
        members.sort(key=lambda member: member[0])
        numbers = [number for number, _ in members]
        repeated = next((a for a, b in pairwise(numbers) if a == b), None)
        if repeated is not None:
            raise DatasetError(
                f"{listing} lists frame {repeated} of {scene!r} twice", expected="each frame once", do="correct it"
            )
        for first, last in equal_runs(numbers):
            part = tuple(frame for _, frame in members[first:last])
            clips.append(Clip(part[0].name if last - first < len(members) else scene or part[0].name, part))
            if len(part) > longest:
                longest, spacing = len(part), numbers[first + 1] - numbers[first]
    return clips, spacing


def equal_runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Cuts rising numbers into runs of equal spacing, as (first, last + 1), the longest runs first served.

    Two numbers alone make a run only at a spacing that a longer run has too, or at 1: a gap is no clip.
    """
    gaps = [b - a for a, b in pairwise(numbers)]
    stretches, start = [], 0
    for i in range(1, len(gaps) + 1):
        if i == len(gaps) or gaps[i] != gaps[start]:
            stretches.append((start, i + 1))  # frames start..i
            start = i
    usual = {1, *(gaps[first] for first, last in stretches if last - first > 2)}
    taken, runs = [False] * len(numbers), []
    for first, last in sorted(stretches, key=lambda s: (s[0] - s[1], s[0])):
        first, last = first + taken[first], last - taken[last - 1]
        if last - first > 2 or (last - first == 2 and gaps[first] in usual):
            runs.append((first, last))
            taken[first:last] = [True] * (last - first)
    return sorted(runs + [(i, i + 1) for i, done in enumerate(taken) if not done])
