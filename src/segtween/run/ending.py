"""How a run of one input ends: outputs closed, `run.json` written, and one error that says all that went wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from segtween.errors import SegtweenError, SinkError
from segtween.interfaces import Sink
from segtween.types import OutputReport, OutputState
from segtween.video.interrupt import Terminated
from segtween.video.staging import Staged, sink_errors

if TYPE_CHECKING:
    from segtween.run.summary import Summary

_lock = threading.Lock()  # several inputs that end together share what ended them


def ended(error: BaseException | None, *left: Callable[[], object]) -> BaseException | None:
    """Does what is left to do after an `error`, if there was one. Returns what the run ends with."""
    try:
        for work in left:
            work()
    except SegtweenError as other:
        return error or other
    except BaseException as fault:  # Ctrl-C, which waited until all was done; or a fault of the program
        return fault
    return error


def close_outputs(sink: Sink, error: BaseException | None) -> BaseException | None:
    """Finishes the outputs, or, after an error, keeps what is whole of them. Returns what the run ends with."""
    return ended(error, sink.close if error is None else sink.abort)


def write_summary(summary: Summary, report: OutputReport, error: BaseException | None) -> BaseException | None:
    """Writes `run.json` where there was any frame. Returns what the run ends with: `error`, which then names the
    outputs that failed besides; a SinkError where nothing else went wrong."""
    if summary.frames and not summary.network_runs:
        report.note("no frame has labels: the network's first answer was still to come when the input ended")
    summary.outputs = report
    summary.error = _error_text(error, report.error())
    if summary.frames:
        target = summary.folder / "run.json"
        try:
            write_json(summary.to_json(), target)
        except SinkError as failed:
            report.outputs.append(OutputState(target.name, error=failed))
    return _with(error, report.error())


def _error_text(error: BaseException | None, failure: SinkError | None) -> str | None:
    if isinstance(error, Terminated):
        words = "stopped by SIGTERM"
    elif isinstance(error, KeyboardInterrupt):
        words = "stopped by the user"
    else:
        words = "" if error is None or _is_covered(error, failure) else str(error) or type(error).__name__
    return "; ".join(filter(None, (words, "" if failure is None else str(failure)))) or None


def _with(error: BaseException | None, failure: SinkError | None) -> BaseException | None:
    if failure is None or error is None or _is_covered(error, failure):
        return failure or error
    if isinstance(error, (SegtweenError, KeyboardInterrupt)):
        with _lock:
            error.args = ("; ".join([*map(str, error.args), str(failure)]),)
    return error


def _is_covered(error: BaseException, failure: SinkError | None) -> bool:
    """Whether it is one of the errors of the outputs, all of which `failure` names."""
    return failure is not None and isinstance(error, SinkError)


def write_json(record: dict[str, Any], path: str | Path) -> None:
    """JSON under its final name only when whole; SinkError where it cannot be written."""
    target = Path(path)
    staged = Staged(target)
    try:
        with sink_errors(target):
            staged.part.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        staged.commit()
    finally:
        if not staged.committed:
            staged.discard()
