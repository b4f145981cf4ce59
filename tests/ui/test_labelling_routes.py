"""The addresses of a labelling as a browser asks them, and what is refused."""

from __future__ import annotations

import errno
import io
import json
import os
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from browsers import needs
from ui.conftest import MODEL
from ui.labelled_clip import FRAMES, SIZE, truth, write_clip

pytestmark = needs("starlette", "uvicorn", "httpx2")

URL = "http://127.0.0.1:8000"
HERE = "/api/labelling"
PNG = cv2.imencode(".png", truth(4))[1].tobytes()


class Client:
    """A page with its session."""

    def __init__(self, client: Any, app: Any) -> None:
        self.client, self.app, self.here = client, app, f"{HERE}/none"
        client.headers["origin"] = URL
        assert client.get("/").status_code == 200

    def video(self, path: Path) -> str:
        data = path.read_bytes()
        made = self.client.post("/api/videos", json={"name": "square.mkv", "size": len(data)}).json()["id"]
        assert self.client.put(f"/api/videos/{made}", content=data).status_code == 200
        return str(made)

    def ended(self, answer: Any) -> dict[str, Any]:
        """The job of an answer, once it has ended."""
        assert answer.status_code == 200, answer.text
        job, until = answer.json(), time.monotonic() + 120
        while job["state"] in ("waiting", "running") and time.monotonic() < until:
            time.sleep(0.05)
            job = self.client.get(f"/api/jobs/{job['id']}").json()
        return dict(job)

    def opened(self, path: Path) -> dict[str, Any]:
        return self.begun({"video": self.video(path), "classes": ["ground", "square"]})

    def begun(self, values: dict[str, Any]) -> dict[str, Any]:
        job = self.ended(self.client.post(HERE, json=values))
        assert (job["state"], job["error"]) == ("done", None)
        state = self.state()
        self.here = f"{HERE}/{state['id']}"
        return state

    def state(self) -> dict[str, Any]:
        return dict(self.client.get(HERE).json()["labelling"])

    def save(self, frame: int, values: bytes) -> Any:
        return self.client.put(f"{self.here}/frames/{frame}/labels/saved", content=values)

    def labels(self, frame: int, origin: str) -> Any:
        return self.client.get(f"{self.here}/frames/{frame}/labels/{origin}")


def refused(answer: Any, status: int, words: str) -> None:
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Client]:
    from starlette.testclient import TestClient

    from segtween.ui.guard import Access
    from segtween.ui.server import create_app
    from segtween.ui.sessions import Options

    (tmp_path / "sessions").mkdir()
    app = create_app(tmp_path / "sessions", Options(Access("127.0.0.1", 8000), (MODEL,), threads=1))
    with TestClient(app, base_url=URL, follow_redirects=False) as client:
        yield Client(client, app)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "square.mkv")


def test_a_frame_is_labelled_propagated_and_loaded_again(page: Client, clip: Path) -> None:
    assert page.client.get(HERE).json()["labelling"] is None
    state = page.opened(clip)
    frame = state["proposals"][0]["frame"]
    shown = page.client.get(f"{page.here}/frames/{frame}")
    assert shown.headers["content-type"] == "image/jpeg"
    assert cv2.imdecode(np.frombuffer(shown.content, np.uint8), 1).shape[:2] == SIZE
    assert page.save(frame, truth(frame).tobytes()).json()["labelling"]["saved"] == [frame]
    assert page.labels(frame, "saved").content == truth(frame).tobytes()
    assert page.ended(page.client.post(f"{page.here}/propagate", json={}))["state"] == "done"
    state = page.state()
    assert (state["runs"], state["pending"], state["changed"]) == (1, [], [1.0] * FRAMES)
    assert frame not in [one["frame"] for one in state["proposals"]]
    after = np.frombuffer(page.labels(1, "after").content, np.uint8).reshape(SIZE)
    assert np.mean(after == truth(1)) > 0.95
    got = page.client.get(f"{page.here}/labels.zip")
    with zipfile.ZipFile(io.BytesIO(got.content)) as file:
        assert file.namelist() == [f"labels/{frame:06d}.png", "labels/labels.yaml"]
    assert page.client.delete(f"{page.here}/frames/{frame}/labels/saved").json()["labelling"]["saved"] == []
    loaded = page.client.post(f"{page.here}/files", params={"name": "labels.zip"}, content=got.content).json()
    assert (loaded["frames"], loaded["labelling"]["saved"]) == ([frame], [frame])


