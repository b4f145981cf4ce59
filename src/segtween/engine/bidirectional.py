"""Where the future is known, or waited for: a frame between two key frames is read from both of them.

    key frame       as in `engine.causal`: scores = network(frame), blended with the history; or given labels
    other frames    flow is composed to the key frame before and, along the flow in the other direction, to the key
                    frame after; labels are read from both, at full resolution
    share           of the later key frame = its reliability x (frames since the earlier one + e), against the earlier
                    one's reliability x (frames until the later one + e); e is the source's `evenness`
    fused key frame where scores are blended with the history, the later key frame has its share in the labels, too

Results come late: once the next key frame has its scores, which a network with a thread of its own
computes while the next frames come (`sources.NetworkKeys`). So it is fixed-lag smoothing where frames come from a
camera. Memory is bounded by two periods. Nothing is propagated across a scene cut: before a cut, at the end, before the
first key frame, and where frames stay away, one side is read alone.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from segtween.engine.clock import Clock
from segtween.engine.frames import Streaming, black, check_size
from segtween.engine.sources import KeySource, Sides
from segtween.engine.state import Float, KeyState
from segtween.errors import SettingError
from segtween.interfaces import CutDetector, MotionSource, notes_of
from segtween.types import Appearance, Frame, FrameKey, Labels, Motion, Result, Rgb, SizeHW

LEAST_RELIABILITY = 1e-3
"""Added to both sides' reliability, so that where neither is reliable the nearer one counts more."""

MOST_PENDING = 2
"""Key frames whose scores may be on their way at a time: one more than usual after a scene cut."""


@dataclass
class _Key:
    """A key frame; `position` as a frame's. `state` is None until its scores are there; until then `history` is what is
    propagated of the key frame `previous`, as this one sees it."""

    index: int
    position: int
    size_hw: SizeHW
    clock: Clock
    arriving: Future[Any]
    previous: _Key | None
    history: KeyState | None
    appearance: Appearance | None = None
    state: KeyState | None = None


@dataclass
class _Waiting:
    """A frame whose result is still to come. `position` is its number in the source, `like` an empty array of the
    frame's kind; `before` leads to the key frame `key`, `onward` to the frame after it."""

    index: int
    position: int
    pts_seconds: float
    like: Any
    size_hw: SizeHW
    is_cut: bool
    clock: Clock
    stages_ms: dict[str, float]
    key: _Key | None
    before: KeyState | None
    appearance: Appearance | None = None
    onward: Motion | None = None

    @property
    def is_key(self) -> bool:
        return self.key is not None and self.key.index == self.index


@dataclass
class _Span:
    """Frames from a key frame on, up to the key frame `after`, or to a cut or the end."""

    frames: list[_Waiting] = field(default_factory=list)
    after: _Key | None = None

    @property
    def is_known(self) -> bool:
        """Whether the scores are there that its labels are read from."""
        return not self.frames or (_is_there(self.frames[0].key) and _is_there(self.after))


