"""A server from its first line on the screen to the removal of what it made."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from segtween.models.finding import find_record, shipped_models
from segtween.settings import DEFAULT_MODEL
from segtween.ui.guard import ANYWHERE, Access
from segtween.ui.server import Server, create_app
from segtween.ui.state import Options
from segtween.video.staging import sink_errors


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
