"""Inputs of every form, resolved once, and how each is opened with its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from segtween.errors import SourceError
from segtween.interfaces import Sink, Source
from segtween.labels import LabelSet
from segtween.metrics.consistency import ConsistencyMeter
from segtween.run.comparison import Comparison
from segtween.run.options import Outputs, Reading, Recorder
from segtween.video import NamedSource, open_sources
from segtween.video.inputs import as_frame_rate, kind_of, unique_names
from segtween.video.saving import open_sinks
from segtween.video.side_by_side import ComparedMethod

Input = str | Path | int | Source | NamedSource
"""A file, folder, pattern, camera number or name, stream address or `-`; an opened source, read as it is; or what
`video.open_sources` made of the former."""


def resolve(sources: Iterable[Input], reading: Reading, *, threads: int) -> list[NamedSource]:
    """Every clip of the inputs under a name of its own, as `video.open_sources` gives them; nothing is opened yet.

    Raises SettingError where there is no input.
    """
    given = list(sources)
    specs = [source for source in given if isinstance(source, (str, Path, int))]
    if len(specs) == len(given):
        return open_sources(specs, threads=threads, **reading.arguments())
    named = [item for source in given for item in _resolved(source, reading, threads)]
    names = unique_names(item.name for item in named)
    return [NamedSource(name, item.spec, item.open) for name, item in zip(names, named, strict=True)]


def resolve_one(source: Input, reading: Reading, *, threads: int) -> NamedSource:
    """The one clip of an input; SourceError where it stands for several."""
    found = resolve([source], reading, threads=threads)
    if len(found) > 1:
        raise SourceError(
            f"{source} holds {len(found)} videos",
            expected="one video",
            do="give one of them, or a list with it, which runs them all",
        )
    return found[0]


def note_on_rate(specs: Iterable[str], reading: Reading) -> str | None:
    """A line where a frame rate is given, which is for images, and one of the inputs is a video."""
    if reading.frame_rate is None or all(kind_of(spec) == "images" for spec in specs):
        return None
    return f"frame_rate={as_frame_rate(reading.frame_rate)} is for images; a video keeps its own times"


def _resolved(source: Input, reading: Reading, threads: int) -> list[NamedSource]:
    if isinstance(source, NamedSource):
        return [source]
    if isinstance(source, (str, Path, int)):
        return open_sources([source], threads=threads, **reading.arguments())
    return [NamedSource(source.info.name, source.info.path, lambda: source)]


@dataclass(frozen=True)
class Opened:
    """An input that can be read, and where its results go. A `meter` looks at every result too, in the thread that
    writes; so does a `comparison`, before the frame goes into the sink, and a `recorder`, which needs a meter, after
    that."""

    source: Source
    sink: Sink
    meter: ConsistencyMeter | None = None
    comparison: Comparison | None = None
    recorder: Recorder | None = None


@dataclass(frozen=True)
class Job:
    """One of the inputs of a session: its name, the folder of its outputs, and how it is opened.

    `open` may raise SourceError or SinkError, which ends this input alone, and others, which end all."""

    name: str
    folder: Path
    open: Callable[[], Opened]


def prepare_job(
    item: NamedSource, folder: Path, *, outputs: Outputs, labels: LabelSet, threads: int, caption: str = ""
) -> Job:
    """An input with its outputs in `folder`; `caption` is what a film that compares methods calls this one.

    Raises SettingError where the method to compare with gives its results late.
    """
    other = outputs.compare
    comparison = None if other is None else Comparison(other.engine, other.method, classes=len(other.labels))
    take = None if comparison is None else comparison.take
    compared = None if comparison is None else ComparedMethod(comparison.method.name, caption, comparison.take)
    meter = ConsistencyMeter(len(labels)) if outputs.report or outputs.recorder else None

    def opened() -> Opened:
        source = item.open()
        try:
            recorder = None if outputs.recorder is None else outputs.recorder(source.info, labels, take)
            films = {} if recorder is None else recorder.films()
            sink = open_sinks(
                folder, outputs, info=source.info, labels=labels, threads=threads, comparison=compared, films=films
            )
        except BaseException:
            source.close()
            raise
        return Opened(source, sink, meter, comparison, recorder)

    return Job(item.name, folder, opened)
