from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segtween.errors import SettingError
from segtween.geometry import sample_positions, shrink_to, stride_grid


@pytest.mark.parametrize(
    ("size_hw", "cells", "want"),
    [
        ((360, 480), 260_000, (360, 480)),
        ((1024, 2048), 260_000, (256, 512)),
        ((540, 960), 40_000, (135, 240)),
        ((7, 9), 1, (1, 1)),
    ],
)
def test_shrink_to_halves_until_it_fits(size_hw: tuple[int, int], cells: int, want: tuple[int, int]) -> None:
    assert shrink_to(size_hw, cells=cells) == want


def test_grids_refuse_a_stride_below_one() -> None:
    with pytest.raises(SettingError, match="grid stride 0; expected 1 or more"):
        stride_grid((10, 10), 0)
    with pytest.raises(SettingError, match="both at least 1"):
        shrink_to((10, 10), cells=0)


@given(st.integers(1, 300), st.integers(1, 300))
def test_sample_positions_are_half_pixel_centred_and_stay_inside(target: int, source: int) -> None:
    left, weight = sample_positions(target, source)
    where = left + weight
    assert (left >= 0).all()
    assert (left <= max(source - 2, 0)).all()
    assert ((weight >= 0) & (weight <= 1)).all()
    want = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    np.testing.assert_allclose(where, want, atol=1e-4)


@given(st.integers(1, 200))
def test_same_size_samples_lie_on_the_samples(side: int) -> None:
    left, weight = sample_positions(side, side)
    np.testing.assert_allclose(left + weight, np.arange(side), atol=1e-6)
