"""The way through clips: for each distance k a run starts with a key frame and an empty state, k frames before a
labelled frame, and is scored there. All runs of a window go side by side, so that a frame is read once, and its scores
and the flow of a pair are computed once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from segtween.build import Processor, build_engine, build_every_frame, method
from segtween.datasets import Clip, ClipFrame
from segtween.engine import Engine
from segtween.evaluation.sharing import FrameMotion, Shared
from segtween.interfaces import Segmenter
from segtween.settings import Settings
from segtween.types import Labels, Method, Rgb

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class Window:
    """Frames `first`..`last` of a clip, both included. A run starts at each of `starts`, counted from `first`;
    `is_dense`: every frame is measured, at each run's own distance; else the last one."""

    clip: Clip
    first: int
    last: int
    starts: tuple[int, ...]
    is_dense: bool

    @property
    def frames(self) -> Sequence[ClipFrame]:
        return self.clip.frames[self.first : self.last + 1]


def windows_of(clip: Clip, steps: Sequence[int]) -> list[Window]:
    """What has to be run to measure the clip's labelled frames at these distances."""
    longest = max(steps, default=0)
    if longest and len(clip.labelled) == len(clip) > 1:
        return [Window(clip, 0, len(clip) - 1, tuple(range(min(longest + 1, len(clip)))), True)]
    return [
        Window(clip, last - longest, last, tuple(longest - k for k in sorted(steps, reverse=True)), False)
        for last in clip.labelled
        if last >= longest
    ]


@dataclass(frozen=True)
class Answer:
    """One run's labels of one frame, `distance` frames after its key frame; 0 is the network itself."""

    labels: Labels
    distance: int


@dataclass(frozen=True)
class Moment:
    """What is known of one frame. `measured` holds one answer for each distance at which it counts; `shown` those
    of the network itself and of the run that a strip follows, where they were asked for."""

    frame: ClipFrame
    rgb: Rgb
    truth: Labels | None
    measured: tuple[Answer, ...]
    shown: tuple[Answer, Answer] | None
    ends_strip: bool


class Passes:
    """The engines of all runs: the network on every frame, and one for each start of a window.

    `settings` None: the network alone. `strips`: the network also runs where only a strip needs it.
    """

    def __init__(
        self, segmenter: Segmenter, settings: Settings | None, *, steps: Sequence[int], threads: int, strips: bool
    ) -> None:
        self._shared = Shared(segmenter)
        self._motion: FrameMotion | None = None
        self.steps, self.longest, self.strips = tuple(steps), max(steps, default=0), strips
        self.plain = build_every_frame(self._shared.scores)
        self._engines: list[Engine] = []
        self._make: Callable[[], Engine] | None = None
        if settings is not None:
            backend, at = Processor(threads), settings.at(self.longest)
            flow = backend.flow(settings, classes=len(segmenter.labels))
            self._motion = self._shared.motion_of(flow, backend.ops(settings))
            self._make = lambda: build_engine(self._shared.scores, at, backend=backend, flow=flow)

    def engines(self, count: int) -> list[Engine]:
        """So many, each with an empty state; none where the network runs alone."""
        while self._make is not None and len(self._engines) < count:
            self._engines.append(self._make())
        for engine in self._engines:
            engine.reset()
        self._shared.begin()
        return self._engines[:count]

    def method(self, name: str) -> Method:
        engines = self.engines(1)
        return method(engines[0] if engines else self.plain, name=name if engines else "every-frame")

    def through(self, window: Window, frames: Iterable[tuple[Rgb, Labels | None]]) -> Iterator[Moment]:
        """One moment per frame of the window; `frames` are its pictures and labels in order."""
        engines, count = self.engines(len(window.starts)), len(window.frames)
        for offset, (frame, (rgb, truth)) in enumerate(zip(window.frames, frames, strict=True)):
            counts = window.is_dense or offset == count - 1
            runs = [engine for engine, start in zip(engines, window.starts, strict=False) if offset >= start]
            answers = self._answers(frame, rgb, runs)
            measured = [answer for answer in answers if counts and answer.distance in self.steps]
            network = Answer(self.plain.step(rgb).labels, 0) if counts or self.strips else None
            if counts and network is not None:
                measured.insert(0, network)
            shown = self._shown(network, answers, offset)
            yield Moment(frame, rgb, truth, tuple(measured), shown, self._ends(shown, last=offset == count - 1))

    def along(self, clip: Clip, frames: Iterable[tuple[Rgb, None]]) -> Iterator[Moment]:
        """One moment per frame of a clip without labels, a key frame first and `longest` frames after each."""
        engines, count = self.engines(1), len(clip)
        for offset, (frame, (rgb, _)) in enumerate(zip(clip.frames, frames, strict=True)):
            answers = self._answers(frame, rgb, engines)
            network = Answer(self.plain.step(rgb).labels, 0) if self.strips or not answers else None
            measured = answers or ([] if network is None else [network])
            shown = self._shown(network, answers, offset)
            yield Moment(frame, rgb, None, tuple(measured), shown, self._ends(shown, last=offset == count - 1))

    def _answers(self, frame: ClipFrame, rgb: Rgb, engines: Sequence[Engine]) -> list[Answer]:
        """What the engines say of the next frame, whose scores and motion they share."""
        self._shared.select(frame.name)
        self._shared.next(rgb)
        motion = None if self._motion is None else self._motion.current
        results = [engine.step(rgb, motion=motion) for engine in engines]
        return [Answer(result.labels, result.distance) for result in results]

    def _shown(self, network: Answer | None, answers: Sequence[Answer], offset: int) -> tuple[Answer, Answer] | None:
        """What a strip holds of a frame; where the network runs alone, strips are as long as they would be."""
        if network is None or not self.strips:
            return None
        return network, answers[0] if answers else Answer(network.labels, offset % (self.longest + 1))

    def _ends(self, shown: tuple[Answer, Answer] | None, *, last: bool) -> bool:
        return shown is not None and (last or shown[1].distance == self.longest)


def read_ahead(items: Iterable[T], read: Callable[[T], R], *, workers: int, ahead: int) -> Iterator[R]:
    """`read` of each item, in order; with workers, `ahead` of them are being read or wait to be used."""
    if workers == 0:
        yield from map(read, items)
        return
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(workers, "segtween-reading") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(read, item))
                if len(waiting) > ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
