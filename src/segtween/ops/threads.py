"""Thread counts and priorities: decided here and nowhere else.

The inference runtime, OpenCV and our own kernels never run at the same time within one engine,
so each of them may use all the threads that were asked for. Asynchronous key frames are the exception: their network
runs concurrently with everything else, at background priority.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import count, pairwise
from time import perf_counter, sleep
from typing import TypeVar

from segtween.errors import SettingError
from segtween.types import is_whole

Made = TypeVar("Made")


def available_threads() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: int) -> int:
    """`threads` itself, but no more than there are processors that this process may use: more would wait for one
    another. All of them for 0; SettingError below 0, and for what is no whole number."""
    if not is_whole(threads, least=0):
        raise SettingError(f"threads is {threads!r}", expected="0 (all) or more", do="give threads=0 or a count")
    return min(threads or sys.maxsize, available_threads())


def limit_threads(threads: int) -> int:
    """The same for libraries in which 0 means their own choice: 0 stays 0."""
    most = check_threads(threads)
    return most if threads else 0


def lower_priority() -> None:
    """From now on this thread, and every thread that it starts, runs only where a processor is free.

    On Linux, whose threads have priorities of their own; elsewhere all stay equal. It cannot be undone.
    """
    if sys.platform == "linux":
        try:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        except OSError:  # a sandbox that does not allow it
            return


def in_background(work: Callable[[], Made]) -> Made:
    """What `work` returns, called in a thread of background priority, which threads started in it inherit."""
    with ThreadPoolExecutor(1, "segtween-background", initializer=lower_priority) as thread:
        return thread.submit(work).result()


class Pool:
    """Threads for work, started anew in a process that is forked: there are none in it, and nothing would be done."""

    def __init__(self, threads: int, name: str) -> None:
        self._threads, self._name = threads, name
        self._start()

    def _start(self) -> None:
        self._process, self._pool = os.getpid(), ThreadPoolExecutor(self._threads, self._name)

    def submit(self, work: Callable[[], Made]) -> Future[Made]:
        if self._process != os.getpid():
            self._start()
        return self._pool.submit(work)


class _Mine(threading.local):
    """`threads` is the most that kernels use which this thread starts."""

    threads = sys.maxsize


_mine = _Mine()


def run_inline() -> None:
    """From now on this thread does all rows of a kernel itself (`Rows`): where several threads have work of their own,
    sharing each piece of it costs more than it brings."""
    _mine.threads = 1


MOST_PIECES = 4
"""Pieces that the rows of a kernel are cut into, for each thread: rows do not all take the same time."""
LEAST_SECONDS = 1e-4
"""A thread is given no less work than this, and a piece no less than half: to wake a thread takes about as long."""


class Rows:
    """Runs kernels over ranges of rows, or several works, on its threads."""

    def __init__(self, threads: int) -> None:
        self.threads = check_threads(threads)
        self._pool = Pool(self.threads - 1, "segtween-ops") if self.threads > 1 else None
        self._seconds_per_row: dict[tuple[object, int], float] = {}

    def __call__(self, kernel: Callable[[int, int], object], rows: int) -> None:
        """Calls `kernel(first, last)`, which must release the GIL, on pieces of 0..rows, each thread taking the next
        one that is left; returns when all are done.

        At first every thread takes part, later no more than what a row took the last time is worth, over about as many
        rows: the fewer a grid has, the shorter they are.
        """
        which = getattr(kernel, "func", None) or getattr(kernel, "__code__", kernel), rows.bit_length()
        took = self._seconds_per_row.get(which)
        worth = MOST_PIECES * self.threads if took is None else took * rows / LEAST_SECONDS
        threads = max(1, min(self.threads, _mine.threads, int(worth), rows))
        pieces = min(MOST_PIECES * threads, int(2 * worth), rows) if threads > 1 else 1
        bounds, times = [rows * i // pieces for i in range(pieces + 1)], list[float]()
        left = deque(pairwise(bounds))

        def work(thread: int) -> None:
            take = left.pop if thread % 2 else left.popleft  # rows that a thread wrote are in its processor's cache
            while left:
                try:
                    first, last = take()
                except IndexError:  # another thread was faster
                    return
                began = perf_counter()
                kernel(first, last)
                times.append(perf_counter() - began)

        self._at_once(work, threads)
        self._seconds_per_row[which] = sum(times) / max(rows, 1)

    def through(self, kernel: Callable[..., int], phases: int, arguments: Sequence[object], *, cells: int) -> None:
        """All phases of a compiled `kernel(counters, side, first, *arguments)` (`ops.phases`), by no more threads than
        what as many `cells` took the last time is worth; returns when they are done."""
        from segtween.ops.phases import counters_of  # loads Numba, which not all that counts threads needs

        which = kernel, cells.bit_length()
        took = self._seconds_per_row.get(which)
        worth = self.threads if took is None else took * cells / LEAST_SECONDS
        threads, counters = max(1, min(self.threads, _mine.threads, int(worth))), counters_of(phases)
        failed = threading.Event()

        def work(thread: int) -> None:
            reached = 0
            try:
                while not failed.is_set() and (reached := kernel(counters, thread % 2, reached, *arguments)) < phases:
                    sleep(0)
            except BaseException:
                failed.set()  # its piece will never be finished: nobody waits for it
                raise

        began = perf_counter()
        self._at_once(work, threads)
        self._seconds_per_row[which] = (perf_counter() - began) * threads / cells

    def each(self, works: Sequence[Callable[[], Made]]) -> list[Made]:
        """What each of several works returns, done beside one another: each has its part of the threads for its own
        kernels, whichever `Rows` run them."""
        allowed = min(self.threads, _mine.threads)
        threads = min(allowed, len(works))
        if threads < 2:
            return [work() for work in works]
        done, left = dict[int, Made](), count()

        def work(thread: int) -> None:  # noqa: ARG001
            before, _mine.threads = _mine.threads, allowed // threads
            try:
                while (i := next(left)) < len(works):
                    done[i] = works[i]()
            finally:
                _mine.threads = before

        self._at_once(work, threads)
        return [done[i] for i in range(len(works))]

    def _at_once(self, work: Callable[[int], None], threads: int) -> None:
        """Calls `work(thread)`, which takes what is left to do until nothing is, in so many threads: 0 is this one."""
        helping = [] if self._pool is None else [self._pool.submit(partial(work, i)) for i in range(1, threads)]
        try:
            work(0)
        finally:
            begun = [other for other in helping if not other.cancel()]  # the rest would find nothing to do
            for other in begun:
                other.exception()
        for other in begun:
            other.result()
