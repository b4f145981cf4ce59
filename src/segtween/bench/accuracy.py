"""Accuracy to show next to speed, from files that `segtween evaluate --json` wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segtween.bench.speed_report import BenchReport
from segtween.errors import SettingError


def with_accuracy(report: BenchReport, files: Sequence[str | Path]) -> BenchReport:
    """The report with `miou` at its own rows and at those of its baselines that the files have figures of.

    A file belongs to the measured method by its hash, to the reference by the preset's name (swnet-seq) and the
    network's. SettingError for a file that cannot be read, or where none belongs to anything measured.
    """
    notes: list[str] = []
    measured = _copied(report)
    read = [_read(file) for file in files]
    for values in (mode for whole in read for mode in (whole, whole.get("offline")) if mode is not None):
        found = [pair for own in (measured, *measured.others) for pair in _accuracy(own, values) or ()]
        if not found:
            continue
        for row, miou in found:
            row["miou"] = miou
        by = values["method"]["hash"]
        notes.append(f"mIoU: {values['dataset']} {values['split']}, averaged over all frames; method {by}")
    if not notes:
        raise SettingError(
            f"accuracy of other methods ({', '.join(map(str, files))})",
            expected=f"a file of method {report.header.method.hash}: the same preset, network, precision and settings",
            do="run segtween evaluate with the same options and keep its JSON file",
        )
    return replace(measured, header=replace(report.header, notes=[*report.header.notes, *notes]))


def _copied(report: BenchReport) -> BenchReport:
    """With rows of its own."""
    return replace(
        report,
        results=[dict(row) for row in report.results],
        against=[dict(row) for row in report.against],
        others=[_copied(other) for other in report.others],
    )


def _accuracy(report: BenchReport, values: dict[str, Any]) -> list[tuple[dict[str, Any], float | None]] | None:
    """The report's rows that a file's values belong to, each with its mIoU; None where they belong to none."""
    method, header = values["method"], report.header
    average = {result["interval"]: result["avg_miou"] for result in values["results"]}
    if method["hash"] == header.method.hash:
        at_interval = {**average, 0: values["every_frame"]["miou"]}
        return [(row, at_interval.get(row["interval"])) for row in report.results]
    if method["name"].rstrip("*") == "swnet-seq" and method["network"]["name"] == header.network.get("name"):
        return [(row, average.get(row["interval"])) for row in report.against if row["name"].startswith("reference")]
    return None


def _read(file: str | Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
        _ = values["method"]["hash"], values["every_frame"]["miou"], values["results"], values["dataset"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingError(
            f"{file} holds no accuracy ({error})",
            expected="a file of segtween evaluate, in JSON",
            do="give what that command wrote",
        ) from None
    return values
