"""Labelling frames in a real browser: Playwright with a Chromium that is installed."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from browsers import NEEDS_BROWSER, Fingers, chromium, needs, until
from ui.conftest import serve
from ui.labelled_clip import FRAMES, GROUND, SIZE, SQUARE, place, truth, write_clip

pytestmark = [*NEEDS_BROWSER, needs("starlette", "uvicorn")]

SHOTS = os.environ.get("SEGTWEEN_SHOTS")
"""A folder for screenshots, to be looked at; none are kept without it."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    yield from serve(tmp_path_factory.mktemp("server") / "sessions")


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "square.mkv")


class Editor:
    """The page with one video, and its editor."""

    def __init__(self, page: Any) -> None:
        self.page, self.faults = page, list[str]()
        page.on("pageerror", lambda error: self.faults.append(str(error)))

    def open(self, video: Path, *, label_set: str = "", network: bool = False) -> None:
        """Opens a video from nothing, with the classes ground and square or those of a label set, or from the labels of
        a network."""
        page = self.page
        page.click("#tab-labelling")
        page.set_input_files("#labelling .drop input", str(video))
        page.wait_for_selector("#labelling .videos li")
        if not network:
            page.get_by_label("Begin from").select_option("")
            page.locator("#labelling").get_by_label("Classes", exact=True).select_option(label_set)
            if not label_set:
                page.get_by_label("Names of your classes").fill("ground, square")
        page.click("#labelling form button[type=submit]")
        self.wait(".proposals button")

    def frame(self, frame: int) -> None:
        self.page.get_by_label("Another frame").fill(str(frame))
        self.page.get_by_role("button", name="Open frame").click()
        self.wait(f".frame-title >> text=Frame {frame},")

    def wait(self, selector: str) -> None:
        self.page.wait_for_selector(selector, timeout=60_000)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """The place on the screen of a pixel, with the whole picture in sight."""
        box = self.page.locator(".editor-canvas").bounding_box()
        scale = min(box["width"] / SIZE[1], box["height"] / SIZE[0])
        left, top = (box["width"] - scale * SIZE[1]) / 2, (box["height"] - scale * SIZE[0]) / 2
        return box["x"] + left + (x + 0.5) * scale, box["y"] + top + (y + 0.5) * scale

    def click(self, x: float, y: float) -> None:
        self.page.mouse.click(*self.at(x, y))

    def drag(self, *points: tuple[float, float]) -> None:
        mouse = self.page.mouse
        mouse.move(*self.at(*points[0]))
        mouse.down()
        for point in points[1:]:
            mouse.move(*self.at(*point), steps=6)
        mouse.up()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def tool(self, name: str) -> None:
        self.page.locator("[data-tool]", has_text=name).click()

    def take_class(self, name: str) -> None:
        self.page.locator(".editor-classes button", has_text=name).click()

    def save(self) -> None:
        self.page.get_by_role("button", name="Save labels", exact=True).click()
        self.wait(".status >> text=saved.")

    def saved(self, frame: int) -> np.ndarray[Any, Any]:
        """What the server holds."""
        return self.labels(frame, "saved")

    def labels(self, frame: int, origin: str) -> np.ndarray[Any, Any]:
        answer = self.page.request.get(f"{self.base()}/frames/{frame}/labels/{origin}")
        assert answer.ok, answer.text()
        return np.frombuffer(answer.body(), np.uint8).reshape(SIZE)

    def base(self) -> str:
        labelling = self.page.request.get(f"{self.page.url}api/labelling").json()["labelling"]
        return f"{self.page.url}api/labelling/{labelling['id']}"

    def propagate(self) -> None:
        self.page.get_by_role("button", name="Propagate labels", exact=True).click()
        self.wait(".status >> text=Labels propagated to")

    def now(self) -> str:
        return str(self.page.inner_text(".editor-now"))

    def shot(self, name: str) -> None:
        if SHOTS:
            self.page.screenshot(path=str(Path(SHOTS) / f"{name}.png"), full_page=True)


@pytest.fixture
def editor(browser: Any, served: Any, square: Path, request: pytest.FixtureRequest) -> Iterator[Editor]:
    """A page of its own session, 1280 pixels wide unless the test says otherwise, with the video open."""
    context = browser.new_context(viewport={"width": getattr(request, "param", 1280), "height": 1000})
    made = Editor(context.new_page())
    made.page.goto(served.url)
    made.open(square)
    yield made
    assert not made.faults
    context.close()


