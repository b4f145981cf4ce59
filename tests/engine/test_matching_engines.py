"""Engines match composed flow by appearance: in every mode, with any source of motion, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fakes import BrightnessSegmenter, uncovering
from segtween.build import Processor, build_engine, build_every_frame, build_streams, method
from segtween.engine.delayed import Inline
from segtween.engine.motion import MotionEstimator
from segtween.errors import SettingError
from segtween.flow.dis import DisFlow
from segtween.ops.cpu import CpuOps
from segtween.settings import PRESETS, Settings, change
from segtween.types import Frame, Result, Rgb

SIZE = (64, 96)
MODES: dict[str, dict[str, Any]] = {
    "causal": {},
    "delayed": {"async_keys": 2},
    "bidirectional": {"mode": "bidirectional", "flow_quality": "balanced"},
    "bidirectional, late": {"mode": "bidirectional", "flow_quality": "balanced", "async_keys": 2},
}


def settings(mode: str, *, interval: int = 3, **changes: Any) -> Settings:
    return change(PRESETS["composed"], interval=interval, **{**MODES[mode], **changes})


def build(mode: str, **changes: Any) -> Any:
    return build_engine(BrightnessSegmenter(stride=1), settings(mode, **changes), backend=Processor(1))


def clip(frames: int = 10, seed: int = 3) -> list[Rgb]:
    return uncovering(frames, SIZE, step=4, seed=seed)


def results(engine: Any, frames: Sequence[Rgb], motions: Any = None) -> list[Result]:
    done = []
    for i, rgb in enumerate(frames):
        done += engine.push(rgb, motion=None if motions is None else motions[i])
    return done + engine.finish()


def same(ours: Sequence[Result], theirs: Sequence[Result]) -> bool:
    assert len(ours) == len(theirs)
    return all(np.array_equal(a.labels, b.labels) for a, b in zip(ours, theirs, strict=True))


def matches_nothing(engine: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The engine with operations that return what they are given."""
    monkeypatch.setattr(engine.ops, "match", lambda composed, now, key, quality: composed)  # noqa: ARG005
    monkeypatch.setattr(engine.ops, "match_labels", lambda labels, sources, now, share=None, quality="": labels)  # noqa: ARG005
    return engine


