"""A person labels some frames of a video, every frame comes out labelled (docs/propagate.md)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from segtween.build import Processor, build_labelled, method
from segtween.datasets.labelled import LabelledFrames, open_labelled
from segtween.errors import LabelError, SettingError, SinkError
from segtween.interfaces import Sink
from segtween.run.single import Summary, run_source, write_json
from segtween.settings import Settings
from segtween.types import Frame, OutputReport, Progress, Result
from segtween.video import open_sinks, open_source
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


def propagate(
    source: str | Path,
    labels: str | Path,
    folder: str | Path,
    *,
    label_set: str | Path | None = None,
    ids: Literal["train", "dataset"] = "train",
    settings: Settings | None = None,
    save: Sequence[str] = ("overlay",),
    next_frames: int = 5,
    frame_rate: float | None = None,
    overwrite: bool = False,
    classes: Sequence[str] | None = None,
    threads: int = 0,
    progress: Progress | None = None,
) -> Propagated:
    """Labels for every frame of `source`, a video or a folder of images, from those in `labels` of some of its frames.

    `labels` is what `datasets.labelled.open_labelled` reads; `label_set` names their classes where they do not, and
    `ids` says what numbers stand in label images, read and written. `settings` chooses flow and cuts. The outputs are
    those of `run`, and `next.json`. Raises LabelError, DatasetError, SourceError, SinkError or SettingError.
    """
    if next_frames < 0:
        raise SettingError(f"{next_frames} frames to look at next", expected="0 or more", do="correct next_frames=")
    names = [p.stem for p in image_files(str(source))] if kind_of(str(source)) == "images" else None
    opened = open_source(source, threads=threads, frame_rate=frame_rate)
    try:
        info = opened.info
        if info.live:
            raise SettingError(
                f"{info.name} is live", expected="a video file or a folder of images", do="record it first"
            )
        given = open_labelled(
            Path(labels), size_hw=info.size_hw, frames=info.n_frames, names=names, labels=label_set, ids=ids
        )
        chosen = settings or Settings(offline=True)
        engine = build_labelled(given.labels, given.read, given.files, chosen, backend=Processor(threads))
        how = method(engine, name="propagate")
        sinks = open_sinks(
            folder,
            save=save,
            info=info,
            labels=given.labels,
            overwrite=overwrite,
            classes=classes,
            ids=ids,
            threads=threads,
        )
    except BaseException:
        opened.close()
        raise
    watched = _Watched(sinks)

    def write_next() -> list[Candidate]:
        candidates = look_next(watched.errors, given.files, names=names, count=next_frames)
        record = {"frames": [vars(c) for c in candidates], "labelled": list(given.files)}
        write_json(record, Path(folder) / NEXT_FRAMES)
        return candidates

    try:
        summary = run_source(engine, opened, watched, folder, method=how, interval=None, saved=save, progress=progress)
    except SinkError:
        with suppress(SinkError):
            write_next()
        raise
    candidates = write_next()
    beyond = [name for index, name in given.files.items() if index >= summary.frames]
    if beyond:
        raise LabelError(
            f"label file {beyond[0]} belongs to no frame",
            expected=f"the number of one of the {summary.frames} frames of the input, from 0",
            do="rename or remove it; the other labels were used",
        )
    return Propagated(summary, given, candidates)


class _Watched:
    """A sink that remembers how sure each frame is."""

    def __init__(self, inner: Sink) -> None:
        self._inner, self.errors = inner, list[float]()

    @property
    def report(self) -> OutputReport:
        return self._inner.report

    def write(self, frame: Frame, result: Result) -> None:
        self._inner.write(frame, result)
        self.errors.append(1.0 - float(result.confidence.mean()))

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
    """What was done, in lines for a person."""
    summary, given = done.summary, done.labelled
    lines = [f"{summary.input.name}: {summary.frames} frames from {len(given.files)} labelled ones"]
    if given.blank:
        lines.append(f"  {len(given.blank)} label files hold no class and count as not labelled")
    lines += [f"  {note}" for note in summary.outputs.notes]
    if done.candidates:
        lines.append("  look at these next (expected error, frames to the nearest label):")
        lines += [
            f"    frame {c.frame}{'' if c.name is None else f' ({c.name})'}: "
            f"{100 * c.expected_error:.0f}%, {c.frames_to_label}"
            for c in done.candidates
        ]
    return lines
