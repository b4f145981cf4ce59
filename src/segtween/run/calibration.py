"""Calibrating a model folder for int8: pictures from files, or made by the caller; ranges next to the record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from segtween.errors import SettingError
from segtween.models.finding import find_record
from segtween.models.int8 import Int8Record, int8_path, save_int8
from segtween.texttable import count
from segtween.types import Progress, Rgb, steps

CHECKED = 16
STREAM_STEP = 15

Pictures = Callable[[int], Iterable[Rgb]]
"""At most `count` pictures (H, W, 3)."""


@dataclass(frozen=True)
class Calibrated:
    """`agreement` is the share of cells with the same class as in float32, None where int8 cannot run here."""

    path: Path
    record: Int8Record
    agreement: float | None


def calibrate_folder(
    folder: str | Path,
    sources: Sequence[str],
    *,
    frames: int = 64,
    scale: float = 1.0,
    threads: int = 0,
    made: Mapping[str, Pictures] | None = None,
    progress: Progress | None = None,
) -> Calibrated:
    """Measure the ranges of the network in a model folder and write them beside its record.

    Each of `sources` is a folder, pattern or file of images, a video, or a name of `made`, whose pictures are made and
    not read; `frames` of each are taken, evenly spaced. Raises ModelError, and what `check_sources` raises.
    """
    known = made or {}
    check_sources(sources, frames=frames, made=known)
    from segtween.runtimes.openvino import int8_weight_bits
    from segtween.segmenters.calibrate import agreement, calibrate

    record, kept = find_record(folder), list[Rgb]()
    every = max(1, frames * len(sources) // CHECKED)
    step = steps(progress, frames * len(sources))

    def images() -> Iterator[Rgb]:
        for index, rgb in enumerate(chain.from_iterable(pictures(source, frames, known) for source in sources)):
            if index % every == 0:
                kept.append(rgb)
            yield rgb
            step()

    measured_on = {"sources": [source if source in known else _called(source) for source in sources]}
    found = calibrate(record, images(), scale=scale, threads=threads, measured_on=measured_on)
    save_int8(found, int8_path(record))
    same = agreement(record, kept, threads=threads) if int8_weight_bits() else None
    return Calibrated(int8_path(record), found, same)


def check_sources(sources: Sequence[str], *, frames: int, made: Iterable[str] = ()) -> None:
    """Raises SettingError for a number of frames that cannot be, SourceError for a source that cannot be opened."""
    if frames < 1:
        raise SettingError(
            f"{count(frames, 'frame')} to calibrate on", expected="1 or more", do="give calibrate_frames=64"
        )
    from segtween.video import open_source

    for source in sources:
        if source not in made and not _is_images(source):
            open_source(source).close()


def pictures(source: str, count: int, made: Mapping[str, Pictures]) -> Iterator[Rgb]:
    """At most `count` pictures of a source, evenly spaced. Of a stream, whose length is not known, every 15th frame."""
    if source in made:
        yield from made[source](count)
        return
    from segtween.video import open_source
    from segtween.video.images import read_image
    from segtween.video.inputs import image_files

    if _is_images(source):
        files = image_files(source)  # one by one: they need not have one size
        yield from (read_image(files[i]) for i in _spread(count, len(files)))
        return
    with closing(open_source(source)) as opened:
        total, every = opened.info.n_frames, (frame.rgb for frame in opened)
        if total is None:
            yield from islice(every, 0, STREAM_STEP * count, STREAM_STEP)
        else:
            wanted = set(_spread(count, total))
            yield from (rgb for index, rgb in enumerate(every) if index in wanted)


def _is_images(source: str) -> bool:
    """Whether it is images, of which there are any; SourceError where there should be."""
    from segtween.video.inputs import image_files, kind_of, split_clips

    return kind_of(source) == "images" and split_clips(source) == [source] and bool(image_files(source))


def _spread(count: int, total: int) -> list[int]:
    """`count` of the numbers below `total`, evenly spaced, or all of them."""
    return list(range(total)) if total <= count else [i * total // count for i in range(count)]


def _called(source: str) -> str:
    """A source's name without the folders above it."""
    path = Path(source)
    return "/".join(path.parts[-2:]) if path.is_dir() else path.name
