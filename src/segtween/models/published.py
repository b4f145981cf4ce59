"""Where weights of other projects are published, by their names there. None of them comes with segtween."""

from __future__ import annotations

from pathlib import Path

PUBLISHED = {
    "cityscapes-swnet-R18.pt": "the read-me of github.com/orsic/swiftnet (single scale, ResNet-18, Cityscapes: "
    "drive.google.com/drive/folders/1DqX-N-nMtGG9QfMY_cKtULCKTfEuV4WT)",
    "flownet.pth.tar": "the read-me of github.com/Jerry2990/Video-sequence-semantic-segmentation (drive.google.com/"
    "file/d/1A8FKDbMKORz9U_swRxLaCUFcmY4eAZYj)",
    "cityscapes-swnet_model_best.pth.tar": "github.com/Jerry2990/Video-sequence-semantic-segmentation, folder weights",
    "FlowNet2-S_checkpoint.pth.tar": "the read-me of github.com/NVIDIA/flownet2-pytorch",
}
"""Name of a file -> where its authors offer it. docs/networks.md says what they hold."""


def where_published(path: str | Path) -> str:
    """What to do about a file that is not there."""
    where = PUBLISHED.get(Path(path).name)
    if where is None:
        return "check the path; docs/networks.md says where weights are published"
    return f"get it from {where}, and put it there"
