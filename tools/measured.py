#!/usr/bin/env python3
"""Measured figures of the documents: run their commands, keep what they print as JSON, write the tables from it.

    python tools/measured.py list                        the measurements and what is known of them
    python tools/measured.py run NAME ... [--data CamVid=/where/it/is]
    python tools/measured.py run --missing               those that have no JSON yet
    python tools/measured.py write                       the tables in README.md and docs/
    python tools/measured.py draw                        the pictures of docs/measured/pictures.yaml (needs [figures])
    python tools/measured.py check                       exits with 1 where a table is not what its JSON says

In `docs/measured/`: `measurements.yaml` names each measurement's command, the file in which the command leaves its
figures, and the minutes that it takes on two slow cores; `data.yaml` the data that the commands name; `NAME.json` the
figures with everything that has to be known of how they came about; `views.yaml` which rows and columns of them a
table shows. In a document

    <!-- measured: VIEW --> ... <!-- /measured -->                    is a table or what the command printed
    <!-- value: NAME PATH FORMAT -->75.6<!-- /value -->               is one figure in a sentence or cell

A table or a printed block outside of such marks may hold no decimal fractions, times and percentages, unless
`<!-- not measured: REASON -->` stands above it.

A view:

    of: NAME                     the measurement, or a committed YAML or JSON file, such as a network's record
    columns: [row, avg_miou]     keys of the columns that `segtween table` itself shows, or
    columns: {mIoU: "{miou:%}"}  heading: format of a row's fields (class `Figures`)
    rows: [rows]                 paths of rows in the figures; by_name: true for a mapping of names to values
    where: {interval: [4, 9]}    only rows with one of these values
    names: {path: "`path`"}      other texts for first cells
    parts: [{of: ..., ...}]      several of these below each other; with: {data: CamVid} adds fields
    beside: {street: NAME}       the figures of other measurements as fields: {street.every_frame.per_class.$name:%},
                                 where $name is the row's field
    printed: REGEX               in place of all that: those lines of what the command printed
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
from itertools import pairwise
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
VALUE = re.compile(r"(<!-- value: (?P<name>\S+) (?P<path>.+?) (?P<form>\S+) -->)(?P<body>[^<\n]*)(<!-- /value -->)")
FIGURE = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.])|(?<![\w.])\d+(?:\.\d+)?(?: ?%|x(?!\w)| ?ms\b)")
NO_FIGURES = re.compile(r"`[^`]*`|\]\([^)]*\)|\b(?:https?:\S+|arXiv[: ]\S+)")
"""Code, addresses and numbers of papers."""
TABLE = re.compile(r"(?:^\|.*\n?)+", re.MULTILINE)
FENCE = re.compile(r"^```(?P<language>\w*)\n(?P<body>.*?)^```$", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"\s*(?:segtween|python|pip|make|torchrun|pytest|\w+=\S+ )")
NOT_MEASURED = re.compile(r"<!-- not measured: \S.* -->\n*$")
MACHINES_PATH = re.compile(r"(?<![\w.~])/(?:home|root|tmp|Users|mnt|srv|work|var)/")
KEPT = ("command", "date", "seconds", "commit", "machine", "versions", "printed", "figures")
"""What a stored measurement must hold."""
OF_MACHINE = ("processor", "features", "processors", "system", "load_before")


class MeasuredError(Exception):
    """Said in one line; exit code 2."""


# ── Measuring ─────────────────────────────────────────────────────────────────────────────────


def measure(root: Path, name: str, data: Mapping[str, str]) -> Path:
    """Runs a measurement's command and keeps its figures as `docs/measured/NAME.json`, whole or not at all."""
    of = _entry(read_yaml(root / PLACE / "measurements.yaml"), name, "measurement")
    words = shlex.split(of["command"])
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as made:
        data = {**data, **_missing_data(root, words, data, Path(made))}
        load = os.getloadavg()[0]
        command = [_replaced(word, {**data, OUT: folder}) for word in words]
        began = datetime.datetime.now(datetime.timezone.utc)
        print(f"{name}: {of['command']}", flush=True)
        printed = _call(command)
        figures = json.loads((Path(folder) / of["figures"]).read_text(encoding="utf-8")) if "figures" in of else {}
        clips = _clips(command)
    places = sorted([folder, *data.values()], key=len, reverse=True)
    record = {
        "command": of["command"],
        "date": began.date().isoformat(),
        "seconds": round((datetime.datetime.now(datetime.timezone.utc) - began).total_seconds()),
        "commit": _commit(root),
        "machine": {**machine(), "load_before": round(load, 2)},
        "versions": {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}},
        "clips": clips,
        "printed": _without(printed, places, {**data, OUT: folder}),
        "figures": json.loads(_without(json.dumps(figures), places, {**data, OUT: folder})),
    }
    target = root / PLACE / f"{name}.json"
    _put(target, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return target


def _call(command: Sequence[str]) -> str:
    """What the command prints; `python` and `segtween` are this interpreter's. MeasuredError where it fails."""
    own = {"segtween": [sys.executable, "-m", "segtween"], "python": [sys.executable]}
    words = [*own.get(command[0], command[:1]), *command[1:]]
    wide = {**os.environ, "COLUMNS": "120"}
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False, env=wide)
    if done.returncode:
        raise MeasuredError(
            f"`{shlex.join(command)}` ended with {done.returncode}; expected 0; run it by hand to see why"
        )
    return done.stdout


