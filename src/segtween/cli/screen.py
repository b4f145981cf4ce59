"""What people see: progress with time left, and tables."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

console = Console(highlight=False, soft_wrap=True, width=None if sys.stdout.isatty() else 120)
"""Standard output, for results; wide enough for tables where it is a file or a pipe."""
notes = Console(stderr=True, highlight=False, soft_wrap=True)
"""Standard error, for progress and remarks."""


@contextmanager
def progress_bar(what: str, *, after_seconds: float = 1.0) -> Iterator[Callable[[int, int | None], None]]:
    """A bar with the time left, shown once the work has taken `after_seconds`; gives the callback that moves it."""
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
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


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A table for the screen: the first column is text, the others are figures."""
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for i, name in enumerate(columns):
        made.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        made.add_row(*(str(cell) for cell in row))
    return made


def percent(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f}"
