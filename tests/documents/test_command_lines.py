"""Every command line in the documents and help texts has only options that its command has."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from segtween.cli import COMMANDS, Listed

ROOT = Path(__file__).parents[2]
PLACES = ("README.md", "CONTRIBUTING.md", "docs/**/*.md", "docs/measured/measurements.yaml", "src/segtween/**/*.py")
MEASURED = re.compile(r"<!-- measured: .*?<!-- /measured -->", re.DOTALL)
"""What a command once printed, with the line that it was called by."""

LINE = re.compile(rf"segtween ((?:{'|'.join(COMMANDS)})\b[^`\n\"#]*)")


def command_lines(place: str) -> Iterator[tuple[str, list[str]]]:
    for path in sorted(ROOT.glob(place)):
        text = MEASURED.sub("", path.read_text()).replace("\\\n", " ")
        for match in LINE.finditer(text):
            try:
                words = shlex.split(match[1])
            except ValueError:  # an apostrophe: prose
                continue
            yield f"{path.relative_to(ROOT)}: {match[0]}", [word.rstrip(",.;:)") for word in words]


def options_of(words: list[str]) -> set[str]:
    command: Any = Listed(words[0], *COMMANDS[words[0]]).load()
    subcommands = getattr(command, "commands", None)
    if subcommands:
        name = words[1] if len(words) > 1 else ""
        command = subcommands.get(name) or subcommands.get("speed") or command
    return {flag for param in command.params for flag in (*param.opts, *param.secondary_opts)} | {
        "--help",
        "--help-all",
    }


@pytest.mark.parametrize("place", PLACES)
def test_the_options_in_command_lines_exist(place: str) -> None:
    lines = [(said, words) for said, words in command_lines(place) if any(word.startswith("--") for word in words)]
    unknown = [
        f"{said} ({word})"
        for said, words in lines
        for word in words
        if re.match(r"--[a-z]", word) and word.split("=")[0] not in options_of(words)
    ]
    assert unknown == []
    assert lines or place == "CONTRIBUTING.md"
