"""The counts of one row of the evaluation table, kept per block of frames for the sake of intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from segtween.labels import LabelSet
from segtween.metrics.bootstrap import Bootstrap, Interval, absolute, difference
from segtween.metrics.boundary import TRIMAP, BoundaryCounts, BoundaryTally, mean_f
from segtween.metrics.calibration import BINS, Sums, bin_sums, calibration_figures, expected_calibration_error
from segtween.metrics.segmentation import Counts, fraction, miou, miou_absent_as_zero, overlap, per_class
from segtween.metrics.temporal import consistency, flicker, share
from segtween.metrics.vspw import VspwCounts
from segtween.types import Labels

WINDOWS = (8, 16)

Calibrated = Literal["keys", "others", "reliability"]
"""Confidence at key frames and at the others, and the reliability of propagated scores."""


class Tally:
    """Sums over all runs of a row. Size: blocks x distances x 3 x classes numbers, whatever the pictures' size.

    `clips` (blocks,): the clip of each block, blocks of a clip in order of time.
    `by_distance`: frames just before the next key frame are those at the last distance; else they are counted apart.
    """

    def __init__(self, labels: LabelSet, *, clips: NDArray[np.intp], distances: int, by_distance: bool = True) -> None:
        self.labels, self.clips, self.by_distance = labels, clips, by_distance
        blocks = len(clips)
        self.confusion = np.zeros((len(labels), len(labels) + 1), np.int64)
        self.overlap = np.zeros((blocks, distances, 3, len(labels)), np.int64)
        self.before_key = np.zeros((blocks, 3, len(labels)), np.int64)
        self.frames_at = np.zeros(distances, np.int64)
        self.tc = np.zeros((blocks, 3, len(labels)), np.int64)
        self.vc = np.zeros((blocks, len(WINDOWS), 2), np.int64)
        self.changes = np.zeros((2, 2), np.int64)
        self.calibration: dict[Calibrated, Sums] = {name: np.zeros((BINS, 3)) for name in get_args(Calibrated)}
        self.vspw: VspwCounts | None = None
        self.boundary: BoundaryTally | None = None
        self.frames = self.keys = self.scored = 0
        self._tc_classes: NDArray[np.bool_] | None = None

    def add(self, *, block: int, is_key: bool, tc: Counts, vc: Counts, changes: Counts) -> None:
        """What one frame of one run adds besides its agreement with the truth."""
        self.frames += 1
        self.keys += is_key
        self.tc[block] += tc
        self.vc[block] += vc
        self.changes += changes

    def score(self, confusion: Counts, *, block: int, distance: int, boundary: BoundaryCounts | None = None) -> None:
        """The agreement of one frame with its truth, `distance` frames after the last key frame; `boundary` where that
        was asked for."""
        self.confusion += confusion
        self.overlap[block, distance] += overlap(confusion)
        self.frames_at[distance] += 1
        self.scored += 1
        if boundary is not None:
            self._boundaries().add(boundary, block=block, distance=distance)

    def score_before_key(self, confusion: Counts, *, block: int, boundary: BoundaryCounts | None = None) -> None:
        """The agreement of a frame, scored already, of which the next one turned out to be a key frame."""
        self.before_key[block] += overlap(confusion)
        if boundary is not None:
            self._boundaries().add_before_key(boundary, block=block)

    def _boundaries(self) -> BoundaryTally:
        if self.boundary is None:
            self.boundary = BoundaryTally(blocks=len(self.clips), distances=self.distances, classes=len(self.labels))
        return self.boundary

    def boundary_counts(self) -> dict[str, tuple[NDArray[Any], NDArray[Any], Callable[..., Any]]]:
        """By name: counts (blocks, ...) over all distances, those just before the next key frame, and the statistic;
        empty where agreement along edges was not asked for."""
        found = self.boundary
        if found is None:
            return {}
        last_f = found.f[:, -1] if self.by_distance else found.f_before_key
        last_bands = found.bands[:, -1] if self.by_distance else found.bands_before_key
        f, bands = found.f.sum(axis=1), found.bands.sum(axis=1)
        trimaps = {f"trimap_{n}": (bands[:, row], last_bands[:, row], miou) for row, n in enumerate(TRIMAP)}
        return {"boundary_f": (f, last_f, mean_f), **trimaps}

    def boundary_figures(self) -> dict[str, Any]:
        """`boundary`: `boundary_f`, `trimap_3`, `trimap_5`, the same of the frames just before the next key frame as
        `min_boundary_f` and so on, and F by class; where that was asked for."""
        if self.boundary is None:
            return {}
        counts = self.boundary_counts()
        total, frames = self.boundary.f.sum(axis=(0, 1))
        f = np.where(frames > 0, total / np.maximum(frames, 1), np.nan)
        return {
            "boundary": {
                **{key: fraction(of(every.sum(axis=0))) for key, (every, _, of) in counts.items()},
                **{f"min_{key}": fraction(of(last.sum(axis=0))) for key, (_, last, of) in counts.items()},
                "boundary_f_per_class": dict(zip(self.labels.names, map(fraction, f), strict=True)),
            }
        }

    @property
    def farthest(self) -> Counts:
        """(blocks, 3, classes) over the frames just before the next key frame."""
        return np.asarray(self.overlap[:, -1]) if self.by_distance else self.before_key

    @property
    def distances(self) -> int:
        return self.overlap.shape[1]

    def pooled(self) -> Counts:
        """(blocks, 3, classes) over all distances."""
        return np.asarray(self.overlap.sum(axis=1))

    def average(self, settings: Bootstrap) -> Interval:
        """mIoU pooled over all distances."""
        return absolute(miou, self.pooled(), clips=self.clips, settings=settings)

    def agreement(self) -> dict[str, Any]:
        """Per class, pooled over all distances; `confusion`: pixels, rows truth, columns prediction, the last one none
        of the classes."""
        pooled = self.pooled().sum(axis=0)
        return {
            **per_class(pooled, self.labels),
            "miou_absent_as_zero": fraction(miou_absent_as_zero(pooled)),
            "confusion": self.confusion.tolist(),
        }

    def per_distance(self) -> list[float | None]:
        return [fraction(value) for value in miou(self.overlap.sum(axis=0))]

    def per_distance_intervals(self, settings: Bootstrap) -> list[dict[str, Any]]:
        """Of `per_distance`."""
        each = (self.overlap[:, distance] for distance in range(self.distances))
        return [absolute(miou, counts, clips=self.clips, settings=settings).to_json() for counts in each]

    def min_miou(self) -> float | None:
        """mIoU over the frames just before the next key frame."""
        return fraction(miou(self.farthest.sum(axis=0)))

    def temporal_figures(self) -> dict[str, float | None]:
        """`tc`, over the classes of `consistency`, `vc8` and `vc16`."""
        vc = share(self.vc.sum(axis=0))
        windows = {f"vc{n}": fraction(value) for n, value in zip(WINDOWS, vc, strict=True)}
        return {"tc": fraction(self.consistency(self.tc.sum(axis=0))), **windows}

    def add_vspw(self, counts: VspwCounts) -> None:
        """What a run adds to the measures of VSPW's scripts, which are kept only where they were asked for."""
        self.vspw = counts if self.vspw is None else self.vspw + counts

    def vspw_figures(self) -> dict[str, Any]:
        """`vspw`: `VspwCounts.compute`, where that was asked for."""
        return {} if self.vspw is None else {"vspw": self.vspw.compute()}

    def calibrate(self, values: NDArray[np.float32], labels: Labels, truth: Labels, *, of: Calibrated) -> None:
        """How often labels are right that were given with such values in 0..1; all three of one shape."""
        self.calibration[of] += bin_sums(values, labels, truth)

    def calibration_figures(self) -> dict[str, Any]:
        """`calibration.calibration_figures` of the confidence of all frames; `ece_at_keys` and `ece_elsewhere`: of key
        frames and of the others alone; `reliability`: those figures of the reliability of propagated scores."""
        keys, others = self.calibration["keys"], self.calibration["others"]
        return {
            **calibration_figures(keys + others),
            "ece_at_keys": fraction(expected_calibration_error(keys)),
            "ece_elsewhere": fraction(expected_calibration_error(others)),
            "reliability": calibration_figures(self.calibration["reliability"]),
        }

    @property
    def true_classes(self) -> NDArray[np.bool_]:
        """(classes,) those that the truth holds."""
        return np.asarray(self.pooled().sum(axis=0)[2] > 0)

    def consistency(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        """TC of (..., 3, classes), over the classes that the truth holds; of rows that are compared, over those of them
        that every row gives (`share_tc_classes`)."""
        return consistency(counts, counted=self.true_classes if self._tc_classes is None else self._tc_classes)

    def _paired_consistency(self, counts: NDArray[Any]) -> NDArray[np.float64]:
        """TC of each of (compared, ..., 3, classes), over the classes that all that are compared give."""
        given = np.all(counts[..., 1, :] > 0, axis=0, keepdims=True)
        return self.consistency(np.where(given[..., None, :], counts, 0))

    def flicker(self) -> dict[str, float | None]:
        return flicker(self.changes)

    def companion(self) -> Tally:
        """An empty tally for what another method counts of the frames of this row, at the same distances."""
        return Tally(self.labels, clips=self.clips, distances=self.distances, by_distance=self.by_distance)

    def gain_over(
        self, other: Tally, settings: Bootstrap, *, yardstick: tuple[Tally, Tally] | None = None
    ) -> dict[str, Any]:
        """Differences to another row, with their intervals: of the average mIoU, and below it of the others.

        The other row counts the same frames equally often; where it does not, `yardstick` are the companions of both
        that one further method fills: what that method differs by from frames to frames is taken off.
        """
        compared = [self, other, *(yardstick or ())]

        def of(statistic: Any, counts: Callable[[Tally], Counts]) -> dict[str, Any]:
            a, b, *rest = (counts(tally) for tally in compared)
            further = (rest[0], rest[1]) if rest else None
            return difference(statistic, a, b, clips=self.clips, settings=settings, yardstick=further).to_json()

        def constant(row: int) -> Callable[[Tally], Counts]:
            return lambda tally: tally.vc[:, row]

        def along(key: str) -> Callable[[Tally], NDArray[Any]]:
            return lambda tally: tally.boundary_counts()[key][0]

        return {
            **of(miou, Tally.pooled),
            "min_miou": of(miou, lambda tally: tally.farthest),
            "tc": of(self._paired_consistency, lambda tally: tally.tc),
            **{f"vc{n}": of(share, constant(row)) for row, n in enumerate(WINDOWS)},
            **{key: of(statistic, along(key)) for key, (*_, statistic) in self.boundary_counts().items()},
        }


def share_tc_classes(tallies: Sequence[Tally]) -> list[str]:
    """From now on, TC of all these rows is averaged over the same classes: those that the truth of the first holds, and
    that every row gives in some pair of frames. Returns the names of those that the truth holds and some row lacks."""
    true = tallies[0].true_classes
    given = np.all([tally.tc.sum(axis=0)[1] > 0 for tally in tallies], axis=0)
    for tally in tallies:
        tally._tc_classes = true & given
    return [name for name, lacks in zip(tallies[0].labels.names, true & ~given, strict=True) if lacks]


def per_distance_figures(values: Sequence[float | None]) -> dict[str, Any]:
    """`mean_miou`, `min_miou` (at the last distance), `worst_miou` and `worst_distance` of mIoU by distance."""
    known = [(value, distance) for distance, value in enumerate(values) if value is not None]
    worst = min(known) if known else (None, None)
    return {
        "mean_miou": sum(value for value, _ in known) / len(known) if known else None,
        "min_miou": values[-1],
        "worst_miou": worst[0],
        "worst_distance": worst[1],
        "per_distance": list(values),
    }
