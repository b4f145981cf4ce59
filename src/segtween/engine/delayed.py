"""Late keys: the network looks at a key frame beside the frames that follow it, so that no frame waits for it.

    key frame       is sent to the network, which has a thread of its own, and is labelled like any other frame
    meanwhile       labels come from the key frame before; the way back to the one that was sent is followed too
    its scores      arrive `late` frames later: blended with the history as it was at their own frame, as in the engine,
                    and read along the path that leads back to it

What arrives is what the engine would have had at the key frame itself; only the frames in between have older labels.
One key frame is on its way at a time.

At a clip's first frame and the first after a scene cut nothing older speaks. With a number of frames they wait for the
network. With `auto` they do not, and nothing is known (label 255) until its scores arrive: a camera goes on meanwhile,
and the frame after a long wait looks like another cut.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from segtween.engine import Clock, Engine, History, Past
from segtween.errors import SettingError
from segtween.geometry import stride_grid
from segtween.interfaces import Segmenter, Situation
from segtween.types import IGNORE, Flow, Result, Rgb

Late = int | Literal["auto"]
"""Frames, 1 or more; or auto: as soon as they are there."""

MOST_LATE, WAIT_SECONDS = 120, 0.05
"""So many frames after a key frame, auto too lets each frame wait for its scores, for so long at most: the network gets
some of the processors then, and no frame takes as long as the network may."""


@dataclass
class _Sent:
    """A key frame on its way through the network: what was known of it before, and how this frame sees it."""

    scores: Future[NDArray[np.float32]]
    before: History | None
    now: Past


class NetworkThread:
    """Where a network works beside everything else: one key frame at a time, in the order in which they are sent.

    Streams that share a network share its thread.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "segtween-network")
        self._latest: Future[NDArray[np.float32]] | None = None

    @property
    def is_free(self) -> bool:
        """Whether a key frame that is sent now is looked at right away."""
        return self._latest is None or self._latest.done()

    def send(self, segmenter: Segmenter, rgb: Rgb) -> Future[NDArray[np.float32]]:
        self._latest = self._pool.submit(segmenter, rgb)
        return self._latest


class DelayedEngine(Engine):
    """An engine whose key frames' scores arrive `late` frames late. Takes what `Engine` takes, and may be given its
    network's `thread`, which `sharing` engines have in common.

    A result's `is_key` says that the scores of another key frame are used from this frame on, `distance` how many
    frames ago that was. A segmenter that has its scores at once (stored ones: it has `select`, or `at_once`) is called
    where the frame is sent, without a thread. Scores of `auto` depend on the machine: not for evaluation.

    The network works in a thread of its own. The threads of its runtime give way to all others if the segmenter was
    opened in the background (`segmenters.open_segmenter`), so that frames are not slowed down by it. This one does not:
    it holds Python's lock at times, which a frame may wait for.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        *parts: Any,
        late: Late,
        thread: NetworkThread | None = None,
        sharing: int = 1,
        **others: Any,
    ) -> None:
        super().__init__(segmenter, *parts, **others)
        self.late = check_late(late)
        self._sent: _Sent | None = None
        self._knows = True
        at_once = hasattr(segmenter, "select") or getattr(segmenter, "at_once", False)
        self.thread = None if at_once else thread or NetworkThread()
        self._most_late = MOST_LATE * sharing

    def reset(self) -> None:
        super().reset()
        self._drop()
        self._knows = True

    def step(self, rgb: Rgb, *, pts_seconds: float | None = None) -> Result:
        result = super().step(rgb, pts_seconds=pts_seconds)
        return result if self._knows else replace(result, labels=np.full_like(result.labels, IGNORE))

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "late": self.late}

    def segment(self, rgb: Rgb) -> NDArray[np.float32]:
        return self._send(rgb).result()  # in the same thread: a key frame that nobody needs any more may be in it

    def _follow(self, past: Past, motion: Flow, error: NDArray[np.float32]) -> History:
        if self._sent is not None:
            seen = super()._follow(self._sent.now, motion, error)
            self._sent.now = replace(
                self._sent.now, path=seen.path, reliability=seen.reliability, distance=seen.situation.distance
            )
        return super()._follow(past, motion, error)

    def _decide(self, rgb: Rgb, history: History | None, clock: Clock) -> tuple[History | None, bool]:
        if history is None:
            self._drop()
            if self.late != "auto":
                return None, True
            history, self._knows = self._nothing(rgb), False
            self._send_key(rgb, history, None, clock)
            return history, False
        if self._sent is not None and self._is_there(self._sent, clock):
            history = self._arrived(self._sent, history, clock)
        if self._sent is None and self.schedule.is_key(history.situation):
            self._send_key(rgb, history, history, clock)
        return history, False

    def _send_key(self, rgb: Rgb, history: History, before: History | None, clock: Clock) -> None:
        with clock("segment"):
            seen = None if self.refiner is None else self.refiner.see(rgb)
            # To be followed like any frame; of its scores the grid alone is known.
            now = Past(np.empty((0, 0), np.uint8), history.scores, None, None, 0, 0.0, seen)
            self._sent = _Sent(self._send(rgb), before, now)

    def _drop(self) -> None:
        if self._sent is not None:
            self._sent.scores.cancel()  # unless the network is at it
            self._sent = None

    def _nothing(self, rgb: Rgb) -> History:
        """All classes alike, and not to be trusted."""
        image_hw = rgb.shape[0], rgb.shape[1]
        even = np.zeros((len(self.segmenter.labels), *stride_grid(image_hw, 8)), np.float32)
        scores = self.ops.carry(even, kind=self.carry.kind, most_cells=self.carry.most_cells, image_hw=image_hw)
        none = np.zeros(scores.grid_hw, np.float32)
        return History(scores, None, none, Situation(self._count, 0, none, none, 0.0))

    def _is_there(self, sent: _Sent, clock: Clock) -> bool:
        if self.late != "auto":
            return sent.now.distance >= self.late
        if sent.now.distance >= self._most_late and not sent.scores.done():
            with clock("segment"):
                wait([sent.scores], WAIT_SECONDS)
        return sent.scores.done()

    def _arrived(self, sent: _Sent, history: History, clock: Clock) -> History:
        self._sent, self._knows = None, True
        with clock("segment"):
            logits = sent.scores.result()
        with clock("propagate"):
            scores = self._fuse(logits, sent.before, history.scores.image_hw)
            path, trust = sent.now.path, sent.now.reliability
            assert path is not None, "at least one frame has come since"
            assert trust is not None, "as for the path"
            if self.carry.resample:
                path, trust = self.ops.resize_flow(path, scores.grid_hw), self.ops.resize(trust, scores.grid_hw)
        situation = replace(history.situation, distance=sent.now.distance, reliability=trust)
        return History(scores, path, trust, situation, sent.now.seen, is_new=True)

    def _send(self, rgb: Rgb) -> Future[NDArray[np.float32]]:
        if self.thread is not None:
            return self.thread.send(self.segmenter, rgb)
        there = Future[NDArray[np.float32]]()
        there.set_result(self.segmenter(rgb))
        return there


def check_late(late: Any) -> Late:
    """`late` itself; SettingError for what it cannot be."""
    if late == "auto" or (isinstance(late, int) and not isinstance(late, bool) and 1 <= late <= MOST_LATE):
        return late
    raise SettingError(
        f"late {late}",
        expected=f"auto, or a whole number of frames from 1 to {MOST_LATE}",
        do="give late auto, or leave late out",
    )
