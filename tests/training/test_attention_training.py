"""Training of refinement by attention: what is drawn and read, the loss, exact resume, what is left behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from killed_training import killed_at
from segtween.errors import SettingError
from segtween.training import AttentionRecipe, Moments, Recipe, TrainOptions, load_recipe, train_recipe
from segtween.training import train as train_with

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard.*")]
RECIPE: dict[str, Any] = {
    "trains": "attention",
    "name": "tiny-attention",
    "segmenter": "swiftnet-lite0.camvid",
    "steps": 5,
    "batch": 2,
    "crop": "20x16",
    "train": [
        {"kind": "list", "list": "train.txt", "scores": [0.6, 0.4, 0]},
        {"kind": "street", "seeds": [0, 1], "frames": 3, "size": "96x64", "begins": 2},
    ],
    "optimiser": {"warmup": 2},
    "licence": "none: pictures made for a test",
}
COLOURS = np.array([[30, 60, 200], [220, 200, 40], [60, 160, 60], [200, 40, 120]], np.uint8)


def picture(seed: int) -> tuple[Any, Any]:
    """(64, 96, 3) and labels 0..3: boxes, each class in its own colour."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((64, 96), np.uint8)
    for _ in range(6):
        y, x = rng.integers(0, 44), rng.integers(0, 70)
        labels[y : y + rng.integers(12, 30), x : x + rng.integers(12, 40)] = rng.integers(0, 4)
    return COLOURS[labels], labels


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for n in range(3):
        rgb, labels = picture(n)
        cv2.imwrite(str(root / f"{n}.png"), rgb[..., ::-1])
        cv2.imwrite(str(root / f"{n}_labels.png"), labels)
    (root / "train.txt").write_text("".join(f"{n}.png {n}_labels.png\n" for n in range(3)))
    return root


def write_recipe(folder: Path, **changes: Any) -> Path:
    path = folder / "tiny-attention.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in {**RECIPE, **changes}.items() if v is not None}))
    return path


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    train_recipe(write_recipe(folder), out=folder / "out", data_root=data, device="cpu")
    return folder / "out"


def train(folder: Path, data: Path, *, cache: Path, **changes: Any) -> dict[str, Any]:
    """With what another training has seen."""
    path = write_recipe(folder, **changes)
    recipe = load_recipe(path)
    assert isinstance(recipe, AttentionRecipe)
    made_of = {"recipe": f"recipes/{path.name}", "recipe_sha256": recipe.sha256}
    out, cache = folder / "out", cache / "cache"
    return train_with(recipe, TrainOptions(out, data_root=data, device="cpu", cache=cache, provenance=made_of))


# ── What is read ──────────────────────────────────────────────────────────────────────────────


def still_pool(n: int, *, scores: tuple[float, float, float] = (0.0, 0.0, 1.0)) -> Any:
    """Pictures whose labels are their scores."""
    from segtween.training.attention.sources import MomentPool

    both = [picture(seed) for seed in range(n)]
    scale = np.random.default_rng(0).normal(size=(n, 4, 32, 48)).astype(np.float16)
    arrays = {
        "images": np.stack([rgb for rgb, _ in both])[:, None],
        "labels": np.stack([labels for _, labels in both])[:, None],
        "scores": scale[:, None],
        "half_scores": scale[:, None, :, ::2, ::2],
    }
    return MomentPool(Moments("list", list="train.txt", scores=scores), arrays, "of a test")


def reader(pool: Any, *, samples: int, **changes: Any) -> Any:
    from segtween.ops.cpu import CpuOps
    from segtween.training.attention.batches import open_reader
    from segtween.training.data import plan

    class Four(AttentionRecipe):
        label_set = ("a", "b", "c", "d")  # type: ignore[assignment]

    plain = {k: v for k, v in RECIPE.items() if k not in ("train", "optimiser")}
    recipe = Four(**{**plain, "train": (pool.source,), "steps": 100, **changes})
    return open_reader(recipe, (pool,), plan([pool], samples=samples, seed=1), CpuOps(threads=1))


