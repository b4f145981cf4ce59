"""Two-entry cache of what is derived from an array: a key frame's scores stay the same for a whole period."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import RLock
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

Made = TypeVar("Made")


class TwoEntryCache(Generic[Made]):
    """What was made of the two arrays that were asked for last; they are known by identity, so nobody may write to
    them. Iterates over (array, what was made of it). Several threads may ask at a time: what one makes, another waits
    for."""

    def __init__(self) -> None:
        self._entries: list[tuple[NDArray[Any], Made]] = []
        self._lock = RLock()

    def __call__(self, array: NDArray[Any], make: Callable[[], Made]) -> Made:
        with self._lock:
            known = next((entry for entry in self._entries if entry[0] is array), None)
            if known is None:
                known = array, make()
            self._entries = [*[entry for entry in self._entries if entry is not known][-1:], known]
            return known[1]

    def __iter__(self) -> Iterator[tuple[NDArray[Any], Made]]:
        return iter(self._entries)
