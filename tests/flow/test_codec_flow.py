"""Flow from motion vectors."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from flow_contract import FlowContract
from numpy.typing import NDArray

from fakes import panning
from segtween.flow import FlowOptions, open_flow, reads_vectors
from segtween.flow.codec import CodecFlow, explains, flow_of_vectors, turned_round
from segtween.types import Frame, MotionVectors

SIZE_HW = (64, 96)


class TestCodec(FlowContract):
    """Of frames without vectors: their flow is estimated."""

    name = "codec"


def vectors(flow: tuple[float, float], *, left: int = 0, right: int = 96) -> MotionVectors:
    """Blocks of 16 x 16 pixels between two columns, which all move alike."""
    blocks = [(x, y, 16, 16) for y in range(0, 64, 16) for x in range(left, right, 16)]
    return MotionVectors(np.array(blocks, np.int32), np.full((len(blocks), 2), flow, np.float32))


def frame(index: int, found: MotionVectors | None, rgb: NDArray[np.uint8] | None = None) -> Frame:
    picture = np.zeros((*SIZE_HW, 3), np.uint8) if rgb is None else rgb
    return Frame(index, Fraction(index, 25), picture, found)


def shown(estimator: CodecFlow, one: Frame) -> NDArray[np.uint8]:
    estimator.watch(one)
    return estimator.prepare(one.rgb)


def opened() -> CodecFlow:
    estimator = open_flow("codec", FlowOptions(threads=1))
    assert isinstance(estimator, CodecFlow)
    return estimator


def test_vectors_become_flow_in_cells_of_the_grid() -> None:
    flow = flow_of_vectors(vectors((4.0, -2.0)), (32, 48), SIZE_HW)
    assert flow is not None
    assert flow.shape == (32, 48, 2)
    np.testing.assert_allclose(flow, np.broadcast_to([2.0, -1.0], flow.shape))


def test_a_cell_belongs_to_the_block_that_holds_its_centre() -> None:
    left, right = vectors((1.0, 0.0), right=48), vectors((-3.0, 0.0), left=48)
    both = MotionVectors(np.concatenate([left.blocks, right.blocks]), np.concatenate([left.flow, right.flow]))
    flow = flow_of_vectors(both, SIZE_HW, SIZE_HW)
    assert flow is not None
    assert (flow[:, :48, 0] == 1).all()
    assert (flow[:, 48:, 0] == -3).all()


def test_what_blocks_leave_open_is_filled_from_beside_and_too_little_is_nothing() -> None:
    flow = flow_of_vectors(vectors((4.0, 2.0), left=32), SIZE_HW, SIZE_HW)
    assert flow is not None
    np.testing.assert_array_equal(flow, np.broadcast_to(np.float32([4.0, 2.0]), flow.shape))
    assert flow_of_vectors(vectors((4.0, 2.0), left=64), SIZE_HW, SIZE_HW) is None


def test_blocks_may_reach_over_the_edges() -> None:
    blocks = np.array([(-8, -8, 112, 80)], np.int32)
    flow = flow_of_vectors(MotionVectors(blocks, np.float32([[1.0, 2.0]])), SIZE_HW, SIZE_HW)
    assert flow is not None
    np.testing.assert_array_equal(flow, np.broadcast_to(np.float32([1.0, 2.0]), flow.shape))


def test_turned_round_leads_back() -> None:
    """A block that moved by 10 before a still background: its forward flow stands where it came from."""
    flow = np.zeros((40, 60, 2), np.float32)
    flow[10:20, 30:40] = (-10, 0)
    forward = turned_round(flow)
    assert (forward[10:20, 20:30] == (10, 0)).all()
    assert not forward[:10].any()
    assert not forward[20:].any()


def test_the_vectors_of_a_frame_are_used_in_both_directions() -> None:
    estimator = opened()
    before = shown(estimator, frame(0, None))
    now = shown(estimator, frame(1, vectors((5.0, 1.0))))
    scale = now.shape[1] / SIZE_HW[1]
    np.testing.assert_allclose(np.median(estimator(now, before), axis=(0, 1)), np.float32([5, 1]) * scale)
    np.testing.assert_allclose(np.median(estimator(before, now), axis=(0, 1)), np.float32([-5, -1]) * scale)


@pytest.mark.parametrize("second", [frame(2, vectors((5.0, 1.0))), frame(1, None)], ids=["one is missing", "none"])
def test_flow_is_estimated_where_vectors_do_not_lead_to_the_frame_before(second: Frame) -> None:
    previous, current = panning(2, SIZE_HW, step=2, cell=12)
    estimator, search = opened(), open_flow("dis", FlowOptions(threads=1))
    before = shown(estimator, frame(0, None, previous))
    now = shown(estimator, frame(second.index, second.vectors, current))
    np.testing.assert_array_equal(estimator(now, before), search(now, before))


def test_flow_is_estimated_where_vectors_do_not_explain_the_frame() -> None:
    previous, current = panning(2, SIZE_HW, step=6, cell=12)
    estimator, search = opened(), open_flow("dis", FlowOptions(threads=1))
    before = shown(estimator, frame(0, None, previous))
    now = shown(estimator, frame(1, vectors((-17.0, 9.0)), current))
    np.testing.assert_array_equal(estimator(now, before), search(now, before))
    assert explains(search(now, before), now, before)


def test_a_frame_that_is_only_shown_has_no_vectors() -> None:
    previous, current = panning(2, SIZE_HW, step=2, cell=12)
    estimator, search = opened(), open_flow("dis", FlowOptions(threads=1))
    estimator.watch(frame(0, None, previous))
    before = estimator.prepare(previous)
    estimator.watch(frame(1, vectors((5.0, 1.0)), current))
    estimator.prepare(current)
    now = estimator.prepare(current)  # once more, unannounced
    np.testing.assert_array_equal(estimator(now, before), search(now, before))


def test_which_flow_reads_vectors() -> None:
    assert reads_vectors("codec")
    assert not reads_vectors("dis")
    assert not reads_vectors(None)
