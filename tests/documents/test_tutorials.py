"""What the tutorials show must run, in the order in which it stands there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_cli import MODEL, call, video

from fakes import panning
from tiny_onnx import write_network

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
BLOCK = re.compile(r"^ *```(sh|python)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
SIZE_HW = (96, 128)


@pytest.fixture
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader of the tutorials has: a video, a network, drawn labels."""
    monkeypatch.chdir(tmp_path)
    video(tmp_path / "drive.mp4", panning(6, SIZE_HW))
    write_network(tmp_path / "my.onnx")
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    (drawn / "labels.yaml").write_text("names: [left, right]\n")
    for number in (0, 5):
        cv2.imwrite(str(drawn / f"{number}.png"), (np.indices(SIZE_HW)[1] >= 64).astype(np.uint8))


@pytest.mark.parametrize("page", sorted(path.name for path in TUTORIALS.glob("*.md")))
@pytest.mark.usefixtures("_place")
def test_every_block_runs(page: str) -> None:
    blocks = BLOCK.findall((TUTORIALS / page).read_text(encoding="utf-8"))
    assert blocks
    for language, text in blocks:
        if language == "python":
            exec(compile(text, page, "exec"), {})
            continue
        for line in text.splitlines():
            words = shlex.split(line)[1:]
            own = (
                ["--model", MODEL] if words[0] == "run" and "--model" not in words and "--classes" not in words else []
            )
            done = call(*words, *own)
            assert done.exit_code == 0, f"{line}: {done.output}"


@pytest.mark.usefixtures("_place")
def test_outputs_are_those_that_the_page_names(tmp_path: Path) -> None:
    assert call("run", "drive.mp4", "-o", "out/", "--model", MODEL).exit_code == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["frames.csv", "overlay.mp4", "run.json"]
    assert call("propagate", "drive.mp4", "--labels", "drawn/", "-o", "again/").exit_code == 0
    assert (tmp_path / "again" / "next.json").is_file()
