"""Accuracy beside speed, from files that `segtween evaluate --json` wrote."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segtween.bench import BenchReport
from segtween.errors import SettingError


def with_accuracy(report: BenchReport, files: Sequence[str | Path]) -> BenchReport:
    """The report with `miou` at its own rows and at those of its rivals that the files say something of.

    A file belongs to the measured method by its hash, to the reference by the preset's name (swnet-seq) and the
    network's. SettingError for a file that cannot be read, or where none belongs to anything measured.
    """
    found = False
    results, against, notes = [dict(r) for r in report.results], [dict(r) for r in report.against], list(report.notes)
    for file in files:
        values = _read(file)
        of = values["method"]
        average = {result["interval"]: result["avg_miou"] for result in values["results"]}
        plain = values["every_frame"]["miou"]
        if of["hash"] == report.method.hash:
            rows = [(row, plain if row["interval"] == 0 else average.get(row["interval"])) for row in results]
        elif of["name"].rstrip("*") == "swnet-seq" and of["network"]["name"] == report.network.get("name"):
            rows = [(row, average.get(row["interval"])) for row in against if row["name"].startswith("reference")]
        else:
            continue
        found = True
        for row, miou in rows:
            row["miou"] = miou
        notes.append(f"mIoU: {values['dataset']} {values['split']}, averaged over all frames; method {of['hash']}")
    if not found:
        raise SettingError(
            f"accuracy of other methods ({', '.join(map(str, files))})",
            expected=f"a file of method {report.method.hash}: the same preset, network, precision and settings",
            do="run segtween evaluate with the same options and --json",
        )
    return replace(report, results=results, against=against, notes=notes)


def _read(file: str | Path) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(Path(file).read_text(encoding="utf-8"))
        _ = values["method"]["hash"], values["every_frame"]["miou"], values["results"], values["dataset"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SettingError(
            f"{file} holds no accuracy ({error})", expected="a file of segtween evaluate --json", do="check --accuracy"
        ) from None
    return values
