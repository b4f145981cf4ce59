"""Densification: the weights of eight pixels at once, and each pixel's mean, against the same in NumPy."""

from __future__ import annotations

import numpy as np
from numba import njit

from segtween.flow.patches import PAD, SAME, densify_columns
from segtween.flow.search import _bands, _places
from segtween.flow.weighing import SHARP, SIDE, add_weighted

APART = 4


@njit
def _once(before, left, right, now, own, sums, at, apart, factors):
    add_weighted(
        before, np.uintp(left), np.uintp(right), now, np.uintp(own), sums, np.uintp(at), np.uintp(apart), factors
    )


def test_eight_weights_at_once_are_those_of_eight_pixels() -> None:
    rng = np.random.default_rng(0)
    before, now = (rng.uniform(0, 255, 64).astype(np.float32) for _ in range(2))
    sums = rng.uniform(0, 1, 60).astype(np.float32)
    a, b, c, d, u, v = factors = tuple(np.float32(x) for x in (0.1, 0.2, 0.3, 0.4, -2.5, 7.0))
    e = a * before[3:11] + b * before[30:38] + c * before[4:12] + d * before[31:39] - now[5:13]
    weight = 1 / (SHARP + e.astype(np.float64) ** 4)
    expected = sums.astype(np.float64)
    for k, value in enumerate((weight, weight * u, weight * v)):
        expected[2 + 20 * k : 10 + 20 * k] += value
    _once(before, 3, 30, now, 5, sums, 2, 20, factors)
    np.testing.assert_allclose(sums, expected, rtol=1e-5)


def by_hand(now: np.ndarray, before: np.ndarray, flow: np.ndarray, h: int, w: int) -> np.ndarray:
    """Pixel by pixel, from levels (h + 2 PAD, w + 2 PAD)."""
    xs, ys, out = _places(w, APART), _places(h, APART), np.zeros((h, w, 2))
    for y in range(h):
        for x in range(w):
            covering = [
                (k, m)
                for k in range(len(ys))
                for m in range(len(xs))
                if 0 <= y - ys[k] < SIDE and 0 <= x - xs[m] < SIDE
            ]
            flows = np.array([flow[at] for at in covering], np.float64)
            if (((flows - flows[0]) ** 2).sum(axis=1) <= SAME**2).all():
                out[y, x] = flows.mean(axis=0)
                continue
            weights = []
            for u, v in flows:
                sx, sy = x + u + PAD, y + v + PAD
                x0, y0, fx, fy = int(sx), int(sy), sx % 1, sy % 1
                upper = (1 - fx) * before[y0, x0] + fx * before[y0, x0 + 1]
                lower = (1 - fx) * before[y0 + 1, x0] + fx * before[y0 + 1, x0 + 1]
                weights.append(1 / (SHARP + ((1 - fy) * upper + fy * lower - now[y + PAD, x + PAD]) ** 4))
            out[y, x] = np.average(flows, axis=0, weights=weights)
    return out


def test_a_pixels_flow_is_the_weighted_mean_of_its_patches() -> None:
    rng, (h, w) = np.random.default_rng(1), (21, 30)  # bands of other widths than four at the ends
    now, before = (rng.uniform(0, 40, (h + 2 * PAD, w + 2 * PAD)).astype(np.float32) for _ in range(2))
    flow = rng.choice([0.0, 0.1, 1.5, -2.25], (len(_places(h, APART)), len(_places(w, APART)), 2)).astype(np.float32)
    flow[:3, :4] = 0.5  # patches that agree
    out, bands = np.empty((h, w, 2), np.float32), (*_bands(w, APART), *_bands(h, APART))
    columns = (np.ascontiguousarray(level.T) for level in (now, before))
    arguments = (*columns, (_places(w, APART), _places(h, APART)), flow, bands, out)
    many = len(bands[0]) - 1
    densify_columns(*arguments, 0, many // 2)
    densify_columns(*arguments, many // 2, many)
    np.testing.assert_allclose(out, by_hand(now, before, flow, h, w), atol=2e-3)
