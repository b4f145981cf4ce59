"""The film of two methods: everything fits at every size, the curve spans the clip, the truth stands below."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from segtween.labels import CAMVID11, CITYSCAPES19, LabelSet, numbered
from segtween.run.comparison import ComparedFrame
from segtween.types import Frame, Result
from segtween.video import flicker_chart, paint, side_by_side, text
from segtween.video.flicker_chart import FlickerChart
from segtween.video.frame_bins import FrameBins
from segtween.video.paint import Style
from segtween.video.side_by_side import COLOURS, WIDEST, ComparedMethod, ComparisonPicture, panel_size

OWN = "segtween (composed, bidirectional), network on 1 frame in 5"
SIZES = [(240, 320), (480, 640), (720, 1280), (1080, 1920), (2160, 3840)]


def film(
    size_hw: tuple[int, int], labels: LabelSet, *, count: int = 3, frames: int | None = 60, truth: bool = False
) -> list[Any]:
    """The pictures of `count` frames, of which the first is a key frame; every class is somewhere."""
    ids = np.linspace(0, len(labels), size_hw[1], endpoint=False).astype(np.uint8)
    own = np.tile(ids, (size_hw[0], 1))
    other = np.roll(own, 8, axis=1)
    shown = {
        i: ComparedFrame(other, (0.0132, 0.0031) if i else (None, None), (0.0132, 0.0031) if i else (None, None),
                         (10.25, 104.5), own if truth else None)
        for i in range(count)
    }  # fmt: skip
    draw = ComparisonPicture(ComparedMethod("every-frame", OWN, shown.__getitem__), labels, frames=frames)
    rgb = np.full((*size_hw, 3), 60, np.uint8)
    return [
        draw(Frame(i, Fraction(i, 15), rgb), Result(i, i / 15, i == 0, i, False, own, lambda: None))  # type: ignore[arg-type,return-value]
        for i in range(count)
    ]


class Written:
    """What is written into pictures, and whether it fits there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.words: list[str] = []
        self.lowest = 99
        for module in (paint, side_by_side, flicker_chart, text):
            monkeypatch.setattr(module, "write", self.write)

    def write(self, page: Any, words: str, at: tuple[int, int], height: int, *, colour: Any = text.INK) -> None:  # noqa: ARG002
        if words:
            assert at[0] >= 0, words
            assert at[1] >= 0, words
            assert at[0] + text.text_width(words, height) <= page.shape[1], words
            assert at[1] + height <= page.shape[0], words
            self.words.append(words)
            self.lowest = min(self.lowest, height)


