"""SwiftNet on an image pyramid (Orsic and Segvic, Efficient semantic segmentation with pyramidal fusion, Pattern
Recognition 2020).

One ResNet-18 looks at the image at scales 1, 1/2 and 1/4, with batch norms of their own for each scale; features of
equal stride are summed and merged from coarse to fine. Keys of the state dict are those of published checkpoints.
"""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn
from torch.nn import functional as F

from segtween.networks.resnet import BasicBlock, ResNet18
from segtween.networks.swiftnet import WIDTH, NormReluConv, enlarge

SCALES = 3


class PyramidBlock(BasicBlock):
    """Basic block whose norms depend on the scale; the norm of the shortcut is shared.

    Returns (N, out, H/stride, W/stride) after the last ReLU and the sum before it.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__(inputs, outputs, stride=stride)
        self.bn1, self.bn2 = _norms(outputs), _norms(outputs)

    def forward(self, x: Tensor, scale: int = 0) -> Any:
        y = F.relu(self.bn1[scale](self.conv1(x)))
        total = self.bn2[scale](self.conv2(y)) + self.downsample(x)
        return F.relu(total), total


class PyramidEncoder(ResNet18):
    """(N, 3, H, W) normalised -> (N, 128, H/4, W/4), everything but the classifier.

    Small images are bicubic (a = -0.75, half-pixel-centred, no antialiasing). Their sides are rounded up, as a
    stride of 2 does, so that features of equal stride have equal sizes whatever the image's; for multiples of 4
    these are the published sizes.
    """

    block = PyramidBlock

    def __init__(self) -> None:
        super().__init__()
        self.bn1 = _norms(64)
        self.upsample_bottlenecks = nn.ModuleList(nn.Conv2d(c, WIDTH, 1, bias=False) for c in reversed(self.channels))
        blends = len(self.channels) + SCALES - 2
        self.upsample_blends = nn.ModuleList(
            nn.ModuleDict({"blend_conv": NormReluConv(WIDTH, WIDTH, 3)}) for _ in range(blends)
        )

    def forward(self, x: Tensor) -> Tensor:
        by_stride: list[list[Tensor]] = [[] for _ in range(len(self.channels) + SCALES - 1)]  # strides 4, 8, ... 128
        height, width = x.shape[-2], x.shape[-1]
        for scale in range(SCALES):
            step = 2**scale
            size = ((height + step - 1) // step, (width + step - 1) // step)
            small = x if scale == 0 else F.interpolate(x, size=size, mode="bicubic", align_corners=False)
            for i, skip in enumerate(self._skips(small, scale)):
                by_stride[scale + i].append(skip)
        deep = sum_of(by_stride.pop())
        for blend, maps in zip(self.upsample_blends, reversed(by_stride), strict=True):
            skip = sum_of(maps)
            deep = cast(Any, blend)["blend_conv"](enlarge(deep, skip.shape[-2:]) + skip)
        return deep

    def _skips(self, x: Tensor, scale: int) -> list[Tensor]:
        """128 channels at strides 4, 8, 16, 32 of one scale's image, from the sums before each layer's last ReLU."""
        x = F.max_pool2d(F.relu(self.bn1[scale](self.conv1(x))), 3, 2, 1)
        skips = []
        for i in range(4):
            total = x
            for block in cast(nn.Sequential, self.get_submodule(f"layer{i + 1}")):
                x, total = block(x, scale)
            skips.append(self.upsample_bottlenecks[3 - i](total))
        return skips


class SwiftNetPyramid(nn.Module):
    """(N, 3, H, W) normalised RGB -> logits (N, classes, H/4, W/4), sizes rounded up."""

    def __init__(self, *, classes: int) -> None:
        super().__init__()
        self.backbone = PyramidEncoder()
        self.logits = NormReluConv(WIDTH, classes, 1, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.logits(self.backbone(x)))


def sum_of(maps: list[Tensor]) -> Tensor:
    total = maps[0]
    for one in maps[1:]:
        total = total + one
    return total


def _norms(channels: int) -> nn.ModuleList:
    return nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(SCALES))
