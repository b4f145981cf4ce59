"""The marks in documents, and what is to stand between them."""

from __future__ import annotations

import re
from pathlib import Path

from measured.figures import value
from measured.store import MeasuredError, put
from measured.tables import table

BLOCK = re.compile(r"(<!-- measured: (?P<view>[\w.-]+) -->\n)(?P<body>.*?)(<!-- /measured -->)", re.DOTALL)
VALUE = re.compile(r"(<!-- value: (?P<name>\S+) (?P<path>.+?) (?P<form>\S+) -->)(?P<body>[^<\n]*)(<!-- /value -->)")


def documents(root: Path) -> list[Path]:
    return [root / "README.md", *sorted((root / "docs").rglob("*.md"))]


def write(root: Path) -> tuple[list[Path], list[str]]:
    """Every block and value anew that can be: the documents that changed, and what hinders the others."""
    changed, missing = [], []

    def anew(found: re.Match[str]) -> str:
        try:
            return f"{found[1]}{body(root, found)}{found[found.re.groups]}"
        except MeasuredError as error:
            missing.append(str(error))
            return found[0]

    for path in documents(root):
        text = path.read_text(encoding="utf-8")
        new = VALUE.sub(anew, BLOCK.sub(anew, text))
        if new != text:
            put(path, new)
            changed.append(path)
    return changed, list(dict.fromkeys(missing))


def body(root: Path, found: re.Match[str]) -> str:
    """What is to stand between the marks of a block or a value."""
    if found.re is BLOCK:
        return table(root, found["view"])
    return value(root, found["name"], found["path"], found["form"])