def _missing_data(root: Path, words: Sequence[str], data: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Data that a command names and whose place is not told, where a command makes them: made in the folder."""
    known = read_yaml(root / PLACE / "data.yaml")
    made = {}
    for name in dict.fromkeys(word.partition("/")[0] for word in words):
        if name in known and name not in data:
            if "made" not in known[name]:
                raise MeasuredError(f"{name} is not told; expected {known[name]['is']}; give --data {name}=PATH")
            made[name] = str(folder / name)
            _call([_replaced(word, made) for word in shlex.split(known[name]["made"])])
    return made


def _clips(command: Sequence[str]) -> dict[str, int] | None:
    """Frames of each clip that the command read of a data set, by the clip's name; None without a data set."""
    from segtween.datasets import open_dataset

    given = dict(pairwise(command))
    if "--dataset" not in given:
        return None
    opened = open_dataset(given["--dataset"], Path(given["--root"]), split=given.get("--split", "val"))
    limit = given.get("--max-frames")
    return {clip.name: len(clip) for clip in opened.limited(None if limit is None else int(limit)).clips}


def _put(target: Path, text: str) -> None:
    """A file under its name only when it is whole."""
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise MeasuredError(f"{target} cannot be written ({error.strerror}); expected a folder to write to") from None


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
    """Format strings of a column: fields are paths of keys, `{gain.value:+%}`; what is missing or null gives `-`, and
    what stands in brackets goes with its first such field: `{gain:+%}[ ({gain_low:+%} to {gain_high:+%})]`.

    `%`, `+%`: percent with one decimal, without the sign; `range`: `(low to high)` of a difference in percent.
    """

    def text(self, form: str, fields: Mapping[str, Any]) -> str:
        def part(found: re.Match[str]) -> str:
            parsed = [_filled(name, fields) for _, name, _, _ in self.parse(found[1]) if name]
            return "" if any(look_up(fields, name) is None for name in parsed) else found[1]

        return " ".join(self.vformat(re.sub(r"\[([^]]*)\]", part, form), (), fields).split())

    def get_field(self, field_name: str, args: Any, kwargs: Any) -> tuple[Any, str]:  # noqa: ARG002
        return look_up(kwargs, _filled(field_name, kwargs)), field_name

    def format_field(self, value: Any, format_spec: str) -> str:
        if format_spec == "range":
            low, high = (None, None) if value is None else (value.get("low"), value.get("high"))
            return "" if low is None or high is None else f"({100 * low:+.1f} to {100 * high:+.1f})"
        if value is None:
            return "-"
        if format_spec in ("%", "+%"):
            return f"{100 * value:{format_spec[:-1]}.1f}"
        return format(value, format_spec)


def _filled(path: str, fields: Mapping[str, Any]) -> str:
    return re.sub(r"\$(\w+)", lambda found: str(fields[found[1]]), path)


def look_up(figures: Any, path: str) -> Any:
    """`results.0.tc`, `rows(row=path;interval=4).avg_miou`: keys, numbers of a list, its first entry with these values.

    None where there is no such thing."""
    value = figures
    for key, choice in re.findall(r"([^.(]+)(?:\(([^)]*)\))?", path):
        if isinstance(value, list):
            value = value[int(key)] if key.isdigit() and int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, Mapping) else None
        if choice and isinstance(value, list):
            wanted = [pair.split("=", 1) for pair in choice.split(";")]
            value = next((row for row in value if all(str(row.get(k)) == v for k, v in wanted)), None)
    return value


