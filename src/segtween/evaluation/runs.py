"""Engines run through the frames, and the rows of the table that they fill."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from segtween.datasets import Dataset
from segtween.engine.causal import CausalEngine
from segtween.errors import SettingError
from segtween.evaluation.pairing import Companion, FrameCounts, FrameRecord, Row
from segtween.evaluation.sharing import FrameMotion
from segtween.evaluation.windows import Moment, Window
from segtween.interfaces import Engine, FlowEstimator, Segmenter
from segtween.labels import LabelMap
from segtween.metrics.bootstrap import Bootstrap, Interval
from segtween.metrics.boundary import BoundaryCounts
from segtween.metrics.segmentation import Counts, confusion
from segtween.metrics.tally import Calibrated, Tally, per_distance_figures
from segtween.metrics.temporal import KeyFlicker, TemporalConsistency, VideoConsistency
from segtween.metrics.vspw import VspwMeasures
from segtween.types import MODES, Labels, Result, Rgb, SizeHW, size_of

Make = Callable[[Segmenter, "FlowEstimator | None", int], Engine]
"""(segmenter, flow, interval) -> a new engine. Flow None gives the plain network on every frame."""

MakeAdaptive = Callable[[Segmenter, FlowEstimator], CausalEngine]
"""(segmenter, flow) -> a new engine whose key frames depend on more than the distance."""

ENOUGH_FRAMES = 30
"""Adaptive schedules: a distance with fewer frames is left out of the worst distance."""


class Judged(NamedTuple):
    """A scored frame of one run: the row that it belongs to, its name, the block, the frames since its key frame, the
    picture, the labels that were given and the true ones, and its confusion."""

    row: str
    name: str
    block: int
    distance: int
    rgb: Rgb
    labels: Labels
    truth: Labels
    confusion: Counts


Observe = Callable[[Judged], None]
"""Is called with every scored frame of every method's run at an interval above 0 or with an adaptive schedule."""


