"""A trained network teaches another: what it says is learnt, a kill changes no bit, what does not fit is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from killed_training import killed_at
from segtween.errors import ModelError, SettingError
from segtween.models.finding import find_record, shipped_models
from segtween.training import load_recipe, train_recipe
from segtween.training.segmenter.recipe import Distil

torch = pytest.importorskip("torch")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard.*")]

TEACHER = "swiftnet-lite0.camvid"
RECIPE: dict[str, Any] = {
    "name": "taught",
    "network": "swiftnet-r18",
    "steps": 4,
    "batch": 2,
    "crop": "64x32",
    "seed": 5,
    "train": [{"kind": "list", "list": "train.txt"}],
    "augment": {"scale": [0.8, 1.5]},
    "optimiser": {"rate": 0.002, "warmup": 1},
    "distil": {"teacher": TEACHER, "weight": 2.0, "temperature": 2.0, "features": 0.5},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of noise in which nothing is labelled: only the teacher teaches."""
    root = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for i in range(3):
        cv2.imwrite(str(root / f"{i}.png"), rng.integers(0, 255, (5, 9, 3), np.uint8).repeat(8, 0).repeat(8, 1))
        cv2.imwrite(str(root / f"{i}_l.png"), np.full((40, 72), 255, np.uint8))
    (root / "train.txt").write_text("\n".join(f"{i}.png {i}_l.png" for i in range(3)))
    return root


def write_recipe(folder: Path, **changes: Any) -> Path:
    path = folder / "taught.yaml"
    path.write_text(yaml.safe_dump({**RECIPE, **changes}))
    return path


def write_teacher(folder: Path, *, seed: int) -> Path:
    """A network with random weights."""
    from segtween.labels import CAMVID11
    from segtween.networks import build
    from segtween.networks.export import export_model

    torch.manual_seed(seed)
    net = build("swiftnet-lite0", classes=11)
    return export_model(net, network="swiftnet-lite0", name="teacher", labels=CAMVID11, out=folder)


def test_divergence_is_of_the_softened_scores_and_nothing_where_they_agree() -> None:
    from segtween.training.segmenter.distil import distil_loss

    torch.manual_seed(0)
    own, said = torch.randn(2, 5, 3, 4), torch.randn(2, 5, 3, 4)
    p, q = ((x / 2).softmax(1) for x in (said, own))
    expected = 3 * 4 * float((p * (p / q).log()).sum(1).mean())
    settings = Distil(teacher="x", weight=3, temperature=2)
    assert float(distil_loss((own, []), (said, []), settings)) == pytest.approx(expected, rel=1e-5)
    assert float(distil_loss((said + 7, []), (said, []), settings)) == pytest.approx(0, abs=1e-5)
    coarse = torch.randn(2, 5, 1, 1)
    same = distil_loss((coarse.expand(2, 5, 3, 4), []), (coarse, []), settings)
    assert float(same) == pytest.approx(0, abs=1e-5), "a teacher on another grid is brought to the learner's"


def test_distance_of_maps_is_one_for_a_learner_that_knows_only_their_mean() -> None:
    from segtween.training.segmenter.distil import distil_loss, map_distance

    torch.manual_seed(0)
    maps = [torch.randn(4, 3, 20, 20) * 5 + 2, torch.randn(4, 3, 40, 40) * 0.1]
    means = [m.mean((0, 2, 3), keepdim=True).expand_as(m) for m in maps]
    assert float(map_distance(means, maps)) == pytest.approx(1, rel=1e-2)
    assert float(map_distance(maps, maps)) == 0
    alone = Distil(teacher="x", weight=0, features=2)
    logits = torch.zeros(1, 5, 2, 2)
    assert float(distil_loss((logits, means), (logits + 1, maps), alone)) == pytest.approx(2, rel=1e-2)


