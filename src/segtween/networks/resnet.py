"""ResNet-18 encoder (He et al., Deep Residual Learning, CVPR 2016, section 3.3), as SwiftNet uses it."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a residual; (N, in, H, W) -> (N, out, H/stride, W/stride), ReLU last."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet18(nn.Module):
    """Features at strides 4, 8, 16, 32 with 64, 128, 256, 512 channels.

    Published SwiftNet code means to hand out the values before the last ReLU of a layer, but
    that ReLU works in place: its features, and these, are the values after it.
    """

    channels = (64, 128, 256, 512)
    block: type[nn.Module] = BasicBlock

    def __init__(self) -> None:
        super().__init__()
        # Published checkpoints hold these two; the normalisation itself belongs to the model record.
        self.register_buffer("img_mean", torch.tensor([73.15, 82.90, 72.3]).view(1, 3, 1, 1))
        self.register_buffer("img_std", torch.tensor([47.67, 48.49, 47.73]).view(1, 3, 1, 1))
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        widths = (64, *self.channels)
        for i in range(4):
            first = self.block(widths[i], widths[i + 1], stride=1 if i == 0 else 2)
            second = self.block(widths[i + 1], widths[i + 1], stride=1)
            self.add_module(f"layer{i + 1}", nn.Sequential(first, second))

    def features(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) normalised -> four maps, finest first."""
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)  # (N, 64, H/4, W/4)
        maps = []
        for i in range(4):
            x = self.get_submodule(f"layer{i + 1}")(x)
            maps.append(x)
        return maps
