"""Clips to train on: where they lie, which frames end a chain, and reading them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from segtween.compat.swnet_seq.training.recipe import Clips
from segtween.datasets import Clip, ClipFrame, Dataset, open_dataset
from segtween.datasets.cityscapes import frames_before, void_ids
from segtween.datasets.reading import names_by_line, read_list, read_rgb
from segtween.errors import DatasetError, LabelError
from segtween.labels import LabelSet
from segtween.models.weights import sha256_of
from segtween.training.cache import new_folder, write_png
from segtween.training.data import below
from segtween.training.street import flow_file, render
from segtween.types import IGNORE, Flow, Labels, Rgb, SizeHW


@dataclass(frozen=True)
class ClipPool:
    """The clips of one source; `samples` are (clip, index) of every frame that can end the longest chain."""

    source: Clips
    labels: LabelSet
    clips: tuple[Clip, ...]
    samples: tuple[tuple[int, int], ...]
    dataset: Dataset | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def frames(self, item: int, length: int) -> tuple[ClipFrame, ...]:
        """Key frame to last frame of one sample's chain of `length` steps."""
        clip, last = self.samples[item]
        return tuple(self.clips[clip].frames[last - length : last + 1])

    def read_rgb(self, frame: ClipFrame) -> Rgb:
        return read_rgb(frame.image_path)

    def read_labels(self, frame: ClipFrame, *, size_hw: SizeHW) -> Labels:
        """(H, W) train ids, all 255 where there are none to learn from."""
        found = self.dataset.read_labels(frame, size_hw=size_hw) if self.dataset and self.has_labels else None
        return np.full(size_hw, IGNORE, np.uint8) if found is None else found

    @property
    def has_labels(self) -> bool:
        """Whether there are labels to learn from."""
        return self.dataset is not None and not self.source.label_free

    def labels_of(self, item: int) -> Labels:
        """(H, W) train ids of a sample's last frame."""
        (frame,) = self.frames(item, 0)
        return self.read_labels(frame, size_hw=self.read_rgb(frame).shape[:2])

    def read_flow(self, frame: ClipFrame) -> Flow | None:
        """(2, h, w) true flow of a rendered frame to the one before, in pixels of a grid of 1/8."""
        if self.source.kind != "street":
            return None
        flow: Flow = np.load(flow_file(frame.image_path)).astype(np.float32)
        return flow

    def listing_sha256(self) -> str:
        """Of the names and sizes of all files, in order."""
        digest = hashlib.sha256()
        for frame in (frame for clip in self.clips for frame in clip.frames):
            for path in (frame.image_path, frame.label_path):
                if path is not None:
                    digest.update(f"{frame.name} {path.name} {path.stat().st_size}\n".encode())
        return digest.hexdigest()


def open_clips(source: Clips, labels: LabelSet, *, longest: int, data_root: Path | None, cache: Path) -> ClipPool:
    """Find a source's clips; streets are rendered and videos decoded into `cache` where they are not there yet.

    DatasetError where a clip has fewer frames than the longest chain needs, or the labels are of another set.
    """
    if source.kind == "street":
        clips, dataset = _street(source, labels, cache)
    elif source.kind == "dataset":
        clips, dataset = _dataset(source, labels, data_root)
    elif source.kind == "list-clips":
        clips, dataset = _list_clips(source, labels, longest, data_root)
    else:
        clips, dataset = tuple(_video(_below(data_root, name, source), source, cache) for name in source.files), None
    if dataset is not None and dataset.labels.names != labels.names:
        raise LabelError(
            f"source {source.name!r} has the labels {dataset.labels.name}",
            expected=f"those of the segmenter, {labels.name}",
            do="choose another segmenter or another source",
        )
    samples = tuple((c, i) for c, clip in enumerate(clips) for i in _ends(clip, source, longest))
    if not samples:
        raise DatasetError(
            f"source {source.name!r} has no clip with a usable frame after {longest} others "
            f"(its longest clip has {max(map(len, clips), default=0)} frames)",
            expected=f"clips of at least {longest + 1} frames",
            do="shorten the recipe's chain, or give longer clips",
        )
    return ClipPool(source, labels, clips, samples, dataset)


