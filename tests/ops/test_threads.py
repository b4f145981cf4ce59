"""Kernels and works on several threads: all of it is done once, and no more threads take part than it is worth."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from segtween.build import Processor
from segtween.errors import SettingError
from segtween.ops import threads as threads_module
from segtween.ops.threads import Rows, limit_threads, run_inline
from segtween.runtimes.base import RuntimeOptions

pytestmark = pytest.mark.usefixtures("many_processors")
SECONDS = 30


def name() -> str:
    return threading.current_thread().name


def taking(seconds: float, rows: int, seen: list[tuple[int, int, str]]) -> Callable[[int, int], None]:
    def kernel(first: int, last: int) -> None:
        seen.append((first, last, name()))
        time.sleep(seconds * (last - first) / rows)

    return kernel


def used(rows: Rows, seconds: float, *, times: int = 2, count: int = 64) -> list[tuple[int, int, str]]:
    """The pieces of a kernel's last call of several."""
    seen: list[tuple[int, int, str]] = []
    kernel = taking(seconds, count, seen)
    for _ in range(times):
        seen.clear()
        rows(kernel, count)
    return sorted(seen)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [1, 2, 7, 64])
def test_every_row_is_done_once(threads: int, count: int) -> None:
    rows = Rows(threads)
    for _ in range(3):
        seen = used(rows, 1e-3, times=1, count=count)
        assert [row for first, last, _ in seen for row in range(first, last)] == list(range(count))


def test_no_more_threads_take_part_than_there_are_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads_module, "available_threads", lambda: 2)
    assert [Rows(threads).threads for threads in (0, 1, 2, 16)] == [2, 1, 2, 2]
    assert [limit_threads(threads) for threads in (0, 1, 2, 16)] == [0, 1, 2, 2]
    assert [Processor(threads).threads for threads in (0, 16)] == [0, 2]
    assert len(used(Rows(16), 0.0, times=1)) == 8


@pytest.mark.parametrize("threads", [-1, "4", 1.5, True, None])
def test_a_number_of_threads_is_a_whole_number_from_0(threads: Any) -> None:
    for taken in (Rows, limit_threads, Processor):
        with pytest.raises(SettingError, match=rf"threads is {threads!r}; expected 0 \(all\) or more"):
            taken(threads)
    with pytest.raises(SettingError, match=rf"threads {threads!r}; expected 0 \(the runtime's own choice\) or more"):
        RuntimeOptions(threads=threads)


def test_a_thread_helps_where_there_is_enough_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads_module, "LEAST_SECONDS", 0.01)
    rows = Rows(3)
    assert len(used(rows, 0.0, times=1)) == 12, "what a kernel takes is not known yet"
    assert [(first, last) for first, last, _ in used(rows, 0.005)] == [(0, 64)]
    pieces = used(rows, 0.1)
    assert len(pieces) == 12
    assert len({who for _, _, who in pieces}) > 1


def test_a_thread_that_runs_inline_is_helped_by_none() -> None:
    rows, seen = Rows(2), list[tuple[int, int, str]]()

    def inline() -> None:
        run_inline()
        rows(taking(0.01, 64, seen), 64)
        rows.each([partial(rows, taking(0.01, 8, seen), 8)] * 2)

    thread = threading.Thread(target=inline, name="alone")
    thread.start()
    thread.join(SECONDS)
    assert seen == [(0, 64, "alone"), (0, 8, "alone"), (0, 8, "alone")]


def test_works_are_done_beside_one_another_and_give_what_they_return_in_order() -> None:
    meet = threading.Barrier(2, timeout=SECONDS)

    def work(value: int) -> int:
        if value < 2:
            meet.wait()  # neither returns before both have begun
        return value

    assert Rows(2).each([partial(work, value) for value in range(5)]) == [0, 1, 2, 3, 4]
    assert Rows(1).each([lambda: 1, lambda: 2]) == [1, 2]
    assert Rows(4).each([]) == []


def test_each_work_has_its_part_of_the_threads() -> None:
    """And afterwards the thread has all of them again."""
    rows, meet = Rows(4), threading.Barrier(2, timeout=SECONDS)

    def work(count: int) -> int:
        meet.wait()
        seen: list[tuple[int, int, str]] = []
        rows(taking(0.0, count, seen), count)
        return len(seen)

    assert rows.each([partial(work, 64), partial(work, 128)]) == [8, 8]
    assert len(used(rows, 0.0, times=1, count=256)) == 16


def test_works_of_many_threads_at_a_time_wait_for_nothing_that_waits_for_them() -> None:
    """Each of the pool's threads may itself be waiting for a kernel's pieces, which no thread is left to take."""
    rows, done = Rows(3), list[list[int]]()

    def kernels() -> int:
        for _ in range(5):
            rows(lambda first, last: time.sleep(1e-4 * (last - first)), 12)
        return 1

    streams = [threading.Thread(target=lambda: done.append(rows.each([kernels] * 4)), daemon=True) for _ in range(6)]
    for stream in streams:
        stream.start()
    for stream in streams:
        stream.join(SECONDS)
    assert done == [[1] * 4] * 6


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_of_any_work_is_raised_when_all_have_ended(failing: int) -> None:
    rows, meet, ended = Rows(2), threading.Barrier(2, timeout=SECONDS), list[int]()

    def work(which: int) -> None:
        meet.wait()
        if which == failing:
            raise ValueError("no")
        time.sleep(0.01)
        ended.append(which)

    with pytest.raises(ValueError, match="no"):
        rows.each([partial(work, 0), partial(work, 1)])
    assert ended == [1 - failing]
    assert len(used(rows, 0.0, times=1)) == 8, "the threads are there as before"


def test_an_error_of_a_kernel_is_raised() -> None:
    def kernel(first: int, last: int) -> None:  # noqa: ARG001
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        Rows(2)(kernel, 10)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no processes are forked there")
def test_a_forked_process_has_threads_of_its_own() -> None:
    """What is given to those that stayed behind would be waited for without end."""
    code = f"""
import os
from segtween.ops.threads import Pool
pool = Pool(1, "test")
assert pool.submit(os.getpid).result({SECONDS}) == os.getpid()
child = os.fork()
if child == 0:
    os._exit(0 if pool.submit(os.getpid).result({SECONDS}) == os.getpid() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=4 * SECONDS)
