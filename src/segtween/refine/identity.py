"""No refinement."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.types import Carried, Rgb


class Identity:
    """Returns the carried scores unchanged."""

    def __call__(self, carried: Carried, rgb: Rgb, reliability: NDArray[np.float32]) -> Carried:  # noqa: ARG002
        return carried

    def describe(self) -> dict[str, Any]:
        return {"refine": "none"}
