"""Stored scores, and the fake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fakes import FakeSegmenter
from segtween.errors import ScoresError
from segtween.labels import CAMVID11, CITYSCAPES19
from segtween.segmenters import open_segmenter
from segtween.segmenters.cached import CachedScores

RGB = np.zeros((24, 32, 3), np.uint8)
QUANTISED = np.random.default_rng(0).integers(-128, 128, (3, 11, 6, 8)).astype(np.int8)
NAMES = np.array(["b", "a", "c"])


def stored(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path / "scores.npz", **arrays)
    return path / "scores.npz"


def test_quantised_scores_come_back_by_name_and_by_index(tmp_path: Path) -> None:
    given = CachedScores(stored(tmp_path, scores_q=QUANTISED, scale=np.float32(0.25), frames=NAMES))
    assert len(given) == 3
    assert given.labels is CAMVID11
    for key, row in (("a", 1), ("c", 2), ("b.png", 0), ("folder/b.png", 0), (2, 2)):
        given.select(key)
        scores = given(RGB)
        assert scores.dtype == np.float32
        np.testing.assert_array_equal(scores, QUANTISED[row] * 0.25)
    assert given.describe()["precision"] == "int8"


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_scores_need_no_scale_and_no_names(tmp_path: Path, dtype: Any) -> None:
    values = np.random.default_rng(1).normal(size=(2, 19, 3, 4)).astype(dtype)
    given = open_segmenter(stored(tmp_path, scores=values))
    assert isinstance(given, CachedScores)
    assert given.labels is CITYSCAPES19
    given.select(1)
    np.testing.assert_allclose(given(RGB), values[1], rtol=1e-6)
    with pytest.raises(
        ScoresError, match="scores.npz has no scores for frame 'b'; expected one of its 2 frames, 0 to 1"
    ):
        given.select("b")


def test_answers_are_the_callers_own(tmp_path: Path) -> None:
    given = CachedScores(stored(tmp_path, scores=np.ones((1, 11, 2, 2), np.float32)))
    given.select(0)
    given(RGB)[:] = 5
    assert given(RGB).max() == 1


def test_labels_may_be_given_and_have_to_fit(tmp_path: Path) -> None:
    path = stored(tmp_path, scores=np.zeros((1, 2, 3, 4), np.float32))
    assert CachedScores(path).labels.name == "classes2"
    assert CachedScores(path, ["road", "rest"]).labels.names == ("road", "rest")
    with pytest.raises(
        ScoresError, match="holds scores of 2 classes; expected 11, as label set 'camvid11' has; give the"
    ):
        CachedScores(path, "camvid11")


def test_a_frame_without_scores_is_named(tmp_path: Path) -> None:
    given = CachedScores(stored(tmp_path, scores_q=QUANTISED, scale=1, frames=NAMES))
    with pytest.raises(ScoresError, match="before a frame was chosen; expected select"):
        given(RGB)
    with pytest.raises(ScoresError, match="has no scores for frame 'd'; expected one of its 3 frames, b to c"):
        given.select("d")
    for key in (3, -1):
        with pytest.raises(ScoresError, match=f"has no scores for frame {key}; expected"):
            given.select(key)


def test_nan_is_named_with_its_frame(tmp_path: Path) -> None:
    values = np.zeros((2, 11, 2, 2), np.float32)
    values[1, 2] = np.nan
    given = CachedScores(stored(tmp_path, scores=values, frames=np.array(["x", "y"])))
    given.select("x")
    given(RGB)
    given.select("y")
    with pytest.raises(ScoresError, match="scores.npz for frame y gave NaN scores, first in class 'pole'"):
        given(RGB)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "holds none of the arrays; expected scores_q with scale, or scores"),
        ({"scores_q": QUANTISED}, "holds scores_q; expected scores_q with scale"),
        ({"scores_q": QUANTISED, "scores": QUANTISED, "scale": 1}, "holds scale, scores, scores_q; expected"),
        ({"scores": QUANTISED}, r"holds int8 of shape \(3, 11, 6, 8\); expected \(frames, classes, height, width\)"),
        ({"scores": np.zeros((11, 6, 8))}, r"holds float64 of shape \(11, 6, 8\)"),
        ({"scores": np.zeros((0, 11, 6, 8))}, r"holds float64 of shape \(0, 11, 6, 8\)"),
        ({"scores_q": QUANTISED, "scale": 0}, "has scale 0.0; expected a number above 0"),
        ({"scores_q": QUANTISED, "scale": np.nan}, "has scale nan; expected a number above 0"),
        ({"scores_q": QUANTISED, "scale": 1, "frames": NAMES[:2]}, "names 2 different frames; expected 3"),
        ({"scores_q": QUANTISED, "scale": 1, "frames": NAMES[[0, 0, 1]]}, "names 2 different frames; expected 3"),
        ({"scores": np.array([{}], object)}, "cannot be read .Object arrays cannot be loaded"),
    ],
)
def test_files_of_another_form_are_refused(tmp_path: Path, arrays: Any, message: str) -> None:
    with pytest.raises(ScoresError, match=message):
        CachedScores(stored(tmp_path, **arrays))


def test_files_that_are_no_archives_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ScoresError, match=r"scores file .*no\.npz is not found"):
        CachedScores(tmp_path / "no.npz")
    path = stored(tmp_path, scores=QUANTISED.astype(np.float32))
    whole = path.read_bytes()
    damaged = whole[:200] + bytes(100) + whole[300:]
    for content in (b"text", b"", whole[:-100], np.zeros(3).tobytes(), damaged):
        path.write_bytes(content)
        with pytest.raises(
            ScoresError, match=r"scores file .*scores\.npz cannot be read \(.*\); expected an \.npz file"
        ):
            CachedScores(path)
    np.save(tmp_path / "alone.npy", np.zeros(3))
    (tmp_path / "alone.npy").rename(path)
    with pytest.raises(ScoresError, match="cannot be read"):
        CachedScores(path)


@pytest.mark.shared
def test_the_shared_scores_of_a_real_network(shared: Path) -> None:
    given = CachedScores(shared / "data/camvid_scores/val_espnetv2_cityscapes19.npz")
    assert (len(given), given.labels.name) == (101, "cityscapes19")
    names = [Path(line.split()[0]).stem for line in (shared / "data/camvid/val.txt").read_text().splitlines()]
    given.select(names[-1])
    scores = given(RGB)
    assert scores.shape == (19, 90, 120)
    road = scores[0, 70:, 40:80].argmax(axis=0)
    assert road.size
    assert (scores.argmax(axis=0)[80:, 30:90] == 0).mean() > 0.5


# ── The fake ──────────────────────────────────────────────────────────────────────────────────


def test_the_fake_sees_the_colours_of_its_labels() -> None:
    labels = np.repeat(np.repeat(np.arange(11, dtype=np.uint8).reshape(1, 11), 16, 0), 8, 1)
    fake = FakeSegmenter(stride=8)
    scores = fake(CAMVID11.colourise(labels))
    assert scores.shape == (11, 2, 11)
    np.testing.assert_array_equal(scores.argmax(axis=0), labels[::8, ::8])
    np.testing.assert_array_equal(scores, fake(CAMVID11.colourise(labels)))
    assert fake.calls == 2


def test_the_fake_knows_given_labels_in_order_or_by_choice() -> None:
    frames = [np.full((24, 32), c, np.uint8) for c in range(3)]
    fake = FakeSegmenter(frames=frames)
    assert [int(fake(RGB).argmax(axis=0)[0, 0]) for _ in range(3)] == [0, 1, 2]
    fake.select(1)
    assert int(fake(RGB).argmax(axis=0)[0, 0]) == 1
    assert fake.describe()["runtime"] == "fake"
