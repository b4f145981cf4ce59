"""The reference's array operations: padding, coordinates, resizing; equal to their twins in torch."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from segtween.ops.reference import ReferenceOps, pad_cells, pad_image, padded_size, resize_kept, shrink_image
from segtween.types import ScoreMap

RNG = np.random.default_rng(5)


def scores(classes: int, h: int, w: int) -> NDArray[np.float32]:
    return RNG.standard_normal((classes, h, w)).astype(np.float32)


@pytest.mark.parametrize(
    ("size", "whole"), [((360, 480), (384, 480)), ((64, 32), (64, 32)), ((1, 33), (32, 64)), ((540, 960), (544, 960))]
)
def test_images_are_padded_right_and_bottom_by_their_last_pixels(size: tuple[int, int], whole: tuple[int, int]) -> None:
    rgb = RNG.integers(0, 256, (*size, 3), dtype=np.uint8)
    padded = pad_image(rgb)
    assert padded_size(size) == padded.shape[:2] == whole
    assert np.array_equal(padded[: size[0], : size[1]], rgb)
    assert (padded[size[0] :, 0] == rgb[-1, 0]).all()
    assert (padded[0, size[1] :] == rgb[0, -1]).all()


def test_given_scores_are_padded_by_whole_cells() -> None:
    values = scores(2, 45, 60)
    padded = pad_cells(values, image_hw=(360, 480), padded_hw=(384, 480))
    assert padded.shape == (2, 48, 60)
    assert np.array_equal(padded[:, :45], values)
    assert (padded[:, 45:] == values[:, 44:45]).all()


@given(h=st.integers(1, 9), w=st.integers(1, 9), rows=st.integers(1, 12), columns=st.integers(1, 12))
@settings(max_examples=40)
def test_resizing_keeps_the_corners(h: int, w: int, rows: int, columns: int) -> None:
    values = scores(2, h, w)
    resized = resize_kept(values, (rows, columns))
    assert resized.shape == (2, rows, columns)
    assert np.array_equal(resized[:, 0, 0], values[:, 0, 0])
    if rows > 1 and columns > 1:
        np.testing.assert_allclose(resized[:, -1, -1], values[:, -1, -1], atol=1e-5)
    assert resized.min() >= values.min() - 1e-5
    assert resized.max() <= values.max() + 1e-5


def test_a_picture_and_its_planes_shrink_alike() -> None:
    rgb = RNG.integers(0, 256, (50, 70, 3), dtype=np.uint8)
    planes = resize_kept(np.ascontiguousarray(np.moveaxis(rgb, 2, 0), np.float32), (8, 10))
    np.testing.assert_allclose(shrink_image(rgb, (8, 10)), np.moveaxis(planes, 0, 2), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("size", [(96, 128), (90, 121), (33, 32)])
def test_labels_are_those_of_the_enlarged_scores_without_the_padding(size: tuple[int, int]) -> None:
    ops, whole = ReferenceOps(threads=2), padded_size(size)
    carried = ops.score_map(scores(5, 24, 32), kind="logits", most_cells=1, image_hw=size)
    assert carried.grid_hw == (whole[0] // 8, whole[1] // 8)
    assert carried.spans_hw == whole
    enlarged = resize_kept(carried.values, whole).argmax(axis=0)
    labels = ops.labels(carried, size)
    assert labels.shape == size
    assert (labels != enlarged[: size[0], : size[1]]).mean() < 1e-3


def test_zero_flow_stretches_and_dims_the_border() -> None:
    values = np.ones((1, 6, 8), np.float32)
    warped, inside = ReferenceOps(threads=1).warp(values, np.zeros((6, 8, 2), np.float32))
    assert warped[0, 0, 0] == pytest.approx(0.25)
    assert warped[0, 0, 3] == pytest.approx(0.5)
    assert warped[0, 2, 3] == pytest.approx(1)
    assert not inside[0, 0]
    assert inside[2, 3]


def test_flow_that_is_no_number_gives_zeros() -> None:
    flow = np.full((6, 8, 2), np.nan, np.float32)
    warped, inside = ReferenceOps(threads=1).warp(np.ones((2, 6, 8), np.float32), flow)
    assert not warped.any()
    assert not inside.any()


def test_confidence_leaves_the_padding_out() -> None:
    values = np.zeros((2, 48, 60), np.float32)
    carried = ScoreMap(values, "logits", (360, 480), spans_hw=(384, 480))
    assert carried.confidence().shape == (45, 60)


@pytest.mark.train
@given(h=st.integers(2, 12), w=st.integers(2, 12), reach=st.floats(0, 20), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_the_warp_equals_its_twin_in_torch(h: int, w: int, reach: float, seed: int) -> None:
    torch = pytest.importorskip("torch")
    from segtween.networks.reference import FLOW_UNITS, reference_warp

    rng = np.random.default_rng(seed)
    values = rng.standard_normal((3, h, w)).astype(np.float32)
    flow = (rng.standard_normal((h, w, 2)) * reach).astype(np.float32)
    own, _ = ReferenceOps(threads=1).warp(values, flow)
    units = torch.from_numpy(np.moveaxis(flow, 2, 0)[None] * np.float32(FLOW_UNITS))
    twin = reference_warp(torch.from_numpy(values)[None], units)[0].numpy()
    np.testing.assert_allclose(own, twin, atol=2e-4)


@pytest.mark.train
def test_resizing_equals_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    values = scores(3, 13, 17)
    twin = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None], size=(30, 9), mode="bilinear", align_corners=True
    )
    np.testing.assert_allclose(resize_kept(values, (30, 9)), twin[0].numpy(), atol=1e-5)
