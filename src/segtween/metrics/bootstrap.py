"""Confidence intervals: from clips, and from blocks of consecutive frames.

Neighbouring frames are alike, so blocks of them are the units of one clip (Künsch: The Jackknife and the Bootstrap
for General Stationary Observations, Annals of Statistics 1989); all frames of a clip are alike, so where there are
several, clips are the units. A difference is *paired*: both methods get the same blocks. What is given for

- `ENOUGH_CLIPS` clips or more: a percentile bootstrap. Clips are drawn with replacement, then blocks within each drawn
  clip (Davison and Hinkley: Bootstrap Methods and their Application, 1997, section 3.8). The percentiles lie farther
  out by what the t distribution of clips - 1 degrees of freedom is wider than the normal one (Hesterberg: What Teachers
  Should Know About the Bootstrap, The American Statistician 2015: expanded percentiles);
- `FEWEST_CLIPS` or more: a t interval from the jackknife that leaves one clip out, clips - 1 degrees of freedom;
- one clip of `FEWEST_BLOCKS` blocks or more: a t interval from the jackknife that leaves one block out. Its standard
  error is the larger of two: that of independent blocks, and that of the slow drift of the blocks' influence over the
  clip, measured by equally weighted cosines of the lowest frequencies (Lazarus, Lewis, Stock and Watson: HAR Inference:
  Recommendations for Practice, Journal of Business and Economic Statistics 2018), one for every ten blocks and at
  least three, as many as there are degrees of freedom. It holds where blocks next to each other are alike too;
- less: no interval, and the reason. Of fewer blocks, neighbours that are alike make the t interval fall short of 90%
  where it promises 95%. Of two clips percentiles do; a t interval of one degree of freedom holds, but is more than six
  times as wide as the spread that it measures.

An interval of one clip is about longer clips of the same scene, not about other scenes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError
from segtween.metrics.segmentation import fraction
from segtween.metrics.student import central_quantile
from segtween.texttable import count

Statistic = Callable[[NDArray[Any]], NDArray[np.float64]]
"""Additive counts (..., *shape) -> figure (...), a fraction in 0..1; NaN where there is nothing to measure."""

ENOUGH_CLIPS = 20
"""From this many clips on they are resampled; with fewer, percentiles of the draws would be too narrow."""

FEWEST_CLIPS = 3
FEWEST_BLOCKS = 9
"""Blocks of a single clip."""

_DRAWS_AT_ONCE = 64  # bounds the memory

Kind = Literal["bootstrap", "t over clips", "t over blocks"]


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """`block_frames` consecutive frames make a block; `level` is every interval's confidence.

    `resamples` and `seed` are those of the draws, where there are enough clips to draw.
    """

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
    """A figure with the bounds of its interval, and what it is based on.

    `clips` and `blocks` count those that hold something of the figure; `kind` says how the bounds were found.
    Without bounds `reason` says why; `value` is None where there is nothing to measure.
    """

    value: float | None
    low: float | None
    high: float | None
    clips: int
    blocks: int
    kind: Kind | None = None
    reason: str | None = None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def basis(figures: Mapping[str, Any]) -> str:
    """What an interval, in its `to_json` form, is based on, for people: `t interval over 12 clips (36 blocks)`."""
    clips, blocks = count(figures["clips"], "clip"), count(figures["blocks"], "block")
    if figures["kind"] is None:
        return f"no interval ({figures['reason']})"
    if figures["kind"] == "t over blocks":
        return f"t interval over {blocks}, on this clip"
    return f"{'bootstrap' if figures['kind'] == 'bootstrap' else 't interval'} over {clips} ({blocks})"


def bases(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """`basis` of several rows by their names: given once where all have the same, else for each."""
    found: dict[str, list[str]] = {}
    for name, figure in figures.items():
        found.setdefault(basis(figure), []).append(name)
    if len(found) == 1:
        return next(iter(found))
    return "; ".join(f"{', '.join(names)}: {rests}" for rests, names in found.items())


def block_numbers(n_frames: int, *, block_frames: int) -> NDArray[np.intp]:
    """The block of each frame of one clip, from 0; a rest of less than half a block joins the last one."""
    blocks = max(1, int(n_frames / block_frames + 0.5))
    return np.minimum(np.arange(n_frames) // block_frames, blocks - 1)


def absolute(statistic: Statistic, counts: NDArray[Any], *, clips: NDArray[np.intp], settings: Bootstrap) -> Interval:
    """Interval of a figure from its counts per block, (blocks, *shape), blocks of a clip in order of time.

    `clips` (blocks,) is the clip of each block. Raises ValueError where it is not.
    """
    return _interval(statistic, [counts], clips, settings)


def difference(
    statistic: Statistic,
    a: NDArray[Any],
    b: NDArray[Any],
    *,
    clips: NDArray[np.intp],
    settings: Bootstrap,
    yardstick: tuple[NDArray[Any], NDArray[Any]] | None = None,
) -> Interval:
    """Interval of statistic(a) - statistic(b), from the counts of both in the same blocks; otherwise as `absolute`.

    Where a and b are not of the same frames, `yardstick` are the counts (a0, b0) of one further method, on the frames
    of a and on those of b: statistic(a0) - statistic(b0), what the frames alone make, is taken off. `statistic` is
    handed the counts of all at once, along a first axis, so that it can average over what all of them have.
    """
    counts = [a, b, *(yardstick or ())]
    if any(c.shape != a.shape for c in counts):
        shapes = " and ".join(str(c.shape) for c in counts)
        raise ValueError(f"counts of shapes {shapes}; expected the same blocks and figures")
    return _interval(statistic, counts, clips, settings)


_Figure = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""How often each block counts, (n, blocks) -> figure (n,)."""


