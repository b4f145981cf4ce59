"""What people see: progress with time left, and tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich import progress as bars
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from segtween.texttable import TextTable

if TYPE_CHECKING:
    from segtween.types import Progress

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)
"""Standard output, for results; wide enough for tables where it is a file or a pipe."""
notes = Console(stderr=True, highlight=False, soft_wrap=True)
"""Standard error, for progress and remarks."""


@contextmanager
def progress_bar(what: str, *, after_seconds: float = 1.0) -> Iterator[Progress]:
    """A bar with the time left, shown once the work has taken `after_seconds`; gives the callback that moves it."""
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
            if now - began < after_seconds or not notes.is_terminal:
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


def show(*parts: TextTable | str) -> None:
    """Tables and lines on standard output. In a table a heading may be broken, a figure may not."""
    for part in parts:
        if isinstance(part, str):
            console.print(part, markup=False)
        else:
            drawn = _drawn(part)
            needed = console.measure(drawn).minimum
            console.print(drawn, width=max(console.width, needed))


def _drawn(table: TextTable) -> Table:
    made = Table(title=escape(table.title), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(table.columns):
        widest = max(len(text) for text in (*name.split(), *table.column(i), ""))
        made.add_column(escape(name), justify="right" if i else "left", min_width=widest)
    for row in table.rows:
        made.add_row(*map(escape, row))
    return made
