"""Runs side by side give what each would give alone, at every distance that was asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import BrightnessSegmenter, panning
from segtween.build import build_engine, build_every_frame
from segtween.compat.swnet_seq.evaluate import Scores, measure
from segtween.compat.swnet_seq.flags import Options
from segtween.compat.swnet_seq.outputs import Predictions, Strips
from segtween.compat.swnet_seq.passes import Answer, Moment, Passes, read_ahead, windows_of
from segtween.datasets import Clip, ClipFrame, Dataset
from segtween.labels import numbered
from segtween.metrics.segmentation import confusion
from segtween.settings import find_preset
from segtween.types import Rgb
from small_sets import picture

SIZE = (64, 96)
SETTINGS = find_preset("warp")
RNG = np.random.default_rng(3)
TRUTH = [RNG.integers(0, 4, SIZE).astype(np.uint8) for _ in range(8)]
PICTURES = panning(8, SIZE)


def clip(labelled: range | list[int], tmp_path: Path) -> Clip:
    frames = []
    for i, rgb in enumerate(PICTURES):
        image = picture(tmp_path / f"f{i}.png", np.ascontiguousarray(rgb[..., ::-1]))
        label = picture(tmp_path / f"l{i}.png", TRUTH[i]) if i in labelled else None
        frames.append(ClipFrame(f"f{i}", image, label))
    return Clip("c", tuple(frames))


def alone(start: int, last: int) -> Any:
    """The labels of frame `last` of a run by itself."""
    engine = build_engine(BrightnessSegmenter(), SETTINGS.at(9))
    for rgb in PICTURES[start : last + 1]:
        result = engine.step(rgb)
    return result.labels


def found(labelled: range | list[int], steps: tuple[int, ...], tmp_path: Path) -> dict[tuple[str, int], Any]:
    passes = Passes(BrightnessSegmenter(), SETTINGS, steps=steps, threads=1, strips=False)
    answers = {}
    for window in windows_of(clip(labelled, tmp_path), steps):
        frames = ((PICTURES[int(f.name[1:])], None) for f in window.frames)
        for moment in passes.through(window, frames):
            for answer in moment.measured:
                assert (moment.frame.name, answer.distance) not in answers
                answers[moment.frame.name, answer.distance] = answer.labels
    return answers


@pytest.mark.parametrize(
    ("labelled", "steps"), [([5], (1, 2, 3)), ([3, 7], (1, 3)), ([4], (4,)), (range(8), (1, 2)), (range(8), (3,))]
)
def test_every_distance_is_that_of_a_run_from_its_own_key_frame(
    labelled: range | list[int], steps: tuple[int, ...], tmp_path: Path
) -> None:
    answers = found(labelled, steps, tmp_path)
    wanted = {(f"f{t}", k) for t in labelled for k in (0, *steps) if t >= k}
    assert set(answers) == wanted
    plain = build_every_frame(BrightnessSegmenter())
    for name, k in wanted:
        t = int(name[1:])
        expected = alone(t - k, t) if k else plain.step(PICTURES[t]).labels
        assert np.array_equal(answers[name, k], expected), (name, k)


def test_scores_and_flow_are_computed_once(tmp_path: Path) -> None:
    segmenter = BrightnessSegmenter()
    passes = Passes(segmenter, SETTINGS, steps=(1, 2), threads=1, strips=False)
    (window,) = windows_of(clip(range(8), tmp_path), (1, 2))
    assert len(list(passes.through(window, ((rgb, None) for rgb in PICTURES)))) == 8
    assert segmenter.calls == 8


def test_a_labelled_frame_with_too_few_before_it_is_left_out_and_a_dense_clip_is_measured_as_far_as_it_goes(
    tmp_path: Path,
) -> None:
    assert windows_of(clip([1, 6], tmp_path), (4,))[0].last == 6
    assert len(windows_of(clip([1, 6], tmp_path), (4,))) == 1
    (dense,) = windows_of(clip(range(8), tmp_path), (4,))
    assert (dense.is_dense, dense.starts) == (True, (0, 1, 2, 3, 4))
    assert [w.last for w in windows_of(clip([2, 5], tmp_path), ())] == [2, 5]


def test_along_a_clip_key_frames_come_back(tmp_path: Path) -> None:
    passes = Passes(BrightnessSegmenter(), SETTINGS, steps=(2,), threads=1, strips=True)
    moments = list(passes.along(clip([], tmp_path), ((rgb, None) for rgb in PICTURES)))
    assert [m.measured[0].distance for m in moments] == [0, 1, 2, 0, 1, 2, 0, 1]
    assert [i for i, m in enumerate(moments) if m.ends_strip] == [2, 5, 7]
    alone_too = Passes(BrightnessSegmenter(), None, steps=(2,), threads=1, strips=False)
    moments = list(alone_too.along(clip([], tmp_path), ((rgb, None) for rgb in PICTURES)))
    assert [m.measured[0].distance for m in moments] == [0] * 8
    assert alone_too.method("swnet-seq").name == "every-frame"


def test_scores_pool_and_average_as_they_say() -> None:
    labels = numbered(3)
    scores = Scores(labels, {})
    truth = np.array([[0, 0, 1, 1]], np.uint8)
    answers = (Answer(np.array([[0, 0, 1, 1]], np.uint8), 0), Answer(np.array([[0, 1, 1, 1]], np.uint8), 1))
    scores.add(Moment(ClipFrame("f", Path("f")), np.zeros((1, 4, 3), np.uint8), truth, answers, None, False))
    assert scores.miou(0) == 1
    assert scores.miou(1) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert scores.mean([0, 1]) == pytest.approx((1 + 7 / 12) / 2)
    assert scores.pooled([0, 1]) == pytest.approx((3 / 4 + 4 / 5) / 2)
    assert scores.mean([0, 1], absent_as_zero=True) == pytest.approx((2 / 3 + (1 / 2 + 2 / 3) / 3) / 2, abs=1e-6)
    record = scores.to_json()
    assert record["min_miou"] == scores.miou(1)
    assert record["distances"]["0"]["absent"] == ["class-2"]
    text = "\n".join(scores.lines())
    assert "58.33%" in text
    assert "left out of mIoU: class-2" in text


def test_measuring_reads_files_and_counts_pixels(tmp_path: Path) -> None:
    data = Dataset("d", "val", numbered(4), [clip([5], tmp_path)])
    passes = Passes(BrightnessSegmenter(), SETTINGS, steps=(2,), threads=1, strips=False)
    windows = windows_of(data.clips[0], (2,))
    for workers in (0, 3):
        scores = measure(passes, data, windows, Options(num_worker=workers, batch_size=1))
        assert np.array_equal(scores.counts[2], confusion(alone(3, 5), TRUTH[5], classes=4))


def test_reading_ahead_keeps_the_order_and_gives_errors_where_they_belong() -> None:
    def read(i: int) -> int:
        if i == 7:
            raise ValueError("seven")
        return i * i

    for workers in (0, 2):
        assert list(read_ahead(range(6), read, workers=workers, ahead=2)) == [0, 1, 4, 9, 16, 25]
        given: Iterator[int] = read_ahead(range(10), read, workers=workers, ahead=3)
        assert [next(given) for _ in range(7)] == [0, 1, 4, 9, 16, 25, 36]
        with pytest.raises(ValueError, match="seven"):
            next(given)


def test_predictions_are_named_and_coloured(tmp_path: Path) -> None:
    import cv2

    labels = numbered(4)
    predictions = Predictions(tmp_path / "p", labels, single=False)
    assert not (tmp_path / "p").exists()
    passes = Passes(BrightnessSegmenter(), SETTINGS, steps=(2,), threads=1, strips=True)
    for moment in passes.along(clip([], tmp_path), ((rgb, None) for rgb in PICTURES)):
        answer = moment.measured[0]
        predictions.image(moment.frame.name, answer.distance, answer.labels)
        predictions.show(moment)
    names = {f"f{i}_pred_k{i % 3}.png" for i in range(8)} | {"f2_seq_k2.png", "f5_seq_k2.png", "f7_seq_k1.png"}
    assert {p.name for p in (tmp_path / "p").iterdir()} == names
    assert (predictions.images, predictions.strips) == (8, 3)
    stored = cv2.cvtColor(cv2.imread(str(tmp_path / "p" / "f2_pred_k2.png")), cv2.COLOR_BGR2RGB)
    assert np.array_equal(stored, labels.colourise(alone(0, 2)))
    assert cv2.imread(str(tmp_path / "p" / "f2_seq_k2.png")).shape[1] > 3 * SIZE[1]


def test_strips_of_the_network_alone_are_as_long_and_have_one_row_less(tmp_path: Path) -> None:
    sizes = []
    for settings in (SETTINGS, None):
        pages: list[tuple[str, int, Rgb]] = []
        passes = Passes(BrightnessSegmenter(), settings, steps=(3,), threads=1, strips=True)
        strips = Strips(numbered(4), lambda *page: pages.append(page), single=settings is None)  # noqa: B023
        for moment in passes.along(clip([], tmp_path), ((rgb, None) for rgb in PICTURES)):
            strips.show(moment)
        assert [(name, k) for name, k, _ in pages] == [("f3", 3), ("f7", 3)]
        sizes.append(pages[0][2].shape)
    assert sizes[0][0] > sizes[1][0] + SIZE[0] // 2
