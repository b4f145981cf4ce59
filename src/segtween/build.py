"""Settings become an engine, on any device: the one place where components are assembled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from segtween.device import CPU
from segtween.engine.bidirectional import BidirectionalEngine
from segtween.engine.causal import CausalEngine
from segtween.engine.delayed import DelayedKeyFrames, Inline, NetworkThread, Worker
from segtween.engine.frames import EveryFrame
from segtween.engine.keys import KeyFrames
from segtween.engine.motion import MotionEstimator
from segtween.engine.multistream import MultiStream
from segtween.engine.resample import Resampling
from segtween.engine.sources import LabelKeys, NetworkKeys
from segtween.engine.state import Propagation
from segtween.errors import SettingError
from segtween.flow import FlowOptions, flow_spec, open_flow
from segtween.interfaces import (
    ArrayOps,
    CutDetector,
    Engine,
    FlowEstimator,
    Fusion,
    Refiner,
    Schedule,
    Segmenter,
    Selecting,
)
from segtween.labels import LabelSet
from segtween.models.component_search import find_refinement
from segtween.networks import parts_of_checkpoint
from segtween.ops.threads import Rows, limit_threads
from segtween.refine.blend import ReliabilityBlend, Replace
from segtween.runtimes import open_component
from segtween.runtimes.base import KeepsSizes
from segtween.schedule.cuts import NoCuts, ResidualCuts
from segtween.schedule.staggered import StaggeredSchedule
from segtween.segmenters.augmented import augmented
from segtween.settings import MOST_DELAY, Bidirectional, Composed, Published, Resampled, Settings
from segtween.types import Labels, Method, is_whole

if TYPE_CHECKING:
    from segtween.ops.cpu import CpuOps

LABEL_CELLS = 40_000
"""Cells, at most, of the coarse grid on which the confidence of propagated label images is given."""
METHOD_VERSION = 3
"""Part of every method's hash: raised by hand when an algorithm gives other numbers under the same settings."""


class Backend(Protocol):
    """Where a method works: what of its components differs between devices."""

    @property
    def name(self) -> str: ...
    @property
    def threads(self) -> int: ...
    def check(self, settings: Settings) -> None:
        """SettingError for what does not work there."""

    def ops(self, settings: Settings | None) -> ArrayOps: ...
    def segmenter(self, model: Any, **options: Any) -> Segmenter:
        """The network, with the options of `segmenters.open_segmenter`."""

    def flow(self, settings: Settings, *, classes: int | None) -> FlowEstimator: ...
    def cuts(self, settings: Settings) -> CutDetector: ...
    def causal(self, keys: KeyFrames, motion: MotionEstimator, cuts: CutDetector) -> CausalEngine: ...


class Processor:
    """The processor: NumPy and Numba. Its engines share one set of threads (0 = every processor).

    `threads` are those for runtimes, 0 leaving the number to them."""

    name = CPU

    def __init__(self, threads: int = 0) -> None:
        self.rows = Rows(threads)
        self.threads = limit_threads(threads)

    def check(self, settings: Settings) -> None:
        """Everything works here."""

    def ops(self, settings: Settings | None) -> CpuOps:
        from segtween.ops.cpu import CpuOps
        from segtween.ops.reference import ReferenceOps

        kind = ReferenceOps if settings is not None and isinstance(settings.propagation, Published) else CpuOps
        return kind(rows=self.rows)

    def segmenter(self, model: Any, **options: Any) -> Segmenter:
        from segtween.segmenters import open_segmenter

        return open_segmenter(model, **options)

    def flow(self, settings: Settings, *, classes: int | None) -> FlowEstimator:
        return build_flow(settings, classes=classes, threads=self.threads)

    def cuts(self, settings: Settings) -> CutDetector:
        return ResidualCuts() if settings.cuts else NoCuts()

    def causal(self, keys: KeyFrames, motion: MotionEstimator, cuts: CutDetector) -> CausalEngine:
        engine = CausalEngine(keys, motion, cuts)
        engine.prefetches = not isinstance(motion.flow, Selecting) and not keys.schedule.by_time
        return engine


def open_backend(
    device: str = CPU, *, threads: int = 0, without: Sequence[str] = (), keeps_frame: bool = False
) -> Backend:
    """The backend of a device: cpu, or what `segtween.device` knows, `without` some fields of `device.Fast`.

    `keeps_frame`: several engines are shown the same arrays, which are sent to the device once. Raises
    MissingExtraError without torch, SettingError where there is no such device.
    """
    if device == CPU:
        return Processor(threads)
    from segtween.device.backend import open_device

    return open_device(device, processor=Processor(threads), without=tuple(without), keeps_frame=keeps_frame)


def build_every_frame(segmenter: Segmenter, *, backend: Backend | None = None) -> Engine:
    """The plain network on every frame: no flow, no memory."""
    return EveryFrame(segmenter, ops=(backend or Processor()).ops(None))


