"""Class and mask queries to class scores, by the rule of the library that a network comes from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.nn.functional import interpolate

from segtween.segmenters.merging import MASK2FORMER_HW
from segtween.types import SizeHW

LEAST_SCORE = 1e-6
MERGED_AT: dict[str, SizeHW | None] = {
    "maskformer": None,
    "mask2former": MASK2FORMER_HW,
    "eomt": None,
    "eomt_dinov3": None,
}
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

    The score of a class is the sum over queries of its probability times that of the mask (Cheng et al., NeurIPS 2021,
    "Per-Pixel Classification is Not All You Need", section 3.4). It is enlarged as the library does, and its logarithm
    is returned: that of coarser scores, enlarged, would put edges between classes elsewhere.
    """
    if size_hw is not None:
        masks = interpolate(masks, size=size_hw, mode="bilinear", align_corners=False)
    shares = classes.softmax(dim=-1)[..., :-1].transpose(1, 2)
    scores = shares.matmul(masks.sigmoid().flatten(2)).unflatten(2, tuple(masks.shape[2:]))
    enlarged = interpolate(scores, size=tuple(image_hw), mode="bilinear", align_corners=False)
    return enlarged.clamp(min=LEAST_SCORE).log()
