"""What answers become: logits on a grid that spans the image."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from segtween.errors import ScoresError
from segtween.labels import CAMVID11, numbered
from segtween.segmenters.scores import (
    as_planes,
    check_finite,
    logits_from_labels,
    logits_from_probabilities,
    reduce_planes,
    reduced_size,
)


def enlarge(scores: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Bilinear, half-pixel-centred, as networks do it at their end."""
    size = scores.shape[2] * factor, scores.shape[1] * factor
    return np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in scores])


SIDES = st.integers(1, 40)


@pytest.mark.parametrize(
    ("layout", "shape"),
    [("NCHW", (1, 5, 2, 3)), ("NHWC", (1, 2, 3, 5)), ("CHW", (5, 2, 3)), ("HWC", (2, 3, 5))],
)
def test_planes_of_every_layout_hold_the_same_scores(layout: str, shape: tuple[int, ...]) -> None:
    planes = np.arange(30).reshape(5, 2, 3)
    answer = (planes if layout.endswith("CHW") else planes.transpose(1, 2, 0)).reshape(shape)
    np.testing.assert_array_equal(as_planes(answer, layout), planes)


def test_label_maps_have_no_class_axis() -> None:
    labels = np.arange(6).reshape(2, 3)
    np.testing.assert_array_equal(as_planes(labels[None], "NHW"), labels)
    np.testing.assert_array_equal(as_planes(labels, "HW"), labels)


@given(SIDES, SIDES, st.integers(1, 4))
def test_reducing_keeps_constants_and_its_input(height: int, width: int, stride: int) -> None:
    grid = reduced_size((height, width), stride)
    assert grid[0] >= 1
    assert grid[1] >= 1
    planes = np.random.default_rng(height * 41 + width).normal(size=(2, height, width)).astype(np.float32)
    planes[0] = 3
    before = planes.copy()
    reduced = reduce_planes(planes, grid)
    assert reduced.shape == (2, *grid)
    assert reduced.dtype == np.float32
    np.testing.assert_allclose(reduced[0], 3, rtol=1e-5)
    np.testing.assert_array_equal(planes, before)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([(2, 1), (4, 1), (4, 2), (8, 1)]))
def test_enlarged_scores_come_back_exactly(height: int, width: int, factors: tuple[int, int]) -> None:
    factor, finer = factors
    scores = np.random.default_rng(height * 10 + width).normal(size=(2, height, width)).astype(np.float32)
    enlarged = enlarge(scores, factor * finer)
    np.testing.assert_allclose(
        reduce_planes(enlarged, (height * finer, width * finer)), enlarge(scores, finer), atol=1e-5
    )


@pytest.mark.parametrize("size_hw", [(30, 50), (33, 65), (35, 45)])
def test_reducing_by_other_factors_samples_the_centres(size_hw: tuple[int, int]) -> None:
    x, y = np.meshgrid(np.arange(size_hw[1], dtype=np.float32), np.arange(size_hw[0], dtype=np.float32))
    grid = reduced_size(size_hw, 1)
    reduced = reduce_planes(np.stack([x, y]), grid)[:, 1:-1, 1:-1]
    across = (np.arange(grid[1]) + 0.5) * size_hw[1] / grid[1] - 0.5
    down = (np.arange(grid[0]) + 0.5) * size_hw[0] / grid[0] - 0.5
    np.testing.assert_allclose(reduced[0], np.broadcast_to(across[1:-1], reduced[0].shape), atol=0.06)
    np.testing.assert_allclose(reduced[1], np.broadcast_to(down[1:-1, None], reduced[1].shape), atol=0.06)


def test_a_grid_of_stride_4_or_more_stays() -> None:
    assert reduced_size((33, 7), 4) == (33, 7)
    assert reduced_size((33, 7), 8) == (33, 7)
    assert reduced_size((64, 128), 1) == (16, 32)
    assert reduced_size((1, 1), 1) == (1, 1)


def test_a_cells_logit_is_linear_in_the_share_of_its_pixels() -> None:
    labels = np.zeros((4, 8), np.uint8)
    labels[:, 5:] = 1
    labels[:2, 7] = 255
    scores = logits_from_labels(labels, labels_of=numbered(3), grid_hw=(1, 2), who="x")
    np.testing.assert_allclose(scores[:, 0, 0], [4, -4, -4])
    np.testing.assert_allclose(scores[:, 0, 1], [-4 + 8 * 4 / 16, -4 + 8 * 10 / 16, -4], atol=1e-6)
    assert scores.dtype == np.float32


@pytest.mark.parametrize("foreign", [3, 254, -1, 1000])
def test_labels_outside_the_label_set_are_refused(foreign: int) -> None:
    labels = np.full((4, 4), foreign, np.int64)
    with pytest.raises(
        ScoresError, match=rf"net gave class {foreign}; expected 0..2 of label set 'classes3', or 255; g"
    ):
        logits_from_labels(labels, labels_of=numbered(3), grid_hw=(1, 1), who="net")


def test_probabilities_become_logits_that_give_them_back() -> None:
    probabilities = np.random.default_rng(0).dirichlet(np.ones(4), size=6).T.reshape(4, 2, 3).astype(np.float32)
    logits = logits_from_probabilities(probabilities)
    back = np.exp(logits) / np.exp(logits).sum(axis=0)
    np.testing.assert_allclose(back, probabilities, atol=1e-5)
    assert np.isfinite(logits_from_probabilities(np.zeros((2, 1, 1), np.float32))).all()


@pytest.mark.parametrize(("value", "word"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_scores_that_are_not_finite_are_refused_by_class(value: float, word: str) -> None:
    scores = np.zeros((11, 2, 2), np.float32)
    assert check_finite(scores, labels_of=CAMVID11, who="net", do="check") is scores
    scores[3, 1, 1] = value
    with pytest.raises(
        ScoresError, match=f"net gave {word} scores, first in class 'road'; expected finite numbers; check"
    ):
        check_finite(scores, labels_of=CAMVID11, who="net", do="check")
