"""What the overlay does to pixels, and what it leaves alone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segtween.errors import SettingError
from segtween.labels import CAMVID11, label_set
from segtween.video.paint import Painter, Style, caption, class_counts, legend_panel, side_by_side
from segtween.video.text import balanced, line_height, text_width

CAR, ROAD = CAMVID11.index("car"), CAMVID11.index("road")


def test_tint_is_half_the_class_colour():
    rgb = np.full((40, 60, 3), 100, np.uint8)
    labels = np.full((40, 60), CAR, np.uint8)
    painted = Painter(CAMVID11, legend=False)(rgb, labels)
    wanted = (100 + np.array(CAMVID11.colours[CAR])) / 2
    assert np.abs(painted[20, 30] - wanted).max() <= 1
    assert (rgb == 100).all()


def test_alpha_is_the_share_of_the_colour():
    rgb, labels = np.full((8, 8, 3), 100, np.uint8), np.full((8, 8), CAR, np.uint8)
    for alpha in (0.0, 0.25, 1.0):
        painted = Painter(CAMVID11, Style(alpha=alpha, outline="none"), legend=False)(rgb, labels)
        wanted = 100 * (1 - alpha) + alpha * np.array(CAMVID11.colours[CAR])
        assert np.abs(painted[4, 4] - wanted).max() <= 1


def test_colours_are_those_of_the_label_set(tmp_path):
    (tmp_path / "mine.yaml").write_text("names: [ground, lorry]\ncolours: [[90, 90, 90], [200, 160, 60]]\n")
    labels = np.ones((8, 8), np.uint8)
    paint = Painter(label_set(tmp_path / "mine.yaml"), Style(alpha=1))
    assert paint(np.zeros((8, 8, 3), np.uint8), labels)[4, 4].tolist() == [200, 160, 60]
    assert paint.seen == [("lorry", (200, 160, 60))]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"alpha": 1.5}, "alpha=1.5; expected a share from 0 to 1"),
        ({"alpha": float("nan")}, "alpha=nan; expected"),
        ({"outline": "thinn"}, "outline='thinn'; .*thin"),
    ],
)
def test_a_style_that_is_none(given, text):
    with pytest.raises(SettingError, match=text):
        Style(**given)


def test_camvid_classes_can_be_told_apart_on_a_dark_road():
    road = np.array([45, 45, 50])
    blended = (np.array(CAMVID11.colours) + road) / 2 / 255
    lab = cv2.cvtColor(blended[None].astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 100 * np.eye(len(lab))
    assert apart.min() > 15
    assert lab[:, 0].min() > 28, "no class is near black"


def test_ignored_and_other_classes_keep_their_pixels():
    rgb = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    labels = np.full((40, 60), ROAD, np.uint8)
    labels[:10], labels[30:] = 255, CAR
    painted = Painter(CAMVID11, Style([CAR]), legend=False)(rgb, labels)
    assert np.array_equal(painted[:30], rgb[:30])
    assert not np.array_equal(painted[31:], rgb[31:])


def test_outline_lies_on_the_boundary_only():
    rgb = np.zeros((40, 60, 3), np.uint8)
    labels = np.full((40, 60), ROAD, np.uint8)
    labels[:, 30:] = CAR
    with_line = Painter(CAMVID11, legend=False)(rgb, labels)
    without = Painter(CAMVID11, Style(outline="none"), legend=False)(rgb, labels)
    changed = np.flatnonzero((with_line != without).any(axis=(0, 2)))
    assert changed.size in (1, 2)
    assert np.abs(changed - 30).max() <= 1


def test_outline_of_a_single_class_runs_all_around_it():
    rgb = np.zeros((40, 60, 3), np.uint8)
    labels = np.full((40, 60), ROAD, np.uint8)
    labels[10:30, 20:40] = CAR
    with_line = Painter(CAMVID11, Style([CAR]), legend=False)(rgb, labels)
    without = Painter(CAMVID11, Style([CAR], outline="none"), legend=False)(rgb, labels)
    ring = np.zeros((40, 60), bool)
    ring[10:30, 20:40], ring[11:29, 21:39] = True, False
    assert np.array_equal((with_line != without).any(axis=2), ring)


def test_legend_names_what_was_seen_and_grows():
    rgb = np.zeros((360, 480, 3), np.uint8)
    paint = Painter(CAMVID11, Style(outline="none"))
    bare = Painter(CAMVID11, Style(outline="none"), legend=False)
    road = np.full((360, 480), ROAD, np.uint8)
    one = (paint(rgb, road) != bare(rgb, road)).any(axis=2)
    both = road.copy()
    both[:40] = CAR
    two = (paint(rgb, both) != bare(rgb, both)).any(axis=2)
    again = (paint(rgb, road) != bare(rgb, road)).any(axis=2)
    assert 0 < one.sum() < two.sum()
    assert np.array_equal(two, again)
    assert not one[:200].any()


def test_legend_names_a_class_of_one_pixel():
    labels = np.full((360, 480), ROAD, np.uint8)
    labels[100, 100] = CAR
    paint = Painter(CAMVID11)
    paint(np.zeros((360, 480, 3), np.uint8), labels)
    assert [name for name, _ in paint.seen] == ["road", "car"]


@pytest.mark.parametrize("size_hw", [(240, 320), (480, 640), (1080, 1920), (2160, 3840)])
def test_legend_of_all_classes_fits(size_hw):
    panel = legend_panel(list(zip(CAMVID11.names, CAMVID11.colours, strict=True)), size_hw)
    assert 0 < panel.shape[0] <= size_hw[0] / 2
    assert 0 < panel.shape[1] <= size_hw[1]
    colours = {tuple(pixel) for pixel in panel.reshape(-1, 3).tolist()}
    assert set(CAMVID11.colours) <= colours


def test_a_legend_that_is_too_long_says_how_much_it_leaves_out():
    panel = legend_panel([(f"class-{i}", (i, 9, 200)) for i in range(100)], (240, 320))
    shown = {pixel[0] for pixel in panel.reshape(-1, 3).tolist() if pixel[1:] == [9, 200]}
    assert 5 < len(shown) < 100


def test_no_legend_where_there_is_no_room():
    assert legend_panel([("pedestrian", (1, 2, 3))], (20, 30)).size == 0
    assert legend_panel([], (720, 1280)).size == 0
    rgb, labels = np.zeros((16, 16, 3), np.uint8), np.zeros((16, 16), np.uint8)
    assert Painter(CAMVID11)(rgb, labels).shape == (16, 16, 3)


@given(st.integers(1, 300), st.integers(2, 300), st.text(max_size=40))
def test_any_size_and_caption(height, width, text):
    left, right = np.full((height, width, 3), 9, np.uint8), np.full((height, width, 3), 200, np.uint8)
    both = side_by_side(left, right, captions=(text, ""))
    assert both.shape == (height, 2 * width, 3)
    assert (both[:, width + 1 :] == 200).all()
    assert (left == 9).all()


def test_caption_is_readable():
    picture = np.full((240, 320, 3), 128, np.uint8)
    caption(picture, "network")
    assert picture[:60].max() > 230
    assert picture[:20].min() < 100
    assert (picture[60:] == 128).all()


@pytest.mark.parametrize(("width", "count"), [(720, 2), (320, 2), (240, 3)])
def test_lines_of_a_caption_are_whole_and_of_much_the_same_width(width, count):
    text, line = "segtween (composed, bidirectional), network on 1 frame in 5", line_height((1280, width))
    lines = balanced(text, line, width - 2 * (line // 3))
    assert " ".join(lines) == text
    assert len(lines) == count
    widths = [text_width(one, line) for one in lines]
    assert max(widths) <= width
    assert min(widths) > 0.5 * max(widths)
    picture = np.full((1280, width, 3), 128, np.uint8)
    caption(picture, text)
    rows = np.flatnonzero((picture != 128).any(axis=(1, 2)))
    assert round(1.3 * line) * count <= len(rows) < round(1.3 * line) * (count + 1), "a strip of so many lines"


@given(st.lists(st.integers(0, 255), min_size=1, max_size=50))
def test_counts(values):
    labels = np.array([values], np.uint8)
    assert np.array_equal(class_counts(labels), np.bincount(values, minlength=256))


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(1, 40)), min_size=1, max_size=30), st.integers(0, 7))
def test_counts_of_runs(runs, skipped):
    values = np.concatenate([np.full(n, v, np.uint8) for v, n in runs])[skipped:]
    assert np.array_equal(class_counts(values[None]), np.bincount(values, minlength=256))
    upright = np.stack([values, values], axis=1)[:, :1]
    assert np.array_equal(class_counts(upright), np.bincount(values, minlength=256)), "not contiguous"


def test_counts_of_a_large_frame():
    assert class_counts(np.full((4100, 4100), 3, np.uint8))[3] == 4100 * 4100
