"""The networks that propagate scores between key frames: their tables, and how to build them by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from segtween.errors import check_known, from_extra

if TYPE_CHECKING:
    from segtween.networks.guided import Edge

Channels = Literal["RGB", "BGR"]
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class PropagationNetwork:
    """A network (current, previous) -> flow, or (warped scores, current image) -> scores on the same grid, and what
    every set of its weights has in common.

    `mean` and `std` are of pixels in 0..255 in the order of `channels`. Images are best a multiple of `multiple_of`
    wide and high. `stride` is that of the flow; one pixel of the images is `units` of its values.
    """

    name: str
    stride: int = 1
    units: float = 1
    channels: Channels = "BGR"
    mean: Triple = (72.3, 82.90, 73.15)
    std: Triple = (47.73, 48.49, 47.67)
    multiple_of: int = 4


FLOWS: dict[str, PropagationNetwork] = {
    "flow-light": PropagationNetwork("flow-light", stride=4, units=4),
    "flownets": PropagationNetwork("flownets", stride=8, units=4),
    "flownet2s": PropagationNetwork("flownet2s", channels="RGB", mean=(0.0,) * 3, std=(1.0,) * 3, multiple_of=64),
}

REFINERS: dict[str, PropagationNetwork] = {"guided": PropagationNetwork("guided")}


def build_flow(name: str) -> Any:
    """A torch module (current, previous), each (N, 3, H, W) -> flow (N, 2, H/stride, W/stride).

    Raises SettingError for an unknown name, MissingExtraError without torch.
    """
    check_known(f"flow network is {name!r}", name, FLOWS)
    from_extra("torch", f"flow network {name} in torch", extra="train")
    from segtween.networks.flows import FlowLight, FlowNet2S, FlowNetS

    return {"flow-light": FlowLight, "flownets": FlowNetS, "flownet2s": FlowNet2S}[name]()


def build_refiner(name: str = "guided", *, classes: int, edge: Edge = "laplacian") -> Any:
    """A torch module (scores (N, classes, h, w), image (N, 3, h, w)) -> `segtween.networks.guided.Refined`.

    Raises SettingError for an unknown name or edge, MissingExtraError without torch.
    """
    check_known(f"refinement network is {name!r}", name, REFINERS)
    from_extra("torch", f"refinement network {name} in torch", extra="train")
    from segtween.networks.guided import GuidedConvolution

    return GuidedConvolution(classes=classes, edge=edge)
