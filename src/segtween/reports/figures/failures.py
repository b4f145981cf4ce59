"""Where a network fails: its worst frames of rendered drives, one row each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from segtween.build import Processor, build_every_frame
from segtween.engine import Engine
from segtween.errors import SettingError
from segtween.interfaces import Segmenter
from segtween.metrics.segmentation import confusion, miou, overlap
from segtween.reports.figures import panels
from segtween.reports.figures.page import compose, panel_size, seen_classes
from segtween.reports.figures.shots import StreetShots
from segtween.types import Labels, Progress, Rgb, SizeHW, steps

if TYPE_CHECKING:
    from segtween.street.clip import Density

HEADINGS = ("input", "prediction", "truth", "what is wrong")


@dataclass(frozen=True)
class Drives:
    """The first `frames` frames, `rate` a second, of the drives with these seeds, in `traffic` normal or heavy.
    SettingError for none."""

    seeds: Sequence[int]
    frames: int = 10
    rate: Fraction = Fraction(1)
    size_hw: SizeHW = (360, 480)
    traffic: Density = "normal"

    def __post_init__(self) -> None:
        check_count("seeds", len(self.seeds))
        check_count("frames", self.frames)

    def open(self, seed: int, network: Segmenter) -> StreetShots:
        """The drive with this seed, with truth for the network's labels."""
        return StreetShots(seed, network.labels, size_hw=self.size_hw, rate=self.rate, traffic=self.traffic)


def check_count(name: str, value: int) -> None:
    """SettingError below 1."""
    if value < 1:
        raise SettingError(f"{name}: {value}", expected="1 or more", do=f"give more {name}")


@dataclass(frozen=True)
class Failure:
    """A frame of a drive, the network's prediction, and the frame's own mIoU in 0..1."""

    seed: int
    index: int
    rgb: Rgb
    predicted: Labels
    truth: Labels
    miou: float


def failure_figure(
    segmenter: Segmenter,
    drives: Drives,
    *,
    rows: int = 4,
    width: int = 240,
    threads: int = 0,
    progress: Progress | None = None,
) -> tuple[Rgb, list[Failure]]:
    """The page and its rows: of each drive the frame with the lowest mIoU, and of these the `rows` lowest. The plain
    network labels them. SettingError for no rows."""
    check_count("rows", rows)
    engine, worst = build_every_frame(segmenter, backend=Processor(threads)), []
    step = steps(progress, len(drives.seeds))
    for seed in drives.seeds:
        shots = drives.open(seed, segmenter)
        worst.append(min(_failures(shots, engine, drives.frames), key=lambda failure: failure.miou))
        step()
    shown = sorted(worst, key=lambda failure: failure.miou)[:rows]
    labels, panel = shots.labels, panel_size(drives.size_hw, width)
    page = compose(
        [panels.judged(one.rgb, one.predicted, one.truth, of=labels, size_hw=panel) for one in shown],
        headings=HEADINGS,
        row_names=[_name(failure, drives.rate) for failure in shown],
        legend=seen_classes(labels, [m for f in shown for m in (f.predicted, f.truth)]),
        footer=f"the worst of {drives.frames} frames of each of {len(drives.seeds)} drives through the synthetic "
        f"street, {float(drives.rate):g} a second; {segmenter.describe().get('name', 'a function')} on every frame",
    )
    return page, shown


def _name(failure: Failure, rate: Fraction) -> str:
    return f"drive {failure.seed}\nsecond {float(failure.index / rate):.0f}\nmIoU {100 * failure.miou:.0f}%"


def _failures(shots: StreetShots, engine: Engine, frames: int) -> Iterator[Failure]:
    classes = len(shots.labels)
    for shot in shots.read(0, frames - 1):
        assert shot.truth is not None
        engine.reset()
        said = shots.mapping(engine.step(shot.rgb).labels)
        yield Failure(shots.seed, shot.index, shot.rgb, said, shot.truth, frame_miou(said, shot.truth, classes=classes))


def frame_miou(said: Labels, truth: Labels, *, classes: int) -> float:
    """The mIoU of one frame, in 0..1."""
    return float(miou(overlap(confusion(said, truth, classes=classes))))
