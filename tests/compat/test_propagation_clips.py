"""Where clips come from, which frames end a chain, and what a batch of chains holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from small_clips import FRAMES, SIZE_HW, write_set

from segtween.errors import DatasetError, LabelError, SettingError
from segtween.labels import CAMVID11, CITYSCAPES19, LabelSet

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.train

MOVING: dict[str, Any] = {"kind": "dataset", "layout": "folders", "root": "set", "name": "moving"}


def opened(tmp_path: Path, *, longest: int = 3, labels: LabelSet = CAMVID11, **source: Any) -> Any:
    from segtween.compat.swnet_seq.training import Clips
    from segtween.compat.swnet_seq.training.clips import open_clips

    return open_clips(Clips(**source), labels, longest=longest, data_root=tmp_path, cache=tmp_path / "cache")


def write_cityscapes(root: Path, *, numbers: range) -> Path:
    for n in numbers:
        path = root / f"leftImg8bit_sequence/train/ulm/ulm_000003_{n:06d}_leftImg8bit.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((32, 64, 3), 10 * n, np.uint8))
    for name in ("leftImg8bit/train/ulm/ulm_000003_000019_leftImg8bit.png", "label.png"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(root / name), np.full((32, 64, *([3] if "left" in name else [])), 7, np.uint8))
    return root


def test_every_labelled_frame_with_enough_before_it_ends_a_chain(tmp_path: Path) -> None:
    write_set(tmp_path)
    pool = opened(tmp_path, **MOVING)
    assert pool.samples == tuple((c, i) for c in (0, 1) for i in range(3, FRAMES))
    assert [f.name for f in pool.frames(0, 2)] == ["clip0/001", "clip0/002", "clip0/003"]
    excluded = opened(tmp_path, **MOVING, exclude=("004..005",))
    assert excluded.samples == tuple((c, i) for c in (0, 1) for i in (3, 6))
    (tmp_path / "set/train/labels/clip0/003.png").unlink()
    assert (0, 3) not in opened(tmp_path, **MOVING).samples
    free = opened(tmp_path, **MOVING, label_free=True)
    assert (0, 3) in free.samples
    assert (free.read_labels(free.frames(0, 0)[0], size_hw=SIZE_HW) == 255).all()
    assert (
        opened(tmp_path, **MOVING).listing_sha256()
        == opened(tmp_path, **MOVING, exclude=("004..005",)).listing_sha256()
    )


def test_lines_of_a_list_name_the_last_frames_of_clips(tmp_path: Path) -> None:
    write_cityscapes(tmp_path, numbers=range(16, 20))
    image = "leftImg8bit/train/ulm/ulm_000003_000019_leftImg8bit.png"
    listed: dict[str, Any] = {"kind": "list-clips", "list": "clips.txt", "labels": CITYSCAPES19}
    (tmp_path / "clips.txt").write_text(f"/{image} label.png\n\n")
    pool = opened(tmp_path, **listed)
    names = [f.image_path.relative_to(tmp_path).parts[0] for f in pool.frames(0, 3)]
    assert names == ["leftImg8bit_sequence"] * 3 + ["leftImg8bit"]
    (last,) = pool.frames(0, 0)
    assert (pool.read_labels(last, size_hw=(32, 64)) == 0).all(), "labelId 7 is road"
    (tmp_path / "clips.txt").write_text(f"{image}\n")
    assert (opened(tmp_path, **listed).read_labels(last, size_hw=(32, 64)) == 255).all()
    with pytest.raises(
        DatasetError, match=r"clips.txt needs 1 files that are not there, first .*_000015_leftImg8bit.png; "
    ):
        opened(tmp_path, longest=4, **listed)
    (tmp_path / "clips.txt").write_text("a b c\n")
    with pytest.raises(DatasetError, match=r"line 1: 'a b c'; expected an image and its label .*; correct the list"):
        opened(tmp_path, **listed)
    (tmp_path / "clips.txt").write_text("one.png label.png\n")
    with pytest.raises(DatasetError, match=r"^frame one.png has no number; expected <name>_<number>_leftImg8bit.png"):
        opened(tmp_path, **listed)
    with pytest.raises(DatasetError, match=r"^list file .*none.txt cannot be read .*; expected lines of `image label`"):
        opened(tmp_path, kind="list-clips", list="none.txt")


def test_video_is_decoded_once_and_has_no_labels(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "drive.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = 96, 64
        for n in range(9):
            picture = np.full((64, 96, 3), 20 * n, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    video: dict[str, Any] = {"kind": "video", "files": ("drive.mp4",), "stride": 2, "size": "48x32"}
    pool = opened(tmp_path, **video)
    assert pool.samples == ((0, 3), (0, 4))
    frame = pool.frames(0, 0)[0]
    assert pool.read_rgb(frame).shape == (32, 48, 3)
    assert abs(int(pool.read_rgb(frame)[16, 24, 0]) - 120) < 6
    assert (pool.read_labels(frame, size_hw=(32, 48)) == 255).all()
    made = frame.image_path.stat().st_mtime_ns
    assert opened(tmp_path, **video).frames(0, 0)[0].image_path.stat().st_mtime_ns == made
    assert not list(tmp_path.rglob("*.part"))
    with pytest.raises(DatasetError, match=r"^video .*none.mp4 is not found; expected a video file; check its name"):
        opened(tmp_path, kind="video", files=("none.mp4",))


def test_clips_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    write_set(tmp_path, clips=1, frames=3)
    with pytest.raises(
        DatasetError,
        match=r"^source 'moving' has no clip with a usable frame after 3 others \(its longest clip has 3 frames\); "
        r"expected clips of at least 4 frames; shorten the recipe's chain",
    ):
        opened(tmp_path, **MOVING)
    (tmp_path / "train.txt").write_text("set/train/frames/clip0/000.png set/train/labels/clip0/000.png\n")
    with pytest.raises(LabelError, match=r"^source 'c' has the labels camvid11; expected those of the segmenter, city"):
        opened(tmp_path, kind="dataset", layout="camvid", name="c", labels=CITYSCAPES19, longest=0)
    from segtween.compat.swnet_seq.training import Clips
    from segtween.compat.swnet_seq.training.clips import open_clips

    with pytest.raises(SettingError, match=r"^source 'moving' needs a data folder; expected the folder that holds set"):
        open_clips(Clips(**MOVING), CAMVID11, longest=1, data_root=None, cache=tmp_path)


# ── Batches ───────────────────────────────────────────────────────────────────────────────────


def random_flow(size_hw: tuple[int, int]) -> Any:
    rng = np.random.default_rng(2)
    return cv2.resize(rng.normal(0, 5, (4, 6, 2)).astype(np.float32), size_hw[::-1], interpolation=cv2.INTER_CUBIC)


def test_small_flow_lies_on_the_grid_whose_corners_are_the_frames() -> None:
    from segtween.training.street import small_flow

    flow = random_flow((65, 97))
    small = small_flow(flow)
    assert small.shape == (2, 8, 12)
    assert small[:, 0, 0] == pytest.approx(flow[0, 0] * [11 / 96, 7 / 64], rel=2e-3)
    assert small[:, -1, -1] == pytest.approx(flow[-1, -1] * [11 / 96, 7 / 64], rel=2e-3)


@pytest.mark.parametrize("mirrored", [False, True])
def test_true_flow_moves_with_its_picture(mirrored: bool) -> None:
    from segtween.compat.swnet_seq.training.grids import place_flow
    from segtween.compat.swnet_seq.training.stored import centred

    size_hw, crop_hw, grid = (64, 96), (64, 96), (8, 12)
    flow = np.random.default_rng(0).normal(size=(2, 8, 12)).astype(np.float32)
    placed = place_flow(
        [flow], centred(size_hw, crop_hw, mirrored=mirrored), size_hw=size_hw, crop_hw=crop_hw, grid=grid
    )
    expected = flow[:, :, ::-1] * np.array([-1, 1]).reshape(2, 1, 1) if mirrored else flow
    found = placed[0].numpy()
    known = np.isfinite(found)
    assert known.mean() > 0.8
    assert found[known] == pytest.approx(expected[known], abs=1e-3)
    unknown = place_flow([None], centred(size_hw, crop_hw), size_hw=size_hw, crop_hw=crop_hw, grid=grid)
    assert torch.isnan(unknown).all()


def test_enlarged_picture_has_longer_flow() -> None:
    from segtween.compat.swnet_seq.training.grids import place_flow
    from segtween.compat.swnet_seq.training.stored import centred

    flow = np.full((2, 8, 12), 1.5, np.float32)
    twice = place_flow([flow], centred((64, 96), (128, 192)), size_hw=(64, 96), crop_hw=(128, 192), grid=(16, 24))
    inner = twice[0, :, 4:-4, 4:-4]
    # In pixels of the frame the flow doubles; grids have their corners on the frame's.
    assert inner[0].numpy() == pytest.approx(1.5 * (95 / 11) * 2 * 23 / 191, rel=1e-3)
    assert inner[1].numpy() == pytest.approx(1.5 * (63 / 7) * 2 * 15 / 127, rel=1e-3)


def loaded(tmp_path: Path, *, numbers: range, length: int, readers: int = 0, **changes: Any) -> Any:
    from small_clips import write_recipe

    from segtween.compat.swnet_seq.training.batches import load_batch
    from segtween.compat.swnet_seq.training.stored import store
    from segtween.compat.swnet_seq.training.teacher import open_teacher
    from segtween.training import load_recipe
    from segtween.training.data import plan

    recipe = load_recipe(write_recipe(tmp_path, **changes))
    cpu = torch.device("cpu")
    teacher = open_teacher(recipe, data_root=None, device=cpu)  # type: ignore[arg-type]
    pool = opened(tmp_path, **MOVING)
    if recipe.scores == "stored":  # type: ignore[union-attr]
        pool = store(pool, recipe, teacher, cache=tmp_path / "cache", device=cpu)  # type: ignore[arg-type]
    order = plan([pool], samples=8, seed=0)
    drawn: dict[str, Any] = {"numbers": numbers, "order": order, "length": length, "readers": readers}
    return load_batch(recipe, [pool], teacher, **drawn)  # type: ignore[arg-type]


def test_frames_of_a_chain_move_and_change_alike(tmp_path: Path) -> None:
    """The ground moves 2 pixels a frame to the right; so do the augmented frames, enlarged by up to 1.2."""
    write_set(tmp_path)
    batch = loaded(tmp_path, numbers=range(4), length=2, augment={"scale": [1.2, 1.2], "brightness": [0.6, 1.4]})
    assert batch.images.shape == (4, 3, 3, 8, 12)
    assert batch.key.shape == batch.target.shape == (4, 11, 8, 12)
    assert batch.labels.shape == (4, 64, 96)
    means = batch.images.mean((2, 3, 4))
    between_frames = (means - means.mean(1, keepdim=True)).abs().max()
    between_samples = (means.mean(1) - means.mean()).abs().max()
    assert between_frames < 0.35 * between_samples, "one draw of colours for a chain"


def test_batch_is_a_function_of_sample_numbers(tmp_path: Path) -> None:
    write_set(tmp_path)
    whole = loaded(tmp_path, numbers=range(4), length=1)
    part = loaded(tmp_path, numbers=range(2, 4), length=1)
    assert torch.equal(whole.images[2:], part.images)
    assert torch.equal(whole.labels[2:], part.labels)
    assert torch.allclose(whole.key[2:], part.key, atol=1e-4)
    by_several = loaded(tmp_path, numbers=range(4), length=1, readers=3)
    assert torch.equal(whole.images, by_several.images)
    assert torch.equal(whole.labels, by_several.labels)


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_stored_scores_give_the_batches_of_fresh_ones(flip: float, tmp_path: Path) -> None:
    write_set(tmp_path)
    plain: dict[str, Any] = {"augment": {"flip": flip}, "loss": {"label_stride": 2}}
    fresh = loaded(tmp_path, numbers=range(3), length=2, **plain)
    stored = loaded(tmp_path, numbers=range(3), length=2, scores="stored", **plain)
    for name, tolerance in (("images", 0.01), ("key", 0.05), ("target", 0.05)):
        assert torch.allclose(getattr(fresh, name), getattr(stored, name), atol=tolerance), name
    assert stored.labels.shape == (3, 32, 48)
    assert torch.equal(fresh.labels, stored.labels)


def test_chain_lengths_are_drawn_by_sample(tmp_path: Path) -> None:
    from small_clips import write_recipe

    from segtween.compat.swnet_seq.training import PropagationRecipe
    from segtween.compat.swnet_seq.training.batches import chain_length
    from segtween.training import load_recipe

    recipe = load_recipe(write_recipe(tmp_path, chain=[1, 4]))
    assert isinstance(recipe, PropagationRecipe)
    lengths = [chain_length(recipe, n) for n in range(200)]
    assert set(lengths) == {1, 4}
    assert 70 < lengths.count(1) < 130
    assert lengths == [chain_length(recipe, n) for n in range(200)]


def test_frames_of_different_sizes_in_a_clip_are_refused(tmp_path: Path) -> None:
    write_set(tmp_path)
    for path in (tmp_path / "set/train/frames").rglob("003.png"):
        cv2.imwrite(str(path), np.zeros((32, 96, 3), np.uint8))
        cv2.imwrite(str(path).replace("frames", "labels"), np.zeros((32, 96), np.uint8))
    with pytest.raises(
        DatasetError, match=r"^frames of one clip are 96x32, 96x64; expected frames of one size in a clip"
    ):
        loaded(tmp_path, numbers=range(8), length=3)
