"""Accuracy to show next to speed, from files that `segtween evaluate --json` wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from segtween.bench.speed_report import BenchReport
from segtween.errors import SettingError, one_line


@dataclass(frozen=True)
class Accuracy:
    """What a file of `segtween evaluate --json` says of one mode of a method: mIoU by interval, 0 being every frame."""

    file: str
    data: str
    hash: str
    preset: str
    network: str | None
    miou: Mapping[int, float | None]


def with_accuracy(report: BenchReport, accuracies: Sequence[Accuracy]) -> BenchReport:
    """The report with `miou` at its own rows and at those of its baselines that there are figures of.

    They belong to the measured method by its hash, to the reference by the preset's name (swnet-seq) and the network's.
    SettingError where none belongs to anything measured.
    """
    notes: list[str] = []
    measured = _copied(report)
    for values in accuracies:
        found = [pair for own in (measured, *measured.others) for pair in _accuracy(own, values) or ()]
        if not found:
            continue
        for row, miou in found:
            row["miou"] = miou
        notes.append(f"mIoU: {values.data}, averaged over all frames; method {values.hash}")
    if not notes:
        raise SettingError(
            f"accuracy of other methods ({', '.join(dict.fromkeys(values.file for values in accuracies))})",
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


def _accuracy(report: BenchReport, values: Accuracy) -> list[tuple[dict[str, Any], float | None]] | None:
    """The report's rows that the values belong to, each with its mIoU; None where they belong to none."""
    header = report.header
    if values.hash == header.method.hash:
        return [(row, values.miou.get(row["interval"])) for row in report.results]
    if values.preset.rstrip("*") == "swnet-seq" and values.network == header.network.get("name"):
        against = (row for row in report.against if row["name"].startswith("reference"))
        return [(row, values.miou.get(row["interval"])) for row in against]
    return None


def read_accuracy(file: str | Path) -> list[Accuracy]:
    """Of each mode that a file holds. SettingError for a file that is not what `segtween evaluate --json` writes."""
    try:
        values: Any = json.loads(Path(file).read_text(encoding="utf-8"), parse_constant=_no_number)
        return [_of_mode(str(file), of) for of in (values, *([values["offline"]] if "offline" in values else []))]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise SettingError(
            f"{file} holds no accuracy ({_why(error)})",
            expected="a file of segtween evaluate, in JSON",
            do="give what that command wrote",
        ) from None


def _of_mode(file: str, values: Any) -> Accuracy:
    method = values["method"]
    by_interval = {result["interval"]: result["avg_miou"] for result in values["results"]}
    return Accuracy(
        file=file,
        data=f"{values['dataset']} {values['split']}",
        hash=str(method["hash"]),
        preset=str(method["name"]),
        network=method.get("network", {}).get("name"),
        miou={interval: _share(value) for interval, value in {**by_interval, 0: values["every_frame"]["miou"]}.items()},
    )


def _share(value: Any) -> float | None:
    if value is not None and not (isinstance(value, (int, float)) and 0 <= value <= 1):
        raise ValueError(f"mIoU {value!r}, not a number from 0 to 1")
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no figure")


def _why(error: Exception) -> str:
    if isinstance(error, OSError):
        return str(error.strerror)
    if isinstance(error, KeyError):
        return f"no {error.args[0]!r}"
    return one_line(error)