def _interval(
    statistic: Statistic, counts: Sequence[NDArray[Any]], clips: NDArray[np.intp], settings: Bootstrap
) -> Interval:
    if clips.shape != counts[0].shape[:1]:
        raise ValueError(f"clips of shape {clips.shape} for {len(counts[0])} blocks; expected one of each block")
    held = np.any([c.any(axis=tuple(range(1, c.ndim))) for c in counts], axis=0)
    kept = [c[held].astype(np.float64) for c in counts]
    names, clip = np.unique(clips[held], return_inverse=True)

    def figure(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        values = statistic(np.stack([np.tensordot(weights, c, axes=1) for c in kept]))
        plain = values[0] if len(values) == 1 else values[0] - values[1]
        return np.asarray(plain if len(values) < 4 else plain - (values[2] - values[3]))

    blocks, is_one = len(clip), len(names) == 1
    unit = "block" if is_one else "clip"
    value = float(figure(np.ones((1, blocks)))[0])
    found = Interval(fraction(value), None, None, len(names), blocks)
    if found.value is None:
        return replace(found, reason="nothing to measure")
    if is_one and blocks < FEWEST_BLOCKS:
        return replace(found, reason=f"{count(blocks, 'block')} of one clip: too few for an interval")
    if not is_one and len(names) < FEWEST_CLIPS:
        return replace(found, reason=f"{count(len(names), 'clip')}: too few for an interval")
    influence = _influence(figure, np.arange(blocks) if is_one else clip)
    if np.isnan(influence).any():
        return replace(found, reason=f"all of it in one {unit}: too few for an interval")
    if len(names) >= ENOUGH_CLIPS:
        low, high = _drawn(figure, clip, settings)
        return replace(found, low=low, high=high, kind="bootstrap")
    half = (_half_over_blocks if is_one else _half_over_clips)(influence, settings.level)
    least, most = {1: (0.0, 1.0), 2: (-1.0, 1.0)}.get(len(counts), (-2.0, 2.0))
    return replace(
        found,
        low=max(value - half, least),
        high=min(value + half, most),
        kind="t over blocks" if is_one else "t over clips",
    )


def _influence(figure: _Figure, unit: NDArray[np.intp]) -> NDArray[np.float64]:
    """(units,) how much each unit moves the figure, times their number: independent units' spread about their mean.

    `unit` (blocks,) is the unit of each block. The jackknife: n - 1 times what the figure loses without the unit.
    """
    n = int(unit.max()) + 1
    without = figure((unit != np.arange(n)[:, None]).astype(np.float64))
    return np.asarray((n - 1) * (without.mean() - without))


def _half_over_clips(influence: NDArray[np.float64], level: float) -> float:
    """Half the width of the t interval of independent units."""
    return central_quantile(level, len(influence) - 1) * _error(influence)


def _half_over_blocks(influence: NDArray[np.float64], level: float) -> float:
    """The same of the blocks of one clip, in order of time."""
    n = len(influence)
    slow = max(3, n // 10)
    cosines = np.cos(np.pi * np.arange(1, slow + 1)[:, None] * (np.arange(n) + 0.5) / n) * np.sqrt(2 / n)
    drift = float(np.sqrt(((cosines @ influence) ** 2).mean() / n))
    return central_quantile(level, slow) * max(_error(influence), drift)


def _error(influence: NDArray[np.float64]) -> float:
    """The standard error of the mean of independent values whose own mean is 0."""
    n = len(influence)
    return float(np.sqrt((influence**2).sum() / (n * (n - 1))))


def _drawn(figure: _Figure, clip: NDArray[np.intp], settings: Bootstrap) -> tuple[float, float]:
    """Percentiles of the figure over draws of clips, and of blocks within each drawn clip. `clip` (blocks,)."""
    rng, blocks = np.random.default_rng(settings.seed), len(clip)
    by_clip, sizes = np.argsort(clip, kind="stable"), np.bincount(clip)
    firsts = np.cumsum(sizes) - sizes

    def chunk(draws: int) -> NDArray[np.float64]:
        chosen = rng.integers(0, len(sizes), (draws, len(sizes), 1))
        within = (rng.random((draws, len(sizes), int(sizes.max()))) * sizes[chosen]).astype(np.intp)
        is_drawn = np.arange(sizes.max()) < sizes[chosen]
        index = by_clip[firsts[chosen] + np.where(is_drawn, within, 0)] + blocks * np.arange(draws)[:, None, None]
        times = np.bincount(index[is_drawn], minlength=draws * blocks).reshape(draws, blocks)
        return figure(times.astype(np.float64))

    starts = range(0, settings.resamples, _DRAWS_AT_ONCE)
    figures = np.concatenate([chunk(min(_DRAWS_AT_ONCE, settings.resamples - start)) for start in starts])
    figures = figures[~np.isnan(figures)]  # a draw may miss every clip in which there is something to measure
    n = len(sizes)
    tail = NormalDist().cdf(-np.sqrt(n / (n - 1)) * central_quantile(settings.level, n - 1))
    low, high = np.quantile(figures, [tail, 1 - tail])
    return float(low), float(high)
