"""How fast a method is: frames in memory, label arrays out, one frame after the other (docs/evaluation.md).

Interval 0 is the plain network and its labels, without flow or fusion. All intervals take turns, one period
(a key frame and the frames after it) at a time, so that a slower moment of the machine falls on all of them.
"""

from __future__ import annotations

import platform
import time
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from segtween.bench.baselines import RIVALS, Rival, check_rivals
from segtween.build import build_engine, build_every_frame, has_stored_flow
from segtween.build import method as method_of
from segtween.engine import Engine
from segtween.engine.bidirectional import BidirectionalEngine
from segtween.errors import SettingError
from segtween.interfaces import Segmenter
from segtween.metrics.timing import Timing, percentiles, quartiles
from segtween.ops.cpu import CpuOps
from segtween.settings import Settings
from segtween.texttable import TextTable, count
from segtween.types import Method, Result, Rgb, SizeHW, format_size

Progress = Callable[[int, int], None]
"""Called after every frame with the frames done and all frames."""

WARM_UP_PERIODS = 2
CLIP_FRAMES = 8
LEAST_SIDE = 64
STAGES = ("prepare", "flow", "propagate", "segment", "refine", "label")


@dataclass(frozen=True)
class BenchReport:
    """The outcome: milliseconds and shares. `to_json` is the file's form, `tables` what is printed."""

    method: Method
    network: dict[str, Any]
    size_hw: SizeHW
    scale: float
    threads: int
    repeats: int
    versions: dict[str, str]
    notes: list[str]
    results: list[dict[str, Any]]
    fused: dict[str, Any] | None = None
    """Interval 0 with flow and fusion, where it was timed; `results` at 0 are the plain network's."""
    against: Sequence[dict[str, Any]] = ()
    """What a user would pick instead, timed in the same run."""

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method.to_json(),
            "size_hw": list(self.size_hw),
            "scale": self.scale,
            "model": self.network.get("name", "callable"),
            "runtime": self.network.get("runtime", "python"),
            "precision": self.network.get("precision", "unknown"),
            "threads": self.threads,
            "repeats": self.repeats,
            "versions": self.versions,
            "notes": self.notes,
            "results": self.results,
            **({} if self.fused is None else {"fused": self.fused}),
            **({"against": list(self.against)} if self.against else {}),
        }

    def tables(self) -> list[TextTable | str]:
        """The figures, the stages, and what has to be known to read them."""
        record = self.to_json()
        title = (
            f"{record['model']} on frames of {format_size(self.size_hw)} (width x height), scale {self.scale:g}, "
            f"{record['runtime']} in {record['precision']}, {count(self.threads, 'thread')}"
        )
        columns = ["interval", "ms per frame", "frames per second", "key frame ms", "other frame ms", "faster"]
        figures = TextTable(title, [*columns, "mixed cells"], [_cells(result) for result in self.results])
        stages = TextTable(
            "median ms of each stage (lower to upper quartile)",
            ["interval", "frames", *STAGES],
            [row for result in self.results for row in _stage_rows(result)],
        )
        remarks = [
            f"method {self.method.name} {self.method.hash}; medians of {count(self.repeats, 'period')} after warm-up",
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            *(_latency(result) for result in self.results),
            *self.notes,
        ]
        compared = [_comparison(self)] if self.against else []
        return [figures, *compared, stages, "\n".join(remarks)]


def bench(
    segmenter: Segmenter,
    *,
    settings: Settings,
    name: str,
    size_hw: SizeHW,
    intervals: Sequence[int],
    repeats: int = 7,
    threads: int = 0,
    against: Sequence[str] = (),
    progress: Progress | None = None,
) -> BenchReport:
    """Times a preset's settings at the intervals, always beside interval 0, on a moving textured clip.

    `repeats` periods are timed per interval, after two that are not. `threads` 0 uses every processor (the
    segmenter has threads of its own, by its own setting). `against` names entries of `rivals.RIVALS`, which take turns
    with the intervals. Raises SettingError for sizes below 64x64, intervals below 0, fewer than one repeat, and for
    stored scores or flow; what cannot be opened raises its own error (MissingExtraError without torch).
    """
    return bench_presets(
        segmenter,
        presets={name: settings},
        size_hw=size_hw,
        intervals=intervals,
        repeats=repeats,
        threads=threads,
        against=against,
        progress=progress,
    )[name]


