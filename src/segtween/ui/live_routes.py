"""Addresses of what is watched live: pictures as a multipart stream, which an `<img>` shows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from segtween.ui.answers import Refusal, answering, body
from segtween.ui.jobs import Job
from segtween.ui.live import LiveChoices, View, watch
from segtween.ui.sessions import NOT_FOUND
from segtween.ui.state import of_request

VIEWS = "views"
BOUNDARY = "segtween-frame"


@answering
async def start(request: Request) -> Response:
    here, view = of_request(request), View()
    choices = LiveChoices.of(await body(request), here.session, here.state.options)
    job = here.queue("live", choices.title, partial(watch, choices, view))
    here.session.extra.setdefault(VIEWS, {})[job.id] = view
    return here.answer(job)


@answering
async def pictures(request: Request) -> Response:
    """The pictures of a live job, each as soon as it is there, until it ends."""
    here = of_request(request)
    job = here.session.job(request.path_params["id"])
    view: View | None = here.session.extra.get(VIEWS, {}).get(job.id)
    if view is None:
        raise Refusal(NOT_FOUND, f"job {job.id!r}", expected="a live one", do="reload the page")
    return StreamingResponse(_parts(view, job), media_type=f"multipart/x-mixed-replace; boundary={BOUNDARY}")


async def _parts(view: View, job: Job) -> AsyncIterator[bytes]:
    number = 0
    while (found := await asyncio.to_thread(view.next, number)) is not None:
        number, jpeg = found
        if jpeg:
            head = f"--{BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            yield head.encode() + jpeg + b"\r\n"
        elif job.has_ended:  # before it began
            return


ROUTES = [Route("/api/live", start, methods=["POST"]), Route("/live/{id}", pictures)]
