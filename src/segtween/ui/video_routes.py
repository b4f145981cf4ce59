"""Addresses of the videos of a session."""

from __future__ import annotations

import shutil
from functools import partial
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from segtween.errors import SegtweenError
from segtween.ui.answers import Refusal, answering, body
from segtween.ui.sessions import NOT_FOUND, of_request
from segtween.ui.videos import (
    MOST_VIDEOS,
    NO_VIDEO,
    Upload,
    address_of,
    check_count,
    look_into,
    record,
    render_street,
    seconds_of,
)


@answering
async def announce(request: Request) -> Response:
    """A file that is to come, by name and size: its id, to send it to."""
    here = of_request(request)
    upload = Upload.of(here.session, await body(request), most_bytes=here.state.options.most_upload_bytes)
    uploads: dict[str, Upload] = here.session.extra.setdefault("uploads", {})
    uploads[upload.id] = upload
    for old in list(uploads)[:-MOST_VIDEOS]:  # which never came
        del uploads[old]
    return JSONResponse({"id": upload.id, "name": upload.name})


@answering
async def send(request: Request) -> Response:
    """The bytes of a file that was announced; answers with the video."""
    here = of_request(request)
    upload = here.session.extra.get("uploads", {}).pop(request.path_params["id"], None)
    if upload is None:
        raise Refusal(NOT_FOUND, "an upload that was not announced", expected="one that was", do="reload")
    path = await upload.store(request.stream(), here.session)
    try:
        video = await run_in_threadpool(look_into, path, upload.name, number=upload.id)
    except SegtweenError as error:
        shutil.rmtree(path.parent, ignore_errors=True)
        raise Refusal.of(NO_VIDEO, error) from None
    here.session.videos[video.id] = video
    return JSONResponse(video.to_json())


@answering
async def make(request: Request) -> Response:
    """Queues a video that is rendered or recorded: `{"street": seconds}` or `{"address": ..., "seconds": ...}`."""
    here = of_request(request)
    values: dict[str, Any] = await body(request)
    check_count(here.session)
    if "street" in values:
        work = partial(render_street, here.session, seconds_of(values["street"]))
        return here.submit("video", "the demo street", work)
    address = address_of(values.get("address"))
    return here.submit("video", address, partial(record, here.session, address, seconds_of(values.get("seconds"))))


@answering
async def file(request: Request) -> Response:
    """A video itself, to be saved: what was rendered or recorded is nowhere else."""
    video = of_request(request).session.video(request.path_params["id"])
    return FileResponse(video.path, filename=video.name)


@answering
async def remove(request: Request) -> Response:
    """Removes a video and its file; Refusal (409) while a job may read it."""
    here = of_request(request)
    video = here.session.video(request.path_params["id"])
    if here.state.queue.is_busy(here.session.id):
        raise Refusal(409, "a job is at work", expected="none", do="wait for it, or cancel it")
    del here.session.videos[video.id]
    shutil.rmtree(video.path.parent, ignore_errors=True)
    return JSONResponse({})


ROUTES = [
    Route("/api/videos", announce, methods=["POST"]),
    Route("/api/videos/made", make, methods=["POST"]),
    Route("/api/videos/{id}", send, methods=["PUT"]),
    Route("/api/videos/{id}", file),
    Route("/api/videos/{id}", remove, methods=["DELETE"]),
]
