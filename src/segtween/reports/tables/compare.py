"""Several methods on the same data, in one pass, with interleaved timing."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segtween.bench import BenchReport
from segtween.bench.machine import processor_name
from segtween.build import Processor, build_engine
from segtween.errors import ModelError, SettingError
from segtween.evaluation import Report, evaluate_methods
from segtween.evaluation.report import interval_note, scored
from segtween.interfaces import Segmenter
from segtween.reports.tables.conditions import Conditions
from segtween.reports.tables.speed import speed_note, time_methods, versions_note
from segtween.segmenters.truth import TrueLabels
from segtween.settings import Settings


@dataclass(frozen=True)
class Compared:
    """Accuracy by name of the method; speed likewise, of those that can be timed. `left_out` says what is missing."""

    reports: dict[str, Report]
    times: dict[str, BenchReport]
    left_out: list[str]
    is_truth: bool

    @property
    def first(self) -> Report:
        """For what all of them have in common: the data, and the network on every frame."""
        return next(iter(self.reports.values()))

    def speed(self, name: str, interval: int, *, fused: bool = False) -> dict[str, Any] | None:
        """`bench`'s figures of a method at an interval; at 0 those of the plain network unless `fused`."""
        times = self.times.get(name)
        if times is None:
            return None
        if fused:
            return times.fused
        return next((result for result in times.results if result["interval"] == interval), None)

    def notes(self) -> list[str]:
        """What has to be known to read a table of them."""
        report, times = self.first, next(iter(self.times.values()), None)
        network = report.method.record["network"].get("name", "a function")
        notes = [
            f"data: {report.title}, {scored(report.frames, report.clips, is_dense=report.protocol == 'dense')}; "
            f"scores: {network}; labels by {report.label_map}",
            "avg mIoU over all frames, last-distance mIoU over the frames before the next key frame, all phases; "
            f"figures in percent; {self._interval_note()}",
            *report.temporal_notes(),
            *(f"left out: {what}" for what in [*report.left_out, *self.left_out]),
        ]
        if times is None:
            return [*notes, "speed: not measured, " + ("labels" if self.is_truth else "scores or flow") + " are stored"]
        return [
            *notes,
            speed_note(times),
            versions_note(times),
            *dict.fromkeys(f"{name}, {note}" for name, t in self.times.items() for note in t.header.notes),
        ]

    def _interval_note(self) -> str:
        """Of the differences that the table shows: to a method of it where there is one, else to every frame."""
        gains = {
            f"{name} at {result['interval']}": result.get("gain_over_method", result["gain_over_every_frame"])
            for name, report in self.reports.items()
            for result in report.results
        }
        return interval_note(gains, level=self.first.bootstrap["level"], keys=("value", "min_miou"))

    def record(self) -> dict[str, Any]:
        """The whole reports, for the JSON."""
        speeds = {
            name: {k: v for k, v in times.to_json().items() if k != "method"} for name, times in self.times.items()
        }
        return {
            "machine": processor_name(),
            "sets": [
                {"name": name, "accuracy": report.to_json(), "speed": speeds.get(name)}
                for name, report in self.reports.items()
            ],
        }


def compare(
    conditions: Conditions,
    segmenter: Segmenter,
    *,
    methods: Mapping[str, Settings],
    intervals: Sequence[int],
    against: str | None = None,
    fused: Collection[str] = (),
) -> Compared:
    """Methods by name: `evaluation.evaluate_methods`, then `bench.bench_presets` on frames of the data's size.

    A method without weights for these classes is left out, with the reason; only `against` must not be. Stored scores
    and true labels have no speed. Raises SettingError where no method is left, and what those two raise.
    """
    built, left_out = _buildable(segmenter, methods, needed=against)
    if not built:
        raise SettingError(
            "no method is left: " + "; ".join(left_out), expected="one at least", do="name another preset"
        )
    reports = evaluate_methods(
        conditions.dataset,
        segmenter=segmenter,
        methods=built,
        intervals=intervals,
        against=against,
        options=conditions.of_evaluation(),
    )
    times = time_methods(conditions, reports, segmenter, built, intervals=intervals, fused=fused)
    return Compared(reports, times, left_out, isinstance(segmenter, TrueLabels))


def _buildable(
    segmenter: Segmenter, methods: Mapping[str, Settings], *, needed: str | None
) -> tuple[dict[str, Settings], list[str]]:
    built, left_out = {}, []
    for name, settings in methods.items():
        reason = None if name == needed else unfit(segmenter, settings)
        if reason is None:
            built[name] = settings
        else:
            left_out.append(f"{name}: {reason}")
    return built, left_out


def unfit(segmenter: Segmenter, settings: Settings) -> str | None:
    """Why a method cannot be had for this segmenter's classes, for want of weights; None if it can."""
    try:
        build_engine(segmenter, settings, backend=Processor(1))
    except ModelError as error:
        return f"{error.got} ({error.do})"
    return None


def signed(value: float, low: float | None = None, high: float | None = None) -> str:
    """A difference with its interval: `+1.2 (+0.4 to +1.9)`."""
    sure = "" if low is None or high is None else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return f"{100 * value:+.1f}{sure}"


def spread(figures: dict[str, Any] | None, key: str) -> dict[str, float | None]:
    """A difference of a report as `key`, `key_low` and `key_high`; None without one."""
    found = figures or {}
    return {key: found.get("value"), f"{key}_low": found.get("low"), f"{key}_high": found.get("high")}
