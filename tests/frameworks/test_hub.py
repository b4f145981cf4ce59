"""Networks by name, from a server on this machine that answers as the hub does."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import huggingface_hub
import pytest
from framework_contract import CLASSES
from test_huggingface import processor, saved, segformer

import segtween
from segtween.adapters.hub import folder_of
from segtween.errors import ModelError, SegtweenError

NAME = "someone/small-segformer"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """One network. `large` are its files that the hub keeps by SHA-256; `spoiled` get other bytes than it says."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        self.spoiled: set[str] = set()
        self.error: str | None = None
        self.status = 0
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def entry(self, name: str) -> dict[str, Any]:
        content = self.files[name]
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        entry: dict[str, Any] = {"type": "file", "path": name, "size": len(content), "oid": blob}
        if name.endswith(".safetensors"):
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
        return entry


class Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: Any) -> None:
        """Nothing is written."""

    def answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(path)
        files = self.server.files
        if self.server.status:
            self.answer(self.server.status, b"{}")
        elif NAME not in path or self.server.error is not None:
            code = self.server.error or "RepoNotFound"
            self.answer(403 if code == "GatedRepo" else 404, b"{}", X_Error_Code=code, X_Error_Message=code)
        elif path.startswith(f"/api/models/{NAME}/tree/"):
            self.answer(200, json.dumps([self.server.entry(name) for name in files]).encode())
        elif path.startswith(f"/api/models/{NAME}"):
            siblings = [{"rfilename": name} for name in files]
            self.answer(200, json.dumps({"id": NAME, "sha": COMMIT, "siblings": siblings}).encode())
        elif (name := path.rpartition("/")[2]) in files:
            entry, content = self.server.entry(name), files[name]
            told = entry.get("lfs", entry)["oid"]
            headers = {"ETag": f'"{told}"', "X_Repo_Commit": COMMIT, "X_Linked_Size": str(len(content))}
            sent = bytes(len(content)) if name in self.server.spoiled else content
            self.answer(200, sent, X_Linked_Etag=f'"{told}"', **headers)
        else:
            self.answer(404, b"{}", X_Error_Code="EntryNotFound")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("published")
    saved(segformer(), processor(), path)
    return path


@pytest.fixture
def hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub(folder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.address)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    yield server
    server.shutdown()
    server.server_close()


def test_a_network_is_downloaded_once_and_then_taken_from_the_cache(hub: Hub, folder: Path) -> None:
    first = segtween.load(f"hf:{NAME}")
    assert first.labels.names == CLASSES
    found = folder_of(NAME)
    assert found.name == COMMIT
    assert (found / "model.safetensors").read_bytes() == (folder / "model.safetensors").read_bytes()
    got = [path for path in hub.asked if "model.safetensors" in path]
    segtween.load(f"hf:{NAME}")
    assert [path for path in hub.asked if "model.safetensors" in path] == got


def test_without_the_server_the_cache_is_used_and_else_it_is_told(hub: Hub) -> None:
    there = folder_of(NAME)
    hub.shutdown()
    hub.server_close()
    assert folder_of(NAME) == there
    with pytest.raises(ModelError, match=r"hf:someone/other cannot be had from the hub.*connect, set HF_ENDPOINT"):
        folder_of("someone/other")


def test_offline_mode_asks_nobody(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set"):
        folder_of(NAME)
    assert hub.asked == []


def test_a_file_that_is_not_what_the_hub_says_is_refused(hub: Hub) -> None:
    hub.spoiled = {"model.safetensors"}
    with pytest.raises(SegtweenError, match=r"model\.safetensors of hf:someone/small-segformer has hash .*expected"):
        folder_of(NAME)
    # What lies in the cache is looked at again each time.
    with pytest.raises(SegtweenError, match="has hash"):
        folder_of(NAME)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("RepoNotFound", "is not on the hub, or is private; expected the name of a network there"),
        ("GatedRepo", "may be had only by those who were given access"),
        ("RevisionNotFound", "has no such revision; expected a branch, tag or commit"),
    ],
)
def test_what_the_hub_refuses_is_told_in_one_line(hub: Hub, error: str, told: str) -> None:
    hub.error = error
    with pytest.raises(ModelError, match=told):
        folder_of(NAME)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (401, "refuses it with status 401.*run `hf auth login` with a token"),
        (403, "refuses it with status 403.*run `hf auth login` with a token"),
        (404, "answers with status 404.*check the name, try again later"),
        (503, "answers with status 503.*check the name, try again later"),
    ],
)
def test_a_status_without_a_reason_is_told(hub: Hub, status: int, told: str) -> None:
    hub.status = status
    with pytest.raises(ModelError, match=told):
        folder_of(NAME)


@pytest.mark.parametrize("name", ["", "a/b/c", "../up", "no such folder", "a--b/..c", "x" * 500])
def test_what_is_no_name_is_told(hub: Hub, name: str) -> None:
    with pytest.raises(ModelError, match="hf:"):
        folder_of(name)
    assert hub.asked == []
