"""What the overlay does to pixels, and what it leaves alone."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from segtween.labels import CAMVID11
from segtween.video.paint import Painter, caption, class_counts, legend_panel, side_by_side

CAR, ROAD = CAMVID11.index("car"), CAMVID11.index("road")


def test_tint_is_half_the_class_colour():
    rgb = np.full((40, 60, 3), 100, np.uint8)
    labels = np.full((40, 60), CAR, np.uint8)
    painted = Painter(CAMVID11, legend=False)(rgb, labels)
    wanted = (100 + np.array(CAMVID11.colours[CAR])) / 2
    assert np.abs(painted[20, 30] - wanted).max() <= 1
    assert (rgb == 100).all()


def test_ignored_and_other_classes_keep_their_pixels():
    rgb = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    labels = np.full((40, 60), ROAD, np.uint8)
    labels[:10], labels[30:] = 255, CAR
    painted = Painter(CAMVID11, classes=[CAR], legend=False)(rgb, labels)
    assert np.array_equal(painted[:30], rgb[:30])
    assert not np.array_equal(painted[31:], rgb[31:])


def test_outline_lies_on_the_boundary_only():
    rgb = np.zeros((40, 60, 3), np.uint8)
    labels = np.full((40, 60), ROAD, np.uint8)
    labels[:, 30:] = CAR
    with_line = Painter(CAMVID11, legend=False)(rgb, labels)
    without = Painter(CAMVID11, outline=False, legend=False)(rgb, labels)
    changed = np.flatnonzero((with_line != without).any(axis=(0, 2)))
    assert changed.size in (1, 2)
    assert np.abs(changed - 30).max() <= 1


def test_outline_of_a_single_class_runs_all_around_it():
    rgb = np.zeros((40, 60, 3), np.uint8)
    labels = np.full((40, 60), ROAD, np.uint8)
    labels[10:30, 20:40] = CAR
    with_line = Painter(CAMVID11, classes=[CAR], legend=False)(rgb, labels)
    without = Painter(CAMVID11, classes=[CAR], outline=False, legend=False)(rgb, labels)
    ring = np.zeros((40, 60), bool)
    ring[10:30, 20:40], ring[11:29, 21:39] = True, False
    assert np.array_equal((with_line != without).any(axis=2), ring)


def test_legend_names_what_was_seen_and_grows():
    rgb = np.zeros((360, 480, 3), np.uint8)
    paint = Painter(CAMVID11, outline=False)
    bare = Painter(CAMVID11, outline=False, legend=False)
    road = np.full((360, 480), ROAD, np.uint8)
    one = (paint(rgb, road) != bare(rgb, road)).any(axis=2)
    both = road.copy()
    both[:40] = CAR
    two = (paint(rgb, both) != bare(rgb, both)).any(axis=2)
    again = (paint(rgb, road) != bare(rgb, road)).any(axis=2)
    assert 0 < one.sum() < two.sum()
    assert np.array_equal(two, again)
    assert not one[:200].any()


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


@given(st.lists(st.integers(0, 255), min_size=1, max_size=50))
def test_counts(values):
    labels = np.array([values], np.uint8)
    assert np.array_equal(class_counts(labels), np.bincount(values, minlength=256))


def test_counts_of_a_large_frame():
    assert class_counts(np.full((4100, 4100), 3, np.uint8))[3] == 4100 * 4100
