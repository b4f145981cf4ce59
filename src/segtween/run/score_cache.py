"""A network's scores, stored once, so that sweeps over the method need not run it again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

from segtween.datasets import Dataset
from segtween.errors import SettingError
from segtween.interfaces import Segmenter, Source, select
from segtween.segmenters.score_file import ScoresWriter, Stored
from segtween.texttable import count
from segtween.types import Progress, Rgb, size_of, steps
from segtween.video.interrupt import Interrupts
from segtween.video.staging import Staged, check_writable, refuse_existing, sink_errors

Named = tuple["str | None", Rgb]
"""A frame's name (None: it goes by its index) and its picture."""


def export_scores(
    segmenter: Segmenter,
    frames: Iterable[Named],
    target: str | Path,
    *,
    total: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Stored:
    """Runs the network on every frame and writes its scores as `target` (.npz), streaming, all or nothing.

    Ctrl-C and SIGTERM keep the frames so far. Raises SinkError for a target that exists or cannot be written,
    SettingError for one that is no .npz, ScoresError for scores that change their grid.
    """
    path = check_target(target, overwrite=overwrite)
    staged = Staged(path)
    with sink_errors(path):
        writer = ScoresWriter(staged.part, labels=segmenter.labels, network=segmenter.describe())
    interrupts = Interrupts()
    try:
        try:
            _run(segmenter, frames, writer, staged, total, progress, interrupts)
        except KeyboardInterrupt:
            if len(writer):
                with interrupts.held():
                    _finish(writer, staged)
            raise
        with interrupts.held():
            stored = _finish(writer, staged)
    finally:
        writer.abort()
        if not staged.committed:
            staged.discard()
    interrupts.raise_if_asked()
    return stored


def _finish(writer: ScoresWriter, staged: Staged) -> Stored:
    with sink_errors(staged.target):
        stored = writer.close()
    staged.commit()
    return stored


def _run(
    segmenter: Segmenter,
    frames: Iterable[Named],
    writer: ScoresWriter,
    staged: Staged,
    total: int | None,
    progress: Progress | None,
    interrupts: Interrupts,
) -> None:
    step = steps(progress, total)
    for index, (name, rgb) in enumerate(frames):
        select(segmenter, index if name is None else name)
        scores = segmenter(rgb)
        with sink_errors(staged.target), interrupts.held():
            writer.add(scores, size_hw=size_of(rgb), name=name)
        interrupts.raise_if_asked()
        step()


def check_target(target: str | Path, *, overwrite: bool) -> Path:
    """The path, if scores may be written there."""
    path = Path(target)
    if path.suffix.lower() != ".npz":
        raise SettingError(f"scores file {path}", expected="a name that ends in .npz", do=f"give {path.stem}.npz")
    refuse_existing(path, overwrite=overwrite)
    check_writable(path)
    return path


def names_of(dataset: Dataset, *, before: int | None = None) -> list[str]:
    """The frames that `dataset_frames` gives."""
    return [name for name, _ in _chosen(dataset, before)]


def dataset_frames(dataset: Dataset, *, before: int | None = None) -> Iterator[Named]:
    """Every frame of every clip, once. `before` with sparse labels: only this many frames before each labelled one."""
    for name, read in _chosen(dataset, before):
        yield name, read()


def source_frames(source: Source) -> Iterator[Named]:
    """The frames of a video, by index; closes it."""
    with closing(source):
        yield from ((None, frame.rgb) for frame in source)


def _chosen(dataset: Dataset, before: int | None) -> list[tuple[str, Callable[[], Rgb]]]:
    if before is not None and before < 0:
        raise SettingError(
            f"{count(before, 'frame')} before each label", expected="0 or more", do="give a larger number"
        )
    chosen: dict[str, Callable[[], Rgb]] = {}
    for clip in dataset.clips:
        wanted: Iterable[int] = range(len(clip))
        if before is not None and not dataset.is_dense:
            wanted = sorted({i for last in clip.labelled for i in range(max(0, last - before), last + 1)})
        for i in wanted:
            frame = clip.frames[i]
            chosen.setdefault(frame.name, lambda frame=frame: dataset.read_rgb(frame))  # type: ignore[misc]
    return list(chosen.items())
