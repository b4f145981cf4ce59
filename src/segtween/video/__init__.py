"""Sources and sinks: pictures in, pictures and labels out.

The two tables name every kind; what a kind needs (PyAV, OpenCV) is imported when it is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, get_args

from segtween.errors import SettingError, SourceError
from segtween.interfaces import Source
from segtween.labels import PaletteName
from segtween.ops.threads import limit_threads
from segtween.video.inputs import SourceKind, clip_name, gather_images, kind_of, split_clips, unique_names

__all__ = [
    "SAVE_KINDS", "SOURCES", "NamedSource", "SaveKind", "SaveOptions", "open_source", "open_sources",
]  # fmt: skip

SaveKind = Literal[
    "overlay", "side-by-side", "labels", "labels-video", "confidence", "masks", "cutout", "cutouts", "mattes", "cvat",
    "cvat-images", "cvat-video", "coco", "coco-polygons", "yolo", "label-studio", "label-studio-video", "rrd",
]  # fmt: skip
SAVE_KINDS: tuple[SaveKind, ...] = get_args(SaveKind)
"""What can be saved; `saving.SAVINGS` says how."""

Rate = Fraction | float | str


def _images(spec: str, *, name: str | None, threads: int, motion_vectors: bool, **part: Any) -> Source:
    from segtween.video.images import ImageSource

    del threads, motion_vectors  # OpenCV reads one image at a time
    return ImageSource(spec, name=name, **part)


def _container(opener: str) -> Callable[..., Source]:
    def build(spec: str, *, name: str | None, **part: Any) -> Source:
        from segtween.video import devices
        from segtween.video.container import ContainerSource

        return ContainerSource(getattr(devices, opener)(spec, name=name), **part)

    return build


SOURCES: dict[SourceKind, Callable[..., Source]] = {
    "file": _container("open_file"),
    "images": _images,
    "camera": _container("open_camera"),
    "stream": _container("open_stream"),
    "stdin": _container("open_stdin"),
}
"""Every kind of source and its builder; `inputs.kind_of` says which one an input is."""


@dataclass(frozen=True)
class NamedSource:
    """An input under the name of its output folder. `open()` may raise SourceError: others still can be opened."""

    name: str
    spec: str
    open: Callable[[], Source]


def open_source(
    spec: str | Path | int,
    *,
    start_seconds: float = 0,
    duration_seconds: float | None = None,
    threads: int = 1,
    frame_rate: Rate | None = None,
    name: str | None = None,
    motion_vectors: bool = False,
) -> Source:
    """One clip: a video file, a folder, pattern or file of images, `camera:0`, a stream's address, `-`.

    `threads` decode and convert, 0 = as many as there are processors. `frame_rate` is the rate of
    images (25 unless given); for a video it stands in only where the rate is asked for, timestamps stay.
    `name` replaces the name made from `spec`. With `motion_vectors` frames have those of the video's coding, where the
    decoder gives them. Raises SourceError where there is nothing to read and
    SettingError for a start, duration or rate that cannot be.
    """
    if threads < 0:
        raise SettingError(f"threads={threads}", expected="0 (all) or more", do="correct the number")
    text = spec if isinstance(spec, str) else str(spec)  # an ImageList stays one
    clips = split_clips(text)
    if len(clips) > 1:
        raise SourceError(f"{text} holds {len(clips)} videos", expected="one video", do="give one of them")
    return SOURCES[kind_of(clips[0])](
        clips[0],
        name=name,
        start_seconds=start_seconds,
        duration_seconds=duration_seconds,
        threads=limit_threads(threads),
        frame_rate=frame_rate,
        motion_vectors=motion_vectors,
    )


def open_sources(inputs: Sequence[str | Path | int], **options: Any) -> list[NamedSource]:
    """Every clip of the inputs under a name of its own: the videos of a folder each count as one.

    Several image files of one folder are one clip, as a shell makes them of `frames/*.png`. Nothing is
    opened yet, so that one bad input does not stop the others. `options` are those of `open_source`,
    for all of them.
    """
    if not inputs:
        raise SettingError("no input", expected="at least one video, folder or stream", do="name one")
    clips = [clip for spec in gather_images([str(spec) for spec in inputs]) for clip in _clips_or_itself(spec)]
    names = unique_names(clip_name(clip) for clip in clips)

    def opener(clip: str, name: str) -> Callable[[], Source]:
        return lambda: open_source(clip, name=name, **options)

    return [NamedSource(name, clip, opener(clip, name)) for clip, name in zip(clips, names, strict=True)]


def _clips_or_itself(spec: str) -> list[str]:
    try:
        return split_clips(spec)
    except SourceError:
        return [spec]  # its turn to fail comes when it is opened


@dataclass(frozen=True)
class SaveOptions:
    """Which outputs a clip gets.

    save           any of `SAVE_KINDS`; frames.csv is always written
    overwrite      whether outputs that exist are replaced
    classes        names of the classes that are tinted, cut out and get masks; None: all
    ids            what label files hold: train ids, or the data set's own
    alpha          the share of the class's colour in a tinted pixel, 0..1
    outline        thin: a bright line between classes; none
    palette        the label set's usual colours, or colour-blind: ones that can be told apart with any colour vision
    background     what cut-outs are put before: a colour (`#00b140`, white), an image file, or blur; None: nothing
    unknown_below  labels of a lower confidence, 0..1, become ignore in all outputs
    """

    save: Sequence[str] = ("overlay",)
    overwrite: bool = False
    classes: Sequence[str] | None = None
    ids: Literal["train", "dataset"] = "train"
    alpha: float = 0.5
    outline: Literal["none", "thin"] = "thin"
    palette: PaletteName = "usual"
    background: str | Path | None = None
    unknown_below: float | None = None
