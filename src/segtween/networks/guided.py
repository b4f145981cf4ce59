"""Guided spatially-varying convolution (Lee et al., GSVNet, ICME 2021, section 3), with an edge as guidance.

Repairs propagated scores: at every pixel eleven maps are mixed by weights that a guide network finds: the scores, nine
filtered copies (eight one-pixel shifts; the ninth filter is zero, so its weight shrinks the scores), and scores that
a small network sees in the current image. Keys are those of published checkpoints.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, cast, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segtween.errors import SettingError
from segtween.networks.bisenet import keep_corners
from segtween.networks.reference import reference_edge

Edge = Literal["laplacian", "zero", "absent"]
SHIFTS = 9
WIDTH = 32


class Refined(NamedTuple):
    """Scores (N, classes, h, w); guide weights (N, 11, 1, h, w), which sum to 1 or are all 0; edge (N, 1, h, w)."""

    scores: Tensor
    guide: Tensor
    edge: Tensor


class IdealDelays(nn.Module):
    """Nine 3x3 filters, the same for every class, mixed by a weight each at every pixel: zeros outside.

    Since the weights too are the same for every class, they mix the filters first, into one 3x3 filter for each
    pixel: every class is filtered once instead of nine times.
    """

    def __init__(self) -> None:
        super().__init__()
        filters = torch.zeros(SHIFTS, 1, 1, 3, 3)
        neighbours = [n for n in range(9) if n != 4]
        for i, n in enumerate(neighbours):
            filters[i, 0, 0, n // 3, n % 3] = 1
        self.register_buffer("filter_copy_s", filters)

    def forward(self, scores: Tensor, weights: Tensor, own: Tensor) -> Tensor:
        """(N, C, h, w) mixed by weights (N, 9, h, w), plus the scores themselves times `own` (N, 1, h, w)."""
        filters = cast(Tensor, self.filter_copy_s).flatten(1).t().reshape(9, SHIFTS, 1, 1)
        with torch.autocast(weights.device.type, enabled=False):
            taps = F.conv2d(weights, filters.to(weights.dtype))  # (N, 9, h, w): the filter of each pixel
        padded = F.pad(scores, (1, 1, 1, 1))
        mixed = own * scores
        for n in range(9):
            rows, columns = (slice(k, k - 2 or None) for k in divmod(n, 3))
            mixed = mixed + taps[:, n : n + 1] * padded[:, :, rows, columns]
        return mixed


class IntraNet(nn.Module):
    """The current image alone -> scores."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        first, second = _conv_norm_relu(3, WIDTH), _conv_norm_relu(WIDTH, WIDTH)
        self.intra_net = nn.Sequential(*first, *second, nn.Conv2d(WIDTH, classes, 3, padding=1))

    def forward(self, image: Tensor) -> Tensor:
        return cast(Tensor, self.intra_net(image))


class GuideNet(nn.Module):
    """(N, inputs, h, w) -> (N, 11, h, w), not negative.

    Enlarges to the sizes that its strides came from, so that any size works; for multiples of 4 that is the
    published doubling.
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.guide_conv = nn.Sequential(*_conv_norm_relu(inputs, WIDTH))
        down, further = _conv_norm_relu(WIDTH, 2 * WIDTH, stride=2), _conv_norm_relu(2 * WIDTH, 4 * WIDTH, stride=2)
        self.guide_conv_feat = nn.Sequential(*down, *further)
        # The two identities stand where published code enlarges.
        up, last = _conv_norm_relu(4 * WIDTH, 2 * WIDTH), _conv_norm_relu(2 * WIDTH, WIDTH)
        self.guide_deconv = nn.Sequential(nn.Identity(), *up, nn.Identity(), *last)
        self.guide_decoder = nn.Sequential(*_conv_norm_relu(WIDTH, SHIFTS + 2))

    def forward(self, x: Tensor) -> Tensor:
        fine = self.guide_conv(x)
        half = self.guide_conv_feat[:3](fine)
        deep = self.guide_conv_feat[3:](half)
        deep = self.guide_deconv[:4](keep_corners(deep, half.shape[-2:]))
        deep = self.guide_deconv[4:](keep_corners(deep, fine.shape[-2:]))
        return cast(Tensor, self.guide_decoder(fine + deep))


class GuidedConvolution(nn.Module):
    """(warped scores (N, classes, h, w), current image (N, 3, h, w) normalised) -> `Refined`.

    `edge`: "laplacian" guides by the label map's edge as the reference does; "zero" keeps that input but silences it,
    for weights that were trained with it; "absent" has no such input. SettingError for anything else.
    """

    def __init__(self, *, classes: int, edge: Edge = "laplacian") -> None:
        super().__init__()
        if edge not in get_args(Edge):
            raise SettingError(f"edge is {edge!r}", expected=f"one of {', '.join(get_args(Edge))}", do="choose one")
        self.edge = edge
        inputs = classes + (edge != "absent")
        parts = {"ideal_dk": IdealDelays(), "intra_net": IntraNet(classes), "guide": GuideNet(inputs)}
        self.grm = nn.ModuleDict(parts)

    def forward(self, scores: Tensor, image: Tensor) -> Refined:
        features = self.grm["intra_net"](image)
        edge = reference_edge(scores) if self.edge == "laplacian" else torch.zeros_like(scores[:, :1])
        guidance = features if self.edge == "absent" else torch.cat((features, edge), 1)
        weights = self.grm["guide"](guidance)
        weights = weights.to(torch.promote_types(weights.dtype, torch.float32))  # half precision has no 1e-9
        weights = weights / (weights.sum(1, keepdim=True) + 1e-9)  # (N, 11, h, w)
        mixed = self.grm["ideal_dk"](scores, weights[:, 1:-1], weights[:, :1]) + weights[:, -1:] * features
        return Refined(mixed, weights.unsqueeze(2), edge)


def _conv_norm_relu(inputs: int, outputs: int, *, stride: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs), nn.ReLU()]