def test_a_still_path_reads_what_lies_in_the_crop(monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.training import Disturb
    from segtween.training.attention import batches

    monkeypatch.setattr(batches, "made_up_path", lambda *_: np.zeros((32, 48, 2), np.float32))
    calm = Disturb(flip=0.5, gain=0, offset=0, drift=0, noise=0, temperature=0)
    batch = reader(still_pool(4), samples=8, disturb=calm).batch(range(8))
    assert torch.allclose(batch.image, batch.key, atol=1e-5)
    at_cells = torch.stack([batch.labels[:, y::2, x::2] for y in (0, 1) for x in (0, 1)])
    alone = (at_cells == at_cells[0]).all(0)
    assert torch.equal(batch.scores.argmax(1)[alone], at_cells[0][alone])
    assert batch.cells.shape == (8, 8, 16, 20)
    assert bool((batch.cells[:, 2] == 1).all())
    assert float(batch.cells[:, 3:5].abs().max()) == 0
    steps = torch.full((8, 16, 19), 2 / 48)
    assert torch.allclose(batch.cells[:, 6].diff(dim=2), steps, atol=1e-6)


def test_cells_are_what_the_engine_computes() -> None:
    from segtween.ops.cpu import CpuOps
    from segtween.refine import attention
    from segtween.training.attention.batches import about, sureness
    from segtween.types import ScoreMap

    rng = np.random.default_rng(0)
    path = (4 * rng.normal(size=(12, 20, 2))).astype(np.float32)
    assert about(path, 5, (0, 0), (12, 20)).numpy() == pytest.approx(attention._about(path, 5), abs=1e-6)
    part = about(path, 5, (3, 4), (8, 12)).numpy()
    assert part == pytest.approx(attention._about(path, 5)[:, 3:11, 4:16], abs=1e-6)
    scores = rng.normal(size=(5, 12, 20)).astype(np.float32)
    still = np.zeros_like(path)
    _, certainty = CpuOps(threads=1).read(ScoreMap(scores, "logits", (48, 80)), still)
    assert sureness(torch.from_numpy(scores[None]))[0].numpy() == pytest.approx(certainty, abs=1e-5)


def test_training_refines_as_the_engine_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.models.components import ATTENTION, read_component
    from segtween.networks.attention import AttentionRefiner
    from segtween.networks.export_components import export_attention
    from segtween.ops.cpu import CpuOps
    from segtween.refine import attention
    from segtween.runtimes import open_runtime
    from segtween.runtimes.base import RuntimeOptions
    from segtween.training import Disturb
    from segtween.training.attention.losses import aggregated
    from segtween.training.attention.sources import MomentPool
    from segtween.types import ScoreMap

    torch.manual_seed(0)
    net, rng = AttentionRefiner(classes=4), np.random.default_rng(0)
    torch.nn.init.normal_(net.head.weight, std=0.3)
    export_attention(net, tmp_path / ATTENTION, labels="four")
    coarse = (6 * rng.normal(size=(3, 4, 2))).astype(np.float32)
    composed = cv2.resize(coarse, (48, 32), interpolation=cv2.INTER_CUBIC).astype(np.float16)
    scores = rng.normal(size=(2, 4, 16, 24)).astype(np.float16)
    images = np.stack([cv2.resize(picture(n)[0], (48, 32)) for n in range(2)])
    arrays = {"images": images, "labels": images[..., 0] % 4, "scores": scores, "half_scores": scores}
    arrays = {name: array[None] for name, array in (arrays | {"composed": composed[None]}).items()}
    pool = MomentPool(Moments("street", frames=2, scores=(1, 0, 0)), arrays, "of a test")
    calm = Disturb(flip=0, gain=0, offset=0, drift=0, noise=0, temperature=0)
    batch = reader(pool, samples=1, crop="24x16", disturb=calm, class_head=True).batch([0])
    with torch.no_grad():
        said = net(*batch.inputs(scores=True))
        replacement = torch.nn.functional.pixel_shuffle(aggregated(said.attention.softmax(1), batch.around), 2)
        replacement += torch.nn.functional.interpolate(said.scores, scale_factor=2, mode="bilinear")

    monkeypatch.setattr(attention, "LEAST_SHARE", 0.0)
    monkeypatch.setattr(attention, "LEAST_WEIGHT", 0.0)
    monkeypatch.setattr(attention, "_replacement_gate", lambda *_: 1.0)
    part, ops = read_component(tmp_path / ATTENTION, kind="attention"), CpuOps(threads=1)
    outputs, options = ("share", "attention", "added"), RuntimeOptions(threads=1)
    runtime = open_runtime("openvino", part.path, outputs=outputs, options=options)
    carried = ScoreMap(scores[0].astype(np.float32), "logits", (64, 96))
    refiner = attention.AttentionRefiner(part, runtime, ops=ops)
    found = refiner(carried, composed.astype(np.float32), images[0], images[1], 1)
    assert found.share == pytest.approx(said.share[0, 0].numpy(), abs=0.02)
    values = found.scores.values - found.scores.values.mean(0)
    expected = (replacement - replacement.mean(1, keepdim=True))[0].numpy()
    assert np.abs(values - expected).mean() < 0.01
    assert np.abs(values - expected).max() < 0.1


def moved_pictures() -> list[Any]:
    """Four frames (64, 96, 3): a box goes one way in front of ground that goes the other."""
    rng = np.random.default_rng(0)
    ground, box = (cv2.resize(rng.integers(0, 256, (side, 40, 3), np.uint8), (160, 64)) for side in (24, 16))
    frames = [np.ascontiguousarray(ground[:, 30 - 4 * n : 126 - 4 * n]) for n in range(4)]
    for n, frame in enumerate(frames):
        frame[20:44, 20 + 6 * n : 48 + 6 * n] = box[20:44, 60:88]
    return frames


def test_composed_flow_is_the_engines() -> None:
    from fakes import FakeSegmenter
    from segtween.build import build_engine
    from segtween.settings import Causal, Composed, Fixed, Settings
    from segtween.settings import Flow as FlowSettings
    from segtween.training.attention.drives import open_follower

    frames = moved_pictures()
    found = [list(flows) for flows in open_follower(threads=1)(frames)]
    assert [len(flows) for flows in found] == [0, 1, 2, 3]
    for key in range(3):
        settings = Settings(
            Causal(Fixed(interval=10), Composed(match="fine")), flow=FlowSettings(quality="fine"), cuts=False
        )
        engine: Any = build_engine(FakeSegmenter(), settings)
        for now in range(key, 4):
            engine.step(frames[now])
            if now > key:
                assert np.array_equal(found[now][key], engine._state.composed)


def test_drives_are_kept_with_the_composed_flow_between_all_frames(tmp_path: Path) -> None:
    from segtween.training.attention.drives import open_drives, open_follower, pair_row

    follower = open_follower(threads=1)
    source = Moments("street", seeds=(3, 4), frames=3, size="96x64", begins=2)
    drives = open_drives(source, "camvid11", follower, cache=tmp_path)
    shapes = [(drive.rgb.shape, drive.truth.shape, drive.composed.shape) for drive in drives]
    assert shapes == [((3, 64, 96, 3), (3, 64, 96), (3, 32, 48, 2))] * 2
    assert [pair_row(key=key, now=now) for now in range(9) for key in range(now)] == list(range(36))
    for drive in drives:
        flows = list(follower(np.array(rgb) for rgb in drive.rgb))
        assert float(np.abs(flows[2][0]).max()) > 0
        for now, key in ((1, 0), (2, 0), (2, 1)):
            assert np.array_equal(drive.composed[pair_row(key=key, now=now)], flows[now][key].astype(np.float16))
    assert not np.array_equal(drives[0].rgb, drives[1].rgb)


def test_drives_that_are_there_are_not_rendered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.training.attention import drives

    follower, source = drives.open_follower(threads=1), Moments("street", seeds=(3, 3), frames=2, size="96x64")
    (first,) = drives.open_drives(source, "camvid11", follower, cache=tmp_path)
    original, rendered = drives._rendered, []

    def counted(seed: int, *rest: Any) -> Any:
        rendered.append(seed)
        return original(seed, *rest)

    monkeypatch.setattr(drives, "_rendered", counted)
    more = drives.open_drives(replace(source, seeds=(2, 4)), "camvid11", follower, cache=tmp_path)
    assert (rendered, more[1]) == ([2, 4], first)


def test_kept_drives_belong_to_the_way_they_were_followed() -> None:
    from segtween.training.attention.drives import drives_key, open_follower

    follower, source = open_follower(threads=1), Moments("street", seeds=(3, 4), frames=3)
    key = drives_key(source, "camvid11", follower)
    assert key == drives_key(source, "camvid11", open_follower(threads=1))
    assert key == drives_key(replace(source, share=0.5, scores=(0, 0, 1)), "camvid11", follower)
    assert key != drives_key(replace(source, stride=2), "camvid11", follower)
    assert key != drives_key(source, "cityscapes19", follower)
    assert "match" in follower.describe()["propagation"]
    follower.propagation.match = None
    assert key != drives_key(source, "camvid11", follower)


def test_made_up_paths_have_errors_of_some_size() -> None:
    from segtween.training.attention.batches import made_up_path

    sizes = []
    for seed in range(20):
        labels = picture(seed)[1]
        path = made_up_path(labels, np.random.default_rng(seed))
        assert path.shape == (32, 48, 2)
        assert path.dtype == np.float32
        assert np.array_equal(path, made_up_path(labels, np.random.default_rng(seed)))
        sizes.append(np.linalg.norm(path, axis=2))
    assert 0.05 < float(np.mean(np.array(sizes) > 2)) < 0.8


# ── What is lost ──────────────────────────────────────────────────────────────────────────────


def test_borrowing_is_a_weighted_mean_and_has_its_gradient() -> None:
    from segtween.networks.attention import offsets
    from segtween.training.attention.batches import MARGIN
    from segtween.training.attention.losses import aggregated

    g = torch.Generator().manual_seed(0)
    around = torch.randn(2, 12, 4 + 2 * MARGIN, 5 + 2 * MARGIN, generator=g, dtype=torch.float64)
    attention = torch.randn(2, 32, 4, 5, generator=g, dtype=torch.float64).softmax(1).requires_grad_()
    expected = sum(
        attention[:, i : i + 1] * around[:, :, MARGIN + dy : MARGIN + dy + 4, MARGIN + dx : MARGIN + dx + 5]
        for i, (dx, dy) in enumerate(offsets())
    )
    assert torch.allclose(aggregated(attention, around), expected)
    assert torch.autograd.gradcheck(lambda a: aggregated(a, around), attention, fast_mode=True)


def test_a_pixel_borrows_from_its_own_place_in_other_cells() -> None:
    from segtween.networks.attention import AttentionOutput, offsets
    from segtween.training.attention.batches import MARGIN, Batch
    from segtween.training.attention.losses import corrected

    values = torch.randn(1, 3, 2 * (4 + 2 * MARGIN), 2 * (6 + 2 * MARGIN), generator=torch.Generator().manual_seed(0))
    around = torch.nn.functional.pixel_unshuffle(values, 2)
    batch = Batch(*torch.zeros(4, 1), around=around, labels=torch.zeros(1))
    first = 2 * MARGIN
    assert torch.equal(batch.fine, values[:, :, first : first + 8, first : first + 12])
    for i, (dx, dy) in enumerate(offsets()):
        attention = torch.zeros(1, 32, 4, 6)
        attention[:, i] = 100
        y, x = first + 2 * dy, first + 2 * dx
        replacement = values[:, :, y : y + 8, x : x + 12]
        for share in (0.0, 0.25, 1.0):
            scores = corrected(AttentionOutput(torch.full((1, 1, 4, 6), share), attention, None), batch)
            assert torch.allclose(scores, (1 - share) * batch.fine + share * replacement, atol=1e-5)
    more = corrected(AttentionOutput(torch.ones(1, 1, 4, 6), attention, torch.full((1, 3, 4, 6), 2.0)), batch)
    assert torch.allclose(more, replacement + 2, atol=1e-5)


def test_borrowing_is_learnt_where_it_helps() -> None:
    """Things whose path is wrong stand in surroundings that read the right scores."""
    from segtween.networks.attention import AttentionRefiner
    from segtween.training import AttentionLoss
    from segtween.training.attention.losses import attention_loss

    torch.manual_seed(0)
    net, read = AttentionRefiner(), reader(still_pool(12), samples=400, crop="24x16", batch=4)
    optimiser = torch.optim.AdamW(net.parameters(), lr=1e-2)
    settings, terms = AttentionLoss(), []
    for step in range(100):
        batch = read.batch(range(4 * step, 4 * step + 4))
        loss, said = attention_loss(net(batch.image, batch.key, batch.cells), batch, settings, None, compare=True)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        terms.append(said)
    first, last = ([np.mean([t[k] for t in part]) for k in ("before", "overlap")] for part in (terms[:10], terms[-20:]))
    assert first[1] > 0.95 * first[0]
    assert last[1] < 0.9 * last[0]


# ── The loop ──────────────────────────────────────────────────────────────────────────────────


def weights(out: Path) -> dict[str, Any]:
    return dict(torch.load(out / "checkpoint.pt", weights_only=True)["model"])


@pytest.mark.parametrize("kill_at", [1, 4])
def test_killed_at_any_step_it_ends_with_the_same_bits(
    kill_at: int, whole: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from segtween.training.attention import task

    with killed_at(kill_at, task, "attention_loss", monkeypatch):
        train(tmp_path, data, cache=whole)
    train(tmp_path, data, cache=whole)
    one, two = weights(tmp_path / "out"), weights(whole)
    assert all(torch.equal(one[k], two[k]) for k in one)
    for name in ("attention.onnx", "attention.onnx.yaml"):
        assert (tmp_path / "out/model" / name).read_bytes() == (whole / "model" / name).read_bytes()


def test_another_recipe_is_not_gone_on_with(whole: Path, data: Path, tmp_path: Path) -> None:
    before = (whole / "checkpoint.pt").read_bytes()
    with pytest.raises(SettingError, match=r"checkpoint.pt was made with another recipe \(.*; expected the same train"):
        train_recipe(write_recipe(tmp_path, seed=7), out=whole, data_root=data, device="cpu")
    assert (whole / "checkpoint.pt").read_bytes() == before


def test_what_is_left_behind(whole: Path) -> None:
    import json

    from segtween.models.components import ATTENTION, read_component

    part = read_component(whole / "model" / ATTENTION, kind="attention")
    assert (part.network, part.classes, part.labels) == ("attention", 0, "")
    report = json.loads((whole / "report.json").read_text())
    assert report["steps"] == 5
    assert [d["frames"] for d in report["data"]] == [3, 6]
    assert set(report["last_100"]) == {"loss", "ce", "overlap", "share", "before"}
    assert "tiny-attention: 5 steps in" in (whole / "report.txt").read_text()
    record = yaml.safe_load((whole / "model/attention.onnx.yaml").read_text())
    assert record["provenance"]["recipe_sha256"] == report["recipe_sha256"]
    assert str(whole) not in json.dumps(record)
    assert not list(whole.rglob("*.part"))


def test_a_class_head_belongs_to_its_labels(data: Path, whole: Path, tmp_path: Path) -> None:
    from segtween.models.components import ATTENTION, read_component

    train(tmp_path, data, cache=whole, class_head=True, steps=2, optimiser={"warmup": 1})
    part = read_component(tmp_path / "out/model" / ATTENTION, kind="attention")
    assert (part.classes, part.labels) == (11, "camvid11")


def test_what_does_not_fit_is_said_before_the_long_part(
    data: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SettingError, match=r"crop is '28x16', with source 'train.txt'; expected at most 24x16 cells"):
        train(tmp_path, data, cache=whole, crop="28x16")
    with pytest.raises(SettingError, match=r"labels is 'cityscapes19', with segmenter .*; expected camvid11"):
        train(tmp_path, data, cache=whole, labels="cityscapes19")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(
        SettingError, match=r"2 processes; expected one, for trains: attention; start it without torchrun"
    ):
        train(tmp_path, data, cache=whole)


# ── Recipes ───────────────────────────────────────────────────────────────────────────────────

STREET: dict[str, Any] = {"kind": "street"}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"segmenter": None}, r"^the recipe has no field 'segmenter'; expected segmenter: \.\.\.; add it"),
    ({"cells": 3}, r"^the recipe has an unknown field 'cells'; expected fields out of batch, class_head, crop"),
    ({"name": "a b"}, r"^name is 'a b'; expected letters"),
    ({"class_head": 1}, r"^class_head is 1; expected true or false"),
    ({"half": 1.0}, r"^half is 1\.0; expected a number above 0 and below 1"),
    ({"steps": 0}, r"^steps is 0; expected a whole number of at least 1"),
    ({"batch": 0}, r"^batch is 0; expected a whole number of at least 1"),
    ({"crop": "22x16"}, r"^crop is '22x16'; expected sides that are multiples of 4"),
    ({"seed": -1}, r"^seed is -1; expected a whole number of at least 0"),
    ({"precision": "float16"}, r"^precision is 'float16'; expected one of float32, bfloat16"),
    ({"train": []}, r"^train is \[\]; expected a list of at least one source"),
    ({"train": [STREET, STREET]}, r"^train\.name is .*; expected each name once"),
    ({"train": [{"kind": "video"}]}, r"^train\[0\]: kind is 'video'; expected one of street, list"),
    ({"train": [{"kind": "list"}]}, r"^train\[0\]: list is ''; expected a file name, for kind list only"),
    ({"train": [{**STREET, "frames": 1}]}, r"^train\[0\]: frames is 1; expected a whole number of at least 2"),
    ({"train": [{**STREET, "begins": 0}]}, r"^train\[0\]: begins is 0; expected a whole number of at least 1"),
    (
        {"train": [{**STREET, "scores": [1, 0]}]},
        r"^train\[0\]: scores is \[1, 0\]; expected three parts of 0 or more, not all 0",
    ),
    ({"train": [{**STREET, "scores": [0, 0, 0]}]}, r"^train\[0\]: scores is .*; expected three parts of 0 or more"),
    ({"train": [{**STREET, "exclude": ["a1..a2"]}]}, r"^train\[0\]: exclude is .*; expected nothing for kind street"),
    ({"loss": {"overlap": -1}}, r"^loss\.overlap is -1; expected a number from 0 to 100"),
    ({"loss": {"ce": 0, "overlap": 0}}, r"^loss\.ce is 0\.0; expected a number above 0, or loss\.overlap"),
    ({"loss": {"sharpness": 0}}, r"^loss\.sharpness is 0; expected a number above 0"),
    ({"loss": {"least": 0}}, r"^loss\.least is 0; expected a whole number of at least 1"),
    ({"disturb": {"flip": 2}}, r"^disturb\.flip is 2; expected a number from 0 to 1"),
    ({"disturb": {"gain": -1}}, r"^disturb\.gain is -1; expected a number from 0 to 2"),
    ({"optimiser": {"rate": 0}}, r"^optimiser\.rate is 0; expected a number above 0"),
    ({"optimiser": {"warmup": 5}}, r"^optimiser\.warmup is 5; expected less than steps"),
]


