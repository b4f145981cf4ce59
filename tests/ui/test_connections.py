"""Connections that are cut: a page that goes away while it sends or watches."""

from __future__ import annotations

import http.client
import json
import logging
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from browsers import needs
from ui.conftest import Served, serve

pytestmark = needs("starlette", "uvicorn")


@pytest.fixture
def opened() -> Iterator[list[socket.socket]]:
    """Connections that are closed once the server has ended."""
    connections: list[socket.socket] = []
    yield connections
    for connection in connections:
        connection.close()


@pytest.fixture
def served(tmp_path: Path, opened: list[socket.socket]) -> Iterator[Served]:  # noqa: ARG001 torn down before them
    yield from serve(tmp_path / "served", threads=1)


class Visitor:
    """What a browser sends, over connections that can be cut."""

    def __init__(self, served: Served) -> None:
        self.url = served.url.rstrip("/")
        self.place = urlsplit(self.url).netloc
        answer = self.ask("GET", "/")
        self.cookie = answer.headers["set-cookie"].split(";")[0]

    def headers(self) -> dict[str, str]:
        cookie = getattr(self, "cookie", "")
        return {"Origin": self.url, "Cookie": cookie, "Content-Type": "application/json"}

    def ask(self, method: str, path: str, values: Any = None) -> Any:
        connection = http.client.HTTPConnection(self.place, timeout=30)
        body = None if values is None else json.dumps(values)
        connection.request(method, path, body, self.headers())
        answer = connection.getresponse()
        answer.words = answer.read()
        connection.close()
        return answer

    def json(self, method: str, path: str, values: Any = None) -> Any:
        return json.loads(self.ask(method, path, values).words)

    def begin(self, method: str, path: str, *, length: int = 0) -> socket.socket:
        """A request of which the body is still to come."""
        host, port = self.place.split(":")
        connection = socket.create_connection((host, int(port)), timeout=30)
        headers = {**self.headers(), "Host": self.place, "Content-Length": str(length)}
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        connection.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode())
        return connection


def until(condition: Any, *, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.05)


def shown(visitor: Visitor, job: dict[str, Any]) -> int:
    """How many frames of a live view were shown; none before it begins."""
    live = visitor.json("GET", f"/api/jobs/{job['id']}")["live"]
    return 0 if live is None else int(live["shown"])


def stored(served: Served) -> list[Path]:
    # os.walk passes over folders that go away meanwhile.
    return [Path(folder, name) for folder, _, names in os.walk(served.root) for name in names]


def test_an_upload_whose_page_goes_away_leaves_nothing(
    served: Served, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    visitor, data = Visitor(served), clip.read_bytes()
    announced = visitor.json("POST", "/api/videos", {"name": "cut.mp4", "size": len(data)})
    connection = visitor.begin("PUT", f"/api/videos/{announced['id']}", length=len(data))
    connection.sendall(data[: len(data) // 2])
    until(lambda: stored(served))
    connection.close()
    until(lambda: not stored(served))
    assert visitor.json("GET", "/api/state")["videos"] == []
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_a_refused_upload_is_answered_though_more_was_to_come(served: Served) -> None:
    visitor = Visitor(served)
    announced = visitor.json("POST", "/api/videos", {"name": "words.mp4", "size": 1 << 20})
    connection = visitor.begin("PUT", f"/api/videos/{announced['id']}", length=1 << 20)
    connection.sendall(b"words that are no video" * 12)
    assert connection.recv(4096).startswith(b"HTTP/1.1 415")
    connection.close()
    assert stored(served) == []


def test_a_live_view_ends_with_its_viewers_and_the_server_with_it(
    served: Served, opened: list[socket.socket], long_clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segtween.ui import live

    monkeypatch.setattr(live, "UNWATCHED_SECONDS", 1.0)
    visitor, data = Visitor(served), long_clip.read_bytes()
    announced = visitor.json("POST", "/api/videos", {"name": "long.mp4", "size": len(data)})
    sending = visitor.begin("PUT", f"/api/videos/{announced['id']}", length=len(data))
    sending.sendall(data)
    assert sending.recv(4096).startswith(b"HTTP/1.1 200")
    sending.close()
    job = visitor.json("POST", "/api/live", {"video": announced["id"]})
    viewer = visitor.begin("GET", f"/live/{job['id']}")
    until(lambda: shown(visitor, job) > 2, seconds=120)
    assert b"image/jpeg" in viewer.recv(1 << 16)
    viewer.close()
    until(lambda: visitor.json("GET", f"/api/jobs/{job['id']}")["state"] == "done")
    monkeypatch.undo()
    again = visitor.json("POST", "/api/live", {"video": announced["id"]})
    watching = visitor.begin("GET", f"/live/{again['id']}")  # still open when the server ends
    opened.append(watching)
    until(lambda: shown(visitor, again) > 2, seconds=120)
    assert b"image/jpeg" in watching.recv(1 << 16)
