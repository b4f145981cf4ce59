"""Order, files and augmentation of training samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segtween.errors import DatasetError, SettingError
from segtween.labels import CAMVID11
from segtween.models.finding import find_record
from segtween.training.data import Pool, class_shares, open_pool, plan
from segtween.training.kinds import load_recipe
from segtween.training.recipe import Augment, Source

LISTED = Source("list", list="train.txt")


def pools(*sizes_and_shares: tuple[int, float]) -> list[Pool]:
    return [
        Pool(Source("list", list="a.txt", share=share), CAMVID11, ((Path("i"), Path("l")),) * size)
        for size, share in sizes_and_shares
    ]


def test_sources_keep_their_shares_in_any_stretch() -> None:
    order = plan(pools((5, 3.0), (50, 1.0)), samples=400, seed=0)
    for start in range(0, 400, 20):
        assert (order[start : start + 20, 0] == 0).sum() in (14, 15, 16)


def test_items_come_once_a_round_in_new_orders() -> None:
    rounds = plan(pools((7, 1.0)), samples=70, seed=0)[:, 1].reshape(10, 7)
    assert (np.sort(rounds, axis=1) == np.arange(7)).all()
    assert len({tuple(r) for r in rounds}) > 5


@given(samples=st.integers(1, 60), more=st.integers(0, 60), seed=st.integers(0, 5))
def test_order_does_not_depend_on_the_length_of_the_training(samples: int, more: int, seed: int) -> None:
    given_pools = pools((4, 2.0), (9, 1.0))
    longer = plan(given_pools, samples=samples + more, seed=seed)
    assert (plan(given_pools, samples=samples, seed=seed) == longer[:samples]).all()


def write_data(root: Path, *, frames: int = 3, size_hw: tuple[int, int] = (20, 30)) -> None:
    rng = np.random.default_rng(0)
    lines = []
    for i in range(frames):
        cv2.imwrite(str(root / f"a_{i:03d}.png"), rng.integers(0, 256, (*size_hw, 3), np.uint8))
        cv2.imwrite(str(root / f"a_{i:03d}_l.png"), np.full(size_hw, (i, 3, 11)[i % 3], np.uint8))
        lines.append(f"a_{i:03d}.png a_{i:03d}_l.png")
    (root / "train.txt").write_text("\n".join(lines) + "\n")


def test_list_is_read_less_what_is_excluded(tmp_path: Path) -> None:
    write_data(tmp_path, frames=6)
    source = Source("list", list="train.txt", exclude=("a_001..a_003",))
    pool = open_pool(source, CAMVID11, data_root=tmp_path, cache=tmp_path)
    assert [image.name for image, _ in pool.files] == ["a_000.png", "a_004.png", "a_005.png"]
    rgb, labels = pool.read(2)
    stored = cv2.imread(str(tmp_path / "a_005.png"))
    assert stored is not None
    assert (rgb == stored[:, :, ::-1]).all()
    assert (labels == 255).all(), "CamVid's 11 is nothing to learn"
    assert class_shares([pool], classes=11)[0] == pytest.approx(0.5)


def test_hash_follows_the_contents(tmp_path: Path) -> None:
    write_data(tmp_path)
    pool = open_pool(LISTED, CAMVID11, data_root=tmp_path, cache=tmp_path)
    before = pool.sha256()
    assert before == pool.sha256()
    cv2.imwrite(str(tmp_path / "a_001_l.png"), np.full((20, 30), 5, np.uint8))
    assert pool.sha256() != before


def test_data_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    def opened() -> Pool:
        return open_pool(LISTED, CAMVID11, data_root=tmp_path, cache=tmp_path)

    with pytest.raises(SettingError, match=r"'train.txt' needs a data folder; expected .*; give data_root=FOLDER"):
        open_pool(LISTED, CAMVID11, data_root=None, cache=tmp_path)
    with pytest.raises(DatasetError, match=r"train.txt cannot be read .*; expected lines of `image label`"):
        opened()
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DatasetError, match=r"train.txt cannot be read \(it is not text\); expected lines of .*; check"):
        opened()
    (tmp_path / "train.txt").write_text("\n")
    with pytest.raises(DatasetError, match=r"train.txt holds no pairs to use"):
        opened()
    (tmp_path / "train.txt").write_text("one\n")
    with pytest.raises(DatasetError, match=r"train.txt, line 1: 'one'; expected an image and its label file"):
        opened()
    write_data(tmp_path)
    (tmp_path / "a_002.png").unlink()
    with pytest.raises(DatasetError, match=r"names 1 files that are not there, first .*a_002.png"):
        opened()
    write_data(tmp_path)
    cv2.imwrite(str(tmp_path / "a_000_l.png"), np.zeros((9, 8), np.uint8))
    with pytest.raises(
        DatasetError, match=r"a_000_l.png is 8x9, its image 30x20; expected label and image of one size"
    ):
        opened().read(0)
    (tmp_path / "a_001.png").write_text("no picture")
    with pytest.raises(DatasetError, match=r"a_001.png is not a readable image"):
        opened().read(1)


# ── Augmentation ──────────────────────────────────────────────────────────────────────────────


def augmented(rgb: Any, truth: Any, chosen: Augment, *, crop_hw: tuple[int, int], sample: int = 0) -> tuple[Any, Any]:
    from segtween.training.augment import augment, draw

    d = draw(chosen, size_hw=truth.shape, crop_hw=crop_hw, seed=3, sample=sample)
    images, labels = augment([(rgb, truth)], [d], crop_hw=crop_hw)
    return images[0].permute(1, 2, 0).numpy() * 255, labels[0].numpy()


def random_sample(size_hw: tuple[int, int]) -> tuple[Any, Any]:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 12, size_hw).astype(np.uint8)
    truth[truth == 11] = 255
    return rng.integers(0, 256, (*size_hw, 3), np.uint8), truth


@pytest.mark.train
def test_no_change_is_the_identity() -> None:
    rgb, truth = random_sample((32, 64))
    image, label = augmented(rgb, truth, Augment(flip=0), crop_hw=(32, 64))
    assert np.abs(image - rgb).max() < 0.01
    assert (label == truth).all()


@pytest.mark.train
def test_flip_mirrors_both() -> None:
    rgb, truth = random_sample((32, 64))
    image, label = augmented(rgb, truth, Augment(flip=1), crop_hw=(32, 64))
    assert np.abs(image - rgb[:, ::-1]).max() < 0.01
    assert (label == truth[:, ::-1]).all()


@pytest.mark.train
def test_twice_the_size_is_half_pixel_centred() -> None:
    rgb, truth = random_sample((16, 32))
    image, label = augmented(rgb, truth, Augment(scale=(1, 1), flip=0), crop_hw=(32, 64))
    expected = cv2.resize(rgb.astype(np.float32), (64, 32), interpolation=cv2.INTER_LINEAR)
    assert np.abs(image - expected)[1:-1, 1:-1].max() < 0.05
    assert (label == truth.repeat(2, axis=0).repeat(2, axis=1)).all()


@pytest.mark.train
@settings(max_examples=25)
@given(sample=st.integers(0, 10**6))
def test_image_and_label_move_together(sample: int) -> None:
    """A smooth picture whose red is ten times the label: what comes out still agrees, and outside is ignored."""
    y, x = np.mgrid[:48, :64]
    truth = (np.minimum(x // 8, 10)).astype(np.uint8)
    rgb = np.stack([x * 2, y * 2, np.full_like(x, 200)], -1).astype(np.uint8)
    chosen = Augment(scale=(0.5, 2.0), aspect=(0.7, 1.4))
    image, label = augmented(rgb, truth, chosen, crop_hw=(32, 64), sample=sample)
    inside = label != 255
    assert inside.any()
    # The outermost half pixels of the picture fade into the grey around it.
    inner = cv2.erode(inside.astype(np.uint8), np.ones((5, 5)), borderValue=0).astype(bool)
    implied = image[..., 0] / 2 / 8
    assert (np.abs(implied - 0.5 - label)[inner] <= 0.6).all()
    outside = cv2.erode((~inside).astype(np.uint8), np.ones((5, 5)), borderValue=1).astype(bool)
    assert np.abs(image[outside] - 127.5).max(initial=0) < 0.5


@pytest.mark.train
def test_draws_are_a_function_of_seed_and_sample() -> None:
    from segtween.training.augment import draw

    chosen = Augment(scale=(0.5, 2), brightness=(0.5, 2), hue=(-0.1, 0.1))
    size: dict[str, Any] = {"size_hw": (30, 40), "crop_hw": (32, 32)}
    first, again, other = (draw(chosen, **size, seed=1, sample=n) for n in (7, 7, 8))
    assert (first.matrix == again.matrix).all()
    assert (first.brightness, first.hue) == (again.brightness, again.hue)
    assert (first.matrix != other.matrix).any()


@pytest.mark.train
def test_the_size_shown_is_the_mean_of_the_draws() -> None:
    from segtween.training.augment import draw, shown_size

    chosen = Augment(scale=(0.5, 3), aspect=(0.8, 1.25))
    size: dict[str, Any] = {"size_hw": (300, 400), "crop_hw": (288, 384)}
    areas = [abs(np.linalg.det(draw(chosen, **size, seed=1, sample=n).matrix[:, :2])) for n in range(2000)]
    factor = np.exp(0.5 * np.mean(np.log(areas)))
    assert shown_size(chosen, **size) == pytest.approx((300 * factor, 400 * factor), rel=0.05)
    assert shown_size(Augment(), size_hw=(1000, 1000), crop_hw=(250, 500)) == (500, 500), "it fills the crop"


@pytest.mark.train
@pytest.mark.parametrize("name", ["swiftnet-lite0.camvid", "swiftnet-r18.camvid"])
def test_shipped_records_say_what_their_recipes_show(name: str) -> None:
    from segtween.training.augment import shown_size

    recipe = load_recipe(Path(__file__).resolve().parents[2] / "recipes" / f"{name}.yaml")
    frames_hw = (360, 480)  # those of CamVid at half their size, and of the street
    assert {source.size_hw for source in recipe.train if source.kind == "street"} == {frames_hw}
    shown = shown_size(recipe.augment, size_hw=frames_hw, crop_hw=recipe.crop_hw)
    assert find_record(name).trained_size_hw == shown


@pytest.mark.train
def test_colours_change_the_image_only() -> None:
    rgb, truth = random_sample((32, 32))
    brighter = Augment(flip=0, brightness=(1.5, 1.5))
    image, label = augmented(rgb, truth, brighter, crop_hw=(32, 32))
    assert (label == truth).all()
    assert np.abs(image - np.minimum(rgb * 1.5, 255)).max() < 0.05
    grey, _ = augmented(rgb, truth, Augment(flip=0, saturation=(0, 0), hue=(0.1, 0.1)), crop_hw=(32, 32))
    assert np.abs(grey - grey.mean(-1, keepdims=True)).max() < 0.5


def test_decoded_frames_are_kept_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from segtween.training import data

    for i in range(3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((4, 6, 3), 50 * i, np.uint8))
        cv2.imwrite(str(tmp_path / f"{i}_l.png"), np.full((4, 6), i, np.uint8))
    files = tuple((tmp_path / f"{i}.png", tmp_path / f"{i}_l.png") for i in range(3))
    pool = data.Pool(Source(kind="list", list="train.txt"), CAMVID11, files)
    monkeypatch.setattr(data, "KEPT_BYTES", 2 * 4 * 6 * 4)
    first = [pool.read(i) for i in range(3)]
    assert sorted(pool.kept) == [0, 1]
    for item, (rgb, truth) in enumerate(first):
        again = pool.read(item)
        assert (again[0] == rgb).all()
        assert (again[1] == truth).all()
        assert truth.max() == truth.min() == item
