"""How often the intervals hold the truth, on simulated clips of which the truth is known.

`pytest tests/metrics/test_interval_coverage.py -s` prints the shares.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from segtween.metrics import bootstrap
from segtween.metrics.bootstrap import Bootstrap, Interval, Statistic, absolute, block_numbers, difference
from segtween.metrics.segmentation import miou
from segtween.metrics.temporal import share

IOU = np.array([0.95, 0.92, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.5, 0.4])
PIXELS = np.array([3000, 2500, 2000, 1000, 500, 400, 300, 200, 150, 100, 100])
"""Eleven classes, as of CamVid. The last is rare: RARE consecutive frames of a quarter of the clips, one at least."""

RARE = 15
QUALITY = 0.4
"""Standard deviation of a class's logit of IoU from frame to frame; half of its variance all classes share."""

SIZE = 0.4
"""Standard deviation of the logarithm of a class's pixels; larger ones are segmented better, correlation GROWS."""

GROWS = 0.5
ALIKE = 0.8
"""Correlation of the two methods' qualities."""

WORSE = -0.2
"""Of the second method's logits."""

BASE = np.log(IOU / (1 - IOU))

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Clips:
    """So many simulated clips. `rho` correlates a frame with the next; `between` is the deviation of whole clips."""

    clips: int
    frames: int
    rho: float
    between: float = 0.0

    def noise(self, rng: np.random.Generator, draws: int, classes: int) -> Floats:
        """(draws, clips, classes, frames), first-order autoregressive over the frames, of unit variance."""
        e = rng.standard_normal((self.frames, draws, self.clips, classes), dtype=np.float32)
        e[1:] *= np.sqrt(1 - self.rho**2)
        for now, before in zip(e[1:], e[:-1], strict=True):
            now += self.rho * before
        return np.moveaxis(e, 0, -1)

    def quality(self, rng: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
        """How well each class is segmented, from frame to frame and clip by clip; unit variance, half common to all."""
        frames = self.noise(rng, draws, 1) + self.noise(rng, draws, len(IOU))
        clips = rng.standard_normal((draws, self.clips, 1, 1)) + rng.standard_normal((draws, self.clips, len(IOU), 1))
        return np.sqrt(0.5) * frames, np.sqrt(0.5) * clips

    def draw(self, rng: np.random.Generator, draws: int) -> tuple[Floats, Floats]:
        """Intersections, unions and true pixels per block of two methods, (draws, blocks, 3, classes) each."""
        frames, clips = self.quality(rng, draws)
        own = [np.sqrt(1 - ALIKE**2) * part for part in self.quality(rng, draws)]
        grown = GROWS * frames + np.sqrt(1 - GROWS**2) * self.noise(rng, draws, len(IOU))
        pixels = PIXELS[:, None] * np.exp(SIZE * grown)
        seen, frame = rng.random((draws, self.clips, 1)) < 0.25, np.arange(self.frames)
        seen[:, 0] = True
        first = rng.integers(0, self.frames - RARE + 1, (draws, self.clips, 1))
        pixels[:, :, -1] *= seen & (frame >= first) & (frame < first + RARE)
        a = self._pooled(BASE[:, None] + QUALITY * frames + self.between * clips, pixels)
        second = QUALITY * (ALIKE * frames + own[0]) + self.between * (ALIKE * clips + own[1])
        return a, self._pooled(BASE[:, None] + WORSE + second, pixels)

    def _pooled(self, logits: Floats, pixels: Floats) -> Floats:
        counts = np.stack([pixels / (1 + np.exp(-logits)), pixels, pixels], axis=2)
        starts = np.unique(block_numbers(self.frames, block_frames=10), return_index=True)[1]
        blocks = np.moveaxis(np.add.reduceat(counts, starts, axis=-1), -1, 2)
        return blocks.reshape(len(logits), -1, 3, len(IOU)).astype(np.float64)

    @property
    def of_blocks(self) -> NDArray[np.intp]:
        return np.repeat(np.arange(self.clips), int(block_numbers(self.frames, block_frames=10)[-1]) + 1)

    def truth(self) -> tuple[Floats, Floats]:
        """(3, classes) of both methods: expected intersection, union and 1 for one expected pixel of each class.

        Weighted by size, the quality's mean moves by its covariance with the logarithm of the size.
        """
        at, weight = np.polynomial.hermite_e.hermegauss(60)
        spread = np.hypot(QUALITY, self.between) * at

        def expected(mean: Floats) -> Floats:
            iou = (weight / weight.sum() / (1 + np.exp(-(mean[:, None] + spread)))).sum(axis=-1)
            return np.stack([iou, np.ones_like(iou), np.ones_like(iou)])

        moved = SIZE * GROWS * QUALITY
        return expected(BASE + moved), expected(BASE + WORSE + ALIKE * moved)


def first_class(overlaps: NDArray[Any]) -> Floats:
    return share(overlaps[..., 0])


FIGURES: dict[str, Statistic] = {"share": first_class, "mIoU": miou}


def coverage(simulated: Clips, draws: int, settings: Bootstrap) -> tuple[dict[str, float], set[str | None]]:
    """The share of draws whose interval holds the truth, of each figure and of its difference; the intervals' kinds."""
    a, b = simulated.draw(np.random.default_rng(0), draws)
    true_a, true_b = simulated.truth()
    clips, shares, kinds = simulated.of_blocks, dict[str, float](), set[str | None]()

    def inside(intervals: list[Interval], truth: float) -> float:
        kinds.update(interval.kind for interval in intervals)
        return float(
            np.mean([i.low is not None and i.high is not None and i.low <= truth <= i.high for i in intervals])
        )

    for name, of in FIGURES.items():
        found = [absolute(of, counts, clips=clips, settings=settings) for counts in a]
        shares[name] = inside(found, float(of(true_a)))
        gains = [difference(of, *pair, clips=clips, settings=settings) for pair in zip(a, b, strict=True)]
        shares[f"{name} difference"] = inside(gains, float(of(true_a) - of(true_b)))
    told = ", ".join(f"{name} {100 * value:.1f}%" for name, value in shares.items())
    sys.stdout.write(f"{simulated}, {' '.join(str(kind) for kind in kinds)}, {draws} draws: {told}\n")
    return shares, kinds


TABLES = [
    (Clips(1, 101, 0.0), "t over blocks", 400),
    (Clips(1, 101, 0.5), "t over blocks", 400),
    (Clips(1, 101, 0.9), "t over blocks", 2000),
    (Clips(12, 30, 0.0), "t over clips", 400),
    (Clips(12, 30, 0.5, between=0.4), "t over clips", 800),
    (Clips(12, 30, 0.9, between=0.4), "t over clips", 800),
]
"""CamVid val is one clip of 101 frames, the street drives 12 clips of 30. And how often to draw: more often where the
share is near 90%."""

OTHERS = [
    (Clips(1, 90, 0.9), "t over blocks"),
    (Clips(1, 300, 0.5), "t over blocks"),
    (Clips(1, 300, 0.9), "t over blocks"),
    (Clips(3, 30, 0.9, between=0.4), "t over clips"),
    (Clips(6, 30, 0.5, between=0.4), "t over clips"),
    (Clips(12, 30, 0.9), "t over clips"),
    (Clips(20, 20, 0.0), "bootstrap"),
    (Clips(20, 20, 0.5, between=0.4), "bootstrap"),
    (Clips(30, 30, 0.9, between=0.4), "bootstrap"),
]


def holds(simulated: Clips, kind: str, draws: int) -> None:
    shares, kinds = coverage(simulated, draws, Bootstrap(resamples=200))
    assert kinds == {kind}
    beyond_chance = 1.645 * np.sqrt(0.9 * 0.1 / draws)  # the error of the simulation, one-sided 95%
    assert min(shares.values()) >= 0.90 + beyond_chance


@pytest.mark.slow
@pytest.mark.parametrize(("simulated", "kind", "draws"), TABLES, ids=str)
def test_intervals_of_the_tables_hold_the_truth(simulated: Clips, kind: str, draws: int) -> None:
    holds(simulated, kind, draws)


@pytest.mark.slow
@pytest.mark.parametrize(("simulated", "kind"), OTHERS, ids=str)
def test_other_intervals_hold_the_truth(simulated: Clips, kind: str) -> None:
    holds(simulated, kind, 2000)


@pytest.mark.parametrize(
    ("simulated", "fewest", "kind"),
    [
        (Clips(2, 30, 0.5, between=0.4), {"FEWEST_CLIPS": 2, "ENOUGH_CLIPS": 2}, "bootstrap"),
        (Clips(1, 40, 0.9), {"FEWEST_BLOCKS": 4}, "t over blocks"),
    ],
    ids=str,
)
def test_what_falls_short_is_not_given(
    simulated: Clips, fewest: dict[str, int], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = coverage(simulated, 20, Bootstrap(resamples=200))[1]
    assert kind not in kinds
    for name, value in fewest.items():
        monkeypatch.setattr(bootstrap, name, value)
    shares, kinds = coverage(simulated, 200, Bootstrap(resamples=200))
    assert kinds == {kind}
    assert max(shares.values()) < 0.90


def test_blocks_are_not_taken_for_independent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "_half_over_blocks", bootstrap._half_over_clips)
    shares, _ = coverage(Clips(1, 101, 0.9), 200, Bootstrap())
    assert max(shares.values()) < 0.90
