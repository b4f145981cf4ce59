"""Whether every figure of the documents is what was measured."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from measured.documents import BLOCK, VALUE, body, documents
from measured.store import KEPT, OF_MACHINE, PLACE, MeasuredError, measurements, stored, views
from measured.unmeasured import unmeasured

MACHINES_PATH = re.compile(r"(?<![\w.~])/(?:home|root|tmp|Users|mnt|srv|work|var)/")


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
    if MACHINES_PATH.search(json.dumps(record)):
        yield "holds a path of the machine; run it again with --data"
