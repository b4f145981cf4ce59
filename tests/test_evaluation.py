from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import BrightnessSegmenter, panning
from segtween.build import Processor, build_engine, build_every_frame, build_flow
from segtween.datasets import Dataset, open_dataset
from segtween.engine import Engine
from segtween.errors import LabelError, SettingError, SinkError
from segtween.evaluation import EvaluationOptions, Report, evaluate, evaluate_method
from segtween.evaluation.report import interval_note, scored
from segtween.evaluation.sharing import FrameScores
from segtween.evaluation.windows import clips_of_blocks, plan
from segtween.labels import CAMVID11, LABEL_MAPS, label_set
from segtween.metrics import Bootstrap, TemporalConsistency, VideoConsistency
from segtween.metrics.boundary import TruthEdges, mean_f
from segtween.metrics.segmentation import confusion, miou, overlap
from segtween.metrics.student import central_quantile
from segtween.metrics.temporal import Farneback
from segtween.ops.cpu import CpuOps
from segtween.settings import Settings, change, find_preset
from segtween.types import Method, Motion, Result, ScoreMap
from small_sets import camvid, cityscapes, picture

METHOD = Method("test", {"flow": "none"})
TWO = label_set(["right", "wrong"])


class Named:
    """Scores nothing; remembers which frames it was told of."""

    def __init__(self) -> None:
        self.labels, self.told = TWO, list[str | int]()

    def select(self, key: str | int) -> None:
        self.told.append(key)

    def __call__(self, rgb: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return np.zeros((2, 1, 1), np.float32)

    def describe(self) -> dict[str, Any]:
        return {}


class Fading:
    """An engine that gets one more pixel wrong with each frame since its key frame, and remembers what it saw.

    The pictures' brightness is the frame's number.
    """

    ops, is_causal = CpuOps(threads=1), True

    def __init__(self, interval: int, log: list[list[int]], *, longest: int | None = None) -> None:
        self.interval, self.seen, self.log, self.count = interval, list[int](), log, 0
        self.longest = interval if longest is None else longest

    def reset(self) -> None:
        self.seen, self.count = [], 0
        self.log.append(self.seen)

    def step(self, rgb: np.ndarray, *, pts_seconds: float | None = None) -> Result:
        self.seen.append(int(rgb[0, 0, 0]))
        distance, self.count = self.count % (self.interval + 1), self.count + 1
        labels = np.zeros(rgb.shape[:2], np.uint8)
        labels[0, :distance] = 1
        carried = ScoreMap(np.zeros((2, 1, 1), np.float32), "logits", labels.shape)
        return Result(self.count, pts_seconds or 0.0, distance == 0, distance, False, labels, carried)

    def push(self, rgb: np.ndarray, *, pts_seconds: float | None = None, motion: Motion | None = None) -> list[Result]:  # noqa: ARG002
        return [self.step(rgb, pts_seconds=pts_seconds)]

    def finish(self) -> list[Result]:
        return []


def faked(engine: Callable[[int], Any]) -> Callable[..., Any]:
    return lambda *parts: engine(parts[-1])


def fading(dataset: Dataset, intervals: list[int], **options: Any) -> tuple[Report, list[list[int]]]:
    log: list[list[int]] = []
    report = evaluate(
        dataset,
        segmenter=Named(),
        flow=build_flow(change(find_preset("blend"), flow="zero")),
        make=faked(lambda interval: Fading(interval, log)),
        intervals=intervals,
        method=METHOD,
        **options,
    )
    return report, log


def numbered_frames(root: Path, *, frames: int = 5, size_hw: tuple[int, int] = (2, 5)) -> Dataset:
    camvid(root, [f"A_{i}" for i in range(frames)])
    for i in range(frames):
        picture(root / f"val/A_{i}.png", np.full((*size_hw, 3), i, np.uint8))
        picture(root / f"valannot/A_{i}.png", np.zeros(size_hw, np.uint8))
    return open_dataset("camvid", root, split="val", labels=TWO)


def test_the_documentation_names_every_key(tmp_path: Path) -> None:
    report, _ = fading(numbered_frames(tmp_path), [2], measures=("vspw", "boundary"))
    text = (Path(__file__).parents[1] / "docs" / "evaluation.md").read_text()
    named = set(re.findall(r"`(\w+)`", text))
    values = {"method", "tc_flow", "bootstrap", "per_class", "predicted_only", "boundary_f_per_class"}

    def keys(found: Any) -> set[str]:
        if isinstance(found, list):
            return set().union(*map(keys, found))
        if not isinstance(found, dict):
            return set()
        return set(found).union(*(keys(value) for key, value in found.items() if key not in values))

    of_intervals = re.compile(r"avg_miou_\w+")
    assert {key for key in keys(report.to_json()) - named if not of_intervals.fullmatch(key)} == set()


def test_dense_labels_one_run_per_phase(tmp_path: Path) -> None:
    report, log = fading(numbered_frames(tmp_path), [2])
    every, later = [0, 1, 2, 3, 4], [[0, 1, 2, 3, 4], [1, 2, 3, 4], [2, 3, 4]]
    assert log == [every, every, *later], "plain, fused, and phases 0, 1, 2 from their first key frame on"
    (result,) = report.results
    # Of 10 pixels, d are wrong d frames after the key frame; 5, 4 and 3 frames lie at distance 0, 1 and 2.
    # The truth holds one class: the other one leaves the mean, and its pixels count against the first.
    assert result["per_distance"] == pytest.approx([1.0, 9 / 10, 8 / 10])
    assert result["avg_miou"] == pytest.approx((50 + 36 + 24) / 120)
    assert result["mean_miou"] == pytest.approx((1 + 0.9 + 0.8) / 3)
    assert result["min_miou"] == pytest.approx(0.8)
    assert (result["worst_miou"], result["worst_distance"]) == (pytest.approx(0.8), 2)
    assert result["per_class"] == {"right": pytest.approx(110 / 120), "wrong": None}
    assert result["predicted_only"] == {"wrong": 4 * 1 + 3 * 2}
    assert result["key_rate"] == pytest.approx(5 / 12)
    # At a key frame two pixels change back (twice), at other frames one pixel changes (7 times): 10 pixels each.
    assert result["flicker_at_keys"] == pytest.approx((2 * 2 / 20) / (7 * 1 / 70))
    assert report.every_frame["miou"] == 1.0
    assert report.every_frame["absent"] == ["wrong"]
    assert report.every_frame["per_class"] == {"right": 1.0, "wrong": None}
    assert report.frames == 5
    assert report.protocol == "dense"
    assert result["gain_over_every_frame"]["value"] == pytest.approx(result["avg_miou"] - 1)
    assert result["gain_over_every_frame"]["min_miou"]["value"] == pytest.approx(0.8 - 1)
    assert result["gain_over_every_frame"]["low"] is None, "five frames are one block: no interval"
    assert result["gain_over_every_frame"]["reason"] == "1 block of one clip: too few for an interval"


def test_worst_need_not_be_the_last(tmp_path: Path) -> None:
    class Recovering(Fading):
        def step(self, rgb: np.ndarray, *, pts_seconds: float | None = None) -> Result:
            result = super().step(rgb, pts_seconds=pts_seconds)
            if result.distance == 2:
                result.labels[:] = 0
            return result

    report = evaluate(
        numbered_frames(tmp_path),
        segmenter=Named(),
        flow=build_flow(change(find_preset("blend"), flow="zero")),
        make=faked(lambda interval: Recovering(interval, [])),
        intervals=[2],
        method=METHOD,
    )
    assert (report.results[0]["min_miou"], report.results[0]["worst_distance"]) == (1.0, 1)


def test_a_long_clip_has_intervals_that_say_what_they_rest_on(tmp_path: Path) -> None:
    report, _ = fading(numbered_frames(tmp_path, frames=85), [2])
    gain = report.results[0]["gain_over_every_frame"]
    assert gain["low"] <= gain["value"] <= gain["high"]
    assert (gain["clips"], gain["blocks"], gain["kind"]) == (1, 9, "t over blocks")
    for key, block in (("avg_miou", report.results[0]), ("miou", report.every_frame)):
        assert block[f"{key}_low"] <= block[key] <= block[f"{key}_high"]
        rests = [block[f"{key}_{name}"] for name in ("clips", "blocks", "kind", "reason")]
        assert rests == [1, 9, "t over blocks", None]
    assert report.bootstrap["clips"] == 1
    assert report.interval_note() == (
        "in brackets the 95% interval of the paired difference: t interval over 9 blocks, on this clip"
    )
    figures = report.tables()[0]
    assert not isinstance(figures, str)
    assert " to " in figures.rows[2][5]


def test_rows_whose_intervals_rest_on_different_things_say_so(tmp_path: Path) -> None:
    report, _ = fading(numbered_frames(tmp_path, frames=85), [2])
    gain = report.results[0]["gain_over_every_frame"]
    less = {**gain, "low": None, "high": None, "blocks": 8, "kind": None, "reason": "8 blocks of one clip: too few"}
    other = {**report.results[0], "interval": 4, "gain_over_every_frame": less}
    both = replace(report, results=[*report.results, other])
    assert both.interval_note() == (
        "in brackets the 95% interval of the paired difference: every frame, fused, interval 2, online: "
        "t interval over 9 blocks, on this clip; interval 4, online: no interval (8 blocks of one clip: too few)"
    )
    last = {**gain, "min_miou": less}
    assert interval_note({"a": None, "b": last}, level=0.9, keys=("value", "min_miou")) == (
        "in brackets the 90% interval of the paired difference: b: t interval over 9 blocks, on this clip; "
        "b, last distance: no interval (8 blocks of one clip: too few)"
    )
    assert interval_note({"a": less, "b": less}, level=0.95) == "no interval (8 blocks of one clip: too few)"
    assert interval_note({"a": None}, level=0.95) == "no interval (nothing to compare)"


def test_a_cut_that_two_windows_hold_is_one_cut_and_labelled_frames_are_counted(tmp_path: Path) -> None:
    root = cityscapes(tmp_path, {"a_0": range(30)}, {"a_0": [9, 12]})
    rng = np.random.default_rng(0)
    scenes = [np.repeat(np.repeat(rng.integers(0, 255, (8, 10, 1)), 6, 0), 6, 1).repeat(3, 2) for _ in range(2)]
    for i in range(30):
        picture(root / f"leftImg8bit_sequence/val/a/a_0_{i:06d}_leftImg8bit.png", scenes[i > 6].astype(np.uint8))
    for i in (9, 12):
        picture(root / f"gtFine/val/a/a_0_{i:06d}_gtFine_labelIds.png", np.zeros((48, 60), np.uint8))
    report, _ = fading(open_dataset("cityscapes", root, split="val", labels=TWO), [7])
    assert report.frames == 2
    assert report.cuts == 1, "between frames 6 and 7, which both windows hold"
    title = report.tables()[0]
    assert not isinstance(title, str)
    assert "2 labelled frames in 2 clips" in title.title
    assert scored(3, 1, is_dense=False) == "3 labelled frames in 1 clip"
    assert scored(3, 1, is_dense=True) == "3 frames in 1 clip, every frame labelled"


def test_sparse_labels_one_run_per_distance(tmp_path: Path) -> None:
    root = cityscapes(tmp_path, {"a_0": range(30)}, {"a_0": [19]})
    for i in range(30):
        path = root / f"leftImg8bit_sequence/val/a/a_0_{i:06d}_leftImg8bit.png"
        picture(path, np.full((2, 5, 3), i, np.uint8))
    picture(root / "gtFine/val/a/a_0_000019_gtFine_labelIds.png", np.zeros((2, 5), np.uint8))
    report, log = fading(open_dataset("cityscapes", root, split="val", labels=TWO), [2])
    every, chains = [15, 16, 17, 18, 19], [[19], [18, 19], [17, 18, 19]]
    assert log == [every, every, *chains]
    (result,) = report.results
    assert result["per_distance"] == pytest.approx([1.0, 0.9, 0.8]), "frame 19 alone is scored"
    assert result["avg_miou"] == pytest.approx(27 / 30)
    assert report.frames == 1
    assert (result["vc8"], result["vc16"], result["flicker_at_keys"]) == (None, None, None)
    assert result["key_rate"] == pytest.approx(1 / 3)
    assert report.left_out == ["vc8, vc16 and flicker_at_keys: they need labels on consecutive frames"]
    # Steps of the runs, on flat pictures: one of 10 pixels turns wrong, twice; then a second one.
    assert result["tc"] == pytest.approx((9 + 9 + 8) / (10 + 10 + 9)), "over the one class that the truth holds"


def test_sparse_labels_too_near_the_start_are_left_out_and_said(tmp_path: Path) -> None:
    root = cityscapes(tmp_path, {"a_0": range(10), "b_0": range(3)}, {"a_0": [9], "b_0": [2]})
    report, _ = fading(
        open_dataset("cityscapes", relabelled(root), split="val", labels=TWO), [5], bootstrap=Bootstrap(resamples=10)
    )
    assert report.left_out[1] == "1 labelled frame with fewer than 5 frames before"
    assert report.frames == 1
    with pytest.raises(SettingError, match=r"interval 10; expected at most the 9 frames before a labelled"):
        fading(open_dataset("cityscapes", root, split="val", labels=TWO), [10])


def test_blocks_belong_to_clips(tmp_path: Path) -> None:
    def clips(dataset: Dataset, longest: int) -> list[int]:
        return clips_of_blocks(plan(dataset, longest, Bootstrap())[0]).tolist()

    camvid(tmp_path / "dense", [f"{clip}_{i:03d}" for clip, n in (("A", 26), ("B", 4), ("C", 20)) for i in range(n)])
    assert clips(open_dataset("camvid", tmp_path / "dense", split="val"), 4) == [0, 0, 0, 1, 2, 2]
    frames: dict[str, Any] = {"a_0": range(30), "b_0": range(3), "c_0": range(20)}
    root = cityscapes(tmp_path, frames, {"a_0": [9, 19], "b_0": [2], "c_0": [19]})
    sparse = open_dataset("cityscapes", root, split="val", labels=TWO)
    assert [clip.labelled for clip in sparse.clips] == [[9], [19], [2], [19]]
    assert clips(sparse, 5) == [0, 1, 3], "the third clip has too few frames before its label"


def relabelled(root: Path) -> Path:
    for path in root.rglob("*_labelIds.png"):
        picture(path, np.zeros((8, 12), np.uint8))
    return root


# -- with the real engine ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pan(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A textured pan whose truth is the brightness class of every pixel, some of it void."""
    root = tmp_path_factory.mktemp("pan")
    frames = panning(22, (48, 64), step=2, seed=3, cell=12)
    camvid(root, [f"A_{i:03d}" for i in range(len(frames))])
    for i, rgb in enumerate(frames):
        truth = rgb[..., 0] // 64
        truth[:4, :4] = 255
        picture(root / f"val/A_{i:03d}.png", rgb[..., ::-1])
        picture(root / f"valannot/A_{i:03d}.png", truth)
    return open_dataset("camvid", root, split="val", labels=BrightnessSegmenter().labels)


def maker(settings: Settings) -> Callable[..., Engine]:
    backend = Processor(1)

    def make(segmenter: Any, flow: Any, interval: int) -> Engine:
        if flow is None:
            return build_every_frame(segmenter, backend=backend)
        return build_engine(segmenter, settings.at(interval), backend=backend, flow=flow)

    return make


class CountingFlow:
    def __init__(self, inner: Any) -> None:
        self.inner, self.prepared, self.pairs = inner, 0, 0

    def prepare(self, rgb: np.ndarray) -> np.ndarray:
        self.prepared += 1
        return self.inner.prepare(rgb)

    def __call__(self, current: np.ndarray, previous: np.ndarray) -> np.ndarray:
        self.pairs += 1
        return self.inner(current, previous)

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()


def test_side_by_side_equals_one_run_after_the_other(pan: Dataset) -> None:
    settings = change(find_preset("blend"), cuts=False)
    segmenter, flow, seen = BrightnessSegmenter(), CountingFlow(build_flow(settings)), list[tuple[int, int]]()
    report = evaluate(
        pan,
        segmenter=segmenter,
        flow=flow,
        make=maker(settings),
        intervals=[3, 0, 3],
        method=METHOD,
        progress=lambda done, total: seen.append((done, total)),
        bootstrap=Bootstrap(block_frames=2),
    )
    assert segmenter.calls == 22, "each frame once, for all six engines"
    assert (flow.prepared, flow.pairs) == (22, 21)
    assert seen == [(i, 22) for i in range(1, 23)]
    assert [result["interval"] for result in report.results] == [0, 3]

    frames = pan.clips[0].frames
    rgbs = [pan.read_rgb(frame) for frame in frames]
    truths = [pan.read_labels(frame, size_hw=(48, 64)) for frame in frames]
    judge = Farneback()
    motions = [judge(rgb) for rgb in rgbs]

    def apart(make_engine: Callable[[], Engine], phases: int, *, is_reference: bool = False) -> dict[str, Any]:
        """A run from each phase; a reference's runs begin at the first frame, and are counted from the phase on."""
        last = np.zeros((4, 5), np.int64)  # three frames after the first one of the run, and every fourth from there
        counts, tc, vc = np.zeros((phases, 4, 5), np.int64), TemporalConsistency(4), VideoConsistency()
        for phase in range(phases):
            engine = make_engine()
            tc.begin()
            vc.begin()
            for t in range(0 if is_reference else phase, 22):
                result, truth = engine.step(rgbs[t]), truths[t]
                assert truth is not None
                if t < phase:
                    continue
                counts[result.distance] += confusion(result.labels, truth, classes=4)
                last += confusion(result.labels, truth, classes=4) * ((t - phase) % 4 == 3)
                tc.update(result.labels, motions[t])
                vc.update(result.labels, truth)
        average, farthest = (float(miou(overlap(c))) for c in (counts.sum(axis=0), last))
        found = {"avg": average, "min_miou": farthest, "distances": miou(overlap(counts)).tolist()}
        return {**found, **tc.compute(), **vc.compute()}

    fresh = BrightnessSegmenter()
    plain = apart(lambda: build_every_frame(fresh), 1)
    fused = apart(lambda: build_engine(fresh, settings.at(0)), 1)
    three = apart(lambda: build_engine(fresh, settings.at(3)), 4)
    keys = ("tc", "vc8", "vc16")
    assert report.every_frame["miou"] == plain["avg"]
    assert [report.every_frame[k] for k in keys] == [plain[k] for k in keys]
    assert report.every_frame_fused is not None
    assert report.every_frame_fused["miou"] == report.results[0]["avg_miou"] == fused["avg"]
    assert report.results[1]["avg_miou"] == three["avg"]
    assert report.results[1]["per_distance"] == three["distances"]
    assert [report.results[1][k] for k in keys] == [three[k] for k in keys]
    # A difference is to the same frames, counted as often.
    for name, make_engine in (
        ("", lambda: build_every_frame(fresh)),
        ("_fused", lambda: build_engine(fresh, settings.at(0))),
    ):
        gain = report.results[1][f"gain_over_every_frame{name}"]
        same = apart(make_engine, 4, is_reference=True)
        assert gain["value"] == pytest.approx(three["avg"] - same["avg"], abs=1e-12)
        for key in ("min_miou", *keys):
            assert gain[key]["value"] == pytest.approx(three[key] - same[key], abs=1e-12)
        assert gain["low"] <= gain["high"]
        assert (gain["clips"], gain["blocks"], gain["kind"]) == (1, 11, "t over blocks")


def test_scores_are_computed_once_per_frame() -> None:
    segmenter = BrightnessSegmenter()
    shared, (a, b) = FrameScores(segmenter), panning(2, (48, 64))
    shared.select(0)
    assert shared(a) is shared(a)
    shared.select(1)
    assert np.array_equal(shared(b), BrightnessSegmenter()(b))
    assert segmenter.calls == 2
    assert shared.labels == segmenter.labels
    assert shared.describe() == segmenter.describe()


def test_exact_flow_judges_where_it_is_stored(tmp_path: Path) -> None:
    frames = panning(6, (48, 64), step=4, cell=12)
    root = camvid(tmp_path, [f"A_{i}" for i in range(6)])
    (root / "flow").mkdir()
    for i, rgb in enumerate(frames):
        picture(root / f"val/A_{i}.png", rgb[..., ::-1])
        picture(root / f"valannot/A_{i}.png", rgb[..., 0] // 64)
        np.savez(root / f"flow/A_{i}.npz", flow=np.full((48, 64, 2), [4, 0], np.float32))
    data = open_dataset("camvid", root, split="val", labels=BrightnessSegmenter().labels)
    report = evaluate(
        data,
        segmenter=BrightnessSegmenter(stride=1),
        flow=None,
        make=maker(find_preset("blend")),
        intervals=[],
        method=METHOD,
    )
    assert report.tc_flow == {"flow": "exact", "occlusion": "unknown"}
    assert report.every_frame["tc"] == 1.0, "labels of single pixels move exactly with the picture"
    assert report.every_frame_fused is None
    assert report.results == []


def test_the_true_labels_have_a_consistency_of_their_own_and_what_was_hidden_is_left_out(tmp_path: Path) -> None:
    root = camvid(tmp_path, [f"A_{i}" for i in range(4)])
    (root / "flow").mkdir()
    hidden = np.zeros((8, 10), np.bool_)
    hidden[:2] = True
    for i in range(4):
        truth = np.zeros((8, 10), np.uint8)
        truth[4:] = 1
        truth[0] = i % 2  # flickers for real, where nothing was visible before
        picture(root / f"val/A_{i}.png", np.full((8, 10, 3), 50 * i, np.uint8))
        picture(root / f"valannot/A_{i}.png", truth)
        np.savez(root / f"flow/A_{i}.npz", flow=np.zeros((8, 10, 2), np.float32), occlusion=hidden)
    data = open_dataset("camvid", root, split="val", labels=TWO)
    report, _ = fading(data, [])
    assert report.truth == {"tc": 1.0, "vc8": None, "vc16": None}
    assert report.tc_flow == {"flow": "exact", "occlusion": "left out"}
    last = report.rows()[-1]
    assert (last["row"], last["tc"], last["miou"]) == ("true labels", 1.0, None)
    assert any("TC of the true labels, 100.0, is the ceiling" in note for note in report.temporal_notes())
    (root / "flow/A_1.npz").unlink()
    for i in range(4):
        np.savez(root / f"flow/A_{i}.npz", flow=np.zeros((8, 10, 2), np.float32))
    report, _ = fading(open_dataset("camvid", root, split="val", labels=TWO), [])
    assert report.truth is not None
    assert report.truth["tc"] < 1, "without occlusion the row that changes is compared too"


def test_nothing_is_compared_across_a_scene_cut(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scenes = [np.repeat(np.repeat(rng.integers(0, 255, (8, 10, 1)), 6, 0), 6, 1).repeat(3, 2) for _ in range(2)]
    root = camvid(tmp_path, [f"A_{i}" for i in range(6)])
    for i in range(6):
        picture(root / f"val/A_{i}.png", scenes[i // 3].astype(np.uint8))
        picture(root / f"valannot/A_{i}.png", np.full((48, 60), i // 3, np.uint8))
    report, _ = fading(open_dataset("camvid", root, split="val", labels=TWO), [1])
    assert report.cuts == 1
    assert report.truth is not None
    assert report.truth["tc"] == 1.0, "the label of every pixel changes at the cut alone"
    assert any("1 scene cut: nothing is compared across" in note for note in report.temporal_notes())


def test_agreement_along_edges_where_it_is_asked_for(pan: Dataset) -> None:
    def measured(*measures: str) -> Report:
        return evaluate_method(
            pan, segmenter=BrightnessSegmenter(), settings=find_preset("blend"), name="blend", intervals=[1],
            options=EvaluationOptions(measures=measures, threads=1),
        )  # fmt: skip

    report, usual = measured("boundary"), measured()
    assert "boundary" not in usual.every_frame
    assert "boundary_f" not in usual.rows()[0]
    engine, sums, bands = build_every_frame(BrightnessSegmenter()), np.zeros((2, 4)), np.zeros((2, 3, 4), np.int64)
    for frame in pan.clips[0].frames:
        labels = engine.step(pan.read_rgb(frame)).labels
        truth = pan.read_labels(frame, size_hw=(labels.shape[0], labels.shape[1]))
        assert truth is not None
        counts = TruthEdges(truth, classes=4).agreement(labels)
        sums, bands = sums + counts.f, bands + counts.bands
    found = report.every_frame["boundary"]
    assert found["boundary_f"] == found["min_boundary_f"] == pytest.approx(float(mean_f(sums)))
    assert [found[f"trimap_{n}"] for n in (3, 5)] == pytest.approx(miou(bands).tolist())
    assert 0 < found["trimap_3"] < found["trimap_5"] < 1
    result = report.results[0]
    gain = result["gain_over_every_frame"]
    assert gain["boundary_f"]["value"] < 0
    assert {key: value for key, value in gain.items() if key in usual.results[0]["gain_over_every_frame"]} == (
        usual.results[0]["gain_over_every_frame"]
    ), "nothing else changes"
    rows = {row["row"]: row for row in report.rows()}
    row = rows["interval 1, online"]
    assert row["min_trimap_5"] == result["boundary"]["min_trimap_5"] != result["boundary"]["trimap_5"]
    assert rows["true labels"]["trimap_3"] is None
    table = next(t for t in report.tables() if not isinstance(t, str) and t.title == "Along label edges")
    assert [row[0] for row in table.rows] == ["every frame", "every frame, fused", "interval 1, online"]


def test_the_measures_of_vspw_stand_beside_ours_where_they_are_asked_for(pan: Dataset) -> None:
    def measured(*measures: str) -> Report:
        return evaluate_method(
            pan, segmenter=BrightnessSegmenter(), settings=find_preset("blend"), name="blend", intervals=[2],
            options=EvaluationOptions(threads=1, measures=measures),
        )  # fmt: skip

    report = measured("vspw")
    blocks = [report.truth, report.every_frame, report.every_frame_fused, *report.results]
    for block in blocks:
        assert block is not None
        assert set(block["vspw"]) == {"vspw_miou", "vspw_tc", "vspw_vc8", "vspw_vc16"}
    assert report.truth is not None
    assert report.truth["vspw"]["vspw_miou"] == 1.0
    assert report.every_frame["vspw"]["vspw_miou"] == pytest.approx(report.every_frame["miou"]), "without void the same"
    assert report.every_frame["vspw"]["vspw_tc"] != report.every_frame["tc"]
    published = report.tables()[3]
    assert not isinstance(published, str)
    assert published.column(0) == ["every frame", "every frame, fused", "interval 2, online", "true labels"]
    assert "vspw" not in measured().every_frame
    with pytest.raises(SettingError, match=r"measure 'vpsw'.*vspw"):
        measured("vpsw")


def test_no_window_of_constant_labels_lies_across_a_cut(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    scenes = [np.repeat(np.repeat(rng.integers(0, 255, (8, 10, 1)), 6, 0), 6, 1).repeat(3, 2) for _ in range(2)]
    root = camvid(tmp_path, [f"A_{i:02}" for i in range(20)])
    for i in range(20):
        picture(root / f"val/A_{i:02}.png", scenes[i // 10].astype(np.uint8))
        picture(root / f"valannot/A_{i:02}.png", np.zeros((48, 60), np.uint8))
    report, _ = fading(open_dataset("camvid", root, split="val", labels=TWO), [])
    assert report.cuts == 1
    assert report.truth is not None
    assert (report.truth["vc8"], report.truth["vc16"]) == (1.0, None), "neither scene has 16 frames"


@pytest.mark.parametrize("height", [100, 108])
def test_confidence_of_a_padded_grid_is_looked_at_inside_the_image_alone(tmp_path: Path, height: int) -> None:
    """A grid of stride 8 over 128 padded rows, of which the picture has fewer; 108 ends in the middle of a cell."""
    root = camvid(tmp_path, ["A_0", "A_1"])
    for i in range(2):
        picture(root / f"val/A_{i}.png", np.full((height, 64, 3), i, np.uint8))
        truth = np.zeros((height, 64), np.uint8)
        truth[height // 2 :] = 1
        picture(root / f"valannot/A_{i}.png", truth)

    class Padded(Fading):
        def step(self, rgb: np.ndarray, *, pts_seconds: float | None = None) -> Result:
            result = super().step(rgb, pts_seconds=pts_seconds)
            values = np.zeros((2, 16, 8), np.float32)
            scores = ScoreMap(values, "logits", (height, 64), spans_hw=(128, 64))
            reliability = np.zeros((32, 16), np.float32)
            reliability[np.arange(32) * 4 + 2 < height // 2] = 1  # where the labels, all of class 0, are right
            return replace(result, scores=scores, reliability=reliability)

    report = evaluate(
        open_dataset("camvid", root, split="val", labels=TWO),
        segmenter=Named(),
        flow=None,
        make=faked(lambda interval: Padded(interval, [])),
        intervals=[],
        method=METHOD,
    )
    found = report.every_frame["calibration"]
    assert sum(found["pixels"]) == 2 * 8 * sum(8 * row + 4 < height for row in range(16))
    assert sum(found["reliability"]["pixels"]) == 2 * 16 * sum(4 * row + 2 < height for row in range(32))
    assert found["reliability"]["ece"] == 0


def test_names_are_told_before_each_frame(tmp_path: Path) -> None:
    data, segmenter = numbered_frames(tmp_path), Named()
    evaluate(
        data,
        segmenter=segmenter,
        flow=None,
        make=maker(find_preset("blend")),
        intervals=[],
        method=METHOD,
        max_frames=3,
    )
    assert segmenter.told == ["A_0", "A_1", "A_2"]


def test_a_label_map_is_applied_after_the_argmax(tmp_path: Path) -> None:
    class Road(Named):
        """Road everywhere, as Cityscapes counts."""

        def __init__(self) -> None:
            super().__init__()
            self.labels = label_set("cityscapes19")

        def __call__(self, rgb: np.ndarray) -> np.ndarray:  # noqa: ARG002
            return np.eye(19, dtype=np.float32)[0].reshape(19, 1, 1)

    data = open_dataset("camvid", camvid(tmp_path, ["A_1", "A_2"], value=3), split="val")
    make = maker(find_preset("blend"))
    report = evaluate(data, segmenter=Road(), flow=None, make=make, intervals=[], method=METHOD)
    assert report.label_map == "cityscapes19-to-camvid11"
    assert report.every_frame["per_class"]["road"] == 1.0
    given = LABEL_MAPS["cityscapes19-to-camvid11"]
    with pytest.raises(LabelError, match=r"label map 'cityscapes19-to-camvid11' goes from .*; expected a map from"):
        evaluate(data, segmenter=Named(), flow=None, make=make, intervals=[], method=METHOD, label_map=given)
    with pytest.raises(LabelError, match=r"no map is known from label set 'custom' to 'camvid11'"):
        evaluate(data, segmenter=Named(), flow=None, make=make, intervals=[], method=METHOD)


@pytest.mark.parametrize(
    ("intervals", "message"),
    [
        ([-1], r"interval -1; expected whole numbers, 0 or more; give intervals=\[0, 4, 9\]"),
        ([5], r"interval 5; expected less than the 5 frames of the longest clip; give shorter intervals"),
    ],
)
def test_intervals_that_cannot_be(tmp_path: Path, intervals: list[int], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        fading(numbered_frames(tmp_path), intervals)


def test_intervals_need_a_flow_and_an_engine_that_keeps_them(tmp_path: Path) -> None:
    data = numbered_frames(tmp_path)
    with pytest.raises(SettingError, match=r"intervals without a flow estimator; expected a flow, or no intervals"):
        evaluate(data, segmenter=Named(), flow=None, make=maker(find_preset("blend")), intervals=[1], method=METHOD)
    with pytest.raises(SettingError, match=r"a frame at distance 2 from its key frame; expected at most 1"):
        evaluate(
            data,
            segmenter=Named(),
            flow=build_flow(change(find_preset("blend"), flow="zero")),
            make=faked(lambda interval: Fading(2 * interval, [], longest=interval)),
            intervals=[1],
            method=METHOD,
        )


def test_json_csv_and_table(pan: Dataset, tmp_path: Path) -> None:
    report = evaluate_method(
        pan,
        segmenter=BrightnessSegmenter(),
        settings=find_preset("blend"),
        name="blend",
        intervals=[0, 4],
        options=EvaluationOptions(threads=1),
    )
    record = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert {"method", "dataset", "split", "frames", "every_frame", "every_frame_fused", "results"} <= set(record)
    assert {"name", "hash", "flow"} <= set(record["method"])
    assert "interval" not in record["method"], "one method at several intervals"
    assert {"miou", "tc", "vc8", "vc16"} <= set(record["every_frame"]) & set(record["every_frame_fused"])
    assert set(record["results"][1]) >= {
        "interval", "avg_miou", "mean_miou", "min_miou", "worst_miou", "worst_distance", "per_distance", "per_class",
        "tc", "vc8", "vc16", "flicker_at_keys", "key_rate", "gain_over_every_frame",
    }  # fmt: skip
    assert set(record["results"][1]["gain_over_every_frame"]) >= {"value", "low", "high"}
    assert record["tc_flow"]["flow"] == "farneback"

    rows = report.rows()
    assert [row["row"] for row in rows] == [
        "every frame",
        "every frame, fused",
        "interval 0, online",
        "interval 4, online",
        "true labels",
    ]
    report.write_csv(tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="") as file:
        stored = list(csv.DictReader(file))
    assert [float(row["miou"]) for row in stored[:-1]] == [row["miou"] for row in rows[:-1]]
    assert (stored[-1]["row"], stored[-1]["miou"]) == ("true labels", "")
    assert stored[0]["gain"] == ""
    assert {row["hash"] for row in stored} == {report.method.hash}
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]
    with pytest.raises(SinkError, match=r"none/out\.csv cannot be written \(No such file or directory\)"):
        report.write_csv(tmp_path / "none" / "out.csv")

    figures, per_class, calibration, remarks = report.tables()
    assert not isinstance(figures, str)
    assert not isinstance(per_class, str)
    assert not isinstance(calibration, str)
    assert figures.column(0) == ["every frame", "every frame, fused", "interval 4, online", "true labels"]
    assert calibration.column(0) == ["every frame", "every frame, fused", "interval 4, online"]
    found = record["results"][1]["calibration"]
    assert calibration.rows[2][1] == f"{100 * found['ece']:.1f}"
    assert sum(found["pixels"]) > 0
    assert record["results"][1]["calibration"]["reliability"]["ece"] is not None
    assert record["every_frame"]["calibration"]["reliability"]["ece"] is None, "nothing is propagated"
    shown = figures.rows[2]
    assert shown[2] == f"{100 * rows[3]['miou']:.1f}"
    assert shown[5] == f"{100 * rows[3]['gain']:+.1f}", "22 frames of one clip: too few for an interval"
    gain = {**report.results[1]["gain_over_every_frame"], "value": 0.012, "low": -0.004, "high": 0.028}
    known = replace(report, results=[report.results[0], {**report.results[1], "gain_over_every_frame": gain}])
    (figures, *_) = known.tables()
    assert not isinstance(figures, str)
    assert figures.rows[2][5] == "+1.2 (-0.4 to +2.8)"
    assert "too few for an interval" in str(remarks)
    assert per_class.column(0) == list(pan.labels.names)
    assert report.method.hash in str(remarks)


class StoredScores:
    labels = label_set("cityscapes19")

    def __init__(self, path: Path) -> None:
        with np.load(path) as stored:
            self.scores, self.scale = stored["scores_q"], np.float32(stored["scale"])
            self.index = {name: i for i, name in enumerate(stored["frames"].tolist())}

    def select(self, key: str | int) -> None:
        self.now = self.index[str(key)]

    def __call__(self, rgb: np.ndarray) -> np.ndarray:  # noqa: ARG002
        return self.scores[self.now].astype(np.float32) * self.scale

    def describe(self) -> dict[str, Any]:
        return {"network": "stored"}


@pytest.mark.shared
@pytest.mark.slow
def test_known_results_on_camvid(shared: Path) -> None:
    """Measured independently: every frame 60.02 mIoU, TC 77.0, VC8 90.6; warp of probabilities 60.03 / 59.25
    and blend 60.96 / 59.69 (avg / min at interval 4, OpenCV's DIS)."""
    data = open_dataset("camvid", shared / "data/camvid", split="val")
    scores = StoredScores(shared / "data/camvid_scores/val_espnetv2_cityscapes19.npz")

    def measured(fusion: Any) -> Report:
        settings = change(find_preset(fusion), flow="dis-opencv", cuts=False)
        return evaluate_method(
            data, segmenter=scores, settings=settings, name=fusion, intervals=[4], options=EvaluationOptions(threads=1)
        )

    warp, blend = measured("warp"), measured("blend")
    assert data.labels is CAMVID11
    assert warp.every_frame["miou"] == pytest.approx(0.6002, abs=3e-4)
    assert warp.every_frame["tc"] == pytest.approx(0.770, abs=1e-3)
    assert warp.every_frame["vc8"] == pytest.approx(0.906, abs=1e-3)
    assert warp.results[0]["avg_miou"] == pytest.approx(0.6003, abs=1e-3)
    assert warp.results[0]["min_miou"] == pytest.approx(0.5925, abs=1e-3)
    assert blend.results[0]["avg_miou"] == pytest.approx(0.6096, abs=3e-3)
    assert blend.results[0]["min_miou"] == pytest.approx(0.5969, abs=3e-3)
    low, value = (blend.results[0]["gain_over_every_frame"][k] for k in ("low", "value"))
    error = (value - low) / central_quantile(0.95, 3)  # ten blocks of one clip: three degrees of freedom
    assert error == pytest.approx(0.0035, abs=0.0015), "known standard error: about 0.35 points"
