"""Agreement along label edges, against a slow implementation that says what is meant."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segtween.metrics.boundary import TRIMAP, TruthEdges, mean_f, near_edge, outline
from segtween.metrics.segmentation import miou

Labels = NDArray[np.uint8]


def drawn(seed: int, size_hw: tuple[int, int], *, classes: int, void: bool = False) -> Labels:
    """Random rectangles of classes."""
    rng = np.random.default_rng(seed)
    labels = np.full(size_hw, rng.integers(classes), np.uint8)
    for _ in range(6):
        y, x = int(rng.integers(size_hw[0])), int(rng.integers(size_hw[1]))
        labels[y : y + int(rng.integers(1, 9)), x : x + int(rng.integers(1, 9))] = rng.integers(classes)
    if void:
        labels[rng.random(size_hw) < 0.05] = 255
    return labels


def slow_near(labels: Labels, pixels: int) -> NDArray[np.bool_]:
    """Every pixel against every other."""
    flat = labels.ravel()
    y, x = (places.ravel() for places in np.indices(labels.shape))
    close = (y[:, None] - y) ** 2 + (x[:, None] - x) ** 2 <= pixels**2
    known = (flat[:, None] != 255) & (flat != 255)
    return (close & known & (flat[:, None] != flat)).any(axis=1).reshape(labels.shape)


def slow_outline(mask: NDArray[np.bool_], truth: Labels) -> list[tuple[int, int]]:
    """Pixels whose right, lower or lower right neighbour differs, where none of the four is void in the truth."""
    h, w = mask.shape
    found = []
    for y in range(h):
        for x in range(w):
            four = [(min(y + b, h - 1), min(x + a, w - 1)) for b in (0, 1) for a in (0, 1)]
            if len({bool(mask[p]) for p in four}) == 2 and all(truth[p] != 255 for p in four):
                found.append((y, x))
    return found


def slow_f(prediction: Labels, truth: Labels, of: int) -> float:
    found, true = slow_outline(prediction == of, truth), slow_outline(truth == of, truth)
    reach = np.ceil(0.008 * np.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))

    def right(pixels: list[tuple[int, int]], others: list[tuple[int, int]]) -> float:
        hits = [any((y - v) ** 2 + (x - u) ** 2 <= reach**2 for v, u in others) for y, x in pixels]
        return float(np.mean(hits)) if pixels else 1.0

    precision, recall = right(found, true), right(true, found)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), void=st.booleans(), pixels=st.integers(1, 5))
def test_near_an_edge_is_what_it_says(seed: int, void: bool, pixels: int) -> None:
    labels = drawn(seed, (14, 17), classes=3, void=void)
    assert (near_edge(labels, pixels) == slow_near(labels, pixels)).all()


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), void=st.booleans())
def test_boundary_f_and_trimaps_against_the_slow_ones(seed: int, void: bool) -> None:
    truth, prediction = drawn(seed, (24, 30), classes=3, void=void), drawn(seed + 1, (24, 30), classes=4)
    counts = TruthEdges(truth, classes=4).agreement(prediction)
    for of in range(4):
        held = bool((truth == of).any())
        assert counts.f[1, of] == held
        assert counts.f[0, of] == pytest.approx(slow_f(prediction, truth, of) if held else 0.0)
    for row, pixels in enumerate(TRIMAP):
        band = slow_near(truth, pixels)
        for of in range(4):
            a, b = band & (prediction == of), band & (truth == of)
            # What is predicted as a class where the truth is void lies in no band.
            assert tuple(counts.bands[row, :, of]) == ((a & b).sum(), (a | b).sum(), b.sum())


def test_the_tolerance_is_a_share_of_the_diagonal() -> None:
    truth = np.zeros((300, 400), np.uint8)
    truth[:, 200:] = 1
    edges = TruthEdges(truth, classes=2)  # 0.008 * 500 = 4 pixels

    def f(shift: int) -> float:
        moved = np.zeros_like(truth)
        moved[:, 200 + shift :] = 1
        return float(mean_f(edges.agreement(moved).f))

    assert f(0) == f(4) == f(-4) == 1.0
    assert f(5) == f(-5) == 0.0
    assert float(miou(edges.agreement(truth).bands[0])) == 1.0


def test_a_missing_class_and_one_that_fills_the_image() -> None:
    truth = np.zeros((40, 40), np.uint8)
    whole = TruthEdges(truth, classes=3)
    assert whole.agreement(truth).f.tolist() == [[1, 0, 0], [1, 0, 0]], "no outline on either side"
    truth[10:20, 10:20] = 1
    counts = TruthEdges(truth, classes=3).agreement(np.zeros_like(truth))
    assert counts.f.tolist() == [[0, 0, 0], [1, 1, 0]], "an outline that is missed altogether, and none too many"


def test_outlines_end_at_the_image() -> None:
    mask = np.zeros((3, 4), bool)
    mask[1:, 2:] = True
    expected = [[0, 1, 1, 1], [0, 1, 0, 0], [0, 1, 0, 0]]
    assert outline(mask).astype(int).tolist() == expected


def test_f_is_averaged_over_frames_then_over_classes() -> None:
    counts = np.array([[2.0, 0.5, 0.0], [4.0, 1.0, 0.0]])
    assert float(mean_f(counts)) == pytest.approx((0.5 + 0.5) / 2)
    assert np.isnan(mean_f(np.zeros((2, 3))))
