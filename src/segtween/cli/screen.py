"""Terminal output: progress with time left, and tables."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich import progress as bars
from rich.console import Console

from segtween.texttable import TextTable

if TYPE_CHECKING:
    from segtween.types import Progress

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)
"""Standard output, for results; wide enough for tables where it is a file or a pipe."""
notes = Console(stderr=True, highlight=False, soft_wrap=True)
"""Standard error, for progress and remarks."""


FIRST_LINE_SECONDS, MOST_SECONDS_APART = 20.0, 300.0
"""Where there is no terminal: when the first line of progress is written, and how far apart lines are at most."""


@contextmanager
def progress_bar(what: str, *, after_seconds: float = 1.0) -> Iterator[Progress]:
    """Gives the callback that moves a bar with the time left, which is shown once the work has taken `after_seconds`.
    Without a terminal it is a line now and then, each twice as late as the one before."""
    if not notes.is_terminal:
        yield _lines(what)
        return
    bar = bars.Progress(
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn("{task.fields[rate]}"),
        bars.TimeRemainingColumn(),
        console=notes,
        transient=True,
    )
    began, task, shown = time.perf_counter(), None, 0.0

    def move(done: int, total: int | None) -> None:
        nonlocal task, shown
        now = time.perf_counter()
        if task is None:
            if now - began < after_seconds:
                return
            bar.start()
            task = bar.add_task(what, total=total, rate="")
        if now - shown > 0.1 or done == total:
            shown = now
            bar.update(task, completed=done, total=total, rate=f"{done / max(now - began, 1e-9):.1f}/s")

    try:
        yield move
    finally:
        if task is not None:
            bar.stop()


def _lines(what: str) -> Progress:
    began = time.perf_counter()
    due = FIRST_LINE_SECONDS
    first: tuple[float, int] | None = None

    def move(done: int, total: int | None) -> None:
        nonlocal due, first
        passed = time.perf_counter() - began
        if done and first is None:
            first = passed, done
        if passed < due:
            return
        due = passed + min(passed, MOST_SECONDS_APART)
        seconds = seconds_left(first, passed, done, total)
        left = f", about {seconds:.0f} s left" if seconds else ""
        notes.print(f"{what}: {done}{f' of {total}' if total else ''} after {passed:.0f} s{left}", markup=False)

    return move


def seconds_left(first: tuple[float, int] | None, now: float, done: int, total: int | None) -> float | None:
    """By the rate since `first`, when and how far the first step was done: what came before may have compiled
    something. None where it is not known."""
    if first is None or total is None or done <= first[1]:
        return None
    return (now - first[0]) * max(0, total - done) / (done - first[1])


def show(*parts: TextTable | str, all_in: str | None = None) -> None:
    """Tables and lines on standard output. In a table a heading may be broken, a figure may not.

    On a terminal a table has as many columns as fit side by side, and a line below says which are left out; a file
    or a pipe gets all of them. `all_in` is the option that writes all of them (`--json FILE`).
    """
    for part in parts:
        if isinstance(part, str):
            console.print(part, markup=False)
            continue
        table, left_out = part.fitted(console.width) if console.is_terminal else (part, [])
        _draw(table)
        if left_out:
            names = ", ".join(dict.fromkeys(" ".join(name.split()) for name in left_out))
            elsewhere = "" if all_in is None else f" or {all_in}"
            console.print(f"not shown: {names} (use a wider terminal{elsewhere})", markup=False)


def show_json(values: Mapping[str, Any]) -> None:
    """On standard output, never wrapped or coloured."""
    console.file.write(json.dumps(values, indent=1, allow_nan=False) + "\n")


def _draw(table: TextTable) -> None:
    headings, rows = table.lines(console.width)
    for line in textwrap.wrap(table.title, max(console.width, table.least_width())):
        console.print(line, style="italic", markup=False)
    for line in headings:
        console.print(line, style="bold", markup=False)
    for line in rows:
        console.print(line, markup=False)