class Table:
    """The rows, each with its counts. Interval 0 and "every frame, fused" are one row.

    `clips` (blocks,) is the clip of each block of frames. `with_vspw`: the measures of VSPW's public scripts too.
    `shared` is another table of the same data whose runs fill the counts of the plain network and of the true labels.
    `observe` looks at what the methods give.
    """

    def __init__(
        self,
        dataset: Dataset,
        clips: NDArray[np.intp],
        *,
        shared: Table | None = None,
        with_vspw: bool = False,
        observe: Observe | None = None,
    ) -> None:
        self.dataset, self.clips, self._with_vspw, self._observe = dataset, clips, with_vspw, observe
        self._fills_plain = shared is None
        self.plain: Tally = self._tally(0) if shared is None else shared.plain
        self.truth: Tally = self._tally(0) if shared is None else shared.truth
        self.fused: Tally | None = None
        self.at: dict[int, Row] = {}
        self.adaptive: dict[str, tuple[CausalEngine, Row]] = {}

    def _tally(self, longest: int, *, by_distance: bool = True) -> Tally:
        return Tally(self.dataset.labels, clips=self.clips, distances=longest + 1, by_distance=by_distance)

    def runs(
        self,
        make: Make,
        segmenter: Segmenter,
        motion: FrameMotion | None,
        *,
        intervals: Sequence[int],
        adaptive: Mapping[str, MakeAdaptive],
        starts: int,
        mapping: LabelMap,
    ) -> list[Run | TruthRun]:
        runs: list[Run | TruthRun] = []
        new = partial(Run, mapping=mapping, with_vspw=self._with_vspw)
        if self._fills_plain:
            plain = new(make(segmenter, None, 0), self.plain, is_reference=True)
            runs += [plain, TruthRun(self.truth, with_vspw=self._with_vspw)]
        if motion is None:
            return runs
        flow, new = motion.flow, partial(new, motion=motion)
        self.fused = self._tally(0)
        runs.append(new(make(segmenter, flow, 0), self.fused, is_reference=True))
        for interval in intervals:
            if interval == 0:
                self.at[0] = Row(self.fused, self.plain, self.fused)
                continue
            engines = [make(segmenter, flow, interval) for _ in range(interval + 1)]
            motion.estimator.bidirectional |= not engines[0].is_causal
            row, companions = self._row(self._tally(engines[0].longest), self.fused)
            self.at[interval] = row
            mode = MODES["causal" if engines[0].is_causal else "bidirectional"]
            seen = self._seen_as(f"interval {interval}, {mode}")
            runs += [new(engine, row.own, phase=p, companions=companions, **seen) for p, engine in enumerate(engines)]
        for name, of in adaptive.items():
            engine = of(segmenter, flow)
            row, companions = self._row(self._tally(engine.longest, by_distance=False), self.fused)
            self.adaptive[name] = engine, row
            runs.append(new(engine, row.own, companions=companions, **self._seen_as(name)))
            later = range(1, starts) if self.dataset.is_dense else ()
            runs += [new(of(segmenter, flow), row.own, phase=p, companions=companions) for p in later]
        return runs

    def _seen_as(self, row: str) -> dict[str, Any]:
        return {} if self._observe is None else {"observe": self._observe, "row": row}

    def _row(self, own: Tally, fused: Tally) -> tuple[Row, list[Companion]]:
        row = Row(own, plain=own.companion(), fused=own.companion())
        return row, [Companion(self.plain, row.plain), Companion(fused, row.fused)]

    def tallies(self) -> list[Tally]:
        """Those of all rows, the plain network's first."""
        rows = [*self.at.values(), *(row for _, row in self.adaptive.values())]
        truth = [self.truth] if self.dataset.is_dense else []
        return [self.plain, *truth, *([] if self.fused is None else [self.fused]), *(row.own for row in rows)]

    def result(self, interval: int, settings: Bootstrap, *, against: Table | None = None) -> dict[str, Any]:
        """The row of an interval; with `against` also its differences to that table's row of the interval."""
        row = self.at[interval]
        tally = row.own
        other = {} if against is None else {"gain_over_method": _between(row, against.at[interval], settings)}
        # A run with sparse labels ends at the label, not at the next key frame: its own rate says nothing.
        key_rate = tally.keys / tally.frames if self.dataset.is_dense else 1 / (interval + 1)
        figures = per_distance_figures(tally.per_distance())
        figures["per_distance_intervals"] = tally.per_distance_intervals(settings)
        return {"interval": interval, **self._figures(row, settings, figures), **other, "key_rate": key_rate}

    def adaptive_result(self, name: str, settings: Bootstrap) -> dict[str, Any]:
        engine, row = self.adaptive[name]
        tally = row.own
        most = int(np.flatnonzero(tally.frames_at)[-1])
        counts, values = tally.frames_at[: most + 1], tally.per_distance()[: most + 1]
        enough = [value if frames >= ENOUGH_FRAMES else None for value, frames in zip(values, counts, strict=True)]
        figures = {
            **per_distance_figures(values),
            **{k: v for k, v in per_distance_figures(enough).items() if k.startswith("worst")},
            "min_miou": tally.min_miou(),
            "frames_at_distance": counts.tolist(),
        }
        described = engine.schedule.describe()
        fixed = [i for i in self.at if i > 0 and described.get("budget") == 100 / (i + 1)]
        return {
            "interval": None,
            "row": name,
            "schedule": described,
            **self._figures(row, settings, figures),
            "key_rate": tally.keys / tally.frames,
            "gain_over_fixed": _between(row, self.at[fixed[0]], settings) if fixed else None,
        }

    def _figures(self, row: Row, settings: Bootstrap, per_distance: dict[str, Any]) -> dict[str, Any]:
        tally = row.own
        flicker = tally.flicker()
        return {
            **_spread("avg_miou", tally.average(settings)),
            **per_distance,
            **tally.agreement(),
            **tally.temporal_figures(),
            **(flicker if self.dataset.is_dense else dict.fromkeys(flicker)),
            "calibration": tally.calibration_figures(),
            **tally.vspw_figures(),
            **tally.boundary_figures(),
            "gain_over_every_frame": tally.gain_over(row.plain, settings),
            "gain_over_every_frame_fused": tally.gain_over(row.fused, settings),
        }


