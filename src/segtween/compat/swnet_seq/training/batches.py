"""From sample numbers to what a step learns from. Everything is a function of (recipe, sample number).

One draw moves and colours all frames of a chain alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segtween.compat.swnet_seq.training.clips import ClipPool
from segtween.compat.swnet_seq.training.grids import grid_of, place_flow, thinned
from segtween.compat.swnet_seq.training.recipe import PropagationRecipe
from segtween.compat.swnet_seq.training.stored import StoredPool
from segtween.compat.swnet_seq.training.teacher import Teacher
from segtween.errors import DatasetError
from segtween.networks import FLOWS
from segtween.networks.chain import small
from segtween.training.augment import Draw, draw, normalise, place, place_labels, recolour
from segtween.types import Rgb

LENGTH = 1  # what random numbers are for


@dataclass(frozen=True)
class Batch:
    """Chains of one length k, on the grid (h, w) of 1/8.

    images (N, k + 1, 3, h, w) as flow network and refinement see them, key frame first; key, target (N, C, h, w) the
    segmenter's scores of the key frame and of the last; labels (N, H/s, W/s) int64 of the last frame, 255 = ignore;
    flow (N, k, 2, h, w) true flow in pixels of the grid, NaN where it is not known; whole (N, C, H/4, W/4) the
    segmenter's own logits of the last frame where it is trained too.
    """

    images: Tensor
    key: Tensor
    target: Tensor
    labels: Tensor
    flow: Tensor
    whole: Tensor | None = None


def chain_length(recipe: PropagationRecipe, first_sample: int) -> int:
    """The length of the chains of the step whose batch begins with this sample."""
    rng = np.random.default_rng([recipe.seed, LENGTH, first_sample])
    return int(recipe.chain[int(rng.integers(len(recipe.chain)))])


def load_batch(
    recipe: PropagationRecipe,
    pools: Sequence[ClipPool | StoredPool],
    teacher: Teacher,
    *,
    numbers: range,
    order: NDArray[np.int64],
    length: int,
    readers: int = 0,
) -> Batch:
    """The samples `numbers`; `order` (samples, 2) says source and item of each. So many `readers` (threads) load them
    side by side, which does not change them; 0: none but the caller. The batch is where the teacher is."""
    device = teacher.device

    def load(which: tuple[int, tuple[int, int]]) -> _Sample:
        n, (source, item) = which
        return _load(recipe, pools[source], item, n, length)

    if readers:
        with ThreadPoolExecutor(readers, "segtween-reading") as threads:
            samples = list(threads.map(load, _at(order, numbers)))
    else:
        samples = [load(which) for which in _at(order, numbers)]
    small_images = torch.cat([s.images for s in samples])
    draws = [s.draw for s in samples for _ in range(length + 1)]
    labels = torch.stack([s.labels for s in samples]).to(device)
    flow = torch.stack([s.flow for s in samples]).to(device)
    images = recolour(small_images, draws).to(device)  # (N (k + 1), 3, H, W), or (h, w) where scores are stored
    whole = None
    if samples[0].scores is None:
        ends = images.unflatten(0, (-1, length + 1))[:, [0, -1]]
        with torch.set_grad_enabled(recipe.finetune_all):
            key, target, whole = _ask(teacher, ends, recipe)
        images = small(images)
    else:
        scores = torch.stack([s.scores for s in samples if s.scores is not None]).to(device)
        key, target = scores[:, 0], scores[:, 1]
    spec = FLOWS[recipe.flow]
    seen = normalise(images.flip(1), mean=spec.mean, std=spec.std).unflatten(0, (-1, length + 1))
    return Batch(seen, key, target.detach(), labels, flow, whole)


def _ask(teacher: Teacher, ends: Tensor, recipe: PropagationRecipe) -> tuple[Tensor, Tensor, Tensor | None]:
    """Key scores, target scores and, where the segmenter is trained, its logits of the last frame."""
    with torch.autocast(ends.device.type, torch.bfloat16, enabled=recipe.precision == "bfloat16"):
        scores, logits = teacher(ends.flatten(0, 1))
    pairs = scores.unflatten(0, (-1, 2))
    whole = logits.unflatten(0, (-1, 2))[:, 1] if recipe.finetune_all else None
    return pairs[:, 0], pairs[:, 1], whole


@dataclass(frozen=True)
class _Sample:
    """images (k + 1, 3, ...) in 0..1, RGB; scores (2, C, h, w) of both ends where they are stored."""

    draw: Draw
    images: Tensor
    labels: Tensor
    flow: Tensor
    scores: Tensor | None = None


def _at(order: NDArray[np.int64], numbers: range) -> list[tuple[int, tuple[int, int]]]:
    return [(n, (int(order[n, 0]), int(order[n, 1]))) for n in numbers]


def _load(recipe: PropagationRecipe, pool: ClipPool | StoredPool, item: int, number: int, length: int) -> _Sample:
    crop_hw, grid = recipe.crop_hw, grid_of(recipe.crop_hw)
    if isinstance(pool, StoredPool):
        d = draw(recipe.augment, size_hw=crop_hw, crop_hw=crop_hw, seed=recipe.seed, sample=number)
        return _Sample(d, *pool.read(item, length, mirrored=bool(d.matrix[0, 0] < 0)))
    frames = pool.frames(item, length)
    pictures = _same_size([pool.read_rgb(frame) for frame in frames])
    size_hw = pictures[0].shape[:2]
    d = draw(recipe.augment, size_hw=size_hw, crop_hw=crop_hw, seed=recipe.seed, sample=number)
    truth = place_labels(pool.read_labels(frames[-1], size_hw=size_hw), d, crop_hw=crop_hw)
    flows = [pool.read_flow(frame) for frame in frames[1:]]
    flow = place_flow(flows, d, size_hw=size_hw, crop_hw=crop_hw, grid=grid)
    return _Sample(d, place(pictures, d, crop_hw=crop_hw), thinned(truth, recipe.loss.label_stride), flow)


def _same_size(pictures: list[Rgb]) -> list[Rgb]:
    sizes = {p.shape for p in pictures}
    if len(sizes) > 1:
        raise DatasetError(
            f"frames of one clip are {', '.join(f'{w}x{h}' for h, w, _ in sorted(sizes))}",
            expected="frames of one size in a clip",
            do="make them so",
        )
    return pictures
