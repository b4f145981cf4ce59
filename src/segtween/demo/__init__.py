"""The demonstration: one street clip, labelled by the plain network on every frame and by segtween.

All are interleaved frame by frame, so that the machine's other work affects all alike. segtween runs twice: offline, as
for a file, and online, as for a camera. The synthetic street's labels and flow are exact, so accuracy and temporal
consistency are too. Speed is given twice: from the median time per frame, which outliers do not affect, and by the
wall clock around all frames.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segtween.api import Segtween
from segtween.errors import SettingError
from segtween.labels import CAMVID11
from segtween.metrics.consistency import ConsistencyMeter
from segtween.metrics.segmentation import Segmentation
from segtween.metrics.temporal import TemporalConsistency, correspondence
from segtween.run.comparison import ComparedFrame
from segtween.run.ending import write_json
from segtween.run.kernels import SIZE_HW, compiled_ahead, missing
from segtween.run.modes import open_modes
from segtween.segmenters import open_segmenter
from segtween.settings import DEFAULT_MODEL, DEFAULT_PRESET, find_preset
from segtween.street import StreetClip, StreetFrame
from segtween.texttable import TextTable
from segtween.types import Frame, Progress, Result, steps
from segtween.video.animation import AnimationWriter

SEED = 7
FRAME_RATE = Fraction(15)
MOST_FRAMES = 3600 * FRAME_RATE
CLOSE_UP = np.s_[110:330, 250:640]
"""What the moving picture shows of each: the far end of the street, where most flickers."""


class Shown(NamedTuple):
    """A street frame and what a run made of it; the share of its pixels that flicker, and of all frames' up to it, in
    0..1, None where there is nothing to compare."""

    own: StreetFrame
    result: Result
    flicker: float | None
    flicker_so_far: float | None


class Run:
    """One run through the clip and its measurements."""

    def __init__(self, name: str, seg: Segtween) -> None:
        self.name, self.seg = name, seg
        self.accuracy, self.consistency = Segmentation(CAMVID11), TemporalConsistency(len(CAMVID11))
        self.flicker = ConsistencyMeter(len(CAMVID11))
        self.wall_seconds = 0.0
        self.key_ms: list[float] = []
        self.other_ms: list[float] = []
        self._waiting = deque[StreetFrame]()

    def push(self, frame: StreetFrame | None) -> Iterator[Shown]:
        """The results that a frame completes, each with its own frame; None for those that are left after the last."""
        engine = self.seg.engine
        began = time.perf_counter()
        if frame is None:
            results = engine.finish()
        else:
            self._waiting.append(frame)
            results = engine.push(frame.rgb, pts_seconds=float(frame.pts_seconds))
        self.wall_seconds += time.perf_counter() - began
        for result in results:
            own = self._waiting.popleft()
            self.accuracy.update(result.labels, own.camvid11)
            motion = correspondence(own.flow, own.occlusion) if own.index else None
            self.consistency.update(result.labels, motion)
            flicker = self.flicker.follow(result.labels, motion, is_key=result.is_key)
            (self.key_ms if result.is_key else self.other_ms).append(sum(result.stages_ms.values()))
            yield Shown(own, result, flicker, self.flicker.compute()["flicker"])

    @property
    def frames(self) -> int:
        return len(self.key_ms) + len(self.other_ms)

    @property
    def fps(self) -> float:
        """Frames per second, from the medians of key frames and of the others."""
        ms = sum(len(part) * float(np.median(part)) for part in (self.key_ms, self.other_ms) if part)
        return 1e3 * self.frames / ms

    @property
    def wall_fps(self) -> float:
        """Frames per second of the wall clock: all frames over all the time from a frame's arrival to its results."""
        return self.frames / self.wall_seconds

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "method": self.seg.method.to_json(),
            "frames": self.frames,
            "network_runs": len(self.key_ms),
            "fps": self.fps,
            "wall_fps": self.wall_fps,
            "wall_seconds": self.wall_seconds,
            "miou": self.accuracy.compute()["miou"],
            "tc": self.consistency.compute(counted=self.accuracy.confusion.sum(axis=1) > 0)["tc"],
            "flicker": self.flicker.compute()["flicker"],
        }


@dataclass(frozen=True)
class Outcome:
    """A table for the screen and the video next to it."""

    table: TextTable
    video: Path