def bench_presets(
    segmenter: Segmenter,
    *,
    presets: Mapping[str, Settings],
    size_hw: SizeHW,
    intervals: Sequence[int],
    repeats: int = 7,
    threads: int = 0,
    fused: Collection[str] = (),
    against: Sequence[str] = (),
    progress: Progress | None = None,
) -> dict[str, BenchReport]:
    """`bench` for several presets, by name. All take turns with each other and share interval 0.

    Presets named in `fused` are timed at interval 0 with flow and fusion too. In the offline mode, whose frames come
    late, a period is timed as a whole.
    """
    if repeats < 1 or min(size_hw) < LEAST_SIDE:
        raise SettingError(
            f"{repeats} repeats on frames of {format_size(size_hw)}",
            expected=f"1 repeat or more, frames of at least {LEAST_SIDE}x{LEAST_SIDE} (width x height)",
            do="give larger numbers",
        )
    refuse_stored(segmenter, presets)
    check_rivals(against)
    ops, frames = CpuOps(threads=threads), moving_clip(size_hw)
    plain = _Run(0, build_every_frame(segmenter, backend=backend))
    above = sorted(set(intervals) - {0})
    own = {
        name: [_Run(i, build_engine(segmenter, settings.at(i), backend=backend)) for i in above]
        for name, settings in presets.items()
    }
    whole = {name: _Run(0, build_engine(segmenter, presets[name].at(0), backend=backend)) for name in fused}
    others = [
        _RivalRun(name, interval, rival)
        for name in dict.fromkeys(against)
        for rival in (RIVALS[name].open(segmenter, size_hw, ops),)
        for interval in (above if RIVALS[name].has_keys else [0])
    ]
    runs: list[_Run | _RivalRun] = [plain, *whole.values(), *(run for some in own.values() for run in some), *others]
    periods = WARM_UP_PERIODS + repeats
    done, total = 0, periods * sum(run.interval + 1 for run in runs)
    for period in range(periods):
        for run in runs:
            run.period(frames, timed=period >= WARM_UP_PERIODS)
            done += run.interval + 1
            if progress is not None:
                progress(done, total)

    def report(name: str) -> BenchReport:
        mine = [plain, *own[name]]
        return BenchReport(
            method=method_of(build_engine(segmenter, presets[name], backend=backend), name=name),
            network=segmenter.describe(),
            size_hw=size_hw,
            scale=float(getattr(segmenter, "scale", 1.0)),
            threads=ops.rows.threads,
            repeats=repeats,
            versions=versions(),
            notes=[*getattr(segmenter, "notes", []), *(run.remark for run in mine if run.cuts)],
            results=[run.result(plain_ms=plain.ms_per_frame()) for run in mine],
            fused=whole[name].result(plain_ms=plain.ms_per_frame()) if name in whole else None,
            against=[run.result(plain_ms=plain.ms_per_frame(), ours=mine) for run in others],
        )

    return {name: report(name) for name in presets}


def refuse_stored(segmenter: Segmenter, presets: Mapping[str, Settings]) -> None:
    if hasattr(segmenter, "select"):
        raise SettingError("stored scores cannot be timed", expected="a network", do="give --model NAME or FILE.onnx")
    for name, settings in presets.items():
        if has_stored_flow(settings):
            raise SettingError(
                f"stored flow {settings.flow} cannot be timed (preset {name})",
                expected="a flow estimator",
                do="give --flow dis",
            )


