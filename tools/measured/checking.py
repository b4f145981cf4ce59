"""Whether every figure of the documents is what was measured."""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from measured.documents import BLOCK, VALUE, body, documents
from measured.store import KEPT, OF_MACHINE, PLACE, MeasuredError, NotMeasuredError, measurements, stored, views
from measured.tables import names, own_columns
from measured.unmeasured import unmeasured

MACHINES_PATH = re.compile(r"(?<![\w.~])/(?:home|root|tmp|Users|mnt|srv|work|var)/")

DECIMAL = re.compile(r"\d+\.\d+")
SHOWN = re.compile(r"(?<![\w.])[-+]?\d+\.\d+(?!x of 1x)(?![\w.]*\.\d)")
"""A decimal fraction in a table; not the speed of the network on every frame over itself, which commands leave out."""


def faults(root: Path) -> list[str]:
    """What is wrong with the figures of all documents, a line each."""
    found, used = [], set()
    for path in documents(root):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(root)
        for mark in (*BLOCK.finditer(text), *VALUE.finditer(text)):
            what = f"the table {mark['view']}" if mark.re is BLOCK else f"the figure {mark['name']} {mark['path']}"
            used |= {mark["view"]} if mark.re is BLOCK else set()
            try:
                if mark["body"] != body(root, mark):
                    found.append(f"{name}: {what} is not what its JSON says; run tools/measured write")
                elif mark.re is BLOCK and (odd := _never_printed(root, mark["view"], mark["body"])):
                    found.append(f"{name}: {what} holds {', '.join(odd)}, which no command printed; run it again")
            except MeasuredError as error:
                found.append(f"{name}: {what}: {error}")
        rest = VALUE.sub("", BLOCK.sub("", text))
        if re.search(r"<!-- /?(?:measured|value)", rest):
            found.append(f"{name}: a mark `measured` or `value` without its other half")
        found += [f"{name}: figures without a measurement: {line}" for line in unmeasured(rest)]
    found += [f"views.yaml: {view} stands in no document" for view in views(root) if view not in used]
    known = measurements(root)
    for path in sorted((root / PLACE).glob("*.json")):
        if path.stem not in known:
            found.append(f"{path.name}: no such measurement in measurements.yaml")
        else:
            found += [f"{path.name}: {what}" for what in _wrong(root, path.stem, known[path.stem]["command"])]
    return found


def _wrong(root: Path, name: str, command: str) -> Iterator[str]:
    """What is wrong with a stored measurement by itself."""
    try:
        record = stored(root, name)
    except MeasuredError as error:
        yield str(error)
        return
    lacking = [key for key in KEPT if key not in record]
    lacking += [f"machine.{key}" for key in OF_MACHINE if key not in record.get("machine", {})]
    if lacking:
        yield f"lacks {', '.join(lacking)}; run it again"
    if record.get("command", command) != command:
        yield "its command is another one than that of measurements.yaml; run it again"
    if "changes" in record.get("commit", ""):
        yield "measured with changes that no commit holds; commit them and run it again"
    elif not _is_ancestor(root, record.get("commit", "HEAD")):
        yield f"measured at commit {record['commit']}, which is not in this history; run it again"
    if odd := _not_in_print(record):
        yield f"holds {', '.join(odd)} in rows of its table, which its command did not print there; run it again"
    if MACHINES_PATH.search(json.dumps(record)):
        yield "holds a path of the machine; run it again with --data"


def _never_printed(root: Path, view: str, text: str) -> list[str]:
    """The decimal fractions of a table that the commands of its measurements printed nowhere, rounded as they may be:
    figures of the JSON that were edited. None where something printed nothing, or is no measurement."""
    try:
        printed = [stored(root, name).get("printed", "") for name in names(views(root)[view])]
    except NotMeasuredError:
        return []
    if not all(printed):
        return []
    known = [_rounded(number) for text in printed for number in re.findall(r"\d+\.\d+|\d{3,}", text.replace(",", ""))]
    rows = " ".join(line for line in text.splitlines() if line.startswith("|"))
    shown = dict.fromkeys(number.lstrip("+-") for number in SHOWN.findall(rows))
    return [number for number in shown if not any(_agree(_rounded(number), other) for other in known)]


def _not_in_print(record: dict[str, Any]) -> list[str]:
    """Of a table of `segtween table`, the decimal fractions of its cells that are more often in the rows than in what
    the command printed."""
    figures, printed = record.get("figures"), record.get("printed")
    if not printed or not isinstance(figures, dict) or "table" not in figures:
        return []
    columns = own_columns(figures)
    cells = (column.cell(row) for row in figures["rows"] for key, column in columns.items() if key in row)
    held = Counter(number for cell in cells for number in DECIMAL.findall(cell))
    return [*(held - Counter(DECIMAL.findall(printed)))]


def _rounded(number: str) -> tuple[float, float]:
    """A number as it is written, and by how much it may be off."""
    return float(number), 0.5 * 10.0 ** -len(number.partition(".")[2])


def _agree(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return abs(one[0] - other[0]) <= max(one[1], other[1]) * 1.001


def _is_ancestor(root: Path, commit: str) -> bool:
    """Whether HEAD holds the commit; True where that cannot be told, as without git or in a shallow clone."""

    def git(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=False)

    try:
        if git("rev-parse", "--is-shallow-repository").stdout.strip() != "false":
            return True
        return git("merge-base", "--is-ancestor", commit, "HEAD").returncode == 0
    except OSError:
        return True
