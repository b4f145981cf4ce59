"""How long stages take: medians and quartiles, because times have outliers."""

from __future__ import annotations

from array import array
from collections.abc import Mapping

import numpy as np


class Timing:
    """Milliseconds of any number of stages, over frames."""

    def __init__(self) -> None:
        self.reset()

    def update(self, stages_ms: Mapping[str, float]) -> None:
        """The times of one frame. A stage that a frame does not have is not counted for it."""
        for stage, value in stages_ms.items():
            self._values.setdefault(stage, array("d")).append(value)

    def compute(self) -> dict[str, dict[str, float]]:
        """Per stage, in order of first mention: `median`, `q1`, `q3` in milliseconds, and how many `frames`."""
        return {stage: quartiles(values) for stage, values in self._values.items()}

    def reset(self) -> None:
        self._values: dict[str, array[float]] = {}


def quartiles(values: array[float] | list[float]) -> dict[str, float]:
    """`median`, `q1`, `q3` (linear between the two nearest) of at least one value, and their number `frames`."""
    q1, median, q3 = np.quantile(np.asarray(values, np.float64), [0.25, 0.5, 0.75])
    return {"median": float(median), "q1": float(q1), "q3": float(q3), "frames": len(values)}


def percentiles(values: array[float] | list[float]) -> dict[str, float]:
    """`p50`, `p95`, `p99` and the largest (`most`) of at least one value: how long a frame can take."""
    p50, p95, p99, most = np.quantile(np.asarray(values, np.float64), [0.5, 0.95, 0.99, 1.0])
    return {"p50": float(p50), "p95": float(p95), "p99": float(p99), "most": float(most)}