def _ends(clip: Clip, source: Clips, longest: int) -> list[int]:
    known: Sequence[int] = clip.labelled
    if source.kind == "list-clips":
        known = [len(clip) - 1]
    elif source.label_free or source.kind == "video":
        known = range(len(clip))
    excluded = source.ranges
    names = [Path(frame.name).name for frame in clip.frames]
    return [i for i in known if i >= longest and not any(names[i] in e for e in excluded)]


_Opened = tuple[tuple[Clip, ...], Dataset | None]


def _street(source: Clips, labels: LabelSet, cache: Path) -> _Opened:
    pairs = render(source, labels, cache=cache, flow=True)
    frames = [ClipFrame(image.stem, image, label) for image, label in pairs]
    starts = range(0, len(frames), source.frames)
    clips = tuple(Clip(f"drive {source.seeds[0] + i}", frames[s : s + source.frames]) for i, s in enumerate(starts))
    return clips, Dataset("street", source.name, labels, clips)


def _dataset(source: Clips, labels: LabelSet, data_root: Path | None) -> _Opened:
    given = None if source.layout in ("camvid", "cityscapes") else labels
    root = _below(data_root, source.root, source)
    dataset = open_dataset(source.layout, root, split=source.split, labels=given)
    return tuple(dataset.clips), dataset


def _list_clips(source: Clips, labels: LabelSet, longest: int, data_root: Path | None) -> _Opened:
    path = _below(data_root, source.list, source)
    root = _below(data_root, source.root, source) if source.root else path.parent
    text = read_list(path, do="check its name and the data folder")
    clips = [
        _clip_before(_listed(root, names[0]), [_listed(root, name) for name in names[1:]], longest)
        for _, names in names_by_line(text, path, counts=(1, 2))
    ]
    _check_there(path, clips)
    if not any(clip.labelled for clip in clips):
        return tuple(clips), None
    void = void_ids(labels) if labels.name == "cityscapes19" else ()
    return tuple(clips), Dataset("list", path.name, labels, clips, None, void)


def _clip_before(image: Path, label: list[Path], longest: int) -> Clip:
    """The frames that end at a listed one."""
    before = frames_before(image, longest)
    if before is None:
        raise DatasetError(
            f"frame {image.name} has no number", expected="<name>_<number>_leftImg8bit.png", do="rename the frames"
        )
    last = ClipFrame(image.stem, image, label[0] if label else None)
    return Clip(image.stem, (*(ClipFrame(path.stem, path) for path in before), last))


def _check_there(listing: Path, clips: list[Clip]) -> None:
    paths = [p for clip in clips for f in clip.frames for p in (f.image_path, f.label_path) if p is not None]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        raise DatasetError(
            f"{listing} needs {len(missing)} files that are not there, first {missing[0]}",
            expected="each listed frame, its label and the frames before it",
            do="check that the data is whole",
        )


def _video(path: Path, source: Clips, cache: Path) -> Clip:
    if not path.is_file():
        raise DatasetError(f"video {path} is not found", expected="a video file", do="check its name and data_root=")
    folder = cache / f"video-{path.stem}-{source.size or 'own'}-{source.stride}-{sha256_of(path)[:12]}"
    if not folder.is_dir():
        with new_folder(folder) as part:
            _decode(path, source, part)
    return Clip(path.name, tuple(ClipFrame(f"{path.stem}_{p.stem}", p) for p in sorted(folder.glob("*.png"))))


def _decode(path: Path, source: Clips, folder: Path) -> None:
    """Every `stride`-th frame as a picture."""
    from segtween.video import open_source

    with closing(open_source(path)) as frames:
        for frame in frames:
            if frame.index % source.stride == 0:
                rgb = frame.rgb
                if source.size:
                    rgb = cv2.resize(rgb, source.size_hw[::-1], interpolation=cv2.INTER_AREA)
                write_png(folder / f"{frame.index:06d}.png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))


def _listed(root: Path, name: str) -> Path:
    """A list file's path: below the root, also where it begins with a slash, unless it is there as it stands."""
    path = Path(name)
    return path if path.is_absolute() and path.is_file() else root / name.lstrip("/")


def _below(data_root: Path | None, name: str, source: Clips) -> Path:
    return Path(name) if Path(name).is_absolute() else below(data_root, name, source.name)
