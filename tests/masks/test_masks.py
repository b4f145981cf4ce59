"""Run lengths and polygons: every mask comes back, and other libraries read the same."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from segtween.masks.polygons import from_polygons, to_polygons
from segtween.masks.rle import from_boxed, from_brush, from_coco, to_boxed, to_brush, to_coco


def masks() -> Iterator[np.ndarray]:
    """Noise of every density, so that pieces touch with corners, have holes, and holes have pieces in them."""
    rng = np.random.default_rng(0)
    for i in range(60):
        height, width = (int(n) for n in rng.integers(1, 30, 2))
        cell = 1 + i % 3
        yield np.kron(rng.random((height, width)) < rng.random(), np.ones((cell, cell), bool))
    yield np.zeros((5, 7), bool)
    yield np.ones((5, 7), bool)
    yield np.zeros((700, 900), bool) | (np.arange(900) > 3)


def test_every_mask_comes_back_from_every_form() -> None:
    for mask in masks():
        assert np.array_equal(from_coco(mask.shape, to_coco(mask)["counts"]), mask)
        assert np.array_equal(from_polygons(to_polygons(mask), mask.shape), mask)
        assert np.array_equal(from_brush(to_brush(mask), mask.shape), mask)
        boxed = to_boxed(mask)
        assert (boxed is None) == (not mask.any())
        assert boxed is None or np.array_equal(from_boxed(boxed, mask.shape), mask)


def test_forms_that_are_known_by_heart() -> None:
    mask = np.array([[0, 1, 1], [0, 1, 0]], bool)
    assert to_coco(mask) == {"size": [2, 3], "counts": "231"}
    assert to_boxed(mask) == {"left": 1, "top": 0, "width": 2, "height": 2, "rle": "0, 3, 1"}
    assert [p.tolist() for p in to_polygons(mask)] == [[[1, 0], [3, 0], [3, 1], [2, 1], [2, 2], [1, 2]]]
    ring = np.ones((3, 3), bool)
    ring[1, 1] = False
    (joined,) = to_polygons(ring)
    assert len(joined) == 4 + 4 + 2
    # Label Studio: 24 values of 8 bits; a run of 4 zeros (1, width 3, 4 - 1, 0), ...
    assert to_brush(mask)[:8] == [0, 0, 0, 24, 0b00111_001, 0b0_0011_011, 0b1_1111_1_00, 0b011_00000]


def test_polygons_of_other_tools_count_pixels_by_their_centres() -> None:
    triangle = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])
    assert from_polygons([triangle], (4, 4)).astype(int).tolist() == [
        [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0],
    ]  # fmt: skip
    beyond = np.array([[-5.0, -5.0], [99.0, -5.0], [99.0, 1.2], [-5.0, 1.2]])
    assert from_polygons([beyond, triangle[:2]], (3, 4)).sum() == 4


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools
def test_pycocotools_reads_and_writes_the_same() -> None:
    coco = pytest.importorskip("pycocotools.mask", reason="pycocotools is not installed")
    for mask in masks():
        encoded = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
        assert encoded["counts"].decode() == to_coco(mask)["counts"]
        flat = [polygon.ravel().tolist() for polygon in to_polygons(mask)]
        if flat:
            assert np.array_equal(coco.decode(coco.merge(coco.frPyObjects(flat, *mask.shape))), mask)


@pytest.mark.parametrize("counts", ["", "~", "2", "231o", [2, 3], [-1, 7], [2, 3, 2]])
def test_run_lengths_that_do_not_fill_the_picture_are_refused(counts: object) -> None:
    with pytest.raises(ValueError, match="run length"):
        from_coco((2, 3), counts)  # type: ignore[arg-type]


@pytest.mark.parametrize("values", [[], [0, 0, 0], [300], "abc", to_brush(np.ones((2, 2), bool))[:-2]])
def test_a_brush_that_is_none_is_refused(values: object) -> None:
    with pytest.raises(ValueError, match="a brush"):
        from_brush(values, (2, 2))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="another size"):
        from_brush(to_brush(np.ones((2, 3), bool)), (2, 2))


def test_a_box_outside_the_picture_is_refused() -> None:
    boxed = {"left": 1, "top": 1, "width": 2, "height": 2, "rle": "0, 4"}
    assert from_boxed(boxed, (3, 3)).sum() == 4
    for wrong in ({"left": 2}, {"top": -1}, {"rle": "0, 5"}, {"width": 3}):
        with pytest.raises(ValueError, match="does not fit"):
            from_boxed({**boxed, **wrong}, (3, 3))
