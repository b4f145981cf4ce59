"""Finding a component: what `weights` or `flow` name, else what is shipped, else where it is published.

`weights` is a shipped name, a folder of components, or a checkpoint of both networks, of which `convert` makes such a
folder (`segtween.networks.parts_of_checkpoint`); None: what is shipped for the segmentation network's classes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from segtween.errors import ModelError, unknown
from segtween.models.components import (
    FLOW,
    REFINE,
    REFINE_WITHOUT_EDGE,
    Component,
    ComponentKind,
    read_component,
    shipped_components,
)
from segtween.models.published import PUBLISHED, where_published

FLOW_NETWORKS = {"light": "flow-light", "flownets": "flownets", "flownet2s": "flownet2s"}
PUBLISHED_FLOW = {"flownets": "flownet.pth.tar", "flownet2s": "FlowNet2-S_checkpoint.pth.tar"}
PUBLISHED_REFINEMENT = "cityscapes-swnet_model_best.pth.tar"
Convert = Callable[[str], Path]


def find_refinement(weights: str | None, *, classes: int, edge: bool = True, convert: Convert) -> Component:
    """The refinement by guided convolution, with or without the label map's edge as guidance. Raises ModelError."""
    folder = _propagation_folder(weights, classes, convert)
    return _held(folder, REFINE if edge else REFINE_WITHOUT_EDGE, "refinement", given=weights)


def find_flow_network(
    flow: str, *, weights: str | None, classes: int | None, convert: Convert | None = None
) -> Component:
    """The flow network of a name in `FLOW_NETWORKS`, of an `.onnx` file or of a weight file.

    `classes` chooses among the shipped ones; `convert` None: checkpoints are refused.
    Raises SettingError for what is neither name nor file, ModelError where the network is not found or another one.
    """
    network, convert = FLOW_NETWORKS.get(flow), convert or _refuse
    if network is None:
        return _flow_of_file(flow, convert=convert)
    if flow == "light" or (weights is not None and _holds_flow(weights, network, convert)):
        found = _held(_propagation_folder(weights, classes, convert), FLOW, "flow", given=weights)
        if found.network == network:
            return found
        raise ModelError(
            f"the flow network in {found.origin} is {found.network}",
            expected=network,
            do="choose it with flow= or weights=",
        )
    file = Path("weights") / PUBLISHED_FLOW[flow]
    if not file.is_file():
        raise ModelError(
            f"weights of flow network {flow} are not found",
            expected=f"{file}, or its file given as flow=",
            do=where_published(file),
        )
    return _held(convert(str(file)), FLOW, "flow", given=str(file))


def _flow_of_file(flow: str, *, convert: Convert) -> Component:
    if not Path(flow).is_file():
        raise unknown(f"flow network {flow!r}", flow, FLOW_NETWORKS, also="an .onnx or weight file of one")
    if flow.endswith(".onnx"):
        return read_component(flow, kind="flow")
    return _held(_folder(flow, {}, convert), FLOW, "flow", given=flow)


def _refuse(checkpoint: str) -> Path:
    raise ModelError(
        f"{checkpoint} is no folder of components",
        expected="a folder of .onnx graphs, or a shipped name",
        do="make one of the checkpoint (segtween.networks.parts_of_checkpoint)",
    )


def _holds_flow(weights: str, network: str, convert: Convert) -> bool:
    path = _folder(weights, shipped_components(), convert) / FLOW
    return path.is_file() and read_component(path, kind="flow").network == network


def _propagation_folder(weights: str | None, classes: int | None, convert: Convert) -> Path:
    """The folder of a flow network and a refinement: the given one, else the shipped one for as many classes."""
    shipped = shipped_components()
    if weights is not None:
        return _folder(weights, shipped, convert)
    for folder in shipped.values():
        if classes in (None, read_component(folder / REFINE, kind="refinement").classes):
            return folder
    raise ModelError(
        f"no refinement is shipped for {classes} classes",
        expected=f"weights=FILE, for Cityscapes' 19 classes the published {PUBLISHED_REFINEMENT}",
        do=f"get that from {PUBLISHED[PUBLISHED_REFINEMENT]}",
    )


def _folder(which: str, shipped: dict[str, Path], convert: Convert) -> Path:
    if which in shipped:
        return shipped[which]
    if which.endswith(".onnx") and Path(which).is_file():
        raise ModelError(
            f"weights {which} are one graph",
            expected="a folder of graphs, a checkpoint or a shipped name",
            do=f"give its folder, {Path(which).parent}",
        )
    return Path(which) if Path(which).is_dir() else convert(which)


def _held(folder: Path, name: str, kind: ComponentKind, *, given: str | None) -> Component:
    """One graph of a folder, which was `given` as such or made of a file."""
    if not (folder / name).is_file():
        held = ", ".join(sorted(p.name for p in folder.glob("*.onnx"))) or "no graph"
        made = given is not None and Path(given).is_file()
        raise ModelError(
            f"{given} holds no {kind} network" if made else f"{folder} holds no {name} ({held})",
            expected="a trained refinement and flow network",
            do="give other weights=, or edge=True" if name == REFINE_WITHOUT_EDGE else "give other weights=",
        )
    return read_component(folder / name, kind=kind)
