"""The page's server as a browser asks it: sessions, uploads, the queue, runs and their files; and who may not ask."""

from __future__ import annotations

import io
import json
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsers import needs
from ui.conftest import MODEL

pytestmark = needs("starlette", "uvicorn", "httpx2")

PORT = 8000
URL = f"http://127.0.0.1:{PORT}"


class Page:
    """A browser's page: a client with its cookies."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.client.headers["origin"] = URL
        assert client.get("/").status_code == 200

    def post(self, path: str, values: Any) -> Any:
        return self.client.post(path, json=values)

    def upload(self, path: Path, *, name: str | None = None) -> Any:
        data = path.read_bytes()
        announced = self.post("/api/videos", {"name": name or path.name, "size": len(data)})
        assert announced.status_code == 200, announced.text
        return self.client.put(f"/api/videos/{announced.json()['id']}", content=data)

    def ended(self, job: dict[str, Any], *, seconds: float = 120) -> dict[str, Any]:
        """The job once it has ended."""
        until = time.monotonic() + seconds
        while job["state"] in ("waiting", "running") and time.monotonic() < until:
            time.sleep(0.1)
            job = self.client.get(f"/api/jobs/{job['id']}").json()
        return job


def make_app(root: Path, **options: Any) -> Any:
    from segtween.ui.guard import Access
    from segtween.ui.server import create_app
    from segtween.ui.state import Options

    keep, token, host = options.pop("keep", False), options.pop("token", None), options.pop("host", "127.0.0.1")
    return create_app(root, Options(Access(host, PORT, token), (MODEL,), threads=1, **options), keep=keep)


def client_of(app: Any) -> Any:
    from starlette.testclient import TestClient

    return TestClient(app, base_url=URL, follow_redirects=False)


@pytest.fixture
def app(tmp_path: Path) -> Any:
    return make_app(tmp_path)


@pytest.fixture
def page(app: Any) -> Iterator[Page]:
    with client_of(app) as client:
        yield Page(client)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_video_is_run_and_its_files_are_served(page: Page, clip: Path, tmp_path: Path) -> None:
    video = page.upload(clip).json()
    assert (video["name"], video["width"], video["height"], video["frames"]) == ("square.mp4", 160, 120, 12)
    job = page.post("/api/runs", {"video": video["id"], "every": 4, "mode": "online"}).json()
    job = page.ended(job)
    assert (job["state"], job["error"]) == ("done", None)
    result = page.client.get(f"/api/jobs/{job['id']}/result").json()
    assert result["data"]["frames"] == 12
    assert result["data"]["keys"] == [0, 4, 8]
    assert result["data"]["before"], "the network ran on every frame, too"
    for words in ("Times faster", "Temporal consistency", "Flicker", "every frame:"):
        assert words in result["figures"]
    assert f"segtween run square.mp4 -o out --model {MODEL} --every 4 --online" in result["command"]
    assert "--compare every-frame" in result["command"]
    assert "compare=other" in result["python"]
    assert [one["title"] for one in result["downloads"]] == [
        "Overlay", "Labels", "Report", "Film of the comparison", "COCO", "Table of frames", "Record of the run",
    ]  # fmt: skip
    for one in result["downloads"]:
        answer = page.client.get(f"/files/{job['id']}/{one['name']}?save")
        assert answer.status_code == 200
        assert answer.headers["content-disposition"] == f'attachment; filename="{one["name"]}"'
        assert len(answer.content) > 100
    labels = zipfile.ZipFile(io.BytesIO(page.client.get(f"/files/{job['id']}/labels.zip").content))
    assert len(labels.namelist()) == 12
    assert json.loads(page.client.get(f"/files/{job['id']}/coco.json").text)["annotations"]
    part = page.client.get(f"/files/{job['id']}/overlay.mp4", headers={"range": "bytes=0-99"})
    assert (part.status_code, len(part.content)) == (206, 100)
    assert tmp_path in Path(result["folder"]).parents


@pytest.mark.parametrize("name", ["nothing.txt", "../../videos/1/video", ".segtween.lock", "%2e%2e%2fvideos"])
def test_nothing_but_the_files_of_the_table_is_served(page: Page, clip: Path, name: str) -> None:
    video = page.upload(clip).json()
    job = page.ended(page.post("/api/runs", {"video": video["id"], "compare": False}).json())
    assert job["state"] == "done"
    assert page.client.get(f"/files/{job['id']}/{name}").status_code == 404
    assert page.client.get("/static/server.py").status_code == 404


@pytest.mark.parametrize(
    "name",
    ["../../../etc/cron.d/x.mp4", "..\\..\\x.mp4", "/tmp/x.mp4", "a\x00b.mp4", "rtsp://x/y.mp4", "x" * 3000 + ".mp4"],
)
def test_the_name_of_a_file_is_no_path(page: Page, clip: Path, tmp_path: Path, name: str) -> None:
    video = page.upload(clip, name=name).json()
    assert not set("/\\\0:") & set(video["name"])
    assert len(video["name"]) < 100
    stored = files_in(tmp_path)
    assert len(stored) == 1
    assert next(iter(stored)).endswith("videos/1/video")


def test_ten_gigabytes_are_refused_before_they_are_stored(page: Page, tmp_path: Path) -> None:
    refused = page.post("/api/videos", {"name": "big.mp4", "size": 10 << 30})
    assert refused.status_code == 413
    assert refused.json()["error"].startswith("big.mp4 has 10.0 GB; expected at most 2.0 GB; cut it, or start the page")
    assert files_in(tmp_path) == set()


def test_more_bytes_than_were_announced_are_refused(page: Page, clip: Path, tmp_path: Path) -> None:
    announced = page.post("/api/videos", {"name": "small.mp4", "size": 100}).json()
    answer = page.client.put(f"/api/videos/{announced['id']}", content=clip.read_bytes())
    assert answer.status_code == 413
    assert files_in(tmp_path) == set()
    assert page.client.put(f"/api/videos/{announced['id']}", content=b"").status_code == 404, "used up"


def test_an_upload_that_is_cut_off_leaves_nothing(page: Page, clip: Path, tmp_path: Path) -> None:
    data = clip.read_bytes()
    announced = page.post("/api/videos", {"name": "half.mp4", "size": len(data)}).json()
    answer = page.client.put(f"/api/videos/{announced['id']}", content=data[: len(data) // 2])
    assert answer.status_code == 400
    assert "half.mp4 was cut off" in answer.json()["error"]
    assert files_in(tmp_path) == set()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.txt", b"words", "a.txt is no video (its name ends in '.txt')"),
        ("a.mp4", b"words that are no video, by far", "a.mp4 is no video (it does not begin as one)"),
        ("a.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "does not begin as one"),
        ("a.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n", "does not begin as one"),
        ("a.mp4", b"\0\0\0\x20ftypisom" + bytes(500), "a.mp4"),
        ("a.mp4", b"", "it is empty"),
    ],
)
def test_what_is_no_video_is_refused(page: Page, tmp_path: Path, name: str, data: bytes, words: str) -> None:
    answer = page.post("/api/videos", {"name": name, "size": len(data)})
    if answer.status_code == 200:
        answer = page.client.put(f"/api/videos/{answer.json()['id']}", content=data)
    assert answer.status_code == 415
    assert words in answer.json()["error"]
    assert str(tmp_path) not in answer.json()["error"], "the file is called by its name"
    assert files_in(tmp_path) == set()
    assert page.client.get("/api/state").json()["videos"] == []


def test_a_full_disk_is_said_and_leaves_nothing(
    page: Page, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segtween.ui import videos

    class Usage:
        free = 1 << 20

    monkeypatch.setattr(videos.shutil, "disk_usage", lambda _: Usage)
    refused = page.post("/api/videos", {"name": "a.mp4", "size": 5 << 20})
    assert refused.status_code == 507
    assert "the disk has 1.0 MB left" in refused.json()["error"]
    monkeypatch.undo()

    class Full:
        def __init__(self, file: Any) -> None:
            self._file = file

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            self._file.close()

        def write(self, _: bytes) -> int:
            raise OSError(28, "No space left on device")

    opened = Path.open

    def open_full(path: Path, *args: Any, **options: Any) -> Any:
        file = opened(path, *args, **options)
        return Full(file) if path.name == "video" else file

    monkeypatch.setattr(Path, "open", open_full)
    answer = page.upload(clip)
    assert answer.status_code == 507
    assert answer.json()["error"].startswith("the disk is full or cannot be written; expected room for it")
    assert files_in(tmp_path) == set()


def test_a_run_on_a_full_disk_fails_with_one_line(page: Page, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.video.sinks import FrameFiles

    def write(*_: object) -> None:
        from segtween.video.staging import sink_errors

        with sink_errors(Path("labels")):
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(FrameFiles, "write", write)
    video = page.upload(clip).json()
    job = page.ended(page.post("/api/runs", {"video": video["id"], "compare": False}).json())
    assert job["state"] == "failed"
    assert "labels" in job["error"]
    assert "\n" not in job["error"]
    assert page.client.get(f"/files/{job['id']}/overlay.mp4").status_code == 200, "what is whole is kept"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"video": "x"}, "video 'x'; expected a video of this session"),
        ({"network": "/etc/passwd"}, "network '/etc/passwd'; expected one of"),
        ({"every": 0}, "the network on every 0th frame; expected a whole number, 1 to 60"),
        ({"every": "5"}, "the network on every '5'th frame"),
        ({"mode": "both"}, "mode 'both'; expected one of offline, online"),
        ({"classes": []}, "no class is chosen"),
    ],
)
def test_choices_that_cannot_be_are_refused(page: Page, clip: Path, values: dict[str, Any], words: str) -> None:
    video = page.upload(clip).json()
    answer = page.post("/api/runs", {"video": video["id"], **values})
    assert answer.status_code in (400, 404)
    assert words in answer.json()["error"]


def test_an_unknown_class_is_named(page: Page, clip: Path) -> None:
    video = page.upload(clip).json()
    job = page.ended(page.post("/api/runs", {"video": video["id"], "classes": ["car"], "compare": False}).json())
    assert job["state"] == "failed"
    assert "car" in job["error"]


@pytest.mark.parametrize("address", ["", "/etc/passwd", "file:///etc/passwd", "video.mp4", "*.png", "-"])
def test_an_address_names_no_file(page: Page, address: str) -> None:
    for path, more in (("/api/videos/made", {"seconds": 2}), ("/api/live", {})):
        answer = page.post(path, {"address": address, **more})
        assert answer.status_code == 400
        assert "expected" in answer.json()["error"]


def test_a_camera_that_is_not_there_is_said(page: Page) -> None:
    job = page.ended(page.post("/api/videos/made", {"address": "camera:97", "seconds": 2}).json())
    assert job["state"] == "failed"
    assert "camera 97 cannot be opened" in job["error"]


def test_the_street_is_rendered(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.ui import videos

    monkeypatch.setattr(videos, "STREET_HW", (64, 96))
    job = page.ended(page.post("/api/videos/made", {"street": 0.4}).json(), seconds=280)
    assert (job["state"], job["error"]) == ("done", None)
    assert job["result"]["frames"] == 6
    assert (job["result"]["width"], job["result"]["height"]) == (96, 64)
    assert [video["id"] for video in page.client.get("/api/state").json()["videos"]] == [job["result"]["id"]]
    saved = page.client.get(f"/api/videos/{job['result']['id']}")
    assert saved.headers["content-disposition"] == 'attachment; filename="street.mp4"'
    assert saved.content[4:8] == b"ftyp"


class Held:
    """Work that waits until it is released or cancelled."""

    def __init__(self) -> None:
        self.began, self.free = threading.Event(), threading.Event()

    def __call__(self, job: Any) -> str:
        job.begin("held")
        self.began.set()
        while not self.free.wait(0.02):
            job.check()
        return "ended"


def test_one_job_at_a_time_and_the_others_know_their_place(app: Any, clip: Path) -> None:
    with client_of(app) as client:
        page, held = Page(client), Held()
        queue = app.state.segtween.queue
        first = queue.submit("another session", "run", "held", held)
        assert held.began.wait(10)
        video = page.upload(clip).json()
        jobs = [page.post("/api/runs", {"video": video["id"], "compare": False}).json() for _ in range(2)]
        assert [(job["state"], job["place"]) for job in jobs] == [("waiting", 1), ("waiting", 2)]
        cancelled = page.post(f"/api/jobs/{jobs[0]['id']}/cancel", {}).json()
        assert cancelled["state"] == "cancelled"
        assert page.client.get(f"/api/jobs/{jobs[1]['id']}").json()["place"] == 1
        held.free.set()
        assert page.ended(jobs[1])["state"] == "done"
        assert (first.state, first.result) == ("done", "ended")


def test_the_queue_is_bounded(app: Any, clip: Path) -> None:
    with client_of(app) as client:
        page, held = Page(client), Held()
        app.state.segtween.queue.submit("another session", "run", "held", held)
        assert held.began.wait(10)
        video = page.upload(clip).json()
        answers = [page.post("/api/runs", {"video": video["id"]}) for _ in range(9)]
        assert [answer.status_code for answer in answers] == [200] * 8 + [429]
        assert answers[-1].json()["error"].startswith("8 jobs are waiting already; expected a place")


def test_a_cancelled_run_keeps_what_is_done(page: Page, long_clip: Path) -> None:
    video = page.upload(long_clip).json()
    job = page.post("/api/runs", {"video": video["id"], "compare": False, "mode": "online"}).json()
    until = time.monotonic() + 120
    while job["done"] < 3 and time.monotonic() < until:
        time.sleep(0.05)
        job = page.client.get(f"/api/jobs/{job['id']}").json()
    assert job["total"] == 360
    page.post(f"/api/jobs/{job['id']}/cancel", {})
    job = page.ended(job)
    assert job["state"] == "cancelled"
    folder = Path(job["result"]["folder"])
    record = json.loads((folder / "run.json").read_text())
    assert record["error"] == "stopped by the user"
    assert 3 <= record["totals"]["frames"] < 360
    assert len(list((folder / "labels").iterdir())) == record["totals"]["frames"]
    assert not [name for name in files_in(folder) if name.endswith(".part")]


def test_a_session_that_is_left_ends_with_its_job_and_files(app: Any, long_clip: Path, tmp_path: Path) -> None:
    with client_of(app) as client, client_of(app) as other:
        page, remaining = Page(client), Page(other)
        remaining.upload(long_clip)
        video = page.upload(long_clip).json()
        job = page.post("/api/runs", {"video": video["id"]}).json()
        held = app.state.segtween
        session = held.sessions.find(client.cookies[f"segtween-session-{PORT}"])
        running = session.jobs[job["id"]]
        assert page.post("/api/session/leave", {}).status_code == 200
        session.left -= 1000
        until = time.monotonic() + 60
        while session.folder.exists() and time.monotonic() < until:
            held.sessions.reap()
            time.sleep(0.05)
        assert running.state == "cancelled"
        assert len(list(tmp_path.iterdir())) == 1, "the other session's"
        gone = page.post("/api/runs", {"video": video["id"]})
        assert gone.status_code == 409
        assert gone.json()["error"].startswith("this session has ended")


def test_a_page_that_is_loaded_anew_keeps_its_session(page: Page, clip: Path) -> None:
    video = page.upload(clip).json()
    page.post("/api/session/leave", {})
    assert page.client.get("/").status_code == 200
    assert [one["id"] for one in page.client.get("/api/state").json()["videos"]] == [video["id"]]


def test_sessions_have_nothing_in_common(app: Any, clip: Path) -> None:
    with client_of(app) as client, client_of(app) as other:
        page, stranger = Page(client), Page(other)
        video = page.upload(clip).json()
        job = page.ended(page.post("/api/runs", {"video": video["id"], "compare": False}).json())
        assert stranger.client.get("/api/state").json() == {"videos": [], "jobs": []}
        assert stranger.client.get(f"/api/jobs/{job['id']}").status_code == 404
        assert stranger.client.get(f"/files/{job['id']}/overlay.mp4").status_code == 404
        assert stranger.post("/api/runs", {"video": video["id"]}).status_code == 404


@pytest.mark.parametrize("keep", [False, True])
def test_results_are_kept_where_that_was_asked_for(clip: Path, tmp_path: Path, keep: bool) -> None:
    with client_of(make_app(tmp_path, keep=keep)) as client:
        page = Page(client)
        video = page.upload(clip).json()
        job = page.ended(page.post("/api/runs", {"video": video["id"], "compare": False}).json())
        assert job["state"] == "done"
    stored = files_in(tmp_path)
    assert not [name for name in stored if "videos" in name], "uploads are removed in any case"
    assert bool([name for name in stored if name.endswith("runs/1/overlay.mp4")]) == keep
    assert bool(list(tmp_path.iterdir())) == keep


def test_requests_from_elsewhere_are_refused(page: Page) -> None:
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:9"}):
        answer = page.client.post("/api/videos", json={"name": "a.mp4", "size": 9}, headers=headers)
        assert answer.status_code == 403
    del page.client.headers["origin"]
    assert page.post("/api/videos", {"name": "a.mp4", "size": 9}).status_code == 403
    assert page.client.get("/api/state", headers={"host": "evil.example"}).status_code == 400
    assert page.client.get("/api/state", headers={"host": f"localhost:{PORT}"}).status_code == 200
    header = page.client.get("/").headers
    assert "default-src 'self'" in header["content-security-policy"]
    assert header["x-content-type-options"] == "nosniff"


def test_a_body_that_is_no_json_is_refused(page: Page) -> None:
    for content, kind in ((b"{", "application/json"), (b"[]", "application/json"), (b"{}", "text/plain")):
        answer = page.client.post("/api/runs", content=content, headers={"content-type": kind})
        assert answer.status_code == 400


def test_with_a_token_only_its_holder_comes_in(tmp_path: Path) -> None:
    app = make_app(tmp_path, token="s3cret", host="0.0.0.0")
    with client_of(app) as client:
        assert client.get("/").status_code == 401
        assert client.get("/api/state").status_code == 401
        assert client.get("/?token=wrong").status_code == 401
        assert list(tmp_path.iterdir()) == [], "no session for strangers"
        opened = client.get("/?token=s3cret")
        assert (opened.status_code, opened.headers["location"]) == (303, "/")
        assert "httponly" in opened.headers["set-cookie"].lower()
        assert client.get("/").status_code == 200
        assert client.get("/api/state").status_code == 200


def test_sessions_are_bounded(app: Any) -> None:
    with client_of(app) as client:
        for _ in range(20):
            client.cookies.clear()
            assert client.get("/").status_code == 200
        client.cookies.clear()
        full = client.get("/")
        assert full.status_code == 503
        assert full.text.startswith("20 sessions are open")


def test_the_lines_of_python_do_the_same(
    page: Page, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = page.upload(clip).json()
    job = page.ended(page.post("/api/runs", {"video": video["id"], "every": 3, "classes": ["bright"]}).json())
    lines = page.client.get(f"/api/jobs/{job['id']}/result").json()["python"]
    here = tmp_path / "elsewhere"
    here.mkdir()
    (here / "square.mp4").write_bytes(clip.read_bytes())
    monkeypatch.chdir(here)
    exec(lines, {})
    record, other = (json.loads((f / "run.json").read_text()) for f in (here / "out", Path(job["result"]["folder"])))
    assert record["method"]["hash"] == other["method"]["hash"]
    assert record["comparison"]["consistency"] == other["comparison"]["consistency"]
    assert record["saved"] == other["saved"]
