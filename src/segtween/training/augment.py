"""Joint augmentation of images and labels with kornia.

What is done to a sample is a pure function of (seed, sample number). Geometry is one affine map for image
(bilinear) and label (nearest neighbour); outside the picture the image is mid-grey and the label 255.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import kornia.enhance as KE
import kornia.geometry.transform as KG
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from segtween.training.fields import Range
from segtween.training.recipe import Augment
from segtween.types import IGNORE, Labels, Rgb, SizeHW

GREY = 0.5


@dataclass(frozen=True)
class Draw:
    """What happens to one sample: `matrix` (2, 3) takes (x, y, 1) of the picture to the crop, pixel centres on
    integers."""

    matrix: NDArray[np.float64]
    brightness: float
    contrast: float
    saturation: float
    hue: float


def draw(settings: Augment, *, size_hw: SizeHW, crop_hw: SizeHW, seed: int, sample: int) -> Draw:
    """Scale 1 is where the picture just covers the crop; where it is larger, any part of it may be seen, where
    it is smaller, it may lie anywhere inside."""
    rng = np.random.default_rng([seed, sample])
    scale, aspect = _log_even(rng, settings.scale), _log_even(rng, settings.aspect)
    cover = _cover(size_hw, crop_hw)
    fx, fy = cover * scale * aspect**0.5, cover * scale * aspect**-0.5
    room_x, room_y = crop_hw[1] - size_hw[1] * fx, crop_hw[0] - size_hw[0] * fy
    left, top = rng.random() * room_x, rng.random() * room_y
    # Half-pixel-centred: the picture's edge at -0.5 goes to left - 0.5.
    matrix = np.array([[fx, 0, left + 0.5 * fx - 0.5], [0, fy, top + 0.5 * fy - 0.5]])
    if rng.random() < settings.flip:
        matrix = np.array([[-1.0, 0, crop_hw[1] - 1], [0, 1, 0]]) @ np.vstack([matrix, [0, 0, 1]])
    return Draw(
        matrix,
        brightness=float(rng.uniform(*settings.brightness)),
        contrast=float(rng.uniform(*settings.contrast)),
        saturation=float(rng.uniform(*settings.saturation)),
        hue=float(rng.uniform(*settings.hue)),
    )


def _cover(size_hw: SizeHW, crop_hw: SizeHW) -> float:
    """The scale at which the picture just fills the crop."""
    return max(crop_hw[0] / size_hw[0], crop_hw[1] / size_hw[1])


def shown_size(settings: Augment, *, size_hw: SizeHW, crop_hw: SizeHW) -> SizeHW:
    """The size at which whole pictures of `size_hw` are shown, at the mean of the scales that are drawn."""
    factor = _cover(size_hw, crop_hw) * math.sqrt(math.prod(settings.scale))
    return round(size_hw[0] * factor), round(size_hw[1] * factor)


def augment(samples: Sequence[tuple[Rgb, Labels]], draws: Sequence[Draw], *, crop_hw: SizeHW) -> tuple[Tensor, Tensor]:
    """-> images (N, 3, *crop_hw) float32 in 0..1, labels (N, *crop_hw) int64 with 255 = ignore."""
    images = [place([rgb], d, crop_hw=crop_hw) for (rgb, _), d in zip(samples, draws, strict=True)]
    labels = [place_labels(truth, d, crop_hw=crop_hw) for (_, truth), d in zip(samples, draws, strict=True)]
    return recolour(torch.cat(images), draws), torch.stack(labels)


def place(frames: Sequence[Rgb], draw: Draw, *, crop_hw: SizeHW) -> Tensor:
    """Pictures of one size, moved alike -> (N, 3, *crop_hw) float32 in 0..1."""
    # Zero is what kornia fills with: values are shifted so that it means grey.
    images = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 255 - GREY
    matrix = torch.from_numpy(draw.matrix).float().expand(len(frames), 2, 3)
    return KG.warp_affine(images, matrix, crop_hw, mode="bilinear", align_corners=True) + GREY


def place_labels(truth: Labels, draw: Draw, *, crop_hw: SizeHW) -> Tensor:
    """(H, W) train ids -> (*crop_hw) int64."""
    label = (IGNORE - torch.from_numpy(truth).float())[None, None]  # so that zero means ignore
    matrix = torch.from_numpy(draw.matrix).float()[None]
    return (IGNORE - KG.warp_affine(label, matrix, crop_hw, mode="nearest", align_corners=True))[0, 0].round().long()


def recolour(batch: Tensor, draws: Sequence[Draw]) -> Tensor:
    """(N, 3, H, W) in 0..1, each image in its draw's way."""
    batch = KE.adjust_brightness_accumulative(batch, _column(d.brightness for d in draws))
    batch = KE.adjust_contrast_with_mean_subtraction(batch, _column(d.contrast for d in draws))
    batch = KE.adjust_saturation_with_gray_subtraction(batch, _column(d.saturation for d in draws))
    if any(d.hue for d in draws):
        batch = KE.adjust_hue(batch, 2 * np.pi * _column(d.hue for d in draws))
    return batch


def normalise(images: Tensor, *, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """(N, 3, H, W) in 0..1 -> what a network's record asks for; mean and std are of 0..255."""
    shift = torch.tensor(mean, device=images.device).view(1, 3, 1, 1)
    return (images * 255 - shift) / torch.tensor(std, device=images.device).view(1, 3, 1, 1)


def _column(values: object) -> Tensor:
    return torch.tensor(list(values))  # type: ignore[call-overload]


def _log_even(rng: np.random.Generator, limits: Range) -> float:
    return float(np.exp(rng.uniform(np.log(limits[0]), np.log(limits[1]))))
