"""Several streams with one network, against as many separate runs."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtween.bench import (
    LEAST_SIDE,
    WARM_UP_PERIODS,
    Progress,
    moving_clip,
    refuse_stored,
    to_and_fro,
    versions,
)
from segtween.build import Processor, build_engine, build_streams
from segtween.build import method as method_of
from segtween.engine import Engine
from segtween.engine.multistream import Streams
from segtween.errors import SettingError
from segtween.interfaces import Segmenter
from segtween.metrics.timing import percentiles, quartiles
from segtween.settings import Settings
from segtween.texttable import TextTable
from segtween.texttable import count as counted
from segtween.types import Method, Rgb, SizeHW, format_size


@dataclass(frozen=True)
class StreamsReport:
    """The outcome. A tick is one frame of each stream. `ways` holds, for the streams `together` (key frames in turn),
    `in_phase` (key frames in the same tick) and `separate` (engines with networks of their own, one after the other):
    `tick_ms`, the median over periods of the mean tick, and its quartiles; `ticks_ms`, percentiles over all ticks;
    `memory_mb`, by how much the process grew for it (None where that was not measured)."""

    method: Method
    network: dict[str, Any]
    count: int
    interval: int
    size_hw: SizeHW
    scale: float
    threads: int
    repeats: int
    ways: dict[str, dict[str, Any]]
    share_of_separate: dict[str, float]
    network_runs_per_tick: dict[str, Any]
    cuts: int
    versions: dict[str, str]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method.to_json(),
            "model": self.network.get("name", "callable"),
            "runtime": self.network.get("runtime", "python"),
            "precision": self.network.get("precision", "unknown"),
            "streams": self.count,
            "interval": self.interval,
            "size_hw": list(self.size_hw),
            "scale": self.scale,
            "threads": self.threads,
            "repeats": self.repeats,
            "ways": self.ways,
            "share_of_separate": self.share_of_separate,
            "network_runs_per_tick": self.network_runs_per_tick,
            "versions": self.versions,
            "notes": self.notes,
        }

    def tables(self) -> list[TextTable | str]:
        """The ways beside each other, and what has to be known to read them."""
        record, runs = self.to_json(), self.network_runs_per_tick
        title = (
            f"{counted(self.count, 'stream')} of {format_size(self.size_hw)} (width x height) at interval "
            f"{self.interval}, {record['model']} at scale {self.scale:g}, {record['runtime']} in "
            f"{record['precision']}, {counted(self.threads, 'thread')}"
        )
        columns = ["", "ms per tick", "ms per frame", "half of the ticks", "95%", "the slowest", "memory, MB"]
        names = {
            "together": "one network, key frames in turn",
            "in_phase": "one network, key frames together",
            "separate": f"{counted(self.count, 'separate run')}, one after the other",
        }
        rows = [self._row(names[way], figures) for way, figures in self.ways.items()]
        share = self.share_of_separate
        slowest = {way: self.ways[way]["ticks_ms"] for way in ("together", "in_phase")}
        remarks = [
            f"together in {100 * share['median']:.0f}% ({100 * share['q1']:.0f} to {100 * share['q3']:.0f}) of the "
            f"time of {counted(self.count, 'separate run')}; with key frames in turn 95% of the ticks take up to "
            f"{slowest['together']['p95']:.1f} ms instead of {slowest['in_phase']['p95']:.1f}",
            f"network runs per tick: {runs['mean']:.2f} on average, at most {runs['most_planned']}",
            f"method {self.method.name} {self.method.hash}; medians of {counted(self.repeats, 'period')} after warm-up",
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            *self.notes,
        ]
        if self.cuts:
            remarks.append(f"{self.cuts} frames of the clips were taken for scene cuts and made key frames")
        return [TextTable(title, columns, rows), "\n".join(remarks)]

    def _row(self, name: str, figures: dict[str, Any]) -> list[str]:
        ticks, memory = figures["ticks_ms"], figures["memory_mb"]
        ms = figures["tick_ms"]["median"]
        return [
            name,
            f"{ms:.1f}",
            f"{ms / self.count:.1f}",
            *("-" if ticks is None else f"{ticks[key]:.1f}" for key in ("p50", "p95", "most")),
            "-" if memory is None else f"{memory:.0f}",
        ]


def bench_streams(
    open_segmenter: Callable[[], Segmenter],
    *,
    settings: Settings,
    name: str,
    size_hw: SizeHW,
    count: int,
    repeats: int = 7,
    threads: int = 0,
    progress: Progress | None = None,
) -> StreamsReport:
    """Times `count` streams, each its own moving textured clip, with one network and with one each.

    All ways take turns, a period (interval + 1 ticks) at a time, after two that are not timed. Raises SettingError for
    sizes below 64x64, fewer than one repeat or stream, late keys, the offline mode, adaptive schedules, stored scores
    and stored flow.
    """
    if repeats < 1 or min(size_hw) < LEAST_SIDE:
        raise SettingError(
            f"{repeats} repeats on frames of {format_size(size_hw)}",
            expected=f"1 repeat or more, frames of at least {LEAST_SIDE}x{LEAST_SIDE} (width x height)",
            do="give larger numbers",
        )
    if settings.late or settings.offline or settings.schedule != "fixed":
        raise SettingError(
            "streams against separate runs with late keys, the offline mode or an adaptive schedule",
            expected="a fixed interval, each frame's work done when its labels are there",
            do="leave --late out, or add --rate for cameras with late keys",
        )
    clips = [moving_clip(size_hw, seed=seed) for seed in range(count)]
    empty = resident_mb()
    segmenter = open_segmenter()
    refuse_stored(segmenter, {name: settings})
    engine = build_engine(segmenter, settings, backend=Processor(threads))
    together = _Ticks(build_streams(engine, settings, count), clips)
    together.period(timed=False)
    shared = resident_mb()
    separate = _Alone(
        [build_engine(open_segmenter(), settings, backend=Processor(threads)) for _ in range(count)],
        clips,
    )
    separate.period(timed=False)
    apart = resident_mb()
    in_phase = _Ticks(_in_phase(engine, settings, count), clips)
    ways: dict[str, _Ticks | _Alone] = {"together": together, "in_phase": in_phase, "separate": separate}
    memory = {"together": _grown(empty, shared), "separate": _grown(shared, apart)}
    periods = WARM_UP_PERIODS + repeats
    for period in range(periods):
        if period == WARM_UP_PERIODS:
            together.streams.runs_per_tick.clear()
            together.streams.planned_per_tick.clear()
        for way in ways.values():
            way.period(timed=period >= WARM_UP_PERIODS)
        if progress is not None:
            progress(period + 1, periods)
    shares = [own / other for own, other in zip(together.period_ms, separate.period_ms, strict=True)]
    return StreamsReport(
        method=method_of(engine, name=name),
        network=segmenter.describe(),
        count=count,
        interval=settings.interval,
        size_hw=size_hw,
        scale=float(getattr(segmenter, "scale", 1.0)),
        threads=engine.ops.rows.threads,  # type: ignore[attr-defined]
        repeats=repeats,
        ways={key: way.result(settings.interval + 1, memory.get(key)) for key, way in ways.items()},
        share_of_separate=quartiles(shares),
        network_runs_per_tick=together.streams.runs(),
        cuts=sum(way.cuts for way in ways.values()),
        versions=versions(),
        notes=list(getattr(segmenter, "notes", [])),
    )


def resident_mb() -> float | None:
    """What the process holds in memory now; None where the system does not say."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _grown(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


