"""The application from its parts, and the server that runs it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from segtween.errors import SettingError
from segtween.ui import labelling_routes, live_routes, run_routes, video_routes
from segtween.ui.answers import Refusal, answering
from segtween.ui.guard import Guard
from segtween.ui.jobs import JobQueue
from segtween.ui.sessions import Sessions
from segtween.ui.state import Options, State, of_request

REAP_SECONDS = 2.0
_OWN, _REPORTS = (Path(str(files(package))) for package in ("segtween.ui", "segtween.reports.html"))
ASSETS = {path.name: path for path in (_OWN / "static").iterdir() if path.suffix in (".js", ".css")} | {
    name: _REPORTS / name for name in ("page.css", "player.js")
}
"""The files of the page, by name: nothing else is served from the package."""


def create_app(root: Path, options: Options, *, keep: bool = False) -> Starlette:
    """The application; sessions get their folders below `root`."""
    queue = JobQueue()
    sessions = Sessions(root, keep=keep, is_busy=queue.is_busy, cancel=queue.cancel_session)
    routes = [
        Route("/", page),
        Route("/static/{name}", asset),
        Route("/api/state", state),
        Route("/api/session/leave", leave, methods=["POST"]),
        *video_routes.ROUTES,
        *run_routes.ROUTES,
        *live_routes.ROUTES,
        *labelling_routes.ROUTES,
    ]
    app = Starlette(routes=routes, middleware=[Middleware(Guard, access=options.access)], lifespan=_lifespan)
    app.state.segtween = State(options, sessions, queue)
    return app


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    """Removes what has ended while the server runs, and everything when it ends."""
    held: State = app.state.segtween

    async def reap() -> None:
        while True:
            await asyncio.sleep(REAP_SECONDS)
            await asyncio.to_thread(held.sessions.reap)

    task = asyncio.create_task(reap())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.to_thread(held.queue.close)
        held.sessions.close()


async def page(request: Request) -> Response:
    """The page; a browser without a session gets one."""
    held: State = request.app.state.segtween
    access = held.options.access
    response: Response = FileResponse(_OWN / "static" / "index.html", media_type="text/html")
    if held.sessions.find(request.cookies.get(access.session_cookie)) is None:
        try:
            session = held.sessions.begin()
        except Refusal as refusal:
            return PlainTextResponse(f"{refusal.error}\n", status_code=refusal.status)
        access.set_cookie(response, access.session_cookie, session.id)
    return response


@answering
async def asset(request: Request) -> Response:
    """One of `ASSETS`."""
    path = ASSETS.get(request.path_params["name"])
    return PlainTextResponse("not found\n", status_code=404) if path is None else FileResponse(path)


@answering
async def state(request: Request) -> Response:
    """Everything that the session has: videos and jobs, in the order they came."""
    here = of_request(request)
    return JSONResponse(
        {
            "videos": [video.to_json() for video in here.session.videos.values()],
            "jobs": [here.described(job) for job in here.session.jobs.values()],
        }
    )


@answering
async def leave(request: Request) -> Response:
    """The page was closed or is loaded anew."""
    here = of_request(request)
    here.state.sessions.leave(here.session)
    return JSONResponse({})


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0: a free one. SettingError where it cannot."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(128)
    except (OSError, OverflowError) as error:
        sock.close()
        why = getattr(error, "strerror", None) or str(error)
        raise SettingError(
            f"host {host}, port {port}: {why}",
            expected="a free port of this machine",
            do="choose another, or port 0 for any that is free",
        ) from None
    return sock


class Server(uvicorn.Server):
    """Serves the application; `when_up` is called once requests are answered. When it is to end, jobs end first, so
    that nobody who watches one holds it up."""

    def __init__(self, app: Starlette, *, when_up: Callable[[], None] = lambda: None) -> None:
        super().__init__(
            uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=5, lifespan="on")
        )
        self._state: State = app.state.segtween
        self._when_up = when_up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._when_up()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.to_thread(self._state.queue.close)
        await super().shutdown(sockets=sockets)
