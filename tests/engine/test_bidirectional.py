"""The offline mode: both key frames speak, in order, late, and never across a cut."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fakes import BrightnessSegmenter, panning, textured, uncovering
from segtween.build import Processor, build_engine, build_every_frame, build_labelled, method
from segtween.engine.bidirectional import BidirectionalEngine, share
from segtween.engine.state import KeyState
from segtween.errors import LabelError, SettingError
from segtween.labels import numbered
from segtween.settings import change, find_preset
from segtween.types import Result, ScoreMap

SIZE = (96, 128)
PATH = find_preset("composed")


def offline(interval: int = 4, *, threads: int = 0, **changes: Any) -> BidirectionalEngine:
    settings = change(PATH, interval=interval, mode="bidirectional", **changes)
    return build_engine(BrightnessSegmenter(), settings, backend=Processor(threads))


def all_of(sided: BidirectionalEngine, frames: Sequence[np.ndarray]) -> list[Result]:
    return list(sided.stream(frames))


def truth(frames: Sequence[np.ndarray]) -> list[np.ndarray]:
    plain = build_every_frame(BrightnessSegmenter(stride=1))
    return [plain.step(rgb).labels for rgb in frames]


def test_every_frame_comes_once_in_order_with_its_distance() -> None:
    results = all_of(offline(3), panning(10, SIZE))
    assert [r.index for r in results] == list(range(10))
    assert [r.is_key for r in results] == [i % 4 == 0 for i in range(10)]
    assert [r.distance for r in results] == [i % 4 for i in range(10)]
    assert {r.labels.shape for r in results} == {SIZE}


def test_results_come_when_the_next_key_frame_is_there() -> None:
    sided, frames = offline(2), panning(6, SIZE)
    given = [[r.index for r in sided.push(rgb)] for rgb in frames]
    assert given == [[0], [], [], [1, 2], [], []]
    assert [r.index for r in sided.finish()] == [3, 4, 5]
    assert [r.index for r in sided.push(frames[0])] == [0]


def test_a_fused_key_frame_is_read_from_the_later_one_too() -> None:
    """By a network that is right once in three key frames: what it says of the second is outvoted."""
    frames = [textured(SIZE, cell=32)] * 7
    said: list[int] = []

    class Errs(BrightnessSegmenter):
        def __call__(self, rgb: np.ndarray) -> np.ndarray:
            said.append(len(said))
            scores = super().__call__(rgb)
            return -0.5 * scores if said[-1] == 1 else scores

    def wrong(**changes: Any) -> list[float]:
        said.clear()
        results = all_of(
            build_engine(Errs(stride=1), change(PATH, interval=2, mode="bidirectional", **changes)), frames
        )
        return [float((r.labels != wanted).mean()) for r in results]

    (wanted,) = truth(frames[:1])
    alone, both = wrong(history_weight=0.0), wrong(history_weight=0.3)
    assert alone[0] == both[0] == 0
    assert alone[3] > 0.5, "the network's own labels"
    assert both[3] < 0.1, "0.7 of what it says, 0.3 of the first; then a third of the last"


def test_threads_do_not_change_what_is_read_beside_one_another() -> None:
    frames = [*panning(8, SIZE), *uncovering(5, SIZE)]
    one, many = (all_of(offline(3, threads=threads), frames) for threads in (1, 3))
    assert len(one) == len(many) == 13
    for mine, theirs in zip(one, many, strict=True):
        assert np.array_equal(mine.labels, theirs.labels)
        assert np.array_equal(mine.score_map.values, theirs.score_map.values)


def test_frames_that_are_read_at_a_time_share_the_time_that_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    sided = offline(3, threads=2, history_weight=0.0)
    plain = sided.keys.read

    def slow(sides: Any, size_hw: Any) -> Any:
        time.sleep(0.05)
        return plain(sides, size_hw)

    monkeypatch.setattr(sided.keys, "read", slow)
    for rgb in panning(4, SIZE):
        sided.push(rgb)
    began = time.perf_counter()
    results = sided.push(panning(5, SIZE)[4])
    took_ms = (time.perf_counter() - began) * 1e3
    assert [r.index for r in results] == [1, 2, 3, 4]
    assert 100 < sum(r.stages_ms["label"] for r in results) <= took_ms


def test_the_nearer_of_two_key_frames_counts_more() -> None:
    state = KeyState(ScoreMap(np.zeros((1, 1, 1), np.float32), "logits", (1, 1)))

    def at(distance: int, reliability: float | None) -> KeyState:
        return replace(
            state, distance=distance, reliability=None if reliability is None else np.float32([[reliability]])
        )

    def part(earlier: int, later: int, evenness: float, reliability: float | None = 1.0) -> float:
        found = share(at(earlier, reliability), at(later, 1.0), evenness=evenness)
        assert found is not None
        return float(found[0, 0])

    assert [part(n, 4 - n, 0.0) for n in (1, 2, 3)] == pytest.approx([1 / 4, 1 / 2, 3 / 4])
    assert [part(n, 4 - n, 2.0) for n in (1, 2, 3)] == pytest.approx([3 / 8, 1 / 2, 5 / 8])
    assert part(0, 4, 4.0, None) == pytest.approx(1 / 3), "of a key frame"
    assert part(2, 2, 5.0, 0.1) > 0.9, "reliability decides"
    assert share(state, state, evenness=5.0) is None


def test_what_a_block_uncovers_is_known_from_the_key_frame_after() -> None:
    frames = uncovering(5, SIZE)
    wanted = truth(frames)
    both = build_engine(
        BrightnessSegmenter(stride=1), change(PATH, interval=3, history_weight=0.0, mode="bidirectional")
    )
    one = build_engine(BrightnessSegmenter(stride=1), change(PATH, interval=3, history_weight=0.0))
    both_sided = [r.labels for r in all_of(both, frames)]
    one_sided = [one.step(rgb).labels for rgb in frames]

    def wrong(labels: list[np.ndarray]) -> int:
        return sum(int((a != b).sum()) for a, b in zip(labels[1:4], wanted[1:4], strict=True))

    assert wrong(both_sided) < 0.85 * wrong(one_sided)


def test_frames_after_the_last_key_frame_are_those_of_the_engine() -> None:
    frames = panning(4, SIZE)
    built = build_engine(BrightnessSegmenter(), change(PATH, interval=9, flow_quality="fine", match="fine"))
    for ours, causal in zip(all_of(offline(9), frames), map(built.step, frames), strict=True):
        assert np.array_equal(ours.labels, causal.labels)


def test_no_path_crosses_a_cut() -> None:
    first, second = panning(3, SIZE, seed=1), panning(4, SIZE, seed=2)
    results = all_of(offline(9), first + second)
    assert [r.index for r in results if r.is_cut] == [3]
    assert [r.index for r in results if r.is_key] == [0, 3]
    alone = [*all_of(offline(9), first), *all_of(offline(9), second)]
    assert all(np.array_equal(a.labels, b.labels) for a, b in zip(results, alone, strict=True))


def test_memory_is_one_period() -> None:
    sided = offline(3)
    for rgb in panning(4, SIZE) * 5:
        sided.push(rgb)
        assert sided.waiting <= 4


def test_scores_and_confidence_lie_between_those_of_the_key_frames() -> None:
    results = all_of(offline(3), panning(5, SIZE, step=1, cell=20))
    assert all(0 < r.confidence.min() <= r.confidence.max() <= 1 for r in results)
    assert results[2].score_map.kind == "logits"
    inside = (slice(8, -8), slice(8, -8))
    agreement = build_every_frame(BrightnessSegmenter()).ops.labels(results[2].score_map, SIZE) == results[2].labels
    assert agreement[inside].mean() > 0.9


def test_one_step_alone_is_refused_and_another_size_too() -> None:
    sided = offline()
    with pytest.raises(
        SettingError, match=r"one step of bidirectional propagation; expected a whole clip.*use stream\(\), push\(\)"
    ):
        sided.step(textured(SIZE))
    sided.push(textured(SIZE))
    with pytest.raises(SettingError, match="frame 1 is 100x90; expected 128x96 as before"):
        sided.push(textured((90, 100)))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"schedule": "adaptive"}, "mode='bidirectional' with schedule='adaptive'; expected a fixed interval"),
        ({"propagation": "published"}, "mode='bidirectional' with propagation='published'; expected"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingError, match=text):
        change(PATH, mode="bidirectional", **changes)


def test_the_offline_mode_has_a_hash_of_its_own() -> None:
    one = method(build_engine(BrightnessSegmenter(), PATH), name="composed")
    both = method(offline(), name="composed")
    assert one.hash != both.hash
    assert both.record["mode"] == "bidirectional"
    assert both.hash == method(offline(9), name="composed").hash, "the interval stands beside the method"


# ── Labels of some frames ─────────────────────────────────────────────────────────────────────


def labelled(frames: Sequence[np.ndarray], which: Sequence[int], **changes: Any) -> list[Result]:
    wanted = truth(frames)
    return all_of(
        build_labelled(numbered(4), wanted.__getitem__, which, change(find_preset("blend"), **changes)), frames
    )


def test_labelled_frames_keep_their_labels_and_the_others_follow() -> None:
    frames = panning(7, SIZE, step=2, cell=20)
    results, wanted = labelled(frames, [1, 5]), truth(frames)
    assert [r.is_key for r in results] == [i in (1, 5) for i in range(7)]
    assert all(np.array_equal(results[i].labels, wanted[i]) for i in (1, 5))
    assert [r.distance for r in results] == [1, 0, 1, 2, 3, 0, 1]
    inside = (slice(8, -8), slice(16, -16))
    assert all((r.labels == w)[inside].mean() > 0.95 for r, w in zip(results, wanted, strict=True))


def test_frames_after_the_last_labelled_one_do_not_wait() -> None:
    frames = panning(5, SIZE)
    sided = build_labelled(numbered(4), truth(frames).__getitem__, [1], find_preset("blend"))
    assert [len(sided.push(rgb)) for rgb in frames] == [0, 2, 1, 1, 1]


@pytest.mark.parametrize("kind", ["network", "labels"])
def test_mean_confidence_is_that_of_the_mixture(kind: str) -> None:
    frames = panning(5, SIZE, step=1, cell=20)
    results = all_of(offline(3), frames) if kind == "network" else labelled(frames, [0, 3])
    for result in results:
        np.testing.assert_allclose(result.confidence, result.score_map.confidence(), atol=3e-6)
    between = [r for r in results if 0 < r.index < 3]
    step = 2 if kind == "network" else 1
    for result in between:
        assert result.mean_confidence == pytest.approx(result.confidence[::step, ::step].mean(), abs=1e-6)
    assert results[0].mean_confidence == pytest.approx(results[0].confidence.mean(), abs=1e-6)


def test_a_scene_without_a_label_is_unknown_and_has_no_confidence() -> None:
    frames = panning(3, SIZE, seed=1) + panning(3, SIZE, seed=2)
    results = labelled(frames, [4])
    assert all((r.labels == 255).all() for r in results[:3])
    assert all((r.labels != 255).all() for r in results[3:])
    assert all(r.confidence.max() == pytest.approx(0.25) for r in results[:3])
    assert results[4].confidence.mean() > 0.9


def test_what_is_unknown_in_all_labels_stays_unknown() -> None:
    frames = [textured(SIZE)] * 3
    labels = np.zeros(SIZE, np.uint8)
    labels[:, 64:] = 255
    results = all_of(build_labelled(numbered(2), lambda _: labels, [0, 2], find_preset("blend")), frames)
    assert all(np.array_equal(r.labels[:, 68:], labels[:, 68:]) for r in results)
    assert (results[1].labels[:, :60] == 0).all()


def test_confidence_falls_with_the_distance_to_a_label() -> None:
    rng = np.random.default_rng(0)
    frames = [
        np.clip(rgb.astype(int) + rng.integers(-20, 21, rgb.shape), 0, 255).astype(np.uint8)
        for rgb in panning(7, SIZE, cell=16)
    ]
    sure = [float(r.confidence.mean()) for r in labelled(frames, [0])]
    assert sure == sorted(sure, reverse=True)


def test_labels_of_another_size_are_refused() -> None:
    sided = build_labelled(numbered(2), lambda _: np.zeros((4, 4), np.uint8), [0], find_preset("blend"))
    with pytest.raises(LabelError, match=r"the labels of frame 0 are 4x4; expected 128x96"):
        sided.push(textured(SIZE))
