"""Summaries of runs: of one input, and of several at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segtween.errors import SegtweenError, SourceError, from_extra, os_errors
from segtween.metrics.timing import percentiles
from segtween.ops.threads import available_threads
from segtween.texttable import count
from segtween.types import Method, OutputReport, Result, SourceInfo, format_size
from segtween.video.frames_table import FRAMES_TABLE

THREADS = {
    "reading": ("decode",),
    "labelling": ("prepare", "flow", "propagate", "segment", "refine", "label", "compare"),
    "writing": ("encode", "report"),
}
"""The stages of each of the threads of an input that work at the same time; one labels for all inputs."""
PREFETCHED = {**THREADS, "reading": ("decode", "prepare", "flow"), "labelling": THREADS["labelling"][2:]}
"""The same where motion is estimated as frames are read (`engine.motion.MotionEstimator.ahead`)."""

STAGES = ("decode", "prepare", "flow", "propagate", "segment", "refine", "label", "encode", "report", "compare")


@dataclass(repr=False)
class Summary:
    """What was done with one input. `interval` is None where the schedule is adaptive; `error` is the line that ended
    it early, None if it came to its end. `consistency` is what `metrics.ConsistencyMeter` says, None without report;
    `comparison` likewise of another method and of this one (`comparison.Comparison.to_json`). Live: `dropped` frames
    came and were not labelled; `latency_ms` is, of each other frame, the time from when it came to its labels.
    `outputs` is the outcome of each file, and what was left out of them.
    `prefetched` says that motion was estimated where frames are read.
    `processor_seconds` is what all threads of the process used of the processors meanwhile, 0 where several inputs
    share them."""

    input: SourceInfo
    folder: Path
    method: Method
    interval: int | None
    saved: tuple[str, ...]
    frames: int = 0
    network_runs: int = 0
    cuts: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    stages_ms: dict[str, list[float]] = field(default_factory=dict)
    consistency: dict[str, Any] | None = None
    comparison: dict[str, Any] | None = None
    dropped: int = 0
    latency_ms: list[float] = field(default_factory=list)
    prefetched: bool = False
    outputs: OutputReport = field(default_factory=OutputReport)
    error: str | None = None

    def record(self, result: Result, stages_ms: dict[str, float]) -> None:
        """Counts a frame that is in the outputs, with all that it took."""
        for stage, ms in stages_ms.items():
            self.stages_ms.setdefault(stage, []).append(ms)
        self.network_runs += result.is_key
        self.cuts += result.is_cut
        self.frames += 1

    def __repr__(self) -> str:
        written = ", ".join(output.name for output in self.outputs.finished) or "nothing"
        return (
            f"{self.input.name}: network on {self.network_runs} of {count(self.frames, 'frame')}, "
            f"{self.fps:.1f} per second\n"
            f"method {self.method.name} {self.method.hash}, {self.method.mode_word}\n"
            f"written: {written} in {self.folder}"
        )

    def to_pandas(self) -> Any:
        """frames.csv as a `pandas.DataFrame`, a row for each frame. MissingExtraError without pandas, SourceError where
        the file is not there."""
        return _frames_table(self.folder)

    @property
    def fps(self) -> float:
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def busy(self) -> float | None:
        """How much of the time, 0..1, the processors that the process may use were at work for it."""
        if self.processor_seconds == 0 or self.seconds == 0:
            return None
        return self.processor_seconds / (self.seconds * available_threads())

    def stage_medians_ms(self) -> dict[str, float]:
        """Median of each stage over the frames in which it ran."""
        return {s: float(np.median(self.stages_ms[s])) for s in STAGES if s in self.stages_ms}

    def stage_shares(self) -> dict[str, float]:
        """Share of each stage in the work, 0..1: in the sum of all stages, which run concurrently."""
        total = sum(sum(v) for v in self.stages_ms.values()) or 1.0
        return {s: sum(self.stages_ms[s]) / total for s in STAGES if s in self.stages_ms}

    def limited_by(self) -> str | None:
        """The longest stage of the thread that had most to do: what to make faster first."""
        return _longest_stage([self])

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method.to_json(),
            "interval": self.interval,
            "input": {
                "name": self.input.name,
                "path": self.input.path,
                "size": format_size(self.input.size_hw),
                "frame_rate": None if self.input.frame_rate is None else str(self.input.frame_rate),
                "n_frames": self.input.n_frames,
            },
            "saved": list(self.saved),
            "outputs": self.outputs.to_json(),
            "notes": list(self.outputs.notes),
            "totals": self._totals(),
            "stages_ms": self._stages(),
            "limited_by": self.limited_by(),
            "consistency": self.consistency,
            **({} if self.comparison is None else {"comparison": self.comparison}),
            **({"live": self.live()} if self.latency_ms else {}),
            "error": self.error,
        }

    def _totals(self) -> dict[str, Any]:
        return {
            "frames": self.frames,
            "network_runs": self.network_runs,
            "network_runs_per_100_frames": 100 * self.network_runs / self.frames if self.frames else None,
            "scene_cuts": self.cuts,
            "seconds": round(self.seconds, 3),
            "frames_per_second": round(self.fps, 2),
            "processors": available_threads(),
            "processors_busy": None if self.busy is None else round(self.busy, 4),
        }

    def _stages(self) -> dict[str, Any]:
        shares = self.stage_shares()
        return {
            s: {"median": round(v, 3), "runs": len(self.stages_ms[s]), "share": round(shares[s], 4)}
            for s, v in self.stage_medians_ms().items()
        }

    def live(self) -> dict[str, Any]:
        """How well the source's rate was kept: frames dropped, and percentiles of the latency."""
        return {"dropped_frames": self.dropped, "latency_ms": percentiles(self.latency_ms)}