def test_teacher_sees_the_crop_as_its_own_record_wants_it(tmp_path: Path) -> None:
    from segtween.networks import network
    from segtween.training.augment import normalise
    from segtween.training.segmenter.distil import open_teacher

    recipe = load_recipe(write_recipe(tmp_path))
    teacher = open_teacher(recipe, device=torch.device("cpu"))
    assert teacher is not None
    assert not teacher.net.training
    learner = network("swiftnet-r18")
    pixels = torch.rand(2, 3, 32, 64)
    logits, maps = teacher(normalise(pixels, mean=learner.mean, std=learner.std), of=learner)
    with torch.no_grad():
        expected = teacher.net(normalise(pixels, mean=(127.0,) * 3, std=(128.0,) * 3))
    assert torch.allclose(logits, expected, atol=1e-4)
    assert [tuple(m.shape) for m in maps] == [(2, 128, 32 // s, 64 // s) for s in (32, 16, 8, 4)]
    assert not logits.requires_grad


@pytest.mark.slow
def test_without_labels_the_teacher_is_learnt(data: Path, tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path, steps=24, distil={"teacher": TEACHER}, precision="float32")
    out = tmp_path / "out"
    report = train_recipe(recipe, out=out, data_root=data, device="cpu")
    losses = torch.load(out / "checkpoint.pt", weights_only=True)["losses"]
    assert np.mean(losses[-6:]) < 0.5 * np.mean(losses[:6])
    record = find_record(out / "model")
    of_teacher = find_record(TEACHER).weights
    assert of_teacher is not None
    assert record.provenance["teacher"] == {"name": TEACHER, "sha256": of_teacher.sha256}
    assert report["recipe"]["distil"]["teacher"] == TEACHER


def test_killed_it_ends_with_the_same_bits(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.training.segmenter import task

    recipe = write_recipe(tmp_path, network="swiftnet-lite0", steps=3)
    train_recipe(recipe, out=tmp_path / "whole", data_root=data, device="cpu")
    with killed_at(3, task, "distil_loss", monkeypatch):
        train_recipe(recipe, out=tmp_path / "killed", data_root=data, device="cpu")
    train_recipe(recipe, out=tmp_path / "killed", data_root=data, device="cpu")
    one, two = (torch.load(tmp_path / f / "checkpoint.pt", weights_only=True) for f in ("whole", "killed"))
    assert one["losses"] == two["losses"]
    assert all(torch.equal(one["model"][k], two["model"][k]) for k in one["model"])


def test_other_weights_of_the_teacher_are_other_data(data: Path, tmp_path: Path) -> None:
    changes = {"network": "swiftnet-lite0", "steps": 1, "optimiser": {}}
    recipe = write_recipe(tmp_path, **changes, distil={"teacher": str(tmp_path / "teacher")})
    for seed, refused in ((1, False), (2, True)):
        write_teacher(tmp_path / "teacher", seed=seed)
        if not refused:
            train_recipe(recipe, out=tmp_path / "out", data_root=data, device="cpu")
            continue
        with pytest.raises(SettingError, match=r"made with another data \("):
            train_recipe(recipe, out=tmp_path / "out", data_root=data, device="cpu")


@pytest.mark.parametrize(
    ("changes", "kind", "text"),
    [
        ({"distil": {"teacher": "swiftnet-lite"}}, ModelError, r"swiftnet-lite.*; .*swiftnet-lite0"),
        (
            {"distil": {"teacher": "swiftnet-r18"}},
            SettingError,
            r"distil\.teacher swiftnet-r18 has labels cityscapes19; expected camvid11; give another teacher",
        ),
        (
            {"network": "bisenet-r18", "distil": {"teacher": TEACHER, "features": 1}},
            SettingError,
            r"distil\.features is 1\.0, from swiftnet-lite0 to bisenet-r18; expected both of .*; leave it out",
        ),
    ],
)
def test_teachers_that_do_not_fit_are_refused(
    changes: dict[str, Any], kind: type[Exception], text: str, data: Path, tmp_path: Path
) -> None:
    with pytest.raises(kind, match=text):
        train_recipe(write_recipe(tmp_path, **changes), out=tmp_path / "out", data_root=data, device="cpu")


def test_teacher_of_a_foreign_network_is_refused(data: Path, tmp_path: Path) -> None:
    folder = write_teacher(tmp_path / "teacher", seed=0)
    record = folder / "model.yaml"
    record.write_text(record.read_text().replace("network: swiftnet-lite0", "network: other"))
    recipe = write_recipe(tmp_path, distil={"teacher": str(folder)})
    with pytest.raises(
        ModelError, match=r"distil\.teacher .* is not one of our networks in torch; expected a model fol"
    ):
        train_recipe(recipe, out=tmp_path / "out", data_root=data, device="cpu")


@pytest.mark.parametrize(
    ("distil", "text"),
    [
        ({"teacher": TEACHER, "weight": -1}, r"distil\.weight is -1; expected a number from 0 to 100; correct the"),
        ({"teacher": TEACHER, "temperature": 0}, r"distil\.temperature is 0; expected a number above 0"),
        ({"teacher": TEACHER, "features": 101}, r"distil\.features is 101; expected a number from 0 to 100"),
        ({"teacher": TEACHER, "weight": 0}, r"distil\.weight is 0\.0; expected a number above 0, or distil\.features"),
        ({"weight": 2}, r"distil\.teacher is ''; expected a shipped name or model folder; correct the recipe"),
        (
            {"teachers": TEACHER},
            r"distil has an unknown field 'teachers'; expected fields out of features, teacher, temp",
        ),
    ],
)
def test_wrong_fields_are_named(distil: dict[str, Any], text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=text):
        load_recipe(write_recipe(tmp_path, distil=distil))


def test_recipes_without_a_teacher_keep_their_published_hash() -> None:
    recipes = Path(__file__).resolve().parents[2] / "recipes"
    for name in ("swiftnet-lite0.camvid", "swiftnet-r18.camvid"):
        if name in shipped_models():
            assert load_recipe(recipes / f"{name}.yaml").sha256 == find_record(name).provenance["recipe_sha256"]