def run_demo(
    out: str | Path,
    *,
    seconds: float,
    interval: int = 4,
    threads: int = 0,
    animation: str | Path | None = None,
    progress: Progress | None = None,
    tell: Callable[[str], None] | None = None,
) -> Outcome:
    """Renders `seconds` of street, runs both ways, writes side-by-side.mp4 and demo.json into `out`.

    `animation` names an animated WebP with a close-up of both ways, without the true labels. `tell` is called with a
    line about what comes next and takes long. Raises SettingError for a clip without frames and for another kind of
    moving picture, SinkError where a file cannot be written.
    """
    if not 1 <= seconds * FRAME_RATE < MOST_FRAMES:  # neither of which NaN is
        raise SettingError(f"seconds is {seconds}", expected="room for a frame, at most an hour", do="give seconds=3")
    count = int(seconds * FRAME_RATE)
    folder, say = Path(out), tell or (lambda _: None)
    from segtween.video.staging import check_folder, sink_errors

    with sink_errors(folder):  # before anything that takes long
        folder.mkdir(parents=True, exist_ok=True)
    check_folder(folder)
    moving = None if animation is None else AnimationWriter(Path(animation), frame_rate=FRAME_RATE)
    from segtween.demo.kernels import PARTS  # a module that is run by itself, too

    if parts := missing(PARTS):
        say("compiling kernels, once; the next time they are on disk")
    with compiled_ahead(parts):
        segmenter = open_segmenter(DEFAULT_MODEL, threads=threads, scale="auto")
    say(f"{count} street frames of {SIZE_HW[1]}x{SIZE_HW[0]}, each rendered, then labelled in three ways")
    settings = find_preset(DEFAULT_PRESET).at(interval)
    modes = open_modes(settings)
    few = f"segtween, network on 1 frame in {interval + 1}"
    runs = (
        Run("network on every frame", Segtween(segmenter, settings, threads=threads, plain=True)),
        Run(f"{few}, offline", Segtween(segmenter, modes.offline, threads=threads)),
        Run(f"{few}, online", Segtween(segmenter, modes.online, threads=threads)),
    )
    warm_up = next(iter(StreetClip(SEED, size_hw=SIZE_HW, frame_rate=FRAME_RATE, frames=1)))
    for run in runs:
        for _ in range(2 if run is runs[0] else 2 * interval + 2):
            run.seg.engine.push(warm_up.rgb)
        run.seg.engine.finish()
        run.seg.reset()
    films = _Films(folder / "side-by-side.mp4", runs, count, threads=threads, animation=moving)
    _run_all(runs, count, films, progress)
    write_json({"seed": SEED, "interval": interval, "runs": [run.to_json() for run in runs]}, folder / "demo.json")
    return Outcome(_table(runs), films.target)


def _run_all(runs: Sequence[Run], count: int, films: _Films, progress: Progress | None) -> None:
    """Runs all of them and films the first and the second."""
    try:
        clip = StreetClip(SEED, size_hw=SIZE_HW, frame_rate=FRAME_RATE, frames=count)
        waiting = (deque[Shown](), deque[Shown]())
        step = steps(progress, count)
        for frame in chain(clip, [None]):
            for run in runs[2:]:
                for _ in run.push(frame):
                    pass
            for run, shown in zip(runs[:2], waiting, strict=True):
                shown.extend(run.push(frame))
            while all(waiting):
                films.write(waiting[0].popleft(), waiting[1].popleft())
                step()
    except BaseException:
        films.abort()
        raise
    films.close()


class _Films:
    """The film of two runs with the flicker of both and the true labels; and a moving picture, a close-up of both."""

    def __init__(
        self, target: Path, runs: Sequence[Run], count: int, *, threads: int, animation: AnimationWriter | None
    ) -> None:
        from segtween.video.encode import Clock, VideoWriter
        from segtween.video.side_by_side import ComparedMethod, ComparisonPicture

        self.target, self._runs, self._animation = target, runs, animation
        self._film = VideoWriter(target, codec="h264", clock=Clock(1 / FRAME_RATE, FRAME_RATE), threads=threads)
        other = ComparedMethod(runs[0].name, runs[1].name, lambda _: self._compared)
        self._draw, self._draw_near = (ComparisonPicture(other, CAMVID11, frames=count) for _ in range(2))

    def write(self, left: Shown, right: Shown) -> None:
        """The next frame of both."""
        own, pts_seconds = left.own, left.own.pts_seconds
        self._compared = ComparedFrame(
            left.result.labels,
            (left.flicker, right.flicker),
            (left.flicker_so_far, right.flicker_so_far),
            (self._runs[0].fps, self._runs[1].fps),
            own.camvid11,
        )
        self._film.write(self._draw(Frame(own.index, pts_seconds, own.rgb), right.result), pts_seconds)
        if self._animation is not None:
            # Without speeds: where the picture is shown, another machine's say nothing.
            near = _near(left.result.labels)
            self._compared = self._compared._replace(labels=near, fps=(None, None), truth=None)
            result = replace(right.result, labels=_near(right.result.labels))
            self._animation.write(self._draw_near(Frame(own.index, pts_seconds, _near(own.rgb)), result))

    def close(self) -> None:
        self._film.close()
        if self._animation is not None:
            self._animation.close()

    def abort(self) -> None:
        self._film.abort()
        if self._animation is not None:
            self._animation.abort()


def _near(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The part of a picture that a close-up shows."""
    return np.ascontiguousarray(picture[CLOSE_UP])


def _table(runs: Sequence[Run]) -> TextTable:
    columns = ("", "frames per second", "by the wall clock", "times faster", "mIoU", "TC")
    rows = []
    for run in runs:
        figures, faster, possible = run.to_json(), run.fps / runs[0].fps, run.frames / len(run.key_ms)
        gain = "1.0x" if run is runs[0] else f"{faster:.1f}x of {possible:.1f}x possible ({faster / possible:.0%})"
        speeds = f"{run.fps:.1f}", f"{run.wall_fps:.1f}"
        rows.append((run.name, *speeds, gain, *(f"{100 * figures[key]:.1f}" for key in ("miou", "tc"))))
    return TextTable("Street clip, exact truth", columns, rows)
