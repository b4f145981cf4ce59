"""The page in a real browser: a video is sent, run and looked at; live; what goes wrong is said on the page."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsers import NEEDS_BROWSER, chromium, needs, until
from ui.conftest import Served, serve

pytestmark = [*NEEDS_BROWSER, needs("starlette", "uvicorn")]

LONG_MS = 120_000


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    yield from serve(tmp_path_factory.mktemp("served"), threads=1)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    """A page of a browser of its own, as far as cookies go."""
    with visit(browser, served) as opened:
        yield opened
        assert not opened.faults


class Visit:
    def __init__(self, browser: Any, served: Served, width: int) -> None:
        self._context = browser.new_context(viewport={"width": width, "height": 900})
        self.page = self._context.new_page()
        self.page.faults = []
        self.page.on("pageerror", lambda error: self.page.faults.append(str(error)))
        self.page.on("request", self._is_here)
        self._url = served.url
        self.page.goto(served.url)
        self.page.wait_for_selector("#run fieldset")

    def _is_here(self, request: Any) -> None:
        if not request.url.startswith((self._url, "data:", "blob:")):
            self.page.faults.append(f"{request.url} is elsewhere")

    def __enter__(self) -> Any:
        return self.page

    def __exit__(self, *_: object) -> None:
        self._context.close()


def visit(browser: Any, served: Served, *, width: int = 1280) -> Visit:
    return Visit(browser, served, width)


def send(page: Any, clip: Path) -> None:
    page.set_input_files("#run input[type=file]", str(clip))
    page.wait_for_selector(f"#run .videos li:has-text('{clip.name}')")


def run(page: Any, clip: Path) -> None:
    send(page, clip)
    page.fill("#run input[type=number][max='60']", "4")
    page.check("#run input[value=online]")
    page.get_by_role("button", name="Run", exact=True).click()
    page.wait_for_selector("#run #stage", timeout=LONG_MS)
    until(page, "document.getElementById('after').width == 160")


def wait_for(page: Any, words: str) -> None:
    until(page, "words => document.getElementById('now').textContent.startsWith(words)", words)


def wait_for_alert(page: Any) -> str:
    page.wait_for_selector("#alert:not([hidden])")
    return str(page.inner_text("#alert span"))


def test_a_video_is_sent_run_and_looked_at(page: Any, clip: Path, tmp_path: Path) -> None:
    run(page, clip)
    wait_for(page, "Frame 1 of 12")
    figures = page.inner_text("#results .numbers")
    assert "Times faster" in figures
    assert "every frame:" in figures
    timeline = page.locator("#timeline")
    timeline.scroll_into_view_if_needed()
    box = timeline.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 8.5 / 12, box["y"] + 30)
    wait_for(page, "Frame 9 of 12, 0.67 s, key frame")
    stage = page.locator("#stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 50)
    page.mouse.up()
    assert page.locator("#split").input_value() == "25"
    button = page.locator("#legend button", has_text="dim")
    assert "%" in button.inner_text()
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    with page.expect_download() as download:
        page.get_by_role("link", name="Labels", exact=True).click()
    download.value.save_as(tmp_path / "labels.zip")
    assert (tmp_path / "labels.zip").read_bytes()[:2] == b"PK"
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Open the report").click()
    report = opened.value
    until(report, "document.getElementById('after') && document.getElementById('after').width == 160")
    assert report.inner_text("h1") == "square"


DROP = """([where, files]) => {
  const given = new DataTransfer();
  for (const [name, data] of files) {
    given.items.add(new File([Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0))], name));
  }
  const [over, drop] = ["dragover", "drop"].map((kind) =>
    new DragEvent(kind, { dataTransfer: given, bubbles: true, cancelable: true }));
  for (const event of [over, drop]) document.querySelector(where).dispatchEvent(event);
  return drop.defaultPrevented;
}"""
WORDS = ("words.mp4", base64.b64encode(b"words").decode())


def test_a_file_that_is_dropped_beside_the_field_does_not_replace_the_page(page: Any) -> None:
    assert page.evaluate(DROP, ["h1", [WORDS]])
    assert page.is_hidden("#alert")


def test_one_of_two_files_is_refused(page: Any, clip: Path) -> None:
    page.evaluate(DROP, ["#run .drop", [WORDS, ("dropped.mp4", base64.b64encode(clip.read_bytes()).decode())]])
    page.wait_for_selector("#run .videos li:has-text('dropped.mp4')")
    assert wait_for_alert(page).startswith("words.mp4 is no video")


def test_an_upload_is_cancelled(page: Any, clip: Path) -> None:
    page.route("**/api/videos/*", lambda _: None)  # its bytes never arrive
    with page.expect_request("**/api/videos/*"):
        page.set_input_files("#run input[type=file]", str(clip))
    with page.expect_event("requestfailed"):
        page.locator("#run .job").get_by_role("button", name="Cancel").click()
    page.wait_for_selector("#run .job", state="detached")
    assert page.is_hidden("#alert")
    assert page.locator("#run .videos li").count() == 0
    page.unroute_all(behavior="ignoreErrors")
    send(page, clip)


def test_classes_that_are_not_tinted_are_switched_off_at_first(page: Any, clip: Path) -> None:
    send(page, clip)
    page.evaluate("""async () => {
      const { request } = await import("/static/api.js"), [video] = (await request("/api/state")).videos;
      await request("/api/runs", { video: video.id, classes: ["bright"], compare: false });
    }""")
    page.reload()  # while it runs
    page.wait_for_selector("#run #stage", timeout=LONG_MS)
    buttons = {name: page.locator("#legend button", has_text=name) for name in ("bright", "dim")}
    assert [one.get_attribute("aria-pressed") for one in buttons.values()] == ["true", "false"]
    shown = "document.getElementById('shownR').getAttribute('tableValues')"
    assert page.evaluate(shown) == "1 0 1 1 0"
    buttons["dim"].click()
    assert page.evaluate(shown) == "1 1 1 1 0"


def test_a_video_is_dropped(page: Any, clip: Path) -> None:
    page.evaluate(DROP, ["#run .drop", [("dropped.mp4", base64.b64encode(clip.read_bytes()).decode())]])
    page.wait_for_selector("#run .videos li:has-text('dropped.mp4')")
    assert page.is_enabled("#run button.primary")


@pytest.mark.shared
def test_one_shared_video_is_run_while_the_other_waits(page: Any, shared: Path, tmp_path: Path) -> None:
    from segtween.video import open_source

    button = page.get_by_role("button", name="Run", exact=True)
    page.get_by_label("compare with the network on every frame").uncheck()
    for name in ("motorway_cars_1280x720", "motorway_960x540"):
        send(page, shared / "data" / "video" / f"{name}.mp4")
        button.click()
    until(page, "!!document.querySelectorAll('#run .job')[1]?.innerText.includes('waiting: 1 before it')")
    page.wait_for_selector("#run #stage", timeout=2 * LONG_MS)
    wait_for(page, "Frame 1 of 38")
    until(page, "!!document.querySelector('#run .job')?.innerText.match(/, [1-9]\\d* of 221 frames/)", seconds=120)
    with page.expect_download() as download:
        page.get_by_role("link", name="Overlay", exact=True).click()
    download.value.save_as(tmp_path / "overlay.mp4")
    source = open_source(tmp_path / "overlay.mp4")
    assert (source.info.size_hw, source.info.n_frames) == ((720, 1280), 38)
    source.close()
    page.get_by_role("button", name="Cancel").click()
    until(page, "!!document.querySelector('#run .job')?.innerText.includes('cancelled')")


def test_with_the_keyboard_alone(page: Any, clip: Path) -> None:
    send(page, clip)
    page.keyboard.press("Tab")
    for _ in range(40):
        if page.evaluate("document.activeElement.textContent") == "Run" and page.evaluate(
            "document.activeElement.classList.contains('primary')"
        ):
            break
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        kind = page.evaluate("document.activeElement.type")
        assert outline != "none" or kind == "file", "where the focus is can be seen"
        page.keyboard.press("Tab")
    else:
        pytest.fail("the button is not reached")
    page.keyboard.press("Enter")
    page.wait_for_selector("#run #stage", timeout=LONG_MS)
    assert page.evaluate("document.activeElement.id") == "result", "the result has the focus"
    wait_for(page, "Frame 1 of 12")
    page.keyboard.press("ArrowRight")
    wait_for(page, "Frame 2 of 12")
    page.keyboard.press("k")
    wait_for(page, "Frame 6 of 12")
    page.focus("#run summary")
    page.keyboard.press("Space")
    assert page.evaluate("document.querySelector('#run details').open"), "space opens it and does not play"
    assert page.inner_text("#play") == "Play"
    page.focus("#tab-run")
    page.keyboard.press("ArrowRight")
    assert page.is_visible("#live")
    assert page.is_hidden("#run")
    wait_for(page, "Frame 6 of 12")


def test_a_page_that_is_loaded_anew_shows_the_result_again(page: Any, clip: Path) -> None:
    run(page, clip)
    page.reload()
    page.wait_for_selector("#run #stage")
    assert "square.mp4" in page.inner_text("#run .videos")


def test_a_page_that_is_loaded_anew_goes_on_with_what_is_rendered(page: Any) -> None:
    page.get_by_role("button", name="Demo street").click()
    page.wait_for_selector("#run .job:has-text('the demo street')")
    page.reload()
    page.wait_for_selector("#run .job:has-text('the demo street')")
    page.locator("#run .job").get_by_role("button", name="Cancel").click()
    page.wait_for_selector("#run .job", state="detached", timeout=LONG_MS)


def test_a_run_is_cancelled_and_another_waits_for_it(page: Any, long_clip: Path) -> None:
    send(page, long_clip)
    button = page.get_by_role("button", name="Run", exact=True)
    button.click()
    until(page, "!!document.querySelector('#run .job')?.innerText.match(/, [1-9]\\d* of 360 frames/)", seconds=120)
    until(page, "document.querySelector('#run .job').innerText.includes('left')")
    button.click()
    until(page, "!!document.querySelectorAll('#run .job')[1]?.innerText.includes('waiting: 1 before it')")
    page.locator("#run .job >> nth=1").get_by_role("button", name="Cancel").click()
    page.locator("#run .job >> nth=0").get_by_role("button", name="Cancel").click()
    until(
        page,
        "[...document.querySelectorAll('#run .job')].filter((one) => one.innerText.includes('cancelled')).length == 2",
    )
    assert "Overlay" in page.inner_text("#run .job:has-text('What is done is in')")


def test_what_goes_wrong_is_said_in_one_line(page: Any, tmp_path: Path) -> None:
    (tmp_path / "words.mp4").write_bytes(b"words that are no video at all")
    page.set_input_files("#run input[type=file]", str(tmp_path / "words.mp4"))
    assert wait_for_alert(page).startswith("words.mp4 is no video (it does not begin as one); expected a video file")
    page.get_by_role("button", name="Close this message").click()
    assert page.is_hidden("#alert")
    with (tmp_path / "big.mp4").open("wb") as file:
        file.truncate(10 << 30)  # which takes no room
    page.set_input_files("#run input[type=file]", str(tmp_path / "big.mp4"))
    assert wait_for_alert(page).startswith("big.mp4 has 10.0 GB; expected at most 2.0 GB")
    page.get_by_role("button", name="Close this message").click()
    page.fill("#run input[type=text]", "/etc/passwd")
    page.get_by_role("button", name="Record").click()
    assert wait_for_alert(page).startswith("address '/etc/passwd'; expected camera:0 or a stream's address")


def test_a_session_that_has_ended_is_said(page: Any, served: Served, clip: Path) -> None:
    send(page, clip)
    held = served.app.state.segtween.sessions
    cookie = next(one["value"] for one in page.context.cookies() if "session" in one["name"])
    held.end(held.find(cookie))
    held.reap()
    page.get_by_role("button", name="Run", exact=True).click()
    assert wait_for_alert(page) == "this session has ended; expected an open one; reload the page to begin another"
    page.reload()
    page.wait_for_selector("#run fieldset")
    assert page.locator("#run .videos li").count() == 0


def test_a_video_at_its_rate_is_watched_live(page: Any, long_clip: Path) -> None:
    send(page, long_clip)
    page.get_by_role("tab", name="Live").click()
    assert page.input_value("#live select >> nth=0") != "", "the only video is chosen"
    page.select_option("#live select >> nth=0", label="long.mp4, at its rate")
    page.get_by_role("button", name="Watch").click()
    until(page, "document.querySelector('#live .now').textContent.includes(' shown, network on ')", seconds=120)
    until(page, "document.querySelector('#live .now').textContent.includes('of 12 frames per second')")
    assert "latency" in page.inner_text("#live .now")
    until(page, "document.querySelector('#live img').naturalWidth == 160")
    first = page.locator("#live img").screenshot()
    page.wait_for_timeout(1500)
    assert page.locator("#live img").screenshot() != first, "it moves"
    page.reload()
    page.get_by_role("tab", name="Live").click()
    until(page, "document.querySelector('#live img')?.naturalWidth == 160")
    page.get_by_role("button", name="Stop").click()
    page.wait_for_selector("#live img", state="hidden")
    assert page.is_enabled("#live button.primary")


@pytest.mark.parametrize("width", [1280, 400])
def test_it_fits_the_screen(browser: Any, served: Served, clip: Path, tmp_path: Path, width: int) -> None:
    named = tmp_path / f"{'x' * 200}.mp4"
    named.write_bytes(clip.read_bytes())
    with visit(browser, served, width=width) as page:
        run(page, named)
        for tab in ("Live", "Label frames", "Run"):
            page.get_by_role("tab", name=tab).click()
            assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#stage").bounding_box()["width"] > 0.8 * min(width, 1000)


def test_every_control_has_a_name(page: Any, clip: Path) -> None:
    run(page, clip)
    nameless = page.evaluate("""() => [...document.querySelectorAll('button, input, select, a')].filter((one) =>
      !(one.getAttribute('aria-label') || one.labels?.[0]?.textContent.trim() || one.textContent.trim()))
      .map((one) => one.outerHTML)""")
    assert nameless == []
