"""Puts the parts together: a preset's settings become an engine and its method record."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

from segtween.defaults import DEFAULT_INTERVAL
from segtween.engine import Carry, Engine
from segtween.engine.bidirectional import BidirectionalEngine, LabelKeySource, NetworkKeySource
from segtween.engine.delayed import DelayedEngine, NetworkThread, check_late
from segtween.engine.multistream import Streams
from segtween.errors import ModelError, SettingError, unknown
from segtween.flow import FLOWS, open_flow
from segtween.interfaces import CutDetector, FlowEstimator, Fusion, Refiner, ResamplingRefiner, Schedule, Segmenter
from segtween.labels import LabelSet
from segtween.models.components import (
    ATTENTION,
    FLOW,
    REFINE,
    REFINE_WITHOUT_EDGE,
    Component,
    ComponentKind,
    read_component,
    shipped_components,
)
from segtween.ops.cpu import CpuOps
from segtween.ops.reference import ReferenceOps
from segtween.refine.attention import AttentionRefiner
from segtween.refine.blend import ReliabilityBlend, Replace
from segtween.runtimes.base import Precision
from segtween.schedule.adaptive import MOST_DISTANCE, Adaptive
from segtween.schedule.cuts import NoCuts, ResidualCuts
from segtween.schedule.fixed import FixedInterval
from segtween.schedule.staggered import StaggeredSchedule
from segtween.types import Labels, Method

FLOW_NETWORKS = {"light": "flow-light", "flownets": "flownets", "flownet2s": "flownet2s"}
PUBLISHED_FLOW = {"flownets": "flownet.pth.tar", "flownet2s": "FlowNet2-S_checkpoint.pth.tar"}
PUBLISHED_REFINEMENT = "cityscapes-swnet_model_best.pth.tar"
RUNTIME = "openvino"
METHOD_VERSION = 1
"""Part of every method's hash: raised by hand when an algorithm gives other numbers under the same settings."""


