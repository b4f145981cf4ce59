"""Work that threads share without the interpreter: compiled loops in phases, the rows of each taken piece by piece.

A compiled function does all phases, one after the other, and every thread calls it with the same counters:

    for phase in range(first, phases_of(counters)):
        piece = claimed(counters, phase, pieces, side)
        while piece >= 0:
            ...                                    # rows piece_of(rows, piece, pieces) of the phase's output
            finished(counters, phase)
            piece = claimed(counters, phase, pieces, side)
        if not all_finished(counters, phase, pieces):
            return phase                           # another thread still has a piece: come back to this phase
    return phases_of(counters)

So threads meet after each phase, and one that comes late finds nothing left to do of the earlier ones. Which thread
does a piece makes no difference to it, but takes longer where another one wrote what it reads, for that is in another
processor's cache: one thread begins with the first rows of every phase, the other with the last ones.
`ops.threads.Rows.through` calls such a function. Compiled loops on disk know of changes in their own file alone: after
a change here, the files of such functions must look changed too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import config, njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

from segtween.errors import SettingError

LINE = 8
"""Counters lie this far apart, a processor's cache line, so that threads do not wait for one another's."""
SPINS = 20_000
"""How often a thread looks whether the others are through before it lets the interpreter wait: some 20 microseconds."""
MOST_PIECES = 16
"""Pieces that the rows of a phase are cut into: rows do not all take the same time."""


def counters_of(phases: int) -> NDArray[np.int64]:
    """Counters for so many phases: of each how many pieces are claimed, and how many are finished. SettingError where
    nothing is compiled: the interpreter has no such counters."""
    if config.DISABLE_JIT:
        raise SettingError("NUMBA_DISABLE_JIT is set", expected="loops that may be compiled", do="unset it")
    return np.zeros(2 * LINE * phases, np.int64)


@intrinsic
def _add(typing: Any, counters: Any, index: Any, more: Any) -> Any:  # noqa: ARG001
    """The counter's value, which is larger from then on, for all threads."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.atomic_rmw("add", builder.gep(array.data, [arguments[1]]), arguments[2], "seq_cst")

    return types.int64(counters, types.intp, types.int64), generate


@intrinsic
def _value(typing: Any, counters: Any, index: Any) -> Any:  # noqa: ARG001
    """The counter's value, and after it all that the threads have written that counted up to it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.load_atomic(builder.gep(array.data, [arguments[1]]), "acquire", 8)

    return types.int64(counters, types.intp), generate


@njit(nogil=True, inline="always", error_model="numpy")
def phases_of(counters: Any) -> Any:
    """How many phases the counters are for."""
    return counters.shape[0] // (2 * LINE)


@njit(nogil=True, inline="always", error_model="numpy")
def claimed(counters: Any, phase: int, pieces: int, side: int) -> Any:
    """A piece of a phase, for the thread that asks alone: of those that are left the first for side 0, the last for
    side 1; -1 if none is left."""
    at, bits = 2 * LINE * phase, 32
    taken = _add(counters, at, 1 << (bits * side))
    low, high = taken & ((1 << bits) - 1), taken >> bits
    if low + high >= pieces:
        return -1
    return pieces - 1 - high if side == 1 else low


@njit(nogil=True, inline="always", error_model="numpy")
def finished(counters: Any, phase: int) -> None:
    """Says that a piece of the phase is done."""
    _add(counters, 2 * LINE * phase + LINE, 1)


@njit(nogil=True, inline="always", error_model="numpy")
def all_finished(counters: Any, phase: int, pieces: int) -> bool:
    """Whether all pieces of the phase are done; waits a little until they are."""
    for _ in range(SPINS):  # noqa: SIM110 - numba compiles no any()
        if _value(counters, 2 * LINE * phase + LINE) >= pieces:
            return True
    return False


@njit(nogil=True, inline="always", error_model="numpy")
def pieces_of(rows: int) -> int:
    """How many pieces rows are cut into."""
    return max(1, min(rows, MOST_PIECES))


@njit(nogil=True, inline="always", error_model="numpy")
def piece_of(rows: int, piece: int, pieces: int) -> Any:
    """A piece's first row, and the one after its last."""
    return rows * piece // pieces, rows * (piece + 1) // pieces
