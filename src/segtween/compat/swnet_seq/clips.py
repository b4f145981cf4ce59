"""Which clips are measured or predicted: from list files, or from the folders of a data set."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from segtween.compat.swnet_seq.flags import Options, data_root
from segtween.datasets import Clip, ClipFrame, Dataset, open_dataset
from segtween.datasets.camvid import equal_runs
from segtween.datasets.cityscapes import IMAGES, frames_before, split_number, void_ids
from segtween.datasets.reading import names_by_line, read_list
from segtween.errors import DatasetError, SettingError
from segtween.labels import CAMVID11, CITYSCAPES19, LabelSet
from segtween.texttable import natural_key
from segtween.video.inputs import IMAGE_SUFFIXES


@dataclass(frozen=True)
class Layout:
    """What `--dataset` stands for. `prefix` begins the names of weight files."""

    prefix: str
    folders: str
    labels: LabelSet

    @property
    def void_ids(self) -> tuple[int, ...]:
        return void_ids(self.labels) if self.folders == "cityscapes" else ()


LAYOUTS = {
    "cityscapes_2k": Layout("cityscapes", "cityscapes", CITYSCAPES19),
    "camvid": Layout("camvid", "camvid", CAMVID11),
}


def need_root(options: Options) -> Path:
    """The data folder; SettingError where it was not given or is none."""
    root = data_root(options)
    if root is None:
        raise SettingError(
            "no data folder", expected="--data-root FOLDER", do="give it, or set SEGTWEEN_DATA to the folder"
        )
    if not root.is_dir():
        raise SettingError(f"--data-root {root}", expected="a folder", do="check the path")
    return root


def labelled_clips(options: Options, *, split: str, listing: str, before: int) -> Dataset:
    """Clips with `before` frames or more before a labelled frame, from a list file or the split's folders.

    Raises DatasetError for a list that names missing frames and for clips that are too short.
    """
    layout = LAYOUTS[options.dataset]
    if listing:
        clips = clips_of_list(Path(listing), data_root(options), before=before)
        named = Path(listing).stem
    else:
        found = open_dataset(layout.folders, need_root(options), split=split, labels=layout.labels)
        clips, named = [_with_frames_before(clip, before, layout) for clip in found.clips], split
    for clip in clips:
        _check_length(clip, before)
    return Dataset(options.dataset, named, layout.labels, clips, None, layout.void_ids)


def split_exists(options: Options, split: str) -> bool:
    root = need_root(options)
    if LAYOUTS[options.dataset].folders == "cityscapes":
        return (root / IMAGES / split).is_dir()
    return (root / f"{split}.txt").is_file()


def clips_of_list(path: Path, root: Path | None, *, before: int, labels: bool = True) -> list[Clip]:
    """One clip per line `image label`: the image with the `before` frames whose numbers come before its own."""
    clips = []
    text = read_list(path, do="check the path")
    for where, names in names_by_line(text, path, counts=(2,) if labels else (1, 2)):
        image = _find(names[0], path, root, where)
        label = _find(names[1], path, root, where) if labels else None
        frames = _frames_before(image, before, where=where)
        clips.append(Clip(_name(image), (*frames, ClipFrame(_name(image), image, label))))
    if not clips:
        raise DatasetError(f"list file {path} names no frame", expected="lines of `image label`", do="add some")
    return clips


def unlabelled_clips(options: Options) -> list[Clip]:
    """Clips for inference: of `--test-list`, of the split's folders, or the folders of pictures in `--data-root`."""
    layout = LAYOUTS[options.dataset]
    if options.test_list:
        path, root = Path(options.test_list), data_root(options)
        return clips_of_list(path, root, before=options.longest, labels=False)
    root = need_root(options)
    top = root / IMAGES if layout.folders == "cityscapes" else root
    split = options.split or _only_split(top, default="test")
    inside = top / split
    if options.split and not inside.is_dir():
        raise DatasetError(f"folder {inside} is missing", expected="the pictures of that split", do="check --split")
    start = inside if inside.is_dir() else root
    clips = [clip for folder in (start, *_folders(start)) for clip in _runs(folder)]
    if not clips:
        raise DatasetError(
            f"{start} holds no pictures",
            expected=f"{IMAGES}/<split>/<city>/*.png, or folders of pictures",
            do="check --data-root and --split",
        )
    return clips


def _only_split(top: Path, *, default: str) -> str:
    names = [p.name for p in _folders(top) if p.name in ("train", "val", "test")]
    return default if default in names or len(names) != 1 else names[0]


def _folders(folder: Path) -> list[Path]:
    return sorted((p for p in folder.iterdir() if p.is_dir()), key=natural_key) if folder.is_dir() else []


def _runs(folder: Path) -> list[Clip]:
    """The pictures of one folder, cut into clips where the recording changes or numbers are left out."""
    recordings: dict[str, list[tuple[int, ClipFrame]]] = {}
    pictures = [p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES]
    for i, path in enumerate(sorted(pictures, key=natural_key)):
        recording, number = split_number(path.stem) or ("", i)
        recordings.setdefault(recording, []).append((number, ClipFrame(_name(path), path)))
    clips = []
    for members in recordings.values():
        members.sort(key=lambda member: member[0])
        for first, last in equal_runs([number for number, _ in members]):
            frames = tuple(frame for _, frame in members[first:last])
            clips.append(Clip(frames[0].name, frames))
    return clips


def _name(image: Path) -> str:
    return image.stem.removesuffix("_leftImg8bit")


def _find(name: str, listing: Path, root: Path | None, where: str) -> Path:
    """A file of a list: absolute, below the data folder, or beside the list."""
    places = [Path(name)] if Path(name).is_absolute() else [p / name for p in (root, listing.parent) if p is not None]
    for path in places:
        if path.is_file():
            return path
    raise DatasetError(
        f"{where}: {name} is missing", expected=f"it at {places[0]}", do="check --data-root and the list"
    )


def _frames_before(image: Path, before: int, *, where: str) -> list[ClipFrame]:
    paths = frames_before(image, before)
    if paths is None:
        raise DatasetError(
            f"{where}: {image.name} has no frame number", expected="a number at the end of its name", do="rename it"
        )
    for k, path in zip(range(before, 0, -1), paths, strict=True):
        if not path.is_file():
            raise DatasetError(
                f"{where}: {path} is missing, {k} before {image.name}",
                expected=f"the {before} frames before each labelled one",
                do="add them, or give shorter steps",
            )
    return [ClipFrame(_name(path), path) for path in paths]


def _with_frames_before(clip: Clip, before: int, layout: Layout) -> Clip:
    """A clip of one labelled frame with the frames before it that lie in its folder: CamVid as it is distributed."""
    if layout.folders != "camvid" or len(clip) != 1 or before == 0:
        return clip
    frame = clip.frames[0]
    return replace(clip, frames=(*_frames_before(frame.image_path, before, where=clip.name), frame))


def _check_length(clip: Clip, before: int) -> None:
    found = max(clip.labelled, default=0)
    if found < before:
        raise DatasetError(
            f"clip {clip.name} has {found} frame{'' if found == 1 else 's'} before its last labelled one",
            expected=f"{before} or more, as the longest step asks for",
            do="give shorter steps (--eval-multi-step, --multi-step), or leave the clip out with a list file",
        )
