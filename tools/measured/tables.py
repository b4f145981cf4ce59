"""Tables of the documents, as Markdown."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from measured.figures import Figures, look_up
from measured.store import PLACE, MeasuredError, NotMeasuredError, entry, measurements, read_yaml, stored, views

INTERVAL = re.compile(r"\([+-]\d+\.\d to [+-]\d+\.\d\)")
RESTS = re.compile(r"(?P<where>in brackets|from, to:)(?: in brackets)? (?P<what>the [\d.]+% interval of .*)")


def table(root: Path, view: str) -> str:
    """A view as Markdown: its rows, or what was printed, then a line on how each measurement was made. Where one has no
    JSON, a line that says so, and the command."""
    of = entry(views(root), view, "view")
    records, missing = {}, []
    for name in names(of):
        try:
            records[name] = stored(root, name)
        except NotMeasuredError:
            missing.append(name)
    if missing:
        known_commands = measurements(root)
        commands = [f"`{entry(known_commands, name, 'measurement')['command']}`  " for name in missing]
        commands[-1] = commands[-1].rstrip()
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
    has_intervals = INTERVAL.search(body) or any(str(key).endswith("_low") for key in of.get("columns", ()))
    shown = [part.get("of", of.get("of")) for part in of.get("parts", [of])] if has_intervals else []
    origins = dict.fromkeys(
        "  \n".join([_origin(name, record, known), *([_rests(name, record)] if name in shown else [])])
        for name, record in records.items()
    )
    return "\n".join(["", body, "", *origins, ""])


def _table(view: str, of: Mapping[str, Any], records: Mapping[str, Any]) -> str:
    parts = of.get("parts", [of])
    columns = of["columns"]
    headings = list(columns)
    if isinstance(columns, list):
        first = records[names(of)[0]]["figures"]
        headings = [entry(own_columns(first), key, "column").heading for key in columns]
    lines = [headings, ["---", *("---:" for _ in headings[1:])]]
    others = {key: records[name]["figures"] for key, name in of.get("beside", {}).items()}
    for part in parts:
        record = records[part.get("of", of.get("of"))]
        for row in _rows(record, part, of):
            row |= others
            cells = _own_cells(record["figures"], columns, row) if isinstance(columns, list) else _cells(part, of, row)
            lines.append([of.get("names", {}).get(cells[0], cells[0]), *cells[1:]])
    _check_choice(view, of, records)
    if len(lines) == 2:
        raise MeasuredError(f"view {view} has no rows; expected one at least; correct its rows and where")
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _check_choice(view: str, of: Mapping[str, Any], records: Mapping[str, Any]) -> None:
    """MeasuredError for a value of `where` that no row has: a name that has changed, whose rows would be left out."""
    parts = of.get("parts", [of])
    for where in [of.get("where", {}), *(part["where"] for part in parts if "where" in part)]:
        rows = [row for part in parts for row in _rows(records[part.get("of", of.get("of"))], part | {"where": {}}, of)]
        for key, values in where.items():
            have = [look_up(row, key) for row in rows]
            if absent := [value for value in values if value not in have]:
                raise MeasuredError(
                    f"view {view}: no row has {key} {absent[0]!r}; expected one of {sorted(set(map(str, have)))}"
                )


def _cells(part: Mapping[str, Any], of: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    return [Figures().text(form, row) for form in part.get("columns", of["columns"]).values()]


def own_columns(figures: Mapping[str, Any]) -> dict[str, Any]:
    """By key, the columns (`segtween.reports.tables.study.Column`) that the command itself shows of such figures."""
    from segtween.reports.tables import ablation, budgets, codec, delays, losses, methods, occlusion, propagation, speed

    name = figures.get("table")
    if name == "propagation":
        columns = propagation._columns(propagation._ranges(figures["every"]))
    else:
        modules = ablation, budgets, codec, delays, losses, methods, occlusion
        tables = {m.__name__.rpartition(".")[2]: m.COLUMNS for m in modules}
        tables |= dict.fromkeys(("intervals", "scales"), speed.COLUMNS)
        columns = entry(tables, str(name), "table")
    return {column.key: column for column in columns}


def _own_cells(figures: Mapping[str, Any], keys: Sequence[str], row: dict[str, Any]) -> list[str]:
    own = own_columns(figures)
    return [entry(own, key, "column").cell(row) for key in keys]


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


def _rests(name: str, record: Mapping[str, Any]) -> str:
    """What the intervals of a table rest on, as its command printed it (`segtween.metrics.bootstrap.basis`)."""
    found = RESTS.search(record.get("printed", ""))
    if found is None:
        raise MeasuredError(
            f"{name} shows intervals, and its command printed nothing of what they rest on; run it again"
        )
    return f"{found['where']} {found['what']}"


def names(of: Mapping[str, Any]) -> list[str]:
    parts = of.get("parts", [of])
    return list(dict.fromkeys([*(part.get("of", of.get("of")) for part in parts), *of.get("beside", {}).values()]))
