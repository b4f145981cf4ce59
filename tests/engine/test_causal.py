"""The engine with fakes: what runs when, what is carried, and what a cut does."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from fakes import BrightnessSegmenter, panning, textured
from segtween.build import build_engine, build_every_frame, method
from segtween.engine import Engine
from segtween.engine.causal import CausalEngine
from segtween.errors import SettingError
from segtween.settings import change, find_preset
from segtween.types import Frame, size_of

SIZE = (96, 128)


def engine(interval: int = 4, **changes: object) -> Engine:
    return build_engine(BrightnessSegmenter(), change(find_preset("blend"), interval=interval, **changes))  # type: ignore[arg-type]


def calls(built: Engine) -> int:
    assert isinstance(built, CausalEngine)
    assert isinstance(built.keys.segmenter, BrightnessSegmenter)
    return built.keys.segmenter.calls


@pytest.mark.parametrize(("interval", "keys"), [(0, [0, 1, 2, 3, 4, 5]), (1, [0, 2, 4]), (4, [0, 5])])
def test_the_network_runs_on_key_frames_only(interval: int, keys: list[int]) -> None:
    built = engine(interval)
    results = [built.step(rgb) for rgb in panning(6, SIZE)]
    assert [r.index for r in results if r.is_key] == keys
    assert calls(built) == len(keys)
    assert [r.distance for r in results] == [i - max(k for k in keys if k <= i) for i in range(6)]


def test_carried_labels_follow_the_motion() -> None:
    frames = panning(5, SIZE, step=3, cell=20)
    built, plain = engine(4), build_every_frame(BrightnessSegmenter())
    for rgb in frames:
        carried, own = built.step(rgb), plain.step(rgb)
    assert carried.distance == 4
    inside = (slice(8, -8), slice(8, -24))
    still = build_engine(BrightnessSegmenter(), change(find_preset("blend"), interval=4, flow="zero", cuts=False))
    copied = [still.step(rgb) for rgb in frames][-1]
    agreement = (carried.labels == own.labels)[inside].mean()
    assert agreement > 0.9
    assert agreement > (copied.labels == own.labels)[inside].mean() + 0.2


def test_a_frozen_clip_keeps_its_labels_exactly_and_is_no_cut() -> None:
    rgb = textured(SIZE)
    plain = build_every_frame(BrightnessSegmenter()).step(rgb).labels
    for kind in ("logits", "probabilities"):
        built = engine(3, kind=kind)
        results = [built.step(rgb) for _ in range(8)]
        assert not any(r.is_cut for r in results)
        assert np.array_equal(results[0].labels, plain), "the network's own"
        # Between cells probabilities, which are propagated, have other borders than logits have.
        kept = results if kind == "logits" else results[1:]
        assert all(np.array_equal(r.labels, kept[0].labels) for r in kept)
        assert (kept[-1].labels == plain).mean() > 0.85


def test_a_black_clip_is_no_cut() -> None:
    built = engine(3)
    assert not any(built.step(np.zeros((*SIZE, 3), np.uint8)).is_cut for _ in range(4))


def test_a_cut_forces_a_key_frame_and_drops_the_history() -> None:
    first, second = panning(3, SIZE, seed=1), panning(4, SIZE, seed=2)
    built, fresh = engine(9), engine(9)
    results = [built.step(rgb) for rgb in first + second]
    assert [r.index for r in results if r.is_cut] == [3]
    assert [r.index for r in results if r.is_key] == [0, 3]
    alone = [fresh.step(rgb) for rgb in second]
    for spliced, single in zip(results[3:], alone, strict=True):
        assert np.array_equal(spliced.labels, single.labels)


def test_cuts_can_be_switched_off() -> None:
    built = engine(9, cuts=False)
    results = [built.step(rgb) for rgb in panning(2, SIZE, seed=1) + panning(2, SIZE, seed=2)]
    assert [r.is_key for r in results] == [True, False, False, False]


def test_fusion_keeps_what_the_history_says_and_replace_does_not() -> None:
    rgb = textured(SIZE)
    noisy = NoisySegmenter()
    fused = build_engine(noisy, change(find_preset("blend"), interval=0, history_weight=0.8))
    alone = build_engine(NoisySegmenter(), change(find_preset("blend"), interval=0, history_weight=0.0))

    def changes(built: Engine) -> float:
        results = [built.step(rgb).labels for _ in range(8)]
        return float(np.mean([(a != b).mean() for a, b in pairwise(results[2:])]))

    assert changes(fused) < 0.6 * changes(alone)


class NoisySegmenter(BrightnessSegmenter):
    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        logits = super().__call__(rgb)
        rng = np.random.default_rng(self.calls)
        return logits + rng.normal(size=logits.shape).astype(np.float32) * 2


def test_interval_zero_plain_equals_the_network_alone() -> None:
    rgb = textured(SIZE)
    result = build_every_frame(BrightnessSegmenter()).step(rgb)
    assert result.is_key
    assert result.score_map.kind == "logits"
    assert set(result.stages_ms) == {"segment", "label"}


def test_results_carry_sizes_times_and_confidence() -> None:
    built = engine(1)
    key, other = (built.step(rgb, pts_seconds=0.04 * i) for i, rgb in enumerate(panning(2, (95, 131))))
    assert key.labels.shape == other.labels.shape == (95, 131)
    assert key.labels.dtype == np.uint8
    assert other.pts_seconds == pytest.approx(0.04)
    assert {"prepare", "segment", "label"} <= set(key.stages_ms)
    assert {"prepare", "flow", "propagate", "label"} == set(other.stages_ms)
    assert other.confidence.shape == other.score_map.grid_hw
    assert 0 < other.confidence.min() <= other.confidence.max() <= 1


def test_mean_confidence_is_the_key_frame_s_where_the_flow_leads() -> None:
    built = build_engine(BrightnessSegmenter(), change(find_preset("composed"), interval=3))
    assert isinstance(built, CausalEngine)
    key, *others = [(built.step(rgb), built._state) for rgb in panning(4, (96, 200))]
    at_key = key[0].score_map.confidence()
    assert key[0].mean_confidence == pytest.approx(at_key.mean(), abs=1e-6)
    for result, state in others:
        assert "score_map" not in result.__dict__, "nobody has asked for the scores"
        assert state is not None
        assert state.composed is not None
        placed = built.ops.resize(at_key, size_of(state.composed))
        led, _ = built.ops.warp(placed[None], state.composed)
        assert result.mean_confidence == pytest.approx(led.mean(), abs=1e-6)
        np.testing.assert_allclose(result.confidence, result.score_map.confidence(), atol=3e-6)


def test_logits_can_be_carried_and_their_confidence_is_a_probability() -> None:

    built = engine(1, kind="logits")
    result = [built.step(rgb) for rgb in panning(2, SIZE)][-1]
    assert result.score_map.kind == "logits"
    assert 0 < result.confidence.min() <= result.confidence.max() <= 1


def test_stream_takes_frames_and_images_and_starts_afresh() -> None:
    built = engine(2)
    images = panning(4, SIZE)
    frames = [Frame(i, Fraction(i, 30), rgb) for i, rgb in enumerate(images)]
    first, second = list(built.stream(frames)), list(built.stream(images))
    assert [r.is_key for r in first] == [r.is_key for r in second] == [True, False, False, True]
    assert first[3].pts_seconds == pytest.approx(0.1)
    assert math.isnan(second[3].pts_seconds)


def test_memory_of_a_long_clip_is_one_frame() -> None:
    built = engine(4)
    for rgb in panning(3, SIZE) * 20:
        built.step(rgb)
    kept = [v for v in vars(built).values() if isinstance(v, (list, dict))]
    assert kept == []


def test_a_frame_of_another_size_is_refused() -> None:
    built = engine()
    built.step(textured(SIZE))
    with pytest.raises(SettingError, match=r"frame 1 is 100x90; expected 128x96 as before; call reset"):
        built.step(textured((90, 100)))
    built.reset()
    assert built.step(textured((90, 100))).is_key


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8), "frame"]
)
def test_anything_but_an_rgb_image_is_refused(wrong: object) -> None:
    with pytest.raises(SettingError, match="expected an RGB image, uint8 of shape"):
        engine().step(wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("interval", [-1, 1.5, True])
def test_an_interval_below_zero_is_refused(interval: object) -> None:
    with pytest.raises(SettingError, match="interval is .*expected a whole number, 0 or more; give interval=4"):
        change(find_preset("blend"), interval=interval)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"history_weight": 1.0}, "history_weight is 1.0; expected 0 or more, below 1"),
        ({"fusion": 0.5}, "setting 'fusion'; expected one of mode"),
    ],
)
def test_settings_that_cannot_be_used_are_refused(changes: dict[str, object], text: str) -> None:
    with pytest.raises(SettingError, match=text):
        change(find_preset("blend"), **changes)  # type: ignore[arg-type]


def test_the_method_hash_changes_with_every_setting_and_with_nothing_else() -> None:
    base = method(engine(4), name="blend")
    assert base.hash == method(engine(4), name="blend").hash
    others = [engine(4, history_weight=0.4), engine(4, flow_quality="fast"), engine(4, cuts=False)]
    hashes = {base.hash, *(method(other, name="blend").hash for other in others)}
    assert len(hashes) == 4
    assert method(engine(9), name="blend").hash == base.hash, "the interval stands beside the method"
    assert base.to_json()["hash"] == base.hash


def test_labels_read_along_the_path_are_those_of_the_key_frame_moved() -> None:
    frames = panning(5, SIZE, step=3, cell=20)
    built = build_engine(BrightnessSegmenter(), find_preset("composed"))
    resampled = build_engine(
        BrightnessSegmenter(),
        change(find_preset("composed"), propagation="resampled", kind="logits", most_cells=40_000),
    )
    plain = build_every_frame(BrightnessSegmenter())
    for rgb in frames:
        result, other, own = built.step(rgb), resampled.step(rgb), plain.step(rgb)
    assert result.distance == 4
    inside = (slice(8, -8), slice(8, -24))
    agreement = (result.labels == own.labels)[inside].mean()
    assert agreement > 0.9
    # Scores that are resampled in every frame lose their detail.
    assert agreement > (other.labels == own.labels)[inside].mean()
    carried = built.ops.labels(result.score_map, SIZE)
    assert (carried == result.labels)[inside].mean() > 0.9


def test_a_frozen_clip_keeps_its_labels_along_the_path() -> None:
    rgb = textured(SIZE)
    built = build_engine(BrightnessSegmenter(), change(find_preset("composed"), interval=3))
    results = [built.step(rgb) for _ in range(8)]
    assert not any(r.is_cut for r in results)
    changed = [float((r.labels != results[0].labels).mean()) for r in results]
    assert max(changed) < 1e-3


def test_the_path_has_another_hash_and_resampling_the_old_one() -> None:
    built = build_engine(BrightnessSegmenter(), find_preset("composed"))
    assert built.describe()["propagation"]["scores"] == "composed flow"
    assert engine().describe()["propagation"]["scores"] == "resampled"
