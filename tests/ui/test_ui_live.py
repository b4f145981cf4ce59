"""Live: a stream that a server sends at its rate stands for a camera."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from browsers import needs
from ui.conftest import RATE, square
from ui.pages import Page, client_of, files_in, make_app

pytestmark = needs("starlette", "uvicorn", "httpx2")


@pytest.fixture(scope="module")
def camera() -> Iterator[str]:
    """The address of a camera that sends JPEG pictures at `RATE`, without end; `?N` after it: N of them."""
    import cv2

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            began = time.monotonic()
            for i in range(int(self.path.partition("?")[2] or 2000)):
                jpeg = cv2.imencode(".jpg", square(i % 15))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                try:
                    self.wfile.write(head.encode() + jpeg + b"\r\n")
                except OSError:
                    return
                time.sleep(max(0.0, began + (i + 1) / float(RATE) - time.monotonic()))

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Camera)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/stream.mjpg"
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    with client_of(make_app(tmp_path)) as client:
        yield Page(client)


def watched(page: Page, job: dict[str, Any], *, shown: int) -> dict[str, Any]:
    """The job once so many pictures were shown."""
    until = time.monotonic() + 120
    while (job["live"] or {"shown": 0})["shown"] < shown and time.monotonic() < until:
        time.sleep(0.1)
        job = page.client.get(f"/api/jobs/{job['id']}").json()
        assert job["state"] in ("waiting", "running"), job["error"]
    return job


def test_a_camera_is_watched_until_it_is_stopped(page: Page, camera: str, tmp_path: Path) -> None:
    job = page.post("/api/live", {"address": camera, "every": 3}).json()
    live = watched(page, job, shown=12)["live"]
    assert live["shown"] >= 12
    assert live["dropped"] >= 0
    assert 1 <= live["network_runs"] <= live["shown"]
    assert 0 < live["latency_ms"]["p50"] <= live["latency_ms"]["p95"]
    assert live["rate"] < 2 * float(RATE), "no faster than it sends"
    page.post(f"/api/jobs/{job['id']}/cancel", {})
    assert page.ended(job, seconds=20)["state"] == "cancelled"
    assert files_in(tmp_path) == set(), "nothing is stored"


def test_pictures_come_as_a_multipart_stream(page: Page, camera: str) -> None:
    import cv2
    import numpy as np

    from segtween.ui.live import View

    job = page.post("/api/live", {"address": camera}).json()
    watched(page, job, shown=3)
    session = next(iter(page.client.app.state.segtween.sessions._sessions.values()))
    view: View = session.extra["views"][job["id"]]
    number, jpeg = view.next(0)
    assert number >= 3
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), 1).shape == (120, 160, 3)
    page.post(f"/api/jobs/{job['id']}/cancel", {})
    answer = page.client.get(f"/live/{job['id']}")  # to its end
    assert answer.headers["content-type"] == "multipart/x-mixed-replace; boundary=segtween-frame"
    head = rb"--segtween-frame\r\nContent-Type: image/jpeg\r\nContent-Length: \d+\r\n\r\n\xff\xd8"
    assert re.match(head, answer.content)
    assert page.client.get("/live/another").status_code == 404


def test_what_nobody_watches_ends(page: Page, camera: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.ui import live

    monkeypatch.setattr(live, "UNWATCHED_SECONDS", 0.5)
    job = page.ended(page.post("/api/live", {"address": camera}).json())
    assert (job["state"], job["error"]) == ("done", None)


def test_a_slow_viewer_makes_frames_drop_and_not_wait(page: Page, camera: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.ui import live

    quick = live.picture

    def slow(*args: Any) -> bytes:
        time.sleep(0.3)
        return quick(*args)

    monkeypatch.setattr(live, "picture", slow)
    job = page.post("/api/live", {"address": camera}).json()
    figures = watched(page, job, shown=8)["live"]
    assert figures["dropped"] > figures["shown"]
    assert figures["latency_ms"]["p95"] < 3000, "the newest frames are taken"
    page.post(f"/api/jobs/{job['id']}/cancel", {})
    assert page.ended(job, seconds=20)["state"] == "cancelled"


def test_a_camera_is_recorded_and_run(page: Page, camera: str) -> None:
    job = page.ended(page.post("/api/videos/made", {"address": camera, "seconds": 1}).json())
    assert (job["state"], job["error"]) == ("done", None)
    video = job["result"]
    assert (video["width"], video["height"]) == (160, 120)
    job = page.ended(page.post("/api/runs", {"video": video["id"], "compare": False}).json())
    assert (job["state"], job["error"]) == ("done", None)


def test_what_was_recorded_of_a_stream_that_breaks_off_is_kept(page: Page, camera: str) -> None:
    job = page.ended(page.post("/api/videos/made", {"address": f"{camera}?9", "seconds": 60}).json())
    assert (job["state"], job["error"]) == ("done", None)
    assert 1 < job["result"]["frames"] <= 9
    assert f"{camera}?9 broke off after {job['result']['frames']} frames, at about " in job["result"]["note"]
    assert page.client.get("/api/state").json()["videos"][0]["id"] == job["result"]["id"]


def test_a_recording_that_is_cancelled_leaves_nothing(page: Page, camera: str, tmp_path: Path) -> None:
    job = page.post("/api/videos/made", {"address": camera, "seconds": 100}).json()
    until = time.monotonic() + 30
    while job["done"] < 3 and time.monotonic() < until:
        time.sleep(0.1)
        job = page.client.get(f"/api/jobs/{job['id']}").json()
    page.post(f"/api/jobs/{job['id']}/cancel", {})
    assert page.ended(job, seconds=20)["state"] == "cancelled"
    assert files_in(tmp_path) == set()


def test_a_stream_that_is_not_there_is_said_in_one_line(page: Page) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    address = f"http://127.0.0.1:{port}/x.mjpg"
    job = page.ended(page.post("/api/live", {"address": address}).json())
    assert job["state"] == "failed"
    assert job["error"].startswith(f"{address} cannot be opened (")
    assert "\n" not in job["error"]


def test_a_live_job_that_waits_for_its_network_can_be_cancelled(
    page: Page, camera: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segtween.engine.causal import CausalEngine

    freed = threading.Event()
    monkeypatch.setattr(CausalEngine, "warm_up", lambda *_: freed.wait(60))
    job = page.post("/api/live", {"address": camera}).json()
    until = time.monotonic() + 60
    while job["stage"] != "warming up" and time.monotonic() < until:
        time.sleep(0.05)
        job = page.client.get(f"/api/jobs/{job['id']}").json()
    page.post(f"/api/jobs/{job['id']}/cancel", {})
    assert page.ended(job, seconds=10)["state"] == "cancelled"
    freed.set()
