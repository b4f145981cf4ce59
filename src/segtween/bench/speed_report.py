"""The report of speed: figures of each interval, baselines in the same run, stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from segtween.bench.report import MethodReport
from segtween.texttable import TextTable, count

STAGES = ("prepare", "flow", "propagate", "segment", "refine", "label")
Figures = dict[str, Any]


@dataclass(frozen=True)
class BenchReport(MethodReport):
    """Milliseconds and shares at each interval; interval 0 is the network on every frame, without flow or fusion."""

    repeats: int
    results: list[Figures]
    fused: Figures | None = None
    """Interval 0 with flow and fusion, where it was timed; `results` at 0 are the plain network's."""
    against: Sequence[Figures] = ()
    """Baselines, timed in the same run."""
    others: Sequence[BenchReport] = ()
    """The same method in other modes, timed in the same run: rows above those of this one."""

    @property
    def mode(self) -> str:
        return self.header.method.mode_word

    def figures(self) -> Figures:
        return {
            "repeats": self.repeats,
            "results": self.results,
            **({} if self.fused is None else {"fused": self.fused}),
            **({"against": list(self.against)} if self.against else {}),
            **{other.mode: other.to_json() for other in self.others},
        }

    def named_results(self) -> list[tuple[str, Figures]]:
        """Interval 0, then the results of all modes above it, each with its row's name."""
        modes = [(f"{result['interval']}, {of.mode}", result) for of in (*self.others, self) for result in of.above]
        return [("0 (network on every frame)", self.results[0]), *modes]

    @property
    def above(self) -> list[Figures]:
        """The results at intervals above 0."""
        return [result for result in self.results if result["interval"]]

    def figure_tables(self) -> list[TextTable]:
        title = f"{self.header.title}, {count(self.header.threads or 1, 'thread')}"
        columns = ["interval", "ms per frame", "frames per second", "key frame ms", "other frame ms", "faster"]
        columns += ["frames until labels", "mixed cells"]
        rows = [_cells(name, result) for name, result in self.named_results()]
        figures = TextTable(title, columns, rows, seldom=["mixed cells", "frames per second"])
        stages = TextTable(
            "median ms of each stage (lower to upper quartile)",
            ["interval", "frames", *STAGES],
            [row for name, result in self.named_results() for row in _stage_rows(name.partition(" (")[0], result)],
            seldom=["refine", "prepare"],
        )
        return [figures, *([_comparison(self)] if self.against else []), stages]

    @property
    def basis(self) -> str:
        return f"medians of {count(self.repeats, 'period')} after warm-up"

    def remarks(self) -> list[str]:
        others = [f"method {of.header.method.name} {of.header.method.hash}, {of.mode}" for of in self.others]
        return [*(_latency(name, result) for name, result in self.named_results()), *others]


def _latency(name: str, result: Figures) -> str:
    ms = result["latency_ms"]
    frames = result["latency_frames"]
    return (
        f"interval {name}: a frame takes {ms['p50']:.1f} ms (median), {ms['p95']:.1f} ms (p95), "
        f"{ms['p99']:.1f} ms (p99), {ms['most']:.1f} ms at most"
        + (f"; its labels come {frames['most']:.0f} frames later at most" if frames["most"] else "")
    )


def _cells(name: str, result: Figures) -> list[str]:
    other = result["other_frame"]
    faster, possible, share = result["times_faster"], result["times_possible"], result["share_of_limit"]
    return [
        name,
        f"{result['ms_per_frame']:.1f}",
        f"{result['fps']:.1f}",
        f"{result['key_frame']['median']:.1f}",
        "-" if other is None else f"{other['median']:.1f}",
        "-" if possible == 1 else f"{faster:.1f}x of {possible}x possible ({100 * share:.0f}%)",
        f"{result['latency_frames']['most']:.0f}",
        f"{100 * result['mixed_cells']:.0f}%",
    ]


def _comparison(report: BenchReport) -> TextTable:
    """The baselines and the method, slowest first, and how many times faster the method is at each interval."""
    above = [result["interval"] for result in report.above]
    measured = sorted([*report.against, *_own(report)], key=lambda row: -float(row["ms_per_frame"]))
    accuracy = any(row.get("miou") is not None for row in measured)
    plain_ms = report.results[0]["ms_per_frame"]
    columns = ["in the same run", "interval", *(["mIoU"] if accuracy else []), "ms per frame", "key frame ms"]
    columns += [
        "other frame ms",
        "share of the limit",
        *(f"segtween at {interval}, {report.mode}, is faster" for interval in above),
    ]
    rows = []
    for row in measured:
        other, share = row["other_frame"], plain_ms / row["ms_per_frame"] / (row["interval"] + 1)
        rows.append([
            row["title"],
            f"{row['interval']}",
            *(["-" if row.get("miou") is None else f"{100 * row['miou']:.1f}"] if accuracy else []),
            f"{row['ms_per_frame']:.1f}",
            f"{row['key_frame']['median']:.1f}",
            "-" if other is None else f"{other['median']:.1f}",
            f"{100 * share:.0f}%",
            *(f"{row['method_times_faster'][f'{interval}']:.1f}x" for interval in above),
        ])  # fmt: skip
    return TextTable(
        "against what one would pick instead, the slowest first",
        columns,
        rows,
        seldom=["key frame ms", "other frame ms"],
    )


def _own(report: BenchReport) -> list[Figures]:
    """The method's rows, with what those of the baselines have."""
    return [
        {
            "title": title,
            **result,
            "method_times_faster": {
                f"{other['interval']}": result["ms_per_frame"] / other["ms_per_frame"] for other in report.results
            },
        }
        for title, result in [
            ("segtween, network on every frame", report.results[0]),
            *((f"segtween, {of.header.method.name}", result) for of in (*report.others, report) for result in of.above),
        ]
    ]


def _stage_rows(name: str, result: Figures) -> list[list[str]]:
    rows = []
    for kind, frames in (("key_frame", "key"), ("other_frame", "other")):
        if result[kind] is not None:
            stages = result[kind]["stages_ms"]
            rows.append([name, frames, *(_spread(stages.get(stage)) for stage in STAGES)])
    return rows


def _spread(stage: dict[str, float] | None) -> str:
    return "-" if stage is None else f"{stage['median']:.1f} ({stage['q1']:.1f} to {stage['q3']:.1f})"
