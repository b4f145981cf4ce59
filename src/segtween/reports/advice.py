"""Advice for one video and one network, without labels: how well each way to run agrees with the network on every
frame, and how fast it is.

Clips from all over the video are labelled by the plain network and, at the same time, by every candidate. A candidate's
key frames take the network's scores as they are there already, and its time as measured there: so the network runs once
per frame, however many candidates there are. Agreement is not accuracy: where the network flickers, a steadier method
disagrees with it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from segtween.bench.machine import processor_name
from segtween.bench.plan import refuse_stored
from segtween.bench.report import Report, versions
from segtween.build import Backend, Processor, build_engine, build_every_frame, method
from segtween.errors import SettingError
from segtween.evaluation.sharing import FrameScores
from segtween.interfaces import Engine, Segmenter, notes_of
from segtween.metrics.segmentation import class_iou, confusion, overlap
from segtween.settings import Settings, change, find_preset
from segtween.texttable import TextTable, count, ordinal
from segtween.types import BOTH_SIDES, Labels, Progress, Result, Rgb, SizeHW, format_size
from segtween.video import open_source
from segtween.video.inputs import kind_of

METHODS = (("composed", "causal"), ("composed", "bidirectional"))
INTERVALS = (1, 2, 4, 9, 14)
CLIP, SHORT_CLIP = 31, 16
"""Frames of a clip: whole periods of the intervals, of most of them where the network is slow, and a last key frame."""
MOST_CLIPS = 8
LEAST_FRAMES = 4
TOLERANCE = 0.05
RARE = 0.001
"""Classes with a smaller share of the network's labels do not count: of a few pixels, agreement says nothing."""
AS_FAST = 0.9
"""What is at least so fast as the fastest counts as fast; of these the one that agrees best is recommended."""
WORTH = 1.2
"""Times as fast as the network on every frame, below which propagation is not worth it."""


@dataclass(frozen=True)
class Request:
    """What is asked: about the video, in roughly `seconds`; speed may cost so much agreement as the `tolerance` says,
    0..1. SettingError for what cannot be."""

    video: str
    seconds: float = 60.0
    tolerance: float = TOLERANCE
    threads: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.seconds <= 86400:
            raise SettingError(
                f"seconds={self.seconds}", expected="a number above 0, at most a day", do="give seconds=60"
            )
        if not 0 <= self.tolerance < 1:
            raise SettingError(
                f"tolerance={self.tolerance}", expected="agreement that speed may cost, 0 or more, below 1",
                do="give tolerance=0.05",
            )  # fmt: skip
        if (kind := kind_of(self.video)) not in ("file", "images"):
            raise SettingError(
                f"advice on {self.video} ({kind})",
                expected="a file or images: clips are taken from all over it",
                do="record a minute of it first, and give that file",
            )


class Candidate:
    """One way to run, and what was measured of it. Its own times lack the network's, which runs once for all."""

    def __init__(self, preset: str, interval: int, settings: Settings, engine: Engine, *, classes: int) -> None:
        self.preset, self.interval, self.engine = preset, interval, engine
        self.mode = "offline" if settings.is_bidirectional else "online"
        self._name = f"{preset}{BOTH_SIDES if settings.is_bidirectional else ''}"
        self._classes, self._waiting = classes, deque[Labels]()
        self.forget()

    def forget(self) -> None:
        """What was measured so far."""
        self._confusion = np.zeros((self._classes, self._classes + 1), np.int64)
        self._key_ms, self._other_ms = list[float](), list[float]()

    def push(self, rgb: Rgb, network: Labels) -> None:
        self._waiting.append(network)
        self._note(self.engine.push(rgb))

    def finish(self) -> None:
        """After a clip's last frame."""
        self._note(self.engine.finish())
        self.engine.reset()

    def _note(self, results: Sequence[Result]) -> None:
        for result in results:
            self._confusion += confusion(result.labels, self._waiting.popleft(), classes=self._classes)
            ms = sum(value for stage, value in result.stages_ms.items() if stage != "segment")
            (self._key_ms if result.is_key else self._other_ms).append(ms)

    def figures(self, *, network_ms: float, plain_ms: float) -> dict[str, Any]:
        """`network_ms` is what the network takes, `plain_ms` all of a frame that it labels alone."""
        key = network_ms + float(np.median(self._key_ms))
        other = float(np.median(self._other_ms)) if self._other_ms else key  # every frame was a cut, and a key frame
        ms = (key + self.interval * other) / (self.interval + 1)
        overlaps = overlap(self._confusion)
        counts = overlaps[2] >= RARE * overlaps[2].sum()
        ious = np.where(counts, class_iou(overlaps), np.inf)
        return {
            "preset": self.preset,
            "mode": self.mode,
            "interval": self.interval,
            "agreement": float(ious[counts].mean()),
            "pixels": float(np.trace(self._confusion) / self._confusion.sum()),
            "worst_class": int(ious.argmin()),
            "worst_class_iou": float(ious.min()),
            "ms_per_frame": ms,
            "key_frame_ms": key,
            "other_frame_ms": other,
            "times_faster": plain_ms / ms,
            "method": method(self.engine, name=self._name).to_json(),
        }


