"""A camera, a stream or a video at its rate: the newest frames, labelled, as pictures for those who watch: a multipart
stream, which an `<img>` shows."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from segtween.api import load
from segtween.errors import SegtweenError, SettingError
from segtween.interfaces import Engine, Source
from segtween.run.lane import read_latest
from segtween.types import Frame, Result, Rgb
from segtween.ui.answers import Refusal, answering, body
from segtween.ui.jobs import Job
from segtween.ui.runs import classes_of, every_of, network_of
from segtween.ui.sessions import NOT_FOUND, Options, Session, Video, of_request
from segtween.ui.videos import address_of, compiled, named, open_video
from segtween.video.jpeg import encode_jpeg
from segtween.video.paint import Painter, Style
from segtween.video.side_by_side import smaller

WIDEST = 1280
"""Pictures are at most this wide."""
QUALITY = 80
WAIT_SECONDS = 0.2
UNWATCHED_SECONDS = 20.0
"""A live job ends when nobody has watched it for so long."""
RECENT = 100
"""Latency and rate are those of so many frames."""


class View:
    """The newest picture, for any number of viewers, each of whom takes the newest when it can; and what is known of
    the stream so far."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jpeg, self._number, self._has_ended = b"", 0, False
        self._times = deque[tuple[float, float]](maxlen=RECENT)
        self._dropped = self._network_runs = 0
        self._rate: float | None = None
        self.watched = time.monotonic()

    def begin(self, rate: float | None) -> None:
        """The stream is open; `rate` is its own, in frames per second."""
        self._rate, self.watched = rate, time.monotonic()

    def show(self, jpeg: bytes, *, arrived: float, dropped: int, is_key: bool) -> None:
        """The next picture, of a frame that came at `arrived` (`time.perf_counter`); `is_key`: with new scores of the
        network."""
        now = time.perf_counter()
        with self._changed:
            self._jpeg, self._number, self._dropped = jpeg, self._number + 1, dropped
            self._times.append((now, 1e3 * (now - arrived)))
            self._network_runs += is_key
            self._changed.notify_all()

    def end(self) -> None:
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def next(self, after: int, *, timeout: float = WAIT_SECONDS) -> tuple[int, bytes] | None:
        """The newest picture and its number, once it is not number `after`; (after, b"") where none came for a while,
        None at the end."""
        self.watched = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: self._number != after or self._has_ended, timeout)
            if self._number == after:
                return None if self._has_ended else (after, b"")
            return self._number, self._jpeg

    def figures(self) -> dict[str, Any]:
        """Frames shown and dropped; those for which scores of the network came; the rate at which they are shown, and
        the source's own; and the latency: from when a frame came to when its picture was ready, median and 95%."""
        with self._changed:
            times = list(self._times)
            shown, dropped, runs = self._number, self._dropped, self._network_runs
        span = times[-1][0] - times[0][0] if len(times) > 1 else 0.0
        latency = np.percentile([ms for _, ms in times], (50, 95)) if times else (None, None)
        p50, p95 = (None if value is None else round(float(value), 1) for value in latency)
        return {
            "shown": shown, "dropped": dropped, "network_runs": runs, "source_rate": self._rate,
            "rate": round((len(times) - 1) / span, 1) if span > 0 else None, "latency_ms": {"p50": p50, "p95": p95},
        }  # fmt: skip


@dataclass(frozen=True)
class LiveChoices:
    """What is watched, and how: an address or a video of the session; `every` frames the network runs."""

    source: str | Video
    network: str
    every: int
    classes: tuple[str, ...] | None
    threads: int

    @classmethod
    def of(cls, values: dict[str, Any], session: Session, options: Options) -> LiveChoices:
        """From what the page sends. SettingError, or a Refusal where there is no such video."""
        has_video, has_address = values.get("video") is not None, bool(values.get("address"))
        if has_video == has_address:
            raise SettingError("nothing to watch", expected="a video or an address", do="choose one of them")
        source = session.video(values["video"]) if has_video else address_of(values["address"])
        network = network_of(values, options)
        return cls(source, network, every_of(values), classes_of(values), options.threads)

    @property
    def title(self) -> str:
        return self.source.name if isinstance(self.source, Video) else self.source

    def open(self) -> Source:
        """Raises SourceError."""
        from segtween.video import open_source

        return open_video(self.source) if isinstance(self.source, Video) else open_source(self.source)


