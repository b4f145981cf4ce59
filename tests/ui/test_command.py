"""`segtween ui`: what it refuses, what it prints, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from browsers import needs
from segtween.cli import app
from ui.conftest import MODEL

SERVES = needs("starlette", "uvicorn")


def refused(*args: str) -> str:
    done = CliRunner().invoke(app, ["ui", "--no-browser", *args])
    assert done.exit_code == 2
    return " ".join(done.stderr.split())


@SERVES
def test_a_port_that_is_taken_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert refused("--port", str(port)) == (
            f"segtween: error: host 127.0.0.1, port {port}: Address already in use; expected a free port of this "
            "machine; choose another, or port 0 for any that is free"
        )


@SERVES
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--host", "0.0.0.0"], "--host 0.0.0.0 without --token; expected a token where other machines can reach"),
        (["--port", "70000"], "port 70000"),
        (["--host", "no.such.host.invalid", "--token", "x"], "host no.such.host.invalid, port 0"),
        (["--max-upload", "0"], "--max-upload 0; expected gigabytes above 0"),
        (["--model", "missing.onnx"], "model file missing.onnx is not found"),
    ],
)
def test_what_cannot_be_served_is_refused(args: list[str], words: str) -> None:
    assert words in refused(*args)


def test_without_the_libraries_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "starlette", None)
    assert "expected the extra [ui]; pip install 'segtween[ui]'" in refused()


@contextmanager
def serving(
    temporary: Path, *args: str, program: Sequence[str] = ("-m", "segtween")
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """The command in a process of its own, and the first two lines that it printed."""
    environment = {**os.environ, "TMPDIR": str(temporary), "TERM": "dumb"}
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        environment.pop(name, None)
    command = [sys.executable, *program, "ui", *(args if "--model" in args else ("--model", MODEL, *args))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        try:
            yield process, [process.stderr.readline() for _ in range(2)]
        finally:
            process.kill()


def end(process: Any, number: int = signal.SIGINT) -> str:
    """Interrupts it; what it printed besides."""
    process.send_signal(number)
    until = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    assert process.returncode is not None, "it ends"
    return str(process.stderr.read())


@SERVES
def test_it_says_where_it_is_and_leaves_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as (process, lines):
        url = re.fullmatch(r"the page: (http://127\.0\.0\.1:\d+/)\n", lines[0])
        assert url
        assert str(tmp_path) in lines[1].replace("\n", "") or "results are removed" in lines[1]
        with urllib.request.urlopen(url[1]) as answer:
            assert b"<title>segtween</title>" in answer.read()
        assert len(list(tmp_path.glob("segtween-ui-*/*"))) == 1
        rest = end(process)
        assert process.returncode == 0
    assert "no browser was found here; open the address in one" in rest
    assert "Traceback" not in rest
    assert list(tmp_path.glob("segtween-ui-*")) == []


@pytest.mark.slow
@SERVES
def test_a_token_is_part_of_the_address(tmp_path: Path) -> None:
    with serving(tmp_path, "--no-browser", "--token", "a b", "-o", str(tmp_path / "kept")) as (process, lines):
        assert lines[0].endswith("/?token=a%20b\n")
        assert "Traceback" not in end(process, signal.SIGTERM)
    assert (tmp_path / "kept").is_dir()


IMPATIENT = """
from segtween.cli import app
from segtween.ui import jobs
jobs.PATIENCE_SECONDS = 0.2
app()
"""
HANGS = """
import pathlib, threading, time
def hangs(rgb):
    work = threading.Thread(target=time.sleep, args=(600,), daemon=False)
    work.start()
    pathlib.Path(__file__).with_name("began").touch()
    work.join()
hangs.labels = ["a", "b"]
"""


@pytest.mark.slow
@SERVES
def test_a_network_that_hangs_does_not_keep_the_server(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "hangs.py").write_text(HANGS)
    model = ("--no-browser", "--model", f"{tmp_path / 'hangs.py'}:hangs")
    with serving(tmp_path, *model, program=("-c", IMPATIENT)) as (process, lines):
        url = lines[0].split()[-1]
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        browser.open(url).close()

        def ask(path: str, data: bytes, method: str = "POST") -> Any:
            headers = {"Origin": url.rstrip("/"), "Content-Type": "application/json"}
            with browser.open(urllib.request.Request(url + path, data, headers, method=method)) as answer:
                return json.loads(answer.read())

        data = clip.read_bytes()
        announced = ask("api/videos", json.dumps({"name": clip.name, "size": len(data)}).encode())
        video = ask(f"api/videos/{announced['id']}", data, "PUT")
        ask("api/runs", json.dumps({"video": video["id"], "compare": False}).encode())
        until = time.monotonic() + 60
        while not (tmp_path / "began").exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert (tmp_path / "began").exists()
        assert "Traceback" not in end(process)
        assert process.returncode == 0
    assert list(tmp_path.glob("segtween-ui-*")) == []