def _between(row: Row, other: Row, settings: Bootstrap) -> dict[str, Any]:
    """The difference of two rows. Adaptive schedules and delayed scores put frames at other distances: what the plain
    network differs by between the frames of the two is taken off, which is 0 where they are the same."""
    return row.own.gain_over(other.own, settings, yardstick=(row.plain, other.plain))


def every_frame(tally: Tally, plain: Tally | None, settings: Bootstrap) -> dict[str, Any]:
    gain = {} if plain is None else {"gain_over_every_frame": tally.gain_over(plain, settings)}
    return {
        **_spread("miou", tally.average(settings)),
        **tally.agreement(),
        **tally.temporal_figures(),
        "calibration": tally.calibration_figures(),
        **tally.vspw_figures(),
        **tally.boundary_figures(),
        "key_rate": 1.0,
        **gain,
    }


def _spread(key: str, interval: Interval) -> dict[str, Any]:
    """A figure under its key, and its interval with what that is based on under `<key>_low` and so on."""
    figures = interval.to_json()
    return {key: figures.pop("value"), **{f"{key}_{name}": value for name, value in figures.items()}}


class _Measured:
    """What is measured of labels of one frame after the other in windows."""

    def __init__(self, tally: Tally, *, with_vspw: bool) -> None:
        self.tally, self._classes = tally, len(tally.labels)
        self._tc, self._vc = TemporalConsistency(self._classes), VideoConsistency()
        self._vspw = VspwMeasures(self._classes) if with_vspw else None

    def begin(self, window: Window) -> None:
        self._tc.begin()
        self._vc.begin()
        if self._vspw is not None:
            self._vspw.begin()
        self._is_dense = window.is_dense

    def _follow(self, labels: Labels, moment: Moment) -> None:
        """The frame's labels beside those of the frame before."""
        if moment.is_cut:
            self._vc.begin()
        self._tc.update(labels, moment.motion)

    def _follow_vspw(self, labels: Labels, moment: Moment) -> None:
        if self._vspw is not None:
            self._vspw.update(labels, moment.truth, moment.vspw)
            self.tally.add_vspw(self._vspw.take())


