"""The scripts in `examples/` that need a framework, on small networks; and `file.py:build` on the command line."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import segmentation_models_pytorch
from framework_contract import CLASSES
from test_huggingface import processor, saved, segformer

from fakes import panning
from segtween.cli import main as segtween_command

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 6


def example(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(f"example_{name}", ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def drive(tmp_path: Path) -> str:
    path = tmp_path / "drive.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (160, 96))
    for rgb in panning(FRAMES, (96, 160)):
        writer.write(np.ascontiguousarray(rgb[..., ::-1]))
    writer.release()
    return str(path)


def test_torchvision(drive: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    example("torchvision_deeplab").main(drive, str(tmp_path / "out"), "random")
    told = capsys.readouterr().out
    assert "exported from torch: scores differ by" in told
    assert f"{FRAMES} frames in" in told
    assert len(list((tmp_path / "out" / "labels").iterdir())) == FRAMES


def test_segmentation_models_pytorch(drive: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = segmentation_models_pytorch.Unet(
        "tu-mobilenetv3_small_050", encoder_weights=None, classes=2, decoder_channels=(32, 16, 16, 8, 8)
    )
    net.save_pretrained(tmp_path / "unet")
    example("smp_unet").main(drive, str(tmp_path / "out"), str(tmp_path / "unet"), "sky,road")
    told = capsys.readouterr().out
    assert told.count("frame ") == FRAMES
    assert "sky " in told
    assert (tmp_path / "out" / "overlay.mp4").is_file()


def test_hugging_face(drive: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved(segformer(), processor(), tmp_path / "segformer")
    example("huggingface_segformer").main(drive, str(tmp_path / "out"), str(tmp_path / "segformer"))
    told = capsys.readouterr().out
    assert told.startswith(f"6 classes: {', '.join(CLASSES)}")
    assert f"{FRAMES} frames in" in told


def test_a_file_that_builds_a_network_is_a_model_on_the_command_line(
    drive: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "import segmentation_models_pytorch as smp\n\n"
        "def build():\n"
        "    return smp.Unet('tu-mobilenetv3_small_050', encoder_weights=None, classes=2)\n"
    )
    (tmp_path / "labels.yaml").write_text("names: [sky, road]\n")
    words = ["run", drive, "-o", str(tmp_path / "out"), "--model", f"{tmp_path / 'mine.py'}:build"]
    words += ["--label-set", str(tmp_path / "labels.yaml"), "--save", "labels", "--mean", "0.5,0.5,0.5"]
    words += ["--std", "0.25,0.25,0.25", "--channels", "BGR", "--input-size", "160x96"]
    monkeypatch.setattr("sys.argv", ["segtween", *words])
    with pytest.raises(SystemExit) as ended:
        segtween_command()
    told = capsys.readouterr()
    assert ended.value.code == 0, told.err
    assert len(list((tmp_path / "out" / "labels").iterdir())) == FRAMES
    assert "guessed" not in told.out + told.err
