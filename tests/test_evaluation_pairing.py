"""Differences are to the same frames, counted as often (`evaluation.pairing`): equal methods differ by exactly 0."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import BrightnessSegmenter
from segtween.build import build_flow
from segtween.datasets import Dataset, open_dataset
from segtween.evaluation import EvaluationOptions, Report, evaluate, evaluate_methods
from segtween.evaluation.pairing import FrameCounts, FrameRecord
from segtween.labels import label_set
from segtween.metrics.bootstrap import Bootstrap
from segtween.metrics.tally import Tally, share_tc_classes
from segtween.ops.cpu import CpuOps
from segtween.settings import change, find_preset
from segtween.types import Method, Result, ScoreMap
from small_sets import camvid, picture

SIZE_HW = (6, 20)
THREE = label_set(["a", "b", "c"])
TRUTH = np.repeat(np.arange(3, dtype=np.uint8), 2)[:, None].repeat(20, 1)


def answers(number: int, *, wrong: int = 0) -> np.ndarray:
    """Labels of frame `number`: quality falls over the clip, and what is wrong differs from frame to frame."""
    labels, rng = TRUTH.copy(), np.random.default_rng(number)
    share = (number + 1) / 80 + wrong / 20
    spoilt = rng.random(labels.shape) < share
    labels[spoilt] = rng.integers(0, 3, int(spoilt.sum()))
    return labels


class Plays:
    """An engine whose labels depend on the frame alone (its brightness), but for `worse` frames after a key frame.

    `later`: results come so many frames late. `keys`: numbers of the key frames of a clip, from the first frame seen.
    """

    def __init__(self, interval: int, *, worse: int = 0, later: int = 0, keys: tuple[int, ...] = ()) -> None:
        self.interval, self.worse, self.later, self.keys = interval, worse, later, keys
        self.schedule, self.ops, self.is_causal = self, CpuOps(threads=1), True
        self.longest = 40 if keys else interval
        self.reset()

    def describe(self) -> dict[str, Any]:
        return {"budget": 20.0}

    def reset(self) -> None:
        self.count, self.distance, self.waiting = 0, -1, list[Result]()

    def push(self, rgb: np.ndarray, *, pts_seconds: float | None = None, motion: Any = None) -> list[Result]:  # noqa: ARG002
        is_key = self.count in self.keys if self.keys else self.count % (self.interval + 1) == 0
        self.distance = 0 if is_key or self.distance < 0 else self.distance + 1
        labels = answers(int(rgb[0, 0, 0]), wrong=self.worse * (self.distance > 0))
        carried = ScoreMap(np.zeros((3, 1, 1), np.float32), "logits", SIZE_HW)
        self.waiting.append(Result(self.count, pts_seconds or 0.0, is_key, self.distance, False, labels, carried))
        self.count += 1
        return [self.waiting.pop(0)] if len(self.waiting) > self.later else []

    def finish(self) -> list[Result]:
        done, self.waiting = self.waiting, []
        return done


class Silent:
    labels = THREE

    def __call__(self, rgb: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return np.zeros((3, 1, 1), np.float32)

    def describe(self) -> dict[str, Any]:
        return {}


@pytest.fixture(scope="module")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two clips of 47 and 23 flat frames, whose brightness is their number."""
    root = tmp_path_factory.mktemp("drifting")
    names = [(f"{clip}_{i:02}", i) for clip, frames in (("A", 47), ("B", 23)) for i in range(frames)]
    camvid(root, [name for name, _ in names])
    for name, i in names:
        picture(root / f"val/{name}.png", np.full((*SIZE_HW, 3), i, np.uint8))
        picture(root / f"valannot/{name}.png", TRUTH)
    return open_dataset("camvid", root, split="val", labels=THREE)


def measured(
    data: Dataset, make: Callable[[int, bool], Plays], adaptive: dict[str, Plays] | None = None
) -> list[dict[str, Any]]:
    """The results at intervals 0, 4 and 9; `make` is given the interval, and whether it is the plain network."""
    return report(data, make, adaptive).results


def report(data: Dataset, make: Callable[[int, bool], Plays], adaptive: dict[str, Plays] | None = None) -> Report:
    return evaluate(
        data,
        segmenter=Silent(),
        flow=build_flow(change(find_preset("blend"), flow="zero")),
        make=lambda _, flow, interval: make(interval, flow is None),  # type: ignore[arg-type,return-value]
        intervals=[0, 4, 9],
        adaptive={name: lambda *_, engine=engine: engine for name, engine in (adaptive or {}).items()},  # type: ignore[misc]
        method=Method("test", {"flow": "none"}),
    )


