"""Puts the parts together on a device (`segtween.device`): what `segtween.build` is for the processor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from segtween.build import Settings, build_flow, build_schedule
from segtween.device import CPU, Fast, check_device, has_kernels, torch_device
from segtween.errors import SettingError
from segtween.flow.network import NetworkFlow
from segtween.interfaces import FlowEstimator, Segmenter
from segtween.models.finding import find_record
from segtween.networks import FLOWS as FLOW_NETWORKS
from segtween.refine.blend import ReliabilityBlend, Replace
from segtween.runtimes.openvino import weights_of
from segtween.schedule.cuts import NoCuts
from segtween.schedule.fixed import FixedInterval
from segtween.segmenters import form_of, open_segmenter

if TYPE_CHECKING:
    from segtween.device.engine import DeviceEngine

HALF, WHOLE = "float16", "float32"


@dataclass(frozen=True)
class Device:
    """One device, what makes it fast there, and its array operations. Made by `open_device`."""

    name: str
    ops: Any
    fast: Fast
    threads: int

    @property
    def kernels(self) -> Any:
        return self.ops.kernels

    def segmenter(
        self, model: Any, *, precision: str | None = None, scale: float = 1.0, labels: Any = None, **others: Any
    ) -> Segmenter:
        """The network on the device where torch has its definition; anything else on the processor, which `notes` say.

        `others` is what `segmenters.open_segmenter` takes besides. `precision` None is float16 on a card.
        Raises what that raises, and SettingError for another precision than the device has.
        """
        from segtween.device.segmenter import DeviceSegmenter, is_in_torch
        from segtween.labels import label_set

        if form_of(model) == "network" and is_in_torch(record := find_record(model)):
            if others.get("runtime", "openvino") != "openvino" or others.get("provider") is not None:
                said = others["provider"] if others.get("provider") is not None else others["runtime"]
                raise SettingError(
                    f"runtime or provider {said} on device {self.name}",
                    expected="torch, which runs this network there",
                    do="leave --runtime and --provider out, or give --device cpu",
                )
            fast = replace(self.fast, half=self._is_half(precision))
            chosen = None if labels is None else label_set(labels)
            return DeviceSegmenter(
                record, device=self.ops.device, fast=fast, scale=scale, labels=chosen, kernels=self.kernels
            )
        return self.beside(open_segmenter(model, precision=precision, scale=scale, labels=labels, **others))

    def beside(self, segmenter: Segmenter) -> Segmenter:
        """A segmenter that runs on the processor, for frames on the device; its `notes` say so."""
        from segtween.device.segmenter import ProcessorSegmenter

        return ProcessorSegmenter(segmenter, device=self.ops.device)

    def flow(self, settings: Settings, *, classes: int | None = None) -> FlowEstimator:
        """Dense inverse search, no motion and flow networks on the device; stored flow comes from the processor, which
        its `notes` say."""
        from segtween.device import flows, search

        if settings.flow == "zero":
            return flows.DeviceStill(kernels=self.kernels, stride=settings.flow_stride)
        if settings.flow == "dis" and settings.quality in search.FINEST:
            by = self.kernels if hasattr(self.kernels, "search") else search
            return flows.DeviceSearch(
                kernels=self.kernels, by=by, quality=settings.quality, stride=settings.flow_stride
            )
        inner = build_flow(settings, classes=classes, threads=self.threads)
        if isinstance(inner, NetworkFlow) and inner.part.network in FLOW_NETWORKS:
            return flows.DeviceFlowNetwork(
                inner.part,
                weights_of(inner.part.path),
                device=self.ops.device,
                half=self.fast.half,
                stride=settings.flow_stride,
            )
        return flows.ProcessorFlow(inner, device=self.ops.device)

    def engine(
        self, segmenter: Segmenter, settings: Settings, *, flow: FlowEstimator | None = None, timed: bool = False
    ) -> DeviceEngine:
        """An engine of its own parts, as `build.build_engine`; SettingError for what the device cannot do."""
        from segtween.device.cuts import DeviceCuts
        from segtween.device.engine import DeviceEngine
        from segtween.device.graphs import recorder

        check_settings(settings, self.name)
        flow = flow or self.flow(settings, classes=len(segmenter.labels))
        stays = getattr(flow, "stays", False)  # what fetches anything cannot be recorded
        return DeviceEngine(
            segmenter,
            flow,
            ops=self.ops,
            schedule=build_schedule(settings),
            fusion=ReliabilityBlend(weight=settings.history_weight) if settings.fusion == "blend" else Replace(),
            resampling_refiner=None,
            cuts=DeviceCuts() if settings.cuts else NoCuts(),
            carry=settings.carry,
            record=recorder(self.ops.device) if self.fast.graphs and stays else None,
            timed=timed,
        )

    def plain(self, segmenter: Segmenter, *, timed: bool = False) -> DeviceEngine:
        """The plain network on every frame, as `build.build_plain`."""
        from segtween.device.engine import DeviceEngine

        settings = Settings(interval=0)
        return DeviceEngine(
            segmenter,
            None,
            ops=self.ops,
            schedule=FixedInterval(0),
            fusion=Replace(),
            resampling_refiner=None,
            cuts=NoCuts(),
            carry=settings.carry,
            timed=timed,
        )

    def _is_half(self, precision: str | None) -> bool:
        known = (HALF, WHOLE) if self.ops.device.type == "cuda" else (WHOLE,)
        if precision in (None, "auto"):
            return self.fast.half
        if precision not in known:
            raise SettingError(
                f"precision {precision} on device {self.name}",
                expected=f"{' or '.join(known)} there",
                do="leave --precision out, or give --device cpu",
            )
        return precision == HALF


def open_device(name: str, *, threads: int = 0, without: tuple[str, ...] = (), keeps_frame: bool = False) -> Device:
    """A device other than `cpu`, ready to build on; `without` names fields of `device.Fast`.

    `keeps_frame`: several engines are shown the same arrays, which are sent once. Raises MissingExtraError without
    torch, SettingError where there is no such device.
    """
    if check_device(name) == CPU:
        raise SettingError("device cpu, which needs none of this", expected="cuda or torch-cpu", do="leave it out")
    device, fast = torch_device(name, threads=threads), Fast.without(*without)
    from segtween.device import eager
    from segtween.device.arrays import TorchOps

    kernels: Any = eager
    if device.type == "cpu":
        fast = Fast.nothing()
    elif fast.kernels and has_kernels():
        from segtween.device import kernels
    else:
        fast = replace(fast, kernels=False)
    return Device(name, TorchOps(device, kernels=kernels, keeps_frame=keeps_frame), fast, threads)


def check_settings(settings: Settings, device: str) -> None:
    """SettingError for what works on the processor only."""
    only_there = {
        "the offline mode": settings.offline,
        f"late {settings.late}": settings.late not in (None, 0),
        f"refine {settings.refine}": settings.refine != "none",
        "SwNet-seq's arrays": settings.arrays != "own",
    }
    for what, asked in only_there.items():
        if asked:
            raise SettingError(
                f"{what} on device {device}", expected="preset composed, blend or warp there", do="give --device cpu"
            )