@dataclass(frozen=True)
class Advice(Report):
    """`rows` are figures of candidates; `chosen` is one of them, which `command` runs; None: the network on every
    frame."""

    request: Request
    size_hw: SizeHW
    frames: int
    clips: int
    plain_ms: float
    network: dict[str, Any]
    class_names: Sequence[str]
    rows: Sequence[dict[str, Any]]
    chosen: dict[str, Any] | None
    reason: str
    command: str
    notes: Sequence[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "video": self.request.video,
            "size_hw": list(self.size_hw),
            "frames": self.frames,
            "clips": self.clips,
            "tolerance": self.request.tolerance,
            "network": self.network,
            "every_frame_ms": self.plain_ms,
            "rows": [self._named(row) for row in self.rows],
            "recommended": None if self.chosen is None else self._named(self.chosen),
            "reason": self.reason,
            "command": self.command,
            "machine": processor_name(),
            "versions": versions(),
            "notes": list(self.notes),
        }

    def tables(self) -> list[TextTable | str]:
        title = (
            f"{self.network.get('name', 'a function')} on {self.request.video} ({format_size(self.size_hw)}), "
            f"{count(self.frames, 'frame')} in {count(self.clips, 'clip')}"
        )
        columns = ["method", "network on", "agreement %", "ms per frame", "faster", "pixels %", "worst class"]
        rows = [["network on every frame", "every frame", "100.0", f"{self.plain_ms:.1f}", "1.0x", "100.0", "-"]]
        rows += [self._cells(row) for row in self.rows]
        about = (
            "agreement: mIoU with the network's own labels of every frame, over the classes that have a thousandth of "
            "the pixels; it is not accuracy: where the network flickers, a steadier method disagrees. Times are those "
            "of labels, without reading and writing files."
        )
        table = TextTable(title, columns, rows, seldom=["pixels %", "worst class"])
        return [table, "\n".join([about, *self.notes]), f"{self.reason}\n\n    {self.command}"]

    def _named(self, row: dict[str, Any]) -> dict[str, Any]:
        return {**row, "worst_class": self.class_names[row["worst_class"]]}

    def _cells(self, row: dict[str, Any]) -> list[str]:
        worst = f"{self.class_names[row['worst_class']]} {100 * row['worst_class_iou']:.0f}"
        return [
            f"{row['preset']}, {row['mode']}" + (" *" if row is self.chosen else ""),
            every(row["interval"]),
            f"{100 * row['agreement']:.1f}",
            f"{row['ms_per_frame']:.1f}",
            f"{row['times_faster']:.1f}x of {row['interval'] + 1}x",
            f"{100 * row['pixels']:.1f}",
            worst,
        ]


def every(interval: int) -> str:
    """`every 5th frame`."""
    return f"every {ordinal(interval + 1)} frame"


Command = Callable[[Mapping[str, Any] | None], str]
"""Makes the line that runs what a row of figures is of; None: the network on every frame."""


def advise(
    request: Request,
    segmenter: Segmenter,
    *,
    command: Command,
    backend: Backend | None = None,
    progress: Progress | None = None,
) -> Advice:
    """Measures all candidates and recommends one (`choose`).

    Raises SourceError where the video cannot be read, SettingError where it is too short, and for stored scores, which
    take no time.
    """
    refuse_stored(segmenter, {})
    began = time.perf_counter()
    size_hw, starts = _sample(request)
    session = _Session(segmenter, backend or Processor(request.threads))
    clip = session.warm_up(_clip(request, starts[0], CLIP), seconds=request.seconds)
    clips = 0
    for start in starts:
        frames = clip if not clips else _clip(request, start, len(clip))
        for done, frame in enumerate(frames, 1):
            session.push(frame)
            if progress is not None:
                progress(clips * len(clip) + done, len(starts) * len(clip))
        session.finish()
        clips += 1
        spent = time.perf_counter() - began
        if spent + spent / clips > request.seconds:  # what another clip would take
            break
    rows = session.rows()
    chosen, reason = choose(rows, tolerance=request.tolerance)
    return Advice(
        request=request,
        size_hw=size_hw,
        frames=len(session.plain_ms),
        clips=clips,
        plain_ms=float(np.median(session.plain_ms)),
        network=segmenter.describe(),
        class_names=segmenter.labels.names,
        rows=rows,
        chosen=chosen,
        reason=reason,
        command=command(chosen),
        notes=notes_of(segmenter),
    )


