"""All outputs of a clip, each of which opens, fails and closes independently."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from segtween.errors import SinkError
from segtween.types import Frame, OutputReport, OutputState, Result
from segtween.video.interrupt import Interrupts
from segtween.video.lock import FolderLock
from segtween.video.staging import Staged, sink_errors


class Output(Protocol):
    """A Sink of one file or folder. `close` and `abort` leave no part file, whether they raise SinkError or not;
    after a `write` that has raised, `abort` keeps what is whole of the frames before it."""

    @property
    def staged(self) -> Staged: ...
    def write(self, frame: Frame, result: Result) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Outputs:
    """The outputs of one clip, as one sink. `stale` are old files that go once all new ones are there.

    One that fails is closed at once, what is whole of it is kept, and the others go on; `write` raises when none is
    left, `close` when all others are finished. `lock` is released at the end.
    Ctrl-C never falls between the outputs of a frame: it waits for the next call. `prepare` makes of each result what
    all outputs get.
    """

    def __init__(
        self,
        outputs: Sequence[Output],
        *,
        report: OutputReport | None = None,
        stale: Sequence[Path] = (),
        lock: FolderLock | None = None,
        prepare: Callable[[Frame, Result], Result] | None = None,
    ) -> None:
        self.report = report or OutputReport()
        self._open = [(output, OutputState(output.staged.target.name)) for output in outputs]
        self.report.outputs += [state for _, state in self._open]
        self._written = 0
        self._stale, self._lock = list(stale), lock
        self._prepare = prepare
        self._interrupts = Interrupts()

    def write(self, frame: Frame, result: Result) -> None:
        self._interrupts.raise_if_asked()
        result = result if self._prepare is None else self._prepare(frame, result)
        with self._interrupts.held():
            for output, state in list(self._open):
                try:
                    output.write(frame, result)
                except SinkError as error:
                    state.error = error
                    self._open.remove((output, state))
                    self._end(output, state, output.abort)
            self._written += 1
        failure = self.report.error()
        if failure is not None and not self._open:
            raise failure

    def close(self) -> None:
        """Finishes every output; raises one error for all that failed, now or earlier."""
        with self._interrupts.held():
            self._end_all(lambda output: output.close)
        self._interrupts.raise_if_asked()
        failure = self.report.error()
        if failure is not None:
            raise failure

    def abort(self) -> None:
        """Keeps every output that is whole up to the last frame; `report` says which are not."""
        self._stale = []
        with self._interrupts.held():
            self._end_all(lambda output: output.abort)

    def _end_all(self, how: Callable[[Output], Callable[[], None]]) -> None:
        faults = []
        try:
            while self._open:
                output, state = self._open.pop(0)
                try:
                    self._end(output, state, how(output))
                except Exception as fault:  # a fault of the program; the others are closed first
                    faults.append(fault)
            if not faults and not self.report.failed:
                self._remove_stale()
        finally:
            if self._lock is not None:
                self._lock.release()
        if faults:
            raise faults[0]

    def _end(self, output: Output, state: OutputState, close: Callable[[], None]) -> None:
        try:
            close()
        except SinkError as error:
            state.error = state.error or error
        state.frames = self._written if output.staged.committed else 0

    def _remove_stale(self) -> None:
        stale, self._stale = self._stale, []
        for path in stale:
            with sink_errors(path):
                path.unlink(missing_ok=True)
