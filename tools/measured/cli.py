"""Runs the commands of measured figures, keeps what they print, and writes the documents' tables from it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from measured.checking import faults
from measured.documents import write
from measured.drawing import draw
from measured.measuring import measure
from measured.store import PLACE, MeasuredError, measurements

ROOT = Path(__file__).resolve().parents[2]


def main(arguments: Sequence[str] | None = None, *, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="measured", description=__doc__)
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
        print(f"measured: {error}", file=sys.stderr)
        return 2


def _data(pair: str) -> tuple[str, str]:
    """`CamVid=data/camvid` as name and whole path, which no other word of a command or of its output is part of."""
    name, _, where = pair.partition("=")
    if not name or not where or not Path(where).exists():
        raise MeasuredError(f"--data {pair}; expected NAME=PATH of data that exist; correct it")
    return name, str(Path(where).resolve())


def _do(options: argparse.Namespace, root: Path) -> int:
    known = measurements(root)
    made = {name for name in known if (root / PLACE / f"{name}.json").is_file()}
    if options.command == "run":
        names = [name for name in known if name not in made] if options.missing else options.names
        if not names and not options.missing:
            raise MeasuredError("run without a name; expected names of measurements or --missing; list shows them")
        data = dict(_data(pair) for pair in options.data)
        for name in names:
            print(measure(root, name, data).relative_to(root), flush=True)
    elif options.command == "list":
        for name, of in known.items():
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