class Run(_Measured):
    """One engine's run through a window, and what is measured of it.

    A reference leaves what it counted of each frame to the `companions` of other runs. `motion` holds the current
    frame's; without it the engine estimates its own. `observe` looks at every scored frame, as one of `row`.
    """

    def __init__(
        self,
        engine: Engine,
        tally: Tally,
        mapping: LabelMap,
        *,
        phase: int | None = None,
        with_vspw: bool = False,
        is_reference: bool = False,
        companions: Sequence[Companion] = (),
        motion: FrameMotion | None = None,
        observe: Observe | None = None,
        row: str = "",
    ) -> None:
        super().__init__(tally, with_vspw=with_vspw)
        self.engine, self.phase, self.start = engine, phase, 0
        self._motion, self._observe, self._row = motion, observe, row
        self._is_reference, self._companions = is_reference, companions
        self._mapping = None if mapping.table == tuple(range(self._classes)) else mapping
        self._flicker = KeyFlicker()

    def begin(self, window: Window) -> None:
        super().begin(window)
        self.engine.reset()
        self._waiting = deque[Moment]()
        self._flicker.begin()
        self.start = window.start_of(self.phase)
        self._last: tuple[tuple[Counts, BoundaryCounts | None], int, FrameRecord] | None = None
        self._has_frames = False

    def step(self, moment: Moment) -> None:
        if moment.offset < self.start:
            return
        self._waiting.append(moment)
        motion = None if self._motion is None else self._motion.current
        self._take(self.engine.push(moment.rgb, pts_seconds=moment.pts_seconds, motion=motion))

    def end(self) -> None:
        """The frames whose results were still to come."""
        self._take(self.engine.finish())

    def _take(self, results: Sequence[Result]) -> None:
        for result in results:
            self._judge(result, self._waiting.popleft())

    def _judge(self, result: Result, moment: Moment) -> None:
        labels = result.labels if self._mapping is None else self._mapping(result.labels)
        self._follow(labels, moment)
        self._flicker.update(labels, is_key=result.is_key, is_cut=moment.is_cut)
        edges = None if moment.edges is None else moment.edges.agreement(labels)
        counts = None if moment.truth is None else self._agree(result, labels, moment, moment.truth, edges)
        self._follow_vspw(labels, moment)
        tc, vc = self._tc.take(), self._vc.take()
        self.tally.add(block=moment.block, is_key=result.is_key, tc=tc, vc=vc, changes=self._flicker.take())
        if self._is_reference:
            moment.record.put(self.tally, FrameCounts(counts, tc, vc, edges))
        for companion in self._companions:
            companion.add(
                moment.record,
                block=moment.block,
                distance=result.distance,
                is_pair=self._has_frames,
                windows=self._vc.full,
            )
        self._has_frames = True

    def _agree(
        self, result: Result, labels: Labels, moment: Moment, truth: Labels, edges: BoundaryCounts | None
    ) -> Counts:
        """Scores the frame; its confusion."""
        self._calibrate(result, labels, truth)
        counts = confusion(labels, truth, classes=self._classes)
        self._score(counts, edges, moment.block, result.distance)
        if self._observe is not None:
            frame = Judged(self._row, moment.name, moment.block, result.distance, moment.rgb, labels, truth, counts)
            self._observe(frame)
        if self._last is not None and result.is_key and not result.is_cut:
            (before, boundary), block, record = self._last
            self.tally.score_before_key(before, block=block, boundary=boundary)
            for companion in self._companions:
                companion.add_before_key(record, block=block)
        self._last = (counts, edges), moment.block, moment.record
        if self._is_dense:
            self._vc.update(labels, truth)
        return counts

    def _calibrate(self, result: Result, labels: Labels, truth: Labels) -> None:
        """How often a label was right that was given with some confidence, at the centres of the scores' cells."""
        score_map = result.score_map
        spans_hw = score_map.spans_hw or score_map.image_hw

        def count(values: NDArray[np.float32], grid_hw: SizeHW, of: Calibrated) -> None:
            rows, columns = _centres(grid_hw, spans_hw, image_hw=score_map.image_hw)
            pixels = np.ix_(rows, columns)
            self.tally.calibrate(values[: len(rows), : len(columns)], labels[pixels], truth[pixels], of=of)

        count(result.confidence, score_map.grid_hw, "keys" if result.is_key else "others")
        if result.reliability is not None:
            grid_hw = size_of(result.reliability)
            # Products of rounded weights may exceed 1.
            count(np.minimum(result.reliability, np.float32(1)), grid_hw, "reliability")

    def _score(self, counts: Counts, edges: BoundaryCounts | None, block: int, distance: int) -> None:
        if distance >= self.tally.distances:
            raise SettingError(
                f"a frame at distance {distance} from its key frame",
                expected=f"at most {self.tally.distances - 1}, the longest that its schedule allows",
                do="give engines with adaptive schedules as such",
            )
        self.tally.score(counts, block=block, distance=distance, boundary=edges)


class TruthRun(_Measured):
    """The true labels as if a method had given them: their own temporal consistency is what a method can reach."""

    def step(self, moment: Moment) -> None:
        if moment.truth is None or not self._is_dense:
            return
        self._follow(moment.truth, moment)
        self._vc.update(moment.truth, moment.truth)
        self._follow_vspw(moment.truth, moment)
        self.tally.score(confusion(moment.truth, moment.truth, classes=self._classes), block=moment.block, distance=0)
        changes = np.zeros((2, 2), np.int64)
        self.tally.add(block=moment.block, is_key=False, tc=self._tc.take(), vc=self._vc.take(), changes=changes)

    def end(self) -> None:
        """Nothing is still to come."""


def _centres(grid_hw: SizeHW, spans_hw: SizeHW, *, image_hw: SizeHW) -> list[NDArray[np.intp]]:
    """Rows and columns of the pixels in which the cells' centres lie, of a grid over `spans_hw` pixels; without the
    cells whose centres lie outside the image, of which it is the upper left part."""
    both = zip(grid_hw, spans_hw, image_hw, strict=True)
    found = [(((np.arange(n) + 0.5) * spans / n).astype(np.intp), size) for n, spans, size in both]
    return [centres[centres < size] for centres, size in found]
