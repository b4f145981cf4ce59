"""The demonstration: one street clip, labelled by the plain network on every frame and by segtween.

Both take each frame in turn, so that the machine's other work falls on both alike. The synthetic street's
labels and flow are exact, so accuracy and steadiness are too.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from segtween.api import Segtween
from segtween.build import find_preset
from segtween.datasets.street import StreetClip, StreetFrame
from segtween.defaults import DEFAULT_MODEL, DEFAULT_PRESET
from segtween.errors import SettingError
from segtween.labels import CAMVID11
from segtween.metrics.segmentation import Segmentation
from segtween.metrics.temporal import TemporalConsistency, correspondence
from segtween.runner import Progress, write_json
from segtween.segmenters import open_segmenter
from segtween.texttable import TextTable
from segtween.types import Result, SizeHW

SEED = 7
FRAME_RATE = Fraction(15)
SIZE_HW: SizeHW = (480, 640)


class Run:
    """One way through the clip and what was measured of it."""

    def __init__(self, name: str, seg: Segtween) -> None:
        self.name, self.seg = name, seg
        self.accuracy, self.steadiness = Segmentation(CAMVID11), TemporalConsistency(len(CAMVID11))
        self.key_ms: list[float] = []
        self.other_ms: list[float] = []

    def step(self, frame: StreetFrame) -> Result:
        result = self.seg.step(frame.rgb, pts_seconds=float(frame.pts_seconds))
        self.accuracy.update(result.labels, frame.camvid11)
        self.steadiness.update(result.labels, correspondence(frame.flow) if frame.index else None)
        (self.key_ms if result.is_key else self.other_ms).append(sum(result.stages_ms.values()))
        return result

    @property
    def frames(self) -> int:
        return len(self.key_ms) + len(self.other_ms)

    @property
    def fps(self) -> float:
        """Frames per second, from the medians of key frames and of the others."""
        ms = sum(len(part) * float(np.median(part)) for part in (self.key_ms, self.other_ms) if part)
        return 1e3 * self.frames / ms

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "method": self.seg.method.to_json(),
            "frames": self.frames,
            "network_runs": len(self.key_ms),
            "fps": self.fps,
            "miou": self.accuracy.compute()["miou"],
            "tc": self.steadiness.compute()["tc"],
        }


@dataclass(frozen=True)
class Shown:
    """A table for the screen and the video beside it."""

    table: TextTable
    video: Path


def run_demo(
    out: str | Path,
    *,
    seconds: float = 6.0,
    interval: int = 4,
    threads: int = 0,
    model: str = DEFAULT_MODEL,
    progress: Progress | None = None,
) -> Shown:
    """Renders `seconds` of street, runs both ways, writes side-by-side.mp4 and demo.json into `out`.

    Raises SettingError for a clip without frames, SinkError where `out` cannot be written.
    """
    count = int(seconds * FRAME_RATE)
    if count < 1:
        raise SettingError(f"seconds is {seconds}", expected="room for a frame", do="give --seconds 6")
    folder = Path(out)
    segmenter = open_segmenter(model, threads=threads)
    settings = find_preset(DEFAULT_PRESET).at(interval)
    every = Run("network on every frame", Segtween(segmenter, settings, threads=threads, plain=True))
    ours = Run(f"segtween, network on 1 frame in {interval + 1}", Segtween(segmenter, settings, threads=threads))
    warm_up = next(iter(StreetClip(SEED, size_hw=SIZE_HW, frame_rate=FRAME_RATE, frames=1)))
    for run in (every, ours):
        for _ in range(2):
            run.seg.step(warm_up.rgb)
        run.seg.reset()
    video = _film(folder, (every, ours), count, threads, progress)
    runs = [run.to_json() for run in (every, ours)]
    write_json({"seed": SEED, "interval": interval, "runs": runs}, folder / "demo.json")
    return Shown(_table(every, ours), video)


def _film(folder: Path, runs: tuple[Run, Run], count: int, threads: int, progress: Progress | None) -> Path:
    """Runs both and films them next to each other."""
    from segtween.video.encode import Clock, VideoWriter
    from segtween.video.paint import Painter, side_by_side
    from segtween.video.staging import sink_errors

    with sink_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    target = folder / "side-by-side.mp4"
    painters = [Painter(CAMVID11, legend=False), Painter(CAMVID11)]
    writer = VideoWriter(target, codec="h264", clock=Clock(1 / FRAME_RATE, FRAME_RATE), threads=threads)
    try:
        for frame in StreetClip(SEED, size_hw=SIZE_HW, frame_rate=FRAME_RATE, frames=count):
            painted = [paint(frame.rgb, run.step(frame).labels) for run, paint in zip(runs, painters, strict=True)]
            captions = (runs[0].name, runs[1].name)
            writer.write(side_by_side(painted[0], painted[1], captions=captions), frame.pts_seconds)
            if progress is not None:
                progress(frame.index + 1, count)
    except BaseException:
        writer.abort()
        raise
    writer.close()
    return target


def _table(every: Run, ours: Run) -> TextTable:
    columns = ("", "frames per second", "times faster", "mIoU", "steadiness")
    possible = ours.frames / len(ours.key_ms)
    faster = ours.fps / every.fps
    rows = []
    for run in (every, ours):
        figures = run.to_json()
        gain = "1.0x" if run is every else f"{faster:.1f}x of {possible:.1f}x possible ({faster / possible:.0%})"
        rows.append((run.name, f"{run.fps:.1f}", gain, *(f"{100 * figures[key]:.1f}" for key in ("miou", "tc"))))
    return TextTable("Street clip, exact truth", columns, rows)
