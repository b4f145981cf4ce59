"""The scripts in `examples/` run as they stand there, each short enough to be read at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fakes import panning

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def call(name: str, *words: object) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name, *map(str, words)], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    path = tmp_path / "drive.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (128, 96))
    for rgb in panning(6, (96, 128)):
        writer.write(np.ascontiguousarray(rgb[..., ::-1]))
    writer.release()
    return path


def test_a_loop_of_ones_own_labels_every_frame(drive: Path, tmp_path: Path) -> None:
    told = call("webcam.py", drive, tmp_path / "out").splitlines()
    assert told[0] == "0 network"
    assert told[4:] == ["4 4 frames since the network", "5 network"]
    painted = [cv2.imread(str(path)) for path in sorted((tmp_path / "out").iterdir())]
    assert [picture.shape for picture in painted] == [(96, 128, 3)] * 6


def test_a_function_takes_the_network_s_place(drive: Path, tmp_path: Path) -> None:
    told = call("own_function.py", drive, tmp_path / "out").splitlines()
    assert len([line for line in told if "confidence" in line]) == 6
    assert told[-1] == f"6 frames in {tmp_path / 'out'}"
    assert len(list((tmp_path / "out" / "labels").iterdir())) == 6


def test_a_folder_of_pictures_becomes_label_images(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for i, rgb in enumerate(panning(3, (96, 128))):
        cv2.imwrite(str(tmp_path / "frames" / f"{i:03d}.png"), rgb[..., ::-1])
    told = call("image_folder.py", tmp_path / "frames", tmp_path / "out").splitlines()
    assert [line.split()[:2] for line in told] == [[f"{i:03d}.png", "shows"] for i in range(3)]
    labels = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((tmp_path / "out").iterdir())]
    assert [image.shape for image in labels] == [(96, 128)] * 3
    assert max(int(np.max(image)) for image in labels) < 11


OF_FRAMEWORKS = ["huggingface_segformer.py", "smp_unet.py", "torchvision_deeplab.py"]
"""Run by `make test-adapters` (`tests/frameworks/test_framework_examples.py`)."""


def test_they_are_short_all_tested_and_part_of_the_source_package() -> None:
    assert [path.name for path in EXAMPLES] == sorted(
        ["image_folder.py", "own_function.py", "webcam.py", *OF_FRAMEWORKS]
    )
    others = (ROOT / "tests" / "frameworks" / "test_framework_examples.py").read_text(encoding="utf-8")
    assert all(f'example("{Path(name).stem}").main(' in others for name in OF_FRAMEWORKS)
    assert all(len(path.read_text(encoding="utf-8").splitlines()) < 40 for path in EXAMPLES)
    assert '"examples"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("sdist]")[2]
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(f"(examples/{path.name})" in contributing for path in EXAMPLES)
