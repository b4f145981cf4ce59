"""Motion as a value: estimated in place or ahead, in one direction or both, with the same result."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from fakes import BrightnessSegmenter, panning
from segtween.build import Processor, build_engine
from segtween.engine.clock import Clock
from segtween.engine.motion import MotionEstimator
from segtween.flow.dis import DisFlow
from segtween.ops.cpu import CpuOps
from segtween.settings import PRESETS
from segtween.types import Frame

SIZE = (64, 96)
FRAMES = [Frame(i, Fraction(i, 25), rgb) for i, rgb in enumerate(panning(5, SIZE, step=3, cell=16))]


def estimator(*, bidirectional: bool = False) -> MotionEstimator:
    return MotionEstimator(DisFlow(), ops=CpuOps(threads=1), bidirectional=bidirectional)


def test_ahead_is_the_same_as_in_place_and_says_what_it_took() -> None:
    source, flow = estimator(), DisFlow()
    ahead = list(estimator().ahead(FRAMES))
    assert [frame for frame, _ in ahead] == FRAMES
    for (frame, motion), before in zip(ahead, [None, *FRAMES], strict=False):
        clock = Clock()
        here = source(frame.rgb, clock)
        np.testing.assert_array_equal(motion.view, here.view)
        assert set(motion.stages_ms) == set(clock.stages_ms)
        assert here.stages_ms == {}, "the clock has them"
        if before is None:
            assert motion.flow is None
            assert motion.previous is None
            continue
        expected = flow(flow.prepare(frame.rgb), flow.prepare(before.rgb))
        for found in (motion, here):
            np.testing.assert_array_equal(found.flow, expected)
            np.testing.assert_array_equal(found.previous, flow.prepare(before.rgb))
            assert found.forward is None
        np.testing.assert_array_equal(motion.residual, here.residual)


def test_both_ways_lead_there_and_back() -> None:
    source, flow = estimator(bidirectional=True), DisFlow()
    first, second = (source(frame.rgb, Clock()) for frame in FRAMES[:2])
    assert second.forward is not None
    np.testing.assert_array_equal(second.forward.flow, flow(first.view, second.view))
    assert source.forward(second, Clock()) is second.forward, "known already"
    one_way = estimator()
    *_, motion = (one_way(frame.rgb, Clock()) for frame in FRAMES[:2])
    assert motion.forward is None
    np.testing.assert_array_equal(one_way.forward(motion, Clock()).flow, second.forward.flow)


def test_a_frame_of_another_size_begins_anew_and_so_does_a_reset() -> None:
    source = estimator()
    source(FRAMES[0].rgb, Clock())
    clock = Clock()
    assert source(panning(1, (32, 48))[0], clock).flow is None
    assert set(clock.stages_ms) == {"prepare"}
    source(FRAMES[0].rgb, Clock())
    source.reset()
    assert source(FRAMES[1].rgb, Clock()).flow is None


def test_engines_take_motion_from_outside() -> None:
    settings = PRESETS["composed"].at(2)
    own, given = (build_engine(BrightnessSegmenter(), settings, backend=Processor(1)) for _ in range(2))
    for frame, motion in estimator().ahead(FRAMES):
        one, other = own.step(frame.rgb), given.step(frame.rgb, motion=motion)
        np.testing.assert_array_equal(one.labels, other.labels)
        assert set(one.stages_ms) == set(other.stages_ms), "every stage is told, wherever it happened"
    late = build_engine(BrightnessSegmenter(), settings, backend=Processor(1))
    motions = list(estimator().ahead(FRAMES))
    assert late.step(FRAMES[2].rgb, motion=motions[2][1]).is_key, "a clip may begin where others are under way"
