"""Training flow and refinement: the losses, exact resume, several processes, what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_clips import write_recipe, write_set

from killed_training import killed_at
from segtween.compat.swnet_seq.training import PropagationRecipe
from segtween.errors import ModelError, SettingError
from segtween.training import Epoch, TrainOptions, load_recipe, train_recipe
from segtween.training import train as train_with

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard.*")]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("data"))


def train(folder: Path, data: Path, *, options: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    recipe = load_recipe(write_recipe(folder, **changes))
    assert isinstance(recipe, PropagationRecipe)
    return train_with(recipe, TrainOptions(folder / "out", data_root=data, device="cpu", **(options or {})))


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    train_recipe(write_recipe(folder), out=folder / "out", data_root=data, device="cpu")
    return folder / "out"


def weights(out: Path) -> dict[str, Any]:
    return dict(torch.load(out / "checkpoint.pt", weights_only=True)["model"])


def same_bits(first: Path, second: Path) -> bool:
    one, two = weights(first), weights(second)
    parts = ("model/refine.onnx", "model/flow.onnx", "model/refine.onnx.yaml")
    return all(torch.equal(one[k], two[k]) for k in one) and all(
        (first / part).read_bytes() == (second / part).read_bytes() for part in parts
    )


# ── Chain and losses ──────────────────────────────────────────────────────────────────────────


def parts_of(recipe: PropagationRecipe) -> Any:
    from segtween.networks import build_flow, build_refiner
    from segtween.networks.chain import Chain

    torch.manual_seed(0)
    return Chain(build_flow(recipe.flow), build_refiner(classes=4, edge=recipe.edge))


def some_recipe(tmp_path: Path, **changes: Any) -> PropagationRecipe:
    recipe = load_recipe(write_recipe(tmp_path, **changes))
    assert isinstance(recipe, PropagationRecipe)
    return recipe


def some_batch(n: int, *, length: int = 3) -> Any:
    from segtween.compat.swnet_seq.training.batches import Batch

    g = torch.Generator().manual_seed(3)
    images, scores = torch.randn(n, length + 1, 3, 8, 12, generator=g), torch.randn(2, n, 4, 8, 12, generator=g)
    labels = torch.randint(0, 4, (n, 16, 24), generator=g)
    labels[0, :5] = 255
    return Batch(images, scores[0], scores[1], labels, torch.randn(n, length, 2, 8, 12, generator=g))


def test_only_the_last_steps_carry_gradient(tmp_path: Path) -> None:
    chain, batch = parts_of(some_recipe(tmp_path)), some_batch(2)
    key = batch.key.clone().requires_grad_()
    steps = chain(key, batch.images.unbind(1), gradient_steps=2)
    assert [s.scores.requires_grad for s in steps] == [False, True, True]
    everything = chain(key, batch.images.unbind(1))
    assert all(s.scores.requires_grad for s in everything)
    assert torch.allclose(steps[-1].scores, everything[-1].scores, atol=1e-5)


def test_loss_of_parts_adds_up_to_that_of_the_batch(tmp_path: Path) -> None:
    from dataclasses import fields, replace

    from segtween.compat.swnet_seq.training.losses import chain_loss

    recipe = some_recipe(tmp_path, loss={"ce": 3.0, "distil": 2.0, "photometric": 0.5, "flow": 0.7})
    chain, batch = parts_of(recipe).eval(), some_batch(4)
    counts = float((batch.labels != 255).sum()), 4

    def loss(part: Any) -> tuple[Any, dict[str, float]]:
        steps = chain(part.key, part.images.unbind(1), gradient_steps=2)[-2:]
        return chain_loss(steps, part, recipe.loss, weights=torch.tensor([1.0, 2, 3, 4]), counts=counts)

    halves = [
        replace(batch, **{f.name: v[i : i + 2] for f in fields(batch) if (v := getattr(batch, f.name)) is not None})
        for i in (0, 2)
    ]
    whole, terms = loss(batch)
    assert set(terms) == {"ce", "distil", "photometric", "flow"}
    assert all(value > 0 for value in terms.values())
    assert float(whole.detach()) == pytest.approx(
        3 * (terms["ce"] + 2 * terms["distil"]) + 0.5 * terms["photometric"] + 0.7 * terms["flow"]
    )
    assert sum(float(loss(half)[0].detach()) for half in halves) == pytest.approx(float(whole.detach()), rel=1e-5)


def test_terms_are_zero_where_there_is_nothing_to_repair() -> None:
    from segtween.compat.swnet_seq.training.losses import cross_entropy, divergence, flow_error, photometric
    from segtween.networks.chain import Step
    from segtween.networks.reference import reference_displacement

    batch = some_batch(2, length=1)
    flow = torch.randn(2, 2, 8, 12)
    step = Step(batch.target, batch.target, batch.images[:, 1], flow, None, None)
    assert float(divergence(batch.target, batch.target + 5)) == pytest.approx(0, abs=1e-5)
    assert float(divergence(batch.target, batch.key)) > 0
    assert float(photometric([step], batch.images)) == 0
    truth = reference_displacement(flow).unsqueeze(1)
    assert float(flow_error([step], truth)) == pytest.approx(0, abs=1e-6)
    assert float(flow_error([step], torch.full_like(truth, torch.nan))) == 0
    labels = torch.full((2, 16, 24), 255)
    assert float(cross_entropy(batch.target, labels, None)) == 0


def test_displacement_is_what_the_warp_reads() -> None:
    from segtween.networks.reference import reference_displacement, reference_warp

    h, w = 9, 13
    flow = 2 * torch.randn(1, 2, h, w, generator=torch.Generator().manual_seed(1))
    y, x = torch.meshgrid(torch.arange(h).float(), torch.arange(w).float(), indexing="ij")
    places = torch.stack((x, y))[None]
    inner = (..., slice(3, -3), slice(3, -3))
    assert torch.allclose(
        reference_warp(places, flow)[inner], (places + reference_displacement(flow))[inner], atol=1e-4
    )


# ── The loop ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kill_at", [1, 3, 5])
def test_killed_at_any_step_it_ends_with_the_same_bits(
    kill_at: int, whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segtween.compat.swnet_seq.training import task

    with killed_at(kill_at, task, "chain_loss", monkeypatch):
        train(tmp_path, data)
    assert not (tmp_path / "out/report.json").exists()
    train_recipe(tmp_path / "tiny-chain.yaml", out=tmp_path / "out", data_root=data, device="cpu")
    assert same_bits(tmp_path / "out", whole)


def test_another_recipe_or_other_data_is_not_gone_on_with(whole: Path, data: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(whole, tmp_path / "out")
    before = (tmp_path / "out/checkpoint.pt").read_bytes()
    with pytest.raises(SettingError, match=r"checkpoint.pt was made with another recipe \(.*; expected the same train"):
        train(tmp_path, data, seed=7)
    other = write_set(tmp_path / "other", clips=3)
    with pytest.raises(SettingError, match=r"checkpoint.pt was made with another data \("):
        train(tmp_path, other)
    assert (tmp_path / "out/checkpoint.pt").read_bytes() == before
    train(tmp_path, data, seed=7, options={"resume": False})
    assert (tmp_path / "out/checkpoint.pt").read_bytes() != before


def test_what_is_left_behind_is_a_propagation_model(whole: Path) -> None:
    import json

    import yaml

    from segtween.networks.checkpoints import read_checkpoint
    from segtween.networks.fitting import load_network

    files = {p.name for p in (whole / "model").iterdir()}
    assert files == {"refine.onnx", "refine.onnx.yaml", "flow.onnx", "flow.onnx.yaml", "model_best.pth.tar"}
    best = read_checkpoint(whole / "model/model_best.pth.tar")
    assert set(best.parts) == {"state_dict", "state_dict_of"}
    assert best.facts["epoch"] == 2, "an epoch has 4 steps"
    assert load_network(best.path, "guided").edge == "laplacian"
    last = weights(whole)
    assert all(torch.equal(best.parts["state_dict_of"][k], last[f"flow.{k}"]) for k in best.parts["state_dict_of"])
    record = yaml.safe_load((whole / "model/refine.onnx.yaml").read_text())
    report = json.loads((whole / "report.json").read_text())
    assert (record["kind"], record["classes"], record["edge"]) == ("refinement", 11, "laplacian")
    assert record["provenance"]["recipe_sha256"] == report["recipe_sha256"]
    assert record["provenance"]["segmenter"] == "swiftnet-lite0.camvid"
    assert str(whole) not in json.dumps(record)
    assert (whole / "model/flow.onnx").stat().st_size < 500_000


def test_epochs_are_handed_out_and_the_best_is_kept(data: Path, tmp_path: Path) -> None:
    from segtween.networks.checkpoints import read_checkpoint

    seen: list[Epoch] = []
    scores = [0.1, 0.5, 0.3, 0.2]

    def on_epoch(epoch: Epoch) -> float:
        seen.append(epoch)
        return scores[len(seen) - 1]

    report = train(
        tmp_path, data, options={"on_epoch": on_epoch, "events": tmp_path / "log"},
        steps=None, epochs=4, batch=4, chain=[1], early_stop=2,
    )  # fmt: skip
    assert [e.number for e in seen] == [1, 2, 3, 4]
    assert [e.step for e in seen] == [3, 6, 9, 12]
    assert (report["epoch"], report["score"]) == (2, 0.5)
    assert list((tmp_path / "log").glob("events.*"))
    best = read_checkpoint(tmp_path / "out/model/model_best.pth.tar")
    assert best.facts["epoch"] == 2
    assert all(torch.equal(best.parts["state_dict"][k], seen[1].state_dict[k]) for k in seen[1].state_dict)
    assert seen[1].segmenter is None
    assert set(seen[1].rates) == {"intra", "guide", "flow"}


def test_training_stops_early_without_a_better_epoch(data: Path, tmp_path: Path) -> None:
    report = train(
        tmp_path, data, options={"on_epoch": lambda epoch: -float(epoch.number)},
        steps=None, epochs=9, batch=8, chain=[3], early_stop=2,
    )  # fmt: skip
    assert (report["epochs"], report["epoch"]) == (3, 1)


def test_label_free_training_never_reads_a_label(data: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(data, tmp_path / "bare")
    labels = tmp_path / "bare/set/train/labels"
    for path in labels.rglob("*.png"):
        path.write_bytes(b"no picture")
    source = {"kind": "dataset", "layout": "folders", "root": "set", "label_free": True}
    report = train(tmp_path, tmp_path / "bare", train=[source], steps=2)
    assert report["data"][0]["labels"] is False
    with pytest.raises(Exception, match="is not a readable image"):
        train(tmp_path, tmp_path / "bare", train=[{**source, "label_free": False}], steps=2, options={"resume": False})


def test_training_lowers_the_loss(data: Path, tmp_path: Path) -> None:
    rates = {"kind": "adam", "intra": 0.003, "guide": 0.003, "flow": 0.001}
    train(tmp_path, data, steps=25, batch=4, chain=[1], scores="stored", augment={}, optimiser=rates)
    losses = torch.load(tmp_path / "out/checkpoint.pt", weights_only=True)["losses"]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:3])


@pytest.mark.parametrize(
    ("changes", "moved", "still"),
    [
        ({"train_flow": False}, ("refine.",), ("flow.",)),
        ({"finetune_all": True, "chain": [1]}, ("refine.", "flow."), ()),
        ({"flow": "flow-light", "edge": "absent"}, ("refine.", "flow."), ()),
        ({"precision": "bfloat16", "accumulate": 2}, ("refine.", "flow."), ()),
    ],
    ids=["flow kept", "finetune all", "no edge", "bfloat16"],
)
def test_what_the_recipe_names_is_trained(
    changes: dict[str, Any], moved: tuple[str, ...], still: tuple[str, ...], data: Path, tmp_path: Path
) -> None:
    states: list[dict[str, Any]] = []

    def on_epoch(epoch: Epoch) -> None:
        states.append({f"refine.{k}": v for k, v in epoch.state_dict.items()})
        states[-1].update({f"flow.{k}": v for k, v in epoch.state_dict_of.items()}, segmenter=epoch.segmenter)

    train(tmp_path, data, options={"on_epoch": on_epoch}, **{"steps": None, "epochs": 2, "batch": 4, **changes})
    first, second = states
    learnt = {k for k in first if k != "segmenter" and not torch.equal(first[k], second[k])}
    for prefix in moved:
        assert sum(k.startswith(prefix) and k.endswith("weight") for k in learnt) > 5
    assert not [k for k in learnt if k.startswith(still or ("none",))]
    if "finetune_all" in changes:
        assert (tmp_path / "out/model/segmenter/model.yaml").is_file()
        assert any(not torch.equal(first["segmenter"][k], second["segmenter"][k]) for k in first["segmenter"])
    else:
        assert first["segmenter"] is None


def test_frozen_norms_keep_their_statistics_and_parts_change_nothing(data: Path, tmp_path: Path) -> None:
    ends = {}
    for parts in (1, 2):
        (tmp_path / str(parts)).mkdir()
        train(tmp_path / str(parts), data, accumulate=parts, freeze_norms=True, batch=4, steps=4)
        ends[parts] = weights(tmp_path / str(parts) / "out")
    assert all((v == 0).all() for k, v in ends[1].items() if k.endswith("running_mean"))
    assert all(torch.allclose(ends[1][k], ends[2][k], rtol=1e-4, atol=1e-6) for k in ends[1])


def test_training_begins_with_given_weights(whole: Path, data: Path, tmp_path: Path) -> None:
    best = whole / "model/model_best.pth.tar"
    tiny = {"intra": 1e-12, "guide": 1e-12, "flow": 1e-12}
    report = train(tmp_path, data, options={"init": (best,)}, steps=1, freeze_norms=True, optimiser=tiny)
    first, second = weights(whole), weights(tmp_path / "out")
    assert all(torch.allclose(first[k], second[k], atol=1e-6) for k in first if not k.endswith("tracked"))
    assert list(report["provenance"]["initial"]) == ["model_best.pth.tar"]
    with pytest.raises(ModelError, match=r"model_best.pth.tar \(state_dict\) does not fit guided with 11 classes and"):
        train(tmp_path, data, options={"init": (best,), "resume": False}, steps=1, edge="absent")
    torch.save({"a": torch.zeros(3)}, tmp_path / "odd.pt")
    with pytest.raises(ModelError, match=r"odd.pt holds no known network; expected weights of flow-light or of guided"):
        train(tmp_path, data, options={"init": (tmp_path / "odd.pt",), "resume": False}, steps=1)


def test_segmenter_may_be_a_weight_file(data: Path, tmp_path: Path) -> None:
    from segtween.networks import build

    torch.save(build("swiftnet-r18", classes=11).state_dict(), tmp_path / "seg.pt")
    report = train(tmp_path, data, segmenter=str(tmp_path / "seg.pt"), labels="camvid11", scale=0.5, steps=1)
    assert report["provenance"]["segmenter"] == "seg.pt"
    with pytest.raises(SettingError, match=r"seg.pt does not say its labels; expected labels: NAME; add it"):
        train(tmp_path, data, segmenter=str(tmp_path / "seg.pt"))
    with pytest.raises(
        SettingError, match=r"^labels is 'cityscapes19', with segmenter swiftnet-lite0.camvid; expected ca"
    ):
        train(tmp_path, data, labels="cityscapes19")
    torch.save({"a": torch.zeros(3)}, tmp_path / "odd.pt")
    with pytest.raises(ModelError, match=r"odd.pt is like no known network; expected one of swiftnet-r18,"):
        train(tmp_path, data, segmenter=str(tmp_path / "odd.pt"), labels="camvid11")


def test_loss_that_is_no_number_ends_the_training(data: Path, tmp_path: Path) -> None:
    with pytest.raises(
        ModelError, match=r"^the loss at step \d is (nan|inf); lower the optimiser's rates in the recipe"
    ):
        train(tmp_path, data, optimiser={"intra": 1e20, "guide": 1e20, "flow": 1e20}, steps=6)


# ── Processes ─────────────────────────────────────────────────────────────────────────────────


def command(*arguments: object, processes: int = 1) -> list[str]:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes), "--master-port", "29611"]
    return [sys.executable, *(launcher if processes > 1 else []), "-m", "segtween", "train", *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_two_processes_end_like_one(data: Path, tmp_path: Path) -> None:
    """At the same global batch: frozen norms, float32, 20 steps, relative 1e-4."""
    recipe = write_recipe(tmp_path, freeze_norms=True, steps=20, batch=4)
    for processes in (1, 2):
        arguments = (recipe, "--data-root", data, "--out", tmp_path / str(processes), "--device", "cpu")
        done = subprocess.run(
            command(*arguments, processes=processes), capture_output=True, text=True, env=environment(), check=False
        )
        assert done.returncode == 0, done.stderr
    one, two = ({k: v.double() for k, v in weights(tmp_path / n).items()} for n in ("1", "2"))
    worst = max(float((one[k] - two[k]).norm() / one[k].norm().clamp(min=1e-12)) for k in one)
    assert worst < 1e-4
    losses = [torch.load(tmp_path / n / "checkpoint.pt", weights_only=True)["losses"] for n in ("1", "2")]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    moved = weights(tmp_path / "1")
    assert any((v != 0).any() for k, v in moved.items() if k.endswith("bias"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_really_killed_it_ends_with_the_same_bits(data: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, steps=None, epochs=12)
    reference = tmp_path / "whole"
    train_recipe(recipe, out=reference, data_root=data, device="cpu")
    arguments = command(recipe, "--data-root", data, "--out", tmp_path / "out", "--device", "cpu")
    threads = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    with subprocess.Popen(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=threads) as process:
        until = time.monotonic() + 60
        while not (tmp_path / "out/checkpoint.pt").exists() and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "out/report.json").exists()
    train_recipe(recipe, out=tmp_path / "out", data_root=data, device="cpu")
    assert same_bits(tmp_path / "out", reference)


def test_batch_that_cannot_be_shared_out_is_refused(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(SettingError, match=r"^batch is 2, for 4 processes with 1 parts each; expected a multiple of 4"):
        train(tmp_path, data)


def test_recipe_after_another_begins_with_its_flow(whole: Path, data: Path, tmp_path: Path) -> None:
    write_recipe(tmp_path).rename(tmp_path / "first.yaml")
    changes = {"after": "first.yaml", "edge": "absent", "train_flow": False, "steps": 2}
    report = train(tmp_path, data, **changes)
    assert all(torch.equal(v, weights(tmp_path / "out/before")[k]) for k, v in weights(whole).items())
    assert list(report["provenance"]["initial"]) == ["tiny-chain"]
    model = tmp_path / "out/model"
    assert (model / "refine.onnx").read_bytes() == (whole / "model/refine.onnx").read_bytes()
    assert (model / "refine-no-edge.onnx").is_file(), "a name of its own, beside the one with edge"
    assert (model / "flow.onnx").read_bytes() == (whole / "model/flow.onnx").read_bytes()
    first, second = weights(whole), weights(tmp_path / "out")
    assert all(torch.equal(first[k], second[k]) for k in first if k.startswith("flow."))
    assert second["refine.grm.guide.guide_conv.0.weight"].shape[1] == 11
    recipe = load_recipe(tmp_path / "tiny-chain.yaml")
    assert recipe.after is not None
    assert recipe.with_steps(3).after.steps == 3  # type: ignore[union-attr]
    with pytest.raises(SettingError, match=r"^flow is 'flownets'; expected flow-light, as in tiny-chain, which comes"):
        load_recipe(write_recipe(tmp_path, **changes, flow="flownets"))
    with pytest.raises(SettingError, match=r"^after is 'tiny-chain.yaml', the recipe itself; expected another recipe"):
        load_recipe(write_recipe(tmp_path, after="tiny-chain.yaml"))