def values(gain: dict[str, Any]) -> Iterator[float | None]:
    """The difference of every figure, and its ends."""
    for figure in (gain, *(gain[key] for key in ("min_miou", "tc", "vc8", "vc16"))):
        yield from (figure[key] for key in ("value", "low", "high") if key == "value" or figure["low"] is not None)


@pytest.mark.parametrize("late", [(0, 0), (0, 3), (2, 0), (1, 1)], ids=["none", "methods", "references", "all"])
def test_a_method_like_the_plain_network_gains_exactly_nothing(drifting: Dataset, late: tuple[int, int]) -> None:
    """`late`: frames by which results of the references, and of the rows, come late: whoever judges a frame first."""
    zero, four, nine = measured(drifting, lambda interval, _: Plays(interval, later=late[interval > 0]))
    assert four["avg_miou"] != zero["avg_miou"], "rows of other intervals count frames of other quality"
    assert nine["min_miou"] != zero["avg_miou"]
    assert nine["tc"] != zero["tc"]
    for row in (zero, four, nine):
        for name in ("gain_over_every_frame", "gain_over_every_frame_fused"):
            assert set(values(row[name])) == {0.0}
            assert None not in [row[name][key]["value"] for key in ("min_miou", "tc", "vc8", "vc16")]


def test_a_worse_method_loses_at_every_interval(drifting: Dataset) -> None:
    rows = measured(drifting, lambda interval, is_plain: Plays(interval, worse=0 if is_plain else 4))
    for row in rows[1:]:
        gain = row["gain_over_every_frame"]
        assert -0.3 < gain["min_miou"]["value"] < gain["value"] < -0.1
        assert gain["tc"]["value"] < 0
    assert rows[0]["gain_over_every_frame"]["value"] == 0, "key frames are as good"


def test_an_adaptive_schedule_like_the_plain_network_gains_nothing(drifting: Dataset) -> None:
    """Its key frames lie where they please, so that its last frames are others than those of the fixed interval."""
    keys = (0, 3, 4, 11, 30)
    adaptive = {"adaptive": Plays(0, keys=keys)}
    *_, row = measured(drifting, lambda interval, _: Plays(interval), adaptive)
    for name in ("gain_over_every_frame", "gain_over_every_frame_fused", "gain_over_fixed"):
        assert set(values(row[name])) == {0.0}
    worse = {"adaptive": Plays(0, keys=keys, worse=4)}
    *_, row = measured(drifting, lambda interval, _: Plays(interval), worse)
    assert -0.3 < row["gain_over_fixed"]["value"] < -0.1
    assert row["gain_over_fixed"]["value"] == row["gain_over_every_frame"]["value"], "fixed keys gain nothing"


def test_methods_whose_last_distance_lies_elsewhere_are_compared_fairly(tmp_path: Path) -> None:
    """One picture again and again, whose truth drifts: all methods are the plain network, delayed scores or not."""
    root = camvid(tmp_path, [f"A_{i:02}" for i in range(24)])
    rgb = np.random.default_rng(0).integers(0, 255, (6, 8, 1)).repeat(8, 0).repeat(8, 1).repeat(3, 2).astype(np.uint8)
    for i in range(24):
        truth = rgb[..., 0] // 64
        truth[: 2 * i, ::2] = 0
        picture(root / f"val/A_{i:02}.png", rgb)
        picture(root / f"valannot/A_{i:02}.png", truth)
    data = open_dataset("camvid", root, split="val", labels=BrightnessSegmenter().labels)
    still = change(find_preset("blend"), flow="zero", history_weight=0.0, cuts=False)
    methods = {"still": still, "late": change(still, async_keys=2)}
    reports = evaluate_methods(
        data,
        segmenter=BrightnessSegmenter(stride=1),
        methods=methods,
        intervals=[4],
        options=EvaluationOptions(threads=1),
        against="still",
    )
    (late,) = reports["late"].results
    assert len(late["per_distance"]) == 7
    assert late["min_miou"] != reports["still"].results[0]["min_miou"], "of other frames"
    for gain in (late["gain_over_method"], late["gain_over_every_frame"]):
        assert {gain["value"], *(gain[key]["value"] for key in ("min_miou", "tc", "vc8", "vc16"))} == {0.0}


