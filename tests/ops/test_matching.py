"""Matching by appearance: against a slow implementation, and on pictures whose true motion is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import slow_matching as slow
from segtween.ops import kernels, matching
from segtween.ops.cpu import CpuOps, united
from segtween.ops.searches import SEARCHES
from segtween.types import Appearance, ScoreMap

SIZES = [(1, 1), (1, 9), (8, 1), (5, 7), (16, 21)]
QUALITIES = pytest.mark.parametrize("quality", list(SEARCHES))
GREY, RED = (90, 100, 110), (220, 40, 40)


@pytest.fixture(scope="module")
def ops() -> CpuOps:
    return CpuOps(threads=1)


def noise(size: tuple[int, int], seed: int) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def random_flow(size: tuple[int, int], seed: int, spread: float = 3.0) -> Any:
    return np.random.default_rng(seed).normal(0, spread, (*size, 2)).astype(np.float32)


def similar(view: Any, seed: int) -> Any:
    """A picture whose patches lie, a little changed, elsewhere in the other."""
    moved = np.roll(view, (1, -2), (0, 1)).astype(int)
    return np.clip(moved + np.random.default_rng(seed).integers(-12, 13, view.shape), 0, 255).astype(np.uint8)


def coarse(view: Any) -> Appearance:
    """Of a frame whose coarse grid shows `view`."""
    return Appearance(np.repeat(np.repeat(view, 2, 0), 2, 1), view)


def fine(view: Any) -> Appearance:
    """Of a frame whose fine grid shows `view`; for labels the coarse one does not count."""
    return Appearance(view, view[::2, ::2])


def bar(at: int, *, size: tuple[int, int] = (24, 48), width: int = 6) -> NDArray[np.uint8]:
    """A red bar over a plain background, whose first column is `at`."""
    view = np.empty((*size, 3), np.uint8)
    view[:] = GREY
    view[4:20, at : at + width] = RED
    return view


def match(ops: CpuOps, flow: Any, now: Appearance, key: Appearance, quality: str = "fine") -> Any:
    return ops.match(flow, now, key, quality=quality)


# ── Colours ───────────────────────────────────────────────────────────────────────────────────


def padded(view: Any) -> Any:
    h, w = view.shape[:2]
    out = np.empty((h + 2, w + 2), "<u4")
    matching.pad_rows(view, out, 0, h + 2)
    return out.view(np.uint8).reshape(h + 2, w + 2, 4)


def halved(view: Any) -> Any:
    around = padded(view)
    out = np.empty((2, 2, *around.shape), np.uint8)
    matching.halve_cells_rows(around, out, 0, len(around))
    return out


@pytest.mark.parametrize("away", [1, 2])
def test_edges_are_where_labels_near_by_are_not_all_one(away: int) -> None:
    labels = np.random.default_rng(away).integers(0, 40, (9, 12)).astype(np.uint8) // 36
    near = np.pad(labels, away, mode="edge")
    views = [near[y : y + 9, x : x + 12] for y in (0, away, 2 * away) for x in (0, away, 2 * away)]
    out = np.empty((9, 12), np.bool_)
    matching.edges_rows(labels, away, out, 0, 4)
    matching.edges_rows(labels, away, out, 4, 9)
    assert 0 < out.sum() < out.size
    np.testing.assert_array_equal(out, np.any([view != labels for view in views], axis=0))


def test_lists_of_cells_are_united() -> None:
    one, other = np.array([[3, 0], [1, 2]], np.int32), np.array([[1, 2], [0, 1]], np.int32)
    assert united([one, other], (3, 4)).tolist() == [[3, 0], [0, 1], [1, 2]]


def test_half_cells_lie_between_cells() -> None:
    view = np.array([[[0, 10, 255], [3, 20, 255]], [[1, 30, 0], [2, 41, 254]]], np.uint8)
    found = halved(view)[:, :, 1:-1, 1:-1, :3]
    assert np.array_equal(found[0, 0], view)
    assert found[0, 1].tolist() == [[[2, 15, 255], [3, 20, 255]], [[2, 36, 127], [2, 41, 254]]]
    assert found[1, 0].tolist() == [[[1, 20, 128], [3, 31, 255]], [[1, 30, 0], [2, 41, 254]]]
    assert found[1, 1].tolist() == [[[2, 25, 191], [3, 31, 255]], [[2, 36, 127], [2, 41, 254]]]


@pytest.mark.parametrize("size", SIZES)
def test_half_cells_are_bilinear_with_their_border_once_more(size: tuple[int, int]) -> None:
    (h, w), view = size, noise(size, 1)
    assert np.array_equal(padded(view)[..., :3], np.pad(view, ((1, 1), (1, 1), (0, 0)), mode="edge"))
    found = halved(view)
    assert not found[..., 3].any()
    for j, i, y, x in np.ndindex(2, 2, h + 2, w + 2):
        assert found[j, i, y, x, :3].tolist() == slow.between(view, 2 * (x - 1) + i, 2 * (y - 1) + j).tolist()


@pytest.mark.parametrize("size", SIZES)
def test_a_cost_is_the_sum_of_fifteen_differences(size: tuple[int, int]) -> None:
    (h, w), now, key, flow = size, noise(size, 1), noise(size, 2), random_flow(size, 3)
    flow[0, 0], flow[-1, -1] = (np.nan, np.inf), (-np.inf, 1e9)
    cells, costs = np.empty((h * w, 2), np.int32), np.empty(h * w, np.int32)
    everywhere = np.empty((0, 0), np.bool_)
    views = padded(now).reshape(-1), halved(key).reshape(-1)
    assert matching.costs_rows(views, flow, everywhere, -1, 0.0, cells, costs, 0, h) == h * w
    assert cells.tolist() == [[x, y] for y in range(h) for x in range(w)]
    both = slow.all_between(now), slow.all_between(key)
    assert costs.tolist() == [slow.cost(*both, x, y, flow[y, x]) for y in range(h) for x in range(w)]


@pytest.mark.parametrize("side", [1, 2, 3, 4, 6, 16, 18])
def test_the_colours_of_a_frame_are_area_means(ops: CpuOps, side: int) -> None:
    rgb = noise((6 * side, 10 * side), 4)
    seen = ops.appearance(rgb, (6, 10))
    assert np.abs(seen.fine - rgb.reshape(6, side, 10, side, 3).mean((1, 3))).max() <= 0.5
    assert np.abs(seen.coarse - seen.fine.reshape(3, 2, 5, 2, 3).mean((1, 3))).max() <= 0.5
    assert (seen.fine.dtype, seen.coarse.dtype) == (np.uint8, np.uint8)


def test_a_white_frame_is_white_on_any_grid(ops: CpuOps) -> None:
    for size, grid in (((32, 48), (2, 3)), ((45, 57), (15, 19)), ((17, 11), (9, 6)), ((7, 9), (7, 9))):
        seen = ops.appearance(np.full((*size, 3), 255, np.uint8), grid)
        assert seen.fine.shape[:2] == grid
        assert seen.coarse.shape[:2] == (-(-grid[0] // 2), -(-grid[1] // 2))
        assert (seen.fine == 255).all()
        assert (seen.coarse == 255).all()


def test_the_colours_of_a_frame_are_its_own_copy(ops: CpuOps) -> None:
    rgb = noise((12, 20), 4)
    seen, kept = ops.appearance(rgb, (12, 20)), rgb.copy()
    rgb[:] = 0
    assert np.array_equal(seen.fine, kept)
    assert seen.coarse.shape == (6, 10, 3)


# ── On the composed flow's grid ───────────────────────────────────────────────────────────────


@pytest.mark.parametrize("size", [*SIZES, (20, 40)])
@pytest.mark.parametrize("spread", [0.5, 3.0, 60.0])
@QUALITIES
def test_matched_flow_is_what_the_slow_search_finds(
    ops: CpuOps, size: tuple[int, int], spread: float, quality: str
) -> None:
    key = noise(size, 1)
    now, flow = similar(key, 2), random_flow(size, 3, spread)
    found = match(ops, flow, coarse(now), coarse(key), quality)
    expected, changed = slow.matched(flow, now, key, SEARCHES[quality].coarse)
    assert np.array_equal(found, expected)
    assert changed.any() or size[0] * size[1] < 10


def test_no_number_is_the_first_place_and_may_be_replaced(ops: CpuOps) -> None:
    key = noise((9, 12), 1)
    now, flow = key.copy(), np.zeros((9, 12, 2), np.float32)
    flow[4, 6], flow[0, 11, 0], flow[8, 0, 1] = np.nan, np.inf, -np.inf
    expected, _ = slow.matched(flow, now, key, SEARCHES["fine"].coarse)
    found = match(ops, flow, coarse(now), coarse(key))
    assert np.array_equal(found, expected, equal_nan=True)
    assert not found[4, 6].any()


@pytest.mark.parametrize("moved", [1, 3, 7])
def test_where_a_bar_has_moved_its_rim_is_led_to_the_right_place(ops: CpuOps, moved: int) -> None:
    now, key = bar(14 + moved), bar(14)
    flow = np.zeros((24, 48, 2), np.float32)
    flow[4:20, 16 + moved : 18 + moved] = -moved, 0  # known inside the bar; the rim is led as the background is
    found = match(ops, flow, coarse(now), coarse(key))
    x = np.arange(48)[None, :] + found[..., 0]
    rim = np.s_[4:20, 14 + moved : 20 + moved]
    assert ((x[rim] >= 14) & (x[rim] < 20)).all(), "every cell of the bar leads into the bar"
    assert not found[:, 26 + moved :].any(), "the background, which fits, stays"


def test_what_a_bar_uncovers_is_led_to_the_background(ops: CpuOps) -> None:
    now, key, flow = bar(20), bar(14), np.zeros((24, 48, 2), np.float32)
    flow[:, :22], flow[4:20, 20:26] = (-4, 0), (-6, 0)  # what is uncovered, 14..19, is led to 10..15
    found = match(ops, flow, coarse(now), coarse(key))
    x = np.rint(np.arange(48)[None, :] + found[..., 0]).astype(int)
    uncovered = x[5:19, 15:19]
    assert ((uncovered < 14) | (uncovered >= 20)).all()


def test_where_everything_fits_nothing_changes(ops: CpuOps) -> None:
    view, flow = noise((20, 30), 5), random_flow((20, 30), 6)
    view[:3], view[-3:], view[:, :4], view[:, -4:] = GREY, GREY, GREY, GREY
    plain, still = coarse(np.full_like(view, 80)), np.zeros_like(flow)
    given = flow.copy()
    assert np.array_equal(match(ops, flow, plain, plain), flow)
    assert np.array_equal(flow, given), "what was given is not written to"
    assert np.array_equal(match(ops, still, coarse(view), coarse(view)), still)
    moved = np.broadcast_to(np.array([2, -1], np.float32), flow.shape)
    now = np.roll(view, (1, -2), (0, 1))
    assert np.array_equal(match(ops, moved, coarse(now), coarse(view)), moved)


@QUALITIES
@pytest.mark.parametrize("over", [0, 1])
def test_differences_up_to_the_gate_are_left(ops: CpuOps, quality: str, over: int) -> None:
    by = int(SEARCHES[quality].coarse.gate) + over
    key = np.full((12, 30, 3), 100, np.uint8)
    key[:, 20:] = 100 + by
    now, flow = np.full((12, 30, 3), 100 + by, np.uint8), np.zeros((12, 30, 2), np.float32)
    flow[:, 10] = 15, 0  # leads to what fits
    found = match(ops, flow, coarse(now), coarse(key), quality)
    assert found[6, 8, 0] == (15 if over else 0)
    assert np.array_equal(found, flow) != bool(over)


@QUALITIES
@pytest.mark.parametrize("over", [0, 1])
def test_another_flow_must_be_better_by_the_margin(ops: CpuOps, quality: str, over: int) -> None:
    key = np.full((12, 30, 3), 100, np.uint8)
    key[:, 20:] = 100 + int(SEARCHES[quality].coarse.margin) + over
    now, flow = np.full((12, 30, 3), 140, np.uint8), np.zeros((12, 30, 2), np.float32)
    flow[:, 10] = 15, 0
    assert np.array_equal(match(ops, flow, coarse(now), coarse(key), quality), flow) != bool(over)


@QUALITIES
def test_what_leads_next_to_where_a_cell_is_led_already_is_not_tried(ops: CpuOps, quality: str) -> None:
    now, key = coarse(noise((12, 30), 1)), coarse(noise((12, 30), 2))
    flow = np.random.default_rng(3).uniform(0, 0.7, (12, 30, 2)).astype(np.float32)  # 0 or 1 half cells
    assert np.array_equal(match(ops, flow, now, key, quality), flow)
    assert not np.array_equal(match(ops, 2 * flow, now, key, quality), 2 * flow)


@pytest.mark.usefixtures("many_processors")
def test_matching_is_the_same_on_every_thread_count() -> None:
    size = (90, 64)
    key = noise(size, 1)
    now, flow = similar(key, 2), random_flow(size, 3)
    found = [match(CpuOps(threads=n), flow, coarse(now), coarse(key)) for n in (1, 2, 3)]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], flow)


def test_two_key_frames_are_told_apart(ops: CpuOps) -> None:
    one, other, flow = coarse(noise((12, 16), 1)), coarse(noise((12, 16), 2)), random_flow((12, 16), 3)
    now = coarse(noise((12, 16), 4))
    alone = [match(CpuOps(threads=1), flow, now, key) for key in (one, other)]
    for key, expected in [(one, alone[0]), (other, alone[1])] * 2:
        assert np.array_equal(match(ops, flow, now, key), expected)


# ── Labels ────────────────────────────────────────────────────────────────────────────────────

FRAMES = [((16, 20), (16, 20)), ((32, 40), (16, 20)), ((45, 57), (15, 19)), ((17, 11), (9, 6)), ((24, 9), (8, 3))]
"""Sizes of a frame and of its fine grid."""


def scene(size: tuple[int, int], grid: tuple[int, int], seed: int) -> tuple[ScoreMap, Any, Appearance]:
    """Scores, composed flow on the coarse grid, and the key frame's appearance."""
    rng, half = np.random.default_rng(seed), (-(-grid[0] // 2), -(-grid[1] // 2))
    values = rng.normal(0, 3, (5, *half)).astype(np.float32)
    return ScoreMap(values, "logits", size), random_flow(half, seed + 1, 1.5), fine(noise(grid, seed + 2))


def on_grid(labels: Any, grid: tuple[int, int]) -> Any:
    """The label at each cell's centre."""
    rows, columns = (((np.arange(n) + 0.5) * s / n).astype(int) for s, n in zip(labels.shape, grid, strict=True))
    return labels[np.ix_(rows, columns)]


def looked_up(ops: CpuOps, labels: Any, scenes: Any, now: Appearance, quality: str) -> tuple[Any, Any]:
    """The flows on the fine grid after the slow search, and where one of them changed."""
    grid = now.fine.shape[:2]
    search = SEARCHES[quality].fine
    near, flows, changed = slow.near_edges(on_grid(labels, grid), search.edge), [], np.zeros(grid, bool)
    for _, composed, key in scenes:
        found, differs = slow.matched(ops.resize_flow(composed, grid), now.fine, key.fine, search, where=near)
        flows.append(found)
        changed |= differs
    return flows, changed


def check(found: Any, labels: Any, changed: Any, wanted: Any) -> None:
    """Cells that changed have the classes best in `wanted` (pixel, cell), but for ties; others are as before."""
    (height, width), (h, w) = labels.shape, changed.shape
    differs, other = found != labels, 0
    for y, x in np.ndindex(h, w):
        cell = np.s_[y * height // h : (y + 1) * height // h, x * width // w : (x + 1) * width // w]
        if not changed[y, x]:
            assert not differs[cell].any()
            continue
        for row in range(cell[0].start, cell[0].stop):
            for column in range(cell[1].start, cell[1].stop):
                values = wanted((row, column), (y, x))
                assert values[found[row, column]] >= values.max() - 1e-4
                other += int(found[row, column] != labels[row, column])
    assert other > 0, "some of them are relabelled"


@QUALITIES
@pytest.mark.parametrize(("size", "grid"), FRAMES)
def test_cells_whose_flow_changes_are_relabelled(
    ops: CpuOps, size: tuple[int, int], grid: tuple[int, int], quality: str
) -> None:
    first = scene(size, grid, 10)
    now = fine(similar(first[2].fine, 7))
    labels = ops.labels(first[0], size, composed=first[1])
    (flow,), changed = looked_up(ops, labels, [first], now, quality)
    found = ops.match_labels(labels.copy(), [first], now, quality=quality)
    check(found, labels, changed, lambda p, c: slow.moved_scores(first[0].values, p, size, flow[c], grid))


@pytest.mark.slow
@QUALITIES
@pytest.mark.parametrize(("size", "grid"), FRAMES)
def test_between_two_key_frames_both_count_by_their_share(
    ops: CpuOps, size: tuple[int, int], grid: tuple[int, int], quality: str
) -> None:
    first, second = scene(size, grid, 10), scene(size, grid, 20)
    now = fine(similar(first[2].fine, 7))
    share = np.random.default_rng(8).random(first[1].shape[:2], np.float32)
    labels = ops.mixed_labels(first[:2], second[:2], share, size)
    flows, changed = looked_up(ops, labels, [first, second], now, quality)
    part = ops.resize(share, grid)

    def wanted(pixel: Any, cell: Any) -> Any:
        one, other = (
            slow.moved_scores(key[0].values, pixel, size, flow[cell], grid)
            for key, flow in zip((first, second), flows, strict=True)
        )
        return (1 - part[cell]) * one + part[cell] * other

    check(ops.match_labels(labels.copy(), [first, second], now, share, quality=quality), labels, changed, wanted)


@pytest.mark.usefixtures("many_processors")
@pytest.mark.parametrize("mixed", [False, True])
def test_labels_are_the_same_on_every_thread_count(mixed: bool) -> None:
    size = grid = (96, 80)
    scenes = [scene(size, grid, 10), scene(size, grid, 20)][: 1 + mixed]
    now, share = fine(similar(scenes[0][2].fine, 7)), np.full((48, 40), 0.4, np.float32) if mixed else None
    labels = CpuOps(threads=1).labels(scenes[0][0], size, composed=scenes[0][1])
    found = [CpuOps(threads=n).match_labels(labels.copy(), scenes, now, share, quality="fine") for n in (1, 2, 3)]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    assert not np.array_equal(found[0], labels)


def test_labels_of_one_class_have_no_edges_to_look_at(ops: CpuOps) -> None:
    carried, composed, key = scene((32, 40), (16, 20), 10)
    carried.values[1] = 100
    labels = ops.labels(carried, (32, 40), composed=composed)
    found = ops.match_labels(labels.copy(), [(carried, composed, key)], fine(noise((16, 20), 9)), quality="fine")
    assert (found == 1).all()


def test_flow_is_doubled_bilinearly_and_its_vectors_with_it() -> None:
    flow = random_flow((5, 7), 1)
    out = np.empty((10, 14, 2), np.float32)
    kernels.double_rows(flow, out, 0, 10)
    np.testing.assert_allclose(out, CpuOps(threads=1).resize_flow(flow, (10, 14)), rtol=1e-5, atol=1e-5)