@pytest.mark.parametrize(("changes", "text"), WRONG, ids=[text[1:40] for _, text in WRONG])
def test_wrong_field_is_named(changes: dict[str, Any], text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=text):
        load_recipe(write_recipe(tmp_path, **changes))


def test_hash_is_of_values(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path))
    assert isinstance(recipe, AttentionRecipe)
    assert load_recipe(write_recipe(tmp_path)).sha256 == recipe.sha256
    assert replace(recipe, seed=9).sha256 != recipe.sha256
    assert recipe.with_steps(2).optimiser.warmup == 1


RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@pytest.mark.parametrize("name", ["attention", "attention.camvid11"])
def test_attention_recipes_keep_to_training_data(name: str) -> None:
    recipe = load_recipe(RECIPES / f"{name}.yaml")
    assert isinstance(recipe, AttentionRecipe)
    street, camvid = recipe.train
    assert street.seeds[0] >= 2000
    assert all(any(f"0016E5_0{n}" in r for r in camvid.ranges) for n in (7800, 8310))
    assert recipe.class_head == (name != "attention")


def test_a_recipe_uses_nothing_but_the_street() -> None:
    recipe = load_recipe(RECIPES / "attention.street.yaml")
    assert isinstance(recipe, AttentionRecipe)
    seen_by = load_recipe(RECIPES / f"{Path(recipe.segmenter).parent.name}.yaml")
    assert isinstance(seen_by, Recipe)
    assert (seen_by.initial, seen_by.after, seen_by.distil.teacher) == ("random", None, "")
    assert {source.kind for source in (*recipe.train, *seen_by.train)} == {"street"}
    assert (recipe.licence, seen_by.licence) == ("Apache-2.0", "Apache-2.0")
    assert not recipe.class_head
    (street,) = recipe.train
    (learnt,) = seen_by.train
    assert street.seeds[0] >= 2000
    assert set(range(street.seeds[0], street.seeds[1] + 1)).isdisjoint(range(learnt.seeds[0], learnt.seeds[1] + 1))
