"""How fast a method is on a device: frames in its memory, labels into its memory (docs/gpu.md).

Everything takes turns, one period (a key frame and the frames after it) at a time. A frame is timed until its labels
are there, as on the processor; `in_a_row`, beside it, is what comes of asking for one frame after the other and waiting
at the end only.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from segtween.bench import LEAST_SIDE, STAGES, WARM_UP_PERIODS, Progress, moving_clip, to_and_fro, versions
from segtween.build import method as method_of
from segtween.device.backend import Device
from segtween.errors import SettingError, unknown
from segtween.interfaces import Segmenter
from segtween.metrics.timing import Timing, percentiles, quartiles
from segtween.settings import Settings
from segtween.texttable import TextTable, count
from segtween.types import Method, SizeHW, format_size

RIVALS = {
    "reference": "SwNet-seq in plain torch, light flow",
    "reference-flownets": "SwNet-seq in plain torch, FlowNetS",
    "torch": "plain torch",
    "torch-compile": "torch.compile",
}
"""What a user would pick instead, in float32 on the same device, fed from its memory."""
KEYED = ("reference", "reference-flownets")
STAGE_PERIODS = 3


@dataclass(frozen=True)
class DeviceReport:
    """The outcome; `results` are the method's, `against` others'. Each has `ms_per_frame` (median key frame and median
    other frames), `fps`, `in_a_row_fps`, `share_of_limit`, `peak_mib` of the device's memory, for everything that is
    timed together (None on a processor), and the times that these come from."""

    method: Method
    network: dict[str, Any]
    size_hw: SizeHW
    scale: float
    device: dict[str, Any]
    repeats: int
    versions: dict[str, str]
    notes: list[str]
    results: list[dict[str, Any]]
    against: list[dict[str, Any]]

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method.to_json(),
            "model": self.network.get("name", "callable"),
            "runtime": self.network.get("runtime", "python"),
            "precision": self.network.get("precision", "unknown"),
            "size_hw": list(self.size_hw),
            "scale": self.scale,
            "device": self.device,
            "repeats": self.repeats,
            "versions": self.versions,
            "notes": self.notes,
            "results": self.results,
            "against": self.against,
        }

    def tables(self) -> list[TextTable | str]:
        """Everything that was timed, the slowest first, the stages, and what has to be known to read them."""
        record = self.to_json()
        title = (
            f"{record['model']} on frames of {format_size(self.size_hw)} (width x height), scale {self.scale:g}, "
            f"{record['runtime']} in {record['precision']}, {self.device['name']}"
        )
        own = [r["interval"] for r in self.results]
        columns = ["in the same run", "interval", "ms per frame", "frames per second", "in a row", "key frame ms"]
        columns += ["other frame ms", "share of the limit", *(f"segtween at {i} is faster" for i in own), "peak MiB"]
        rows = [_cells(r, own) for r in sorted([*self.against, *self.results], key=lambda r: -float(r["ms_per_frame"]))]
        stages = TextTable(
            "median ms of each stage, each waited for",
            ["interval", "frames", *STAGES],
            [row for result in self.results for row in _stage_rows(result)],
        )
        remarks = [
            f"method {self.method.name} {self.method.hash}; medians of {count(self.repeats, 'period')} after warm-up",
            f"{self.device['name']}; " + ", ".join(f"{name} {on}" for name, on in self.device["fast"].items()),
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            *self.notes,
        ]
        return [TextTable(title, columns, rows), stages, "\n".join(remarks)]


def bench_device(
    segmenter: Segmenter,
    *,
    device: Device,
    settings: Settings,
    name: str,
    size_hw: SizeHW,
    intervals: Sequence[int],
    repeats: int = 7,
    against: Sequence[str] = (),
    progress: Progress | None = None,
) -> DeviceReport:
    """Times a preset's settings at the intervals, always beside the plain network (interval 0), on a moving clip.

    `segmenter` is one of the device's; `against` names entries of `RIVALS`. Raises SettingError for sizes below 64x64,
    fewer than one repeat, unknown rivals and what the device cannot do; ModelError for rivals of a network that has no
    definition in torch.
    """
    if repeats < 1 or min(size_hw) < LEAST_SIDE:
        raise SettingError(
            f"{repeats} repeats on frames of {format_size(size_hw)}",
            expected=f"1 repeat or more, frames of at least {LEAST_SIDE}x{LEAST_SIDE} (width x height)",
            do="give larger numbers",
        )
    for rival in against:
        if rival not in RIVALS:
            raise unknown(f"--against {rival!r} on device {device.name}", rival, RIVALS)
    frames = [device.ops.image(rgb) for rgb in moving_clip(size_hw)]
    above = sorted(set(intervals) - {0})
    engines = [device.plain(segmenter), *(device.engine(segmenter, settings.at(i)) for i in above)]
    own = [_Way(i, _stepping(engine)) for i, engine in zip((0, *above), engines, strict=True)]
    others = [
        _Way(interval, way, name=rival)
        for rival in dict.fromkeys(against)
        for way in (_rival(rival, segmenter, device, size_hw),)
        for interval in (above if rival in KEYED else [0])
    ]
    _run([*own, *others], frames, device, repeats, progress)
    notes = [*getattr(segmenter, "notes", []), *(note for engine in engines for note in engine.notes)]
    stages = [_stages(device, segmenter, settings, interval, frames) for interval in (0, *above)]
    plain_ms = own[0].ms_per_frame()
    return DeviceReport(
        method=method_of(device.engine(segmenter, settings), name=name),
        network=segmenter.describe(),
        size_hw=size_hw,
        scale=float(getattr(segmenter, "scale", 1.0)),
        device={"name": device.ops.name, "fast": device.fast.to_json()},
        repeats=repeats,
        versions=versions(),
        notes=list(dict.fromkeys(notes)),
        results=[way.result(own, plain_ms) | {"stages_ms": s} for way, s in zip(own, stages, strict=True)],
        against=[way.result(own, plain_ms) for way in others],
    )


class Call(Protocol):
    """Labels of the next frame, perhaps still on their way; `is_key` where somebody else decides it."""

    def __call__(self, rgb: Any, *, is_key: bool) -> Any: ...


def _stepping(engine: Any) -> Call:
    return lambda rgb, *, is_key: engine.step(rgb).labels  # noqa: ARG005


def _rival(name: str, segmenter: Segmenter, device: Device, size_hw: SizeHW) -> Call:
    from segtween.bench.baselines import in_torch
    from segtween.networks.plain_torch import ReferencePipeline

    every = in_torch(
        segmenter, size_hw, threads=device.ops.threads, device=device.ops.device, compiled=name == "torch-compile"
    )
    if name not in KEYED:
        return every
    flow = "flow-light" if name == "reference" else "flownets"
    return ReferencePipeline(every, classes=len(segmenter.labels), flow=flow)


def _run(ways: Sequence[_Way], frames: Sequence[Any], device: Device, repeats: int, progress: Progress | None) -> None:
    periods = 2 * (WARM_UP_PERIODS + repeats)
    done, total = 0, periods * sum(way.interval + 1 for way in ways)
    for period in range(periods):
        in_a_row, timed = period % 2 == 1, period >= 2 * WARM_UP_PERIODS
        for way in ways:
            way.period(frames, device, in_a_row=in_a_row, timed=timed)
            done += way.interval + 1
            if progress is not None:
                progress(done, total)


@dataclass
class _Way:
    """One way to label a clip, at one interval, and its times."""

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
        device.ops.forget_peak()
        began = time.perf_counter()
        for i in range(self.interval + 1):
            at = time.perf_counter()
            self.call(to_and_fro(frames, self.position), is_key=i == 0)
            self.position += 1
            if in_a_row:
                continue
            device.ops.wait()
            if timed:
                (self.other_ms if i else self.key_ms).append((time.perf_counter() - at) * 1e3)
        if in_a_row:
            device.ops.wait()
            if timed:
                self.row_ms.append((time.perf_counter() - began) * 1e3)
        if timed:
            self.peak_mib = device.ops.peak_mib()

    def ms_per_frame(self) -> float:
        key, other = (quartiles(ms)["median"] if ms else 0.0 for ms in (self.key_ms, self.other_ms))
        return (key + self.interval * other) / (self.interval + 1)

    def result(self, own: Sequence[_Way], plain_ms: float) -> dict[str, Any]:
        ms = self.ms_per_frame()
        return {
            **({"name": self.name, "title": RIVALS[self.name]} if self.name else {}),
            "interval": self.interval,
            "ms_per_frame": ms,
            "fps": 1e3 / ms,
            "in_a_row_fps": 1e3 * (self.interval + 1) / quartiles(self.row_ms)["median"],
            "share_of_limit": plain_ms / ms / (self.interval + 1),
            "times_faster": {f"{way.interval}": ms / way.ms_per_frame() for way in own},
            "key_frame": quartiles(self.key_ms),
            "other_frame": quartiles(self.other_ms) if self.other_ms else None,
            "latency_ms": percentiles([*self.key_ms, *self.other_ms]),
            "peak_mib": self.peak_mib,
        }


def _stages(
    device: Device, segmenter: Segmenter, settings: Settings, interval: int, frames: Sequence[Any]
) -> dict[str, Any]:
    """Median milliseconds of each stage of key frames and others, with an engine that waits for each."""
    engine: Any = (
        device.engine(segmenter, settings.at(interval), timed=True) if interval else device.plain(segmenter, timed=True)
    )
    times = {"key": Timing(), "other": Timing()}
    for position in range(STAGE_PERIODS * (interval + 1)):
        result = engine.step(to_and_fro(frames, position))
        if position > interval:
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