def table(root: Path, view: str) -> str:
    """A view as Markdown: its rows, or what was printed, then a line on how each measurement was made. Where one has no
    JSON, a line that says so, and the command."""
    of = _entry(read_yaml(root / PLACE / "views.yaml"), view, "view")
    try:
        records = {name: stored(root, name) for name in _names(of)}
    except NotMeasuredError:
        known = read_yaml(root / PLACE / "measurements.yaml")
        commands = [f"`{_entry(known, name, 'measurement')['command']}`" for name in _names(of) if "/" not in name]
        return "\n".join(["", "Not measured with this version. What would print it:  ", *commands, ""])
    if "printed" in of:
        printed = records[of["of"]]["printed"].splitlines()
        lines = [line.rstrip() for line in printed if re.search(of["printed"], line)]
        if not lines:
            raise MeasuredError(f"view {view}: no printed line holds {of['printed']}; expected one at least")
        body = "\n".join(["```", *lines, "```"])
    else:
        body = _table(view, of, records)
    known = read_yaml(root / PLACE / "data.yaml")
    origins = dict.fromkeys(_origin(name, record, known) for name, record in records.items())
    return "\n".join(["", body, "", *origins, ""])


def _table(view: str, of: Mapping[str, Any], records: Mapping[str, Any]) -> str:
    parts = of.get("parts", [of])
    columns = of["columns"]
    headings = list(columns)
    if isinstance(columns, list):
        first = records[_names(of)[0]]["figures"]
        headings = [_entry(own_columns(first), key, "column").heading for key in columns]
    lines = [headings, ["---", *("---:" for _ in headings[1:])]]
    others = {key: records[name]["figures"] for key, name in of.get("beside", {}).items()}
    for part in parts:
        record = records[part.get("of", of.get("of"))]
        for row in _rows(record, part, of):
            row |= others
            cells = _own_cells(record["figures"], columns, row) if isinstance(columns, list) else _cells(part, of, row)
            lines.append([of.get("names", {}).get(cells[0], cells[0]), *cells[1:]])
    if len(lines) == 2:
        raise MeasuredError(f"view {view} has no rows; expected one at least; correct its rows and where")
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cells(part: Mapping[str, Any], of: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    return [Figures().text(form, row) for form in part.get("columns", of["columns"]).values()]


def own_columns(figures: Mapping[str, Any]) -> dict[str, Any]:
    """By key, the columns (`segtween.reports.tables.study.Column`) that the command itself shows of such figures."""
    from segtween.reports.tables import ablation, budgets, delays, methods, occlusion, propagation, speed

    name = figures.get("table")
    if name == "propagation":
        columns = propagation._columns(propagation._ranges(figures["every"]))
    else:
        tables = {m.__name__.rpartition(".")[2]: m.COLUMNS for m in (ablation, budgets, delays, methods, occlusion)}
        tables |= dict.fromkeys(("intervals", "scales"), speed.COLUMNS)
        columns = _entry(tables, str(name), "table")
    return {column.key: column for column in columns}


def _own_cells(figures: Mapping[str, Any], keys: Sequence[str], row: dict[str, Any]) -> list[str]:
    own = own_columns(figures)
    return [_entry(own, key, "column").cell(row) for key in keys]


def _rows(record: Mapping[str, Any], part: Mapping[str, Any], of: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    where = part.get("where", of.get("where", {}))
    for path in part.get("rows", of.get("rows", ["rows"])):
        found = look_up(record["figures"], path)
        if found is None:
            raise MeasuredError(f"no {path} in the figures; expected one of {', '.join(record['figures'])}")
        named = found.items() if isinstance(found, dict) and part.get("by_name", of.get("by_name")) else None
        rows = [{"name": k, "value": v} for k, v in named] if named else found if isinstance(found, list) else [found]
        for row in rows:
            whole = {**row, **part.get("with", {}), "all": record["figures"], "path": path}
            if all(look_up(whole, key) in values for key, values in where.items()):
                yield whole


def _origin(name: str, record: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """Command, data, machine and commit of a measurement; of a file, its name."""
    if "command" not in record:
        return f"From `{name}`."
    on, versions = record["machine"], record["versions"]
    features = ", ".join(feature.upper().replace("_", "-") for feature in on["features"]) or "none of note"
    named = dict.fromkeys(word.partition("/")[0] for word in shlex.split(record["command"]))
    made = [f"`{known[word]['made']}`, then  \n" for word in named if "made" in known.get(word, {})]
    clips = record.get("clips")
    data = f"{sum(clips.values())} frames in {len(clips)} clip{'s' * (len(clips) != 1)}; " if clips else ""
    return (
        f"{''.join(made)}`{record['command']}`  \n"
        f"{data}{on['processor']} ({features}), {on['processors']} processors, load {on['load_before']:g} before; "
        f"OpenVINO {versions['openvino'].split('-')[0]}; commit {record['commit']}, {record['date']}"
    )


def _names(of: Mapping[str, Any]) -> list[str]:
    parts = of.get("parts", [of])
    return list(dict.fromkeys([*(part.get("of", of.get("of")) for part in parts), *of.get("beside", {}).values()]))


class NotMeasuredError(MeasuredError):
    """There are no figures yet."""


def stored(root: Path, name: str) -> dict[str, Any]:
    """A measurement; of a YAML or JSON file of the tree, given by its path, the content as `figures`."""
    if "/" in name:
        return {"figures": read_yaml(root / name)}  # JSON is YAML
    path = root / PLACE / f"{name}.json"
    if not path.is_file():
        raise NotMeasuredError(f"no JSON yet: {PLACE / path.name}; measure it: measured.py run {name}")
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise MeasuredError(
            f"{PLACE / path.name} is not JSON ({error}); expected a measurement; run it again"
        ) from None


def value(root: Path, name: str, path: str, form: str) -> str:
    """One figure as text."""
    found = look_up(stored(root, name)["figures"], path)
    if not isinstance(found, (int, float, str)):
        raise MeasuredError(f"{name} has no figure {path}; expected a number or a text")
    return Figures().format_field(found, form)


# ── Documents ─────────────────────────────────────────────────────────────────────────────────


def documents(root: Path) -> list[Path]:
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def write(root: Path) -> tuple[list[Path], list[str]]:
    """Every block and value anew that can be: the documents that changed, and what hinders the others."""
    changed, missing = [], []

    def anew(found: re.Match[str]) -> str:
        try:
            return f"{found[1]}{_body(root, found)}{found[found.re.groups]}"
        except MeasuredError as error:
            missing.append(str(error))
            return found[0]

    for path in documents(root):
        text = path.read_text(encoding="utf-8")
        new = VALUE.sub(anew, BLOCK.sub(anew, text))
        if new != text:
            _put(path, new)
            changed.append(path)
    return changed, list(dict.fromkeys(missing))


def _body(root: Path, found: re.Match[str]) -> str:
    """What is to stand between the marks of a block or a value."""
    if found.re is BLOCK:
        return table(root, found["view"])
    return value(root, found["name"], found["path"], found["form"])


def faults(root: Path) -> list[str]:
    """What is wrong with the figures of all documents, a line each."""
    found, used = [], set()
    for path in documents(root):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(root)
        for mark in (*BLOCK.finditer(text), *VALUE.finditer(text)):
            what = f"the table {mark['view']}" if mark.re is BLOCK else f"the figure {mark['name']} {mark['path']}"
            used |= {mark["view"]} if mark.re is BLOCK else set()
            try:
                if mark["body"] != _body(root, mark):
                    found.append(f"{name}: {what} is not what its JSON says; run measured.py write")
            except MeasuredError as error:
                found.append(f"{name}: {what}: {error}")
        rest = VALUE.sub("", BLOCK.sub("", text))
        if re.search(r"<!-- /?(?:measured|value)", rest):
            found.append(f"{name}: a mark `measured` or `value` without its other half")
        found += [f"{name}: figures without a measurement: {line}" for line in _unmeasured(rest)]
    views = read_yaml(root / PLACE / "views.yaml")
    found += [f"views.yaml: {view} stands in no document" for view in views if view not in used]
    measurements = read_yaml(root / PLACE / "measurements.yaml")
    for path in sorted((root / PLACE).glob("*.json")):
        if path.stem not in measurements:
            found.append(f"{path.name}: no such measurement in measurements.yaml")
        else:
            found += [f"{path.name}: {what}" for what in _wrong(root, path.stem, measurements[path.stem]["command"])]
    return found


def _wrong(root: Path, name: str, command: str) -> Iterator[str]:
    """What is wrong with a stored measurement by itself."""
    record = stored(root, name)
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


def _unmeasured(text: str) -> Iterator[str]:
    """The first lines of tables and of printed blocks that hold figures."""
    fences = list(FENCE.finditer(text))
    for found in TABLE.finditer(text):
        lines = found[0].splitlines()
        if any(fence.start() < found.start() < fence.end() for fence in fences):
            continue
        if any(FIGURE.search(NO_FIGURES.sub("", line)) for line in lines[2:]) and _is_claimed(text, found):
            yield lines[0][:80]
    for found in fences:
        lines = found["body"].splitlines()
        is_code = found["language"] or not lines or COMMAND.match(lines[0])
        if not is_code and any(FIGURE.search(line) for line in lines) and _is_claimed(text, found):
            yield lines[0][:80]


def _is_claimed(text: str, found: re.Match[str]) -> bool:
    return NOT_MEASURED.search(text[: found.start()]) is None


def draw(root: Path) -> tuple[list[Path], list[str]]:
    """The pictures whose figures are known, as SVG: those drawn, and what is missing for the others.

    Each is what `--plot` of its command draws."""
    from segtween.bench.sweeps import Sweep
    from segtween.reports.tables.methods import plot_methods
    from segtween.reports.tables.plot import plot_sweep
    from segtween.reports.tables.study import Study

    drawn, missing = [], []
    for target, of in read_yaml(root / PLACE / "pictures.yaml").items():
        try:
            figures = stored(root, of["of"])["figures"]
        except NotMeasuredError as error:
            missing.append(str(error))
            continue
        with tempfile.TemporaryDirectory() as folder:
            if "sweep" in of:
                curve = look_up(figures, f"sweeps(sweep={of['sweep']})")
                plot_sweep(Sweep(curve["sweep"], curve["unit"], curve["rows"], curve["note"]), folder)
            else:
                columns = list(own_columns(figures).values())
                plot_methods(Study("methods", figures["title"], columns, figures["rows"], []), folder)
            (picture,) = Path(folder).glob("*.svg")
            _put(root / target, picture.read_text(encoding="utf-8"))
        drawn.append(root / target)
    return drawn, list(dict.fromkeys(missing))


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
        ("list", "measurements, their minutes, and whether they were made"),
        ("write", "write the tables into the documents"),
        ("draw", "draw the documents' pictures of measured figures"),
        ("check", "say which tables are not what was measured"),
    ):
        commands.add_parser(name, help=help_text)
    run = commands.add_parser("run", help="run commands and keep their figures")
    run.add_argument("names", nargs="*", metavar="NAME")
    run.add_argument("--missing", action="store_true", help="all that have no figures yet")
    run.add_argument("--data", action="append", default=[], metavar="NAME=PATH", help="where data of a command lie")
    options = parser.parse_args(arguments)
    try:
        return _do(options, root)
    except MeasuredError as error:
        print(f"measured.py: {error}", file=sys.stderr)
        return 2


def _data(pair: str) -> tuple[str, str]:
    """`CamVid=data/camvid` as name and whole path, which no other word of a command or of its output is part of."""
    name, _, where = pair.partition("=")
    if not name or not where or not Path(where).exists():
        raise MeasuredError(f"--data {pair}; expected NAME=PATH of data that exist; correct it")
    return name, str(Path(where).resolve())


def _do(options: argparse.Namespace, root: Path) -> int:
    measurements = read_yaml(root / PLACE / "measurements.yaml")
    made = {name for name in measurements if (root / PLACE / f"{name}.json").is_file()}
    if options.command == "run":
        names = [name for name in measurements if name not in made] if options.missing else options.names
        if not names and not options.missing:
            raise MeasuredError("run without a name; expected names of measurements or --missing; see measured.py list")
        data = dict(_data(pair) for pair in options.data)
        for name in names:
            print(measure(root, name, data).relative_to(root), flush=True)
    elif options.command == "list":
        for name, of in measurements.items():
            print(f"{name:<26}{of.get('minutes', '?'):>4} min {'measured' if name in made else '-':<9}{of['command']}")
    elif options.command in ("write", "draw"):
        changed, missing = (write if options.command == "write" else draw)(root)
        print("\n".join([*(f"{path.relative_to(root)}" for path in changed), *missing]))
        return bool(missing)
    else:
        wrong = faults(root)
        print("\n".join(wrong) or "every table is what its JSON says")
        return bool(wrong)
    return 0


if __name__ == "__main__":
    sys.exit(main())
