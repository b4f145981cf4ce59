"""Class and mask queries to class scores inside a graph, by the rule of the library that a network comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from segtween.segmenters.merging import MASKS_AT, class_sums
from segtween.types import SizeHW

LEAST_SCORE = 1e-6
MERGED_AT: dict[str, SizeHW | None] = {**MASKS_AT, "eomt": None, "eomt_dinov3": None}
"""`model_type` of networks that are merged, and the size that their masks are resized to first; None: as they are, but
for `image_size` of the configuration, where there is one (transformers 5, `post_process_semantic_segmentation`)."""


def mask_size(config: Any) -> SizeHW | None:
    """The size that a network's masks are resized to before they are merged; None: as they are."""
    kind = str(getattr(config, "model_type", ""))
    side = getattr(config, "image_size", None) if kind.startswith("eomt") else None
    return (int(side), int(side)) if isinstance(side, int) else MERGED_AT.get(kind)


def merged(classes: Tensor, masks: Tensor, *, size_hw: SizeHW | None, image_hw: Sequence[int]) -> Tensor:
    """Class queries (N, Q, C + 1), the last class being none, and mask queries (N, Q, h, w) as logits (N, C, H, W) of
    the image's size.

    The sums of `merging.class_sums` are enlarged as the library does, and their logarithm is returned: that of coarser
    scores, enlarged, would put edges between classes elsewhere.
    """
    if size_hw is not None:
        masks = interpolate(masks, size=size_hw, mode="bilinear", align_corners=False)
    sums: Tensor = class_sums(classes, masks, xp=torch)
    enlarged = interpolate(sums, size=tuple(image_hw), mode="bilinear", align_corners=False)
    return enlarged.clamp(min=LEAST_SCORE).log()