class BidirectionalEngine(Streaming):
    """Results for every frame, in order but late.

    `most_delay`: where the network's time decides when its scores come, frames wait for it after so many.
    """

    is_causal = False
    prefetches = False
    """Whether its motion may be estimated by the thread that reads the frames."""

    def __init__(self, keys: KeySource, motion: MotionSource, cuts: CutDetector, *, most_delay: int = 120) -> None:
        self.keys, self.motion, self.cuts = keys, motion, cuts
        self.propagation, self.ops = keys.propagation, keys.propagation.ops
        self.clock: Callable[[], Clock] = Clock
        self.begins_scene = False
        """Whether the last frame was the first of a clip or scene."""
        self._most_delay = most_delay
        self._pending = deque[_Key]()
        self._begin()

    def reset(self) -> None:
        """Forgets everything: the next frame has index 0 and begins a scene."""
        self._begin()
        self.keys.reset()
        self.motion.reset()

    def _begin(self) -> None:
        for key in self._pending:
            key.arriving.cancel()  # unless the network is at it
        self._pending.clear()
        self._spans = deque([_Span()])
        self._last: _Waiting | None = None
        self._count = 0
        self._position: int | None = None

    def select(self, key: FrameKey) -> None:
        """Which frame comes next: for stored scores, motion vectors, and to notice frames that are missing."""
        index = key.index if isinstance(key, Frame) else key
        self._position = index if isinstance(index, int) else None
        self.keys.select(key)
        self.motion.select(key)

    def step(self, rgb: Rgb, *, pts_seconds: float | None = None, motion: Motion | None = None) -> Result:  # noqa: ARG002
        """Always SettingError: one frame alone has no result yet."""
        raise SettingError(
            "one step of bidirectional propagation",
            expected="a whole clip: it looks at the next key frame first",
            do="use stream(), push() or run(), or a causal mode",
        )

    def push(self, rgb: Rgb, *, pts_seconds: float | None = None, motion: Motion | None = None) -> list[Result]:
        """The next frame, (H, W, 3) uint8 RGB; the results that it completes, in order. Frames must keep their size.

        Without `motion` it is estimated here. Raises SettingError for anything but such a frame, and what the keys
        raise.
        """
        clock = self.clock()
        with self.ops.scope():
            image = self._image(rgb)
            motion = self.propagation.seen(motion or self.motion(image, clock), image)
            before, is_cut = self._follow(motion, clock)
            now = self._frame(rgb, image, pts_seconds, clock, motion)
            now.is_cut, now.before = is_cut, before
            if before is not None and self._last is not None:
                now.key = self._last.key
            self._take_arrived(now.index)
            if is_cut:
                self._close(None)
            if self._is_key(now):
                self._send(image, now)
            self._spans[-1].frames.append(now)
            self.begins_scene = before is None
            self._last, self._count = now, now.index + 1
            if not self.keys.may_follow(now.index):
                self._close(None)
            return self._completed()

    def poll(self, *, ends_period: bool = False) -> list[Result]:
        """The results that are there by now although no frame has come; with `ends_period` those, too, that wait for
        the next key frame, which seems to stay away: they are read from the earlier one."""
        with self.ops.scope():
            if ends_period:
                self._close(None)
            self._take_arrived(None)
            return self._completed()

    def finish(self) -> list[Result]:
        """The results that were still waiting for a key frame. The next frame begins a new clip."""
        with self.ops.scope():
            self._close(None)
            self._await(0)
            done = self._completed()
        self.reset()
        return done

    def warm_up(self, size_hw: SizeHW) -> None:
        """Shows the engine two black frames of a size: what is compiled, is compiled then. Afterwards a clip begins."""
        if self.keys.is_stored:  # there are no scores for such frames
            return
        self.reset()
        for _ in range(2):
            self.push(black(size_hw))
        with self.ops.scope():
            self._await(0)
            assert self._last is not None, "it was pushed"
            state = self._state_of(self._last)
            if (part := share(state, state, evenness=self.keys.evenness)) is not None:
                self.keys.read(Sides(state, state, part), size_hw)
        self.finish()

    @property
    def waiting(self) -> int:
        """Frames whose results are still to come."""
        return sum(len(span.frames) for span in self._spans)

    @property
    def notes(self) -> list[str]:
        """One line for each thing that is done differently than requested."""
        return [*self.keys.notes, *notes_of(self.motion)]

    @property
    def longest(self) -> int:
        """The largest distance that a result can have."""
        return self.keys.longest

    def describe(self) -> dict[str, Any]:
        """Everything that changes the numbers, as plain JSON values."""
        components = (self.keys, self.motion, self.cuts, self.ops)
        described = {key: value for component in components for key, value in component.describe().items()}
        return {"mode": "bidirectional", "evenness": self.keys.evenness, **described}

    # ── The next frame ────────────────────────────────────────────────────────────────────────

    def _image(self, rgb: Rgb) -> Rgb:
        image = self.ops.image(rgb)
        if self._last is not None:
            check_size(self._count, (image.shape[0], image.shape[1]), self._last.size_hw)
        return image

    def _frame(self, rgb: Rgb, image: Rgb, pts_seconds: float | None, clock: Clock, motion: Motion) -> _Waiting:
        following = 0 if self._last is None else self._last.position + 1
        position = following if self._position is None else self._position
        self._position = None
        seconds = math.nan if pts_seconds is None else pts_seconds
        size_hw = image.shape[0], image.shape[1]
        return _Waiting(
            self._count,
            position,
            seconds,
            rgb[:0],
            size_hw,
            False,
            clock,
            motion.stages_ms,
            None,
            None,
            motion.appearance,
        )

    def _follow(self, motion: Motion, clock: Clock) -> tuple[KeyState | None, bool]:
        """The earlier key frame as the new frame sees it, and whether a new scene begins with it."""
        last = self._last
        if last is None or motion.flow is None:
            return None, False
        with clock("propagate"):
            if self.cuts(motion):
                return None, True
        if self.keys.may_follow(last.index):
            last.onward = replace(self.motion.forward(motion, clock), appearance=last.appearance)
        with clock("propagate"):
            return None if last.before is None else self.propagation.follow(last.before, motion), False

    # ── Key frames ────────────────────────────────────────────────────────────────────────────

    def _is_key(self, now: _Waiting) -> bool:
        if now.before is not None and self._pending and self.keys.delay == "auto":
            return False  # until the network is free
        return self.keys.is_key(now.index, now.before) or self._is_overdue(now)

    def _is_overdue(self, now: _Waiting) -> bool:
        """Whether frames that are missing have filled the period: one with gaps lasts no longer than others."""
        if self._pending or now.key is None or not self.keys.by_distance:
            return False
        return now.position - now.key.position > self.keys.longest

    def _send(self, image: Rgb, now: _Waiting) -> None:
        """Ends the period before a key frame, whose scores are on their way from here on."""
        self._await(MOST_PENDING - 1 if now.before is None else 0)
        with now.clock(self.keys.stage):
            arriving = self.keys.send(image)
        key = _Key(now.index, now.position, now.size_hw, now.clock, arriving, now.key, now.before, now.appearance)
        self._pending.append(key)
        if arriving.done() and not isinstance(self.keys.delay, int):
            self._await(0)
        self._close(key)
        now.key = key
        provisional = key.state or self.keys.provisional(now.before, now.size_hw)
        now.before = replace(provisional, appearance=now.appearance)

    def _take_arrived(self, index: int | None) -> None:
        """Takes the scores that are there when a frame of this index comes; None: none comes."""
        while self._pending and self._has_arrived(self._pending[0], index):
            self._await(len(self._pending) - 1)

    def _has_arrived(self, key: _Key, index: int | None) -> bool:
        delay, age = self.keys.delay, 0 if index is None else index - key.index
        if isinstance(delay, int) and index is not None:
            return age >= delay
        return key.arriving.done() or age >= self._most_delay

    def _await(self, most: int) -> None:
        """Waits until the scores of at most so many key frames are on their way. After an error, what had to be read
        from such scores is gone, the rest can still be had."""
        try:
            while len(self._pending) > most:
                key = self._pending[0]
                with key.clock(self.keys.stage):
                    arrived = key.arriving.result()
                    history = None if key.history is None else _with_scores(key.history, key.previous)
                    key.state = replace(self.keys.key(arrived, history, key.size_hw), appearance=key.appearance)
                key.previous = key.history = None
                self._pending.popleft()
        except Exception:
            self._drop_pending()
            raise

    def _drop_pending(self) -> None:
        for key in self._pending:
            key.arriving.cancel()
        self._pending.clear()
        known = [span for span in self._spans if span.frames and _is_there(span.frames[0].key)]
        for span in known:
            span.after = span.after if _is_there(span.after) else None
        self._spans = deque([*known, _Span()])
        if self._last is not None and not _is_there(self._last.key):
            self._last.key = self._last.before = None  # the next frame is a key frame

    # ── Results ───────────────────────────────────────────────────────────────────────────────

    def _close(self, after: _Key | None) -> None:
        """Ends the last span with `after`, the key frame that follows it, if one does in its scene."""
        if self._spans[-1].frames:
            self._spans[-1].after = after
            self._spans.append(_Span())

    def _completed(self) -> list[Result]:
        """The results of the spans that have ended and whose scores are there, and that of a key frame after them."""
        done: list[Result] = []
        while True:
            frames = self._spans[0].frames
            if frames and _is_read_alone(frames[0]):
                alone = frames.pop(0)
                done += self._read([alone], [self._sides(alone, None)])
            if len(self._spans) == 1 or not self._spans[0].is_known:
                return done
            done += self._results(self._spans.popleft())

    def _results(self, span: _Span) -> list[Result]:
        sides = []
        after = None if span.after is None else span.after.state
        for waiting in reversed(span.frames):
            if after is not None:
                assert waiting.onward is not None, "a frame came after it"
                with waiting.clock("propagate"):
                    after = self.propagation.follow(after, waiting.onward)
            sides.append(self._sides(waiting, after))
        return self._read(span.frames, sides[::-1])

    def _state_of(self, waiting: _Waiting) -> KeyState | None:
        """The earlier key frame as a frame sees it, with its scores."""
        return None if waiting.before is None else _with_scores(waiting.before, waiting.key)

    def _sides(self, waiting: _Waiting, after: KeyState | None) -> Sides:
        before = self._state_of(waiting)
        return Sides(before, after, share(before, after, evenness=self.keys.evenness), waiting.appearance)

    def _read(self, frames: list[_Waiting], sides: list[Sides]) -> list[Result]:
        """The results of frames whose labels are read beside one another; each frame takes its part of the time."""
        clocks, whole = [self.clock() for _ in frames], self.clock()

        def read(waiting: _Waiting, its: Sides, clock: Clock) -> Labels:
            with clock("label"):
                return self.keys.read(its, waiting.size_hw)

        with whole("label"):
            labels = self.ops.each([partial(read, *each) for each in zip(frames, sides, clocks, strict=True)])
        part = whole.total_ms / max(1e-9, sum(clock.total_ms for clock in clocks))
        for waiting, clock in zip(frames, clocks, strict=True):
            waiting.clock.add("label", part * clock.total_ms)
        return [self._result(*each) for each in zip(frames, sides, labels, strict=True)]

    def _result(self, waiting: _Waiting, sides: Sides, labels: Labels) -> Result:
        nearest = sides.before or sides.after
        return Result(
            waiting.index,
            waiting.pts_seconds,
            is_key=waiting.is_key,
            distance=0 if nearest is None else nearest.distance,
            is_cut=waiting.is_cut,
            labels=self.ops.host(labels, like=waiting.like),
            scores=self.keys.lazy_scores(sides, waiting.size_hw),
            stages_ms={**waiting.stages_ms, **waiting.clock.stages_ms},
        )


