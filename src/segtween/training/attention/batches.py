"""From stored clips to the batches of a step: the network's inputs for a crop, and its targets.

Everything that is drawn for a sample depends on the recipe's seed and the sample's number alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segtween.errors import SettingError
from segtween.interfaces import ArrayOps
from segtween.networks.attention import MIDDLE, RADII
from segtween.training.attention.drives import pair_row
from segtween.training.attention.recipe import AttentionRecipe, Disturb
from segtween.training.attention.sources import Clip, MomentPool
from segtween.types import Flow, SizeHW

MARGIN = max(RADII)  # cells around a crop whose scores its cells may aggregate
TRUTH_SURENESS = 0.96  # of labels as scores; the rest is shared out among all classes
NOISE_VALUES = 1 << 21


@dataclass(frozen=True)
class Batch:
    """N crops of h x w cells, of 2 x 2 pixels each. What has pixels has four of them as channels, in the order of
    `F.pixel_unshuffle`; scores are less their mean over the C classes."""

    image: Tensor  # (N, 12, h, w)
    key: Tensor  # (N, 12, h, w), read along composed flow
    cells: Tensor  # (N, 8, h, w)
    scores: Tensor  # (N, C, h, w) read along composed flow at the cells
    around: Tensor  # (N, 4 C, h + 2 MARGIN, w + 2 MARGIN) along composed flow at the pixels, in the crop and around it
    labels: Tensor  # (N, 2h, 2w) int64

    @property
    def fine(self) -> Tensor:
        """(N, C, 2h, 2w) scores that the crop's own pixels read."""
        return F.pixel_shuffle(self.around[:, :, MARGIN:-MARGIN, MARGIN:-MARGIN], 2)

    def inputs(self, *, scores: bool) -> list[Tensor]:
        """What the network sees, in the order of axes in which it is fastest."""
        inputs = [self.image, self.key, self.cells, *([self.scores] if scores else [])]
        return [values.contiguous(memory_format=torch.channels_last) for values in inputs]

    def to(self, device: torch.device) -> Batch:
        return Batch(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


@dataclass(frozen=True)
class Reader:
    """Reads samples; `order` says source and item of each."""

    recipe: AttentionRecipe
    pools: tuple[MomentPool, ...]
    order: NDArray[np.int64]
    ops: ArrayOps
    noise: Tensor  # drawn once; a sample takes a stretch of it

    def batch(self, numbers: Sequence[int]) -> Batch:
        samples = [self._sample(n) for n in numbers]
        stacked = {f.name: torch.stack([getattr(s, f.name) for s in samples]) for f in fields(Batch)}
        stacked["cells"] = torch.cat((sureness(stacked["scores"]), stacked["cells"]), 1)
        return Batch(**stacked)

    def _sample(self, number: int) -> Batch:
        """One sample without the batch's axis; `cells` lack the two planes of `sureness`."""
        recipe = self.recipe
        rng = np.random.default_rng([recipe.seed, number])
        source, item = self.order[number]
        pool = self.pools[source]
        clip = pool[item]
        h, w = recipe.crop_hw
        rows, columns = clip.grid
        top, left = int(rng.integers(0, rows - h + 1)), int(rng.integers(0, columns - w + 1))
        if clip.composed is None:
            key = now = 0
            composed, distance = made_up_path(clip.labels[0], rng), int(rng.integers(1, 9))
        else:
            distance = int(rng.integers(1, pool.frames))
            key = int(rng.integers(0, pool.frames - distance))
            now = key + distance
            composed = np.array(clip.composed[pair_row(key=key, now=now)], np.float32)
        path = self.ops.resize_flow(composed, (rows, columns))
        flip = rng.random() < recipe.disturb.flip
        scores = self._scores(clip, key, pool.source.scores, rng)
        corner = top, left
        fine = _fine_places(self.ops.resize_flow(composed, (2 * rows, 2 * columns)), corner, (h, w))
        box = (slice(2 * top, 2 * (top + h)), slice(2 * left, 2 * (left + w)))
        inner = slice(2 * MARGIN, -2 * MARGIN)
        image, moved = _pixels(clip.images[now][box]), _read(_pixels(clip.images[key]), fine[inner, inner])
        truth = torch.from_numpy(np.array(clip.labels[now][box], np.int64))
        parts = [image, moved, about(path, distance, corner, (h, w))]
        at_cells = _led(torch.from_numpy(path), *_around(corner, (h, w), 0))
        parts += [_read(scores, at_cells), _read(scores, fine), truth]
        if flip:
            parts = [part.flip(-1) for part in parts]
            parts[2][4] = -2.0 / columns - parts[2][4]  # the column c is now columns - 1 - c
        image, moved = self._disturbed(parts[0], parts[1], rng)
        pixels = [F.pixel_unshuffle(part, 2) for part in (image, moved, parts[4])]
        return Batch(pixels[0], pixels[1], parts[2], parts[3], pixels[2], labels=parts[5])

    def _scores(self, clip: Clip, key: int, parts: tuple[float, float, float], rng: np.random.Generator) -> Tensor:
        """(C, rows, columns) of the key frame, less their mean over classes, on a grid of their own."""
        recipe = self.recipe
        chosen = rng.choice(3, p=np.array(parts) / sum(parts))
        if chosen == 2:
            scores = truth_as_scores(clip.labels[key], classes=len(recipe.label_set))
        else:
            scores = torch.from_numpy(np.array((clip.scores, clip.half_scores)[chosen][key], np.float32))
        factor = 1.0 if recipe.class_head else float(np.exp(recipe.disturb.temperature * rng.standard_normal()))
        return factor * (scores - scores.mean(0))

    def _disturbed(self, image: Tensor, key: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Frame and key frame (3, 2h, 2w) in other light, each with noise of its own."""
        d: Disturb = self.recipe.disturb
        gain, drift = (1 + s * rng.standard_normal((3, 1, 1)) for s in (d.gain, d.drift))
        offset, shift = d.offset * rng.standard_normal(), d.drift * rng.standard_normal()
        image = image * torch.from_numpy(gain).float() + offset
        key = key * torch.from_numpy(gain * drift).float() + torch.from_numpy(offset * drift + shift).float()
        return image.add_(self._noise(image, rng)), key.add_(self._noise(key, rng))

    def _noise(self, like: Tensor, rng: np.random.Generator) -> Tensor:
        n = like.numel()
        begin = int(rng.integers(0, len(self.noise) - n + 1))
        return self.noise[begin : begin + n].view(like.shape)


def open_reader(
    recipe: AttentionRecipe, pools: tuple[MomentPool, ...], order: NDArray[np.int64], ops: ArrayOps
) -> Reader:
    """SettingError for a crop that does not fit into a source's frames."""
    h, w = recipe.crop_hw
    for pool in pools:
        rows, columns = pool[0].grid
        if rows < h or columns < w:
            raise SettingError(
                f"crop is {recipe.crop!r}, with source {pool.source.name!r}",
                expected=f"at most {columns}x{rows} cells, as its scores have",
                do="correct the recipe",
            )
    generator = torch.Generator().manual_seed(recipe.seed)
    noise = recipe.disturb.noise * torch.randn(max(NOISE_VALUES, 24 * h * w), generator=generator)
    return Reader(recipe, pools, order, ops, noise)


def truth_as_scores(labels: NDArray[np.uint8], *, classes: int) -> Tensor:
    """(classes, h, w): logarithms of the classes' parts of each cell of 2 x 2 labels (2h, 2w)."""
    which = np.arange(classes, dtype=np.uint8)[:, None, None]
    count = np.zeros((classes, labels.shape[0] // 2, labels.shape[1] // 2), np.float32)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        count += labels[None, dy::2, dx::2] == which
    return torch.from_numpy(np.log(count * (TRUTH_SURENESS / 4) + (1 - TRUTH_SURENESS) / classes))


def sureness(scores: Tensor) -> Tensor:
    """(N, 2, h, w): the largest probability of scores (N, C, h, w), and its lead over the next."""
    highest, where = scores.max(1, keepdim=True)
    following = scores.scatter(1, where, -torch.inf).amax(1, keepdim=True)
    total = (scores - highest).exp_().sum(1, keepdim=True)
    return torch.cat((1 / total, (1 - (following - highest).exp_()) / total), 1)


def about(path: Flow, distance: int, corner: tuple[int, int], crop_hw: SizeHW) -> Tensor:
    """(6, h, w) of a crop: whether the path ends inside the image, its stretch along x and y, the distance, and where
    the cell lies: the planes of `segtween.networks.attention.CELLS` from the third on."""
    (h, w), (rows, columns) = path.shape[:2], _around(corner, crop_hw, 1)
    near = path[np.clip(rows, 0, h - 1)[:, None], np.clip(columns, 0, w - 1)]
    x, y = columns[None, 1:-1].astype(np.float32), rows[1:-1, None].astype(np.float32)
    to_x, to_y = x + near[1:-1, 1:-1, 0], y + near[1:-1, 1:-1, 1]
    out = np.empty((6, *crop_hw), np.float32)
    out[0] = (to_x >= -0.5) & (to_x <= w - 0.5) & (to_y >= -0.5) & (to_y <= h - 0.5)
    np.clip(near[1:-1, 2:, 0] - near[1:-1, :-2, 0], -3, 3, out=out[1])
    np.clip(near[2:, 1:-1, 1] - near[:-2, 1:-1, 1], -3, 3, out=out[2])
    out[3], out[4], out[5] = distance / 8, 2 * x / w - 1, 2 * y / h - 1
    return torch.from_numpy(out)


def _pixels(rgb: NDArray[np.uint8]) -> Tensor:
    """(H, W, 3) of 0..255 -> (3, H, W) of -1..1."""
    return torch.from_numpy(np.array(np.moveaxis(rgb, 2, 0), np.float32)) / MIDDLE - 1


def _fine_places(path: Flow, corner: tuple[int, int], crop_hw: SizeHW) -> Tensor:
    """(2h + 4 MARGIN, 2w + 4 MARGIN, 2) in -1..1: where the pixels of a crop and around it are led, two to a cell's
    side as in `path`; around the image its border repeats."""
    rows, columns = (
        np.clip(at, 0, side - 1)
        for at, side in zip(
            _around((2 * corner[0], 2 * corner[1]), (2 * crop_hw[0], 2 * crop_hw[1]), 2 * MARGIN),
            path.shape[:2],
            strict=True,
        )
    )
    return _led(torch.from_numpy(path), rows, columns)


def _around(corner: tuple[int, int], crop_hw: SizeHW, margin: int) -> list[NDArray[np.int64]]:
    """Rows and columns of a crop and around it, also outside the image."""
    return [np.arange(first - margin, first + n + margin) for first, n in zip(corner, crop_hw, strict=True)]


def _led(path: Tensor, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Tensor:
    """(rows, columns, 2) in -1..1 of a path over a whole image, in its own pixels."""
    h, w = path.shape[:2]
    down, right = torch.from_numpy(rows), torch.from_numpy(columns)
    places = path[down[:, None], right]
    places[..., 0] += right
    places[..., 1] += down[:, None]
    return (2 * places + 1) / torch.tensor([w, h]) - 1


def _read(values: Tensor, places: Tensor) -> Tensor:
    """(C, h, w) of values (C, rows, columns) on any grid over the image, bilinear, border clamped."""
    return F.grid_sample(values[None], places[None], "bilinear", "border", align_corners=False)[0]


# ── Paths of stills ───────────────────────────────────────────────────────────────────────────
#
# A path (h, w, 2) float32 leads from each cell to a place in the key frame, x first, in cells. Made-up ones have the
# errors that matching by appearance leaves: a still, where every place has its exact match, is not matched.


Rng = np.random.Generator


def made_up_path(labels: NDArray[np.uint8], rng: Rng) -> Flow:
    """What a path may have of errors, on a picture of labels (2h, 2w): a smooth one, things that moved with what is
    around them, and a border that the camera saw only later."""
    h, w = labels.shape[0] // 2, labels.shape[1] // 2
    path = _smooth((h, w), rng, knots=8, size=0.15) + _smooth((h, w), rng, knots=20, size=0.1)
    cells = labels[::2, ::2]
    for _ in range(rng.integers(1, 5)):
        path[_thing(cells, rng)] += rng.normal(0, 2, 2).astype(np.float32)
    if rng.random() < 0.6:
        _uncover(path, rng)
    return path


def _smooth(grid: SizeHW, rng: Rng, *, knots: int, size: float) -> Flow:
    values = rng.standard_normal((knots, knots, 2)).astype(np.float32) * np.float32(size)
    return np.asarray(cv2.resize(values, grid[::-1], interpolation=cv2.INTER_CUBIC))


def _thing(cells: NDArray[np.uint8], rng: Rng) -> NDArray[np.bool_]:
    """Cells of one label in a box, or the whole box; widened, as a flow drags what is around a thing along."""
    h, w = cells.shape
    tall, wide = (int(rng.integers(min(6, side), min(40, side) + 1)) for side in (h, w))
    top, left = int(rng.integers(0, h - tall + 1)), int(rng.integers(0, w - wide + 1))
    found = np.zeros((h, w), np.uint8)
    box = (slice(top, top + tall), slice(left, left + wide))
    whole = rng.random() >= 0.6
    found[box] = 1 if whole else cells[box] == cells[top + tall // 2, left + wide // 2]
    around = int(rng.integers(0, 4))
    if around:
        found = np.asarray(cv2.dilate(found, np.ones((2 * around + 1, 2 * around + 1), np.uint8)))
    return found.astype(bool)


def _uncover(path: Flow, rng: Rng) -> None:
    """A strip along one side that leads out of the picture, the further out the nearer to the side."""
    h, w = path.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    wide, steep, side = int(rng.integers(1, 14)), rng.uniform(1.1, 1.75), int(rng.integers(4))
    near = (wide - x, x - (w - 1 - wide), wide / 2 - y, y - (h - 1 - wide))[side]
    out = np.float32(steep) * np.maximum(near, 0)
    path[..., 0 if side < 2 else 1] += -out if side in (0, 2) else out
