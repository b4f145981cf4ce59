"""SwiftNet, single scale (Orsic et al., In Defense of Pre-trained ImageNet Architectures, CVPR 2019, section 4.1).

An encoder, pyramid pooling at stride 32 and three upsampling units. Images come in normalised as the model
record says; logits go out at stride 4, not enlarged. Any size works, since sizes follow the skips.

Keys of the state dict are those of published checkpoints: encoder, pooling and upsampling under `backbone`.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 128
GRIDS = (8, 4, 2)


class NormReluConv(nn.Module):
    """Batch norm, ReLU, convolution: the order in every unit of SwiftNet's decoder."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool = False) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inputs)
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv(F.relu(self.norm(x))))


class PyramidPooling(nn.Module):
    """Spatial pyramid pooling on the stride-32 map: (N, inputs, h, w) -> (N, 128, h, w).

    Level g averages the map over g rows and max(1, round(g w / h)) columns of cells, halves rounded to even;
    a grid may be finer than the map.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        level = WIDTH // len(GRIDS)
        units = {"spp_bn": NormReluConv(inputs, WIDTH, 1)}
        units |= {f"spp{i}": NormReluConv(WIDTH, level, 1) for i in range(len(GRIDS))}
        units["spp_fuse"] = NormReluConv(WIDTH + level * len(GRIDS), WIDTH, 1)
        self.spp = nn.ModuleDict(units)

    def forward(self, x: Tensor) -> Tensor:
        x = self.spp["spp_bn"](x)
        size = x.shape[-2:]
        levels = [x]
        for i, rows in enumerate(GRIDS):
            pooled = average_cells(x, rows, grid_columns(rows, size))
            levels.append(enlarge(self.spp[f"spp{i}"](pooled), size))
        return cast(Tensor, self.spp["spp_fuse"](torch.cat(levels, 1)))


class Upsample(nn.Module):
    """Deeper map, enlarged to the skip's exact size, plus the skip brought to 128 channels; then a 3x3 blend."""

    def __init__(self, skip: int) -> None:
        super().__init__()
        self.bottleneck = NormReluConv(skip, WIDTH, 1)
        self.blend_conv = NormReluConv(WIDTH, WIDTH, 3)

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        skip = self.bottleneck(skip)
        return cast(Tensor, self.blend_conv(enlarge(deep, skip.shape[-2:]) + skip))


class SwiftNet(nn.Module):
    """(N, 3, H, W) normalised RGB -> logits (N, classes, H/4, W/4).

    `encoder` offers `channels` (strides 4, 8, 16, 32) and `features(x)`; pooling and upsampling become its
    children, for the sake of the published keys.
    """

    def __init__(self, encoder: Any, *, classes: int) -> None:
        super().__init__()
        encoder.spp = PyramidPooling(encoder.channels[-1])
        encoder.upsample = nn.ModuleList(Upsample(skip) for skip in reversed(encoder.channels[:-1]))
        self.backbone = encoder
        self.logits = NormReluConv(WIDTH, classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.logits(self.maps(x)[-1]))

    def maps(self, x: Tensor) -> list[Tensor]:
        """The decoder's maps, 128 channels at strides 32, 16, 8 and 4; `logits` of the last is the output."""
        *skips, deepest = self.backbone.features(x)
        maps = [self.backbone.spp(deepest)]
        for unit, skip in zip(self.backbone.upsample, reversed(skips), strict=True):
            maps.append(unit(maps[-1], skip))
        return maps


def enlarge(x: Tensor, size_hw: Any) -> Tensor:
    """Bilinear, half-pixel-centred."""
    return F.interpolate(x, size=(size_hw[0], size_hw[1]), mode="bilinear", align_corners=False)


def grid_columns(rows: int, size_hw: Any) -> Any:
    """max(1, round(rows w / h)) in whole numbers, halves to even; works on numbers and on sizes being exported."""
    height, width = size_hw[0], size_hw[1]
    twice = 2 * rows * width + height
    rounded = twice // (2 * height)
    tie_to_odd = (1 - _at_least_one(twice % (2 * height))) * (rounded % 2)
    return 1 + _at_least_zero(rounded - tie_to_odd - 1)


def average_cells(x: Tensor, rows: int, columns: Any) -> Tensor:
    """Adaptive average pooling to (rows, columns).

    While a graph is exported the numbers of cells depend on the input's size, which the exporter's own
    pooling cannot express; there it is two products with averaging matrices made inside the graph.
    """
    if not torch.onnx.is_in_onnx_export():
        return F.adaptive_avg_pool2d(x, (rows, columns))
    by_row = _averaging(rows, x.shape[-2], x)
    by_column = _averaging(columns, x.shape[-1], x)
    return by_row @ x @ by_column.transpose(0, 1)


def _averaging(cells: Any, length: Any, like: Tensor) -> Tensor:
    """(cells, length) matrix: row i averages from floor(i length / cells) up to ceil((i + 1) length / cells)."""
    i = torch.arange(cells).unsqueeze(1)
    j = torch.arange(length).unsqueeze(0)
    first = torch.div(i * length, cells, rounding_mode="floor")
    end = torch.div((i + 1) * length + cells - 1, cells, rounding_mode="floor")
    inside = ((j >= first) & (j < end)).to(like.dtype)
    return inside / inside.sum(1, keepdim=True)


def _at_least_one(value: Any) -> Any:
    """0 stays 0, anything larger becomes 1."""
    return value.clamp(max=1) if isinstance(value, Tensor) else min(value, 1)


def _at_least_zero(value: Any) -> Any:
    return value.clamp(min=0) if isinstance(value, Tensor) else max(value, 0)
