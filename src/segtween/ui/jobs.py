"""What takes long: one job at a time, in the order they came; others wait in a bounded queue and know their place."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any, Literal

from segtween.cli.screen import seconds_left
from segtween.errors import SegtweenError
from segtween.ui.answers import Refusal

State = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("done", "failed", "cancelled")
TOO_MANY = 429
PATIENCE_SECONDS = 10.0
"""How long the running job is waited for when the server ends."""


class Cancelled(KeyboardInterrupt):
    """A job was cancelled. It ends as after Ctrl-C: what was done by then is whole."""


class Job:
    """A piece of work of a session. `work(job)` gives what `result` holds, plain JSON values; it calls `begin` and
    `progress`, which raise `Cancelled` once the job is to end. `live` is what the work shows besides."""

    def __init__(self, session: str, kind: str, title: str, work: Callable[[Job], Any]) -> None:
        self.id, self.session, self.kind, self.title = secrets.token_urlsafe(9), session, kind, title
        self.state: State = "waiting"
        self.stage, self.done = "", 0
        self.total: int | None = None
        self.error: str | None = None
        self.result: Any = None
        self.live: Callable[[], Any] | None = None
        self._work, self._asked = work, threading.Event()
        self._first: tuple[float, int] | None = None

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    @property
    def is_cancelled(self) -> bool:
        return self._asked.is_set()

    def cancel(self) -> None:
        """Asks it to end; what waits never begins."""
        self._asked.set()

    def check(self) -> None:
        """Raises Cancelled once, if it is to end."""
        if self._asked.is_set() and self.stage != "ending":
            self.stage = "ending"
            raise Cancelled

    def begin(self, stage: str) -> None:
        """Says what is done now, and that none of it is done yet."""
        self.check()
        self.stage, self.done, self.total, self._first = stage, 0, None, None

    def progress(self, done: int, total: int | None) -> None:
        """A `types.Progress`."""
        self.done, self.total = done, total
        self._first = self._first or (time.monotonic(), done)
        self.check()

    def seconds_left(self) -> float | None:
        """Of this stage; None if not known."""
        return seconds_left(self._first, time.monotonic(), self.done, self.total) if self.state == "running" else None

    def run(self) -> None:
        """Does the work, and says how it ended. A fault of the program becomes one line, too."""
        self.state = "running"
        try:
            self.check()
            self.result = self._work(self)
            self.state = "done"
        except Cancelled:
            self.state = "cancelled"
        except SegtweenError as error:
            self.error, self.state = str(error), "failed"
        except BaseException as fault:  # such as the exit that a network's own code asks for: the queue goes on
            logging.getLogger(__name__).exception("a job failed")
            self.error = f"an unexpected error: {type(fault).__name__}: {fault}"
            self.state = "failed"

    def to_json(self, *, place: int) -> dict[str, Any]:
        """`place`: the jobs before it."""
        left = self.seconds_left()
        return {
            "id": self.id, "kind": self.kind, "title": self.title, "state": self.state, "stage": self.stage,
            "done": self.done, "total": self.total, "seconds_left": None if left is None else round(left, 1),
            "place": place, "error": self.error, "result": self.result, "cancelling": self.is_cancelled,
            "live": None if self.live is None else self.live(),
        }  # fmt: skip


class JobQueue:
    """Runs jobs one after the other in a thread of its own; at most `most` wait."""

    def __init__(self, *, most: int = 8) -> None:
        self._most = most
        self._jobs: list[Job] = []
        self._changed = threading.Condition()
        self._ends = False
        self._thread = threading.Thread(target=self._run, name="segtween-ui-jobs", daemon=True)
        self._thread.start()

    def submit(self, session: str, kind: str, title: str, work: Callable[[Job], Any]) -> Job:
        """Queues a job. Refusal (429) where too many wait."""
        with self._changed:
            if sum(job.state == "waiting" for job in self._jobs) >= self._most:
                raise Refusal(
                    TOO_MANY,
                    f"{self._most} jobs are waiting already",
                    expected="a place in the queue",
                    do="try again later",
                )
            job = Job(session, kind, title, work)
            self._jobs.append(job)
            self._changed.notify()
            return job

    def cancel(self, job: Job) -> None:
        with self._changed:
            job.cancel()
            if job.state == "waiting":
                job.state = "cancelled"
                self._jobs.remove(job)

    def cancel_session(self, session: str) -> None:
        """All jobs of a session."""
        with self._changed:
            for job in [job for job in self._jobs if job.session == session]:
                self.cancel(job)

    def place(self, job: Job) -> int:
        """The jobs that come before it; 0 for the one that runs, and for what has ended."""
        with self._changed:
            return self._jobs.index(job) if job in self._jobs else 0

    def is_busy(self, session: str) -> bool:
        """Whether a job of the session waits or runs."""
        with self._changed:
            return any(job.session == session for job in self._jobs)

    def close(self) -> None:
        """Cancels everything, and waits for the running job for a while, once."""
        with self._changed:
            is_first, self._ends = not self._ends, True
            for job in list(self._jobs):
                self.cancel(job)
            self._changed.notify()
        if is_first:
            self._thread.join(PATIENCE_SECONDS)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._jobs and not self._ends:
                    self._changed.wait()
                if self._ends and not self._jobs:
                    return
                job = self._jobs[0]
                job.state = "running"
            job.run()
            with self._changed:
                self._jobs.remove(job)