def moving_clip(size_hw: SizeHW, *, frames: int = CLIP_FRAMES, seed: int = 0) -> list[Rgb]:
    """RGB frames that look at a textured picture from a place moving by 0.4% of the width from frame to frame.

    Played to and fro they go on for ever without a cut.
    """
    import cv2

    height, width = size_hw
    step = max(1, round(0.004 * width))
    rng = np.random.default_rng(seed)
    picture = np.zeros((height + step * frames, width + 2 * step * frames, 3), np.float32)
    for cell, strength in ((64, 110.0), (24, 90.0), (8, 55.0)):
        coarse = rng.random((picture.shape[0] // cell + 2, picture.shape[1] // cell + 2, 3), dtype=np.float32)
        picture += strength * cv2.resize(coarse, picture.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    texture = np.clip(picture, 0, 255).astype(np.uint8)
    corners = [(step * i, 2 * step * i) for i in range(frames)]
    return [np.ascontiguousarray(texture[y : y + height, x : x + width]) for y, x in corners]


def to_and_fro(frames: Sequence[Rgb], position: int) -> Rgb:
    """The frame at a position of a clip that is played forwards and backwards for ever."""
    at = position % (2 * len(frames) - 2)
    return frames[min(at, 2 * len(frames) - 2 - at)]


@dataclass
class _Kind:
    """Times of the key frames, or of the other frames."""

    frame_ms: array[float] = field(default_factory=lambda: array("d"))
    stages: Timing = field(default_factory=Timing)

    def to_json(self) -> dict[str, Any] | None:
        return {**quartiles(self.frame_ms), "stages_ms": self.stages.compute()} if self.frame_ms else None


class _Run:
    """One interval's engine on its own way through the clip, and its times."""

    def __init__(self, interval: int, engine: Engine | BidirectionalEngine) -> None:
        self.interval, self.engine, self._is_late = interval, engine, isinstance(engine, BidirectionalEngine)
        self.key, self.other = _Kind(), _Kind()
        self.period_ms, self.mixed = array("d"), array("d")
        self.cuts = self._position = 0

    @property
    def remark(self) -> str:
        return f"interval {self.interval}: {self.cuts} frames of the clip were taken for scene cuts and made key frames"

    def period(self, frames: Sequence[Rgb], *, timed: bool) -> None:
        """A key frame and the frames up to the next one."""
        whole = 0.0
        for _ in range(self.interval + 1):
            rgb = to_and_fro(frames, self._position)
            began = time.perf_counter()
            results = self.engine.push(rgb)
            frame_ms = (time.perf_counter() - began) * 1e3
            self._position += 1
            whole += frame_ms
            if timed:
                for result in results:
                    self._note(result, sum(result.stages_ms.values()) if self._is_late else frame_ms)
        if timed:
            self.period_ms.append(whole)

    def _note(self, result: Result, frame_ms: float) -> None:
        kind = self.key if result.is_key else self.other
        kind.frame_ms.append(frame_ms)
        kind.stages.update(result.stages_ms)
        self.mixed.append(cast(CpuOps, self.engine.ops).mixed_cells)
        self.cuts += result.is_cut

    def ms_per_frame(self) -> float:
        """Mean over a period made of the median key frame and median other frames; offline, of the median period."""
        if self._is_late:
            return quartiles(self.period_ms)["median"] / (self.interval + 1)
        return _mean(self.interval, self.key.to_json(), self.other.to_json(), lambda kind: float(kind["median"]))

    def result(self, *, plain_ms: float) -> dict[str, Any]:
        key, other, ms = self.key.to_json(), self.other.to_json(), self.ms_per_frame()

        def stage_ms(stage: str) -> float:
            return _mean(
                self.interval, key, other, lambda kind: kind["stages_ms"].get(stage, {"median": 0.0})["median"]
            )

        return {
            "interval": self.interval,
            "ms_per_frame": ms,
            "fps": 1e3 / ms,
            "stages_ms": {stage: value for stage in STAGES if (value := stage_ms(stage)) > 0},
            "share_of_limit": plain_ms / ms / (self.interval + 1),
            "times_faster": plain_ms / ms,
            "times_possible": self.interval + 1,
            "key_frame": key,
            "other_frame": other,
            "latency_ms": percentiles([*self.key.frame_ms, *self.other.frame_ms]),
            "period_ms": quartiles(self.period_ms),
            "mixed_cells": quartiles(self.mixed)["median"],
        }


class _RivalRun:
    """One rival at one interval on its way through the clip, and its times."""

    def __init__(self, name: str, interval: int, rival: Rival) -> None:
        self.name, self.interval, self.rival = name, interval, rival
        self.key, self.other = _Kind(), _Kind()
        self._position = 0

    def period(self, frames: Sequence[Rgb], *, timed: bool) -> None:
        """A key frame and the frames up to the next one."""
        for i in range(self.interval + 1):
            rgb = to_and_fro(frames, self._position)
            began = time.perf_counter()
            self.rival(rgb, is_key=i == 0)
            frame_ms = (time.perf_counter() - began) * 1e3
            self._position += 1
            if timed:
                (self.other if i else self.key).frame_ms.append(frame_ms)

    def result(self, *, plain_ms: float, ours: Sequence[_Run]) -> dict[str, Any]:
        key, other = self.key.to_json(), self.other.to_json()
        ms = _mean(self.interval, key, other, lambda kind: float(kind["median"]))
        return {
            "name": self.name,
            "title": RIVALS[self.name].title,
            "interval": self.interval,
            "ms_per_frame": ms,
            "fps": 1e3 / ms,
            "share_of_limit": plain_ms / ms / (self.interval + 1),
            "key_frame": key,
            "other_frame": other,
            "method_times_faster": {f"{run.interval}": ms / run.ms_per_frame() for run in ours},
        }


def _latency(result: dict[str, Any]) -> str:
    ms = result["latency_ms"]
    return (
        f"interval {result['interval']}: half of the frames take up to {ms['p50']:.1f} ms, "
        f"95% {ms['p95']:.1f} ms, 99% {ms['p99']:.1f} ms, the slowest {ms['most']:.1f} ms"
    )


def _mean(
    interval: int, key: dict[str, Any] | None, other: dict[str, Any] | None, figure: Callable[[dict[str, Any]], float]
) -> float:
    """Over a period: one key frame and `interval` others."""
    both = (0.0 if kind is None else figure(kind) for kind in (key, other))
    return sum(n * value for n, value in zip((1, interval), both, strict=True)) / (interval + 1)


def versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in ("segtween", "numpy", "opencv-python-headless", "numba", "openvino", "onnxruntime", "torch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cells(result: dict[str, Any]) -> list[str]:
    other = result["other_frame"]
    faster, possible, share = result["times_faster"], result["times_possible"], result["share_of_limit"]
    return [
        f"{result['interval']}" + (" (network on every frame)" if result["interval"] == 0 else ""),
        f"{result['ms_per_frame']:.1f}",
        f"{result['fps']:.1f}",
        f"{result['key_frame']['median']:.1f}",
        "-" if other is None else f"{other['median']:.1f}",
        "-" if possible == 1 else f"{faster:.1f}x of {possible}x possible ({100 * share:.0f}%)",
        f"{100 * result['mixed_cells']:.0f}%",
    ]


def _comparison(report: BenchReport) -> TextTable:
    """The rivals and the method itself, slowest first, and how many times faster the method is at each interval."""
    plain_ms = report.results[0]["ms_per_frame"]
    own = [
        {
            "title": f"segtween, {report.method.name}" if result["interval"] else "segtween, network on every frame",
            **result,
            "method_times_faster": {
                f"{other['interval']}": result["ms_per_frame"] / other["ms_per_frame"] for other in report.results
            },
        }
        for result in report.results
    ]
    above = [result["interval"] for result in report.results if result["interval"]]
    measured = sorted([*report.against, *own], key=lambda row: -float(row["ms_per_frame"]))
    with_accuracy = any(row.get("miou") is not None for row in measured)
    rows = []
    for row in measured:
        other, possible = row["other_frame"], row["interval"] + 1
        faster = [row["method_times_faster"][f"{interval}"] for interval in above]
        accuracy = "-" if row.get("miou") is None else f"{100 * row['miou']:.1f}"
        rows.append([
            row["title"],
            f"{row['interval']}",
            *([accuracy] if with_accuracy else []),
            f"{row['ms_per_frame']:.1f}",
            f"{row['key_frame']['median']:.1f}",
            "-" if other is None else f"{other['median']:.1f}",
            f"{100 * plain_ms / row['ms_per_frame'] / possible:.0f}%",
            *(f"{times:.1f}x" for times in faster),
        ])  # fmt: skip
    columns = ["in the same run", "interval", *(["mIoU"] if with_accuracy else []), "ms per frame", "key frame ms"]
    columns += ["other frame ms", "share of the limit", *(f"segtween at {interval} is faster" for interval in above)]
    return TextTable("against what one would pick instead, the slowest first", columns, rows)


def _stage_rows(result: dict[str, Any]) -> list[list[str]]:
    rows = []
    for kind, name in (("key_frame", "key"), ("other_frame", "other")):
        if result[kind] is not None:
            stages = result[kind]["stages_ms"]
            rows.append([f"{result['interval']}", name, *(_spread(stages.get(stage)) for stage in STAGES)])
    return rows


def _spread(stage: dict[str, float] | None) -> str:
    return "-" if stage is None else f"{stage['median']:.1f} ({stage['q1']:.1f} to {stage['q3']:.1f})"
