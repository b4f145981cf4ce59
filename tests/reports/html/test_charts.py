"""Charts: well-formed, with words, and where their numbers say."""

from __future__ import annotations

import re

import numpy as np
import pytest
from page_reader import Page

from segtween.reports.html.charts import (
    HEIGHT,
    LEFT,
    WIDTH,
    Bar,
    Series,
    areas,
    bars,
    line_chart,
    marks,
    strip,
)


def places(html: str, tag: str, *names: str) -> list[tuple[float, ...]]:
    return [tuple(float(one[name] or 0) for name in names) for one in Page(html).all(tag)]


def test_points_lie_where_their_values_are() -> None:
    html = line_chart(
        "IoU", [Series("a <b>", [(0, 50), (4, 60)], [(45, 55), None])], x="distance", y="mIoU (%)", whole_x=True
    )
    (x0, y0), (x1, y1) = places(html, "circle", "cx", "cy")
    assert LEFT < x0 < x1 < WIDTH
    assert 0 < y1 < y0 < HEIGHT, "more is higher"
    read = Page(html)
    assert "mIoU (%) over distance. a <b>: 50 at 0, 60 at 4." in read.text
    whisker = next(path for path in read.all("path") if path.get("opacity"))
    low, high = (float(v) for v in re.match(r"M[\d.]+ ([\d.]+)V([\d.]+)M", whisker["d"] or "").groups())  # type: ignore[union-attr]
    assert high < y0 < low, "the whisker goes from the lower bound to the upper one"
    assert low - y0 == pytest.approx(y0 - high, abs=0.2)
    labels = [float(word) for word in re.findall(r'text-anchor="end">([\d.]+)<', html)]
    assert labels == sorted(labels)
    assert all(40 < label < 65 for label in labels)


def test_without_points_there_is_no_chart() -> None:
    assert line_chart("nothing", [Series("a", [])], x="x", y="y") == ""


def test_one_point_is_drawn_too() -> None:
    assert len(places(line_chart("one", [Series("a", [(3, 7)])], x="x", y="y"), "circle", "cx")) == 1


def test_bars_are_as_long_as_their_values() -> None:
    html = bars([Bar("a", [(1, "red"), (3, "blue")], "4"), Bar("b", [(2, "red")], "2")], caption="ms")
    assert places(html, "rect", "x", "width") == [(0, 25), (25, 75), (0, 50)]
    assert Page(html).text == "ms a 4 b 2"
    assert places(bars([Bar("a", [(1, "red")], "1")], caption="", most=2), "rect", "width") == [(50,)]
    assert places(bars([Bar("a", [(0, "red")], "0")], caption=""), "rect", "width") == [(0,)]


def test_a_strip_leaves_a_gap_where_nothing_is_known() -> None:
    html = strip("flicker", [("one", np.array([0.0, 0.1, np.nan, 0.05]), "red")], span=(0.0, 0.1), words="to 10%")
    first, second = (line["points"] or "" for line in Page(html).all("polyline"))
    assert first == "125.0,97.0 375.0,3.0"
    assert second == "875.0,50.0 875.0,50.0"


def test_marks_that_cannot_be_told_apart_are_one() -> None:
    assert marks("keys", range(100), 100, words="").count("V100") == 100
    assert marks("keys", range(1_000_000), 1_000_000, words="").count("V100") < 10_002


def test_areas_stack_up_to_the_top() -> None:
    html = areas("shares", np.array([[0.25, 0.5], [0, 0], [0.75, 0.5]]), [(1, 2, 3)] * 3, words="")
    lower, upper = (one["points"] or "" for one in Page(html).all("polygon"))
    assert lower == "0.0,75.0 1000.0,50.0 1000.0,100.0 0.0,100.0"
    assert upper == "0.0,0.0 1000.0,0.0 1000.0,50.0 0.0,75.0"
    assert areas("shares", np.array([[1.0]]), [(1, 2, 3)], words="").count("<polygon") == 1
