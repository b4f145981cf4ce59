"""Labels of some frames of a video, made by a person, are propagated to every frame (docs/propagate.md)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from segtween.build import Processor, build_labelled, method
from segtween.datasets.labelled import LabelledFrames, open_labelled
from segtween.errors import LabelError, SettingError, SinkError
from segtween.flow import reads_vectors
from segtween.interfaces import Sink
from segtween.run.ending import write_json
from segtween.run.inputs import Job, Opened, prepare_job, resolve_one
from segtween.run.options import Outputs, Reading
from segtween.run.session import Labelling, run_one
from segtween.run.summary import Summary
from segtween.settings import Bidirectional, Settings
from segtween.texttable import count
from segtween.types import Frame, OutputReport, Progress, Result
from segtween.video.inputs import image_files, kind_of

NEXT_FRAMES = "next.json"


@dataclass(frozen=True)
class Candidate:
    """A frame to look at, or to label, next. `expected_error` is 1 - its mean confidence, 0..1; `frames_to_label`
    counts to the nearest labelled frame."""

    frame: int
    name: str | None
    expected_error: float
    frames_to_label: int


@dataclass(frozen=True)
class Propagated:
    """What was done: the run's summary, the frames that were labelled, and those to look at next, worst first."""

    summary: Summary
    labelled: LabelledFrames
    candidates: list[Candidate]


@dataclass(frozen=True)
class Labelled:
    """How somebody's labels are read and propagated.

    label_set    names their classes where the labels do not
    settings     flow and cuts
    next_frames  how many frames are named to look at next
    reading      which part of the input is read; it begins at the first frame, which labels are numbered from
    threads      0 uses every processor
    """

    label_set: str | Path | None = None
    settings: Settings = field(default_factory=lambda: Settings(Bidirectional()))
    next_frames: int = 5
    reading: Reading = field(default_factory=Reading)
    threads: int = 0

    def __post_init__(self) -> None:
        if self.next_frames < 0:
            raise SettingError(
                f"{count(self.next_frames, 'frame')} to look at next", expected="0 or more", do="correct next_frames"
            )
        if self.reading.start_seconds:
            raise SettingError(
                f"start_seconds={self.reading.start_seconds:g}",
                expected="0, because labels are numbered from the first frame",
                do="leave it out",
            )


def propagate(
    source: str | Path,
    labels: str | Path,
    folder: str | Path,
    *,
    how: Labelled | None = None,
    outputs: Outputs | None = None,
    progress: Progress | None = None,
) -> Propagated:
    """Labels for every frame of `source`, a video or a folder of images, from those in `labels` of some of its frames.

    `labels` is what `datasets.labelled.open_labelled` reads; the `ids` of `outputs` say what numbers stand in label
    images, read and written. The outputs are those of `run`, and `next.json`. Raises LabelError, DatasetError,
    SourceError, SinkError or SettingError.
    """
    how, outputs = how or Labelled(), outputs or Outputs()
    reading = replace(how.reading, motion_vectors=reads_vectors(how.settings.flow.name))
    named = resolve_one(source, reading, threads=how.threads)
    names = [p.stem for p in image_files(named.spec)] if kind_of(named.spec) == "images" else None
    opened = named.open()
    try:
        info = opened.info
        if info.live:
            raise SettingError(
                f"{info.name} is live", expected="a video file or a folder of images", do="record it first"
            )
        given = open_labelled(
            Path(labels), size_hw=info.size_hw, frames=info.n_frames, names=names, labels=how.label_set, ids=outputs.ids
        )
        backend = Processor(how.threads)
        engine = build_labelled(given.labels, given.read, given.files, how.settings, backend=backend)
        labelling = Labelling(method(engine, name="propagate"), None, tuple(outputs.save))
        one = replace(named, open=lambda: opened)
        job = prepare_job(one, Path(folder), outputs=outputs, labels=given.labels, threads=how.threads)
    except BaseException:
        opened.close()
        raise
    errors, job = _with_errors(job)

    def write_next() -> list[Candidate]:
        candidates = look_next(errors, given.files, names=names, count=how.next_frames)
        record = {"frames": [vars(c) for c in candidates], "labelled": list(given.files)}
        write_json(record, Path(folder) / NEXT_FRAMES)
        return candidates

    try:
        summary = run_one(engine, job, labelling, progress=progress)
    except SinkError:
        if errors:  # frames were written
            with suppress(SinkError):
                write_next()
        raise
    candidates = write_next()
    _check_within(given.files, summary.frames)
    return Propagated(summary, given, candidates)


def _check_within(files: Mapping[int, str], frames: int) -> None:
    beyond = [name for index, name in files.items() if index >= frames]
    if beyond:
        raise LabelError(
            f"label file {beyond[0]} belongs to no frame",
            expected=f"the number of one of the {count(frames, 'frame')} of the input, from 0",
            do="rename or remove it; the other labels were used",
        )


def _with_errors(job: Job) -> tuple[list[float], Job]:
    """The same job, and a list that gets the expected error of each of its frames as it is written."""
    errors = list[float]()

    def opened() -> Opened:
        found = job.open()
        return replace(found, sink=_Watched(found.sink, errors))

    return errors, replace(job, open=opened)


class _Watched:
    """A sink that notes each frame's expected error, 1 - its mean confidence."""

    def __init__(self, inner: Sink, errors: list[float]) -> None:
        self._inner, self._errors = inner, errors

    @property
    def report(self) -> OutputReport:
        return self._inner.report

    def write(self, frame: Frame, result: Result) -> None:
        self._inner.write(frame, result)
        self._errors.append(1.0 - result.mean_confidence)

    def close(self) -> None:
        self._inner.close()

    def abort(self) -> None:
        self._inner.abort()


def look_next(
    errors: Sequence[float], labelled: Collection[int], *, names: Sequence[str] | None = None, count: int = 5
) -> list[Candidate]:
    """The `count` frames with the largest expected error (0..1), spread out.

    One after the other: whoever is chosen lowers the errors around it, from 0 at the frame itself to nothing as many
    frames away as the farthest frame is from a label now, because its label would help there.
    """
    away = [min((abs(i - k) for k in labelled), default=len(errors)) for i in range(len(errors))]
    reach = max([2, *away])
    left = [0.0 if i in set(labelled) else float(error) for i, error in enumerate(errors)]
    chosen: list[Candidate] = []
    for _ in range(count):
        worst = max(range(len(left)), key=left.__getitem__, default=None)
        if worst is None or left[worst] <= 0:
            break
        name = names[worst] if names is not None and worst < len(names) else None
        chosen.append(Candidate(worst, name, round(errors[worst], 4), away[worst]))
        left = [error * min(1.0, abs(i - worst) / reach) for i, error in enumerate(left)]
    return chosen


def report(done: Propagated) -> list[str]:
    summary, given = done.summary, done.labelled
    lines = [f"{summary.input.name}: {count(summary.frames, 'frame')} from {count(len(given.files), 'labelled one')}"]
    if given.blank:
        lines.append(f"  {count(len(given.blank), 'label file')} without a class, not labelled")
    lines += [f"  {note}" for note in summary.outputs.notes]
    if done.candidates:
        lines.append("  look at these next (expected error, frames to the nearest label):")
        lines += [
            f"    frame {c.frame}{'' if c.name is None else f' ({c.name})'}: "
            f"{100 * c.expected_error:.0f}%, {c.frames_to_label}"
            for c in done.candidates
        ]
    return lines
