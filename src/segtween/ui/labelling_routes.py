"""Addresses of the labelling of a session: there is one at a time, whose id tells it from those before."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from segtween.errors import LabelError, SettingError, SinkError
from segtween.labels import LABEL_SETS, LabelSet, label_set
from segtween.ui.answers import Refusal, answering, body, received
from segtween.ui.jobs import Job
from segtween.ui.label_upload import MOST_BYTES, take_file
from segtween.ui.labelling import Labelling
from segtween.ui.sessions import LABELLING, NOT_FOUND, Here, Session, of_request
from segtween.ui.videos import no_room

KIND, PROPAGATION = LABELLING, "propagation"
"""Of its jobs: the one that opens a video, and the others. The session keeps the labelling under the first."""
BUSY, TOO_LARGE = 409, 413


@answering
async def show(request: Request) -> Response:
    """The labelling, None where there is none, and the label sets that have a name."""
    here = of_request(request)
    found: Labelling | None = here.session.extra.get(KIND)
    shown = None if found is None else await run_in_threadpool(found.to_json)
    return JSONResponse({"labelling": shown, "label_sets": sorted(LABEL_SETS)})


@answering
async def begin(request: Request) -> Response:
    """Queues a labelling of a video, `{"video": id}`, from a network's labels (`"network": name`) or from nothing
    (`"label_set": name` or `"classes": [name, ...]`). It takes the place of the one before when it is prepared."""
    here = of_request(request)
    values = await body(request)
    _check_idle(here)
    video, how = here.session.video(values.get("video")), _beginning(here, values)
    made = partial(Labelling, video=video, threads=here.state.options.threads, **how)
    return here.submit(KIND, f"frames of {video.name}", partial(_prepare, here.session, made))


def _beginning(here: Here, values: dict[str, Any]) -> dict[str, Any]:
    network, known, classes = (values.get(key) for key in ("network", "label_set", "classes"))
    if network is not None:
        if network not in here.state.options.networks:
            raise SettingError(f"network {network!r}", expected="one of those offered", do="choose one")
        return {"network": network}
    if known is not None:
        if not isinstance(known, str) or known not in LABEL_SETS:  # a path would be read
            raise LabelError(f"label set {known!r}", expected="one of those offered", do="choose one")
        return {"labels": label_set(known)}
    return {"labels": _own_classes(classes)}


def _own_classes(classes: Any) -> LabelSet:
    if (
        not isinstance(classes, list)
        or not classes
        or not all(isinstance(name, str) and name.strip() for name in classes)
    ):
        named = f"classes {classes!r}" if classes else "no classes"
        raise LabelError(named, expected="names of classes", do="write them with commas between")
    return label_set([name.strip() for name in classes])


def _prepare(session: Session, made: Callable[[Path], Labelling], job: Job) -> dict[str, Any]:
    with _room():
        labelling = made(session.new_folder(KIND))
    try:
        with _room():
            labelling.prepare(job)
    except BaseException:
        shutil.rmtree(labelling.folder, ignore_errors=True)
        raise
    before: Labelling | None = session.extra.get(KIND)
    session.extra[KIND] = labelling
    if before is not None:
        shutil.rmtree(before.folder, ignore_errors=True)
    return {"labelling": True}


@answering
async def propagate(request: Request) -> Response:
    """Queues a propagation of the saved labels. Refusal (409) while another job of the labelling waits or runs."""
    here, labelling = _found(request)
    _check_idle(here)
    labelling.check_saved()

    def work(job: Job) -> dict[str, Any]:
        with _room():
            labelling.propagate(job)
        return {"runs": labelling.runs}

    return here.submit(PROPAGATION, f"propagating labels through {labelling.video.name}", work)


@answering
async def picture(request: Request) -> Response:
    _, labelling = _found(request)
    return FileResponse(labelling.picture(_frame(request)), media_type="image/jpeg")


@answering
async def labels(request: Request) -> Response:
    """Labels of a frame, one byte a pixel; Refusal (404) where there are none of this origin."""
    _, labelling = _found(request)
    try:
        found = await run_in_threadpool(labelling.labels_of, _frame(request), request.path_params["origin"])
    except LabelError as error:
        raise Refusal.of(NOT_FOUND, error) from None
    packed = gzip.compress(found.tobytes(), compresslevel=1)
    return Response(packed, media_type="application/octet-stream", headers={"content-encoding": "gzip"})


@answering
async def save(request: Request) -> Response:
    """Takes labels of a frame, one byte a pixel."""
    _, labelling = _found(request)
    values = await _bytes(request, most=MOST_BYTES)
    return await _done(labelling, labelling.save, _frame(request), values)


@answering
async def remove(request: Request) -> Response:
    _, labelling = _found(request)
    return await _done(labelling, labelling.remove, _frame(request))


@answering
async def upload(request: Request) -> Response:
    """Takes a file with labels, its name in the query; answers with its frames."""
    _, labelling = _found(request)
    name = request.query_params.get("name", "")[:200]
    data = await _bytes(request, most=MOST_BYTES)
    with _room():
        frames = await run_in_threadpool(take_file, labelling, name, data)
    return JSONResponse({"frames": frames, "labelling": labelling.to_json()})


@answering
async def download(request: Request) -> Response:
    _, labelling = _found(request)
    data = await run_in_threadpool(labelling.archive)
    attached = {"content-disposition": 'attachment; filename="labels.zip"'}
    return Response(data, media_type="application/zip", headers=attached)


async def _done(labelling: Labelling, change: Callable[..., None], *values: Any) -> Response:
    with _room():
        await run_in_threadpool(change, *values)
    return JSONResponse({"labelling": labelling.to_json()})


def _found(request: Request) -> tuple[Here, Labelling]:
    here = of_request(request)
    labelling: Labelling | None = here.session.extra.get(KIND)
    if labelling is None or labelling.id != request.path_params["id"]:
        raise Refusal(NOT_FOUND, "this video is not open any more", expected="an open video", do="reload the page")
    return here, labelling


@contextmanager
def _room() -> Iterator[None]:
    """What cannot be written is a Refusal (507) that names no path."""
    try:
        yield
    except SinkError as error:
        raise no_room(error) from None


def _frame(request: Request) -> int:
    text: str = request.path_params["frame"]
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Refusal(NOT_FOUND, "a frame without number", expected="a number", do="reload the page")
    return int(text)


def _check_idle(here: Here) -> None:
    if any(job.kind in (KIND, PROPAGATION) and not job.has_ended for job in here.session.jobs.values()):
        raise Refusal(BUSY, "labels are at work already", expected="one run at a time", do="wait, or cancel it")


async def _bytes(request: Request, *, most: int) -> bytes:
    """What was sent; Refusal (413) for more than `most`."""
    too_much = Refusal(TOO_LARGE, "what was sent is too large", expected=f"{most} bytes at most", do="send less")
    return await received(request, most_bytes=most, too_much=too_much)


ROUTES = [
    Route("/api/labelling", show),
    Route("/api/labelling", begin, methods=["POST"]),
    Route("/api/labelling/{id}/propagate", propagate, methods=["POST"]),
    Route("/api/labelling/{id}/files", upload, methods=["POST"]),
    Route("/api/labelling/{id}/labels.zip", download),
    Route("/api/labelling/{id}/frames/{frame}", picture),
    Route("/api/labelling/{id}/frames/{frame}/labels/saved", save, methods=["PUT"]),
    Route("/api/labelling/{id}/frames/{frame}/labels/saved", remove, methods=["DELETE"]),
    Route("/api/labelling/{id}/frames/{frame}/labels/{origin}", labels),
]