class Overlooks(Plays):
    """Never gives class c, where it is not the plain network."""

    def push(self, rgb: np.ndarray, *, pts_seconds: float | None = None, motion: Any = None) -> list[Result]:  # noqa: ARG002
        results = super().push(rgb, pts_seconds=pts_seconds)
        for result in results:
            result.labels[result.labels == 2] = 1
        return results


def test_tc_of_all_rows_is_over_the_same_classes(drifting: Dataset) -> None:
    def make(interval: int, is_plain: bool) -> Plays:
        return Plays(interval) if is_plain or interval != 4 else Overlooks(interval)

    def consistency(first: int, classes: int, *, merged: bool = False) -> float:
        """TC of both clips over the first classes, of runs from each of the first frames; flat pictures do not move."""
        hits, union = np.zeros((2, 3))
        for frames in (47, 23):
            for start in range(first):
                played = [answers(i) for i in range(start, frames)]
                if merged:
                    played = [np.minimum(labels, 1) for labels in played]
                for a, b in pairwise(played):
                    hits += [np.sum((a == c) & (b == c)) for c in range(3)]
                    union += [np.sum((a == c) | (b == c)) for c in range(3)]
        return float((hits[:classes] / union[:classes]).mean())

    full, alike = report(drifting, make), report(drifting, lambda interval, _: Plays(interval))
    assert (full.tc_left_out, alike.tc_left_out) == (["c"], [])
    assert full.to_json()["tc_left_out"] == ["c"]
    assert "TC: left out of every row's mean, since some row never gives it: c" in full.temporal_notes()
    assert alike.every_frame["tc"] == pytest.approx(consistency(1, 3))
    assert full.every_frame["tc"] == pytest.approx(consistency(1, 2)), "over a and b alone"
    _, four, nine = full.results
    assert nine["tc"] == pytest.approx(consistency(10, 2))
    assert four["tc"] == pytest.approx(consistency(5, 2, merged=True))
    assert four["gain_over_every_frame"]["tc"]["value"] == pytest.approx(four["tc"] - consistency(5, 2))
    assert set(values(nine["gain_over_every_frame"])) == {0.0}
    assert full.truth == alike.truth


def test_counts_are_handed_over_once_whoever_comes_first() -> None:
    record, taken = FrameRecord(), list[FrameCounts]()
    one, other = (Tally(THREE, clips=np.zeros(1, np.intp), distances=1) for _ in range(2))
    counts = FrameCounts(None, np.zeros((3, 3), np.int64), np.zeros((2, 2), np.int64))
    record.ask(one, taken.append)
    record.put(other, replace(counts))
    assert taken == []
    record.put(one, counts)
    record.put(one, counts)
    assert [found is counts for found in taken] == [True]
    record.ask(one, taken.append)
    assert len(taken) == 2


def test_a_difference_of_tc_is_over_the_classes_of_both() -> None:
    one, other = (Tally(THREE, clips=np.zeros(1, np.intp), distances=1) for _ in range(2))
    truth = np.array([[9, 0, 0, 0], [0, 9, 0, 0], [0, 0, 9, 0]])
    for tally in (one, other):
        tally.score(truth, block=0, distance=0)
    one.tc[0] = [[8, 6, 0], [10, 10, 0], [9, 8, 0]]
    other.tc[0] = [[7, 5, 1], [10, 10, 10], [9, 8, 5]]
    assert one.temporal_figures()["tc"] == pytest.approx(0.7)
    assert other.temporal_figures()["tc"] == pytest.approx(1.3 / 3)
    assert one.gain_over(other, Bootstrap())["tc"]["value"] == pytest.approx(0.7 - 0.6)
    assert share_tc_classes([one, other]) == ["c"]
    assert (one.temporal_figures()["tc"], other.temporal_figures()["tc"]) == (pytest.approx(0.7), pytest.approx(0.6))


@pytest.mark.slow
@pytest.mark.parametrize("later", [0, 3])
def test_records_of_frames_live_no_longer_than_frames_are_waited_for(drifting: Dataset, later: int) -> None:
    alive: list[int] = []

    class Watched(Plays):
        def push(self, rgb: np.ndarray, *, pts_seconds: float | None = None, motion: Any = None) -> list[Result]:  # noqa: ARG002
            alive.append(sum(type(thing) is FrameRecord for thing in gc.get_objects()))
            return super().push(rgb, pts_seconds=pts_seconds)

    measured(drifting, lambda interval, is_plain: (Watched if is_plain else Plays)(interval, later=later))
    assert len(alive) == 70
    assert max(alive) <= later + 4, "this frame, those waited for, and the last one that was judged"