@dataclass(frozen=True)
class Settings:
    """What can be chosen of the method. The defaults are the preset `blend`; `DEFAULT_PRESET` is what commands take.

    interval        non-key frames between key frames, 0 or more
    schedule        which frames are key frames: fixed (by the interval), or adaptive (`schedule.adaptive.Adaptive`)
    budget          adaptive: network runs per 100 frames; None, with no target_ms: as many as at the interval
    target_ms       adaptive: milliseconds per frame on average, instead of a budget
    least_distance  adaptive: frames from a key frame to the next at least, 1 or more
    most_distance   adaptive: and at most
    flow            flow estimator: dis, zero; light, flownets, flownet2s (networks, see `weights`); an .onnx or
                    weight file of a flow network; a folder of .flo or .npz files
    flow_quality     dis: fast, balanced, fine; medium: OpenCV's; None: fine offline and for attention, else balanced
    flow_stride     the flow grid's stride in pixels of the image; None: by image size, 8 for networks
    fusion          at key frames: blend (with the carried history) or replace
    history_weight  blend: the history's share where it is wholly reliable, 0 or more, below 1
    cuts            whether a scene cut forces a key frame and drops the history
    carry           what is carried, on which grid, and how fast trust fades
    arrays          own: docs/conventions.md; reference: SwNet-seq's grid, coordinates and resizing
    refine          attention: what the key frame cannot know is borrowed from cells near by (without resampling);
                    guided: carried logits are repaired by a network (with arrays: reference); or none
    edge            guided: whether the label map's edge guides it
    offline         for files: a frame between two key frames uses both (`engine.bidirectional`). Logits are carried,
                    along paths; without refinement
    late            causal: a key frame's scores arrive so many frames late, from a thread of their own
                    (`segtween.engine.delayed`); auto: as soon as they are there; None or 0: the frame waits for them
    weights         of refinement and flow network: a published checkpoint, a trained folder, a shipped name; None: the
                    shipped ones for as many classes as the segmentation network has
    """

    interval: int = DEFAULT_INTERVAL
    schedule: Literal["fixed", "adaptive"] = "fixed"
    budget: float | None = None
    target_ms: float | None = None
    least_distance: int = 1
    most_distance: int = MOST_DISTANCE
    flow: str = "dis"
    flow_quality: str | None = None
    flow_stride: int | None = None
    fusion: Literal["blend", "replace"] = "blend"
    history_weight: float = 0.5
    cuts: bool = True
    carry: Carry = field(default_factory=Carry)
    arrays: Literal["own", "reference"] = "own"
    refine: Literal["none", "attention", "guided"] = "none"
    edge: bool = True
    weights: str | None = None
    offline: bool = False
    late: int | Literal["auto"] | None = None

    def __post_init__(self) -> None:
        FixedInterval(self.interval)
        self._check_schedule()
        ReliabilityBlend(weight=self.history_weight)
        choices = {
            "fusion": ("blend", "replace"),
            "arrays": ("own", "reference"),
            "refine": ("attention", "guided", "none"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise SettingError(
                    f"{name} {getattr(self, name)!r}", expected=" or ".join(known), do="choose one of these"
                )
        if self.weights is not None and self.refine == "none" and self.flow not in FLOW_NETWORKS:
            raise SettingError(
                f"weights {self.weights} with refine none and flow {self.flow}",
                expected="a refinement or flow network that takes them",
                do="give --preset swnet-seq or --flow light, or leave --weights out",
            )
        if self.offline and (self.refine == "guided" or self.arrays != "own"):
            raise SettingError(
                "the offline mode with a preset that works as the reference does",
                expected="a preset with arrays of our own and no refinement",
                do="give --preset composed, or leave --offline out",
            )
        if self.offline and self.schedule != "fixed":
            raise SettingError(
                f"the offline mode with schedule {self.schedule}",
                expected="a fixed interval",
                do="leave --schedule or --offline out",
            )
        if self.late not in (None, 0):
            check_late(self.late)
            if self.offline or self.schedule != "fixed":
                mode = "the offline mode" if self.offline else f"schedule {self.schedule}"
                raise SettingError(
                    f"late {self.late} with {mode}",
                    expected="frames that come one by one, and a fixed interval",
                    do="leave one of them out",
                )
        if self.refine == "attention" and (self.arrays != "own" or self.carry.resample):
            raise SettingError(
                "refine attention in a preset that resamples scores in each frame",
                expected="a preset that reads them along a path",
                do="give --preset composed or refined",
            )
        if not self.edge and self.refine != "guided":
            raise SettingError(
                "no edge without refinement", expected="refine guided, which may see one", do="leave --no-edge out"
            )
        if self.refine == "guided" and (self.arrays != "reference" or self.carry.kind != "logits"):
            raise SettingError(
                "guided refinement in a preset that does not carry logits as the reference does",
                expected="the grid that it was trained on",
                do="give --preset swnet-seq",
            )

    def _check_schedule(self) -> None:
        if self.schedule not in ("fixed", "adaptive"):
            raise SettingError(f"schedule {self.schedule!r}", expected="fixed or adaptive", do="choose one of these")
        bounded = (self.least_distance, self.most_distance) != (1, MOST_DISTANCE)
        if self.schedule == "fixed" and (self.budget is not None or self.target_ms is not None or bounded):
            raise SettingError(
                "a budget, a target or bounds on the distance with a fixed interval",
                expected="an adaptive schedule, which keeps to them",
                do="give --schedule adaptive, or leave them out",
            )
        build_schedule(self)

    @property
    def quality(self) -> str:
        """The quality for flow: where accuracy comes first all of it, or what was asked for."""
        return self.flow_quality or ("fine" if self.offline or self.refine == "attention" else "balanced")

    def at(self, interval: int) -> Settings:
        """The same settings at another interval."""
        return replace(self, interval=interval)

    def fixed(self, interval: int) -> Settings:
        """The same settings with a fixed interval."""
        return replace(
            self,
            interval=interval,
            schedule="fixed",
            budget=None,
            target_ms=None,
            least_distance=1,
            most_distance=MOST_DISTANCE,
        )


def build_schedule(settings: Settings) -> Schedule:
    if settings.schedule == "fixed":
        return FixedInterval(settings.interval)
    by_interval = settings.budget is None and settings.target_ms is None
    return Adaptive(
        budget=100 / (settings.interval + 1) if by_interval else settings.budget,
        target_ms=settings.target_ms,
        least_distance=settings.least_distance,
        most_distance=settings.most_distance,
    )


PRESETS: dict[str, Settings] = {
    "composed": Settings(carry=Carry(kind="logits", most_cells=200_000, resample=False)),
    "refined": Settings(carry=Carry(kind="logits", most_cells=200_000, resample=False), refine="attention"),
    "blend": Settings(),
    "warp": Settings(fusion="replace"),
    "swnet-seq": Settings(
        flow="light", fusion="replace", cuts=False, carry=Carry(kind="logits"), arrays="reference", refine="guided"
    ),
}


def find_preset(name: str) -> Settings:
    """A named group of settings; SettingError lists the names."""
    if name not in PRESETS:
        raise unknown(f"preset {name!r}", name, PRESETS)
    return PRESETS[name]


def build_ops(settings: Settings, *, threads: int = 0) -> CpuOps:
    return ReferenceOps(threads=threads) if settings.arrays == "reference" else CpuOps(threads=threads)


def has_stored_flow(settings: Settings) -> bool:
    """Whether the flow is read from a folder: it belongs to certain frames then, and says nothing of speed."""
    return settings.flow not in FLOWS and Path(settings.flow).is_dir()


def build_flow(settings: Settings, *, classes: int | None = None, threads: int = 0) -> FlowEstimator:
    """The flow estimator; `classes` finds the shipped weights of a flow network where none are given."""
    padded = settings.arrays == "reference"
    if settings.flow in FLOWS:
        flow = open_flow(settings.flow, quality=settings.quality, stride=settings.flow_stride, threads=threads)
    elif has_stored_flow(settings):
        from segtween.flow.stored import StoredFlow

        return StoredFlow(settings.flow, stride=settings.flow_stride, padded=padded)
    else:
        from segtween.flow.network import NetworkFlow

        part = _flow_part(settings, classes)
        flow = NetworkFlow(part, _runtime(part, ("flow",), threads), stride=settings.flow_stride)
    if not padded:
        return flow
    from segtween.flow.network import PaddedFlow

    return PaddedFlow(flow)


def build_resampling_refiner(settings: Settings, *, classes: int, threads: int = 0) -> ResamplingRefiner | None:
    if settings.refine != "guided":
        return None
    from segtween.refine.guided import GuidedRefinement

    part = _part(
        _weights(settings, classes),
        REFINE if settings.edge else REFINE_WITHOUT_EDGE,
        "refinement",
        given=settings.weights,
    )
    return GuidedRefinement(part, _runtime(part, ("scores", "edge"), threads), classes=classes)


def build_refiner(settings: Settings, *, labels: LabelSet, ops: CpuOps) -> Refiner | None:
    """The repair of the preset `refined`: the one for these labels, where there is one, or the one for any."""
    if settings.refine != "attention":
        return None
    part = _attention_component(settings, labels)
    outputs = ("share", "attention", "added") if part.classes else ("share", "attention")
    return AttentionRefiner(part, _runtime(part, outputs, ops.rows.threads, precision="auto"), ops=ops)


def build_engine(
    segmenter: Segmenter, settings: Settings, *, ops: CpuOps | None = None, flow: FlowEstimator | None = None
) -> Engine:
    """An engine of its own parts; `ops` and `flow` may be shared by engines that run one after the other.

    `ops` of another kind than the settings ask for say the number of threads only.
    """
    threads = 0 if ops is None else ops.rows.threads
    if ops is None or isinstance(ops, ReferenceOps) != (settings.arrays == "reference"):
        ops = build_ops(settings, threads=threads)
    classes = len(segmenter.labels)
    return _engine_of(settings)(
        segmenter,
        flow or build_flow(settings, classes=classes, threads=threads),
        ops=ops,
        schedule=build_schedule(settings),
        fusion=_fusion(settings),
        resampling_refiner=build_resampling_refiner(settings, classes=classes, threads=threads),
        cuts=_cuts(settings),
        carry=settings.carry,
        refiner=build_refiner(settings, labels=segmenter.labels, ops=ops),
    )


def build_streams(engine: Engine | BidirectionalEngine, settings: Settings, count: int) -> Streams:
    """Engines for `count` streams that share what `engine`, built of the same settings, has: the network and all else
    that was compiled or loaded, its threads. It is not one of them, and is not to be used at the same time.

    Raises SettingError for the offline mode, for stored scores and flow, which belong to one video, and for a count
    below 1.
    """
    _check_streams(engine, settings, count)
    assert isinstance(engine, Engine)
    thread = engine.thread if isinstance(engine, DelayedEngine) else None
    turns = None
    if engine.flow is not None and settings.schedule == "fixed":
        least = settings.late if isinstance(settings.late, int) else 1
        is_free = (lambda: thread.is_free) if thread is not None and settings.late == "auto" else None
        turns = StaggeredSchedule(settings.interval, count, least=max(1, least), is_free=is_free)
    for part in (
        engine.segmenter,
        engine.flow,
        getattr(engine.flow, "inner", None),
        engine.resampling_refiner,
        engine.refiner,
    ):
        keep = getattr(getattr(part, "runtime", None), "keep_sizes", None)
        if keep is not None:
            keep(count)
    schedules: Sequence[Schedule] = turns.schedules if turns else [build_schedule(settings) for _ in range(count)]
    return Streams([_sibling(engine, settings, schedule, thread, count) for schedule in schedules], turns=turns)


def _check_streams(engine: Engine | BidirectionalEngine, settings: Settings, count: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise SettingError(f"{count} streams", expected="1 or more", do="correct the number of streams")
    if isinstance(engine, BidirectionalEngine):
        raise SettingError(
            "the offline mode with several streams at once",
            expected="a mode that gives each frame's labels at once",
            do="leave --offline out, or take one video after the other (--one-by-one)",
        )
    if not hasattr(engine.ops, "beside"):
        raise SettingError(
            "several streams at once on a device",
            expected="the processor",
            do="leave --device out, or take one video after the other (--one-by-one)",
        )
    if hasattr(engine.segmenter, "select") or has_stored_flow(settings):
        raise SettingError(
            "stored scores or flow with several streams at once",
            expected="a network and a flow estimator: what is stored belongs to one video",
            do="take one video after the other (--one-by-one)",
        )


def _sibling(
    engine: Engine, settings: Settings, schedule: Schedule, thread: NetworkThread | None, count: int
) -> Engine:
    """An engine with a history, tables and a schedule of its own, and everything else as the given one has it."""
    ops, flow, refiner = cast(CpuOps, engine.ops).beside(), engine.flow, engine.refiner
    if flow is not None and settings.flow in FLOWS:
        flow = build_flow(settings, threads=ops.rows.threads)  # has no weights, but room for images of one size
    if isinstance(refiner, AttentionRefiner):
        refiner = AttentionRefiner(refiner.part, refiner.runtime, ops=ops)
    make: Callable[..., Engine] = Engine
    if isinstance(engine, DelayedEngine):
        make = partial(DelayedEngine, late=engine.late, thread=thread, sharing=count)
    return make(
        engine.segmenter,
        flow,
        ops=ops,
        schedule=schedule,
        fusion=engine.fusion,
        resampling_refiner=engine.resampling_refiner,
        cuts=engine.cuts,
        carry=engine.carry,
        refiner=refiner,
    )


def _engine_of(settings: Settings) -> Callable[..., Engine]:
    """The engine, or the one with late keys; SettingError for a delay longer than from key frame to key frame."""
    if settings.late is None or settings.late == 0:
        return Engine
    if settings.late != "auto" and settings.late > settings.interval + 1:
        raise SettingError(
            f"late {settings.late} at interval {settings.interval}",
            expected=f"at most {settings.interval + 1} frames: one key frame is on its way at a time",
            do="lower late, or raise the interval",
        )
    return partial(DelayedEngine, late=settings.late)


def build_offline(
    segmenter: Segmenter, settings: Settings, *, ops: CpuOps | None = None, flow: FlowEstimator | None = None
) -> BidirectionalEngine:
    """The same method with both neighbouring key frames; what `settings.carry` says of kind and resampling is not used.

    Raises SettingError for stored flow, which has no way back.
    """
    if has_stored_flow(settings):
        raise SettingError(
            f"the offline mode with stored flow {settings.flow}",
            expected="a flow estimator, which knows the way back too",
            do="give another --flow, or leave --offline out",
        )
    ops = ops or build_ops(settings)
    keys = NetworkKeySource(
        segmenter,
        ops=ops,
        interval=settings.interval,
        fusion=_fusion(settings),
        most_cells=settings.carry.most_cells,
    )
    flow = flow or build_flow(settings, classes=len(segmenter.labels), threads=ops.rows.threads)
    return BidirectionalEngine(keys, flow, ops=ops, cuts=_cuts(settings), tolerance=settings.carry.tolerance)


def build_labelled(
    labels: LabelSet,
    read: Callable[[int], Labels],
    frames: Collection[int],
    settings: Settings,
    *,
    ops: CpuOps | None = None,
    flow: FlowEstimator | None = None,
) -> BidirectionalEngine:
    """The offline mode with somebody's labels of some frames as key frames (`offline.LabelKeySource`)."""
    if has_stored_flow(settings):
        raise SettingError(
            f"labels carried by stored flow {settings.flow}",
            expected="a flow estimator, which knows the way back too",
            do="give another --flow",
        )
    ops = ops or build_ops(settings)
    keys = LabelKeySource(labels, read, frames, ops=ops, most_cells=settings.carry.most_cells)
    flow = flow or build_flow(settings, classes=len(labels), threads=ops.rows.threads)
    return BidirectionalEngine(keys, flow, ops=ops, cuts=_cuts(settings), tolerance=settings.carry.tolerance)


def build_method(
    segmenter: Segmenter, settings: Settings, *, ops: CpuOps | None = None, flow: FlowEstimator | None = None
) -> Engine | BidirectionalEngine:
    """What the settings ask for: `build_offline` or `build_engine`."""
    build = build_offline if settings.offline else build_engine
    return build(segmenter, settings, ops=ops, flow=flow)


def _fusion(settings: Settings) -> Fusion:
    return ReliabilityBlend(weight=settings.history_weight) if settings.fusion == "blend" else Replace()


def _cuts(settings: Settings) -> CutDetector:
    return ResidualCuts() if settings.cuts else NoCuts()


def build_plain(segmenter: Segmenter, *, ops: CpuOps | None = None) -> Engine:
    """The plain network on every frame: no flow, no memory."""
    settings = Settings(interval=0)
    return Engine(
        segmenter,
        None,
        ops=ops or CpuOps(),
        schedule=FixedInterval(0),
        fusion=Replace(),
        resampling_refiner=None,
        cuts=NoCuts(),
        carry=settings.carry,
    )


def method(engine: Engine | BidirectionalEngine, *, name: str) -> Method:
    """The record of everything that changes an engine's numbers. Sources and sinks do not."""
    return Method(name, {"method_version": METHOD_VERSION, **engine.describe()})


# ── Weights of refinement and flow network ────────────────────────────────────────────────────


def _weights(settings: Settings, classes: int | None) -> Path:
    """The folder that holds them, made from a checkpoint where that is what was given."""
    shipped = shipped_components()
    if settings.weights is None:
        fitting = [
            f for f in shipped.values() if classes in (None, read_component(f / REFINE, kind="refinement").classes)
        ]
        if fitting:
            return fitting[0]
        from segtween.networks.published import PUBLISHED

        raise ModelError(
            f"no refinement is shipped for {classes} classes",
            expected=f"--weights FILE, for Cityscapes' 19 classes the published {PUBLISHED_REFINEMENT}",
            do=f"get that from {PUBLISHED[PUBLISHED_REFINEMENT].where}",
        )
    return _as_folder(settings.weights, shipped)


def _attention_component(settings: Settings, labels: LabelSet) -> Component:
    if settings.weights is not None:
        part = _part(
            _as_folder(settings.weights, shipped_components(holding=ATTENTION)),
            ATTENTION,
            "attention",
            given=settings.weights,
        )
        if part.labels in ("", labels.name):
            return part
        raise ModelError(
            f"the repair in {part.origin} is for the label set {part.labels}",
            expected=f"{labels.name}, as the segmentation network has, or any",
            do="give other --weights, or leave them out",
        )
    shipped = [
        read_component(folder / ATTENTION, kind="attention")
        for folder in shipped_components(holding=ATTENTION).values()
    ]
    fitting = [part for part in shipped if part.labels in ("", labels.name)]
    if not fitting:
        raise ModelError(
            f"no repair is shipped for the label set {labels.name}",
            expected="--weights FOLDER with a attention.onnx",
            do="train one with `segtween train`, or give --refine none",
        )
    return max(fitting, key=lambda part: len(part.labels))


def _as_folder(which: str, shipped: dict[str, Path]) -> Path:
    if which in shipped:
        return shipped[which]
    if Path(which).is_dir():
        return Path(which)
    from segtween.networks import parts_of_checkpoint

    return parts_of_checkpoint(which)


def _flow_part(settings: Settings, classes: int | None) -> Component:
    network = FLOW_NETWORKS.get(settings.flow)
    if network is None:
        if not Path(settings.flow).is_file():
            names = (*FLOWS, *FLOW_NETWORKS)
            raise unknown(
                f"flow {settings.flow!r}",
                settings.flow,
                names,
                also="an .onnx or weight file of a flow network, or a folder of flows",
                otherwise="choose one of these, or check the path",
            )
        if settings.flow.endswith(".onnx"):
            return read_component(settings.flow, kind="flow")
        return _part(_as_folder(settings.flow, {}), FLOW, "flow", given=settings.flow)
    if settings.flow == "light" or (settings.weights is not None and _holds(settings, network)):
        part = _part(_weights(settings, classes), FLOW, "flow", given=settings.weights)
        if part.network == network:
            return part
        raise ModelError(
            f"the flow network in {part.origin} is {part.network}",
            expected=network,
            do="choose it with --flow or --weights",
        )
    file = Path("weights") / PUBLISHED_FLOW[settings.flow]
    if not file.is_file():
        from segtween.networks.published import where_published

        raise ModelError(
            f"weights of flow network {settings.flow} are not found",
            expected=f"{file}, or its file given as --flow",
            do=where_published(file),
        )
    return _part(_as_folder(str(file), {}), FLOW, "flow", given=str(file))


def _holds(settings: Settings, network: str) -> bool:
    path = _weights(settings, None) / FLOW
    return path.is_file() and read_component(path, kind="flow").network == network


def _part(folder: Path, name: str, kind: ComponentKind, *, given: str | None) -> Component:
    """One graph of a folder, which was `given` as such or made of a file."""
    if not (folder / name).is_file():
        held = ", ".join(sorted(p.name for p in folder.glob("*.onnx"))) or "no graph"
        made = given is not None and Path(given).is_file()
        raise ModelError(
            f"{given} holds no {kind} network" if made else f"{folder} holds no {name} ({held})",
            expected="a trained refinement and flow network",
            do="give other --weights, or --edge" if name == REFINE_WITHOUT_EDGE else "give other --weights",
        )
    return read_component(folder / name, kind=kind)


def _runtime(part: Component, outputs: tuple[str, ...], threads: int, *, precision: Precision = "float32") -> Any:
    from segtween.runtimes import open_runtime

    return open_runtime(RUNTIME, part.path, outputs=outputs, threads=threads, precision=precision)
