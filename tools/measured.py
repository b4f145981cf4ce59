#!/usr/bin/env python3
"""Measured figures of the documents: run their commands, keep what they print as JSON, write the tables from it.

    python tools/measured.py list                        the measurements and the views of them
    python tools/measured.py run NAME ... [--data CamVid=/where/it/is]
    python tools/measured.py write                       the tables in README.md and docs/
    python tools/measured.py check                       exits with 1 where a table is not what its JSON says

`docs/measured/measurements.yaml` names each measurement's command and the file in which the command leaves its figures;
`docs/measured/NAME.json` holds these figures with everything that has to be known of how they came about.
`docs/measured/views.yaml` says which rows and columns of them a table shows. In a document a table stands between
`<!-- measured: VIEW -->` and `<!-- /measured -->`. A table outside of such marks may hold no decimal fractions and
percentages, unless `<!-- not measured: REASON -->` stands above it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import re
import shlex
import string
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
PLACE = Path("docs/measured")
FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimddp")
PACKAGES = ("numpy", "opencv-python-headless", "openvino", "numba")
OUT = "OUT"
"""In a command: a folder that is made for it and thrown away."""

BLOCK = re.compile(r"(<!-- measured: (?P<view>[\w.-]+) -->\n)(?P<body>.*?)(<!-- /measured -->)", re.DOTALL)
FIGURE = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.])|(?<![\w.])\d+(?:\.\d+)?(?:%|x\b| ms\b)")
NOT_MEASURED = re.compile(r"<!-- not measured: \S.* -->\n*$")


class MeasuredError(Exception):
    """Said in one line; exit code 2."""


# ── Measuring ─────────────────────────────────────────────────────────────────────────────────


def measure(root: Path, name: str, data: Mapping[str, str]) -> Path:
    """Runs a measurement's command and keeps its figures as `docs/measured/NAME.json`, whole or not at all."""
    of = _entry(read_yaml(root / PLACE / "measurements.yaml"), name, "measurement")
    words = shlex.split(of["command"])
    with tempfile.TemporaryDirectory() as folder:
        load = os.getloadavg()[0]
        command = [_replaced(word, {**data, OUT: folder}) for word in words]
        began = datetime.datetime.now(datetime.timezone.utc)
        print(f"{name}: {of['command']}", flush=True)
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise MeasuredError(
                f"{name}: the command ended with {done.returncode}; expected 0; run it by hand to see why"
            )
        figures = json.loads((Path(folder) / of["figures"]).read_text(encoding="utf-8"))
    places = sorted([folder, *data.values()], key=len, reverse=True)
    record = {
        "command": of["command"],
        "date": began.date().isoformat(),
        "seconds": round((datetime.datetime.now(datetime.timezone.utc) - began).total_seconds()),
        "commit": _commit(root),
        "machine": {**machine(), "load_before": round(load, 2)},
        "versions": {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}},
        "printed": _without(done.stdout, places, {**data, OUT: folder}),
        "figures": json.loads(_without(json.dumps(figures), places, {**data, OUT: folder})),
    }
    target = root / PLACE / f"{name}.json"
    part = target.with_name(f".{target.name}.part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    os.replace(part, target)
    return target


def machine() -> dict[str, Any]:
    """Processor, those of its features that decide about precisions and speed, processors, system."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in reversed(lines))}
    flags = (found.get("flags") or found.get("Features") or "").split()
    return {
        "processor": found.get("model name") or platform.processor() or platform.machine(),
        "features": [feature for feature in FEATURES if feature in flags],
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _replaced(word: str, places: Mapping[str, str]) -> str:
    """A word of a command with the names of data at the start of paths put in their places."""
    first, slash, rest = word.partition("/")
    return f"{places[first]}{slash}{rest}" if first in places else word


def _without(text: str, places: Sequence[str], names: Mapping[str, str]) -> str:
    for place in places:
        text = text.replace(place, next(name for name, where in names.items() if where == place))
    return text


def _commit(root: Path) -> str:
    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src")
    return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")


# ── Tables ────────────────────────────────────────────────────────────────────────────────────


class Figures(string.Formatter):
    """Format strings of a column: fields are paths of keys, `{gain.value:+%}`; what is missing or null gives `-`.

    `%`, `+%`: percent with one decimal, without the sign; `range`: `(low to high)` of a difference in percent.
    """

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:  # noqa: ARG002
        value: Any = kwargs
        for key in field_name.split("."):
            if isinstance(value, list) and key.isdigit():
                value = value[int(key)] if int(key) < len(value) else None
            else:
                value = value.get(key) if isinstance(value, Mapping) else None
        return value, field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "range":
            bounds = [None, None] if value is None else [value.get("low"), value.get("high")]
            return "" if None in bounds else "({:+.1f} to {:+.1f})".format(*(100 * bound for bound in bounds))
        if value is None:
            return "-"
        if format_spec in ("%", "+%"):
            return f"{100 * value:{format_spec[:-1]}.1f}"
        return format(value, format_spec)


def table(root: Path, view: str) -> str:
    """A view as Markdown: its rows, then a line on how they were measured."""
    of = _entry(read_yaml(root / PLACE / "views.yaml"), view, "view")
    records = {name: _record(root, name) for name in _names(of)}
    columns: dict[str, str] = of["columns"]
    lines = [list(columns), ["---", *("---:" for _ in list(columns)[1:])]]
    for part in of.get("parts", [of]):
        record = records[part.get("of", of.get("of"))]
        for row in _rows(record, part, of):
            cells = [" ".join(Figures().format(text, **row).split()) for text in columns.values()]
            lines.append([of.get("names", {}).get(cells[0], cells[0]), *cells[1:]])
    body = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n".join(["", body, "", *dict.fromkeys(_origin(record) for record in records.values()), ""])


def _rows(record: Mapping[str, Any], part: Mapping[str, Any], of: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    where = part.get("where", of.get("where", {}))
    for path in part.get("rows", of.get("rows")):
        found = Figures().get_field(path, (), record["figures"])[0]
        if found is None:
            raise MeasuredError(f"no {path} in the figures; expected one of {', '.join(record['figures'])}")
        named = found.items() if isinstance(found, dict) and part.get("by_name", of.get("by_name")) else None
        rows = [{"name": k, "value": v} for k, v in named] if named else found if isinstance(found, list) else [found]
        for row in rows:
            whole = {**row, **part.get("with", {}), "all": record["figures"], "path": path}
            if all(Figures().get_field(key, (), whole)[0] in values for key, values in where.items()):
                yield whole


def _origin(record: Mapping[str, Any]) -> str:
    on, versions = record["machine"], record["versions"]
    features = ", ".join(feature.upper().replace("_", "-") for feature in on["features"]) or "none of note"
    return (
        f"`{record['command']}`  \n"
        f"{on['processor']} ({features}), {on['processors']} processors, load {on['load_before']:g} before; "
        f"OpenVINO {versions['openvino'].split('-')[0]}; commit {record['commit']}, {record['date']}"
    )


def _names(of: Mapping[str, Any]) -> list[str]:
    return [part["of"] for part in of["parts"]] if "parts" in of else [of["of"]]


def _record(root: Path, name: str) -> dict[str, Any]:
    path = root / PLACE / f"{name}.json"
    if not path.is_file():
        raise MeasuredError(
            f"no {PLACE / path.name}; expected the figures of {name}; measure them: measured.py run {name}"
        )
    return json.loads(path.read_text(encoding="utf-8"))


# ── Documents ─────────────────────────────────────────────────────────────────────────────────


def documents(root: Path) -> list[Path]:
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def write(root: Path) -> list[Path]:
    """Every block anew; returns the documents that changed."""
    changed = []
    for path in documents(root):
        text = path.read_text(encoding="utf-8")
        new = BLOCK.sub(lambda found: f"{found[1]}{table(root, found['view'])}{found[4]}", text)
        if new != text:
            path.write_text(new, encoding="utf-8")
            changed.append(path)
    return changed


def faults(root: Path) -> list[str]:
    """What is wrong with the tables of all documents, a line each."""
    found, used = [], set()
    measurements = read_yaml(root / PLACE / "measurements.yaml")
    views = read_yaml(root / PLACE / "views.yaml")
    for path in documents(root):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(root)
        for block in BLOCK.finditer(text):
            used.add(block["view"])
            try:
                if block["body"] != table(root, block["view"]):
                    found.append(f"{name}: the table {block['view']} is not what its JSON says; run measured.py write")
            except MeasuredError as error:
                found.append(f"{name}: {error}")
        rest = BLOCK.sub("", text)
        if "<!-- measured:" in rest or "<!-- /measured" in rest:
            found.append(f"{name}: a mark `measured` without its other half")
        found += [f"{name}: a table of figures without a measurement: {line}" for line in _unmeasured(rest)]
    found += [f"views.yaml: {view} stands in no document" for view in views if view not in used]
    for name, of in measurements.items():
        path = root / PLACE / f"{name}.json"
        if path.is_file() and json.loads(path.read_text(encoding="utf-8"))["command"] != of["command"]:
            found.append(f"{path.name}: its command is another one than that of measurements.yaml")
    stored = {path.stem for path in (root / PLACE).glob("*.json")}
    return found + [f"{name}.json: no such measurement" for name in sorted(stored - set(measurements))]


def _unmeasured(text: str) -> Iterator[str]:
    """The first lines of tables that hold figures."""
    for found in re.finditer(r"(?:^\|.*\n?)+", text, re.MULTILINE):
        lines = found[0].splitlines()
        has_figures = any(FIGURE.search(re.sub(r"`[^`]*`", "", line)) for line in lines[2:])
        if has_figures and not NOT_MEASURED.search(text[: found.start()]):
            yield lines[0][:80]


def read_yaml(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MeasuredError(f"{path} cannot be read ({error.strerror}); expected the list of measurements") from None
    return found or {}


def _entry(entries: Mapping[str, Any], name: str, kind: str) -> Any:
    if name not in entries:
        raise MeasuredError(f"{kind} {name!r} is unknown; expected one of {', '.join(entries)}")
    return entries[name]


# ── Command line ──────────────────────────────────────────────────────────────────────────────


def main(arguments: Sequence[str] | None = None, *, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_text in (
        ("list", "measurements, and whether they were made"),
        ("write", "write the tables into the documents"),
        ("check", "say which tables are not what was measured"),
    ):
        commands.add_parser(name, help=help_text)
    run = commands.add_parser("run", help="run commands and keep their figures")
    run.add_argument("names", nargs="+", metavar="NAME")
    run.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="where data of a command lie")
    options = parser.parse_args(arguments)
    try:
        return _do(options, root)
    except MeasuredError as error:
        print(f"measured.py: {error}", file=sys.stderr)
        return 2


def _do(options: argparse.Namespace, root: Path) -> int:
    if options.command == "run":
        pairs = [pair.partition("=") for pair in options.data]
        for name in options.names:
            print(measure(root, name, {name: where for name, _, where in pairs}).relative_to(root))
    elif options.command == "list":
        for name, of in read_yaml(root / PLACE / "measurements.yaml").items():
            made = "measured" if (root / PLACE / f"{name}.json").is_file() else "-"
            print(f"{name:<24}{made:<10}{of['command']}")
    elif options.command == "write":
        for path in write(root):
            print(path.relative_to(root))
    else:
        wrong = faults(root)
        print("\n".join(wrong) or "every table is what its JSON says")
        return bool(wrong)
    return 0


if __name__ == "__main__":
    sys.exit(main())
