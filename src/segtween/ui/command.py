"""`segtween ui`."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

import typer

from segtween.cli import shared
from segtween.cli.grouping import grouped
from segtween.cli.guard import guarded, leave_at_once
from segtween.errors import SettingError, from_extra
from segtween.ui import LOOPBACK

GIGABYTE = 1 << 30


@dataclass(frozen=True)
class ServerOptions:
    """Where the page is, and who may open it."""

    PANEL: ClassVar[str] = "Server"

    host: Annotated[
        str, typer.Option("--host", metavar="NAME", help="Where to listen; other machines reach 0.0.0.0, with --token.")
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option("--port", metavar="N", help="The port; 0 for any that is free.")] = 0
    token: Annotated[
        str | None, typer.Option("--token", metavar="TEXT", help="A secret that the page's address must hold.")
    ] = None
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address only.")] = False
    max_upload: Annotated[
        float, typer.Option("--max-upload", metavar="GB", help="The largest video that may be sent.")
    ] = 2.0

    def check(self) -> None:
        """SettingError for a page that is open to everybody, and for a limit that lets nothing through."""
        if self.host not in LOOPBACK and not self.token:
            raise SettingError(
                f"--host {self.host} without --token",
                expected="a token where other machines can reach the page",
                do="add --token SECRET",
            )
        if not self.max_upload > 0:
            raise SettingError(f"--max-upload {self.max_upload:g}", expected="gigabytes above 0", do="correct it")


@guarded
@grouped
def ui(
    *,
    server: ServerOptions,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="NAME|FILE",
            rich_help_panel="Network",
            help="A further network to offer; may be repeated.",
        ),
    ] = None,
    out: Annotated[Path | None, shared.out_folder("Keep results here; else they go with their session.")] = None,
    threads: shared.Threads = 0,
) -> None:
    """Open a page in the browser that segments videos: drop one, watch every frame against segtween, label frames.

    Examples:

        segtween ui

        segtween ui --model my.onnx -o results/

        segtween ui --host 0.0.0.0 --port 8000 --token SECRET --no-browser
    """
    from segtween.cli.screen import notes

    for module in ("starlette", "uvicorn"):
        from_extra(module, "segtween ui", extra="ui")
    from segtween.ui.guard import Access
    from segtween.ui.server import listen, offered, serve_in
    from segtween.ui.sessions import Options

    server.check()
    names = offered(model or [])
    sock = listen(server.host, server.port)
    access = Access(server.host, sock.getsockname()[1], server.token)
    options = Options(access, names, int(server.max_upload * GIGABYTE), threads)
    serve_in(out, sock, options, opens=not server.no_browser, say=partial(notes.print, markup=False, soft_wrap=True))
    if threading.active_count() > 1:  # a job that does not end: at the interpreter's own end its threads would abort it
        leave_at_once(0)