def _is_there(key: _Key | None) -> bool:
    return key is None or key.state is not None


def _is_read_alone(waiting: _Waiting) -> bool:
    """Whether it is a key frame that is read from its own scores alone, and has them."""
    return (
        waiting.is_key and waiting.key is not None and waiting.key.state is not None and not waiting.key.state.is_fused
    )


def _with_scores(state: KeyState, key: _Key | None) -> KeyState:
    """The state with the key frame's scores: what was propagated before they were there has others."""
    assert key is not None, "it is the state of one"
    assert key.state is not None, "its scores are there"
    if state.scores is key.state.scores:
        return state
    return replace(state, scores=key.state.scores, own_labels=key.state.own_labels if state.composed is None else None)


def share(before: KeyState | None, after: KeyState | None, *, evenness: float) -> Float | None:
    """The later key frame's part, (gh, gw) in 0..1; None where there are not both. `evenness`, in frames, is added to
    the distances: the larger it is, the less it matters which one is nearer."""
    if before is None or after is None or after.reliability is None:
        return None
    reliability: Any = 1.0 if before.reliability is None else before.reliability  # at the key frame itself
    first: Any = (reliability + LEAST_RELIABILITY) * (after.distance + evenness)
    second: Any = (after.reliability + LEAST_RELIABILITY) * (before.distance + evenness)
    part: Float = second / (first + second)
    return part
