"""Where composed flow loses most against the network on every frame, and what matching by appearance makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from segtween.build import Backend, Processor, build_engine, build_every_frame, method
from segtween.engine import Engine
from segtween.errors import SettingError
from segtween.evaluation.sharing import Shared
from segtween.interfaces import Segmenter
from segtween.reports.figures import panels
from segtween.reports.figures.failures import Drives, check_count, frame_miou
from segtween.reports.figures.page import compose, panel_size, seen_classes
from segtween.reports.figures.shots import Shot, StreetShots
from segtween.settings import Settings, change
from segtween.types import Labels, Progress, Rgb, SizeHW, steps

HEADINGS = ("input", "truth", "network on every frame", "without matching", "matched by appearance")


@dataclass(frozen=True)
class Loss:
    """A frame just before a key frame: the labels of the network on it, of composed flow alone, and with matching.

    `fall` is the network's mIoU on this frame less that of composed flow alone, in -1..1.
    """

    seed: int
    index: int
    rgb: Rgb
    truth: Labels
    every: Labels
    alone: Labels
    matched: Labels

    @property
    def fall(self) -> float:
        return _miou(self.every, self.truth) - _miou(self.alone, self.truth)


class Contest:
    """The three that label each frame, afresh for each drive: the network on every frame, without and with matching.
    They share its scores and the flow."""

    def __init__(self, segmenter: Segmenter, settings: Settings, *, backend: Backend) -> None:
        self._shared, self._interval = Shared(segmenter), settings.interval
        flow = backend.flow(settings, classes=len(segmenter.labels))
        self._motion = self._shared.motion_of(flow, backend.ops(settings))
        self._every = build_every_frame(self._shared.scores, backend=backend)
        self._alone, self.matched = (
            build_engine(self._shared.scores, chosen, backend=backend, flow=flow)
            for chosen in (change(settings, match="none"), settings)
        )

    def frames(self, shots: StreetShots, frames: int) -> Iterator[Loss]:
        """Those just before a key frame would come."""
        engines = (self._every, self._alone, self.matched)
        self._shared.begin()
        for engine in engines:
            engine.reset()
        for shot in shots.read(0, frames - 1):
            self._shared.select(shot.key)
            self._shared.next(shot.rgb)
            said = [shots.mapping(e.step(shot.rgb, motion=self._motion.current).labels) for e in engines]
            if shot.index % (self._interval + 1) == self._interval:
                yield Loss(shots.seed, shot.index, shot.rgb, _truth(shot), *said)


def loss_figure(
    segmenter: Segmenter,
    settings: Settings,
    drives: Drives,
    *,
    rows: int = 4,
    width: int = 240,
    threads: int = 0,
    progress: Progress | None = None,
) -> tuple[Rgb, list[Loss]]:
    """The page and its rows: of each drive the frame on which composed flow alone loses most, the largest falls first.

    No frame is chosen by its matched labels. Raises SettingError for a method without matching, for no rows, and for
    drives too short to hold a frame just before a key frame.
    """
    _check(settings, drives, rows)
    contest, worst = Contest(segmenter, settings, backend=Processor(threads)), list[Loss]()
    step = steps(progress, len(drives.seeds))
    for seed in drives.seeds:
        shots = drives.open(seed, segmenter)
        worst.append(max(contest.frames(shots, drives.frames), key=lambda loss: loss.fall))
        step()
    shown = sorted(worst, key=lambda loss: -loss.fall)[:rows]
    return _page(shown, shots, panel_size(drives.size_hw, width), _footer(contest.matched, settings, drives)), shown


def _page(shown: list[Loss], shots: StreetShots, size_hw: SizeHW, footer: str) -> Rgb:
    labels = [[loss.truth, loss.every, loss.alone, loss.matched] for loss in shown]
    return compose(
        [
            [panels.photo(loss.rgb, size_hw), *(panels.classes(one, shots.labels, size_hw) for one in row)]
            for loss, row in zip(shown, labels, strict=True)
        ],
        headings=HEADINGS,
        row_names=[_name(loss) for loss in shown],
        legend=seen_classes(shots.labels, [one for row in labels for one in row]),
        footer=footer,
    )


def _name(loss: Loss) -> str:
    every, alone, matched = (100 * _miou(said, loss.truth) for said in (loss.every, loss.alone, loss.matched))
    return f"drive {loss.seed}\nframe {loss.index}\nmIoU {every:.0f},\n{alone:.0f}, {matched:.0f}"


def _footer(engine: Engine, settings: Settings, drives: Drives) -> str:
    record = method(engine, name="")
    network = record.record["network"].get("name", "a function")
    return (
        f"just before the next key frame, of {len(drives.seeds)} drives through the synthetic street the frames on "
        f"which the fourth column loses most; {network}, network on 1 frame in {settings.interval + 1}; "
        f"method {record.hash}"
    )


def _truth(shot: Shot) -> Labels:
    assert shot.truth is not None, "a drive's truth is exact"
    return shot.truth


def _miou(said: Labels, truth: Labels) -> float:
    classes = int(max(said.max(), truth[truth < 255].max(initial=0))) + 1
    return frame_miou(said, truth, classes=classes)


def _check(settings: Settings, drives: Drives, rows: int) -> None:
    check_count("rows", rows)
    if settings.match is None or settings.is_bidirectional:
        raise SettingError(
            "a method without matching by appearance, or bidirectional",
            expected="causal propagation='composed' with match='fast' or 'fine'",
            do="give preset='composed'",
        )
    if drives.frames <= settings.interval:
        raise SettingError(
            f"{drives.frames} frames with interval={settings.interval}",
            expected=f"{settings.interval + 1} or more",
            do="give more frames",
        )
