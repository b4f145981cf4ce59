"""What `segtween run` prints for several inputs at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from segtween.cli.guard import BAD_INPUT, say_error
from segtween.texttable import TextTable

if TYPE_CHECKING:
    from pathlib import Path

    from segtween.run.summary import Outcome, SessionSummary


def report_session(done: SessionSummary, out: Path, *, quiet: bool) -> None:
    """Prints a table with every input and all of them; exit code 2 where one failed."""
    from segtween.cli.screen import show

    for outcome in done.failed:
        message = str(outcome.error)
        say_error(message if outcome.name in message else f"{outcome.name}: {message}")
    if not quiet and done.frames:  # else nothing was written
        show(table(done), *remarks(done, out))
    if done.failed:
        raise typer.Exit(BAD_INPUT)


def table(done: SessionSummary) -> TextTable:
    """Every input and, below, all of them."""
    columns = ["input", "frames", "network runs", "per 100 frames", "frames per second", "scene cuts"]
    columns += ["dropped", "labels after (half, 95%, the slowest)"] if done.live else []
    rows = [_row(outcome, live=done.live) for outcome in done.outcomes]
    cuts = sum(summary.cuts for summary in done.summaries)
    total = ["all inputs", *_counts(done.frames, done.network_runs), f"{done.fps:.1f}", f"{cuts}"]
    total += [f"{sum(summary.dropped for summary in done.summaries)}", ""] if done.live else []
    return TextTable(f"{len(done.outcomes)} inputs at once", columns, [*rows, total])


def remarks(done: SessionSummary, out: Path) -> list[str]:
    from segtween.cli.startup import network_of

    runs = done.runs
    saved = done.summaries[0].saved if done.summaries else ()
    return [
        f"network runs per tick (a frame of each): {runs['mean']:.2f} on average, at most {runs['most_planned']}, "
        f"{runs['most']} where inputs begin or scenes are cut",
        f"limited by: {done.limited_by()}; processors {done.busy:.0%} busy",
        f"method: {done.method.name} {done.method.hash}, {done.method.mode_word}, {network_of(done.method)}",
        *(f"{summary.input.name}: {note}" for summary in done.summaries for note in summary.outputs.notes),
        f"written: {', '.join([*saved, 'frames.csv', 'run.json'])} in {out}/<input>, session.json in {out}",
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
