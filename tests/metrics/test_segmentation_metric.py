from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from segtween.labels import label_set
from segtween.metrics import Segmentation
from segtween.metrics.segmentation import confusion, miou, miou_absent_as_zero, overlap, pair_counts, reference_scores

GOLDEN = Path(__file__).parents[1] / "golden"
THREE = label_set(["a", "b", "c"])


def labels(*rows: list[int]) -> np.ndarray:
    return np.array(rows, np.uint8)


def test_counted_by_hand() -> None:
    truth, prediction = labels([0, 0, 1, 1], [0, 1, 255, 255]), labels([0, 1, 1, 1], [0, 0, 1, 2])
    counts = confusion(prediction, truth, classes=3)
    assert counts.dtype == np.int64
    assert counts.tolist() == [[2, 1, 0, 0], [1, 2, 0, 0], [0, 0, 0, 0]], "pixels that are ignored in truth are not"
    metric = Segmentation(THREE)
    metric.update(prediction, truth)
    got = metric.compute()
    assert got["per_class"] == {"a": 2 / 4, "b": 2 / 4, "c": None}
    assert got["absent"] == ["c"]
    assert got["miou"] == 1 / 2, "c occurs nowhere: left out of the mean"
    assert got["miou_absent_as_zero"] == pytest.approx(1 / 3)


def test_a_class_that_is_only_predicted_leaves_the_mean_and_is_listed() -> None:
    metric = Segmentation(THREE)
    metric.update(labels([0, 2]), labels([0, 0]))
    got = metric.compute()
    assert got["per_class"] == {"a": 0.5, "b": None, "c": None}
    assert got["miou"] == 0.5, "the pixel counts against a, which it is"
    assert got["absent"] == ["b", "c"]
    assert got["predicted_only"] == {"c": 1}
    assert got["miou_absent_as_zero"] == pytest.approx(0.5 / 3), "the reference's average stays available"


def test_one_wrong_pixel_of_an_eleventh_class_does_not_cost_a_class() -> None:
    eleven = label_set("camvid11")
    truth = np.repeat(np.arange(10, dtype=np.uint8), 100)[None]
    prediction = truth.copy()
    prediction[0, 0] = 10
    metric = Segmentation(eleven)
    metric.update(prediction, truth)
    assert metric.compute()["miou"] == pytest.approx((0.99 + 9) / 10)
    assert metric.compute()["predicted_only"] == {eleven.names[10]: 1}


@given(st.integers(0, 2**32 - 1))
def test_all_predictions_of_one_truth_are_averaged_over_the_same_classes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.choice(np.array([0, 2, 3, 255], np.uint8), (4, 6))
    means = []
    for classes in (range(3), range(6)):
        metric = Segmentation(label_set([f"c{i}" for i in range(6)]))
        metric.update(rng.choice(np.array(classes, np.uint8), truth.shape), truth)
        means.append({name for name, iou in metric.compute()["per_class"].items() if iou is not None})
    assert means[0] == means[1] == {f"c{i}" for i in np.unique(truth) if i != 255}


def test_a_prediction_without_a_class_is_a_miss() -> None:
    metric = Segmentation(THREE)
    metric.update(labels([0, 255, 255]), labels([0, 0, 255]))
    assert metric.compute()["per_class"]["a"] == 0.5


def test_frames_are_pooled_and_reset_forgets() -> None:
    metric = Segmentation(THREE)
    metric.update(labels([0, 0, 0]), labels([0, 0, 1]))
    metric.update(labels([1]), labels([1]))
    assert metric.compute()["miou"] == pytest.approx((2 / 3 + 1 / 2) / 2), "not the mean of the frames' mIoU"
    metric.reset()
    assert metric.compute() == {
        "miou": None, "miou_absent_as_zero": 0.0, "per_class": {"a": None, "b": None, "c": None},
        "absent": ["a", "b", "c"], "predicted_only": {},
    }  # fmt: skip


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"shapes \(1, 2\) and \(1, 3\); expected equal ones"):
        pair_counts(labels([0, 0]), labels([0, 0, 0]), classes=3)


@given(st.integers(1, 254), st.integers(0, 2**32 - 1))
def test_pair_counts_agree_with_a_plain_loop(classes: int, seed: int) -> None:
    first, second = np.random.default_rng(seed).integers(0, 256, (2, 5, 7), dtype=np.uint8)
    expected = np.zeros((classes + 1, classes + 1), np.int64)
    for a, b in zip(first.ravel().tolist(), second.ravel().tolist(), strict=True):
        expected[min(a, classes), min(b, classes)] += 1
    assert_array_equal(pair_counts(first, second, classes=classes), expected)


def test_overlap_is_additive_and_keeps_leading_axes() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 50, (4, 2, 3, 4))
    assert_array_equal(overlap(counts).sum(axis=0), overlap(counts.sum(axis=0)))
    assert miou(overlap(counts)).shape == (4, 2)
    assert miou(overlap(counts))[1, 1] == miou(overlap(counts[1, 1]))


@pytest.mark.parametrize(("case", "seed", "absent"), [("all_present", 161, ()), ("two_absent", 162, (3, 7))])
def test_golden_scores_of_the_reference_system(
    case: str, seed: int, absent: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`absent` classes pull its mean down; ours leaves them out (golden index, metrics_seed)."""
    monkeypatch.setattr(sys, "path", [str(GOLDEN), *sys.path])
    from fill import fill_labels

    truth, prediction = fill_labels((1, 60, 80), seed, 11, absent)
    counts = confusion(prediction[0].astype(np.uint8), truth[0].astype(np.uint8), classes=11)
    with np.load(GOLDEN / f"metrics_seed__{case}.npz") as golden:
        assert_array_equal(counts[:, :11], golden["confusion"].reshape(11, 11))
        assert_allclose(list(reference_scores(counts).values()), golden["scores"], rtol=1e-6)
    overlaps = overlap(counts)
    assert float(miou(overlaps)) == pytest.approx({161: 0.55600429, 162: 0.58603501}[seed], abs=1e-7)
    assert float(miou_absent_as_zero(overlaps)) == pytest.approx({161: 0.55600423, 162: 0.47948322}[seed], abs=1e-6)
