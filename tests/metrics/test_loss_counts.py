"""Kinds of places where propagation loses pixels, on label maps where the right answer can be counted."""

from __future__ import annotations

import numpy as np
import pytest

from segtween.metrics import Bootstrap
from segtween.metrics.losses import KINDS, LossCounts, mean_recall, sort_pixels, thin, visible_before


def test_thin_is_what_a_square_of_seven_pixels_does_not_fit_into() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[5:35, 10:16] = 1  # six wide
    labels[5:35, 30:37] = 2  # seven wide
    labels[20, 44:54] = 3
    assert (thin(labels) == ((labels == 1) | (labels == 3))).all()
    assert thin(labels, widest=7)[labels > 0].all()


def test_thin_parts_of_something_wide_are_thin() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[10:20, 10:20] = 1
    labels[20:30, 13:16] = 1  # a leg
    found = thin(labels)
    assert found.sum() == 30
    assert found[20:30, 13:16].all()


def test_what_the_image_cuts_off_is_not_thin_and_void_is_nothing() -> None:
    labels = np.zeros((30, 30), np.uint8)
    labels[10:20, :3] = 1  # goes on outside
    labels[2:4, 20:22] = 255
    assert not thin(labels).any()


def test_visible_follows_exact_flow_over_several_frames() -> None:
    size = (4, 12)
    right = np.zeros((*size, 2), np.float32)
    right[..., 0] = -2.5  # everything came from 2.5 pixels to the left
    seen = np.zeros(size, bool)
    hidden = seen.copy()
    hidden[:, 7] = True
    two = visible_before([(right, seen), (right, seen)])
    assert (two == (np.arange(12) >= 5)).all()
    # The earlier step starts at x - 2.5: pixel 10 asks 7.5, of which 8 is the nearest even one, 9 asks 6.5: 6.
    earlier = visible_before([(right, hidden), (right, seen)])
    assert (earlier == two).all()
    later = visible_before([(right, seen), (right, hidden)])
    assert not later[:, 7].any()
    assert (later[:, 8:] == two[:, 8:]).all()


def test_each_pixel_has_the_first_kind_that_applies() -> None:
    truth = np.zeros((30, 40), np.uint8)
    truth[:, 20:22] = 1
    visible = np.ones(truth.shape, bool)
    visible[:, 21:30] = False
    names = np.array(KINDS)[sort_pixels(truth, visible)[15]]
    expected = ["elsewhere"] * 18 + ["edge"] * 2 + ["thin"] * 2 + ["hidden"] * 8 + ["elsewhere"] * 10
    assert names.tolist() == expected
    unknown = np.array(KINDS)[sort_pixels(truth, None)[15]]
    assert unknown.tolist() == ["elsewhere"] * 18 + ["edge"] * 2 + ["thin"] * 2 + ["edge"] * 2 + ["elsewhere"] * 16


def test_counts_sum_to_the_difference_of_mean_recall() -> None:
    rng = np.random.default_rng(0)
    truth, plain, own = (rng.integers(0, 4, (20, 30)).astype(np.uint8) for _ in range(3))
    truth[0] = 255
    kinds = rng.integers(0, 4, truth.shape).astype(np.uint8)
    counts = LossCounts(np.array([0, 1]), classes=4)
    for block in (0, 1, 1):
        counts.add(own, plain=plain, truth=truth, kinds=kinds, block=block)
    for of in range(4):
        for kind in range(4):
            lost = (truth == of) & (plain == of) & (own != of) & (kinds == kind)
            assert counts.lost[:, kind, of].tolist() == [lost.sum(), 2 * lost.sum()]
    net = counts.net(Bootstrap()).value
    assert net == pytest.approx(float(counts.mean(counts.lost).sum() - counts.mean(counts.won).sum()))
    assert net == pytest.approx(float(mean_recall(counts.plain.sum(axis=0)) - mean_recall(counts.own.sum(axis=0))))
    assert counts.frames == 3
