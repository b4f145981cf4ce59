"""How fast a method is on a device: frames in its memory, labels into its memory (docs/gpu.md).

Everything is interleaved, one period (a key frame and the frames after it) at a time. A frame is timed until its labels
are there, as on the processor; `in_a_row` is what comes of asking for one frame after the other and waiting at the end
only.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from segtween.bench.baselines import BASELINES, check_baselines, in_torch
from segtween.bench.plan import WARM_UP_PERIODS, Plan, to_and_fro
from segtween.bench.report import Header, MethodReport
from segtween.bench.speed_report import STAGES
from segtween.build import build_engine, build_every_frame
from segtween.build import method as method_of
from segtween.device.backend import Device
from segtween.engine.bidirectional import BidirectionalEngine
from segtween.engine.clock import Clock
from segtween.interfaces import Engine, Segmenter
from segtween.metrics.timing import Timing, percentiles, quartiles
from segtween.settings import Settings
from segtween.texttable import TextTable, count
from segtween.types import Progress, SizeHW, steps

ON_DEVICE = {name: BASELINES[name] for name in ("reference", "reference-flownets", "torch", "torch-compile")}
"""What a user would pick instead, in float32 on the same device, fed from its memory."""
STAGE_PERIODS = 3


@dataclass(frozen=True)
class DeviceReport(MethodReport):
    """`results` are the method's, `against` others'. Each has `ms_per_frame` (median key frame and median other
    frames), `fps`, `in_a_row_fps`, `share_of_limit`, `peak_mib` of the device's memory, for everything that is timed
    together (None on a processor), and the times that these come from."""

    device: dict[str, Any]
    repeats: int
    results: list[dict[str, Any]]
    against: list[dict[str, Any]]

    def figures(self) -> dict[str, Any]:
        return {"device": self.device, "repeats": self.repeats, "results": self.results, "against": self.against}

    def figure_tables(self) -> list[TextTable]:
        """Everything that was timed, the slowest first, and the stages."""
        own = [r["interval"] for r in self.results]
        columns = ["in the same run", "interval", "ms per frame", "frames per second", "in a row", "key frame ms"]
        columns += ["other frame ms", "share of the limit", *(f"segtween at {i} is faster" for i in own), "peak MiB"]
        rows = [_cells(r, own) for r in sorted([*self.against, *self.results], key=lambda r: -float(r["ms_per_frame"]))]
        stages = TextTable(
            "median ms of each stage, each waited for",
            ["interval", "frames", *STAGES],
            [row for result in self.results for row in _stage_rows(result)],
        )
        return [TextTable(f"{self.header.title}, {self.device['name']}", columns, rows), stages]

    @property
    def basis(self) -> str:
        return f"medians of {count(self.repeats, 'period')} after warm-up"

    def remarks(self) -> list[str]:
        return [f"{self.device['name']}; " + ", ".join(f"{name} {on}" for name, on in self.device["fast"].items())]


def bench_device(
    segmenter: Segmenter,
    *,
    device: Device,
    settings: Settings,
    name: str,
    plan: Plan,
    progress: Progress | None = None,
) -> DeviceReport:
    """Times a preset's settings at the plan's intervals and the plain network (interval 0), on its clip. In the
    bidirectional mode a key frame's time holds that of the labels of the period before it, which it completes.

    `segmenter` is one of the device's, which also decides about threads; the plan's `against` names entries of
    `ON_DEVICE`. Raises SettingError for unknown baselines and what the device cannot do; ModelError for baselines of a
    network that has no definition in torch.
    """
    check_baselines(plan.against, among=ON_DEVICE, where=f" on device {device.name}")
    frames = [device.arrays.image(rgb) for rgb in plan.frames()]
    intervals = (0, *plan.above)
    engines = [
        build_every_frame(segmenter, backend=device),
        *(build_engine(segmenter, settings.at(i), backend=device) for i in plan.above),
    ]
    own = [_Run(i, _pushing(engine)) for i, engine in zip(intervals, engines, strict=True)]
    others = [
        _Run(interval, call, name=baseline)
        for baseline in dict.fromkeys(plan.against)
        for call in (_baseline(baseline, segmenter, device, plan.size_hw),)
        for interval in (plan.above if ON_DEVICE[baseline].has_keys else [0])
    ]
    _interleave([*own, *others], frames, device, plan, progress)
    notes = [note for engine in engines for note in engine.notes]
    stages = [_stages(device, segmenter, settings, interval, frames) for interval in intervals]
    plain_ms = own[0].ms_per_frame()
    method = method_of(build_engine(segmenter, settings, backend=device), name=name)
    return DeviceReport(
        Header.of(segmenter, method, plan=plan, notes=notes),
        device={"name": device.arrays.name, "fast": device.fast.to_json()},
        repeats=plan.repeats,
        results=[run.result(own, plain_ms) | {"stages_ms": s} for run, s in zip(own, stages, strict=True)],
        against=[run.result(own, plain_ms) for run in others],
    )


Call = Callable[..., Any]
"""(rgb, *, is_key) -> labels of the next frame, perhaps not ready yet; `is_key` where somebody else decides it."""


def _pushing(engine: Engine) -> Call:
    return lambda rgb, *, is_key: engine.push(rgb)  # noqa: ARG005


def _baseline(name: str, segmenter: Segmenter, device: Device, size_hw: SizeHW) -> Call:
    from segtween.networks.plain_torch import ReferencePipeline

    every = in_torch(
        segmenter, size_hw, threads=device.arrays.threads, device=device.arrays.device, compiled=name == "torch-compile"
    )
    if not ON_DEVICE[name].has_keys:
        return every
    flow = "flow-light" if name == "reference" else "flownets"
    return ReferencePipeline(every, classes=len(segmenter.labels), flow=flow)


def _interleave(
    runs: Sequence[_Run], frames: Sequence[Any], device: Device, plan: Plan, progress: Progress | None
) -> None:
    periods = 2 * plan.periods
    step = steps(progress, periods * sum(run.interval + 1 for run in runs))
    for period in range(periods):
        in_a_row, timed = period % 2 == 1, period >= 2 * WARM_UP_PERIODS
        for run in runs:
            run.period(frames, device, in_a_row=in_a_row, timed=timed)
            step(run.interval + 1)


@dataclass
class _Run:
    """A method or baseline at one interval with its own position in the clip, and its times."""

    interval: int
    call: Call
    name: str = ""
    key_ms: array[float] = field(default_factory=lambda: array("d"))
    other_ms: array[float] = field(default_factory=lambda: array("d"))
    row_ms: array[float] = field(default_factory=lambda: array("d"))
    peak_mib: float | None = None
    position: int = 0

    def period(self, frames: Sequence[Any], device: Device, *, in_a_row: bool, timed: bool) -> None:
        """A key frame and the frames up to the next one."""
        device.arrays.forget_peak()
        began = time.perf_counter()
        for i in range(self.interval + 1):
            at = time.perf_counter()
            self.call(to_and_fro(frames, self.position), is_key=i == 0)
            self.position += 1
            if in_a_row:
                continue
            device.arrays.wait()
            if timed:
                (self.other_ms if i else self.key_ms).append((time.perf_counter() - at) * 1e3)
        if in_a_row:
            device.arrays.wait()
            if timed:
                self.row_ms.append((time.perf_counter() - began) * 1e3)
        if timed:
            self.peak_mib = device.arrays.peak_mib()

    def ms_per_frame(self) -> float:
        key, other = (quartiles(ms)["median"] if ms else 0.0 for ms in (self.key_ms, self.other_ms))
        return (key + self.interval * other) / (self.interval + 1)

    def result(self, own: Sequence[_Run], plain_ms: float) -> dict[str, Any]:
        ms = self.ms_per_frame()
        return {
            **({"name": self.name, "title": ON_DEVICE[self.name].title} if self.name else {}),
            "interval": self.interval,
            "ms_per_frame": ms,
            "fps": 1e3 / ms,
            "in_a_row_fps": 1e3 * (self.interval + 1) / quartiles(self.row_ms)["median"],
            "share_of_limit": plain_ms / ms / (self.interval + 1),
            "times_faster": {f"{run.interval}": ms / run.ms_per_frame() for run in own},
            "key_frame": quartiles(self.key_ms),
            "other_frame": quartiles(self.other_ms) if self.other_ms else None,
            "latency_ms": percentiles([*self.key_ms, *self.other_ms]),
            "peak_mib": self.peak_mib,
        }


def _stages(
    device: Device, segmenter: Segmenter, settings: Settings, interval: int, frames: Sequence[Any]
) -> dict[str, Any]:
    """Median milliseconds of each stage of key frames and others, with an engine that waits for each."""
    timed = replace(device, timed=True)
    engine = (
        build_engine(segmenter, settings.at(interval), backend=timed)
        if interval
        else build_every_frame(segmenter, backend=timed)
    )
    if isinstance(engine, BidirectionalEngine):
        engine.clock = partial(Clock, device.arrays.wait)
    times = {"key": Timing(), "other": Timing()}
    for position in range(STAGE_PERIODS * (interval + 1)):
        for result in engine.push(to_and_fro(frames, position)):
            if result.index > interval:
                times["key" if result.is_key else "other"].update(result.stages_ms)
    return {kind: {stage: v["median"] for stage, v in timing.compute().items()} for kind, timing in times.items()}


def _cells(result: dict[str, Any], own: Sequence[int]) -> list[str]:
    title = result.get("title") or ("segtween" if result["interval"] else "segtween, network on every frame")
    other, peak = result["other_frame"], result["peak_mib"]
    return [
        title,
        f"{result['interval']}",
        f"{result['ms_per_frame']:.3f}",
        f"{result['fps']:.0f}",
        f"{result['in_a_row_fps']:.0f}",
        f"{result['key_frame']['median']:.3f}",
        "-" if other is None else f"{other['median']:.3f}",
        f"{100 * result['share_of_limit']:.0f}%",
        *(f"{result['times_faster'][f'{i}']:.1f}x" for i in own),
        "-" if peak is None else f"{peak:.0f}",
    ]


def _stage_rows(result: dict[str, Any]) -> list[list[str]]:
    return [
        [f"{result['interval']}", kind, *(f"{stages[s]:.3f}" if s in stages else "-" for s in STAGES)]
        for kind, stages in result["stages_ms"].items()
        if stages
    ]
