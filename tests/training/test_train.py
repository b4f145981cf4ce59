"""A training from start to end on a few small pictures: the same weights after a kill, one report, whole files."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from killed_training import killed_at
from segtween.errors import MissingExtraError, ModelError, SettingError, SinkError
from segtween.training import load_recipe, train_recipe

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard.*")]

RECIPE: dict[str, Any] = {
    "name": "tiny",
    "network": "swiftnet-lite0",
    "steps": 6,
    "batch": 2,
    "crop": "64x32",
    "seed": 5,
    "train": [{"kind": "list", "list": "train.txt"}],
    "evaluate": [{"kind": "list", "list": "train.txt", "name": "seen"}],
    "augment": {"scale": [0.8, 1.5], "brightness": [0.8, 1.2]},
    "optimiser": {"rate": 0.002, "warmup": 2},
    "loss": {"class_power": 0.3, "hard_fraction": 0.5, "overlap": 0.5},
    "licence": "none: pictures made for a test",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    lines = []
    for i in range(5):
        truth = np.zeros((40, 72), np.uint8)
        truth[20:] = 3
        x = int(rng.integers(0, 50))
        truth[12:30, x : x + 18] = 8
        colours = np.array([[230, 200, 150], [0] * 3, [0] * 3, [90, 90, 90], *[[0] * 3] * 4, [20, 20, 160]], np.uint8)
        noise = rng.integers(0, 20, (40, 72, 3), np.uint8)
        cv2.imwrite(str(root / f"{i}.png"), colours[truth] + noise)
        cv2.imwrite(str(root / f"{i}_l.png"), truth)
        lines.append(f"{i}.png {i}_l.png")
    (root / "train.txt").write_text("\n".join(lines))
    return root


def write_recipe(folder: Path, **changes: Any) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, **changes}))
    return path


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    return train_recipe(write_recipe(folder), out=folder / "out", data_root=data, device="cpu"), folder / "out"


def same_weights(first: Path, second: Path) -> bool:
    one, two = (torch.load(p / "checkpoint.pt", weights_only=True) for p in (first, second))
    return bool(
        one["losses"] == two["losses"]
        and all(torch.equal(one["model"][k], two["model"][k]) for k in one["model"])
        and (first / "model/weights.safetensors").read_bytes() == (second / "model/weights.safetensors").read_bytes()
    )


@pytest.mark.parametrize("kill_at", [1, 3, 4, 6])
def test_killed_at_any_step_it_ends_with_the_same_bits(
    kill_at: int, whole: tuple[Any, Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segtween.training.segmenter import task

    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    with killed_at(kill_at, task, "loss_of", monkeypatch):
        train_recipe(recipe, out=out, data_root=data, device="cpu")
    assert not (out / "report.json").exists()
    train_recipe(recipe, out=out, data_root=data, device="cpu")
    assert same_weights(out, whole[1])


def test_recipe_after_another_begins_with_its_weights(
    whole: tuple[Any, Path], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segtween.training.segmenter import task

    (tmp_path / "first.yaml").write_text(yaml.safe_dump({**RECIPE, "evaluate": []}))
    recipe = write_recipe(tmp_path, after="first.yaml", steps=2, evaluate=[], optimiser={"rate": 1e-9})
    original: Callable[..., Any] = task.loss_of
    calls = []

    def dying(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == RECIPE["steps"] + 1:
            raise KeyboardInterrupt
        return original(*args, **kwargs)

    monkeypatch.setattr(task, "loss_of", dying)
    with pytest.raises(KeyboardInterrupt):
        train_recipe(recipe, out=tmp_path / "out", data_root=data, device="cpu")
    report = train_recipe(recipe, out=tmp_path / "out", data_root=data, device="cpu")
    assert len(calls) == RECIPE["steps"] + 1 + 2
    assert report["before"]["steps"] == RECIPE["steps"]
    first, second = (
        torch.load(p / "checkpoint.pt", weights_only=True)["model"] for p in (tmp_path / "out/before", tmp_path / "out")
    )
    stored = torch.load(whole[1] / "checkpoint.pt", weights_only=True)["model"]
    assert all(torch.equal(first[k], stored[k]) for k in stored)
    assert torch.allclose(first["logits.conv.weight"], second["logits.conv.weight"], atol=1e-6)


@pytest.mark.slow
def test_killed_process_ends_with_the_same_bits(whole: tuple[Any, Path], data: Path, tmp_path: Path) -> None:
    recipe, out = write_recipe(tmp_path), tmp_path / "out"
    program = textwrap.dedent(
        f"""
        import torch
        torch.set_num_threads({torch.get_num_threads()})
        from segtween.training import loop, train_recipe
        loop.CHECKPOINT_EVERY = 1
        train_recipe({str(recipe)!r}, out={str(out)!r}, data_root={str(data)!r}, device="cpu")
        """
    )
    for last in (False, True):
        child = subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL)
        while not last and child.poll() is None and not (out / "checkpoint.pt").exists():
            time.sleep(0.02)
        if not last:
            child.send_signal(signal.SIGKILL)
        child.wait(timeout=120)
    assert same_weights(out, whole[1])


def test_report_says_what_was_done(whole: tuple[dict[str, Any], Path]) -> None:
    from segtween.models.weights import sha256_of

    report, out = whole
    stored = json.loads((out / "report.json").read_text())
    assert {**stored, "text": report["text"]} == json.loads(json.dumps(report))
    assert (out / "report.txt").read_text() == report["text"]
    assert report["weights_sha256"] == sha256_of(out / "model/weights.safetensors")
    assert report["data"][0]["frames"] == 5
    assert np.isfinite([report["loss_first_100"], report["loss_last_100"]]).all()
    seen = report["scores"]["seen"]
    assert set(seen["per_class"]) == set(load_recipe_labels(out))
    assert 0 <= seen["miou"] <= 1
    assert f"{100 * seen['miou']:.2f}" in report["text"]
    assert (out / "model/model.yaml").is_file()
    assert list((out / "events").glob("events.*"))
    assert not list(out.rglob("*.part"))


def load_recipe_labels(out: Path) -> tuple[str, ...]:
    from segtween.models.records import load_record

    record = load_record(out / "model/model.yaml")
    assert record.provenance["licence"] == RECIPE["licence"]
    assert record.provenance["recipe"] == "recipes/tiny.yaml"
    assert record.provenance["measured"]["seen"]["frames"] == 5
    shown = 64 / 72 * (0.8 * 1.5) ** 0.5  # filling the crop, at the mean of the recipe's scales
    assert record.trained_size_hw == (round(40 * shown), round(72 * shown))
    return record.labels.names


def test_finished_training_is_not_repeated(whole: tuple[Any, Path], data: Path, tmp_path: Path) -> None:
    before = (whole[1] / "checkpoint.pt").stat().st_mtime_ns
    train_recipe(write_recipe(tmp_path), out=whole[1], data_root=data, device="cpu")
    assert (whole[1] / "checkpoint.pt").stat().st_mtime_ns == before


def test_checkpoint_becomes_a_model_folder(whole: tuple[Any, Path], tmp_path: Path) -> None:
    from segtween.networks import export_checkpoint, export_network

    folder = export_checkpoint(whole[1] / "checkpoint.pt", tmp_path / "m")
    assert (folder / "weights.safetensors").read_bytes() == (whole[1] / "model/weights.safetensors").read_bytes()
    written = export_network(whole[1] / "checkpoint.pt", tmp_path / "portable")
    assert [p.name for p in written] == ["graph.onnx", "weights.bin", "model.yaml"]


@pytest.mark.slow
def test_it_learns(data: Path, tmp_path: Path) -> None:
    longer = {"steps": 60, "initial": "imagenet", "loss": {}, "optimiser": {"rate": 0.003, "warmup": 5}}
    report = train_recipe(write_recipe(tmp_path, **longer), out=tmp_path / "out", data_root=data, device="cpu")
    assert report["scores"]["seen"]["per_class"]["road"] > 0.8
    assert np.mean(report["loss_last_100"]) < 1


def test_other_recipe_or_data_is_not_continued(whole: tuple[Any, Path], data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SettingError, match=r"made with another recipe \(.*\); expected the same training; give another"
    ):
        train_recipe(write_recipe(tmp_path, seed=6), out=whole[1], data_root=data, device="cpu")
    (tmp_path / "data").mkdir()
    for path in data.iterdir():
        (tmp_path / "data" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "data" / "0.png").write_bytes((data / "1.png").read_bytes())
    with pytest.raises(SettingError, match=r"made with another data \("):
        train_recipe(write_recipe(tmp_path), out=whole[1], data_root=tmp_path / "data", device="cpu")


def test_checkpoint_is_whole_or_the_earlier_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.training import checkpoint

    path = tmp_path / "checkpoint.pt"
    checkpoint.save(path, {"model": {"a": torch.ones(2)}, "step": 1})

    def full(_: Any, file: Any) -> None:
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(SinkError, match=r"cannot be written \(No space left on device\); expected .*; free some, then"):
        checkpoint.save(path, {"model": {"a": torch.zeros(2)}, "step": 2})
    assert checkpoint.load(path)["step"] == 1


def test_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    from segtween.training import checkpoint

    path = tmp_path / "checkpoint.pt"
    path.write_bytes(b"PK\x03\x04 not whole")
    with pytest.raises(ModelError, match=r"checkpoint.pt cannot be read .*; delete it to begin anew"):
        checkpoint.load(path)
    torch.save({"a": 1}, path)
    with pytest.raises(ModelError, match=r"checkpoint.pt holds no training state"):
        checkpoint.load(path)


def test_unknown_device_is_refused() -> None:
    from segtween.training.loop import pick_device

    with pytest.raises(SettingError, match=r"device is 'tpu'; expected auto, cpu or cuda; choose one of these"):
        pick_device("tpu")
    if not torch.cuda.is_available():
        assert pick_device("auto").type == "cpu"
        with pytest.raises(SettingError, match=r"device is cuda, which torch does not find; expected a CUDA GPU"):
            pick_device("cuda")


def test_loss_that_is_not_finite_ends_the_training(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.training.segmenter import task

    monkeypatch.setattr(task, "loss_of", lambda logits, *_, **__: logits.sum() * float("nan"))
    with pytest.raises(ModelError, match=r"the loss at step 1 is nan; lower the optimiser's rates in the recipe"):
        train_recipe(write_recipe(tmp_path), out=tmp_path / "out", data_root=data, device="cpu")


def test_missing_extra_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia", None)
    with pytest.raises(MissingExtraError, match=r"training needs a package .*; pip install 'segtween\[train\]'"):
        train_recipe(write_recipe(tmp_path), out=tmp_path / "out")


def test_output_that_is_a_file_is_refused(data: Path, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with pytest.raises(SinkError, match=r"output folder .*taken cannot be written .*; give another out="):
        train_recipe(write_recipe(tmp_path), out=tmp_path / "taken", data_root=data)


def test_class_weights_weigh_a_pixel_one_on_average() -> None:
    from segtween.training.losses import class_weights
    from segtween.training.segmenter.recipe import Loss

    shares = np.array([0.7, 0.29, 0.01, 0.0])
    weights = class_weights(shares, Loss(class_power=0.5, weight_limit=5))
    assert weights is not None
    assert float(weights.double().numpy() @ shares) == pytest.approx(1)
    assert float(weights[2] / weights[0]) == pytest.approx(5)
    assert float(weights[1] / weights[0]) == pytest.approx((0.7 / 0.29) ** 0.5)
    assert class_weights(shares, Loss()) is None


def test_loss_is_cross_entropy_of_the_labelled_pixels() -> None:
    from segtween.training.segmenter.losses import loss_of
    from segtween.training.segmenter.recipe import Loss

    logits = torch.zeros(1, 4, 2, 2)
    labels = torch.full((1, 8, 8), 255)
    assert float(loss_of(logits, labels, Loss(), None)) == 0
    assert float(loss_of(logits, labels, Loss(hard_fraction=0.5), None)) == 0
    labels[0, :2] = 1
    assert float(loss_of(logits, labels, Loss(), None)) == pytest.approx(np.log(4))
    logits[:, 1, :, 0] = 9  # the left half is right, so the hard half of the pixels is the right half
    hard, everything = (float(loss_of(logits, labels, Loss(hard_fraction=f), None)) for f in (0.25, 1.0))
    assert hard == pytest.approx(np.log(4))
    assert everything < hard


def test_overlap_is_soft_iou_of_the_classes_that_occur() -> None:
    from segtween.training.segmenter.losses import overlap_loss

    labels = torch.tensor([[[0, 0, 1, 255]]])
    p = torch.tensor([[1.0, 0.5, 0.0, 1.0], [0.0, 0.5, 1.0, 0.0], [0.0] * 4]).view(1, 3, 1, 4)
    assert float(overlap_loss(p, labels)) == pytest.approx(1 - (1.5 / 2 + 1 / 1.5) / 2)
    assert float(overlap_loss(p, torch.full_like(labels, 255))) == 0


@pytest.mark.parametrize("schedule", ["cosine", "poly"])
def test_rate_rises_then_falls_to_nothing(schedule: str, tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path, steps=50, optimiser={"warmup": 10, "schedule": schedule}))
    factors = [recipe.optimiser.factor(step, recipe.steps) for step in range(50)]
    assert np.argmax(factors) == 10
    assert factors[10] == 1
    assert all(np.diff(factors[:11]) > 0)
    assert all(np.diff(factors[10:]) < 0)
    assert 0 < factors[-1] < 0.05
