"""What `segtween run` prints: first what it loads, compiles and will do, and at the end what was done."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from segtween.cli.guard import BAD_INPUT, say_error
from segtween.settings import Fixed
from segtween.texttable import TextTable, count, ordinal
from segtween.types import BOTH_SIDES, format_size

if TYPE_CHECKING:
    from segtween.run.modes import InMode
    from segtween.run.summary import Outcome, SessionSummary, Summary
    from segtween.types import Method, SourceInfo


@contextmanager
def compiling(model: str, *, device: str, quiet: bool) -> Iterator[None]:
    """Says that the network is compiled, which the body does; meanwhile the loops are, those that are not on disk yet,
    with their progress. `quiet`: nothing is said."""
    from segtween.cli.screen import notes, progress_bar
    from segtween.device import CPU
    from segtween.run.kernels import compiled_ahead, missing
    from segtween.segmenters import form_of

    parts = missing() if device == CPU else {}
    if not quiet:
        if parts:
            notes.print("compiling kernels, once; the next time they are on disk")
        notes.print(f"{'compiling' if form_of(model) == 'network' else 'opening'} {model}", markup=False)
    with (
        progress_bar("compiling kernels", after_seconds=0.0) as move,
        compiled_ahead(parts, progress=move if parts and not quiet else None),
    ):
        yield


@contextmanager
def notes_held() -> Iterator[None]:
    """What runtimes note in the body is not logged, for a caller that prints their notes."""
    logger = logging.getLogger("segtween.runtimes")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def start_line(
    name: str, info: SourceInfo, used: InMode, folder: Path, *, save: Sequence[str], scale: float = 1.0
) -> str:
    """One input: what it is, which network and method it gets, and where the outputs go. `scale` is the one at which
    the network sees its frames."""
    frames = "" if info.n_frames is None else f", {count(info.n_frames, 'frame')}"
    seen = "" if scale == 1 else f" at scale {scale:g}"
    return f"{name} ({format_size(info.size_hw)}{frames}): {what(used, seen)}; {where(folder, save)}"


def start_line_of_many(names: Sequence[str], used: InMode, folder: Path, *, save: Sequence[str]) -> str:
    """Several inputs at once, each with a folder of its own."""
    return f"{len(names)} inputs at once ({', '.join(names)}): {what(used)}; {where(folder / '<input>', save)}"


def what(used: InMode, seen: str = "") -> str:
    """The network with how it sees frames, the method and its mode, and how often the network runs."""
    network = used.method.record["network"]["name"]
    preset = used.method.name.removesuffix(BOTH_SIDES)
    return f"network {network}{seen} on {_key_frames(used)}, method {preset}, {used.method.mode_word}"


def network_of(method: Method) -> str:
    """The network of a method, and what runs it how."""
    network = method.record["network"]
    return ", ".join(str(network[key]) for key in ("name", "runtime", "precision") if key in network)


def where(folder: Path, save: Sequence[str]) -> str:
    return f"writes {', '.join([*save, 'frames.csv', 'run.json'])} to {folder}"


def _key_frames(used: InMode) -> str:
    schedule = used.settings.mode.schedule
    if isinstance(schedule, Fixed):
        return "every frame" if schedule.interval == 0 else f"every {ordinal(schedule.interval + 1)} frame"
    if schedule.target_ms is not None:
        return f"key frames chosen for {schedule.target_ms:g} ms per frame"
    budget = 100 / (schedule.interval + 1) if schedule.budget is None else schedule.budget
    return f"{budget:g} of 100 frames, chosen by need"


# ── At the end ────────────────────────────────────────────────────────────────────────────────


def report_one(summary: Summary) -> None:
    from segtween.cli.screen import console
    from segtween.ops.threads import available_threads

    stages = ", ".join(f"{stage} {share:.0%}" for stage, share in summary.stage_shares().items() if share >= 0.005)
    console.print(
        f"{summary.input.name}: network on {summary.network_runs} of {count(summary.frames, 'frame')} "
        f"({100 * summary.network_runs / max(1, summary.frames):.1f} per 100), {summary.fps:.1f} frames per second"
        + (", with the comparison" if summary.comparison is not None else "")
        + (f", {count(summary.cuts, 'scene cut')}" if summary.cuts else "")
    )
    console.print(f"  time: {stages}; limited by: {summary.limited_by()}")
    if summary.busy is not None:
        console.print(f"  processors busy: {summary.busy:.0%} of {available_threads()}")
    if summary.latency_ms:
        console.print(f"  {_live(summary.live())}")
    if summary.consistency is not None:
        console.print(f"  {_temporal(summary.consistency)}")
    if summary.comparison is not None:
        named = summary.comparison["method"]["name"]
        console.print(f"  compared with {named}: {_temporal(summary.comparison['consistency'])}")
        if summary.consistency is None:
            console.print(f"  this one: {_temporal(summary.comparison['own_consistency'])}")
    used = summary.method
    console.print(f"  method: {used.name} {used.hash}, {used.mode_word}, {network_of(used)}")
    for note in summary.outputs.notes:
        console.print(f"  {note}", markup=False)
    films = [] if summary.comparison is None else ["compare"]
    films += [] if summary.consistency is None else ["report.html"]
    console.print(f"  written: {', '.join([*summary.saved, *films, 'frames.csv', 'run.json'])} in {summary.folder}")


def _live(figures: dict[str, Any]) -> str:
    ms = figures["latency_ms"]
    return (
        f"live: {count(figures['dropped_frames'], 'frame')} dropped; labels after {ms['p50']:.0f} ms (half of the "
        f"frames), {ms['p95']:.0f} ms (95%), {ms['p99']:.0f} ms (99%), {ms['most']:.0f} ms (the slowest)"
    )


def _temporal(figures: dict[str, Any]) -> str:
    if figures["tc"] is None:
        return "temporal consistency: no two frames to compare"
    text = (
        f"temporal consistency {figures['tc']:.1%}; "
        f"flicker: {figures['flicker']:.2%} of pixels per frame change back and forth"
    )
    if figures["change_rate_at_keys"] is not None and figures["change_rate_elsewhere"] is not None:
        at_keys, elsewhere = figures["change_rate_at_keys"], figures["change_rate_elsewhere"]
        text += f"; {at_keys:.1%} change label at key frames, {elsewhere:.1%} at others"
    return text + ("; all of one class, which is always steady" if figures["classes_seen"] == 1 else "")


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
