"""Rendered training frames: made once, named by what they depend on, exact labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from segtween.errors import SettingError
from segtween.labels import CAMVID11, CITYSCAPES19, LabelSet, label_set
from segtween.training.data import open_pool
from segtween.training.recipe import Source

SOURCE = Source("street", seeds=(1003, 1003), frames=2, stride=20, size="96x64")


@pytest.mark.slow
@pytest.mark.parametrize("labels", [CAMVID11, CITYSCAPES19], ids=lambda s: s.name)
def test_frames_are_rendered_once_with_the_clip_s_own_labels(labels: LabelSet, tmp_path: Path) -> None:
    from fractions import Fraction

    from segtween.street import StreetClip

    pool = open_pool(SOURCE, labels, data_root=None, cache=tmp_path)
    assert len(pool) == 2
    made = {image: image.stat().st_mtime_ns for image, _ in pool.files}
    again = open_pool(SOURCE, labels, data_root=None, cache=tmp_path)
    assert {image: image.stat().st_mtime_ns for image, _ in again.files} == made
    assert not list(tmp_path.rglob("*.part"))
    clip = list(StreetClip(1003, size_hw=(64, 96), frame_rate=Fraction(15, 20), frames=2))
    rgb, truth = pool.read(1)
    assert (rgb == clip[1].rgb).all()
    assert (truth == (clip[1].camvid11 if labels is CAMVID11 else clip[1].cityscapes19)).all()
    assert len(np.unique(truth)) > 3


@pytest.mark.slow
def test_missing_frames_are_made_again(tmp_path: Path) -> None:
    pool = open_pool(SOURCE, CAMVID11, data_root=None, cache=tmp_path)
    before = pool.sha256()
    pool.files[1][1].unlink()
    assert open_pool(SOURCE, CAMVID11, data_root=None, cache=tmp_path).sha256() == before


def test_other_label_sets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        SettingError, match=r"labels is 'custom', with a source of kind street; expected one of camvid11"
    ):
        open_pool(SOURCE, label_set(["a", "b"]), data_root=None, cache=tmp_path)