@pytest.mark.parametrize("size_hw", SIZES)
@pytest.mark.parametrize("labels", [CAMVID11, CITYSCAPES19], ids=lambda labels: labels.name)
def test_everything_fits_and_nothing_is_left_out(
    size_hw: tuple[int, int], labels: LabelSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = Written(monkeypatch)
    film(size_hw, labels, truth=True)
    assert set(labels.names) <= set(written.words), "every class is in the legend"
    assert {"network on every frame", "segtween", "true labels", "marks: key frames"} <= set(written.words)
    assert {"1.32% flicker, 10.2 frames/s", "0.31% flicker, 104.5 frames/s"} <= set(written.words)
    assert not [words for words in written.words if words.endswith("..")], "nothing is cut off"
    assert OWN.split() == " ".join(written.words[written.words.index("network on every frame") + 1 :]).split()[:9]
    assert written.lowest >= text.LEAST


def test_below_the_smallest_films_stand_fewer_words(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    film((120, 160), CAMVID11)
    assert set(CAMVID11.names) <= set(written.words)
    assert {"every frame", "segtween", "1.32% flicker", "0.31% flicker", "flicker", "key frames"} <= set(written.words)


def test_many_classes_are_named_as_they_are_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    film((240, 320), numbered(150))
    named = {words for words in written.words if words.startswith("class-")}
    (rest,) = {words for words in written.words if words.startswith("and ")}
    assert len(named) > 10
    assert len(named) + int(rest.split()[1]) == 150


def test_a_wide_film_is_made_smaller() -> None:
    assert panel_size((2160, 3840)) == (1080, 1920)
    assert panel_size((240, 321)) == (240, 321)
    (picture,) = film((1100, 2000), CAMVID11, count=1)
    assert picture.shape[1] == WIDEST
    assert picture.shape[0] % 2 == 0


def curve_end(area: Any) -> int:
    """The last column of the first curve."""
    return int(np.flatnonzero((np.abs(area.astype(int) - COLOURS[0]).sum(axis=2) < 30).any(axis=0)).max())


@pytest.mark.parametrize(("shown", "frames", "share"), [(40, 40, 1.0), (20, 40, 0.5), (1000, 2000, 0.5)])
def test_the_curve_spans_the_clip(shown: int, frames: int, share: float) -> None:
    chart, area = FlickerChart(COLOURS, frames=frames), np.zeros((200, 800, 3), np.uint8)
    for i in range(shown):
        chart.add((0.01, 0.002), i / 25, is_key=i % 5 == 0)
    chart.draw(area, 20)
    left, right = text.text_width("0.05%", 18) + 6, 790
    assert abs(curve_end(area) - (left + share * (right - left))) < 15


def test_a_clip_of_unknown_length_is_kept_in_ever_coarser_steps() -> None:
    bins = FrameBins(2, frames=None, most=480)
    for i in range(1000):
        bins.add([0.01 if i < 500 else 0.03, None if i % 2 else 1.0])
    means = bins.means[:, : bins.filled]
    assert bins.filled == 63, "16 frames in each of the bins: 8 would not hold all"
    assert means[0, 0] == pytest.approx(0.01)
    assert means[0, -1] == pytest.approx(0.03)
    assert (means[0] * np.array([16] * 62 + [8])).sum() == pytest.approx(20), "every frame counts once"
    assert (means[1] == 1).all()
    assert np.isnan(bins.means[:, bins.filled :]).all()


def test_an_odd_number_of_bins_is_halved_too() -> None:
    bins = FrameBins(1, frames=5, most=480)
    for i in range(8):
        bins.add([float(i)])
    assert bins.means[0, : bins.filled].tolist() == [0.5, 2.5, 4.5, 6.5]


def test_key_frames_are_marked_where_they_can_be_told_apart() -> None:
    def marks(every: int) -> int:
        chart, area = FlickerChart(COLOURS, frames=400), np.zeros((200, 800, 3), np.uint8)
        for i in range(400):
            chart.add((0.01, 0.0), i / 25, is_key=i % every == 0)
        chart.draw(area, 20)
        between = area[163:170]  # below the curves, above the writing
        return int((between == flicker_chart.MARK).all(axis=2).any(axis=0).sum())

    assert marks(20) == 20
    assert marks(1) == 0, "one mark beside the other says nothing"


def test_the_truth_stands_below_with_what_is_wrong() -> None:
    with_truth, without = (film((240, 320), CAMVID11, count=1, truth=truth)[0] for truth in (True, False))
    assert with_truth.shape[0] == without.shape[0] + 240
    wrong = with_truth[-200:, 320 + 2 :].reshape(-1, 3)
    assert (wrong == COLOURS[0]).all(axis=1).any(), "the other one has pixels wrong"
    assert not (wrong == COLOURS[1]).all(axis=1).any(), "this one has not"


def test_only_chosen_classes_are_in_the_legend(monkeypatch: pytest.MonkeyPatch) -> None:
    written = Written(monkeypatch)
    labels = np.zeros((240, 320), np.uint8)
    seen = ComparedFrame(labels, (None, None), (None, None))
    draw = ComparisonPicture(ComparedMethod("warp", "segtween", lambda _: seen), CAMVID11, style=Style([8, 9]))
    draw(Frame(0, Fraction(0), np.zeros((240, 320, 3), np.uint8)), Result(0, 0.0, True, 0, False, labels, lambda: None))  # type: ignore[arg-type,return-value]
    assert {"car", "pedestrian"} <= set(written.words)
    assert "sky" not in written.words
