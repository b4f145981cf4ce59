"""The picture of a training's losses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from segtween.cli import app
from segtween.errors import MissingExtraError, ModelError, SettingError
from segtween.reports.figures.curves import read_losses

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train


def write(folder: Path, name: str, losses: list[float]) -> Path:
    folder.mkdir(parents=True)
    state = {"model": {}, "step": len(losses), "losses": losses, "recipe_values": json.dumps({"name": name})}
    torch.save(state, folder / "checkpoint.pt")
    return folder


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    out = write(tmp_path / "out", "second", [0.5, 0.4])
    write(out / "before", "first", [2.0, 1.0, 0.9])
    return out


def test_parts_come_in_the_order_in_which_they_were_trained(trained: Path) -> None:
    first, second = read_losses(trained)
    assert (first.name, first.losses) == ("first", (2.0, 1.0, 0.9))
    assert (second.name, second.losses) == ("second", (0.5, 0.4))


def test_command_draws_both_parts(trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "figures" / "loss.png"
    done = CliRunner().invoke(app, ["figure", "training", str(trained), "-o", str(picture)])
    assert done.exit_code == 0, done.output
    drawn = cv2.imread(str(picture)).reshape(-1, 3).astype(int)
    for rgb in ((0x1B, 0x6C, 0xA8), (0xD1, 0x49, 0x5B)):
        assert (np.abs(drawn - np.array(rgb[::-1])).sum(1) < 12).sum() > 20, "each part has its colour"
    again = CliRunner().invoke(app, ["figure", "training", str(trained), "-o", str(picture)])
    assert again.exit_code == 2
    assert "exists; expected no such file yet; give --overwrite" in " ".join(again.output.split())


def test_running_mean_is_of_the_last_hundred() -> None:
    from segtween.reports.figures.curves import OVER, running_mean

    values = np.arange(250.0)
    mean = running_mean(values)
    assert mean[0] == 0
    assert mean[9] == pytest.approx(4.5)
    assert mean[-1] == pytest.approx(values[-OVER:].mean())


def test_folder_that_holds_no_training_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"holds no checkpoint\.pt; expected the output folder of a training; give"):
        read_losses(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"no")
    with pytest.raises(ModelError, match=r"checkpoint\.pt cannot be read"):
        read_losses(tmp_path)


def test_missing_matplotlib_is_said(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.reports.figures.curves import loss_figure

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"segtween\[figures\]"):
        loss_figure(trained, tmp_path / "loss.png")
