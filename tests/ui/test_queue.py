"""One job at a time: places in the queue, and cancelled jobs."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

from browsers import needs
from ui.pages import Page, client_of, files_in

pytestmark = needs("starlette", "uvicorn", "httpx2")


class Held:
    """Work that waits until it is released or cancelled."""

    def __init__(self) -> None:
        self.began, self.free = threading.Event(), threading.Event()

    def __call__(self, job: Any) -> str:
        job.begin("held")
        self.began.set()
        while not self.free.wait(0.02):
            job.check()
        return "ended"


def test_one_job_at_a_time_and_the_others_know_their_place(app: Any, clip: Path) -> None:
    with client_of(app) as client:
        page, held = Page(client), Held()
        queue = app.state.segtween.queue
        first = queue.submit("another session", "run", "held", held)
        assert held.began.wait(10)
        video = page.upload(clip).json()
        jobs = [page.post("/api/runs", {"video": video["id"], "compare": False}).json() for _ in range(2)]
        assert [(job["state"], job["place"]) for job in jobs] == [("waiting", 1), ("waiting", 2)]
        cancelled = page.post(f"/api/jobs/{jobs[0]['id']}/cancel", {}).json()
        assert cancelled["state"] == "cancelled"
        assert page.client.get(f"/api/jobs/{jobs[1]['id']}").json()["place"] == 1
        held.free.set()
        assert page.ended(jobs[1])["state"] == "done"
        assert (first.state, first.result) == ("done", "ended")


def test_the_queue_is_bounded(app: Any, clip: Path) -> None:
    with client_of(app) as client:
        page, held = Page(client), Held()
        app.state.segtween.queue.submit("another session", "run", "held", held)
        assert held.began.wait(10)
        video = page.upload(clip).json()
        answers = [page.post("/api/runs", {"video": video["id"]}) for _ in range(9)]
        assert [answer.status_code for answer in answers] == [200] * 8 + [429]
        assert answers[-1].json()["error"].startswith("8 jobs are waiting already; expected a place")


def test_a_cancelled_run_keeps_what_is_done(page: Page, long_clip: Path) -> None:
    video = page.upload(long_clip).json()
    job = page.post("/api/runs", {"video": video["id"], "compare": False, "mode": "online"}).json()
    until = time.monotonic() + 120
    while job["done"] < 3 and time.monotonic() < until:
        time.sleep(0.05)
        job = page.client.get(f"/api/jobs/{job['id']}").json()
    assert job["total"] == 360
    page.post(f"/api/jobs/{job['id']}/cancel", {})
    job = page.ended(job)
    assert job["state"] == "cancelled"
    folder = Path(job["result"]["folder"])
    record = json.loads((folder / "run.json").read_text())
    assert record["error"] == "stopped by the user"
    assert 3 <= record["totals"]["frames"] < 360
    assert len(list((folder / "labels").iterdir())) == record["totals"]["frames"]
    assert not [name for name in files_in(folder) if name.endswith(".part")]


def test_a_network_that_ends_the_program_ends_its_job_alone(app: Any) -> None:
    def exits(_: Any) -> None:
        raise SystemExit(3)

    with client_of(app):
        queue = app.state.segtween.queue
        jobs = [queue.submit("a session", "run", "exits", work) for work in (exits, lambda _: "ended")]
        until = time.monotonic() + 10
        while not jobs[1].has_ended and time.monotonic() < until:
            time.sleep(0.02)
        assert (jobs[0].state, jobs[0].error) == ("failed", "an unexpected error: SystemExit: 3")
        assert (jobs[1].state, jobs[1].result) == ("done", "ended")
