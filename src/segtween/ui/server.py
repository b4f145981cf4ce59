"""The application from its parts, and the server that runs it, from its first line on the screen to the removal of what
it made."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib.resources import files
from pathlib import Path
from urllib.parse import quote

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from segtween.errors import SettingError
from segtween.models.finding import find_record, shipped_models
from segtween.settings import DEFAULT_MODEL
from segtween.ui import labelling_routes, live, run_routes, video_routes
from segtween.ui.answers import Refusal, answering
from segtween.ui.guard import ANYWHERE, Access, Guard
from segtween.ui.jobs import JobQueue
from segtween.ui.sessions import Options, Sessions, State, of_request
from segtween.video.staging import sink_errors

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
        *live.ROUTES,
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
            return PlainTextResponse(f"{refusal}\n", status_code=refusal.status)
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


def offered(models: Sequence[str]) -> tuple[str, ...]:
    """The networks that a page offers: those that were asked for, the usual one, and the others that are shipped, but
    for those with random weights. ModelError for a file that is not there."""
    shipped = [name for name in shipped_models() if not find_record(name).is_random]
    for name in models:
        if not any(sign in name for sign in ":"):  # `hf:NAME`, `pkg:fn`
            find_record(name)
    return tuple(dict.fromkeys([*models, DEFAULT_MODEL, *shipped]))


def address(access: Access) -> str:
    """What to open in a browser on this machine."""
    host = "127.0.0.1" if access.host in ANYWHERE else access.host
    query = "" if access.token is None else f"?token={quote(access.token, safe='')}"
    return f"http://{f'[{host}]' if ':' in host else host}:{access.port}/{query}"


def _open(where: str) -> bool:
    """Opens a browser; False where there is none. Without a screen one in the terminal would take the terminal."""
    is_unix = sys.platform.startswith(("linux", "freebsd"))
    if is_unix and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    return webbrowser.open(where)


def serve_in(
    folder: Path | None, sock: socket.socket, options: Options, *, opens: bool, say: Callable[[str], object]
) -> None:
    """Serves the page until Ctrl-C; results are kept in `folder`, or removed where it is None. With `opens` the browser
    is opened; `say` prints a line. Raises SinkError where no folder can be made."""
    where = address(options.access)
    root = Path(tempfile.gettempdir()) if folder is None else folder
    with sink_errors(root):
        if folder is None:
            root = Path(tempfile.mkdtemp(prefix="segtween-ui-"))
        else:
            root.mkdir(parents=True, exist_ok=True)

    def when_up() -> None:
        say(f"the page: {where}")
        stay = "stay in" if folder is not None else "are removed with their session, or at the end; until then in"
        say(f"results {stay} {root}; Ctrl-C ends")
        if opens and not _open(where):
            say("no browser was found here; open the address in one")

    try:
        with suppress(KeyboardInterrupt):
            Server(create_app(root, options, keep=folder is not None), when_up=when_up).run(sockets=[sock])
    finally:
        if folder is None:
            shutil.rmtree(root, ignore_errors=True)
