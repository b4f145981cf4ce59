"""The files under `docs/measured`: what is to be measured, and what was."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

PLACE = Path("docs/measured")
KEPT = ("command", "date", "seconds", "commit", "machine", "versions", "clips", "printed", "figures")
"""What a stored measurement must hold."""
OF_MACHINE = ("processor", "features", "processors", "system", "load_before")


class MeasuredError(Exception):
    """Said in one line; exit code 2."""


class NotMeasuredError(MeasuredError):
    """There are no figures yet."""


def read_yaml(path: Path) -> dict[str, Any]:
    """A mapping; JSON is YAML."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MeasuredError(f"{path} cannot be read ({error.strerror}); expected the list of measurements") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise MeasuredError(f"{path} is not YAML ({' '.join(str(error).split())}); correct it") from None
    if not isinstance(found or {}, dict):
        raise MeasuredError(
            f"{path} holds a {type(found).__name__}; expected names with what belongs to them; correct it"
        )
    return found or {}


def entry(entries: Mapping[str, Any], name: str, kind: str) -> Any:
    if name not in entries:
        raise MeasuredError(f"{kind} {name!r} is unknown; expected one of {', '.join(entries)}")
    return entries[name]


def measurements(root: Path) -> dict[str, dict[str, Any]]:
    """By name; each has a command."""
    path = root / PLACE / "measurements.yaml"
    found = read_yaml(path)
    for name, of in found.items():
        if not isinstance(of, dict) or not isinstance(of.get("command"), str):
            raise MeasuredError(f"{path.name}: {name} has no command; expected one; add it")
    return found


def views(root: Path) -> dict[str, dict[str, Any]]:
    """By name; each is of a measurement, and says what it shows of it."""
    path = root / PLACE / "views.yaml"
    found = read_yaml(path)
    for name, of in found.items():
        parts = of.get("parts", [of]) if isinstance(of, dict) else []
        if not parts or not all(
            isinstance(part, dict) and isinstance(part.get("of", of.get("of")), str) for part in parts
        ):
            raise MeasuredError(f"{path.name}: {name} is of no measurement; expected of: NAME; add it")
        if "printed" not in of and not of.get("columns"):
            raise MeasuredError(f"{path.name}: {name} shows nothing; expected columns or printed; add them")
    return found


def stored(root: Path, name: str) -> dict[str, Any]:
    """A measurement; of a YAML or JSON file of the tree, given by its path, the content as `figures`."""
    if "/" in name:
        return {"figures": read_yaml(root / name)}
    path = root / PLACE / f"{name}.json"
    if not path.is_file():
        raise NotMeasuredError(f"no JSON yet: {PLACE / path.name}; measure it: tools/measured run {name}")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MeasuredError(
            f"{PLACE / path.name} is not JSON ({error}); expected a measurement; run it again"
        ) from None
    if not isinstance(record, dict):
        raise MeasuredError(
            f"{PLACE / path.name} holds a {type(record).__name__}; expected a measurement; run it again"
        )
    return record


def put(target: Path, text: str) -> None:
    """A file under its name only when it is whole."""
    part = target.with_name(f".{target.name}.part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, target)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise MeasuredError(f"{target} cannot be written ({error.strerror}); expected a folder to write to") from None
