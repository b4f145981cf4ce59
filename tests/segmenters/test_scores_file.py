from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segtween.errors import ScoresError
from segtween.labels import LabelSet, label_set
from segtween.segmenters.cached import CachedScores
from segtween.segmenters.score_file import ScoresWriter, Stored

THREE = LabelSet("mine", ("a", "b", "c"), ((1, 2, 3), (4, 5, 6), (7, 8, 9)), (3, 5, 7), ignore_id=9)
RGB = np.zeros((24, 32, 3), np.uint8)


def write(path: Path, frames: list[np.ndarray], *, names: bool = True) -> Stored:
    writer = ScoresWriter(path, labels=THREE, network={"name": "net"})
    for i, scores in enumerate(frames):
        writer.add(scores, size_hw=(24, 32), name=f"f{i}" if names else None)
    return writer.close()


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), spread=st.floats(1e-6, 1e4), shift=st.floats(-50, 50))
def test_every_logit_is_within_the_stated_error_and_nothing_clips(
    tmp_path_factory: pytest.TempPathFactory, seed: int, spread: float, shift: float
) -> None:
    rng = np.random.default_rng(seed)
    frames = [(rng.normal(size=(3, 6, 8)) * spread * f + shift).astype(np.float32) for f in (1, 0.1, 3)]
    path = tmp_path_factory.mktemp("scores") / "s.npz"
    stored = write(path, frames)
    read = CachedScores(path)
    for i, scores in enumerate(frames):
        read.select(f"f{i}")
        assert np.abs(read(RGB) - scores).max() <= stored.largest_error * (1 + 1e-5)
    assert stored.step == pytest.approx(max(np.abs(s).max() for s in frames) / 127, rel=1e-5)


def test_the_label_set_and_what_else_is_needed_travel_with_the_scores(tmp_path: Path) -> None:
    stored = write(tmp_path / "s.npz", [np.ones((3, 6, 8), np.float32)] * 2)
    assert (stored.frames, stored.classes, stored.grid_hw) == (2, 3, (6, 8))
    assert CachedScores(tmp_path / "s.npz").labels == THREE
    assert CachedScores(tmp_path / "s.npz", ["x", "y", "z"]).labels.names == ("x", "y", "z")
    with np.load(tmp_path / "s.npz", allow_pickle=False) as held:
        assert held["scores_q"].dtype == np.int8
        assert held["scores_q"].max() == 127
        assert held["frames"].tolist() == ["f0", "f1"]
        assert held["size_hw"].tolist() == [24, 32]
        assert held["stride"].tolist() == [4.0, 4.0]
        assert json.loads(str(held["network"])) == {"name": "net"}
    assert [p.name for p in tmp_path.iterdir()] == ["s.npz"]


def test_frames_of_a_video_go_by_index(tmp_path: Path) -> None:
    write(tmp_path / "s.npz", [np.full((3, 2, 2), v, np.float32) for v in (0, 2)], names=False)
    read = CachedScores(tmp_path / "s.npz")
    assert read.frames == []
    read.select(1)
    assert read(RGB).max() == pytest.approx(2)


def test_scores_that_are_all_zero_come_back_as_zero(tmp_path: Path) -> None:
    write(tmp_path / "s.npz", [np.zeros((3, 2, 2), np.float32)])
    read = CachedScores(tmp_path / "s.npz")
    read.select(0)
    assert not read(RGB).any()


def test_a_changed_grid_and_no_frames_are_refused(tmp_path: Path) -> None:
    writer = ScoresWriter(tmp_path / "s.npz", labels=THREE, network={})
    with pytest.raises(ScoresError, match="no frame to store scores of; expected at least one"):
        writer.close()
    writer.add(np.zeros((3, 6, 8), np.float32), size_hw=(24, 32), name="a")
    with pytest.raises(
        ScoresError, match=r"frame b are on 8x5 cells of an image of 32x24; expected 8x6 cells of 32x24"
    ):
        writer.add(np.zeros((3, 5, 8), np.float32), size_hw=(24, 32), name="b")
    writer.abort()
    writer.abort()
    assert list(tmp_path.iterdir()) == []


def test_a_stored_label_set_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    for text in ("{", json.dumps({"names": []})):
        np.savez(tmp_path / "s.npz", scores=np.zeros((1, 2, 2, 2), np.float32), labels=np.array(text))
        with pytest.raises(ScoresError, match=r"s\.npz holds a label set that cannot be read"):
            CachedScores(tmp_path / "s.npz")
    np.savez(
        tmp_path / "s.npz", scores=np.zeros((1, 2, 2, 2), np.float32), labels=np.array(json.dumps(THREE.to_json()))
    )
    with pytest.raises(ScoresError, match="holds scores of 2 classes; expected 3, as label set 'mine' has"):
        CachedScores(tmp_path / "s.npz")
    assert CachedScores(tmp_path / "s.npz", label_set(["p", "q"])).labels.names == ("p", "q")
