"""The compiled loop that counts labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

Array = Any


@njit(nogil=True, cache=True, error_model="numpy")
def count_values(words: Array, rest: Array, counts: Array) -> None:
    """Adds to counts[v] how often v is among the bytes of `words` (uint64) and in `rest` (uint8).

    Labels come in runs: as long as eight bytes are as the eight before, one comparison is all.
    """
    byte, bits = np.uint64(255), np.uint64(8)
    last, times = np.uint64(0), 0
    for k in range(words.shape[0]):
        word = words[k]
        if word == last:
            times += 1
            continue
        for _ in range(8):
            counts[last & byte] += times
            last >>= bits
        last, times = word, 1
    for _ in range(8):
        counts[last & byte] += times
        last >>= bits
    for k in range(rest.shape[0]):
        counts[rest[k]] += 1
