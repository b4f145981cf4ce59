"""`segtween ui`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from segtween.cli import shared
from segtween.cli.grouping import grouped
from segtween.cli.guard import guarded
from segtween.errors import MissingExtraError, SettingError

GIGABYTE = 1 << 30


@guarded
@grouped
def ui(
    *,
    host: Annotated[
        str, typer.Option("--host", metavar="NAME", help="Where to listen; other machines reach 0.0.0.0, with --token.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", metavar="N", help="The port; 0 for any that is free.")] = 0,
    token: Annotated[
        str | None, typer.Option("--token", metavar="TEXT", help="A secret that the page's address must hold.")
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address only.")] = False,
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="NAME|FILE", help="A further network to offer; may be repeated."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FOLDER", help="Keep results here; else they go with their session."),
    ] = None,
    max_upload: Annotated[
        float, typer.Option("--max-upload", metavar="GB", help="The largest video that may be sent.")
    ] = 2.0,
    threads: shared.Threads = 0,
) -> None:
    """Open a page in the browser that segments videos: drop one, watch every frame against segtween, label frames.

    Examples:

        segtween ui

        segtween ui --model my.onnx -o results/

        segtween ui --host 0.0.0.0 --port 8000 --token SECRET --no-browser
    """
    from segtween.cli.screen import notes

    try:
        import starlette  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise MissingExtraError("segtween ui", extra="ui") from None
    from segtween.ui.guard import LOOPBACK, Access
    from segtween.ui.server import listen
    from segtween.ui.serving import offered, serve_in
    from segtween.ui.state import Options

    if host not in LOOPBACK and not token:
        raise SettingError(
            f"--host {host} without --token",
            expected="a token where other machines can reach the page",
            do="add --token SECRET",
        )
    if not max_upload > 0:
        raise SettingError(f"--max-upload {max_upload:g}", expected="gigabytes above 0", do="correct it")
    names = offered(model or [])
    sock = listen(host, port)
    access = Access(host, sock.getsockname()[1], token)
    options = Options(access, names, int(max_upload * GIGABYTE), threads)
    say: Any = notes.print
    serve_in(out, sock, options, opens=not no_browser, say=say)
