"""A device as a backend of `segtween.build`: its array operations, networks, flow and captured calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol

from segtween.device import CPU, Fast, check_device, has_kernels, torch_device
from segtween.engine.causal import CausalEngine
from segtween.engine.clock import Clock
from segtween.engine.keys import KeyFrames
from segtween.engine.motion import MotionEstimator
from segtween.engine.resample import Resampling
from segtween.errors import SettingError
from segtween.flow import FlowOptions, flow_spec, resolve
from segtween.interfaces import CutDetector, FlowEstimator, Segmenter, Staying
from segtween.models.finding import find_record
from segtween.schedule.cuts import NoCuts
from segtween.segmenters import form_of, in_torch
from segtween.segmenters.network import with_threshold
from segtween.settings import Published, Settings

OPENVINO = "openvino"
HALF, WHOLE = "float16", "float32"


class Processor(Protocol):
    """What opens networks and flow estimators that work on the processor."""

    threads: int

    def segmenter(self, model: Any, **options: Any) -> Segmenter: ...
    def flow(self, settings: Settings, *, classes: int | None) -> FlowEstimator: ...


@dataclass(frozen=True)
class Device:
    """One device, what makes it fast there, and its array operations. Made by `open_device`.

    `timed`: every stage ends when the device has done it, so that its time is its own; else a stage's time is that of
    asking for it, and waiting shows where a number is read.
    """

    name: str
    arrays: Any
    fast: Fast
    processor: Processor
    timed: bool = False

    @property
    def threads(self) -> int:
        return self.processor.threads

    @property
    def kernels(self) -> Any:
        return self.arrays.kernels

    def ops(self, settings: Settings | None) -> Any:  # noqa: ARG002
        return self.arrays

    def segmenter(
        self,
        model: Any,
        *,
        precision: str | None = None,
        scale: float | Literal["auto"] = 1.0,
        label_set: Any = None,
        **others: Any,
    ) -> Segmenter:
        """The network on the device where torch has its definition; anything else on the processor, which `notes` say.

        `others` is what `segmenters.open_segmenter` takes besides. `precision` None is float16 on a card.
        Raises what that raises, and SettingError for another precision than the device has.
        """
        from segtween.device.segmenter import DeviceSegmenter, is_in_torch
        from segtween.labels import label_set as find_label_set

        foreign = in_torch(model, label_set=label_set, preprocessing=others.get("preprocessing"))
        own = find_record(model) if form_of(model) == "network" else None
        record = foreign.record if foreign else own
        if record is not None:
            record = with_threshold(record, others.get("threshold"))
        if record is not None and (foreign or is_in_torch(record)):
            if others.get("runtime", OPENVINO) != OPENVINO or others.get("provider") is not None:
                refused = others["provider"] if others.get("provider") is not None else others["runtime"]
                raise SettingError(
                    f"runtime or provider {refused} on device {self.name}",
                    expected="torch, which runs this network there",
                    do="leave both out, or choose device cpu",
                )
            fast = replace(self.fast, half=self._is_half(precision))
            chosen = None if label_set is None else find_label_set(label_set)
            return DeviceSegmenter(
                record,
                device=self.arrays.device,
                fast=fast,
                scale=scale,
                labels=None if foreign else chosen,
                kernels=self.kernels,
                net=foreign and foreign.net,
            )
        opened = partial(self.processor.segmenter, model, precision=precision, scale=scale, label_set=label_set)
        if form_of(model) == "network":
            return self._bound(opened, **others)
        return self.fetching(opened(**others))

    def fetching(self, segmenter: Segmenter, *, why: str = "") -> Segmenter:
        """A segmenter that runs on the processor, for frames on the device; its `notes` say so, and perhaps why."""
        from segtween.device.segmenter import ProcessorSegmenter

        return ProcessorSegmenter(segmenter, device=self.arrays.device, why=why)

    def _bound(
        self, opened: Callable[..., Segmenter], *, runtime: str = OPENVINO, provider: str | None = None, **others: Any
    ) -> Segmenter:
        """The network of an ONNX file: on the device where ONNX Runtime has an execution provider for it, which
        `provider` (cuda, tensorrt) may name; else on the processor, and `notes` say why."""
        from segtween.device.bound import BoundSegmenter, why_not
        from segtween.runtimes.onnxruntime import is_on_card, missing_on_card

        on_card, device = self.arrays.device.type == "cuda", self.arrays.device
        if runtime == OPENVINO and not (on_card and (provider is None or is_on_card(provider))):
            return self.fetching(opened(runtime=runtime, provider=provider, **others))
        if on_card and provider is None:
            if missing := missing_on_card("cuda"):
                return self.fetching(opened(runtime=runtime, **others), why=missing)
            provider = "cuda"
        chosen = f"{provider}:{device.index or 0}" if on_card else provider
        inner: Any = opened(runtime="onnxruntime", provider=chosen, **others)
        why = why_not(inner, device)
        if why is not None:
            return self.fetching(inner, why=why)
        return BoundSegmenter(inner, device=device, kernels=self.kernels)

    def flow(self, settings: Settings, *, classes: int | None) -> FlowEstimator:
        """The estimator's twin on the device (`flow.FlowSpec.device_open`); without one it is computed on the
        processor, which its `notes` say."""
        from segtween.device.flows import ProcessorFlow

        spec, on_processor = flow_spec(settings.flow.name), partial(self.processor.flow, settings, classes=classes)
        options = FlowOptions(quality=settings.quality, stride=settings.flow.stride)
        twin = None if spec.device_open is None else resolve(spec.device_open)(self, options, on_processor)
        return twin or ProcessorFlow(on_processor(), device=self.arrays.device)

    def cuts(self, settings: Settings) -> CutDetector:
        from segtween.device.cuts import DeviceCuts

        return DeviceCuts() if settings.cuts else NoCuts()

    def causal(self, keys: KeyFrames, motion: MotionEstimator, cuts: CutDetector) -> CausalEngine:
        """The causal engine; its calls are captured on a card, where nothing fetches anything."""
        from segtween.device.engine import CapturedEngine
        from segtween.device.graphs import recorder

        if self.timed:
            engine = CausalEngine(keys, motion, cuts)
            engine.clock = partial(Clock, self.arrays.wait)
            return engine
        record = recorder(self.arrays.device) if self.fast.graphs and isinstance(motion.flow, Staying) else None
        if record is None or isinstance(keys.propagation, Resampling):
            return CausalEngine(keys, motion, cuts)
        return CapturedEngine(keys, motion, cuts, record=record)

    def check(self, settings: Settings) -> None:
        """SettingError for what works on the processor only."""
        if settings.key_tta != "none":
            raise SettingError(
                f"key_tta={settings.key_tta!r} on device {self.name}",
                expected="key_tta='none' there",
                do="leave it out, or choose device cpu",
            )
        propagation = settings.propagation
        what = None
        if settings.delay is not None:
            what = f"async_keys={settings.delay}"
        elif isinstance(propagation, Published):
            what = "propagation='published'"
        if what is not None:
            raise SettingError(
                f"{what} on device {self.name}",
                expected="preset composed, blend or warp there",
                do="choose one of these, or device cpu",
            )

    def _is_half(self, precision: str | None) -> bool:
        known = (HALF, WHOLE) if self.arrays.device.type == "cuda" else (WHOLE,)
        if precision in (None, "auto"):
            return self.fast.half
        if precision not in known:
            raise SettingError(
                f"precision {precision} on device {self.name}",
                expected=f"{' or '.join(known)} there",
                do="leave it out, or choose device cpu",
            )
        return precision == HALF


def open_device(name: str, *, processor: Processor, without: tuple[str, ...] = (), keeps_frame: bool = False) -> Device:
    """A device other than `cpu`, ready to build on; `without` names fields of `device.Fast`.

    `keeps_frame`: several engines are shown the same arrays, which are sent once. Raises MissingExtraError without
    torch, SettingError where there is no such device.
    """
    if check_device(name) == CPU:
        raise SettingError("device cpu, which needs none of this", expected="cuda or torch-cpu", do="leave it out")
    device, fast = torch_device(name, threads=processor.threads), Fast.without(*without)
    from segtween.device import eager
    from segtween.device.arrays import TorchOps

    kernels: Any = eager
    if device.type == "cpu":
        fast = Fast.nothing()
    elif fast.kernels and has_kernels():
        from segtween.device import kernels
    else:
        fast = replace(fast, kernels=False)
    return Device(name, TorchOps(device, kernels=kernels, keeps_frame=keeps_frame), fast, processor)
