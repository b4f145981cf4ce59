"""What README shows must run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from test_cli import MODEL, call, video

from fakes import by_brightness, panning

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    video(tmp_path / "drive.mp4", panning(6, (96, 128)))
    (tmp_path / "my.yaml").write_text("names: [dark, dim, light, bright]\n")
    names: dict[str, Any] = {"my_function": by_brightness}
    exec(compile(code, "README.md", "exec"), names)
    assert names["r"].index == 5
    assert names["r"].labels.shape == (96, 128)
    assert (tmp_path / "out" / "overlay.mp4").is_file()
    assert len(list((tmp_path / "out" / "labels").iterdir())) == 6


def test_the_run_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "videos").mkdir()
    for name in ("drive.mp4", "camera.mkv", "videos/one.mp4"):
        video(tmp_path / name, panning(6, (96, 128)))
    lines = [line.partition("#")[0].strip() for block in blocks("") for line in block.splitlines()]
    commands = [
        line
        for line in lines
        if line.startswith("segtween run") and not any(name in line for name in ("my.onnx", "rtsp:", "camera:"))
    ]
    assert len(commands) == 5
    for command in commands:
        done = call(*shlex.split(command)[1:], "--model", MODEL)
        assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out3" / "one" / "labels").iterdir())) == 6


def test_every_page_that_is_linked_exists() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