def test_it_begins_from_a_network_or_a_known_label_set(page: Client, clip: Path) -> None:
    video = page.video(clip)
    state = page.begun({"video": video, "network": MODEL})
    assert state["by_network"]
    assert [one["name"] for one in state["classes"]] == ["dark", "dim", "light", "bright"]
    assert len(page.labels(3, "network").content) == SIZE[0] * SIZE[1]
    assert len(page.begun({"video": video, "label_set": "camvid11"})["classes"]) == 11
    assert "camvid11" in page.client.get(HERE).json()["label_sets"]
    refused(page.labels(3, "network"), 404, "frame 3 has no labels here (network)")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"network": "/etc/passwd"}, "expected one of those offered"),
        ({"network": ["x"]}, "expected one of those offered"),
        ({"label_set": "/tmp/mine.yaml"}, "expected one of those offered"),
        ({"label_set": 3}, "expected one of those offered"),
        ({"classes": []}, "no classes; expected names of classes"),
        ({"classes": "road"}, "expected names of classes"),
        ({"classes": ["road", " "]}, "expected names of classes"),
        ({"classes": ["road", "road"]}, "repeats a name"),
        ({"classes": [str(i) for i in range(300)]}, "300 classes"),
        ({}, "expected names of classes"),
    ],
)
def test_what_it_cannot_begin_from(page: Client, clip: Path, values: dict[str, Any], words: str) -> None:
    refused(page.client.post(HERE, json={"video": page.video(clip), **values}), 400, words)
    assert page.client.get(HERE).json()["labelling"] is None


def test_a_video_that_is_not_there(page: Client) -> None:
    refused(page.client.post(HERE, json={"video": "x", "classes": ["road"]}), 404, "video 'x'")


def test_what_is_refused_changes_nothing(page: Client, clip: Path, tmp_path: Path) -> None:
    page.opened(clip)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    refused(page.save(2, b"\0" * 9), 400, "labels of frame 2 are 9 bytes")
    refused(page.save(2, b"\0" * (SIZE[0] * SIZE[1] + 1)), 400, "expected 12288, one for each pixel of 128x96")
    refused(page.save(2, b"\7" * SIZE[0] * SIZE[1]), 400, "holds ids [7]")
    refused(page.save(99, truth(2).tobytes()), 400, "frame 99; expected 0 to 11")
    refused(page.client.get(f"{page.here}/frames/99"), 400, "frame 99; expected 0 to 11")
    refused(page.labels(2, "saved"), 404, "frame 2 has no labels here")
    refused(page.client.post(f"{page.here}/propagate", json={}), 400, "no frame is labelled")
    refused(page.client.get(f"{page.here}/labels.zip"), 400, "no frame is labelled")
    for name in ("../../evil.png", "/tmp/4.png", "", "\0.png"):
        refused(page.client.post(f"{page.here}/files", params={"name": name}, content=b"x"), 400, "expected")
    assert page.client.get(f"{page.here}/frames/..%2f..%2fsquare.mkv").status_code == 404
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("frame", ["9" * 5000, "-1", "1.5", "\u0663", "x"])
def test_a_frame_is_a_number(page: Client, clip: Path, frame: str) -> None:
    page.opened(clip)
    for address in (f"{page.here}/frames/{frame}", f"{page.here}/frames/{frame}/labels/saved"):
        refused(page.client.get(address), 404, "a frame without number")


def spoiled_zip(*, at: int, header: bool = True, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file of one member, with byte `at` of its last header, or of the whole, flipped."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as file:
        file.writestr("\u00e9.png", bytes(range(256)))
    data = bytearray(packed.getvalue())
    data[data.rfind(b"PK\1\2") + at if header else at] ^= 0xFF
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        spoiled_zip(at=46),
        spoiled_zip(at=-4, header=False),
        spoiled_zip(at=8),
        b"PK\5\6" + b"\xff" * 18,
        spoiled_zip(at=60, header=False, method=zipfile.ZIP_LZMA),
    ],
    ids=["name", "offset", "flags", "end", "lzma"],
)
def test_a_damaged_zip_file_is_one_message(page: Client, clip: Path, data: bytes) -> None:
    page.opened(clip)
    answer = page.client.post(f"{page.here}/files", params={"name": "a.zip"}, content=data)
    refused(answer, 400, "a.zip cannot be read")


def test_names_in_an_export_are_shown_as_they_can_be(page: Client, clip: Path) -> None:
    page.opened(clip)
    image = {"id": 1, "file_name": "\ud800", "width": 128, "height": 96}
    export = {"images": [image], "annotations": [], "categories": []}
    answer = page.client.post(f"{page.here}/files", params={"name": "a.json"}, content=json.dumps(export).encode())
    refused(answer, 400, "label file ? belongs to no frame")
    answer = page.client.post(f"{page.here}/files", params={"name": "a.json"}, content=b"{}")
    refused(answer, 400, "labels a.json cannot be read")


