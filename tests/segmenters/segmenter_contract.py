"""What every segmenter keeps to. A new form of model is tested by a subclass that makes one:

class TestScoresOfMine(SegmenterContract):
    form = "mine"

    def model(self, folder):
        return folder / "some.mine"
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from fakes import textured
from segtween.interfaces import Selecting
from segtween.segmenters import SEGMENTERS, form_of, open_segmenter


class SegmenterContract:
    """`form` is the row of `segtween.segmenters.SEGMENTERS`; `model` makes a model of that form in a folder.

    sizes_hw  frames to try; what reads stored scores has them for `select`ed frames 0, 1, ...
    options   of `open_segmenter`
    """

    form: ClassVar[str]
    sizes_hw: ClassVar[tuple[tuple[int, int], ...]] = ((64, 96), (61, 90))
    options: ClassVar[dict[str, Any]] = {"threads": 1}
    names: ClassVar[tuple[str, ...] | None] = None

    def model(self, folder: Path) -> Any:
        raise NotImplementedError

    @pytest.fixture
    def segmenter(self, tmp_path: Path) -> Any:
        return open_segmenter(self.model(tmp_path), **self.options)

    def scores(self, segmenter: Any, rgb: Any) -> Any:
        if isinstance(segmenter, Selecting):
            segmenter.select(self.names[0] if self.names else 0)
        return segmenter(rgb)

    def test_the_first_row_that_accepts_the_model_is_this_one(self, tmp_path: Path) -> None:
        model = self.model(tmp_path)
        assert form_of(model) == self.form
        (row,) = (row for row in SEGMENTERS if row.name == self.form)
        assert row.what
        assert row.accepts(model)

    def test_scores_are_finite_logits_of_all_classes(self, segmenter: Any) -> None:
        for size_hw in self.sizes_hw:
            scores = self.scores(segmenter, textured(size_hw))
            assert scores.dtype == np.float32
            assert scores.ndim == 3
            assert scores.shape[0] == len(segmenter.labels)
            assert 0 < scores.shape[1] <= size_hw[0]
            assert 0 < scores.shape[2] <= size_hw[1]
            assert np.isfinite(scores).all()

    def test_the_frame_stays_as_it_is_and_the_answer_is_repeated(self, segmenter: Any) -> None:
        rgb = textured(self.sizes_hw[0])
        kept = rgb.copy()
        first = self.scores(segmenter, rgb).copy()
        assert np.array_equal(rgb, kept)
        assert np.array_equal(self.scores(segmenter, rgb), first)

    def test_its_record_is_plain_json_and_does_not_depend_on_what_was_seen(self, segmenter: Any) -> None:
        described = segmenter.describe()
        assert json.loads(json.dumps(described)) == described
        assert described["runtime"]
        assert described["labels"] == segmenter.labels.name
        self.scores(segmenter, textured(self.sizes_hw[0]))
        assert segmenter.describe() == described
