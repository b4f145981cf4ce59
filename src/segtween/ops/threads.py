"""Thread counts and priorities: decided here and nowhere else.

The inference runtime, OpenCV and our own kernels never run at the same time within one engine,
so each of them may use all the threads that were asked for. Asynchronous key frames are the exception: their network
runs concurrently with everything else, at background priority.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import TypeVar

from segtween.errors import SettingError

Made = TypeVar("Made")


def available_threads() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_threads(threads: int) -> int:
    """`threads` itself, or every available processor for 0; SettingError below 0."""
    if threads < 0:
        raise SettingError(f"threads is {threads}", expected="0 (all) or more", do="give threads=0 or a count")
    return threads or available_threads()


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


_mine = threading.local()


def run_inline() -> None:
    """From now on this thread does all rows of a kernel itself (`Rows`): where several threads have work of their own,
    sharing each piece of it costs more than it brings."""
    _mine.is_alone = True


PIECES = 4
"""Pieces that the rows of a kernel are cut into, for each thread: rows do not all take the same time."""


class Rows:
    """Runs a kernel over a range of rows, split among threads. `kernel(first, last)` must release the GIL."""

    def __init__(self, threads: int) -> None:
        self.threads = check_threads(threads)
        self._pool = ThreadPoolExecutor(self.threads - 1, "segtween-ops") if self.threads > 1 else None

    def __call__(self, kernel: Callable[[int, int], None], rows: int, *, least: int = 16) -> None:
        """Calls `kernel` on pieces of 0..rows of at least `least` rows, each thread taking the next one that is left;
        returns when all are done."""
        pieces = max(1, min(PIECES * self.threads, rows // least))
        if self._pool is None or pieces == 1 or getattr(_mine, "is_alone", False):
            kernel(0, rows)
            return
        bounds, left = [rows * i // pieces for i in range(pieces + 1)], count()

        def work() -> None:
            while (piece := next(left)) < pieces:
                kernel(bounds[piece], bounds[piece + 1])

        waiting = [self._pool.submit(work) for _ in range(min(self.threads, pieces) - 1)]
        work()
        for other in waiting:
            other.result()
