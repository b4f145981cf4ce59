"""How far a figure could be chance: a block bootstrap over time.

Neighbouring frames are alike, so whole blocks of consecutive frames are drawn (Künsch: The Jackknife and
the Bootstrap for General Stationary Observations, Annals of Statistics 1989), with replacement. A difference
is *paired*: both methods get the same draw.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError
from segtween.metrics.segmentation import fraction

Statistic = Callable[[NDArray[Any]], NDArray[np.float64]]
"""Additive counts (..., *shape) -> figure (...)."""

_DRAWS_AT_ONCE = 64  # bounds the memory; does not change the result


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """`block_frames` consecutive frames make a block; `level` is the interval's confidence."""

    block_frames: int = 10
    resamples: int = 2000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.block_frames < 1 or self.resamples < 1 or not 0 < self.level < 1:
            raise SettingError(
                f"bootstrap of {self.resamples} draws of blocks of {self.block_frames} frames at level {self.level}",
                expected="1 or more of both, and a level between 0 and 1",
                do="correct it",
            )


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the bounds of its interval; None where there is nothing to measure or fewer than two blocks."""

    value: float | None
    low: float | None
    high: float | None

    def to_json(self) -> dict[str, float | None]:
        return {"value": self.value, "low": self.low, "high": self.high}


def block_numbers(n_frames: int, *, block_frames: int) -> NDArray[np.intp]:
    """The block of each frame of one clip, from 0; a rest of less than half a block joins the last one."""
    blocks = max(1, int(n_frames / block_frames + 0.5))
    return np.minimum(np.arange(n_frames) // block_frames, blocks - 1)


def absolute(statistic: Statistic, counts: NDArray[Any], *, settings: Bootstrap) -> Interval:
    """Percentile interval of a figure from its counts per block, (blocks, *shape)."""
    return _interval(float(statistic(counts.sum(axis=0))), lambda pick: statistic(pick(counts)), len(counts), settings)


def difference(statistic: Statistic, a: NDArray[Any], b: NDArray[Any], *, settings: Bootstrap) -> Interval:
    """Percentile interval of statistic(a) - statistic(b), from the counts of both in the same blocks."""
    if a.shape != b.shape:
        raise ValueError(f"counts of shapes {a.shape} and {b.shape}; expected the same blocks and figures")
    value = float(statistic(a.sum(axis=0)) - statistic(b.sum(axis=0)))
    return _interval(value, lambda pick: statistic(pick(a)) - statistic(pick(b)), len(a), settings)


_Pick = Callable[[NDArray[Any]], NDArray[np.float64]]


def _interval(
    value: float, figure: Callable[[_Pick], NDArray[np.float64]], blocks: int, settings: Bootstrap
) -> Interval:
    if np.isnan(value) or blocks < 2:
        return Interval(fraction(value), None, None)
    drawn = np.random.default_rng(settings.seed).integers(0, blocks, (settings.resamples, blocks))
    times = np.stack([np.bincount(row, minlength=blocks) for row in drawn]).astype(np.float64)

    def chunk(start: int) -> NDArray[np.float64]:
        weights = times[start : start + _DRAWS_AT_ONCE]
        return figure(lambda counts: np.tensordot(weights, counts.astype(np.float64), axes=1))

    figures = np.concatenate([chunk(start) for start in range(0, settings.resamples, _DRAWS_AT_ONCE)])
    figures = figures[~np.isnan(figures)]  # a draw may miss every block in which the figure exists
    if not figures.size:
        return Interval(fraction(value), None, None)
    tail = (1 - settings.level) / 2
    low, high = np.quantile(figures, [tail, 1 - tail])
    return Interval(value, float(low), float(high))
