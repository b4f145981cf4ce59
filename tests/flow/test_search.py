"""Our inverse patch search: exact places, any size, the same on any number of threads, edges of moving things."""

from __future__ import annotations

import numpy as np
import pytest

from fakes import panning, textured
from segtween.flow.dis import DisFlow
from segtween.flow.patches import PAD, halve_rows
from segtween.flow.search import PatchSearch, Search
from segtween.ops.cpu import CpuOps
from segtween.ops.kernels import double_rows


def grey(rgb: np.ndarray) -> np.ndarray:
    return DisFlow().prepare(rgb)


@pytest.mark.parametrize("size", [(16, 16), (17, 33), (90, 121), (96, 160)])
def test_every_size_from_sixteen_on_has_a_flow_of_its_own_grid(size: tuple[int, int]) -> None:
    previous, current = (grey(rgb) for rgb in panning(2, size, cell=9))
    flow = PatchSearch(search=Search(), threads=1)(current, previous)
    assert flow.shape == (*size, 2)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()


@pytest.mark.usefixtures("many_processors")
@pytest.mark.parametrize("size", [(160, 256), (161, 255)])
def test_threads_and_earlier_pairs_do_not_change_the_flow(size: tuple[int, int]) -> None:
    frames = [grey(rgb) for rgb in panning(3, size, step=3, cell=10)]
    one, two = PatchSearch(search=Search(), threads=1), PatchSearch(search=Search(), threads=3)
    one(frames[1], frames[0])
    assert np.array_equal(one(frames[2], frames[1]), two(frames[2], frames[1]))


@pytest.mark.parametrize("threads", [1, 2])
def test_both_directions_together_are_those_one_by_one(threads: int) -> None:
    frames = [grey(rgb) for rgb in panning(2, (96, 160), step=3, cell=10)]
    flow = DisFlow(quality="fine", threads=threads)
    there, back = flow.both_ways(frames[1], frames[0])
    assert np.array_equal(there, flow(frames[1], frames[0]))
    assert np.array_equal(back, flow(frames[0], frames[1]))
    tiny = np.zeros((8, 8), np.uint8)
    assert not any(way.any() for way in flow.both_ways(tiny, tiny))


def test_the_same_picture_does_not_move() -> None:
    view = grey(textured((64, 96), cell=10))
    assert np.abs(PatchSearch(search=Search(), threads=1)(view, view)).max() < 1e-3


@pytest.mark.parametrize(("dx", "dy"), [(6, 0), (-9, 4), (11, -8)])
def test_a_block_moves_before_a_picture_that_does_not(dx: int, dy: int) -> None:
    back, block = grey(textured((160, 240), cell=12, seed=1)), grey(textured((60, 80), cell=8, seed=2))
    previous, current = back.copy(), back.copy()
    previous[50:110, 80:160] = block
    current[50 + dy : 110 + dy, 80 + dx : 160 + dx] = block
    flow = PatchSearch(search=Search(), threads=2)(current, previous)
    error = np.linalg.norm(flow - [0, 0], axis=2)
    error[50 + dy : 110 + dy, 80 + dx : 160 + dx] = np.linalg.norm(
        flow[50 + dy : 110 + dy, 80 + dx : 160 + dx] - [-dx, -dy], axis=2
    )
    inside = error[58 + dy : 102 + dy, 88 + dx : 152 + dx]
    assert np.median(inside) < 0.3
    assert (inside > 1).mean() < 0.1
    assert np.median(error) < 0.1


def test_more_effort_follows_edges_more_closely() -> None:
    back, block = grey(textured((160, 240), cell=12, seed=1)), grey(textured((60, 80), cell=8, seed=2))
    previous, current = back.copy(), back.copy()
    previous[50:110, 80:160] = block
    current[54:114, 71:151] = block
    truth = np.zeros((160, 240, 2))
    truth[54:114, 71:151] = (9, -4)
    off = [
        float((np.linalg.norm(DisFlow(quality=quality, threads=1)(current, previous) - truth, axis=2) > 1).mean())
        for quality in ("fast", "balanced", "fine")
    ]
    assert off[0] > 1.2 * off[1] > 1.4 * off[2]


def test_the_last_level_searches_only_what_the_one_before_does_not_explain() -> None:
    """A pole of two pixels before a moving picture; the picture is found at half the size, the pole is not."""
    previous, current = (grey(rgb).copy() for rgb in panning(2, (96, 160), step=4, cell=12))
    previous[:, 70:72], current[:, 75:77] = 250, 250
    everywhere, needed, nowhere = (
        PatchSearch(search=Search(halved=0, settled=settled), threads=2)(current, previous)
        for settled in (None, 3.0, 1e3)
    )
    pole, picture = (slice(16, -16), slice(75, 77)), (slice(16, -16), slice(100, 140))
    assert np.abs(needed[pole] - everywhere[pole]).max() < 0.2
    assert np.abs(needed[picture] - everywhere[picture]).max() < 0.1
    assert np.abs(nowhere[pole] - everywhere[pole]).max() > 1
    assert (needed != everywhere).any()
    coarser = PatchSearch(search=Search(halved=1), threads=1)(current, previous)
    assert np.abs(nowhere[picture] - coarser[picture]).max() < 0.05


def test_flat_pictures_and_single_edges_are_survived() -> None:
    flat, edge = np.full((64, 64), 90, np.uint8), np.full((64, 64), 90, np.uint8)
    edge[:, 32:] = 160
    search = PatchSearch(search=Search(), threads=1)
    assert not search(flat, flat).any()
    assert np.isfinite(search(edge, flat)).all()
    assert np.abs(search(edge, edge)).max() < 1e-3


def test_levels_are_means_with_their_border_repeated() -> None:
    image = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
    level = np.empty((3 + 2 * PAD, 4 + 2 * PAD), np.float32)
    halve_rows(image, level, 0, len(level))
    inner = level[PAD:-PAD, PAD:-PAD]
    np.testing.assert_allclose(inner, image.reshape(3, 2, 4, 2).mean(axis=(1, 3)))
    np.testing.assert_allclose(level, np.pad(inner, PAD, mode="edge"))


def test_twice_the_grid_is_the_flow_enlarged() -> None:
    flow = np.random.default_rng(5).normal(0, 3, (7, 9, 2)).astype(np.float32)
    out = np.empty((14, 18, 2), np.float32)
    double_rows(flow, out, 0, 14)
    np.testing.assert_allclose(out, CpuOps(threads=1).resize_flow(flow, (14, 18)), atol=1e-5)
