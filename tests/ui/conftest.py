"""The page's server for tests, on a port of its own, and clips to send to it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"
SIZE, FRAMES, RATE = (120, 160), 12, Fraction(12)


def square(index: int, *, size_hw: tuple[int, int] = SIZE) -> np.ndarray[Any, Any]:
    """A white square (class "bright") that moves right over dark grey (class "dim")."""
    rgb = np.full((*size_hw, 3), 90, np.uint8)
    rgb[40:80, 8 * index % size_hw[1] :][:, :40] = 240
    return rgb


def write_clip(path: Path, *, frames: int = FRAMES, size_hw: tuple[int, int] = SIZE) -> Path:
    from segtween.video.encode import Clock, VideoWriter

    writer = VideoWriter(path, codec="h264", clock=Clock(1 / RATE, RATE))
    for i in range(frames):
        writer.write(square(i, size_hw=size_hw), Fraction(i) / RATE)
    writer.close()
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clips") / "square.mp4")


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half a minute."""
    return write_clip(tmp_path_factory.mktemp("clips") / "long.mp4", frames=30 * int(RATE))


class Served(NamedTuple):
    """A server with its address and the folder of its sessions."""

    url: str
    root: Path
    app: Any


def serve(root: Path, **options: Any) -> Iterator[Served]:
    """A server on a free port, in a thread."""
    from segtween.ui.guard import Access
    from segtween.ui.server import Server, create_app, listen
    from segtween.ui.sessions import Options

    keep, token = options.pop("keep", False), options.pop("token", None)
    sock: socket.socket = listen("127.0.0.1", 0)
    port = sock.getsockname()[1]
    root.mkdir(exist_ok=True)
    app = create_app(root, Options(Access("127.0.0.1", port, token), (MODEL,), **options), keep=keep)
    server = Server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.05)
    assert server.started
    yield Served(f"http://127.0.0.1:{port}/", root, app)
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive(), "the server ends when it is asked to"


@pytest.fixture
def app(tmp_path: Path) -> Any:
    from ui import pages

    return pages.make_app(tmp_path)


@pytest.fixture
def page(app: Any) -> Iterator[Any]:
    from ui import pages

    with pages.client_of(app) as client:
        yield pages.Page(client)
