"""The device needs torch, and of the processor's libraries none: a machine with a card may have nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fakes import panning
from segtween import street
from segtween.bench.plan import clip_frames

BLOCKED = ("openvino", "av", "cv2", "numba", "llvmlite", "onnxruntime")
SIZE = (64, 96)
_CHILD = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)

sys.meta_path.insert(0, Blocked())
from segtween.cli import main
main()
"""


@pytest.mark.slow
@pytest.mark.train
def test_the_device_is_timed_without_the_processors_libraries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def drive(seed: int, **options: Any) -> Any:
        return (SimpleNamespace(rgb=rgb) for rgb in panning(options["frames"], options["size_hw"], seed=seed))

    monkeypatch.setenv("SEGTWEEN_CACHE", str(tmp_path))
    monkeypatch.setattr(street, "StreetClip", drive)
    clip_frames("street", SIZE)  # to be found in the cache: rendering needs the processor's libraries
    words = ["bench", "device", "torch-cpu", "--size", "96x64", "--intervals", "1", "--repeats", "1", "--threads", "1"]
    words += ["--against", "reference,torch", "--json", str(tmp_path / "gpu.json")]
    done = subprocess.run(
        [sys.executable, "-c", _CHILD.format(blocked=BLOCKED), *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert [row["interval"] for row in record["results"]] == [0, 1]
    assert record["clip"] == "street"