def test_files_are_bounded(page: Client, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page.opened(clip)
    monkeypatch.setattr("segtween.ui.labelling_routes.MOST_BYTES", 100)
    refused(page.client.post(f"{page.here}/files", params={"name": "4.png"}, content=bytes(101)), 413, "too large")
    refused(page.save(2, truth(2).tobytes()), 413, "too large")


def test_nothing_is_open(page: Client) -> None:
    for answer in (page.save(2, b""), page.labels(2, "saved"), page.client.post(f"{page.here}/propagate", json={})):
        refused(answer, 404, "this video is not open any more")


def test_one_run_at_a_time(page: Client, clip: Path) -> None:
    page.opened(clip)
    page.save(2, truth(2).tobytes())
    opens, free = threading.Event(), page.app.state.segtween.queue
    free.submit("another session", "run", "something long", lambda _: opens.wait(60))
    first = page.client.post(f"{page.here}/propagate", json={})
    assert (first.json()["state"], first.json()["place"]) == ("waiting", 1)
    refused(page.client.post(f"{page.here}/propagate", json={}), 409, "labels are at work already")
    refused(page.client.post(HERE, json={"video": "v", "classes": ["road"]}), 409, "labels are at work already")
    assert page.save(7, truth(7).tobytes()).status_code == 200, "painting goes on meanwhile"
    opens.set()
    assert page.ended(first)["state"] == "done"
    assert page.state()["saved"] == [2, 7]


def test_a_cancelled_run_keeps_what_was_saved(page: Client, clip: Path) -> None:
    page.opened(clip)
    page.save(2, truth(2).tobytes())
    opens = threading.Event()
    page.app.state.segtween.queue.submit("another session", "run", "something long", lambda _: opens.wait(60))
    job = page.client.post(f"{page.here}/propagate", json={}).json()
    assert page.client.post(f"/api/jobs/{job['id']}/cancel", json={}).json()["state"] == "cancelled"
    opens.set()
    state = page.state()
    assert (state["saved"], state["runs"], state["pending"]) == ([2], 0, [2])


def test_another_video_takes_its_place_once_it_is_there(page: Client, clip: Path, tmp_path: Path) -> None:
    page.opened(clip)
    page.save(2, truth(2).tobytes())
    video = page.video(clip)
    for path in (tmp_path / "sessions").rglob("video"):
        path.write_bytes(b"no video")
    job = page.ended(page.client.post(HERE, json={"video": video, "classes": ["road"]}))
    assert job["state"] == "failed"
    assert page.state()["saved"] == [2], "what cannot be opened replaces nothing"
    assert len(list((tmp_path / "sessions").glob("*/labelling/*"))) == 1, "and leaves nothing"
    before = page.here
    state = page.opened(write_clip(tmp_path / "other.mkv", frames=5))
    assert (state["frames"], state["saved"]) == (5, [])
    late = page.client.put(f"{before}/frames/2/labels/saved", content=truth(2).tobytes())
    refused(late, 404, "this video is not open any more; expected an open video; reload the page")
    assert page.state()["saved"] == [], "a page that shows the video before writes nothing into this one"
    assert len(list((tmp_path / "sessions").glob("*/labelling/*"))) == 1


def test_a_session_that_is_gone(page: Client, clip: Path, tmp_path: Path) -> None:
    page.opened(clip)
    sessions = page.app.state.segtween.sessions
    (session,) = sessions._sessions.values()
    sessions.end(session)
    sessions.reap()
    refused(page.save(2, truth(2).tobytes()), 409, "this session has ended; expected an open one; reload the page")
    assert not list((tmp_path / "sessions").iterdir())


def test_a_full_disk_is_one_message(page: Client, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page.opened(clip)
    page.save(2, truth(2).tobytes())
    before = page.state(), {path for path in tmp_path.rglob("*") if path.is_file()}
    words = "the disk is full or cannot be written; expected room for it"

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        refused(page.save(2, truth(3).tobytes()), 507, words)
        refused(page.client.post(f"{page.here}/files", params={"name": "4.png"}, content=PNG), 507, words)
        for path, values in (
            (f"{page.here}/propagate", {}),
            (HERE, {"video": before[0]["video"]["id"], "classes": ["road"]}),
        ):
            job = page.ended(page.client.post(path, json=values))
            assert job["state"] == "failed"
            assert job["error"].startswith(words)
    assert (page.state(), {path for path in tmp_path.rglob("*") if path.is_file()}) == before


def test_sessions_see_their_own_labels_alone(page: Client, clip: Path) -> None:
    from starlette.testclient import TestClient

    page.opened(clip)
    page.save(2, truth(2).tobytes())
    other = Client(TestClient(page.app, base_url=URL), page.app)
    other.here = page.here
    assert other.client.get(HERE).json()["labelling"] is None
    refused(other.labels(2, "saved"), 404, "this video is not open any more")
