"""BiSeNet on ResNet-18 (Yu et al., BiSeNet: Bilateral Segmentation Network, ECCV 2018, section 3).

A shallow spatial path at stride 8 and a deep context path, fused by channel attention. Logits go out at stride 8, not
enlarged. Every enlargement inside keeps the corners (`align_corners=True`), as published weights expect. Keys of the
state dict are those of published checkpoints.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtween.networks.resnet import ResNet18

WIDTH = 128


class ConvNormRelu(nn.Module):
    """Convolution without bias, then batch norm and ReLU where asked."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, norm: bool = True, active: bool = True
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.conv(x))
        return F.relu(x) if self.active else x


class SpatialPath(nn.Module):
    """(N, 3, H, W) -> (N, 128, H/8, W/8)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_7x7 = ConvNormRelu(3, 64, 7, stride=2)
        self.conv_3x3_1 = ConvNormRelu(64, 64, 3, stride=2)
        self.conv_3x3_2 = ConvNormRelu(64, 64, 3, stride=2)
        self.conv_1x1 = ConvNormRelu(64, WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv_1x1(self.conv_3x3_2(self.conv_3x3_1(self.conv_7x7(x)))))


class AttentionRefinement(nn.Module):
    """3x3 to 128 channels, each times its weight from the global average (section 3.2)."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv_3x3 = ConvNormRelu(inputs, WIDTH, 3)
        self.channel_attention = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvNormRelu(WIDTH, WIDTH, 1, active=False))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_3x3(x)
        return x * self.channel_attention(x).sigmoid()


class FeatureFusion(nn.Module):
    """Spatial and context features, concatenated, reweighted by channel and added (section 3.3)."""

    def __init__(self) -> None:
        super().__init__()
        both = 2 * WIDTH
        self.conv_1x1 = ConvNormRelu(both, both, 1)
        self.channel_attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            ConvNormRelu(both, both, 1, norm=False),
            ConvNormRelu(both, both, 1, norm=False, active=False),
        )

    def forward(self, both: Tensor) -> Tensor:
        fused = self.conv_1x1(both)
        return fused + fused * self.channel_attention(fused).sigmoid()


class Head(nn.Module):
    """3x3, then 1x1 with bias to the classes."""

    def __init__(self, inputs: int, inner: int, classes: int) -> None:
        super().__init__()
        self.conv_3x3 = ConvNormRelu(inputs, inner, 3)
        self.conv_1x1 = nn.Conv2d(inner, classes, 1)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.conv_1x1(self.conv_3x3(x)))


class BiSeNet(nn.Module):
    """(N, 3, H, W) RGB of 0..1, normalised with ImageNet's mean and deviation -> logits (N, classes, H/8, W/8).

    `heads.0` and `heads.1` are the auxiliary heads of training, which this forward pass does not run.
    """

    not_run = ("heads.0.", "heads.1.")

    def __init__(self, *, classes: int) -> None:
        super().__init__()
        self.context_path = ResNet18()
        # SwiftNet's constants, which are no part of this network's checkpoints.
        del self.context_path.img_mean, self.context_path.img_std
        self.spatial_path = SpatialPath()
        self.global_context = nn.Sequential(nn.AdaptiveAvgPool2d(1), ConvNormRelu(512, WIDTH, 1))
        self.arms = nn.ModuleList([AttentionRefinement(512), AttentionRefinement(256)])
        self.refines = nn.ModuleList([ConvNormRelu(WIDTH, WIDTH, 3), ConvNormRelu(WIDTH, WIDTH, 3)])
        self.heads = nn.ModuleList([Head(WIDTH, 256, classes), Head(WIDTH, 256, classes), Head(2 * WIDTH, 64, classes)])
        self.ffm = FeatureFusion()

    def forward(self, x: Tensor) -> Tensor:
        spatial = self.spatial_path(x)
        _, _, middle, deep = self.context_path.features(x)  # strides 16 and 32
        running = self.global_context(deep).expand(-1, -1, deep.shape[-2], deep.shape[-1])
        finer = (middle.shape[-2:], spatial.shape[-2:])
        for arm, refine, features, size in zip(self.arms, self.refines, (deep, middle), finer, strict=True):
            running = refine(keep_corners(arm(features) + running, size))
        return cast(Tensor, self.heads[2](self.ffm(torch.cat((spatial, running), 1))))


def keep_corners(x: Tensor, size_hw: Any) -> Tensor:
    """Bilinear, the outermost samples kept in place."""
    return F.interpolate(x, size=(size_hw[0], size_hw[1]), mode="bilinear", align_corners=True)
