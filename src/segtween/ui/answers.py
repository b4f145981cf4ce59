"""Answers to the page: JSON, and errors as one line with a status."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from segtween.errors import SegtweenError, SettingError

Endpoint = Callable[[Request], Awaitable[Response]]
BAD_REQUEST = 400


class Refusal(SettingError):  # noqa: N818 it is no fault
    """What is not done, with the status of the answer."""

    def __init__(self, status: int, got: str, *, expected: str, do: str) -> None:
        super().__init__(got, expected=expected, do=do)
        self.status = status

    @classmethod
    def of(cls, status: int, error: SegtweenError) -> Refusal:
        return cls(status, error.got, expected=error.expected, do=error.do)


def failure(status: int, text: str) -> JSONResponse:
    """An error as the page reads it."""
    sendable = text.encode(errors="replace").decode()  # names from elsewhere may hold half a character
    return JSONResponse({"error": sendable}, status_code=status)


def answering(endpoint: Endpoint) -> Endpoint:
    """An endpoint whose deliberate errors become answers: a Refusal has its status, others have 400."""

    @functools.wraps(endpoint)
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except SegtweenError as error:
            return failure(error.status if isinstance(error, Refusal) else BAD_REQUEST, str(error))
        except ClientDisconnect:
            return Response(status_code=BAD_REQUEST)  # which nobody reads

    return answer


async def received(request: Request, *, most_bytes: int, too_much: Exception) -> bytes:
    """What was sent; `too_much` is raised as soon as more than `most_bytes` came."""
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > most_bytes:
            raise too_much
    return bytes(data)


async def body(request: Request, *, most_bytes: int = 1 << 20) -> dict[str, Any]:
    """The JSON object that was sent; SettingError for anything else, and for more than `most_bytes`."""
    import json

    wrong = SettingError("the request's body", expected="a JSON object of moderate size", do="reload the page")
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise wrong
    data = await received(request, most_bytes=most_bytes, too_much=wrong)
    try:
        values = json.loads(data)
    except (ValueError, RecursionError):
        raise wrong from None
    if not isinstance(values, dict):
        raise wrong
    return values
