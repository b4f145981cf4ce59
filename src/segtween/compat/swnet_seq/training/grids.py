"""What is known of a frame, on the grid of 1/8 and on thinner pixels."""

from __future__ import annotations

from collections.abc import Sequence

import kornia.geometry.transform as KG
import numpy as np
import torch
from torch import Tensor

from segtween.compat.swnet_seq.training.recipe import STRIDE
from segtween.training.augment import Draw
from segtween.types import Flow, SizeHW


def grid_of(crop_hw: SizeHW) -> SizeHW:
    return crop_hw[0] // STRIDE, crop_hw[1] // STRIDE


def thinned(labels: Tensor, stride: int) -> Tensor:
    """(H, W) -> (H/stride, W/stride): the nearest pixels of an even grid whose corners are the picture's."""
    if stride == 1:
        return labels
    rows, columns = (torch.linspace(0, side - 1, side // stride).round().long() for side in labels.shape)
    return labels[rows][:, columns]


def place_flow(flows: Sequence[Flow | None], d: Draw, *, size_hw: SizeHW, crop_hw: SizeHW, grid: SizeHW) -> Tensor:
    """True flows (2, h, w) on a picture's grid -> (k, 2, *grid) on the crop's, in its pixels; NaN where unknown."""
    if not flows or any(flow is None for flow in flows):
        return torch.full((len(flows), 2, *grid), torch.nan)
    values = torch.from_numpy(np.stack([flow for flow in flows if flow is not None]))  # (k, 2, h, w)
    # Pixels of a grid whose corners are the picture's -> pixels of the picture, and the other way round for the crop.
    out = [(few - 1) / (full - 1) for few, full in zip(reversed(grid), reversed(crop_hw), strict=True)]
    back = [(full - 1) / (few - 1) for few, full in zip(reversed(values.shape[-2:]), reversed(size_hw), strict=True)]
    matrix = np.diag(out) @ d.matrix @ np.diag([*back, 1.0])
    both = torch.cat((values, torch.ones_like(values[:, :1])), 1)
    moved = KG.warp_affine(both, torch.from_numpy(matrix).float().expand(len(flows), 2, 3), grid, align_corners=True)
    vectors = moved[:, :2] * torch.tensor([matrix[0, 0], matrix[1, 1]], dtype=torch.float32).view(1, 2, 1, 1)
    return torch.where(moved[:, 2:] > 0.999, vectors, torch.nan)
