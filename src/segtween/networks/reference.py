"""Two operations exactly as the reference propagation system (SwNet-seq) does them, quirks included.

Nothing else in segtween warps or finds edges this way: `docs/conventions.md` says how we do. Here, so that published
weights, which were trained with these, give their published numbers.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Corners = Literal["apart", "kept"]
FLOW_UNITS = 4  # of the reference's flow in one pixel of the small image


def reference_warp(features: Tensor, flow: Tensor, *, corners: Corners = "apart") -> Tensor:
    """Backward warp with the reference's coordinates: (N, C, h, w) and flow (N, 2, h, w), x first -> (N, C, h, w).

    Output (x, y) reads column (x + u/4) w/(w-1) - 1/2 and row (y + v/4) h/(h-1) - 1/2, bilinear, zeros outside: a
    zero flow is not the identity but stretches by up to half a pixel, and border pixels lose half of their value.
    Several references (N, R, C, h, w), with flow (N R, 2, h, w), are summed. With `corners` "kept" column x + u/4 is
    read and zero flow is the identity, as older releases of torch did.
    """
    references = features.shape[1] if features.dim() == 5 else 1
    if features.dim() == 5:
        features = features.flatten(0, 1)
    # Half precision cannot hold coordinates.
    kind = torch.promote_types(torch.promote_types(features.dtype, flow.dtype), torch.float32)
    features, flow = features.to(kind), flow.to(kind)
    height, width = features.shape[-2:]
    rows = torch.arange(height, dtype=flow.dtype, device=flow.device).view(1, -1, 1) + flow[:, 1] / FLOW_UNITS
    columns = torch.arange(width, dtype=flow.dtype, device=flow.device).view(1, 1, -1) + flow[:, 0] / FLOW_UNITS
    grid = torch.stack((2 * columns / max(width - 1, 1) - 1, 2 * rows / max(height - 1, 1) - 1), -1)
    warped = F.grid_sample(features, grid, mode="bilinear", padding_mode="zeros", align_corners=corners == "kept")
    return warped.unflatten(0, (-1, references)).sum(1)


def reference_displacement(flow: Tensor) -> Tensor:
    """How far `reference_warp` (corners apart) reaches: flow (N, 2, h, w) in its units -> pixels of its grid, x first.

    Where the current pixel x is read at x + displacement in the previous frame, zero flow included.
    """
    height, width = flow.shape[-2:]
    reached = []
    for axis, size in ((0, width), (1, height)):
        shape = (1, 1, -1) if axis == 0 else (1, -1, 1)
        places = torch.arange(size, dtype=flow.dtype, device=flow.device).view(shape)
        reached.append((places + flow[:, axis] / FLOW_UNITS) * size / max(size - 1, 1) - 0.5 - places)
    return torch.stack(reached, 1)


def reference_edge(scores: Tensor) -> Tensor:
    """Where the label map changes, as the reference finds it: (N, C, h, w) -> (N, 1, h, w) of 0 and 1.

    The class numbers are filtered with a 3x3 Laplacian (ones, -8 in the centre) on a border of zeros; what is not 0
    is an edge. So a border pixel whose class is not 0 is one, and neighbours whose numbers cancel (1 and 3 around 2)
    are none.
    """
    labels = scores.argmax(1, keepdim=True).float()
    laplacian = torch.ones(1, 1, 3, 3, device=scores.device)
    laplacian[0, 0, 1, 1] = -8
    return (F.conv2d(labels, laplacian, padding=1) != 0).to(scores.dtype)