def build_engine(
    segmenter: Segmenter,
    settings: Settings,
    *,
    backend: Backend | None = None,
    flow: FlowEstimator | None = None,
    refiner: Refiner | None = None,
    live: bool = False,
) -> Engine:
    """An engine of its own parts, in the settings' mode; `flow` may be shared by engines that run one after the other,
    and so may a refiner. `live`: frames come at their own time, so that the network runs beside them where results wait
    for its scores anyhow.

    Raises SettingError for what the backend cannot do, and for bidirectional propagation along stored flow, which has
    no way back.
    """
    backend = backend or Processor()
    backend.check(settings)
    ops, classes = backend.ops(settings), len(segmenter.labels)
    return _assemble(
        segmenter,
        settings,
        backend,
        schedule=settings.mode.schedule.open(),
        flow=flow or backend.flow(settings, classes=classes),
        propagation=_propagation(settings, segmenter.labels, ops, refiner=refiner),
        worker=_worker(segmenter, settings, backend, live=live),
    )


def _assemble(
    segmenter: Segmenter,
    settings: Settings,
    backend: Backend,
    *,
    schedule: Schedule,
    propagation: Propagation,
    flow: FlowEstimator,
    worker: Worker,
    sharing: int = 1,
) -> Engine:
    segmenter = augmented(segmenter, settings.key_tta, streams=sharing)
    motion = MotionEstimator(
        flow, ops=propagation.ops, bidirectional=settings.is_bidirectional, appearance=propagation.match is not None
    )
    if isinstance(settings.mode, Bidirectional):
        _check_bidirectional(flow)
        both = NetworkKeys(segmenter, schedule, propagation, delay=settings.delay, worker=worker)
        bidirectional = BidirectionalEngine(both, motion, backend.cuts(settings), most_delay=MOST_DELAY * sharing)
        bidirectional.prefetches = backend.name == CPU
        return bidirectional
    delay = settings.delay
    keys = (
        KeyFrames(segmenter, schedule, propagation)
        if delay is None
        else DelayedKeyFrames(
            segmenter, schedule, propagation, delay=delay, worker=worker, most_delay=MOST_DELAY * sharing
        )
    )
    return backend.causal(keys, motion, backend.cuts(settings))


def build_labelled(
    labels: LabelSet,
    label_image: Callable[[int], Labels],
    frames: Collection[int],
    settings: Settings,
    *,
    backend: Backend | None = None,
    flow: FlowEstimator | None = None,
    kind: type[LabelKeys] = LabelKeys,
) -> Engine:
    """Bidirectional propagation of somebody's labels of some frames, read as a `kind` of `LabelKeys` reads them."""
    backend = backend or Processor()
    flow = flow or backend.flow(settings, classes=len(labels))
    _check_bidirectional(flow)
    ops = backend.ops(settings)
    propagation = Propagation(
        ops,
        fusion=Replace(),
        kind="probabilities",
        most_cells=LABEL_CELLS,
        tolerance=settings.propagation.tolerance,
    )
    keys = kind(labels, label_image, frames, propagation)
    return BidirectionalEngine(keys, MotionEstimator(flow, ops=ops), backend.cuts(settings))


def build_streams(
    segmenter: Segmenter,
    settings: Settings | None,
    count: int,
    *,
    backend: Backend | None = None,
    is_staggered: bool = True,
    live: bool = True,
) -> MultiStream:
    """Engines for `count` streams that share the network and all else that was compiled or loaded, and their threads.
    Settings None: the plain network on every frame. Key frames are staggered, so that they fall in different ticks; not
    those of bidirectional propagation, unless it is `live`, which is as in `build_engine`.

    Raises SettingError for stored scores and flow, which belong to one video, for a device and for a count below 1.
    """
    backend = backend or Processor()
    _check_streams(segmenter, backend, count)
    if settings is None:
        return MultiStream([build_every_frame(segmenter, backend=backend) for _ in range(count)])
    first = backend.ops(settings)
    if has_stored_flow(settings):
        raise _stored_with_streams()
    has_weights = flow_spec(settings.flow.name).needs_weights
    shared = backend.flow(settings, classes=len(segmenter.labels)) if has_weights else None
    worker = _worker(segmenter, settings, backend, live=live)
    is_staggered = is_staggered and (live or not settings.is_bidirectional)
    staggered = _staggered(settings, count, worker) if is_staggered else None
    schedules = staggered.schedules if staggered else [settings.mode.schedule.open() for _ in range(count)]
    refiner = build_refiner(settings, classes=len(segmenter.labels), threads=backend.threads)
    for component in (segmenter, shared, refiner):
        _keep_sizes(component, count)
    engines = []
    for schedule in schedules:
        ops = first.sibling()
        propagation = _propagation(settings, segmenter.labels, ops, refiner=refiner)
        flow = shared or backend.flow(settings, classes=None)  # has no weights, but room for images of one size
        engine = _assemble(
            segmenter,
            settings,
            backend,
            schedule=schedule,
            propagation=propagation,
            flow=flow,
            worker=worker,
            sharing=count,
        )
        engine.prefetches = engine.prefetches and shared is None
        engines.append(engine)
    return MultiStream(engines, staggered=staggered)


