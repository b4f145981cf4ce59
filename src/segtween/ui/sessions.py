"""Sessions of browsers: each has a random id, a folder of its own, videos and jobs, and is removed when its page was
left."""

from __future__ import annotations

import secrets
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from segtween.settings import DEFAULT_MODEL
from segtween.ui.answers import Refusal
from segtween.ui.guard import Access
from segtween.ui.jobs import Job, JobQueue
from segtween.video.staging import sink_errors

BUSY, NOT_FOUND = 503, 404
LEFT_SECONDS, IDLE_SECONDS = 90.0, 3600.0
"""A session ends so long after its page was left, or without a word from it while none of its jobs waits or runs: a
browser may let hidden pages sleep."""
VIDEOS, RUNS, LABELLING, FRAMES = "videos", "runs", "labelling", "frames"


@dataclass(frozen=True)
class Video:
    """A video of a session: `path` is the file, `name` what people call it, fit to be a file name."""

    id: str
    name: str
    path: Path
    size_hw: tuple[int, int]
    frames: int | None
    frame_rate: float | None

    def to_json(self) -> dict[str, Any]:
        height, width = self.size_hw
        return {
            "id": self.id, "name": self.name, "width": width, "height": height, "frames": self.frames,
            "frame_rate": self.frame_rate, "bytes": self.path.stat().st_size if self.path.exists() else 0,
        }  # fmt: skip


@dataclass
class Session:
    """What one browser has here. `seen` and `left` are `time.monotonic` seconds; `extra` is what other parts of the
    page keep for it, by their name."""

    id: str
    folder: Path
    videos: dict[str, Video] = field(default_factory=dict)
    jobs: dict[str, Job] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    seen: float = field(default_factory=time.monotonic)
    left: float | None = None
    has_ended: bool = False

    def new_folder(self, kind: str) -> Path:
        """`<kind>/1`, `<kind>/2`, ...: a new empty folder. Raises SinkError, as where the session's own is gone."""
        parent = self.folder / kind
        with sink_errors(parent):
            parent.mkdir(exist_ok=True)
            number = 1 + max((int(p.name) for p in parent.iterdir() if p.name.isdigit()), default=0)
            folder = parent / str(number)
            folder.mkdir()
        return folder

    def video(self, which: object) -> Video:
        """Refusal (404) where there is none of this id."""
        return self._found(self.videos, which, "video")

    def job(self, which: object) -> Job:
        """Refusal (404) where there is none of this id."""
        return self._found(self.jobs, which, "job")

    def _found(self, table: dict[str, Any], which: object, what: str) -> Any:
        if not isinstance(which, str) or which not in table:
            raise Refusal(NOT_FOUND, f"{what} {which!r}", expected=f"a {what} of this session", do="reload the page")
        return table[which]


class Sessions:
    """All sessions, at most `most`, in folders below `root`. With `keep`, results stay when a session ends; videos
    and the pictures of their frames never do. `is_busy` says whether a job of a session runs still, `cancel` ends its
    jobs."""

    def __init__(
        self,
        root: Path,
        *,
        keep: bool,
        is_busy: Callable[[str], bool],
        cancel: Callable[[str], None],
        most: int = 20,
    ) -> None:
        self.root, self.keep = root, keep
        self._is_busy, self._cancel, self._most = is_busy, cancel, most
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def find(self, which: str | None) -> Session | None:
        """The session of this id, which is seen thereby; None where there is none (any more)."""
        session = self._sessions.get(which or "")
        if session is None or session.has_ended:
            return None
        session.seen, session.left = time.monotonic(), None
        return session

    def begin(self) -> Session:
        """A new one. Refusal (503) where there are too many, SinkError where no folder can be made."""
        with self._lock:
            if len(self._sessions) >= self._most:
                raise Refusal(
                    BUSY,
                    f"{self._most} sessions are open",
                    expected="fewer",
                    do="close the page elsewhere, or try later",
                )
            number = secrets.token_urlsafe(24)
            folder = self.root / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
            with sink_errors(folder):
                folder.mkdir(mode=0o700)
            session = self._sessions[number] = Session(number, folder)
            return session

    def leave(self, session: Session) -> None:
        """Its page was closed or is loaded anew; it ends unless it is heard of soon."""
        session.left = time.monotonic()

    def end(self, session: Session) -> None:
        """Ends it: its jobs are cancelled; its files go with the next `reap` that finds none of them at work."""
        session.has_ended = True
        self._cancel(session.id)

    def reap(self) -> None:
        """Ends the sessions that are over, and removes the files of those that have ended."""
        now = time.monotonic()
        for session in list(self._sessions.values()):
            is_busy = self._is_busy(session.id)
            if is_busy:
                session.seen = now
            was_left = session.left is not None and now - session.left > LEFT_SECONDS
            if (was_left or now - session.seen > IDLE_SECONDS) and not session.has_ended:
                self.end(session)
            if session.has_ended and not is_busy:
                self._remove(session)

    def close(self) -> None:
        for session in list(self._sessions.values()):
            self.end(session)
            self._remove(session)

    def _remove(self, session: Session) -> None:
        with self._lock:
            self._sessions.pop(session.id, None)
        if self.keep:
            for sent in (session.folder / VIDEOS, *session.folder.glob(f"{LABELLING}/*/{FRAMES}")):
                shutil.rmtree(sent, ignore_errors=True)
            if session.folder.is_dir() and not any(session.folder.iterdir()):
                session.folder.rmdir()
        else:
            shutil.rmtree(session.folder, ignore_errors=True)


# ── What the endpoints share, and what a request has of it ────────────────────────────────────


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
