"""Several streams with one network, against as many separate runs."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segtween.bench.plan import WARM_UP_PERIODS, Plan, refuse_stored, to_and_fro
from segtween.bench.report import Header, MethodReport
from segtween.build import Processor, build_engine, build_streams
from segtween.build import method as method_of
from segtween.engine.multistream import MultiStream
from segtween.errors import SettingError
from segtween.interfaces import Segmenter
from segtween.metrics.timing import percentiles, quartiles
from segtween.settings import Settings
from segtween.texttable import TextTable
from segtween.texttable import count as counted
from segtween.types import Progress, Rgb, steps

COLUMNS = ("", "ms per tick", "ms per frame", "median tick", "p95", "at most", "memory, MB")


@dataclass(frozen=True)
class StreamsReport(MethodReport):
    """A tick is one frame of each stream. `ways` holds, for the streams `staggered` (key frames in different ticks),
    `same_tick` (all key frames in one) and `separate` (engines with networks of their own, one after the other):
    `tick_ms`, the median over periods of the mean tick, and its quartiles; `ticks_ms`, percentiles over all ticks;
    `memory_mb`, by how much the process grew for it (None where that was not measured)."""

    count: int
    interval: int
    repeats: int
    ways: dict[str, dict[str, Any]]
    share_of_separate: dict[str, float]
    network_runs_per_tick: dict[str, Any]
    cuts: int

    def figures(self) -> dict[str, Any]:
        return {
            "streams": self.count,
            "interval": self.interval,
            "repeats": self.repeats,
            "ways": self.ways,
            "share_of_separate": self.share_of_separate,
            "network_runs_per_tick": self.network_runs_per_tick,
        }

    def figure_tables(self) -> list[TextTable]:
        header = self.header
        title = (
            f"{counted(self.count, 'stream')} of {header.frames} at interval {self.interval}, {header.model} at scale "
            f"{header.scale:g}, {header.runtime}, {counted(header.threads or 1, 'thread')}"
        )
        names = {
            "staggered": "one network, staggered key frames",
            "same_tick": "one network, key frames in the same tick",
            "separate": f"{counted(self.count, 'separate run')}, one after the other",
        }
        return [TextTable(title, COLUMNS, [self._row(names[key], figures) for key, figures in self.ways.items()])]

    @property
    def basis(self) -> str:
        return f"medians of {counted(self.repeats, 'period')} after warm-up"

    def remarks(self) -> list[str]:
        share, runs = self.share_of_separate, self.network_runs_per_tick
        p95 = {key: self.ways[key]["ticks_ms"]["p95"] for key in ("staggered", "same_tick")}
        cuts = f"{counted(self.cuts, 'frame')} of the clips taken for scene cuts and made key frames"
        return [
            f"one network takes {100 * share['median']:.0f}% ({100 * share['q1']:.0f} to {100 * share['q3']:.0f}) of "
            f"the time of {counted(self.count, 'separate run')}; p95 of the ticks is {p95['staggered']:.1f} ms with "
            f"staggered key frames, {p95['same_tick']:.1f} ms with key frames in the same tick",
            f"network runs per tick: {runs['mean']:.2f} on average, at most {runs['most_planned']}",
            *([cuts] if self.cuts else []),
        ]

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
    count: int,
    plan: Plan,
    progress: Progress | None = None,
) -> StreamsReport:
    """Times `count` streams, each on a part of the plan's clip of its own, with one network and with one each, at
    the interval of the settings.

    All three are interleaved, a period (interval + 1 ticks) at a time, after two that are not timed. Raises
    SettingError for fewer than one stream, asynchronous key frames, the offline mode, adaptive schedules, stored scores
    and flow.
    """
    _check(settings)
    clips = [plan.frames(part) for part in range(count)]
    empty, segmenter = resident_mb(), open_segmenter()
    refuse_stored(segmenter, {name: settings})
    backend = Processor(plan.threads)
    streams = build_streams(segmenter, settings, count, backend=backend)
    staggered = _Ticks([(streams, clips)], settings)
    staggered.period(timed=False)
    shared = resident_mb()
    alone = [build_engine(open_segmenter(), settings, backend=Processor(plan.threads)) for _ in clips]
    separate = _Ticks([(MultiStream([engine]), [clip]) for engine, clip in zip(alone, clips, strict=True)], settings)
    separate.period(timed=False)
    memory = {"staggered": _grown(empty, shared), "separate": _grown(shared, resident_mb())}
    same_tick = _Ticks(
        [(build_streams(segmenter, settings, count, backend=backend, is_staggered=False), clips)], settings
    )
    runs = {"staggered": staggered, "same_tick": same_tick, "separate": separate}
    _interleave(runs, plan, progress)
    shares = [own / other for own, other in zip(staggered.period_ms, separate.period_ms, strict=True)]
    ways = {key: run.result(memory.get(key)) for key, run in runs.items()}
    ways["separate"]["ticks_ms"] = None  # its engines share no tick
    method, threads = method_of(streams.engines[0], name=name), streams.engines[0].ops.threads
    return StreamsReport(
        Header.of(segmenter, method, plan=plan, threads=threads),
        count=count,
        interval=settings.interval,
        repeats=plan.repeats,
        ways=ways,
        share_of_separate=quartiles(shares),
        network_runs_per_tick=streams.runs(),
        cuts=sum(run.cuts for run in runs.values()),
    )


def _check(settings: Settings) -> None:
    if settings.delay is not None or settings.is_bidirectional or settings.is_adaptive:
        raise SettingError(
            "streams against separate runs with asynchronous key frames, the offline mode or an adaptive schedule",
            expected="a fixed interval, each frame's work done when its labels are there",
            do="leave them out, or measure cameras at a rate",
        )


def _interleave(runs: dict[str, _Ticks], plan: Plan, progress: Progress | None) -> None:
    step = steps(progress, plan.periods)
    for period in range(plan.periods):
        for run in runs.values():
            if period == WARM_UP_PERIODS:
                run.forget_runs()
            run.period(timed=period >= WARM_UP_PERIODS)
        step()


def resident_mb() -> float | None:
    """What the process holds in memory now; None where the system does not say."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def _grown(before: float | None, after: float | None) -> float | None:
    return None if before is None or after is None else after - before


class _Ticks:
    """Streams on their run through their clips, one group of them after the other, and the times of their ticks."""

    def __init__(self, groups: Sequence[tuple[MultiStream, Sequence[Sequence[Rgb]]]], settings: Settings) -> None:
        self.groups, self._ticks = groups, settings.interval + 1
        self.period_ms, self._tick_ms = array("d"), array("d")
        self._position = self.cuts = 0

    def period(self, *, timed: bool) -> None:
        whole = 0.0
        for streams, clips in self.groups:
            for i in range(self._ticks):
                frames = [to_and_fro(clip, self._position + i) for clip in clips]
                began = time.perf_counter()
                results = streams.step(frames)
                tick_ms = (time.perf_counter() - began) * 1e3
                whole += tick_ms
                if timed:
                    self._tick_ms.append(tick_ms)
                    self.cuts += sum(result is not None and result.is_cut for result in results)
        self._position += self._ticks
        if timed:
            self.period_ms.append(whole)

    def forget_runs(self) -> None:
        """Runs of the network are counted from here on."""
        for streams, _ in self.groups:
            streams.forget_runs()

    def result(self, memory_mb: float | None) -> dict[str, Any]:
        tick_ms = quartiles([ms / self._ticks for ms in self.period_ms])
        return {"tick_ms": tick_ms, "ticks_ms": percentiles(self._tick_ms), "memory_mb": memory_mb}