@pytest.mark.parametrize("mode", MODES)
def test_without_matching_nothing_but_that_is_different(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = clip()
    without = results(build(mode, match="none"), frames)
    assert same(without, results(matches_nothing(build(mode), monkeypatch), frames))
    assert not same(without, results(build(mode), frames))


@pytest.mark.parametrize(
    ("mode", "changes"),
    [
        *((mode, {"match": "none"}) for mode in MODES),
        ("causal", {"propagation": "resampled"}),
        ("delayed", {"propagation": "resampled"}),
    ],
)
def test_where_nothing_is_matched_no_colours_are_asked_for(
    mode: str, changes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        pytest.fail("asked for")

    for name in ("appearance", "match", "match_labels"):
        monkeypatch.setattr(CpuOps, name, fails)
    assert len(results(build(mode, **changes), clip())) == 10


def test_matching_finds_what_flow_misses() -> None:
    frames = clip()
    plain = build_every_frame(BrightnessSegmenter(stride=1))
    wanted = [plain.step(rgb).labels for rgb in frames]

    def wrong(match: str) -> int:
        found = results(build("causal", match=match, history_weight=0.0), frames)
        return sum(int((one.labels != labels).sum()) for one, labels in zip(found, wanted, strict=True))

    assert wrong(match="fine") < 0.8 * wrong(match="none")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("with_colours", [False, True])
def test_motion_from_outside_needs_no_colours(mode: str, with_colours: bool) -> None:
    frames, engine = clip(), build(mode)
    source = MotionEstimator(DisFlow(), ops=CpuOps(threads=1), appearance=with_colours)
    listed = [Frame(i, float(i), rgb) for i, rgb in enumerate(frames)]
    motions = [replace(motion, stages_ms={}) for _, motion in source.ahead(listed)]
    assert all((motion.appearance is not None) == with_colours for motion in motions)
    assert same(results(engine, frames, motions), results(build(mode), frames))


@pytest.mark.parametrize("mode", MODES)
def test_the_callers_frame_may_be_overwritten_between_frames(mode: str) -> None:
    frames, engine, buffer = clip(), build(mode), np.empty((*SIZE, 3), np.uint8)
    at_once = build(mode)
    for built in (engine, at_once):
        if "async_keys" in MODES[mode]:
            built.keys.worker = Inline()  # a network in a thread of its own reads the frame later
    done = []
    for rgb in frames:
        buffer[:] = rgb
        done += engine.push(buffer)
        buffer[:] = 0
    assert same(done + engine.finish(), results(at_once, frames))


def test_late_scores_are_matched_as_those_that_were_waited_for() -> None:
    frames = clip(13)
    now, late, without = (
        results(build("causal"), frames),
        results(build("delayed"), frames),
        results(build("delayed", match="none"), frames),
    )
    differs = 0
    for one, other, third in zip(now, late, without, strict=True):
        if other.index < 4 or other.index % 4 >= 2:
            assert np.array_equal(one.labels, other.labels)
            differs += int((other.labels != third.labels).sum())
    assert differs > 0


def test_the_frames_after_the_last_key_frame_are_matched_from_one_side() -> None:
    frames = clip(6)
    one, both = results(build("causal", interval=9), frames), results(build("bidirectional", interval=9), frames)
    assert same(one, both)
    assert not same(one, results(build("bidirectional", interval=9, match="none"), frames))


@pytest.mark.parametrize("mode", ["causal", "bidirectional"])
def test_streams_are_matched_each_by_its_own_key_frames(mode: str) -> None:
    clips = [clip(9, seed=seed) for seed in (3, 5, 8)]
    streams = build_streams(BrightnessSegmenter(stride=1), settings(mode), 3, backend=Processor(1))
    done: list[list[Result]] = [[], [], []]
    for tick in streams.stream(*clips):
        for found, result in zip(done, tick, strict=True):
            assert result is not None
            found.append(result)
    for frames, found in zip(clips, done, strict=True):
        alone = build(mode, interval=99)
        keys = [result.index for result in found if result.is_key]
        alone.keys.schedule.is_key = lambda situation, keys=keys: situation.index in keys
        assert same(found, results(alone, frames))


def test_another_clip_is_not_matched_by_the_last_ones_colours() -> None:
    engine = build("causal")
    results(engine, clip(seed=5))
    assert same(results(engine, clip()), results(build("causal"), clip()))


def test_a_clip_of_one_colour_and_one_row_goes_through() -> None:
    for size in ((1, 40), (40, 1), (7, 5)):
        engine = build("causal", cuts=False)
        frames = [np.full((*size, 3), 40 * i, np.uint8) for i in range(4)]
        assert [result.labels.shape for result in results(engine, frames)] == [size] * 4


def test_the_record_names_it_and_the_hash_depends_on_it() -> None:
    for mode in ("causal", "bidirectional"):
        matched, other = build(mode), build(mode, match="none")
        assert matched.describe()["propagation"]["match"]["quality"] == "fine"
        assert "match" not in other.describe()["propagation"]
        built = (matched, build(mode, match="fast"), other)
        assert len({method(engine, name="composed").hash for engine in built}) == 3


def test_matching_is_fine_in_both_modes_and_flow_where_labels_come_late() -> None:
    composed = PRESETS["composed"]
    both = change(composed, mode="bidirectional")
    assert (composed.match, composed.quality, both.match, both.quality) == ("fine", "balanced", "fine", "fine")
    assert change(both, match="fast").match == "fast"
    assert change(both, match="none").match is None
    assert PRESETS["blend"].match is None
    with pytest.raises(SettingError, match="match 'much'; expected none or fast or fine"):
        change(composed, match="much")
