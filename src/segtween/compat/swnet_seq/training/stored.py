"""Clips as a training with `scores: stored` needs them: what depends on no random number, computed once.

For every frame: the small image, the segmenter's scores of the frame as it is and mirrored, its labels, thinned, and
the true flow where it is known. A frame fills the crop, centred.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segtween.compat.swnet_seq.training.clips import ClipPool
from segtween.compat.swnet_seq.training.grids import grid_of, place_flow, thinned
from segtween.compat.swnet_seq.training.recipe import Clips, PropagationRecipe
from segtween.compat.swnet_seq.training.teacher import Teacher
from segtween.networks.chain import small
from segtween.training.augment import Draw, place, place_labels
from segtween.training.cache import new_folder, tracked
from segtween.types import SizeHW

IMAGES, SCORES, LABELS, FLOW = "images", "scores", "labels", "flow"


@dataclass(frozen=True)
class StoredPool:
    """A `ClipPool` whose frames have been seen; the arrays lie on disk, one row a frame, clip after clip."""

    pool: ClipPool
    firsts: tuple[int, ...]  # row of each clip's first frame
    images: NDArray[np.float16]  # (frames, 3, h, w) in 0..255
    scores: NDArray[np.float16]  # (frames, 2, C, h, w), as it is and mirrored
    labels: NDArray[np.uint8]
    flow: NDArray[np.float16]  # (frames, 2, h, w), NaN where it is not known

    def __len__(self) -> int:
        return len(self.pool)

    @property
    def source(self) -> Clips:
        return self.pool.source

    def read(self, item: int, length: int, *, mirrored: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """One chain: images (k + 1, 3, h, w) RGB in 0..1, labels, flow (k, 2, h, w), scores (2, C, h, w) of both
        ends."""
        clip, index = self.pool.samples[item]
        last = self.firsts[clip] + index
        images = _float(self.images[last - length : last + 1]) / 255
        scores = _float(self.scores[[last - length, last], int(mirrored)])
        labels = torch.from_numpy(np.array(self.labels[last])).long()
        flow = _float(self.flow[last - length + 1 : last + 1])
        if mirrored:
            images, labels = images.flip(-1), labels.flip(-1)
            flow = flow.flip(-1) * torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1)
        return images, labels, flow, scores


def store(
    pool: ClipPool, recipe: PropagationRecipe, teacher: Teacher, *, cache: Path, device: torch.device
) -> StoredPool:
    """See every frame once, into `cache`, where that has not been done yet."""
    folder = cache / f"stored-{_key(pool, recipe, teacher)}"
    lengths, rows = [len(clip) for clip in pool.clips], _each(pool, recipe, teacher, device)
    arrays: Any = _computed_once(folder, rows, count=sum(lengths), title=f"seeing {pool.source.name}")
    return StoredPool(pool, tuple(int(n) for n in np.cumsum([0, *lengths[:-1]])), **arrays)


def _computed_once(folder: Path, rows: Iterable[dict[str, Any]], *, count: int, title: str) -> dict[str, NDArray[Any]]:
    """The arrays of `folder`, by name, mapped from disk; it is filled from `count` rows where it is not there yet.

    There is a row for every frame. It gives one array for each name, of the same shape and type in every row. The
    folder has its name only when it is whole. SinkError if it cannot be written.
    """
    if not folder.is_dir():
        with new_folder(folder) as part:
            _fill(part, rows, count=count, title=title)
    return {path.stem: np.load(path, mmap_mode="r") for path in sorted(folder.glob("*.npy"))}


def _fill(folder: Path, rows: Iterable[dict[str, Any]], *, count: int, title: str) -> None:
    arrays: dict[str, Any] = {}
    for number, row in enumerate(tracked(rows, title, count)):
        for name, value in row.items():
            if number == 0:
                shape = (count, *value.shape)
                path = folder / f"{name}.npy"
                arrays[name] = np.lib.format.open_memmap(path, mode="w+", dtype=value.dtype, shape=shape)
            arrays[name][number] = value
    for array in arrays.values():
        array.flush()


def centred(size_hw: SizeHW, crop_hw: SizeHW, *, mirrored: bool = False) -> Draw:
    """A picture that just fills the crop, its middle in the middle, its colours as they are."""
    scale = max(crop_hw[0] / size_hw[0], crop_hw[1] / size_hw[1])
    left, top = ((crop_hw[i] - size_hw[i] * scale) / 2 for i in (1, 0))
    matrix = np.array([[scale, 0, left + 0.5 * scale - 0.5], [0, scale, top + 0.5 * scale - 0.5]])
    if mirrored:
        matrix = np.array([[-1.0, 0, crop_hw[1] - 1], [0, 1, 0]]) @ np.vstack([matrix, [0, 0, 1]])
    return Draw(matrix, brightness=1, contrast=1, saturation=1, hue=0)


def _each(
    pool: ClipPool, recipe: PropagationRecipe, teacher: Teacher, device: torch.device
) -> Iterator[dict[str, Any]]:
    crop_hw = recipe.crop_hw
    for frame in (frame for clip in pool.clips for frame in clip.frames):
        rgb = pool.read_rgb(frame)
        size_hw = rgb.shape[:2]
        d = centred(size_hw, crop_hw)
        image = place([rgb], d, crop_hw=crop_hw).to(device)  # (1, 3, H, W)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
            scores, _ = teacher(torch.cat((image, image.flip(-1))))
        truth = place_labels(pool.read_labels(frame, size_hw=size_hw), d, crop_hw=crop_hw)
        flow = place_flow([pool.read_flow(frame)], d, size_hw=size_hw, crop_hw=crop_hw, grid=grid_of(crop_hw))
        yield {
            IMAGES: (255 * small(image)[0]).cpu().numpy().astype(np.float16),
            SCORES: scores.cpu().numpy().astype(np.float16),
            LABELS: thinned(truth, recipe.loss.label_stride).numpy().astype(np.uint8),
            FLOW: flow[0].numpy().astype(np.float16),
        }


def _key(pool: ClipPool, recipe: PropagationRecipe, teacher: Teacher) -> str:
    parts = (pool.listing_sha256(), teacher.sha256, str(recipe.scale), recipe.crop, recipe.precision)
    labels = f"{pool.source.label_free} {recipe.loss.label_stride} {pool.labels.name}"
    return hashlib.sha256(" ".join((*parts, labels)).encode()).hexdigest()[:16]


def _float(values: NDArray[np.float16]) -> Tensor:
    return torch.from_numpy(np.array(values, np.float32))
