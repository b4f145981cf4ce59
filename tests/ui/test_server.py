"""The page's server as a browser asks it: runs and their files, sessions, and who may not ask."""

from __future__ import annotations

import io
import json
import shlex
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from browsers import needs
from ui.conftest import MODEL
from ui.pages import PORT, Page, client_of, files_in, make_app

pytestmark = needs("starlette", "uvicorn", "httpx2")


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
        ({"mode": ["online"]}, "mode ['online']; expected one of offline, online"),
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


def test_a_session_that_sleeps_lives_while_its_job_runs(app: Any) -> None:
    with client_of(app) as client:
        Page(client)
        held, free = app.state.segtween, threading.Event()
        session = held.sessions.find(client.cookies[f"segtween-session-{PORT}"])
        held.queue.submit(session.id, "run", "held", lambda _: free.wait(30))
        session.seen -= 10_000
        held.sessions.reap()
        assert not session.has_ended
        free.set()
        until = time.monotonic() + 10
        while held.queue.is_busy(session.id) and time.monotonic() < until:
            time.sleep(0.02)
        session.seen -= 10_000
        held.sessions.reap()
        assert session.has_ended
        assert not session.folder.exists()


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


def test_pictures_of_a_video_that_is_labelled_are_removed_with_it(clip: Path, tmp_path: Path) -> None:
    with client_of(make_app(tmp_path, keep=True)) as client:
        page = Page(client)
        video = page.upload(clip).json()
        job = page.ended(page.post("/api/labelling", {"video": video["id"], "classes": ["a", "b"]}).json())
        assert job["state"] == "done"
        assert [name for name in files_in(tmp_path) if name.endswith("labelling/1/frames/000000.jpg")]
    stored = files_in(tmp_path)
    assert [name.split("/", 1)[1] for name in stored] == ["labelling/1/saved/labels.yaml"]


def test_requests_from_elsewhere_are_refused(page: Page) -> None:
    for headers in ({"origin": "http://evil.example"}, {"origin": "null"}, {"origin": "http://127.0.0.1:9"}):
        answer = page.client.post("/api/videos", json={"name": "a.mp4", "size": 9}, headers=headers)
        assert answer.status_code == 403
    assert page.client.post("/api/session/leave", json={}, headers={"origin": "http://["}).status_code == 403
    del page.client.headers["origin"]
    assert page.post("/api/videos", {"name": "a.mp4", "size": 9}).status_code == 403
    assert page.client.get("/api/state", headers={"host": "[::1"}).status_code == 400
    assert page.client.get("/api/state", headers={"host": "evil.example"}).status_code == 400
    assert page.client.get("/api/state", headers={"host": f"localhost:{PORT}"}).status_code == 200
    header = page.client.get("/").headers
    assert "default-src 'self'" in header["content-security-policy"]
    assert header["x-content-type-options"] == "nosniff"


def test_a_body_that_is_no_json_is_refused(page: Page) -> None:
    json_of = "application/json"
    for content, kind in ((b"{", json_of), (b"[]", json_of), (b"{}", "text/plain"), (b'{"a":' * 50_000, json_of)):
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
    name = "-street's (1).MP4"
    video = page.upload(clip, name=name).json()
    job = page.ended(page.post("/api/runs", {"video": video["id"], "every": 3, "classes": ["bright"]}).json())
    result = page.client.get(f"/api/jobs/{job['id']}/result").json()
    assert shlex.split(result["command"])[:3] == ["segtween", "run", f"./{name}"]
    here = tmp_path / "elsewhere"
    here.mkdir()
    (here / name).write_bytes(clip.read_bytes())
    monkeypatch.chdir(here)
    exec(result["python"], {})
    record, other = (json.loads((f / "run.json").read_text()) for f in (here / "out", Path(job["result"]["folder"])))
    assert record["method"]["hash"] == other["method"]["hash"]
    assert record["comparison"]["consistency"] == other["comparison"]["consistency"]
    assert record["saved"] == other["saved"]
