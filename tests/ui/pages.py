"""A browser's page as far as the server sees it: a client with cookies."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ui.conftest import MODEL

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
    from segtween.ui.sessions import Options

    keep, token, host = options.pop("keep", False), options.pop("token", None), options.pop("host", "127.0.0.1")
    return create_app(root, Options(Access(host, PORT, token), (MODEL,), threads=1, **options), keep=keep)


def client_of(app: Any) -> Any:
    from starlette.testclient import TestClient

    return TestClient(app, base_url=URL, follow_redirects=False)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
