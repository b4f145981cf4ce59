"""Where weights of other projects are published, by their names there. None of them comes with segtween."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Published:
    """The networks that a file holds, and where its authors offer it."""

    networks: tuple[str, ...]
    where: str


PUBLISHED: dict[str, Published] = {
    "cityscapes-swnet-R18.pt": Published(
        ("swiftnet-r18",),
        "the read-me of github.com/orsic/swiftnet (single scale, ResNet-18, Cityscapes: drive.google.com/drive/folders/"
        "1DqX-N-nMtGG9QfMY_cKtULCKTfEuV4WT)",
    ),
    "flownet.pth.tar": Published(
        ("flownets",),
        "the read-me of github.com/Jerry2990/Video-sequence-semantic-segmentation (drive.google.com/file/d/"
        "1A8FKDbMKORz9U_swRxLaCUFcmY4eAZYj)",
    ),
    "cityscapes-swnet_model_best.pth.tar": Published(
        ("guided", "flow-light"),
        "github.com/Jerry2990/Video-sequence-semantic-segmentation, folder weights",
    ),
    "FlowNet2-S_checkpoint.pth.tar": Published(("flownet2s",), "the read-me of github.com/NVIDIA/flownet2-pytorch"),
}


def where_published(path: str | Path) -> str:
    """What to do about a file that is not there."""
    known = PUBLISHED.get(Path(path).name)
    if known is None:
        return "check the path; docs/networks.md says where weights are published"
    return f"get it from {known.where}, and put it there"
