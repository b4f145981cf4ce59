"""A device from the command line and from Python."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

import segtween
from fakes import panning
from segtween.errors import SettingError

MODEL = f"{Path(__file__).parents[1] / 'fakes.py'}:by_brightness"
NETWORK = "swiftnet-lite0.camvid"


def call(*args: str | Path) -> Result:
    from segtween.cli import app

    return CliRunner().invoke(app, [str(a) for a in args], catch_exceptions=False)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    folder = tmp_path / "clip"
    folder.mkdir()
    for i, rgb in enumerate(panning(6, (48, 64), cell=12)):
        cv2.imwrite(str(folder / f"f{i:02}.png"), rgb[..., ::-1])
    return folder


def read(folder: Path) -> list[np.ndarray]:
    return [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in sorted((folder / "labels").glob("*.png"))]


@pytest.mark.train
def test_run_writes_what_it_writes_on_the_processor(clip: Path, tmp_path: Path) -> None:
    # No motion, which is the same everywhere.
    options = ["--model", MODEL, "--flow", "zero", "--save", "labels,confidence", "--threads", "1", "--every", "3"]
    for device in ("cpu", "torch-cpu"):
        done = call("run", clip, "-o", tmp_path / device, "--device", device, *options)
        assert done.exit_code == 0, done.output
    expected, found = read(tmp_path / "cpu"), read(tmp_path / "torch-cpu")
    assert len(found) == 6
    assert all((one != other).mean() <= 1e-3 for one, other in zip(found, expected, strict=True))
    record = json.loads((tmp_path / "torch-cpu" / "run.json").read_text())
    assert record["totals"]["network_runs"] == 2
    assert record["method"]["arrays"] == "torch"


@pytest.mark.train
def test_run_says_what_still_runs_on_the_processor(clip: Path, tmp_path: Path) -> None:
    done = call("run", clip, "-o", tmp_path / "out", "--device", "torch-cpu", "--model", MODEL, "--save", "labels")
    assert done.exit_code == 0, done.output
    assert "runs on the processor: frames are fetched from the device" in " ".join(done.stderr.split())


@pytest.mark.train
def test_evaluate_counts_the_same_frames(tmp_path: Path) -> None:
    done = call("synth", tmp_path / "street", "--frames", "4", "--size", "96x64", "--seed", "500")
    assert done.exit_code == 0, done.output
    common = ["evaluate", "--dataset", "camvid", "--root", tmp_path / "street", "--scores", "labels", "--threads", "1"]
    figures = {}
    for device in ("cpu", "torch-cpu"):
        done = call(*common, "--flow", "zero", "--intervals", "1", "--device", device, "--json", tmp_path / device)
        assert done.exit_code == 0, done.output
        figures[device] = json.loads((tmp_path / device).read_text())["results"][0]
    assert figures["torch-cpu"]["avg_miou"] == pytest.approx(figures["cpu"]["avg_miou"], abs=1e-3)


@pytest.mark.train
def test_a_network_is_loaded_onto_a_device() -> None:
    import torch

    seg = segtween.load(NETWORK, device="torch-cpu", interval=1, threads=1)
    frames = panning(3, (64, 96), cell=16)
    results = list(seg.stream(frames))
    assert [result.is_key for result in results] == [True, False, True]
    assert all(isinstance(result.labels, np.ndarray) for result in results)
    assert seg.method.record["network"]["precision"] == "float32"
    assert seg.method.record["network"]["runtime"] == "torch"
    seg.reset()
    there = seg.step(torch.from_numpy(frames[0])).labels
    assert isinstance(there, torch.Tensor)
    assert np.array_equal(there.numpy(), results[0].labels)
    with pytest.raises(SettingError, match="several streams at once on device torch-cpu; expected device cpu"):
        seg.streams(2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--device", "gpu"], "device 'gpu'; expected cpu, cuda, cuda:1 or torch-cpu"),
        pytest.param(["--device", "cuda:99"], "expected a card that CUDA can use", marks=pytest.mark.train),
        pytest.param(
            ["--device", "torch-cpu", "--async-keys", "1"], "--async-keys 1 on device", marks=pytest.mark.train
        ),
        pytest.param(
            ["--device", "torch-cpu", "--key-tta", "mirror"], "--key-tta mirror on device", marks=pytest.mark.train
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(clip: Path, tmp_path: Path, options: list[str], said: str) -> None:
    done = call("run", clip, "-o", tmp_path / "out", "--model", MODEL, *options)
    assert done.exit_code == 2
    opening, line = done.stderr.strip().splitlines()
    assert opening == f"opening {MODEL}"
    assert said in line
