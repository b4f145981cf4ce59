"""One contract for every flow estimator, and what DIS must see."""

from __future__ import annotations

import numpy as np
import pytest

from fakes import panning, textured
from segtween.errors import SettingError
from segtween.flow import FLOWS, open_flow
from segtween.flow.dis import QUALITIES, DisFlow
from segtween.flow.view import GreyView


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_has_its_own_grid_and_leaves_its_input_alone(name: str) -> None:
    estimator = open_flow(name, stride=2)
    a, b = (estimator.prepare(rgb) for rgb in panning(2, (90, 121)))
    before = a.copy(), b.copy()
    flow = estimator(b, a)
    assert flow.shape == (45, 61, 2)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()
    assert np.array_equal(a, before[0])
    assert np.array_equal(b, before[1])
    assert estimator.describe()["flow"] == name


@pytest.mark.parametrize("quality", QUALITIES)
def test_dis_gives_backward_flow_in_pixels_of_its_grid(quality: str) -> None:
    previous, current = panning(2, (96, 160), step=4, cell=12)  # the picture moves 4 pixels to the left
    dis = DisFlow(quality=quality)  # type: ignore[arg-type]
    flow = dis(dis.prepare(current), dis.prepare(previous))
    inside = flow[16:-16, 16:-24]
    np.testing.assert_allclose(np.median(inside, axis=(0, 1)), [4, 0], atol=0.3)


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


def test_tiny_images_have_no_motion_instead_of_a_crash() -> None:
    dis = DisFlow()
    small = dis.prepare(textured((8, 8)))
    assert not dis(small, small).any()


def test_unknown_names_list_the_choices() -> None:
    with pytest.raises(SettingError, match="flow 'raft'; expected one of dis, zero"):
        open_flow("raft")
    with pytest.raises(SettingError, match="flow quality 'slow'; expected one of fast, balanced, fine, medium"):
        DisFlow(quality="slow")  # type: ignore[arg-type]
