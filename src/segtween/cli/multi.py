"""`segtween run` with several inputs at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import typer

from segtween.cli.guard import BAD_INPUT, say_error
from segtween.errors import SettingError
from segtween.texttable import TextTable

if TYPE_CHECKING:
    from pathlib import Path

    from segtween.api import Segtween
    from segtween.run.multi import Outcome, Together
    from segtween.video import NamedSource


def are_together(todo: Sequence[NamedSource], asked: bool | None, *, live: bool) -> bool:
    """Whether these inputs are run at once: if asked for, or live, or if one of them may have no end."""
    from segtween.video.inputs import kind_of

    if len(todo) == 1 or asked is not None:
        return bool(asked) and len(todo) > 1
    return live or any(kind_of(item.spec) in ("camera", "stream") for item in todo)


def run_together(
    seg: Segtween, inputs: Sequence[str], out: Path, *, compare: object | None, quiet: bool, **asked: Any
) -> None:
    """Runs them, prints a table with every input and all of them; exit code 2 where one failed."""
    from segtween.cli.screen import progress_bar, show

    if compare is not None:
        raise SettingError(
            "--compare with several inputs at once",
            expected="one video after the other",
            do="add --one-by-one, or leave --compare out",
        )
    with progress_bar("together") as progress:
        done = seg.run_together(inputs, out, progress=None if quiet else progress, **asked)
    for outcome in done.failed:
        say_error(_named(outcome))
    if not quiet and done.frames:  # else nothing was written
        show(table(done), *remarks(done, out))
    if done.failed:
        raise typer.Exit(BAD_INPUT)


def table(done: Together) -> TextTable:
    """Every input and, below, all of them."""
    columns = ["input", "frames", "network runs", "per 100 frames", "frames per second", "scene cuts"]
    columns += ["dropped", "labels after (half, 95%, the slowest)"] if done.live else []
    rows = [_row(outcome, live=done.live) for outcome in done.outcomes]
    cuts = sum(summary.cuts for summary in done.summaries)
    total = ["together", *_counts(done.frames, done.network_runs), f"{done.fps:.1f}", f"{cuts}"]
    total += [f"{sum(summary.dropped for summary in done.summaries)}", ""] if done.live else []
    return TextTable(f"{len(done.outcomes)} inputs at once", columns, [*rows, total])


def remarks(done: Together, out: Path) -> list[str]:
    runs, network = done.runs, done.method.record["network"]
    named = ", ".join(str(network[key]) for key in ("name", "runtime", "precision") if key in network)
    saved = done.summaries[0].saved if done.summaries else ()
    return [
        f"network runs per tick (a frame of each): {runs['mean']:.2f} on average, at most {runs['most_planned']}, "
        f"{runs['most']} where inputs begin or scenes are cut",
        f"limited by: {done.limited_by()}; processors {done.busy:.0%} busy",
        f"method: {done.method.name} {done.method.hash}, {named}",
        *(f"{summary.input.name}: {note}" for summary in done.summaries for note in summary.outputs.notes),
        f"written: {', '.join([*saved, 'frames.csv', 'run.json'])} in {out}/<input>, together.json in {out}",
    ]


def _row(outcome: Outcome, *, live: bool) -> list[str]:
    name, summary = f"{outcome.name}{' (failed)' if outcome.error is not None else ''}", outcome.summary
    if summary is None or not summary.frames:
        return [name, "0", *["-"] * (6 if live else 4)]
    row = [name, *_counts(summary.frames, summary.network_runs), f"{summary.fps:.1f}", f"{summary.cuts}"]
    if live:
        ms = summary.live()["latency_ms"]
        row += [f"{summary.dropped}", f"{ms['p50']:.0f}, {ms['p95']:.0f}, {ms['most']:.0f} ms"]
    return row


def _counts(frames: int, network_runs: int) -> list[str]:
    return [f"{frames}", f"{network_runs}", f"{100 * network_runs / max(1, frames):.1f}"]


def _named(outcome: Outcome) -> str:
    said = str(outcome.error)
    return said if outcome.name in said else f"{outcome.name}: {said}"
