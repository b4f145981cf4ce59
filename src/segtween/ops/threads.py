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
from itertools import pairwise
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


class Rows:
    """Runs a kernel over a range of rows, split among threads. `kernel(first, last)` must release the GIL."""

    def __init__(self, threads: int) -> None:
        self.threads = check_threads(threads)
        self._pool = ThreadPoolExecutor(self.threads - 1, "segtween-ops") if self.threads > 1 else None

    def __call__(self, kernel: Callable[[int, int], None], rows: int, *, least: int = 16) -> None:
        """Calls `kernel` on parts of 0..rows of at least `least` rows; returns when all are done."""
        parts = max(1, min(self.threads, rows // least))
        bounds = [rows * i // parts for i in range(parts + 1)]
        if self._pool is None or parts == 1 or getattr(_mine, "is_alone", False):
            kernel(0, rows)
            return
        waiting = [self._pool.submit(kernel, a, b) for a, b in pairwise(bounds[1:])]
        kernel(bounds[0], bounds[1])
        for part in waiting:
            part.result()
