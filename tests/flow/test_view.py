"""What the classical estimators see: a grey view on the flow grid."""

from __future__ import annotations

import numpy as np
import pytest

from segtween.flow.dis import DisFlow
from segtween.flow.view import GreyView


@pytest.mark.parametrize(("size_hw", "grid"), [((360, 480), (360, 480)), ((1024, 2048), (256, 512))])
def test_the_flow_grid_follows_the_image(size_hw: tuple[int, int], grid: tuple[int, int]) -> None:
    assert DisFlow().prepare(np.zeros((*size_hw, 3), np.uint8)).shape == grid


@pytest.mark.parametrize("side", [2, 4, 8])
def test_the_view_is_the_luma_of_the_mean_colour_of_each_cell(side: int) -> None:
    rgb = np.random.default_rng(side).integers(0, 256, (24 * side, 40 * side, 3), dtype=np.uint8)
    mean = rgb.reshape(24, side, 40, side, 3).mean(axis=(1, 3))
    view = GreyView(stride=side, threads=2)(rgb)
    assert view.dtype == np.uint8
    np.testing.assert_allclose(view, mean @ [0.299, 0.587, 0.114], atol=1.01)
    assert np.array_equal(view, GreyView(stride=side, threads=1)(rgb))
