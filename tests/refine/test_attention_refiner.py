"""The repair with a network that a test answers for: what it is shown, and what becomes of its answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fakes import BrightnessSegmenter, FakeRuntime, textured
from segtween.build import build_engine
from segtween.errors import ModelError, SettingError
from segtween.models.components import ATTENTION, Component, shipped_components
from segtween.ops.cpu import CpuOps
from segtween.refine.attention import LEAST_SHARE, OFFSETS, AttentionRefiner, cell_grid
from segtween.settings import change, find_preset
from segtween.types import ScoreMap

SIZE = (96, 128)
GRID = (24, 32)
PATH = np.zeros((48, 64, 2), np.float32)
BLACK, WHITE = (np.full((48, 64, 3), grey, np.uint8) for grey in (0, 255))
"""What is seen of two frames that have nothing in common."""
PART = Component(Path("attention.onnx"), "attention", "attention", "RGB", (0.0,) * 3, (1.0,) * 3, 2)


class Answers:
    """`share` everywhere, all attention to one offset (dx, dy), `added` to every class if it is given."""

    def __init__(self, share: float, offset: tuple[int, int] = (1, 0), added: np.ndarray | None = None) -> None:
        self.share, self.added, self.inputs = share, added, ()
        self.attention = np.where((offset == OFFSETS).all(axis=1), 50, 0).astype(np.float32)

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        self.inputs = inputs
        share = np.full((1, 1, *GRID), self.share, np.float32)
        attention = np.broadcast_to(self.attention[None, :, None, None], (1, 32, *GRID))
        return [share, attention, *([] if self.added is None else [self.added])]


def refiner(answers: Answers, part: Component = PART) -> AttentionRefiner:
    outputs = ("share", "attention", "added")[: 2 if answers.added is None else 3]
    return AttentionRefiner(part, FakeRuntime(answers, outputs=outputs), ops=CpuOps(threads=1))


@pytest.fixture
def scores() -> ScoreMap:
    values = np.zeros((3, *GRID), np.float32)
    values[0], values[1, :, 16:] = 1, 2
    return ScoreMap(values, "logits", SIZE)


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), np.uint8)


@pytest.mark.parametrize(
    ("size", "grid"), [((360, 480), (90, 120)), ((1024, 2048), (64, 128)), ((720, 1280), (90, 160)), ((7, 5), (2, 2))]
)
def test_cells_are_4_8_or_more_pixels_wide(size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert cell_grid(size) == grid
    seen = refiner(Answers(0)).features(np.zeros((*size, 3), np.uint8))
    assert seen.shape == (2 * grid[0], 2 * grid[1], 3)


def test_a_large_frame_is_seen_as_its_means() -> None:
    rgb = np.zeros((1024, 2048, 3), np.uint8)
    rgb[:, 1024:, 0] = 200
    seen = refiner(Answers(0)).features(rgb)
    assert (seen[:, 128:, 0] == 200).all()
    assert not seen[:, :128].any()


def test_the_network_sees_the_frame_and_the_key_frame_where_the_path_leads(scores: ScoreMap) -> None:
    answers = Answers(0)
    repair = refiner(answers)
    key, seen = repair.features(picture(0)), repair.features(picture(1))
    repair(scores, PATH + np.array([2, 0], np.float32), key, seen, 4)
    image, moved, cells = answers.inputs
    np.testing.assert_array_equal(image[0], seen)
    np.testing.assert_array_equal(moved[0, :, :-2], key[:, 2:])
    assert cells.shape == (1, 8, *GRID)
    top, margin, inside, along_x, along_y, distance, x, y = cells[0]
    assert top[0, 0] == pytest.approx(np.e / (np.e + 2))
    assert margin[0, 0] == pytest.approx((np.e - 1) / (np.e + 2))
    assert inside[:, :-1].all()
    assert not inside[:, -1].any()
    assert not along_x.any()
    assert not along_y.any()
    assert (distance == 0.5).all()
    assert (x[0, 0], y[0, 0], x[0, 16], y[12, 0]) == (-1, -1, 0, 0)


def test_a_small_share_is_none_and_nothing_is_borrowed(scores: ScoreMap) -> None:
    repair = refiner(Answers(LEAST_SHARE * 0.9))
    correction = repair(scores, PATH, BLACK, WHITE, 1)
    assert not correction.share.any()
    labels = CpuOps(threads=1).labels(scores, SIZE, composed=PATH, correction=correction)
    np.testing.assert_array_equal(labels, CpuOps(threads=1).labels(scores, SIZE, composed=PATH))


def test_where_the_key_frame_shows_the_same_nothing_is_replaced(scores: ScoreMap) -> None:
    repair = refiner(Answers(1.0))
    half = BLACK.copy()
    half[:, 32:] = 255
    correction = repair(scores, PATH, BLACK, half, 1)
    assert not correction.share[:, :16].any()
    assert (correction.share[:, 16:] == 1).all()


def test_what_is_borrowed_comes_from_where_attention_points(scores: ScoreMap) -> None:
    repair, ops = refiner(Answers(1.0, (8, 0))), CpuOps(threads=1)
    correction = repair(scores, PATH, BLACK, WHITE, 1)
    labels, plain = (ops.labels(scores, SIZE, composed=PATH, correction=m) for m in (correction, None))
    cells = 8 * SIZE[1] // GRID[1]
    np.testing.assert_array_equal(labels[:, : -cells - 8], plain[:, cells:-8])


def test_the_head_for_classes_sees_the_scores_and_adds_to_them(scores: ScoreMap) -> None:
    added = np.zeros((1, 3, *GRID), np.float32)
    added[0, 2] = 9
    answers = Answers(1.0, added=added)
    repair = refiner(answers, replace(PART, classes=3, labels="three"))
    correction = repair(scores, PATH, BLACK, WHITE, 1)
    np.testing.assert_allclose(answers.inputs[3].sum(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(answers.inputs[3][0], scores.values - scores.values.mean(axis=0), atol=1e-5)
    assert (CpuOps(threads=1).labels(scores, SIZE, composed=PATH, correction=correction) == 2).all()


def test_the_shipped_repair_serves_any_classes_and_leaves_a_still_picture_alone() -> None:
    engine = build_engine(BrightnessSegmenter(), find_preset("refined").at(3))
    rgb = textured(SIZE)
    results = [engine.step(rgb) for _ in range(4)]
    assert [r.distance for r in results] == [0, 1, 2, 3]
    assert all(np.array_equal(r.labels, results[0].labels) for r in results)
    assert engine.describe()["refine"]["attention"]["network"] == "attention"
    assert results[3].score_map.values.shape == results[0].score_map.values.shape
    assert "refine" in results[3].stages_ms


def test_a_repair_for_other_labels_is_refused(tmp_path: Path) -> None:
    shipped = shipped_components(holding=ATTENTION)["attention"]
    for name in (ATTENTION, f"{ATTENTION}.yaml"):
        (tmp_path / name).write_bytes((shipped / name).read_bytes())
    record = tmp_path / f"{ATTENTION}.yaml"
    record.write_text(record.read_text().replace("labels: ''", "labels: camvid11"))
    settings = change(find_preset("refined"), weights=str(tmp_path))
    with pytest.raises(ModelError, match="for the label set camvid11; expected classes4, .*; give other weights="):
        build_engine(BrightnessSegmenter(), settings)


@pytest.mark.parametrize("preset", ["blend", "swnet-seq"])
def test_a_preset_that_resamples_has_no_use_for_it(preset: str) -> None:
    with pytest.raises(
        SettingError,
        match="refine='attention' with propagation=.*, which resamples.*; give preset='composed' or preset=",
    ):
        change(find_preset(preset), refine="attention")
