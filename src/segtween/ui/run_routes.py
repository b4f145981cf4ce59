"""Addresses of jobs and of the results of runs."""

from __future__ import annotations

import zipfile
from functools import partial
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from segtween.reports.html.recording import LABELS_FILM, PICTURE_FILM
from segtween.reports.html.run_page import REPORT
from segtween.ui.answers import Refusal, answering, body
from segtween.ui.runs import RESULTS, Choices, RunResult, networks, run
from segtween.ui.sessions import NOT_FOUND, Here, of_request
from segtween.ui.videos import check_room
from segtween.video.staging import written

FILES: dict[str, str] = {
    "overlay.mp4": "Overlay", "compare-every-frame.mp4": "Film of the comparison", "coco.json": "COCO",
    "frames.csv": "Table of frames", "run.json": "Record of the run",
    REPORT: "", PICTURE_FILM: "", LABELS_FILM: "",
}  # fmt: skip
"""The files of a run that are served, and what they are called where they are offered by themselves."""
ARCHIVES: dict[str, tuple[str, tuple[str, ...]]] = {
    "labels.zip": ("Labels", ("labels",)),
    "report.zip": ("Report", (REPORT, PICTURE_FILM, LABELS_FILM)),
}
"""What is packed when it is asked for: what it is called, and the files and folders in it."""

OF_REPORTS = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; media-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""What a report may load: its script and style stand in it, its films beside it."""


@answering
async def setup(request: Request) -> Response:
    """What may be chosen."""
    options = of_request(request).state.options
    return JSONResponse({"networks": networks(options), "most_upload_bytes": options.most_upload_bytes})


@answering
async def start(request: Request) -> Response:
    here = of_request(request)
    choices = Choices.of(await body(request), here.session, here.state.options)
    check_room(here.session.folder, choices.video.path.stat().st_size)
    return here.submit("run", choices.video.name, partial(run, here.session, choices))


@answering
async def job(request: Request) -> Response:
    here = of_request(request)
    return here.answer(here.session.job(request.path_params["id"]))


@answering
async def cancel(request: Request) -> Response:
    here = of_request(request)
    asked = here.session.job(request.path_params["id"])
    here.state.queue.cancel(asked)
    return here.answer(asked)


@answering
async def result(request: Request) -> Response:
    here, which = of_request(request), request.path_params["id"]
    found: RunResult | None = here.session.extra.get(RESULTS, {}).get(here.session.job(which).id)
    if found is None:
        raise Refusal(NOT_FOUND, "a run without result", expected="one that is done", do="run it again")
    return JSONResponse({**found.to_json(f"/files/{which}/"), "downloads": downloads(found.folder)})


@answering
async def files(request: Request) -> Response:
    """What is whole of a run, whatever its end."""
    folder = _folder(of_request(request), request.path_params["id"])
    return JSONResponse({"downloads": downloads(folder)})


def downloads(folder: Path) -> list[dict[str, Any]]:
    """What is offered of a run's folder."""
    single = [{"name": name, "title": title} for name, title in FILES.items() if title and (folder / name).is_file()]
    packed = [
        {"name": name, "title": title}
        for name, (title, parts) in ARCHIVES.items()
        if all((folder / part).exists() for part in parts)
    ]
    return [*single[:1], *packed, *single[1:]]


@answering
async def file(request: Request) -> Response:
    """A file of a run, by the tables above; with `?save` it is saved and not shown."""
    here, name = of_request(request), request.path_params["name"]
    path = _folder(here, request.path_params["id"]) / name
    if name in ARCHIVES and not path.is_file():
        await run_in_threadpool(pack, path.parent, name)
    if name not in (*FILES, *ARCHIVES) or not path.is_file():
        raise Refusal(NOT_FOUND, f"file {name!r}", expected="a file of this run", do="reload the page")
    headers = {"content-security-policy": OF_REPORTS} if name == REPORT else None
    saved = "save" in request.query_params or name in ARCHIVES
    return FileResponse(path, filename=name if saved else None, headers=headers)


def _folder(here: Here, which: str) -> Path:
    made = here.session.job(which).result
    if not isinstance(made, dict) or "folder" not in made:
        raise Refusal(NOT_FOUND, "a job without files", expected="a run", do="reload the page")
    return Path(made["folder"])


def pack(folder: Path, name: str) -> None:
    """Writes one of `ARCHIVES`, whose files are compressed already. Raises SinkError."""
    parts = [folder / part for part in ARCHIVES[name][1]]
    found = [path for part in parts for path in (sorted(part.iterdir()) if part.is_dir() else [part])]
    check_room(folder, sum(path.stat().st_size for path in found))
    with written(folder / name) as target, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in found:
            archive.write(path, path.relative_to(folder))


ROUTES = [
    Route("/api/setup", setup),
    Route("/api/runs", start, methods=["POST"]),
    Route("/api/jobs/{id}", job),
    Route("/api/jobs/{id}/cancel", cancel, methods=["POST"]),
    Route("/api/jobs/{id}/result", result),
    Route("/api/jobs/{id}/files", files),
    Route("/files/{id}/{name}", file),
]
