"""Flow estimators: backward flow between two frames on a grid of their own.

`FLOWS` is the table of all of them, with what each is; help texts, errors, the device and the documents read it. A new
estimator is one file here, one row there and one subclass of `tests/flow/flow_contract.py` (CONTRIBUTING.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segtween.errors import SettingError, unknown

if TYPE_CHECKING:
    from segtween.interfaces import FlowEstimator


@dataclass(frozen=True)
class FlowOptions:
    """What estimators are opened with; each takes what concerns it.

    quality  dis: fast, balanced or fine
    stride   the flow grid's, in pixels of the image; None: the estimator's own choice
    threads  0 uses every processor
    weights  of flow networks: a folder of components, a checkpoint or a shipped name; None: those shipped for `classes`
    classes  of the segmentation network; None: any
    convert  makes a folder of components of a checkpoint (`segtween.networks.parts_of_checkpoint`)
    padded   frames are padded right and bottom to multiples of 32 first, as in SwNet-seq
    """

    quality: str = "balanced"
    stride: int | None = None
    threads: int = 0
    weights: str | None = None
    classes: int | None = None
    convert: Callable[[str], Path] | None = None
    padded: bool = False


@dataclass(frozen=True)
class FlowSpec:
    """One row of `FLOWS`.

    name           what `flow=` takes; FILE and FOLDER stand for any path that `accepts` is true of
    what           what it is, for help texts and documents
    open           "module:function", (flow, FlowOptions) -> FlowEstimator; imported when it is first opened
    needs_weights  it is a network: its weights are loaded once and shared by several streams
    device_open    "module:function" of its twin on a device, (device, FlowOptions, on_processor) -> FlowEstimator, or
                   None where that cannot do it; without one it is computed on the processor there
    accepts        whether a path is for it; None: its name alone is
    is_stored      flow is read from files: it belongs to certain frames, and has no way back
    reads_vectors  it uses the motion vectors of frames (`Frame.vectors`), which sources then keep
    """

    name: str
    what: str
    open: str
    needs_weights: bool = False
    device_open: str | None = None
    accepts: Callable[[str], bool] | None = None
    is_stored: bool = False
    reads_vectors: bool = False


def _by_name(*rows: FlowSpec) -> dict[str, FlowSpec]:
    """The rows by name; SettingError for a name that stands there twice."""
    table: dict[str, FlowSpec] = {}
    for row in rows:
        if row.name in table:
            raise SettingError(f"two flow estimators named {row.name}", expected="one of each name", do="rename one")
        table[row.name] = row
    return table


FLOWS = _by_name(
    FlowSpec(
        "dis",
        "dense inverse search (Kroeger et al., ECCV 2016), without its variational refinement",
        "segtween.flow.dis:open_dis",
        device_open="segtween.device.flows:open_search",
    ),
    FlowSpec(
        "codec",
        "the motion vectors that a video's decoder holds already (H.264, MPEG-4, MPEG-2), dis where there are none",
        "segtween.flow.codec:open_codec",
        reads_vectors=True,
    ),
    FlowSpec(
        "dis-opencv",
        "OpenCV's dense inverse search, preset medium, with variational refinement",
        "segtween.flow.dis:open_opencv",
    ),
    FlowSpec(
        "zero",
        "no motion: the previous result stays where it is (a baseline)",
        "segtween.flow.zero:open_zero",
        device_open="segtween.device.flows:open_zero",
    ),
    FlowSpec(
        "light",
        "SwNet-seq's small flow network, whose weights are shipped",
        "segtween.flow.network:open_network_flow",
        needs_weights=True,
        device_open="segtween.device.flows:open_network_flow",
    ),
    FlowSpec(
        "flownets",
        "FlowNetS (Dosovitskiy et al., ICCV 2015), with published weights",
        "segtween.flow.network:open_network_flow",
        needs_weights=True,
        device_open="segtween.device.flows:open_network_flow",
    ),
    FlowSpec(
        "flownet2s",
        "FlowNet2-S (Ilg et al., CVPR 2017), with published weights",
        "segtween.flow.network:open_network_flow",
        needs_weights=True,
        device_open="segtween.device.flows:open_network_flow",
    ),
    FlowSpec(
        "FILE",
        "an .onnx or weight file of a flow network",
        "segtween.flow.network:open_network_flow",
        needs_weights=True,
        device_open="segtween.device.flows:open_network_flow",
        accepts=lambda flow: Path(flow).is_file(),
    ),
    FlowSpec(
        "FOLDER",
        "a folder of flows, .flo or .npz, computed elsewhere",
        "segtween.flow.stored:open_stored",
        accepts=lambda flow: Path(flow).is_dir(),
        is_stored=True,
    ),
)


def flow_names() -> list[str]:
    """The names that `flow=` takes, paths left out."""
    return [row.name for row in FLOWS.values() if row.accepts is None]


def flow_paths() -> str:
    """What may be given besides a name, in words."""
    return ", or ".join(row.what for row in FLOWS.values() if row.accepts is not None)


def flow_spec(flow: str) -> FlowSpec:
    """The row of a name, or of an existing path; SettingError lists the names."""
    if flow in FLOWS and FLOWS[flow].accepts is None:
        return FLOWS[flow]
    for row in FLOWS.values():
        if row.accepts is not None and row.accepts(flow):
            return row
    otherwise = "choose one of these, or check the path"
    raise unknown(f"flow {flow!r}", flow, flow_names(), also=flow_paths(), otherwise=otherwise)


def reads_vectors(flow: str | None) -> bool:
    """Whether a flow uses the motion vectors of frames, which sources have to keep then; None: the default."""
    return flow is not None and flow_spec(flow).reads_vectors


def open_flow(flow: str, options: FlowOptions | None = None) -> FlowEstimator:
    """A flow estimator by name or path. Raises SettingError for an unknown one, and what opening it raises."""
    spec, options = flow_spec(flow), options or FlowOptions()
    estimator: FlowEstimator = resolve(spec.open)(flow, options)
    if not options.padded or spec.is_stored:  # stored flow pads itself
        return estimator
    from segtween.flow.padded import PaddedFlow

    return PaddedFlow(estimator)


def resolve(place: str) -> Any:
    """What "module:name" names."""
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)
