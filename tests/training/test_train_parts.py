"""Losses of a segmenter's training, and batches in parts: one after the other, or in several processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from segtween.errors import SettingError
from segtween.training import train_recipe
from segtween.training.segmenter.recipe import Loss

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard.*")]

RECIPE: dict[str, Any] = {
    "name": "parts",
    "network": "swiftnet-lite0",
    "steps": 3,
    "batch": 4,
    "crop": "64x32",
    "precision": "float32",
    "train": [{"kind": "list", "list": "train.txt"}],
    "optimiser": {"kind": "sgd", "rate": 0.01},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for i in range(6):
        cv2.imwrite(str(root / f"{i}.png"), rng.integers(0, 255, (32, 64, 3), np.uint8))
        truth = rng.integers(0, 11, (32, 64)).astype(np.uint8)
        truth[: 4 * i] = 11  # every picture has another number of ignored pixels
        cv2.imwrite(str(root / f"{i}_l.png"), truth)
    (root / "train.txt").write_text("\n".join(f"{i}.png {i}_l.png" for i in range(6)))
    return root


def write_recipe(folder: Path, **changes: Any) -> Path:
    path = folder / "parts.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, **changes}))
    return path


def state(out: Path) -> dict[str, Any]:
    return dict(torch.load(out / "checkpoint.pt", weights_only=True))


def freeze_norms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Norms that use what they begin with, so that parts of a batch do not see each other."""
    from torch.nn.modules.batchnorm import _BatchNorm

    monkeypatch.setattr(_BatchNorm, "train", lambda self, _mode=True: torch.nn.Module.train(self, False))


def test_parts_of_a_batch_change_nothing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    freeze_norms(monkeypatch)
    ends = []
    for parts in (1, 2):
        recipe = write_recipe(tmp_path, accumulate=parts, loss={"class_power": 0.3, "boundary": 2.0})
        train_recipe(recipe, out=tmp_path / str(parts), data_root=data, device="cpu")
        ends.append(state(tmp_path / str(parts)))
    assert ends[0]["losses"] == pytest.approx(ends[1]["losses"], rel=1e-4)
    one, two = ends[0]["model"], ends[1]["model"]
    assert all(torch.allclose(one[k], two[k], rtol=1e-3, atol=1e-5) for k in one)


@pytest.mark.slow
def test_two_processes_end_like_one_with_two_parts(data: Path, tmp_path: Path) -> None:
    """Norms see as much of a batch in a process as in a part; their statistics are means over processes instead."""
    ends = {}
    for processes, parts in ((1, 2), (2, 1)):
        recipe, out = write_recipe(tmp_path, accumulate=parts, loss={"overlap": 0.5}), tmp_path / f"{processes}"
        launcher = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29612"]
        arguments = ["-m", "segtween", "train", str(recipe), "--data-root", str(data), "--out", str(out)]
        done = subprocess.run(
            [sys.executable, *(launcher if processes > 1 else []), *arguments, "--device", "cpu"],
            capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        ends[processes] = state(out)
    assert ends[1]["losses"] == pytest.approx(ends[2]["losses"], rel=1e-4)
    one, two = ends[1]["model"], ends[2]["model"]
    learnt = [k for k in one if not k.endswith(("running_mean", "running_var", "tracked"))]
    assert max(float((one[k] - two[k]).norm() / one[k].norm().clamp(min=1e-6)) for k in learnt) < 1e-3


def test_float16_is_for_gpus(data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SettingError, match=r"^precision is 'float16', on the CPU; expected bfloat16 or float32; correct"
    ):
        train_recipe(write_recipe(tmp_path, precision="float16"), out=tmp_path / "out", data_root=data, device="cpu")


# ── Losses ────────────────────────────────────────────────────────────────────────────────────


def test_loss_of_parts_adds_up() -> None:
    from segtween.training.segmenter.losses import loss_of

    logits = torch.randn(4, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 3, (4, 12, 16), generator=torch.Generator().manual_seed(1))
    labels[0, :7] = 255
    counted = float((labels != 255).sum())
    for settings in (Loss(), Loss(boundary=3.0)):
        whole = float(loss_of(logits, labels, settings, None))
        halves = [
            float(loss_of(logits[i : i + 2], labels[i : i + 2], settings, None, counted=counted, share=0.5))
            for i in (0, 2)
        ]
        assert sum(halves) == pytest.approx(whole, rel=1e-5)


def test_nearness_is_one_on_boundaries_and_fades() -> None:
    from segtween.training.segmenter.losses import nearness

    labels = torch.zeros(1, 9, 20, dtype=torch.long)
    labels[:, :, 10:] = 1
    labels[:, :, 18:] = 255
    near = nearness(labels, sigma=2.0)[0, 4]
    assert near[9] == near[10] == 1
    assert float(near[6]) == pytest.approx(np.exp(-9 / 8), rel=1e-5)
    assert near[17] < 0.01, "ignored pixels make no boundary"


def test_threshold_takes_all_uncertain_pixels_and_at_least_a_part() -> None:
    from segtween.training.segmenter.losses import loss_of

    logits = torch.tensor([4.0, 1.0, 0.0, -1.0]).repeat(4, 1).view(1, 1, 4, 4)
    logits = torch.cat((logits, torch.zeros_like(logits)), 1)  # p of class 0: 0.98, 0.73, 0.5, 0.27
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    each = -np.log(1 / (1 + np.exp(-np.array([4.0, 1, 0, -1]))))

    def loss(threshold: float, fraction: float) -> float:
        return float(loss_of(logits, labels, Loss(hard_threshold=threshold, hard_fraction=fraction), None))

    assert loss(0.7, 0.1) == pytest.approx(each[2:].mean(), rel=1e-5)
    assert loss(0.9, 0.1) == pytest.approx(each[1:].mean(), rel=1e-5)
    assert loss(0.3, 0.75) == pytest.approx(each[1:].mean(), rel=1e-5), "the least part, since few are uncertain"