def _in_phase(engine: Engine, settings: Settings, count: int) -> Streams:
    """The same streams, with their key frames in the same tick."""
    engines = build_streams(engine, settings, count).engines
    for one in engines:
        one.schedule = build_schedule(settings)
    return Streams(engines, turns=None)


class _Ticks:
    """Streams on their way through their clips, and the times of their ticks."""

    def __init__(self, streams: Streams, clips: Sequence[Sequence[Rgb]]) -> None:
        self.streams, self._clips = streams, clips
        self.period_ms, self._tick_ms = array("d"), array("d")
        self._position = self.cuts = 0

    def period(self, *, timed: bool) -> None:
        whole = 0.0
        for _ in range(self.streams.engines[0].schedule.longest + 1):
            frames = [to_and_fro(clip, self._position) for clip in self._clips]
            began = time.perf_counter()
            results = self.streams.step(frames)
            tick_ms = (time.perf_counter() - began) * 1e3
            self._position += 1
            whole += tick_ms
            if timed:
                self._tick_ms.append(tick_ms)
                self.cuts += sum(result is not None and result.is_cut for result in results)
        if timed:
            self.period_ms.append(whole)

    def result(self, ticks: int, memory_mb: float | None) -> dict[str, Any]:
        tick_ms = quartiles([ms / ticks for ms in self.period_ms])
        return {"tick_ms": tick_ms, "ticks_ms": percentiles(self._tick_ms), "memory_mb": memory_mb}


class _Alone:
    """Engines that have nothing in common, one after the other through a period of their clips."""

    def __init__(self, engines: Sequence[Engine], clips: Sequence[Sequence[Rgb]]) -> None:
        self._ways = [
            _Ticks(Streams([engine], turns=None), [clip]) for engine, clip in zip(engines, clips, strict=True)
        ]
        self.period_ms = array("d")

    @property
    def cuts(self) -> int:
        return sum(way.cuts for way in self._ways)

    def period(self, *, timed: bool) -> None:
        for way in self._ways:
            way.period(timed=timed)
        if timed:
            self.period_ms.append(sum(way.period_ms[-1] for way in self._ways))

    def result(self, ticks: int, memory_mb: float | None) -> dict[str, Any]:
        tick_ms = quartiles([ms / ticks for ms in self.period_ms])
        return {"tick_ms": tick_ms, "ticks_ms": None, "memory_mb": memory_mb}
