"""Compiled loops in phases: every piece once, no phase before the one it reads is done, on any number of threads."""

from __future__ import annotations

from threading import Barrier

import numpy as np
import pytest
from numba import njit

from segtween.errors import SettingError
from segtween.ops import phases
from segtween.ops.phases import all_finished, claimed, counters_of, finished, piece_of, pieces_of
from segtween.ops.threads import Rows

STEPS, ROWS = 40, 64


@njit(nogil=True)
def _sums(counters, side, first, rooms, visits, stop):
    """Each phase: a row becomes the sum of the row before and the one after in what the phase before left; with `stop`
    only the first phase's rows are handed out, and none is ever finished."""
    rows = rooms.shape[1]
    for phase in range(first, visits.shape[0]):
        pieces = pieces_of(rows)
        piece = claimed(counters, phase, pieces, side)
        while piece >= 0 and not stop:
            a, b = piece_of(rows, piece, pieces)
            before, to = rooms[phase % 2], rooms[(phase + 1) % 2]
            for y in range(a, b):
                to[y] = (before[(y - 1) % rows] + before[(y + 1) % rows]) % 1_000_003
                visits[phase, y] += 1
            finished(counters, phase)
            piece = claimed(counters, phase, pieces, side)
        if not all_finished(counters, phase, pieces):
            return phase
    return visits.shape[0]


def run(threads: int) -> tuple[np.ndarray, np.ndarray]:
    rooms, visits = np.zeros((2, ROWS), np.int64), np.zeros((STEPS, ROWS), np.int64)
    rooms[0] = np.arange(ROWS) ** 2
    Rows(threads).through(_sums, STEPS, (rooms, visits, False), cells=ROWS)
    return rooms[STEPS % 2], visits


def by_hand() -> np.ndarray:
    values = np.arange(ROWS) ** 2
    for _ in range(STEPS):
        values = (np.roll(values, 1) + np.roll(values, -1)) % 1_000_003
    return values


@pytest.mark.parametrize("threads", [1, 2])
def test_every_piece_is_done_once_and_after_what_it_reads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segtween.ops.threads.available_threads", lambda: threads)
    for _ in range(50):
        values, visits = run(threads)
        assert (visits == 1).all()
        np.testing.assert_array_equal(values, by_hand())


def test_more_threads_than_processors_wait_for_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segtween.ops.threads.available_threads", lambda: 8)
    values, visits = run(8)
    assert (visits == 1).all()
    np.testing.assert_array_equal(values, by_hand())


def test_a_phase_that_is_not_finished_is_come_back_to() -> None:
    rooms, visits = np.zeros((2, ROWS), np.int64), np.zeros((STEPS, ROWS), np.int64)
    counters = counters_of(STEPS)
    assert _sums(counters, 0, 0, rooms, visits, True) == 0  # as if another thread had the rows and were not through
    assert not visits.any()
    counters[phases.LINE] = pieces_of(ROWS)
    assert _sums(counters, 0, 0, rooms, visits, False) == STEPS
    assert (visits[1:] == 1).all()


@pytest.mark.parametrize("rows", [1, 3, 16, 17, 1000])
def test_pieces_cover_all_rows_once(rows: int) -> None:
    pieces = pieces_of.py_func(rows)
    bounds = [piece_of.py_func(rows, piece, pieces) for piece in range(pieces)]
    assert [row for a, b in bounds for row in range(a, b)] == list(range(rows))
    assert pieces <= phases.MOST_PIECES


def test_a_thread_of_its_own_work_does_all_phases_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segtween.ops.threads.available_threads", lambda: 4)
    rows, used = Rows(4), []
    monkeypatch.setattr(rows, "_at_once", lambda work, threads: (used.append(threads), work(0)))
    rooms, visits = np.zeros((2, ROWS), np.int64), np.zeros((STEPS, ROWS), np.int64)
    job = (_sums, STEPS, (rooms, visits, False))
    rows.through(*job, cells=ROWS)
    rows.each([lambda: rows.through(*job, cells=1 << 40)] * 4)
    rows.through(*job, cells=ROWS)  # of the first time it is known how little it is
    assert used[0] == 4
    assert used[-1] == 1
    with pytest.raises(SettingError):
        Rows(-1)


@pytest.mark.parametrize("failing", [0, 1])
def test_nobody_waits_for_a_thread_that_failed(failing: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segtween.ops.threads.available_threads", lambda: 2)
    begun = Barrier(2)

    def kernel(counters: np.ndarray, side: int, first: int) -> int:  # noqa: ARG001
        if first == 0:
            begun.wait(60)
        if side == failing:
            raise MemoryError
        return 1  # the other one has a piece still

    with pytest.raises(MemoryError):
        Rows(2).through(kernel, 2, (), cells=ROWS)


def test_what_cannot_be_compiled_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("numba.config.DISABLE_JIT", 1)
    with pytest.raises(SettingError, match="NUMBA_DISABLE_JIT is set; expected loops that may be compiled; unset it"):
        Rows(1).through(_sums, STEPS, (), cells=ROWS)
