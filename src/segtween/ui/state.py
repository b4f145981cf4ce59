"""What the endpoints share: options, sessions and the queue; and what a request has of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from segtween.settings import DEFAULT_MODEL
from segtween.ui.answers import Refusal
from segtween.ui.guard import Access
from segtween.ui.jobs import Job, JobQueue
from segtween.ui.sessions import Session, Sessions

GONE = 409


@dataclass(frozen=True)
class Options:
    """How the page is served. `networks` are the names or files that are offered, the first of them chosen."""

    access: Access
    networks: tuple[str, ...] = (DEFAULT_MODEL,)
    most_upload_bytes: int = 2 << 30
    threads: int = 0


@dataclass(frozen=True)
class State:
    options: Options
    sessions: Sessions
    queue: JobQueue


@dataclass(frozen=True)
class Here:
    """A request's session, and all that is around it."""

    state: State
    session: Session

    def queue(self, kind: str, title: str, work: Callable[[Job], Any]) -> Job:
        job = self.state.queue.submit(self.session.id, kind, title, work)
        self.session.jobs[job.id] = job
        return job

    def submit(self, kind: str, title: str, work: Callable[[Job], Any]) -> Response:
        return self.answer(self.queue(kind, title, work))

    def answer(self, job: Job) -> Response:
        return JSONResponse(self.described(job))

    def described(self, job: Job) -> dict[str, Any]:
        return job.to_json(place=self.state.queue.place(job))


def of_request(request: Request) -> Here:
    """Refusal (409) where the session has ended."""
    state: State = request.app.state.segtween
    session = state.sessions.find(request.cookies.get(state.options.access.session_cookie))
    if session is None:
        raise Refusal(GONE, "this session has ended", expected="an open one", do="reload the page to begin another")
    return Here(state, session)
