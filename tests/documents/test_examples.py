"""What is in `examples/` runs as it stands there, each script short enough to be read at once."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

import segtween
from fakes import panning

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted(path for path in (ROOT / "examples").iterdir() if path.suffix in (".py", ".ipynb"))


def call(name: str, *words: object, **env: object) -> str:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, **{key: str(value) for key, value in env.items()}},
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_folder_of_pictures_becomes_label_images(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    for i, rgb in enumerate(panning(3, (96, 128))):
        cv2.imwrite(str(tmp_path / "frames" / f"{i:03d}.png"), rgb[..., ::-1])
    told = call("image_folder.py", tmp_path / "frames", tmp_path / "out").splitlines()
    assert [line.split()[:2] for line in told] == [[f"{i:03d}.png", "shows"] for i in range(3)]
    labels = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((tmp_path / "out").iterdir())]
    assert [image.shape for image in labels] == [(96, 128)] * 3
    assert max(int(np.max(image)) for image in labels) < 11


def needs(library: str) -> None:
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed")


def test_supervision_draws_masks_and_names(drive: Path, tmp_path: Path) -> None:
    needs("supervision")
    told = call("supervision_annotators.py", drive, tmp_path / "out").splitlines()
    assert [line.split()[0] for line in told] == list("012345")
    painted = [cv2.imread(str(path)) for path in sorted((tmp_path / "out").iterdir())]
    assert [picture.shape for picture in painted] == [(96, 128, 3)] * 6


def test_a_recording_is_written_for_rerun(drive: Path, tmp_path: Path) -> None:
    needs("rerun")
    told = call("rerun_viewer.py", drive, tmp_path / "out").splitlines()
    assert told[0].startswith("drive: network on 2 of 6 frames")
    assert told[-1] == f"rerun {tmp_path / 'out'}/clip.rrd"
    assert (tmp_path / "out" / "clip.rrd").stat().st_size > 10_000


@pytest.mark.slow
def test_coco_is_exported_and_read(drive: Path, tmp_path: Path) -> None:
    told = call("coco_export.py", drive, tmp_path / "out").splitlines()
    assert told[0].endswith(" masks in 6 frames")
    assert sum(int(line.split()[1]) for line in told[1:]) == 6 * 96 * 128


@pytest.mark.slow
def test_corrected_frames_are_propagated(drive: Path, tmp_path: Path) -> None:
    told = call("cvat_loop.py", drive, tmp_path / "first").splitlines()
    assert told[0].startswith("drive: network on 2 of 6 frames")
    told = call("cvat_loop.py", drive, tmp_path / "second", tmp_path / "first" / "cvat.zip").splitlines()
    assert told == ["6 frames from 6 corrected ones"]


@pytest.mark.slow
def test_a_ros_node_publishes_labels_and_confidence(tmp_path: Path) -> None:
    """With a stand-in for the modules of ROS 2, which hands over the images that it finds and keeps the answers."""
    images, answers = tmp_path / "images.npz", tmp_path / "answers.npz"
    frames = panning(3, (96, 128))
    np.savez(images, *frames)
    stand_in = ROOT / "tests" / "documents" / "ros2"
    path = os.pathsep.join([str(stand_in), os.environ.get("PYTHONPATH", "")])
    call("ros2_node.py", PYTHONPATH=path, ROS_IMAGES=images, ROS_ANSWERS=answers)
    with np.load(answers) as stored:
        labels = [stored[f"labels-mono8-{i}"] for i in range(3)]
        confidence = [stored[f"confidence-32FC1-{i}"] for i in range(3)]
    seg = segtween.load("swiftnet-lite0.camvid", every=5)
    for values, sure, frame in zip(labels, confidence, frames, strict=True):
        wanted = seg.step(frame)
        assert np.array_equal(values, wanted.labels)
        assert np.array_equal(sure, wanted.confidence)


@pytest.mark.slow
def test_the_notebook_runs_from_top_to_bottom(drive: Path, tmp_path: Path) -> None:
    notebook = json.loads((ROOT / "examples" / "results.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell.get("outputs", []) == [] for cell in notebook["cells"])
    script = tmp_path / "cells.py"
    script.write_text("\n\n".join(cells), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OUT": str(tmp_path / "out"), "VIDEO": str(drive)},
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "out" / "coco.json").is_file()


def test_the_notebook_runs_in_jupyter(drive: Path, tmp_path: Path) -> None:
    for library in ("nbclient", "nbformat", "ipykernel"):
        needs(library)
    code = (
        "import nbclient, nbformat, sys; book = nbformat.read(sys.argv[1], 4); nbformat.validate(book); "
        "nbclient.NotebookClient(book, timeout=200).execute(); "
        "print([list(o['data']) for c in book.cells for o in c.get('outputs', []) if 'data' in o])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ROOT / "examples" / "results.ipynb"],
        capture_output=True,
        text=True,
        timeout=280,
        env={**os.environ, "OUT": str(tmp_path / "out"), "VIDEO": str(drive)},
    )
    assert done.returncode == 0, done.stderr
    assert "'image/png'" in done.stdout


OF_FRAMEWORKS = ["huggingface_segformer.py", "smp_unet.py", "torchvision_deeplab.py"]
"""Run by `make test-adapters` (`tests/frameworks/test_framework_examples.py`)."""


def test_they_are_short_all_tested_and_part_of_the_source_package() -> None:
    own = [
        "coco_export.py", "cvat_loop.py", "image_folder.py", "own_function.py", "rerun_viewer.py", "results.ipynb",
        "ros2_node.py", "supervision_annotators.py", "webcam.py",
    ]  # fmt: skip
    assert [path.name for path in EXAMPLES] == sorted([*own, *OF_FRAMEWORKS])
    others = (ROOT / "tests" / "frameworks" / "test_framework_examples.py").read_text(encoding="utf-8")
    assert all(f'example("{Path(name).stem}").main(' in others for name in OF_FRAMEWORKS)
    assert all(len(path.read_text(encoding="utf-8").splitlines()) <= 40 for path in EXAMPLES if path.suffix == ".py")
    assert '"examples"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8").partition("sdist]")[2]
    contributing = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert all(f"(examples/{path.name})" in contributing for path in EXAMPLES)
