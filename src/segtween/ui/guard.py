"""Who may ask: the host and the origin of a request, the token, and the session that it belongs to.

A page of another site can make a browser send requests here, or name this machine as its own host (DNS rebinding). The
first is answered by `Origin`, without which nothing is changed, the second by `Host`.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from segtween.ui import LOOPBACK
from segtween.ui.answers import failure

ANYWHERE = ("0.0.0.0", "::", "")
HEADERS = {
    "content-security-policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}
OPEN_THE_ADDRESS = "This page needs the token: open the address that `segtween ui` printed.\n"


@dataclass(frozen=True)
class Access:
    """Where the server listens, and the token that it asks for; None: none."""

    host: str
    port: int
    token: str | None = None

    @property
    def token_cookie(self) -> str:
        """Cookies belong to a host, whatever the port."""
        return f"segtween-token-{self.port}"

    @property
    def session_cookie(self) -> str:
        return f"segtween-session-{self.port}"

    def is_host(self, header: str) -> bool:
        """Whether a request for this host is meant for this server. Open to other machines, any name may be its; the
        token guards it."""
        if self.host in ANYWHERE:
            return True
        return (_parts(f"//{header}").hostname or "") in (*LOOPBACK, self.host)

    def has_token(self, request: Request) -> bool:
        given = request.cookies.get(self.token_cookie, "")
        return self.token is None or secrets.compare_digest(given.encode(), self.token.encode())

    def opens_with(self, request: Request) -> bool:
        """Whether the address has the right token in it."""
        given = request.query_params.get("token", "")
        return self.token is not None and secrets.compare_digest(given.encode(), self.token.encode())

    def set_cookie(self, response: Response, name: str, value: str) -> None:
        response.set_cookie(name, value, httponly=True, samesite="lax", path="/")


class Guard:
    """Middleware that refuses what `Access` does not allow, and adds the headers of a page that loads nothing from
    elsewhere."""

    def __init__(self, app: ASGIApp, *, access: Access, headers: Mapping[str, str] = HEADERS) -> None:
        self._app, self._access, self._headers = app, access, headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refused = self._refused(Request(scope))

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await send(message)

        await (refused or self._app)(scope, receive, with_headers)

    def _refused(self, request: Request) -> Response | None:
        """The answer to a request that goes no further."""
        access = self._access
        if not access.is_host(request.headers.get("host", "")):
            return failure(400, "this host name is not this server's; open the address that `segtween ui` printed")
        if request.url.path == "/" and access.opens_with(request):
            response = RedirectResponse("/", status_code=303)
            access.set_cookie(response, access.token_cookie, access.token or "")
            return response
        if not access.has_token(request):
            return PlainTextResponse(OPEN_THE_ADDRESS, status_code=401)
        origin, host = request.headers.get("origin"), request.headers.get("host")
        if request.method not in ("GET", "HEAD") and (origin is None or _parts(origin).netloc != host):
            return failure(403, "the request comes from another page; use the page of this server")
        return None


def _parts(address: str) -> SplitResult:
    """The parts of an address; none of what is no address, such as `http://[`."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")
