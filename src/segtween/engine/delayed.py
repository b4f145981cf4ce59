"""Asynchronous key frames: the network runs while the next frames are labelled, so that no frame waits for it.

    key frame       is sent to the network, which has a thread of its own, and is labelled like any other frame
    meanwhile       labels come from the key frame before; the state of the one that was sent is propagated too
    its scores      arrive `delay` frames later: blended with the history as it was at their own frame, as in
                    `engine.causal`, and looked up along the composed flow that leads back to it

What arrives is what the causal engine would have had at the key frame itself; only the frames in between have older
labels. One key frame is in flight at a time.

At a clip's first frame and the first after a scene cut there is nothing older. With a number of frames they wait for
the network. With `auto` they do not, and nothing is known (label 255) until its scores arrive: a camera goes on
meanwhile, and the frame after a long wait looks like another cut.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from segtween.engine.clock import Clock
from segtween.engine.keys import KeyFrames
from segtween.engine.state import KeyState, Propagation
from segtween.geometry import stride_grid
from segtween.interfaces import Schedule, Segmenter, Situation, segmented
from segtween.ops.threads import Pool
from segtween.types import Appearance, Motion, Rgb, ScoreMap, SizeHW

Logits = NDArray[np.float32]
Sent = TypeVar("Sent")
Delay = int | Literal["auto"]
"""Frames, 1 or more; or auto: as soon as the scores arrive."""

WAIT_SECONDS = 0.05
"""The longest that a frame waits for the network with auto, where its scores have been pending for `most_delay`
frames: it gets some of the processors then, and no frame takes as long as the network may."""


class Worker(Protocol):
    """Where a network runs."""

    @property
    def is_free(self) -> bool: ...
    def send(self, segmenter: Callable[[Rgb], Sent], rgb: Rgb) -> Future[Sent]:
        """Begins to call a segmenter, or what asks it for more than its scores."""


class NetworkThread:
    """A thread of its own for the network: one key frame at a time, in the order in which they are sent.

    Streams that share a network share its thread.
    """

    def __init__(self) -> None:
        self._pool = Pool(1, "segtween-network")
        self._latest: Future[Any] | None = None

    @property
    def is_free(self) -> bool:
        """Whether a key frame that is sent now is processed right away."""
        return self._latest is None or self._latest.done()

    def send(self, segmenter: Callable[[Rgb], Sent], rgb: Rgb) -> Future[Sent]:
        sent = self._pool.submit(partial(segmenter, rgb))
        self._latest = sent
        return sent


class Inline:
    """No thread: scores that are there at once (stored ones) are read where the frame is sent."""

    is_free = True

    def send(self, segmenter: Callable[[Rgb], Sent], rgb: Rgb) -> Future[Sent]:
        future = Future[Sent]()
        future.set_result(segmenter(rgb))
        return future


def even_scores(propagation: Propagation, classes: int, image_hw: SizeHW) -> ScoreMap:
    """All classes alike."""
    even = np.zeros((classes, *stride_grid(image_hw, 8)), np.float32)
    return propagation.key(even, None, image_hw=image_hw).scores


@dataclass
class _Sent:
    """A key frame in flight: the history at its own frame, and its state, whose scores are still
    another key frame's."""

    logits: Future[Logits]
    history: KeyState | None
    state: KeyState
    image_hw: SizeHW


class DelayedKeyFrames(KeyFrames):
    """Key frames by a schedule, whose scores arrive `delay` frames late from a `worker`.

    A result's `is_key` says then that the scores of another key frame are used from this frame on, `distance` how many
    frames ago that was. Scores of `auto` depend on the machine: not for evaluation.

    The threads of the network's runtime run at background priority if the segmenter was opened in the background
    (`segmenters.open_segmenter`), so that frames are not slowed down by it. The worker's own does not: it holds
    Python's lock at times, which a frame may wait for.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        schedule: Schedule,
        propagation: Propagation,
        *,
        delay: Delay,
        worker: Worker,
        most_delay: int,
    ) -> None:
        super().__init__(segmenter, schedule, propagation)
        self._delay, self.worker = delay, worker
        self.delay = 0 if delay == "auto" else delay
        self._sent: _Sent | None = None
        self._most_delay = most_delay

    def reset(self) -> None:
        super().reset()
        self._drop()

    def follow(self, motion: Motion) -> None:
        if self._sent is not None:
            self._sent.state = self.propagation.follow(self._sent.state, motion)

    def __call__(
        self,
        rgb: Rgb,
        history: KeyState | None,
        situation: Situation | None,
        clock: Clock,
        appearance: Appearance | None = None,
    ) -> tuple[KeyState, bool]:
        if history is None or situation is None:
            self._drop()
            if self._delay != "auto":
                return replace(self._awaited(rgb, clock), appearance=appearance), True
            history = self._unknown(rgb)
            self._send(rgb, KeyState(history.scores, appearance=appearance), None, clock)
            return history, False
        has_arrived = self._sent is not None and self._is_there(self._sent, clock)
        if self._sent is not None and has_arrived:
            history = self._arrived(self._sent, clock)
            assert history.reliability is not None, "at least one frame has come since"
            situation = replace(situation, distance=history.distance, reliability=history.reliability)
        if self._sent is None and self.schedule.is_key(situation):
            self._send(rgb, KeyState(history.scores, appearance=appearance), history, clock)
        return history, has_arrived

    def warm_up(self, rgb: Rgb) -> None:
        self.worker.send(self.segmenter, rgb).result()

    def _awaited(self, rgb: Rgb, clock: Clock) -> KeyState:
        with clock("segment"):  # by the same worker: a key frame that nobody needs any more may be in it
            logits, detail = self.worker.send(partial(segmented, self.segmenter), rgb).result()
        with clock("propagate"):
            return self.propagation.key(logits, None, image_hw=(rgb.shape[0], rgb.shape[1]), detail=detail)

    def _send(self, rgb: Rgb, state: KeyState, history: KeyState | None, clock: Clock) -> None:
        """Sends a key frame. Of the scores in `state` the grid alone counts until the frame's own arrive."""
        with clock("segment"):
            logits = self.worker.send(self.segmenter, rgb)
            self._sent = _Sent(logits, history, state, (rgb.shape[0], rgb.shape[1]))

    def _drop(self) -> None:
        if self._sent is not None:
            self._sent.logits.cancel()  # unless the network is at it
            self._sent = None

    def _unknown(self, rgb: Rgb) -> KeyState:
        """All classes alike, and not to be relied on."""
        scores = even_scores(self.propagation, len(self.segmenter.labels), (rgb.shape[0], rgb.shape[1]))
        return KeyState(scores, reliability=np.zeros(scores.grid_hw, np.float32), is_known=False)

    def _is_there(self, sent: _Sent, clock: Clock) -> bool:
        if self._delay != "auto":
            return sent.state.distance >= self._delay
        if sent.state.distance >= self._most_delay and not sent.logits.done():
            with clock("segment"):
                wait([sent.logits], WAIT_SECONDS)
        return sent.logits.done()

    def _arrived(self, sent: _Sent, clock: Clock) -> KeyState:
        self._sent = None
        with clock("segment"):
            logits = sent.logits.result()
        with clock("propagate"):
            return replace(sent.state, scores=self.propagation.key(logits, sent.history, image_hw=sent.image_hw).scores)

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "async_keys": self._delay}