@dataclass
class Outcome:
    """The outcome of one input. `summary` is None where it could not be opened, `error` None where all went well."""

    name: str
    folder: Path
    summary: Summary | None = None
    error: SegtweenError | None = None

    def result(self) -> Summary:
        """The summary; raises what ended the input early."""
        if self.error is not None:
            raise self.error
        assert self.summary is not None, "it was opened"
        return self.summary


@dataclass(repr=False)
class SessionSummary:
    """What was done with all inputs. `runs` is `MultiStream.runs`: how many network runs fell in one tick."""

    method: Method
    interval: int | None
    live: bool
    outcomes: list[Outcome]
    runs: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    processor_seconds: float = 0.0

    def __repr__(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return (
            f"{len(self.outcomes)} inputs{failed}: network on {self.network_runs} of {count(self.frames, 'frame')}, "
            f"{self.fps:.1f} per second\n"
            f"method {self.method.name} {self.method.hash}, {self.method.mode_word}\n"
            f"written: {', '.join(str(outcome.folder) for outcome in self.outcomes)}"
        )

    def to_pandas(self) -> Any:
        """As `Summary.to_pandas`, of all inputs that were opened, with the name of each in the column `input`."""
        tables = {outcome.name: _frames_table(outcome.folder) for outcome in self.outcomes if outcome.summary}
        pandas = _pandas()
        return pandas.concat(tables, names=["input"]).reset_index(level="input")

    @property
    def summaries(self) -> list[Summary]:
        return [outcome.summary for outcome in self.outcomes if outcome.summary is not None]

    @property
    def failed(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.error is not None]

    @property
    def frames(self) -> int:
        return sum(summary.frames for summary in self.summaries)

    @property
    def network_runs(self) -> int:
        return sum(summary.network_runs for summary in self.summaries)

    @property
    def fps(self) -> float:
        """Labelled frames of all inputs per second."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    @property
    def busy(self) -> float:
        """Share, 0..1, of what the processors that the process may use could have done."""
        return self.processor_seconds / (self.seconds * available_threads()) if self.seconds > 0 else 0.0

    def limited_by(self) -> str | None:
        """The longest stage of the thread that had most to do: the one that labels for all, or one that reads or writes
        for one of them."""
        return _longest_stage(self.summaries)

    def to_json(self) -> dict[str, Any]:
        return {
            "method": self.method.to_json(),
            "interval": self.interval,
            "live": self.live,
            "totals": {
                "streams": len(self.outcomes),
                "frames": self.frames,
                "network_runs": self.network_runs,
                "network_runs_per_tick": self.runs,
                "seconds": round(self.seconds, 3),
                "frames_per_second": round(self.fps, 2),
                "processors": available_threads(),
                "processors_busy": round(self.busy, 4),
            },
            "limited_by": self.limited_by(),
            "streams": [_outcome_json(outcome) for outcome in self.outcomes],
        }


_pandas = partial(from_extra, "pandas", "to_pandas()", extra="results")


def _frames_table(folder: Path) -> Any:
    pandas = _pandas()
    got = f"{folder / FRAMES_TABLE} cannot be read"
    with os_errors(SourceError, got, expected="the table that the run wrote", do="run it again"):
        return pandas.read_csv(folder / FRAMES_TABLE, index_col="frame")


def _longest_stage(summaries: list[Summary]) -> str | None:
    """Of the busiest thread: one labels for all inputs, two read and write for each. None before the first frame."""
    stages = PREFETCHED if any(summary.prefetched for summary in summaries) else THREADS
    threads = [
        {stage: sum(sum(summary.stages_ms.get(stage, ())) for summary in of) for stage in stages[kind]}
        for kind, of in (
            ("labelling", summaries),
            *((kind, [summary]) for summary in summaries for kind in ("reading", "writing")),
        )
    ]
    busiest = max(threads, key=lambda busy: sum(busy.values()))
    return max(busiest, key=busiest.__getitem__) if any(busiest.values()) else None


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    summary = outcome.summary
    return {
        "name": outcome.name,
        "folder": str(outcome.folder),
        "frames": 0 if summary is None else summary.frames,
        "network_runs": 0 if summary is None else summary.network_runs,
        "frames_per_second": None if summary is None else round(summary.fps, 2),
        **({"live": summary.live()} if summary is not None and summary.latency_ms else {}),
        "error": None if outcome.error is None else str(outcome.error),
    }
