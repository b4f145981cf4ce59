"""The report of a run in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from browsers import NEEDS_BROWSER, Fingers, chromium, until
from segtween.cli import app

MODEL = f"{Path(__file__).parents[2] / 'fakes.py'}:by_brightness"
SIZE, FRAMES = (120, 160), 12

pytestmark = NEEDS_BROWSER


def square(index: int) -> Any:
    """A white square (class "bright") that moves right over dark grey (class "dim")."""
    rgb = np.full((*SIZE, 3), 90, np.uint8)
    rgb[40:80, 8 * index : 8 * index + 40] = 240
    return rgb


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("browser")
    (root / "clip").mkdir()
    for i in range(FRAMES):
        cv2.imwrite(str(root / "clip" / f"{i:02}.png"), square(i))
    args = ["run", root / "clip", "-o", root / "out", "--model", MODEL, "--every", "4", "--report", "-q", "--online",
            "--compare", "every-frame", "--save", "labels"]  # fmt: skip
    done = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return root / "out" / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


def visit(browser: Any, report: Path, *, width: int = 1280) -> Any:
    page = browser.new_page(viewport={"width": width, "height": 1000})
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.goto(report.as_uri())
    page.wait_for_function("document.getElementById('after').width == 160")  # drawn: 300 before
    return page


def wait_for(page: Any, words: str) -> None:
    page.wait_for_function("words => document.getElementById('now').textContent.startsWith(words)", arg=words)
    page.wait_for_timeout(300)


def shown(page: Any) -> Any:
    """(120, 160, 3) what the player shows."""
    data = page.locator("#stage").screenshot()
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1]
    return cv2.resize(picture, SIZE[::-1], interpolation=cv2.INTER_AREA).astype(int)


def centre(page: Any) -> tuple[float, float]:
    """Where the square is seen, by its brightness."""
    bright = shown(page).mean(axis=2)
    rows = bright[45:75]
    found = np.flatnonzero((rows > rows.mean() + 25).mean(axis=0) > 0.8)
    return float(found.mean()), float(len(found))


def test_frame_by_frame_with_keys_alone(browser: Any, report: Path) -> None:
    page = visit(browser, report)
    page.locator("#split").fill("0")
    page.locator("#split").blur()
    wait_for(page, "Frame 1 of 12, 0.00 s, key frame")
    at = centre(page)[0]
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    wait_for(page, "Frame 4 of 12, 0.12 s, 3 since key frame")
    assert centre(page)[0] == pytest.approx(at + 24, abs=4), "8 pixels from frame to frame"
    page.keyboard.press("k")
    wait_for(page, "Frame 5 of 12, 0.16 s, key frame")
    page.keyboard.press("j")
    wait_for(page, "Frame 1 of 12")
    page.keyboard.press("End")
    wait_for(page, "Frame 12 of 12")
    page.keyboard.press("Space")
    page.wait_for_timeout(1500)
    page.keyboard.press("Space")
    assert page.inner_text("#play") == "Play"
    assert not page.faults


def test_a_class_is_switched_off(browser: Any, report: Path) -> None:
    page = visit(browser, report)
    wait_for(page, "Frame 1")
    tinted = shown(page)[50:70, 100:140]
    button = page.locator("#legend button", has_text="dim")
    assert "%" in button.inner_text()
    button.click()
    page.wait_for_timeout(300)
    plain = shown(page)[50:70, 100:140]
    assert np.abs(plain - 90).mean() < 8, "the picture itself"
    assert np.abs(tinted - plain).mean() > 15
    assert button.get_attribute("aria-pressed") == "false"
    button.click()
    page.wait_for_timeout(300)
    assert np.abs(shown(page)[50:70, 100:140] - tinted).mean() < 3


def jump(page: Any, index: int) -> None:
    """To a frame, with the timeline."""
    timeline = page.locator("#timeline")
    timeline.scroll_into_view_if_needed()
    box = timeline.bounding_box()
    page.mouse.click(box["x"] + box["width"] * (index + 0.5) / FRAMES, box["y"] + 30)
    wait_for(page, f"Frame {index + 1} of 12")


def test_the_timeline_jumps(browser: Any, report: Path) -> None:
    page = visit(browser, report)
    wait_for(page, "Frame 1 of 12")
    jump(page, 8)
    jump(page, 2)


def test_the_least_certain_frame_is_jumped_to_from_any_other(browser: Any, report: Path) -> None:
    """Whichever it is: most are as certain as each other."""
    page = visit(browser, report)
    button = page.locator("[data-frame]").first
    least = int(button.get_attribute("data-frame"))
    for other in (0, FRAMES - 1):
        if other != least:
            jump(page, other)
            button.click()
            wait_for(page, f"Frame {least + 1} of 12")


def test_it_fits_a_narrow_screen(browser: Any, report: Path) -> None:
    page = visit(browser, report, width=400)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.locator("#stage").bounding_box()["width"] > 340


def test_the_picture_is_enlarged_and_moved_with_keys_alone(browser: Any, report: Path) -> None:
    page = visit(browser, report)
    page.locator("#split").fill("0")
    page.locator("#split").blur()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    wait_for(page, "Frame 6 of 12")  # the square is near the middle
    at, wide = centre(page)
    page.keyboard.press("+")
    page.wait_for_timeout(200)
    assert page.inner_text("#zoom") == "1.5x"
    larger_at, larger = centre(page)
    assert larger == pytest.approx(1.5 * wide, abs=6)
    page.keyboard.press("a")
    page.wait_for_timeout(200)
    assert centre(page)[0] == pytest.approx(larger_at + 160 / 8, abs=4), "to the right"
    page.locator("#split").fill("50")
    page.locator("#split").blur()
    box = page.locator("#stage").bounding_box()
    clipped = page.evaluate("""() => {
      const canvas = document.getElementById("after"), box = canvas.getBoundingClientRect();
      const share = parseFloat(canvas.style.clipPath.match(/ ([\\d.]+)%\\)/)[1]) / 100;
      return box.left + share * box.width;
    }""")
    assert clipped == pytest.approx(box["x"] + box["width"] / 2, abs=2), "the divider stays where it is"
    page.keyboard.press("0")
    page.wait_for_timeout(200)
    assert centre(page) == pytest.approx((at, wide), abs=2)


def test_one_finger_moves_the_divider_or_scrolls_and_two_enlarge(browser: Any, report: Path) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 500}, has_touch=True, is_mobile=True)
    page = context.new_page()
    page.goto(report.as_uri())
    page.locator("#stage").scroll_into_view_if_needed()
    fingers, box = Fingers(page), page.locator("#stage").bounding_box()
    middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    fingers.drag(middle, (0.25 * box["width"], 0))
    assert int(page.input_value("#split")) == pytest.approx(75, abs=3)
    fingers.spread((middle[0] - 20, middle[1]), (middle[0] + 20, middle[1]), by=20)
    assert page.inner_text("#zoom") == "2x"
    assert int(page.input_value("#split")) == pytest.approx(75, abs=3), "two fingers leave it"
    at = page.evaluate("scrollY")
    fingers.drag(middle, (0, -100))
    until(page, "at => scrollY > at + 50", at)
    assert int(page.input_value("#split")) == pytest.approx(75, abs=3), "one that scrolls leaves it, too"
    context.close()


def test_films_that_are_missing_are_named(browser: Any, report: Path, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(report.read_text())
    page = browser.new_page()
    page.goto((tmp_path / "report.html").as_uri())
    page.wait_for_selector("#missing:not([hidden])")
    assert "cannot be played: it belongs beside this page" in page.inner_text("#missing")
