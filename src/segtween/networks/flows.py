"""Flow networks of the propagation literature: FlowNetS in its two layouts, and a light one.

All are called with (current, previous), two images (N, 3, H, W) normalised as `segtween.networks.FLOWS` says, and give
a flow (N, 2, h, w), x first, that says where the current pixel was in the previous image. In which order a network
takes its two images, and on which grid it answers, is its own affair. Keys are those of published checkpoints.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtween.errors import SettingError
from segtween.networks.swiftnet import enlarge

SLOPE = 0.1  # of every LeakyReLU here


class FlowLight(nn.Module):
    """Two strided and four parallel dilated convolutions, their running sums merged: the flow at stride 4.

    Trained together with the guided convolution of `segtween.networks.guided`, on images of 1/8 of the frame's size;
    its values are quarters of a pixel of that small image (`segtween.networks.reference`).
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _conv_norm(6, 32, 3, stride=2)
        self.conv2 = _conv_norm(32, 64, 3, stride=2)
        for i, dilation in enumerate((1, 2, 4, 8), 1):
            self.add_module(f"conv_dilate_{i}", _conv_norm(64, 64, 3, dilation=dilation))
        self.conv_merge = _conv_norm(256, 64, 1)
        self.toflow = nn.Conv2d(64, 2, 3, padding=1)

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        x = self.conv2(self.conv1(torch.cat((current, previous), 1)))
        sums: list[Tensor] = []
        for i in range(1, 5):
            features = self.get_submodule(f"conv_dilate_{i}")(x)
            sums.append(features + sums[-1] if sums else features)
        return cast(Tensor, self.toflow(self.conv_merge(torch.cat(sums, 1)) + x))


class FlowNetS(nn.Module):
    """FlowNetS (Dosovitskiy et al., FlowNet, ICCV 2015, figure 2) as propagation code has it: flow at stride 8.

    Its transposed convolutions do not pad: the top left part that fits is kept, so that any size works. The finest
    features are averaged 2x2 before the last prediction. It takes the previous image first.
    """

    padding = 0
    flow_bias = True

    def __init__(self) -> None:
        super().__init__()
        for name, (inputs, outputs, kernel, stride) in _CONTRACTING.items():
            self.add_module(name, _conv(inputs, outputs, kernel, stride=stride))
        for level, (inputs, outputs) in _EXPANDING.items():
            up = nn.ConvTranspose2d(inputs, outputs, 4, 2, self.padding)
            self.add_module(f"deconv{level}", nn.Sequential(up))
            flow_up = nn.ConvTranspose2d(2, 2, 4, 2, self.padding, bias=self.flow_bias)
            self.add_module(f"upsampled_flow{level + 1}_to_{level}", flow_up)
            self.add_module(f"predict_flow{level + 1}", nn.Conv2d(inputs, 2, 3, padding=1))
        self.predict_flow2 = nn.Conv2d(194, 2, 3, padding=1)

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        finest = self.expanded(torch.cat((previous, current), 1))
        return cast(Tensor, self.predict_flow2(F.avg_pool2d(finest, 2)))

    def expanded(self, pair: Tensor) -> Tensor:
        """(N, 6, H, W) -> features, enlarged features and enlarged flow of level 2, (N, 194, H/4, W/4)."""
        x, maps = pair, {}
        for name in _CONTRACTING:
            x = self.get_submodule(name)(x)
            maps[name] = x
        for level, layer in zip((5, 4, 3, 2), ("conv5_1", "conv4_1", "conv3_1", "conv2"), strict=True):
            flow = self.get_submodule(f"predict_flow{level + 1}")(x)
            flow = self.get_submodule(f"upsampled_flow{level + 1}_to_{level}")(flow)
            encoded = maps[layer]
            up = _top_left(self.get_submodule(f"deconv{level}")(x), encoded)
            x = torch.cat((encoded, F.leaky_relu(up, SLOPE), _top_left(flow, encoded)), 1)
        return x


class FlowNet2S(FlowNetS):
    """FlowNet2-S (Ilg et al., FlowNet 2.0, CVPR 2017, section 3) in NVIDIA's layout, with its preparation.

    Images are RGB of 0..255, sides multiples of 64 (SettingError otherwise); the flow is of the images' size, in
    their pixels. It takes the current image first.
    """

    padding = 1
    flow_bias = False
    multiple_of = 64

    def forward(self, current: Tensor, previous: Tensor) -> Tensor:
        return enlarge(20 * self.coarse(current, previous), current.shape[-2:])

    def coarse(self, current: Tensor, previous: Tensor) -> Tensor:
        """What the network itself answers: stride 4, in units of 20 pixels of the image."""
        height, width = current.shape[-2:]
        if not torch.onnx.is_in_onnx_export() and (height % self.multiple_of or width % self.multiple_of):
            raise SettingError(
                f"images of {width}x{height} (width x height)",
                expected=f"sides that are multiples of {self.multiple_of}",
                do="pad or resize them",
            )
        return cast(Tensor, self.predict_flow2(self.expanded(prepare_pair(current, previous))))


def prepare_pair(current: Tensor, previous: Tensor) -> Tensor:
    """Two images of 0..255 -> (N, 6, H, W): less each colour's mean over both, over 255."""
    both = torch.stack((current, previous), 2)  # (N, 3, 2, H, W)
    both = (both - both.mean((2, 3, 4), keepdim=True)) / 255
    return torch.cat((both[:, :, 0], both[:, :, 1]), 1)


# name: inputs, outputs, kernel, stride
_CONTRACTING = {
    "conv1": (6, 64, 7, 2),
    "conv2": (64, 128, 5, 2),
    "conv3": (128, 256, 5, 2),
    "conv3_1": (256, 256, 3, 1),
    "conv4": (256, 512, 3, 2),
    "conv4_1": (512, 512, 3, 1),
    "conv5": (512, 512, 3, 2),
    "conv5_1": (512, 512, 3, 1),
    "conv6": (512, 1024, 3, 2),
    "conv6_1": (1024, 1024, 3, 1),
}
# level: channels of the level above (encoder map, features, flow), features
_EXPANDING = {5: (1024, 512), 4: (1026, 256), 3: (770, 128), 2: (386, 64)}


def _conv(inputs: int, outputs: int, kernel: int, *, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2), nn.LeakyReLU(SLOPE))


def _conv_norm(inputs: int, outputs: int, kernel: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, dilation * (kernel // 2), dilation)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.LeakyReLU(SLOPE))


def _top_left(x: Tensor, like: Any) -> Tensor:
    return x[:, :, : like.shape[-2], : like.shape[-1]]