class _Session:
    """The plain network and all candidates on the same frames."""

    def __init__(self, segmenter: Segmenter, backend: Backend) -> None:
        self._scores, self._backend = FrameScores(segmenter), backend
        self._plain = build_every_frame(self._scores, backend=backend)
        self._candidates: list[Candidate] = []
        self._shown = 0
        self.network_ms, self.plain_ms = list[float](), list[float]()

    def warm_up(self, clip: list[Rgb], *, seconds: float) -> list[Rgb]:
        """Compiles everything on the clip's first frames; the clip, shorter where the network alone would take half of
        the seconds for it, and with candidates whose periods fit into it."""
        for frame in clip[:3]:
            self._network(frame)
        slow = 1e-3 * self.plain_ms[-1] * len(clip) > seconds / 2
        clip = clip[:SHORT_CLIP] if slow else clip
        self._candidates = [*_candidates(self._scores, len(clip), self._backend)]
        few = clip[: min(len(clip), LEAST_FRAMES)]
        for frame in few:
            self.push(frame)
        self.finish()
        self.network_ms, self.plain_ms = [], []
        for candidate in self._candidates:
            candidate.forget()
        return clip

    def push(self, frame: Rgb) -> None:
        labels = self._network(frame)
        for candidate in self._candidates:
            candidate.push(frame, labels)

    def finish(self) -> None:
        for candidate in self._candidates:
            candidate.finish()

    def rows(self) -> list[dict[str, Any]]:
        network_ms, plain_ms = (float(np.median(ms)) for ms in (self.network_ms, self.plain_ms))
        return [candidate.figures(network_ms=network_ms, plain_ms=plain_ms) for candidate in self._candidates]

    def _network(self, frame: Rgb) -> Labels:
        self._scores.select(self._shown)
        self._shown += 1
        result = self._plain.step(frame)
        self.network_ms.append(result.stages_ms["segment"])
        self.plain_ms.append(sum(result.stages_ms.values()))
        return result.labels


def _candidates(segmenter: Segmenter, frames: int, backend: Backend) -> Iterator[Candidate]:
    """Those with a key frame, frames in between and another key frame within so many frames."""
    classes = len(segmenter.labels)
    for preset, mode in METHODS:
        for interval in INTERVALS:
            if interval + 2 <= frames:
                settings = change(find_preset(preset).at(interval), mode=mode)
                engine = build_engine(segmenter, settings, backend=backend)
                yield Candidate(preset, interval, settings, engine, classes=classes)


def _sample(request: Request) -> tuple[SizeHW, list[float]]:
    """The frames' size, and where clips begin, in seconds: each of them halves the gaps that those before it left."""
    with closing(open_source(request.video)) as source:
        info = source.info
    if info.n_frames is None or info.frame_rate is None:
        return info.size_hw, [0.0]
    clips = min(MOST_CLIPS, max(1, info.n_frames // CLIP))
    room = max(0, info.n_frames - CLIP)
    order = sorted(range(clips), key=lambda clip: f"{clip:03b}"[::-1])
    return info.size_hw, [float(room * clip // max(1, clips - 1) / info.frame_rate) for clip in order]


def _clip(request: Request, start: float, length: int) -> list[Rgb]:
    with closing(open_source(request.video, start_seconds=start, threads=request.threads)) as source:
        frames = [frame.rgb for frame in islice(source, length)]
    if len(frames) < LEAST_FRAMES:
        raise SettingError(
            f"{request.video} has {count(len(frames), 'frame')}",
            expected=f"{LEAST_FRAMES} or more",
            do="give a longer video",
        )
    return frames


def choose(rows: Sequence[dict[str, Any]], *, tolerance: float) -> tuple[dict[str, Any] | None, str]:
    """A row and why: of those whose agreement is within the tolerance of the best one's and that are about as fast as
    the fastest of them, the one that agrees best. None, the network on every frame, where no row is faster by what is
    worth it."""
    worth = [row for row in rows if row["times_faster"] >= WORTH]
    if not worth:
        return None, f"Recommended: the network on every frame. Nothing is {WORTH:g} times as fast."
    best = max(worth, key=lambda row: row["agreement"])
    good = [row for row in worth if row["agreement"] >= best["agreement"] - tolerance]
    fastest = max(row["times_faster"] for row in good)
    chosen = max((row for row in good if row["times_faster"] >= AS_FAST * fastest), key=lambda row: row["agreement"])
    why = f"Recommended: {_told(chosen)}. "
    if chosen is best:
        why += "Nothing agrees better with the network, "
    else:
        why += f"What agrees best is {_told(best)}, "
    faster = [row for row in worth if row not in good and row["times_faster"] > chosen["times_faster"]]
    if faster:
        nearest = max(faster, key=lambda row: row["agreement"])
        return chosen, f"{why}and more speed costs more agreement: {_told(nearest)}."
    return chosen, f"{why}and nothing is much faster."


def _told(row: dict[str, Any]) -> str:
    return (
        f"{row['preset']}, {row['mode']}, the network on {every(row['interval'])} "
        f"({100 * row['agreement']:.1f}%, {row['times_faster']:.1f} times as fast)"
    )
