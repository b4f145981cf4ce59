"""A small network that predicts where scores looked up along composed flow are wrong, and which cells around have
better ones.

At a frame between key frames, labels are looked up in the key frame's scores along composed flow
(docs/architecture.md). Where the flow is wrong, mostly because the key frame does not show what is seen now, the scores
that other cells of the same frame read are better: what comes out from behind a thing looks like what is around it. For
each cell of a coarse grid the network gives a share of the cell's own scores that is to be replaced, and attention over
cells around, whose scores it is replaced with: a mean that knows no classes, so that the network serves any number of
them. With `classes` there is a head of that many more outputs, which are added to the mean, and the scores that were
read are inputs.

The form is an encoder-decoder at 1, 1/2 and 1/4 of the grid, a mean of shifted copies in the end (kernel prediction:
Bako et al., Kernel-Predicting Convolutional Networks for Denoising Monte Carlo Renderings, SIGGRAPH 2017, section 4).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

RADII = (1, 2, 4, 8)
CELLS = ("top", "margin", "inside", "along_x", "along_y", "distance", "x", "y")
SCORES_SCALE = 4.0  # of the class head's input and output scores
MIDDLE = 127.5  # grey, and how far black and white are from it
WIDTHS = (24, 32, 48)  # channels at 1, 1/2 and 1/4 of the grid


def offsets(radii: tuple[int, ...] = RADII) -> list[tuple[int, int]]:
    """(dx, dy) in cells of each attention, in order: ring by ring, each row by row, without its middle."""
    ring = [(dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dx, dy) != (0, 0)]
    return [(r * dx, r * dy) for r in radii for dx, dy in ring]


class AttentionOutput(NamedTuple):
    """share (N, 1, h, w) in 0..1; attention (N, offsets, h, w), logits; scores (N, classes, h, w) to be added to
    the aggregated scores, None without the class head."""

    share: Tensor
    attention: Tensor
    scores: Tensor | None

    def float32(self) -> AttentionOutput:
        """In float32 and in the plain order of axes."""
        own = None if self.scores is None else self.scores.float().contiguous()
        return AttentionOutput(self.share.float().contiguous(), self.attention.float().contiguous(), own)


class AttentionRefiner(nn.Module):
    """See the module. `classes` 0: for any classes."""

    def __init__(self, *, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        fine, middle, coarse = WIDTHS
        inputs = 24 + len(CELLS) + classes
        self.fine = nn.Sequential(_convolution(inputs, fine, side=1), _convolution(fine, fine, groups=fine))
        self.middle = _convolution(inputs, middle, stride=2)
        self.coarse = _convolution(middle, coarse, stride=2)
        self.wide = nn.Sequential(*(_convolution(coarse, coarse, dilation=d) for d in (1, 2, 4)))
        self.to_middle = nn.Conv2d(coarse, middle, 1)
        self.blend_middle = _convolution(middle, middle)
        self.to_fine = nn.Conv2d(middle, fine, 1)
        self.blend_fine = _convolution(fine, fine, side=1)
        self.head = nn.Conv2d(fine, 1 + len(offsets()) + classes, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        with torch.no_grad():
            self.head.bias[0] = -3.0  # begin by replacing little

    def forward(self, image: Tensor, key: Tensor, cells: Tensor, scores: Tensor | None = None) -> AttentionOutput:
        """image, key (N, 12, h, w): the frame and the key frame read along composed flow, pixels of -1..1 as `fold`
        lays them; cells (N, 8, h, w), in the order of CELLS; scores (N, classes, h, w) read along composed flow, less
        their mean over classes, with the class head only."""
        features = [image, (image - key).abs(), cells]
        if scores is not None:
            features.append(scores / SCORES_SCALE)
        x = torch.cat(features, 1)
        fine, middle = self.fine(x), self.middle(x)
        coarse = self.coarse(middle)
        coarse = coarse + self.wide(coarse)
        middle = self.blend_middle(middle + _enlarged(self.to_middle(coarse), middle))
        answer = self.head(self.blend_fine(fine + _enlarged(self.to_fine(middle), fine)))
        end = 1 + len(offsets())
        own = SCORES_SCALE * answer[:, end:] if self.classes else None
        return AttentionOutput(answer[:, :1].sigmoid(), answer[:, 1:end], own)


class FromPixels(nn.Module):
    """`AttentionRefiner` as it is exported: image and key (N, 2h, 2w, 3), RGB of 0..255; no absent outputs."""

    def __init__(self, net: AttentionRefiner) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor, key: Tensor, cells: Tensor, scores: Tensor | None = None) -> tuple[Tensor, ...]:
        answer = self.net(fold(image).float() / MIDDLE - 1, fold(key).float() / MIDDLE - 1, cells, scores)
        return tuple(value for value in answer if value is not None)


def fold(pixels: Tensor) -> Tensor:
    """(N, 2h, 2w, 3) -> (N, 12, h, w): four pixels of a cell as channels, in the order of `F.pixel_unshuffle`."""
    rows, columns = pixels.shape[1] // 2, pixels.shape[2] // 2
    blocks = pixels.reshape(-1, rows, 2, columns, 2, 3).permute(0, 5, 2, 4, 1, 3)
    return blocks.reshape(-1, 12, rows, columns)


def _convolution(
    channels: int, out: int, *, side: int = 3, stride: int = 1, dilation: int = 1, groups: int = 1
) -> nn.Sequential:
    padding = dilation * (side // 2)
    return nn.Sequential(nn.Conv2d(channels, out, side, stride, padding, dilation, groups), nn.ReLU(inplace=True))


def _enlarged(x: Tensor, like: Tensor) -> Tensor:
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)
