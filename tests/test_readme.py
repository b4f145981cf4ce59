"""What README shows must run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from test_cli import MODEL, call, video

from fakes import panning

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    video(tmp_path / "drive.mp4", panning(6, (96, 128)))
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["result"].index == 5
    assert names["result"].labels.shape == (96, 128)


def test_the_run_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    video(tmp_path / "drive.mp4", panning(6, (96, 128)))
    lines = [line.partition("#")[0].strip() for block in blocks("") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("segtween run")]
    assert len(commands) == 3
    for command in commands:
        done = call(*shlex.split(command)[1:], "--model", MODEL)
        assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "out2" / "labels").iterdir())) == 6


def test_every_page_that_is_linked_exists() -> None:
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\(([^)#:]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
