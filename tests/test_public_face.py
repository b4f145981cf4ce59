"""The public names and commands, frozen: a change here is a change for users and belongs in CHANGELOG.md."""

from __future__ import annotations

import subprocess
import sys

import segtween


def test_the_public_names_are_these_and_all_can_be_had() -> None:
    assert segtween.__all__ == [
        "Engine", "Frame", "LabelMap", "LabelSet", "Method", "Result", "ScoreMap", "Segtween", "SegtweenError",
        "__version__", "evaluate", "label_set", "load",
    ]  # fmt: skip
    for name in segtween.__all__:
        assert getattr(segtween, name) is not None
    assert set(segtween.__all__) <= set(dir(segtween))


def test_importing_loads_no_heavy_library() -> None:
    code = (
        "import sys, segtween, segtween.cli, segtween.api, segtween.build, segtween.evaluation; "
        "print([m for m in ('torch', 'openvino', 'onnxruntime', 'av', 'kornia') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_commands_are_these() -> None:
    done = subprocess.run([sys.executable, "-m", "segtween", "--help"], capture_output=True, text=True, check=True)
    commands = ("run", "demo", "evaluate", "bench", "train", "export", "synth", "models", "scores", "table", "figure")
    for command in commands:
        assert f" {command} " in done.stdout
