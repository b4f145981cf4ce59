"""Confidence by the compiled loop against plain NumPy: warped scores, softmax, maximum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segtween.ops.cpu import CpuOps, softmax
from segtween.types import ScoreMap

SIDES = st.integers(1, 30)
TOLERANCE = 3e-6


def scores(kind: Any, classes: int, h: int, w: int, seed: int) -> ScoreMap:
    logits = np.random.default_rng(seed).normal(0, 6, (classes, h, w)).astype(np.float32)
    return ScoreMap(softmax(logits) if kind == "probabilities" else logits, kind, (4 * h, 4 * w))


def flow(h: int, w: int, seed: int) -> Any:
    return np.random.default_rng(seed).normal(0, 5, (h, w, 2)).astype(np.float32)


def looked_up(ops: CpuOps, of: ScoreMap, composed: Any) -> Any:
    return of.values if composed is None else ops.warp(of.values, ops.resize_flow(composed, of.grid_hw))[0]


def expected(of: ScoreMap, values: Any) -> Any:
    rows, columns = of.inside_hw
    values = np.float64(values[:, :rows, :columns])
    powers = np.exp(values - values.max(axis=0))
    return values.max(axis=0) if of.kind == "probabilities" else 1 / powers.sum(axis=0)


@given(st.sampled_from(["logits", "probabilities"]), st.integers(1, 70), SIDES, SIDES, st.integers(1, 3))
def test_one_source_is_the_largest_probability_of_the_warped_scores(
    kind: str, classes: int, h: int, w: int, step: int
) -> None:
    ops, of = CpuOps(threads=1), scores(kind, classes, h, w, 0)
    for composed in (None, flow(h, w, 1), flow(h // 2 + 1, 2 * w, 2)):
        found = ops.confidence((of, composed), step=step)
        np.testing.assert_allclose(found, expected(of, looked_up(ops, of, composed))[::step, ::step], atol=TOLERANCE)


@given(st.sampled_from(["logits", "probabilities"]), st.integers(1, 20), SIDES, SIDES, st.integers(1, 3))
def test_two_sources_are_mixed_by_their_share(kind: str, classes: int, h: int, w: int, step: int) -> None:
    ops, one, two = CpuOps(threads=1), scores(kind, classes, h, w, 0), scores(kind, classes, h, w, 1)
    share = np.random.default_rng(2).random((h + 1, w + 1)).astype(np.float32)
    near, far = flow(h + 1, w + 1, 3), flow(h + 1, w + 1, 4)
    for first, second in ((near, far), (None, far)):
        found = ops.confidence((one, first), (two, second), share, step=step)
        part, values = ops.resize(share, (h, w)), looked_up(ops, one, first)
        values = values + part * (looked_up(ops, two, second) - values)
        np.testing.assert_allclose(found, expected(one, values)[::step, ::step], atol=TOLERANCE)


def test_far_places_and_great_differences() -> None:
    values = np.zeros((3, 5, 6), np.float32)
    values[1], values[2, 0, 0] = -500, 300
    of, composed = ScoreMap(values, "logits", (20, 24)), np.zeros((5, 6, 2), np.float32)
    composed[0, 0], composed[1, 1], composed[2, 2] = np.nan, np.inf, -1e9
    found = CpuOps(threads=1).confidence((of, composed))
    assert found[0, 0] == found[2, 2] == 1, "NaN, and what is far left and above, is the first place"
    assert found[1, 1] == found[4, 4] == pytest.approx(0.5)


def test_padding_is_left_out() -> None:
    values = np.zeros((2, 6, 8), np.float32)
    values[0, 5:], values[0, :, 7:] = 50, 50
    of = ScoreMap(values, "logits", (40, 56), spans_hw=(48, 64))
    found = CpuOps(threads=1).confidence((of, None), step=2)
    assert found.shape == (3, 4)
    assert np.allclose(found, 0.5)


def test_it_does_not_depend_on_the_number_of_threads() -> None:
    one, two = scores("logits", 19, 136, 240, 0), scores("logits", 19, 136, 240, 1)
    share = np.random.default_rng(2).random((135, 240)).astype(np.float32)
    sources = (one, flow(135, 240, 3)), (two, flow(135, 240, 4)), share
    for given_ in (sources[:1], sources):
        alone, shared = (CpuOps(threads=1).confidence(*given_), CpuOps(threads=0))
        assert all(np.array_equal(alone, shared.confidence(*given_)) for _ in range(3))
