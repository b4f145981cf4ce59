"""Calibrating a model folder for int8: pictures from files, or made by the caller; ranges next to the record."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from segtween.errors import SettingError
from segtween.models.finding import find_record
from segtween.models.int8 import Int8Record, int8_path, save_int8
from segtween.models.records import ModelRecord
from segtween.models.weights import materialise
from segtween.runtimes.base import RuntimeOptions
from segtween.runtimes.openvino import OpenVinoRuntime, read_graph
from segtween.runtimes.quantise import folded, range_outputs, weights_digest
from segtween.segmenters.network import open_network, views
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


DIGITS = 6
"""Of the ends of a range: far finer than its 255 steps."""


def calibrate(
    record: ModelRecord, images: Iterable[Rgb], *, scale: float = 1.0, threads: int = 0, measured_on: Any = None
) -> Int8Record:
    """The lowest and highest value of all inputs of the network's convolutions, over all images (H, W, 3).

    They are measured in float32, resized as frames are. `measured_on` is kept with the record as what it was measured
    on. Raises SettingError without images, ModelError for a network without convolutions.
    """
    path = materialise(record)
    options = RuntimeOptions(threads=threads, called=record.called)
    runtime = OpenVinoRuntime(path, pixels=record.input, options=options, change=range_outputs)
    ends, count = np.empty((0, len(runtime.outputs)), np.float32), 0
    for image in images:
        count += 1
        for seen in views(record, image, scale=scale):
            found = np.array([float(v) for v in runtime.run(seen[None])], np.float32)
            ends = np.vstack([ends, found])
    if not len(ends):
        raise SettingError("no image to calibrate on", expected="at least one", do="give more with calibrate=")
    names = [name.removesuffix(" low") for name in runtime.outputs[::2]]
    limits = zip(names, ends[:, ::2].min(axis=0), ends[:, 1::2].max(axis=0), strict=True)
    ranges = {name: (_short(low), _short(high)) for name, low, high in limits}
    return Int8Record(ranges, weights_digest(folded(read_graph(path))), {"images": count, **(measured_on or {})})


def agreement(record: ModelRecord, images: Sequence[Rgb], *, threads: int = 0) -> float:
    """The share of cells, 0 to 1, where int8 and float32 have the same class. Raises SettingError without int8."""
    exact = open_network(record, precision="float32", threads=threads)
    rounded = open_network(record, precision="int8", threads=threads)
    same = [np.mean(exact(image).argmax(axis=0) == rounded(image).argmax(axis=0)) for image in images]
    return float(np.mean(same))


def _short(value: Any) -> float:
    return float(f"{value:.{DIGITS}g}")