def _staggered(settings: Settings, count: int, worker: Worker) -> StaggeredSchedule | None:
    if settings.is_adaptive:
        return None
    least = settings.delay if isinstance(settings.delay, int) else 1
    is_free = (lambda: worker.is_free) if settings.delay == "auto" else None
    return StaggeredSchedule(settings.interval, count, least=max(1, least), is_free=is_free)


def _worker(segmenter: Segmenter, settings: Settings, backend: Backend, *, live: bool) -> Worker:
    """A thread for a network that scores wait for; what has its scores at once needs none, nor does a device."""
    waits = settings.delay is not None or (live and settings.is_bidirectional)
    return NetworkThread() if waits and backend.name == CPU and not isinstance(segmenter, Selecting) else Inline()


def _keep_sizes(component: object, count: int) -> None:
    """Lets a component's runtime keep what it compiled for `count` image sizes."""
    for owner in (component, getattr(component, "inner", None)):
        runtime = getattr(owner, "runtime", None)
        if isinstance(runtime, KeepsSizes):
            runtime.keep_sizes(count)


def _check_streams(segmenter: Segmenter, backend: Backend, count: int) -> None:
    if not is_whole(count, least=1):
        raise SettingError(f"{count} streams", expected="1 or more", do="correct the number of streams")
    if backend.name != CPU:
        raise SettingError(
            f"several streams at once on device {backend.name}",
            expected="device cpu",
            do="take one video after the other, or the processor",
        )
    if isinstance(segmenter, Selecting):
        raise _stored_with_streams()


def _stored_with_streams() -> SettingError:
    return SettingError(
        "stored scores or flow with several streams at once",
        expected="a network and a flow estimator: what is stored belongs to one video",
        do="take one video after the other",
    )


def _check_bidirectional(flow: FlowEstimator) -> None:
    if isinstance(flow, Selecting):
        raise SettingError(
            "bidirectional propagation along stored flow",
            expected="a flow estimator, which knows the way back too",
            do="choose another flow, or a causal mode",
        )


def _propagation(
    settings: Settings,
    labels: LabelSet,
    ops: ArrayOps,
    *,
    refiner: Refiner | None = None,
) -> Propagation:
    chosen, fusion = settings.propagation, build_fusion(settings)
    if isinstance(chosen, Composed):
        return Propagation(
            ops,
            fusion=fusion,
            kind=chosen.kind,
            most_cells=chosen.most_cells,
            tolerance=chosen.tolerance,
            match=settings.match,
        )
    return Resampling(
        ops,
        fusion=fusion,
        kind=chosen.kind,
        most_cells=chosen.most_cells if isinstance(chosen, Resampled) else None,
        tolerance=chosen.tolerance,
        refiner=refiner or build_refiner(settings, classes=len(labels), threads=ops.threads),
    )


def build_fusion(settings: Settings) -> Fusion:
    return ReliabilityBlend(weight=settings.history_weight) if settings.history_weight > 0 else Replace()


def has_stored_flow(settings: Settings) -> bool:
    """Whether the flow is read from a folder: it belongs to certain frames then, and says nothing of speed."""
    return flow_spec(settings.flow.name).is_stored


def same_flow(one: Settings, other: Settings) -> bool:
    """Whether both settings open the same flow estimator; the quality is that of a search, which has no weights."""
    alike = one.flow == other.flow and isinstance(one.propagation, Published) == isinstance(
        other.propagation, Published
    )
    return alike and (flow_spec(one.flow.name).needs_weights or one.quality == other.quality)


def build_flow(settings: Settings, *, classes: int | None = None, threads: int = 0) -> FlowEstimator:
    """The flow estimator; `classes` finds the shipped weights of a flow network where none are given."""
    options = FlowOptions(
        quality=settings.quality,
        stride=settings.flow.stride,
        threads=threads,
        weights=settings.flow.weights,
        classes=classes,
        convert=parts_of_checkpoint,
        padded=isinstance(settings.propagation, Published),
    )
    return open_flow(settings.flow.name, options)


def build_refiner(settings: Settings, *, classes: int, threads: int = 0) -> Refiner | None:
    refine = settings.propagation.refine if isinstance(settings.propagation, Published) else None
    if refine is None:
        return None
    from segtween.refine.guided import GuidedRefinement

    component = find_refinement(refine.weights, classes=classes, edge=refine.edge, convert=parts_of_checkpoint)
    runtime = open_component(component, outputs=("scores", "edge"), threads=threads)
    return GuidedRefinement(component, runtime, classes=classes)


def method(engine: Engine, *, name: str) -> Method:
    """The record of everything that changes an engine's numbers. Sources and sinks do not."""
    return Method(name, {"method_version": METHOD_VERSION, **engine.describe()})
