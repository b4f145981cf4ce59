"""Temporal consistency of labels without a truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fakes import panning
from segtween.metrics.consistency import BACK_WITHIN, ConsistencyMeter
from segtween.metrics.temporal import correspondence

SIZE = (48, 64)
FRAMES = panning(14, SIZE, step=2, cell=12)


def measured(maps: list[np.ndarray], *, frames: list[np.ndarray] | None = None, every: int = 4) -> dict[str, Any]:
    meter = ConsistencyMeter(2)
    for i, (rgb, labels) in enumerate(zip(frames or FRAMES, maps, strict=False)):
        meter.update(rgb, labels, is_key=i % every == 0)
    return meter.compute()


def bright(rgb: np.ndarray) -> np.ndarray:
    return (rgb[..., 0] > 128).astype(np.uint8)


def flickering(maps: list[np.ndarray], *, at: range, share: float = 0.1) -> list[np.ndarray]:
    """The same, but with another random part of the pixels wrong in each of the frames `at`."""
    rng = np.random.default_rng(1)
    return [m ^ (rng.random(m.shape) < share).astype(np.uint8) if i in at else m for i, m in enumerate(maps)]


def test_labels_that_move_with_the_picture_are_steadier_than_flickering_ones() -> None:
    steady = [bright(rgb) for rgb in FRAMES]
    good, bad = measured(steady), measured(flickering(steady, at=range(14)))
    assert good["tc"] > bad["tc"] + 0.1
    assert good["flicker"] < 0.02 < 0.05 < bad["flicker"]
    still = measured(steady, frames=[FRAMES[0]] * 14)
    assert good["tc"] > still["tc"], "compared along the motion, not in place"


def test_labels_that_jump_at_key_frames_are_told_by_their_rhythm() -> None:
    steady = [bright(rgb) for rgb in FRAMES]
    rhythm = measured(flickering(steady, at=range(0, 14, 4)))
    assert rhythm["change_rate_at_keys"] > 0.09
    assert rhythm["flicker_at_keys"] > measured(steady)["flicker_at_keys"]


@pytest.mark.parametrize(("pause", "counts"), [(1, True), (BACK_WITHIN, True), (BACK_WITHIN + 1, False)])
def test_flicker_is_a_change_back_within_a_few_frames(pause: int, counts: bool) -> None:
    still = [FRAMES[0]] * (pause + 3)
    maps = [np.zeros(SIZE, np.uint8) for _ in still]
    for labels in maps[1 : 1 + pause]:
        labels[:24] = 1
    figures = measured(maps, frames=still)
    assert figures["flicker"] == (pytest.approx(0.5 / (pause + 2), rel=0.02) if counts else 0)


def test_a_label_that_comes_back_by_way_of_others_flickers() -> None:
    meter = ConsistencyMeter(4)
    for i, value in enumerate((0, 1, 2, 0, 3)):
        meter.update(FRAMES[0], np.full(SIZE, value, np.uint8), is_key=i == 0)
    figures = meter.compute()
    assert figures["flicker"] == pytest.approx(1 / 4), "0, 1, 2, 0 changes back once; 3 was not there before"
    assert figures["change_rate_elsewhere"] == 1


def test_flicker_agrees_with_a_plain_loop() -> None:
    maps = np.random.default_rng(3).integers(0, 5, (20, *SIZE), dtype=np.uint8)
    maps[maps == 4] = 255
    stay = correspondence(np.zeros((*SIZE, 2), np.float32))
    meter, back, counted = ConsistencyMeter(4), 0, 0
    for i, labels in enumerate(maps):
        meter.follow(labels, stay if i else None, is_key=False)
        if i:
            known = (labels != 255) & (maps[i - 1] != 255)
            earlier = (maps[max(0, i - 1 - BACK_WITHIN) : i - 1] == labels).any(axis=0)
            back += int((known & (labels != maps[i - 1]) & earlier).sum())
            counted += int(known.sum())
    assert meter.compute()["flicker"] == back / counted > 0


def test_two_methods_are_compared_over_the_classes_that_both_gave() -> None:
    one, other = ConsistencyMeter(3), ConsistencyMeter(3)
    stay = correspondence(np.zeros((*SIZE, 2), np.float32))
    for i in range(4):
        labels = np.zeros(SIZE, np.uint8)
        labels[:24] = 1
        one.follow(labels, stay if i else None, is_key=False)
        stray = labels.copy()
        stray[0, i] = 2
        other.follow(stray, stay if i else None, is_key=False)
    both = one.seen & other.seen
    assert both.tolist() == [True, True, False]
    assert other.compute()["tc"] < 0.7
    assert other.compute(counted=both)["tc"] > 0.99
    assert one.compute(counted=both)["tc"] == 1


def test_a_change_for_good_is_no_flicker() -> None:
    still = [FRAMES[0]] * 6
    maps = [np.full(SIZE, int(i >= 3), np.uint8) for i in range(6)]
    figures = measured(maps, frames=still)
    assert figures["flicker"] == 0
    assert figures["change_rate_elsewhere"] == pytest.approx(1 / 4, rel=0.02)
    assert figures["change_rate_at_keys"] == 0


def test_a_constant_mask_is_steady_and_tells_that_it_holds_one_class() -> None:
    figures = measured([np.zeros(SIZE, np.uint8)] * 14)
    assert (figures["tc"], figures["flicker"], figures["classes_seen"]) == (1.0, 0.0, 1)


def test_nothing_is_compared_across_a_cut_or_with_one_frame() -> None:
    assert measured([bright(FRAMES[0])])["tc"] is None
    assert measured([bright(FRAMES[0])])["flicker"] is None
    meter = ConsistencyMeter(2)
    for i, value in enumerate((0, 0, 1, 1)):
        meter.update(FRAMES[0], np.full(SIZE, value, np.uint8), is_key=False, is_cut=i == 2)
    assert meter.compute()["change_rate_elsewhere"] == 0
    assert meter.compute()["classes_seen"] == 2
