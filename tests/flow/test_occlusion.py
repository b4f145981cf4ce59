"""Which points were hidden one frame before: two estimates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakes import panning, textured
from segtween.errors import SettingError
from segtween.flow import open_flow
from segtween.flow.occlusion import (
    OCCLUSIONS,
    ForwardBackward,
    Photometric,
    forward_backward,
    look_at,
    open_occlusion,
    outside,
    photometric,
)
from segtween.flow.padded import PaddedFlow
from segtween.flow.stored import StoredFlow
from segtween.ops.cpu import CpuOps
from segtween.ops.reference import ReferenceOps
from segtween.types import Flow, Rgb

SIZE = (24, 32)


def constant(dx: float, dy: float, size_hw: tuple[int, int] = SIZE) -> np.ndarray:
    return np.broadcast_to(np.array([dx, dy], np.float32), (*size_hw, 2)).copy()


whole = st.integers(-40, 40)


@settings(max_examples=40)
@given(dx=whole, dy=whole)
def test_outside_is_exactly_what_came_over_the_border(dx: int, dy: int) -> None:
    h, w = SIZE
    y, x = np.mgrid[:h, :w]
    expected = (x + dx < 0) | (x + dx >= w) | (y + dy < 0) | (y + dy >= h)
    np.testing.assert_array_equal(outside(constant(dx, dy)), expected)


@settings(max_examples=40)
@given(dx=st.floats(-40, 40, width=32), dy=st.floats(-40, 40, width=32))
def test_a_motion_that_cancels_out_hides_only_what_came_over_the_border(dx: float, dy: float) -> None:
    there = constant(dx, dy)
    np.testing.assert_array_equal(forward_backward(there, -there), outside(there))


@settings(max_examples=40)
@given(seed=st.integers(0, 999), relative=st.floats(0, 1), absolute=st.floats(0, 9))
def test_the_check_is_its_formula(seed: int, relative: float, absolute: float) -> None:
    """Whole-pixel backward flow, so that sampling is a look-up."""
    rng = np.random.default_rng(seed)
    h, w = SIZE
    there = rng.integers(-4, 5, (h, w, 2)).astype(np.float32)
    forth = rng.normal(0, 3, (h, w, 2)).astype(np.float32)
    kept = there.copy(), forth.copy()
    got = forward_backward(there, forth, relative=relative, absolute=absolute)
    y, x = np.mgrid[:h, :w]
    sx, sy = x + there[..., 0].astype(int), y + there[..., 1].astype(int)
    inside = (sx >= 0) & (sx < w) & (sy >= 0) & (sy < h)
    back = forth[np.clip(sy, 0, h - 1), np.clip(sx, 0, w - 1)]
    bound = relative * ((there**2).sum(2) + (back**2).sum(2)) + absolute
    gap = ((there + back) ** 2).sum(2)
    clear = np.abs(gap - bound) > 1e-3  # float32 may decide a tie either way
    np.testing.assert_array_equal(got[clear], ((gap > bound) | ~inside)[clear])
    np.testing.assert_array_equal(there, kept[0])
    np.testing.assert_array_equal(forth, kept[1])


def test_looser_thresholds_find_less() -> None:
    rng = np.random.default_rng(0)
    there, forth = (rng.normal(0, 2, (*SIZE, 2)).astype(np.float32) for _ in range(2))
    tight, loose = forward_backward(there, forth), forward_backward(there, forth, absolute=32)
    assert loose.sum() < tight.sum()
    assert not (loose & ~tight).any()


def test_a_covered_place_is_found_by_both() -> None:
    """A square that moves 6 to the right uncovers the texture behind it."""
    behind, square = textured((64, 96), seed=1)[..., 0], textured((24, 24), seed=2, cell=4)[..., 1]
    frames = [behind.copy(), behind.copy()]
    for frame, x in zip(frames, (30, 36), strict=True):
        frame[20:44, x : x + 24] = square
    truth = np.zeros((64, 96), bool)
    truth[20:44, 30:36] = True
    there, forth = constant(0, 0, (64, 96)), constant(0, 0, (64, 96))
    there[20:44, 36:60] = -6, 0
    forth[20:44, 30:54] = 6, 0
    np.testing.assert_array_equal(forward_backward(there, forth), truth)
    found = photometric(frames[1], frames[0], there, window=1)
    assert found[truth].mean() > 0.6, "what was covered mostly looks different"
    assert not found[~truth].any()


def test_photometric_sees_nothing_where_the_picture_only_moved() -> None:
    previous, current = (rgb[..., 0].copy() for rgb in panning(2, SIZE, step=3))
    there = constant(3, 0)
    np.testing.assert_array_equal(photometric(current, previous, there), outside(there))
    still = photometric(previous, previous, constant(0, 0))
    assert not still.any()


def test_a_vector_that_is_no_number_is_occluded() -> None:
    there = constant(0, 0)
    there[3, 4, 0] = np.nan
    grey = textured(SIZE)[..., 0].copy()
    for mask in (outside(there), forward_backward(there, constant(0, 0)), photometric(grey, grey, there)):
        assert mask[3, 4]
        assert mask.sum() == 1


@pytest.mark.parametrize("name", OCCLUSIONS)
def test_every_estimate_works_with_a_flow_estimator(name: str) -> None:
    estimate = open_occlusion(name)
    previous, current = panning(2, (64, 96), step=3)
    mask = estimate(look_at(current, previous, flow=open_flow("dis"), ops=CpuOps(threads=1)))
    assert mask.shape == (64, 96)
    assert mask.dtype == np.bool_
    assert mask.mean() < 0.2
    assert estimate.describe()["occlusion"] == name


class Coarse:
    """Everything came from 16 pixels to the right, on a grid of `stride`; nothing is known of the way back."""

    def __init__(self, stride: int) -> None:
        self.stride = stride

    def prepare(self, rgb: Rgb) -> NDArray[np.uint8]:
        return rgb[:: self.stride, :: self.stride, 0]

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:  # noqa: ARG002
        return constant(16 / self.stride, 0, current.shape)

    def describe(self) -> dict[str, Any]:
        return {"flow": "coarse"}


def test_a_flow_of_a_coarser_grid_is_seen_on_the_images_grid() -> None:
    previous, current = panning(2, (64, 96), step=16)
    fine, coarse = (look_at(current, previous, flow=Coarse(n), ops=CpuOps(threads=1)) for n in (1, 8))
    np.testing.assert_array_equal(coarse.backward, fine.backward)
    assert coarse.backward.shape == (64, 96, 2)
    mask = open_occlusion("photometric")(coarse)
    assert mask[:, -16:].all(), "came from outside"
    assert not mask[:, :-16].any()


def test_a_padded_frame_is_looked_at_without_its_padding() -> None:
    previous, current = panning(2, (50, 70), step=16)
    padded = {"flow": PaddedFlow(Coarse(8)), "ops": ReferenceOps(threads=1), "spans_hw": (64, 96)}
    pair = look_at(current, previous, **padded)  # type: ignore[arg-type]
    assert pair.current.shape == pair.previous.shape == pair.backward.shape[:2] == (50, 70)
    np.testing.assert_allclose(pair.backward, constant(16, 0, (50, 70)), atol=1e-5)


def test_stored_flow_knows_no_way_back(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", flow=constant(0, 0))
    stored = StoredFlow(tmp_path)
    stored.select("a")
    previous, current = panning(2, SIZE)
    pair = look_at(current, previous, flow=stored, ops=CpuOps(threads=1))
    assert open_occlusion("photometric")(pair).shape == SIZE
    with pytest.raises(SettingError, match=r"'forward-backward' with stored flow; expected .*; choose photometric"):
        open_occlusion("forward-backward")(pair)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(SettingError, match=r"flows of shapes .*; expected \(height, width, 2\), both on one grid"):
        forward_backward(constant(0, 0), constant(0, 0, (8, 8)))
    with pytest.raises(SettingError, match=r"expected images on the flow's grid"):
        photometric(np.zeros(SIZE, np.uint8), np.zeros((8, 8), np.uint8), constant(0, 0))
    with pytest.raises(SettingError, match=r"window 4; expected an odd number of pixels"):
        photometric(np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8), constant(0, 0), window=4)
    for make in (lambda: ForwardBackward(relative=-1), lambda: Photometric(threshold=-1)):
        with pytest.raises(SettingError, match=r"occlusion thresholds \(-1.*; expected 0 or more"):
            make()
    with pytest.raises(SettingError, match="occlusion 'magic'; expected one of forward-backward, photometric, outside"):
        open_occlusion("magic")