def test_a_frame_is_painted_propagated_and_the_next_is_proposed(editor: Editor) -> None:
    page = editor.page
    page.locator(".proposals button").first.click()
    editor.wait(".frame-title >> text=from nothing")
    frame = int(page.locator(".proposals button").first.get_attribute("data-frame"))
    rows, columns = place(frame)
    editor.take_class("ground")
    editor.tool("Region")
    editor.click(3, 3)
    editor.take_class("square")
    editor.tool("Polygon")
    corners = [(columns.start, rows.start), (columns.stop - 1, rows.start), (columns.stop - 1, rows.stop - 1),
               (columns.start, rows.stop - 1), (columns.start, rows.start)]  # fmt: skip
    for corner in corners:
        editor.click(*corner)
    editor.shot("polygon")
    editor.save()
    assert np.array_equal(editor.saved(frame), truth(frame)), "the polygon is the square, its edges included"
    assert page.inner_text(".title") == f"square.mkv: {FRAMES} frames, 1 labelled"
    editor.propagate()
    assert page.inner_text(".share") == "100% of all pixels have a class now."
    assert np.mean(editor.labels(1, "after") == truth(1)) > 0.95
    following = page.locator(".next").inner_text()
    assert following.startswith("Next proposal: frame ")
    page.locator(".next").click()
    number = following.removeprefix("Next proposal: frame ")
    editor.wait(f".frame-title >> text=Frame {number}, from propagated labels")
    editor.tool("Brush")
    editor.take_class("ground")
    columns = place(int(number))[1]
    editor.drag((columns.start, 46), (columns.stop, 46))
    editor.save()
    editor.propagate()
    assert "changed (before: last run)" in page.inner_text(".share")
    now = page.inner_text(".comparison-now")
    assert now.endswith("of its pixels changed")
    assert not now.startswith("Frame 0: 0.00%")
    editor.shot("changes")


def comparison_pixels(page: Any) -> np.ndarray[Any, Any]:
    data = page.locator(".comparison-canvas").screenshot()
    return cv2.imdecode(np.frombuffer(data, np.uint8), 1)[..., ::-1].astype(int)


def test_changed_pixels_are_marked(editor: Editor) -> None:
    page = editor.page
    for values in (truth(4), np.full(SIZE, GROUND, np.uint8)):
        page.request.put(f"{editor.base()}/frames/4/labels/saved", data=values.tobytes(),
                         headers={"origin": page.url.rstrip("/")})  # fmt: skip
        page.reload()
        page.click("#tab-labelling")
        editor.propagate()
    page.get_by_label("Frame", exact=True).fill("4")
    editor.wait(".comparison-now >> text=Frame 4")
    page.wait_for_timeout(300)
    marked = comparison_pixels(page)
    page.get_by_label("Mark changed pixels").uncheck()
    page.wait_for_timeout(300)
    differs = np.abs(marked - comparison_pixels(page)).sum(axis=2) > 60
    differs = cv2.resize(differs.astype(np.uint8), SIZE[::-1], interpolation=cv2.INTER_AREA)
    assert np.mean(differs == (truth(4) == SQUARE)) > 0.97, "the square was taken away"
    share = np.mean(truth(4) == SQUARE)
    assert page.inner_text(".comparison-now") == f"Frame 4: {100 * share:.2f}% of its pixels changed"


def test_brush_eraser_undo_and_zoom(editor: Editor) -> None:
    page = editor.page
    editor.frame(3)
    editor.take_class("square")
    page.get_by_label("Size").fill("9")
    editor.drag((20, 20), (60, 20), (60, 60))
    editor.tool("Eraser")
    editor.drag((40, 10), (40, 30))
    editor.save()
    painted = editor.saved(3)
    assert painted[20, 25] == painted[50, 60] == SQUARE
    assert painted[20, 40] == 255, "erased"
    assert (painted[16:25, 25] == SQUARE).all(), "nine pixels wide"
    assert painted[15, 25] == painted[25, 25] == 255
    undo, redo = (page.get_by_role("button", name=name, exact=True) for name in ("Undo", "Redo"))
    undo.click()
    editor.save()
    assert editor.saved(3)[20, 40] == SQUARE
    redo.click()
    editor.save()
    assert np.array_equal(editor.saved(3), painted)
    undo.click()
    undo.click()
    assert undo.is_disabled()
    editor.tool("Brush")
    for _ in range(3):
        page.get_by_role("button", name="Zoom in").click()
    editor.click(64, 48)  # the middle stays where it is
    assert "at 64, 48: square" in editor.now()
    page.get_by_role("button", name="Fit", exact=True).click()
    editor.tool("Pick class")
    editor.click(64, 48)
    assert editor.now().startswith("Brush 9, square")


