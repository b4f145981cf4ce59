"""Tables on terminals of any width: nothing cut, no row broken, and a word on what is left out."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from segtween.cli import app, screen
from segtween.cli.models import licences, listed
from segtween.models.finding import find_record, shipped_models
from segtween.texttable import GAP, TextTable

COLUMNS = [
    "method",
    "interval",
    "ms per frame",
    "frames per second",
    "key frame ms",
    "other frame ms",
    "share",
    "cells",
]
ROWS = [[f"row number {i}", "4", "1234.5", "12.3", "2345.6", "15.5", "95% of 5x", "41%"] for i in range(3)]
WIDE = TextTable("Figures", COLUMNS, ROWS)


def shown(
    table: TextTable, width: int, monkeypatch: pytest.MonkeyPatch, *, terminal: bool, **options: Any
) -> list[str]:
    text = io.StringIO()
    console = Console(file=text, width=width, force_terminal=terminal, no_color=True, soft_wrap=True, highlight=False)
    monkeypatch.setattr(screen, "console", console)
    screen.show(table, **options)
    return [line.rstrip() for line in _plain(text.getvalue()).splitlines()]


def _plain(text: str) -> str:
    from rich.text import Text

    return Text.from_ansi(text).plain


def test_a_narrow_terminal_has_fewer_columns_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(WIDE, 60, monkeypatch, terminal=True, all_in="--json FILE")
    assert all(len(line) <= 60 for line in lines[:-1])
    rows = [line for line in lines if line.startswith("row number")]
    assert len(rows) == len(ROWS), "no row is broken"
    assert all("1234.5" in row and "95%" not in row for row in rows)
    assert lines[-1] == "not shown: share, cells (use a wider terminal or --json FILE)"
    assert lines[0] == "Figures"
    assert "ms per frame" not in "".join(lines[1:-1]), "headings are broken between words"


def test_a_wide_terminal_and_a_pipe_have_all_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    for width, terminal in ((200, True), (40, False)):
        lines = shown(WIDE, width, monkeypatch, terminal=terminal)
        rows = [line for line in lines if line.startswith("row number")]
        assert len(rows) == len(ROWS)
        assert all(cell in row for row in rows for cell in ROWS[0][1:])
        assert not [line for line in lines if line.startswith("not shown")]


@given(st.integers(1, 200))
def test_headings_take_as_few_lines_as_there_is_room_for(width: int) -> None:
    headings, rows = WIDE.lines(width)
    assert max(map(len, [*headings, *rows])) <= max(width, WIDE.least_width())
    assert len(headings) <= 3
    assert len(headings) == 1 or width < sum(map(len, COLUMNS)) + GAP * len(COLUMNS) + len(ROWS[0][0])
    assert sorted(" ".join(headings).split()) == sorted(" ".join(COLUMNS).split())


def test_seldom_columns_go_first() -> None:
    table, left_out = replace(WIDE, seldom=["ms per frame", "cells"]).fitted(WIDE.least_width() - 1)
    assert left_out == ["ms per frame"]
    assert list(table.columns) == [name for name in COLUMNS if name != "ms per frame"]
    assert table.rows[0][2] == "12.3"


def test_the_first_two_columns_always_stay() -> None:
    table, left_out = replace(WIDE, seldom=["method"]).fitted(1)
    assert list(table.columns) == COLUMNS[:2]
    assert left_out == COLUMNS[2:]


words = st.text(alphabet="abc ", min_size=1, max_size=14)


@given(
    st.integers(2, 8).flatmap(lambda n: st.lists(st.lists(words, min_size=n, max_size=n), min_size=2, max_size=4)),
    st.integers(20, 120),
)
def test_what_is_fitted_is_no_wider_and_loses_nothing_else(cells: list[list[str]], width: int) -> None:
    columns, *rows = cells
    table, left_out = TextTable("t", columns, rows).fitted(width)
    assert len(table.columns) + len(left_out) == len(columns)
    assert [list(row) for row in table.rows] == [row[: len(table.columns)] for row in rows], "from the right"
    assert table.least_width() <= width or len(table.columns) == 2
    if left_out:
        more = TextTable("t", columns[: len(table.columns) + 1], [row[: len(table.columns) + 1] for row in rows])
        assert more.least_width() > width, "one more column would not fit"
    assert table.least_width() == sum(map(table.width, range(len(table.columns)))) + GAP * (len(table.columns) - 1)


def test_the_list_of_networks_fits_80_columns_and_shows_what_was_measured() -> None:
    done = CliRunner().invoke(app, ["models"])
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 80
    for record in map(find_record, shipped_models()):
        (line,) = [line for line in done.output.splitlines() if line.split()[0] == record.name]
        assert record.labels.name in line
        measured = record.provenance.get("measured") or {}
        assert all(f"{data} {100 * of['miou']:.1f}" in line for data, of in measured.items())
        assert ("random weights" in line) == record.is_random
        assert record.provenance.get("licence", "") in " ".join(done.output.split())


def test_random_weights_are_marked_whatever_is_measured() -> None:
    trained = find_record("swiftnet-lite0.camvid")
    assert trained.weights is not None
    weights = replace(trained.weights, file=None, sha256=None, random_seed=0, manifest="manifest.json")
    table = listed([trained, replace(trained, name="drawn", weights=weights)])
    assert [row[0] for row in table.rows if "random weights" in row[2]] == ["drawn"]
    assert licences([replace(trained, provenance={})]) == []


@pytest.fixture
def no_terminal(monkeypatch: pytest.MonkeyPatch) -> tuple[io.StringIO, list[float]]:
    """What is written, and a clock that the test moves on."""
    text, clock = io.StringIO(), [100.0]
    monkeypatch.setattr(screen, "notes", Console(file=text, force_terminal=False, soft_wrap=True, highlight=False))
    monkeypatch.setattr(screen.time, "perf_counter", lambda: clock[0])
    return text, clock


def test_without_a_terminal_progress_is_a_line_now_and_then(no_terminal: tuple[io.StringIO, list[float]]) -> None:
    text, clock = no_terminal
    with screen.progress_bar("drive") as progress:
        for done in range(1, 101):
            clock[0] += 1
            progress(done, 100)
    assert text.getvalue().splitlines() == [
        "drive: 20 of 100 after 20 s, about 80 s left",
        "drive: 40 of 100 after 40 s, about 60 s left",
        "drive: 80 of 100 after 80 s, about 20 s left",
    ]
    with screen.progress_bar("short") as progress:
        clock[0] += 1
        progress(1, 6)
        clock[0] += 21
        progress(6, 6)
    assert text.getvalue().splitlines()[3:] == ["short: 6 of 6 after 22 s"], "nothing is left then"
    with screen.progress_bar("camera") as progress:
        clock[0] += 30
        progress(5, None)
    assert text.getvalue().splitlines()[4:] == ["camera: 5 after 30 s"]


def test_what_comes_before_the_first_step_does_not_make_the_rest_look_long(
    no_terminal: tuple[io.StringIO, list[float]],
) -> None:
    text, clock = no_terminal
    with screen.progress_bar("drive") as progress:
        clock[0] += 60
        for done in range(1, 101):
            clock[0] += 1
            progress(done, 100)
    assert text.getvalue().splitlines() == [
        "drive: 1 of 100 after 61 s",
        "drive: 62 of 100 after 122 s, about 38 s left",
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals are POSIX")
def test_a_real_terminal_of_80_columns() -> None:
    import pty

    ours, theirs = pty.openpty()
    rows_given = [[*row, "a figure of some length"] for row in ROWS]
    environment = {**os.environ, "COLUMNS": "80", "TERM": "dumb"}
    code = (
        "from segtween.cli.screen import show; from segtween.texttable import TextTable; "
        f"show(TextTable('Figures', {[*COLUMNS, 'last']}, {rows_given}), all_in='--out FOLDER')"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=theirs, env=environment, check=False)
    os.close(theirs)
    text = _read(ours)
    assert done.returncode == 0
    rows = [line for line in text.splitlines() if line.startswith("row number")]
    assert len(rows) == len(ROWS)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "not shown: last (use a wider terminal or --out FOLDER)" in text


def _read(handle: int) -> str:
    parts = []
    while True:
        try:
            part = os.read(handle, 4096)
        except OSError:  # Linux: the other end is closed
            break
        if not part:
            break
        parts.append(part)
    return b"".join(parts).decode()