def watch(choices: LiveChoices, view: View, job: Job) -> dict[str, Any]:
    """The work of a live job: until the source ends, the job is cancelled, or nobody watches."""
    job.live = view.figures
    of_file = named(choices.source.path, choices.title) if isinstance(choices.source, Video) else nullcontext()
    try:
        with compiled(job, "loading the network"):
            seg = load(choices.network, every=choices.every, async_keys="auto", threads=choices.threads)
        style = Style() if choices.classes is None else Style(seg.labels.choose(choices.classes)[0])
        with of_file:
            job.begin(f"opening {choices.title}")
            source = choices.open()
            _show_all(seg.engine, source, Painter(seg.labels, style), view, job)
    finally:
        view.end()
    return view.figures()


def _show_all(engine: Engine, source: Source, paint: Painter, view: View, job: Job) -> None:
    try:
        job.begin("warming up")
        _wait_for(partial(engine.warm_up, source.info.size_hw), job)
        engine.reset()
    except BaseException:
        source.close()
        raise
    rate = source.info.frame_rate
    view.begin(None if rate is None else round(float(rate), 2))
    job.begin("live")
    for frame, result, arrived, dropped in _labelled(engine, source, partial(_go_on, view, job)):
        painted = picture(frame.rgb, result, paint)
        view.show(painted, arrived=arrived, dropped=dropped, is_key=result.is_key)


def _wait_for(work: Callable[[], object], job: Job) -> None:
    """Does it in a thread of its own, since a network at background priority may take long on a busy machine: a job
    that is cancelled meanwhile does not wait."""
    done = Future[None]()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, name="segtween-ui-warm-up", daemon=True).start()
    while not wait([done], WAIT_SECONDS).done:
        job.check()
    done.result()


def _go_on(view: View, job: Job) -> bool:
    """Whether somebody watches still. Raises Cancelled."""
    job.check()
    return time.monotonic() - view.watched < UNWATCHED_SECONDS


def _labelled(
    engine: Engine, source: Source, goes_on: Callable[[], bool]
) -> Iterator[tuple[Frame, Result, float, int]]:
    """Each of the newest frames with its labels, when it came, and how many were dropped by then."""
    bell, waiting = SimpleQueue[None](), dict[int, tuple[Frame, float]]()
    reader = read_latest(engine, source, lambda: bell.put(None))
    count = 0
    try:
        while goes_on():
            with suppress(Empty):
                bell.get(timeout=WAIT_SECONDS)
            try:
                taken = reader.take()
            except StopIteration:
                return
            if taken is None:
                continue
            (frame, _), _ = taken
            assert reader.arrived is not None, "a frame was taken"
            waiting[count] = frame, reader.arrived
            count += 1
            for result in engine.push(frame.rgb, pts_seconds=float(frame.pts_seconds)):
                labelled, came = waiting.pop(result.index)
                yield labelled, result, came, reader.dropped
    finally:
        reader.stop()
        with suppress(SegtweenError):
            engine.finish()


def picture(rgb: Rgb, result: Result, paint: Painter) -> bytes:
    """A frame with its labels as JPEG, at most `WIDEST` pixels wide."""
    painted = paint(rgb, result.labels)
    height, width = painted.shape[:2]
    if width > WIDEST:
        painted = smaller(painted, (round(height * WIDEST / width), WIDEST))
    return encode_jpeg(painted, quality=QUALITY)


# ── Addresses ─────────────────────────────────────────────────────────────────────────────────


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