def test_with_the_keyboard_alone(browser: Any, served: Any, square: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.goto(served.url)
    editor = Editor(page)
    editor.open(square)  # the file dialogue is the browser's own

    def tab_to(name: str) -> None:
        for _ in range(80):
            editor.press("Tab")
            focused = page.evaluate("(document.activeElement.innerText || '') + '|' + document.activeElement.className")
            if name in focused:
                return
        raise AssertionError(f"{name} is not reached by Tab")

    page.locator("#tab-labelling").focus()
    tab_to("Frame 6")
    editor.press("Enter")
    editor.wait(".frame-title >> text=Frame 6")
    assert page.evaluate("document.activeElement.className") == "editor-canvas"
    assert "at 64, 48" in editor.now()
    editor.press("1", "r", "Enter")
    editor.press("2", "p")
    rows, columns = place(6)
    at = [64, 48]
    for x, y in [(columns.start, rows.start), (columns.stop - 1, rows.start), (columns.stop - 1, rows.stop - 1),
                 (columns.start, rows.stop - 1), (columns.start, rows.start)]:  # fmt: skip
        for axis, wanted, keys in ((0, x, ("ArrowLeft", "ArrowRight")), (1, y, ("ArrowUp", "ArrowDown"))):
            steps = wanted - at[axis]
            key = keys[steps > 0]
            editor.press(*[f"Shift+{key}"] * (abs(steps) // 10), *[key] * (abs(steps) % 10))
            at[axis] = wanted
        editor.press("Enter")
    assert editor.now().startswith("Polygon, square")
    editor.press("Control+s")
    editor.wait(".status >> text=saved.")
    assert np.array_equal(editor.saved(6), truth(6))
    # A stroke: the space bar is held while the cursor moves.
    editor.press("e")
    page.keyboard.down("Space")
    editor.press(*["Shift+ArrowRight"] * 3)
    page.keyboard.up("Space")
    editor.press("Control+s")
    editor.wait(".status >> text=saved.")
    assert "unknown" in editor.now()
    assert (editor.saved(6) == 255).any()
    editor.press("Control+z", "Control+s")
    page.wait_for_timeout(500)
    assert np.array_equal(editor.saved(6), truth(6))
    editor.press("+", "+", "0", "]", "[", "h", "h", ",", ".")
    tab_to("Propagate labels")
    editor.press("Enter")
    editor.wait(".status >> text=Labels propagated to")
    assert "Next proposal" in page.evaluate("document.activeElement.innerText")
    editor.press("Enter")
    editor.wait(".frame-title >> text=from propagated labels")
    assert not editor.faults
    context.close()


def test_what_is_painted_outlives_a_reload_and_the_session(editor: Editor, served: Any, square: Path) -> None:
    page = editor.page
    editor.frame(7)
    editor.drag((20, 20), (60, 20))
    editor.save()
    saved = editor.saved(7)
    editor.frame(3)
    editor.take_class("square")
    editor.drag((20, 20), (60, 20))
    page.wait_for_timeout(100)
    page.reload()
    page.click("#tab-labelling")
    editor.wait(".proposals button[data-frame='3'] >> text=not saved")
    assert page.locator(".proposals >> text=not saved").count() == 1
    sessions = served.app.state.segtween.sessions
    cookie = next(c["value"] for c in page.context.cookies() if c["name"].startswith("segtween-session"))
    sessions.end(sessions.find(cookie))
    editor.frame(3)
    page.get_by_role("button", name="Save labels", exact=True).click()
    editor.wait("#alert >> text=this session has ended; expected an open one; reload the page")
    page.reload()
    page.click("#tab-labelling")
    editor.wait("#labelling >> text=square.mkv, frames 3, 7")
    editor.open(square)
    editor.wait(".unsaved >> text=2 frames are painted and not saved.")
    page.locator(".proposals button[data-frame='3']").click()
    editor.wait(".frame-title >> text=from what was painted and not saved")
    page.get_by_role("button", name="Save all").click()
    editor.wait(".status >> text=Labels of 2 frames saved.")
    assert editor.saved(3)[20, 40] == SQUARE
    assert np.array_equal(editor.saved(7), saved), "what had been saved in the session that ended, too"
    assert page.locator(".unsaved").is_hidden()


def test_what_is_not_saved_can_be_forgotten(editor: Editor) -> None:
    page = editor.page
    editor.frame(7)
    editor.drag((20, 20), (60, 20))
    editor.save()
    editor.drag((20, 50), (60, 50))
    editor.wait(".unsaved >> text=One frame is painted and not saved.")
    page.get_by_role("button", name="Forget all").click()
    editor.wait(".status >> text=What was not saved of 1 frame is gone.")
    assert page.inner_text(".frame-title") == "Frame 7, from saved labels"
    page.reload()
    page.click("#tab-labelling")
    editor.wait(".proposals button[data-frame='7'] >> text=labelled")
    assert page.locator(".unsaved").is_hidden()


def test_a_server_that_does_not_answer_loses_nothing(editor: Editor) -> None:
    page = editor.page
    editor.frame(3)
    editor.drag((20, 20), (60, 20))
    page.route("**/api/**", lambda route: route.abort())
    page.get_by_role("button", name="Save labels", exact=True).click()
    editor.wait("#alert >> text=what was painted is kept in this browser")
    page.unroute("**/api/**")
    editor.save()
    assert editor.saved(3)[20, 40] == GROUND
    assert page.locator("#alert").is_hidden()


def test_saved_labels_are_downloaded_and_loaded_again(editor: Editor, tmp_path: Path) -> None:
    page = editor.page
    editor.frame(3)
    editor.take_class("square")
    editor.drag((20, 20), (60, 20))
    editor.save()
    painted = editor.saved(3)
    with page.expect_download() as download:
        page.get_by_text("Download saved labels").click()
    download.value.save_as(tmp_path / "labels.zip")
    page.get_by_role("button", name="Remove saved labels").click()
    editor.wait(".status >> text=removed")
    page.set_input_files(".files", str(tmp_path / "labels.zip"))
    editor.wait(".status >> text=Labels of 1 frame loaded: 3.")
    assert np.array_equal(editor.saved(3), painted)
    with zipfile.ZipFile(io.BytesIO((tmp_path / "labels.zip").read_bytes())) as file:
        file.extractall(tmp_path / "got")
    cv2.imwrite(str(tmp_path / "got" / "labels" / "7.png"), truth(7))
    cv2.imwrite(str(tmp_path / "got" / "labels" / "8.png"), truth(8)[:40])
    page.set_input_files(".folder", str(tmp_path / "got" / "labels"))
    editor.wait("#alert >> text=label file 8.png is 128x40; expected 128x96")
    assert np.array_equal(editor.saved(7), truth(7)), "the others are loaded"
    editor.frame(7)
    assert "from saved labels" in page.inner_text(".frame-title")


def test_labels_of_a_network_are_corrected(browser: Any, served: Any, square: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.goto(served.url)
    editor = Editor(page)
    editor.open(square, network=True)
    assert "expected error" in page.inner_text(".proposals")
    editor.frame(4)
    assert page.inner_text(".frame-title") == "Frame 4, from the network's labels"
    own = editor.labels(4, "network")
    editor.take_class("bright")
    editor.drag((10, 10), (110, 10))
    editor.save()
    assert (editor.saved(4) != own).any()
    page.get_by_label("Start again from").select_option("network")
    page.get_by_role("button", name="Take these").click()
    editor.wait(".status >> text=starts again from the network's labels")
    editor.save()
    assert np.array_equal(editor.saved(4), own)
    page.get_by_role("button", name="Undo", exact=True).click()
    editor.propagate()
    assert (editor.saved(4) != own).any(), "what is painted is saved before it is propagated"
    assert "changed (before: network)" in page.inner_text(".share")
    assert np.array_equal(editor.labels(4, "before"), own)
    assert not editor.faults
    context.close()


@pytest.mark.shared
def test_a_real_video(browser: Any, served: Any, shared: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.goto(served.url)
    editor = Editor(page)
    editor.open(shared / "data" / "video" / "motorway_cars_1280x720.mp4", label_set="camvid11")
    page.locator(".proposals button").first.click()
    editor.wait(".frame-title >> text=from nothing")
    editor.take_class("road")
    editor.tool("Polygon")
    box = page.locator(".editor-canvas").bounding_box()
    for x, y in [(0.05, 0.95), (0.5, 0.6), (0.6, 0.6), (0.95, 0.95), (0.05, 0.95)]:
        page.mouse.click(box["x"] + x * box["width"], box["y"] + y * box["height"])
    editor.save()
    editor.propagate()
    share = float(page.inner_text(".share").split("%")[0])
    assert 10 < share < 40, "the road, in every frame"
    assert page.locator(".next").inner_text().startswith("Next proposal: frame ")
    editor.shot("motorway")
    assert not editor.faults
    context.close()


def test_without_labels_there_is_one_message(editor: Editor) -> None:
    editor.page.get_by_role("button", name="Propagate labels", exact=True).click()
    editor.wait("#alert >> text=no frame is labelled; expected saved labels of one frame at least; label a frame")
    editor.frame(3)
    assert editor.page.locator("#alert").is_hidden()
    editor.page.get_by_role("button", name="Save labels", exact=True).click()
    editor.wait("#alert >> text=no pixel of frame 3 has a class")


RASTER = """async ({ width, height, values, steps }) => {
  const raster = await import("/static/raster.js"), { History } = await import("/static/history.js");
  const image = raster.labelImage(width, height, Uint8Array.from(values)), history = new History(image), found = [];
  for (const [name, ...args] of steps) {
    history.begin();
    history.add(raster[name](image, ...args));
    history.end();
    found.push(Array.from(image.data));
  }
  const undone = [];
  while (history.undo()) undone.push(Array.from(image.data));
  while (history.redo()) {}
  return { found, undone, redone: Array.from(image.data) };
}"""


def test_what_is_painted_is_exact(editor: Editor) -> None:
    rng, size_hw = np.random.default_rng(5), (40, 56)
    labels = cv2.resize(rng.integers(0, 3, (10, 14), np.uint8), size_hw[::-1], interpolation=cv2.INTER_NEAREST)
    corners = [[5, 3], [50, 9], [30, 20], [44, 37], [9, 30]]
    steps = [["paintStroke", [-3, 10], [30, 25], 7, 4], ["paintPolygon", corners, 5], ["paintRegion", [2, 38], 6]]
    given = {"width": size_hw[1], "height": size_hw[0], "values": labels.ravel().tolist(), "steps": steps}
    got = editor.page.evaluate(RASTER, given)
    stroke, polygon, region = (np.array(values, np.uint8).reshape(size_hw) for values in got["found"])
    ys, xs = np.mgrid[: size_hw[0], : size_hw[1]]
    along = np.clip(((xs + 3) * 33 + (ys - 10) * 15) / (33**2 + 15**2), 0, 1)
    near = np.hypot(xs + 3 - 33 * along, ys - 10 - 15 * along) <= 3.5
    assert np.array_equal(stroke, np.where(near, 4, labels)), "all within half of the size, nothing else"
    outline = np.array(corners, np.float32)
    inside = np.array([cv2.pointPolygonTest(outline, (float(x), float(y)), True) for y, x in np.ndindex(size_hw)])
    inside = inside.reshape(size_hw)
    assert (polygon[inside > 0.6] == 5).all()
    assert np.array_equal(polygon[inside < -0.6], stroke[inside < -0.6])
    filled = polygon.copy()
    cv2.floodFill(filled, None, (2, 38), 6, flags=4)
    assert np.array_equal(region, filled), "as OpenCV fills it"
    assert got["undone"] == [polygon.ravel().tolist(), stroke.ravel().tolist(), labels.ravel().tolist()]
    assert got["redone"] == region.ravel().tolist()


UNDONE = """async (size) => {
  const { labelImage } = await import("/static/raster.js"), { History } = await import("/static/history.js");
  const image = labelImage(size, size), history = new History(image), all = { x: 0, y: 0, width: size, height: size };
  const paint = (value) => { history.begin(); image.data.fill(value); history.add(all); history.end(); };
  for (let i = 0; i < 9; i++) { paint(i); history.undo(); }
  for (let i = 0; i < 3; i++) paint(i);
  return history.done.length;
}"""


def test_what_was_undone_takes_no_room_from_what_can_be_undone(editor: Editor) -> None:
    """Nine steps of 18 MB that were undone, and three that were not: 128 MB are kept."""
    assert editor.page.evaluate(UNDONE, 3000) == 3


def test_a_polygon_that_is_not_closed(editor: Editor) -> None:
    editor.frame(3)
    editor.tool("Polygon")
    for corner in [(20, 20), (60, 20), (60, 60)]:
        editor.click(*corner)
    editor.press("Control+z")
    assert "2 corners" in editor.now(), "undo takes the last corner back"
    editor.press("b")
    assert editor.now().startswith("Polygon dropped, Brush")
    assert editor.page.get_by_role("button", name="Undo", exact=True).is_disabled()


def test_a_class_among_many_is_found_by_its_name(browser: Any, served: Any, square: Path) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 1000})
    page = context.new_page()
    page.goto(served.url)
    editor = Editor(page)
    editor.open(square, label_set="ade20k150")
    editor.frame(3)
    editor.press("/")
    page.keyboard.type("SKYSC")
    assert page.locator(".editor-classes button:visible").all_inner_texts() == ["skyscraper"]
    editor.press("Enter")
    assert editor.now().startswith("Brush 24, skyscraper")
    assert page.locator(".editor-classes button:visible").count() == 150
    assert page.evaluate("document.activeElement.className") == "editor-canvas"
    editor.press(".", ",", ",")
    chosen = page.locator(".editor-classes button[aria-pressed=true]")
    assert chosen.is_visible()
    shown = page.evaluate("""() => {
      const list = document.querySelector('.editor-classes'), chosen = list.querySelector('[aria-pressed=true]');
      return [chosen.offsetTop - list.scrollTop, list.clientHeight - chosen.offsetHeight];
    }""")
    assert 0 <= shown[0] <= shown[1], "the list is scrolled to it"
    assert not editor.faults
    context.close()


def test_one_finger_paints_and_two_zoom(browser: Any, served: Any, square: Path) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 900}, has_touch=True)
    editor = Editor(context.new_page())
    editor.page.goto(served.url)
    editor.open(square)
    editor.frame(3)
    fingers, start, end = Fingers(editor.page), editor.at(20, 20), editor.at(60, 20)
    fingers.drag(start, (end[0] - start[0], 0))
    editor.save()
    painted = editor.saved(3)
    assert painted[20, 40] == GROUND
    fingers.spread(editor.at(54, 48), editor.at(74, 48), by=48)
    editor.page.touchscreen.tap(*editor.at(44, 48))
    editor.save()
    tapped = np.argwhere(editor.saved(3) != painted)
    assert len(tapped) > 0
    assert (np.ptp(tapped, axis=0) <= 24).all(), "a dab of the brush, nothing of the two fingers"
    row, column = tapped.mean(axis=0)
    assert abs(row - 48) < 8
    assert 48 < column < 62, "left of the middle, which stayed where it was, by less than the 20 pixels without zoom"
    assert not editor.faults
    context.close()


def test_two_fingers_set_no_corner_and_one_scrolls_over_the_comparison(browser: Any, served: Any, square: Path) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 900}, has_touch=True)
    editor = Editor(context.new_page())
    page = editor.page
    page.goto(served.url)
    editor.open(square)
    editor.frame(3)
    fingers = Fingers(page)
    for tool, first in (("Polygon", "Polygon, ground, at"), ("Region", "Region, ground, at"), ("Pick class", "Pick")):
        editor.tool(tool)
        fingers.spread(editor.at(54, 48), editor.at(74, 48), by=30)
        assert page.inner_text(".editor-now").startswith(first)
    assert page.locator(".undo").is_disabled(), "nothing was painted"
    page.get_by_role("button", name="Fit").click()
    editor.tool("Region")
    page.touchscreen.tap(*editor.at(5, 5))
    editor.save()
    assert (editor.saved(3) == GROUND).all(), "one finger uses the tool"
    editor.propagate()
    stage = page.locator(".comparison-stage")
    stage.scroll_into_view_if_needed()
    box, at = stage.bounding_box(), page.evaluate("scrollY")
    fingers.drag((box["x"] + 0.3 * box["width"], box["y"] + 0.2 * box["height"]), (0, 100))
    until(page, "at => scrollY < at - 50", at)
    assert page.input_value(".comparison .split") == "50", "the divider was not meant"
    assert not editor.faults
    context.close()


@pytest.mark.parametrize("editor", [400], indirect=True)
def test_on_a_phone(editor: Editor) -> None:
    page = editor.page
    editor.frame(3)
    editor.take_class("ground")
    editor.tool("Region")
    editor.click(5, 5)
    editor.take_class("square")
    editor.tool("Brush")
    editor.drag((30, 40), (55, 50))
    editor.save()
    editor.propagate()
    assert page.evaluate("document.documentElement.scrollWidth") <= 400, "nothing to scroll sideways"
    editor.shot("phone")
