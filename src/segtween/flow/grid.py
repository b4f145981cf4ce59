"""The grids that flow is estimated on, and what estimators have in common on every device."""

from __future__ import annotations

from typing import Any

from segtween.geometry import shrink_to, stride_grid
from segtween.types import SizeHW

MOST_CELLS = 260_000
"""Flow is estimated on the image divided by 1, 2, 4, ... until it has no more pixels than this."""

STRIDE_FOR_NETWORKS = 8
"""Flow networks of the propagation literature see the image at an eighth of its size."""

LEAST_SIDE = 16
"""Pixels; in a smaller view there is no room for patches, and the flow is zero."""


class FlowGrid:
    """The flow grid of frames; `stride` None chooses by size."""

    def __init__(self, *, stride: int | None = None) -> None:
        self.stride = stride

    def grid(self, size_hw: SizeHW) -> SizeHW:
        return shrink_to(size_hw, cells=MOST_CELLS) if self.stride is None else stride_grid(size_hw, self.stride)

    def describe(self) -> int | str:
        """The stride, or what is chosen by."""
        return self.stride or f"at most {MOST_CELLS} cells"


def describe_search(quality: str, grid: FlowGrid, *, implementation: str, search: dict[str, int]) -> dict[str, Any]:
    """The record of `dis` in any implementation; `search` has the fields of `search.Search`."""
    return {
        "flow": "dis",
        "implementation": implementation,
        "quality": quality,
        "grid": grid.describe(),
        "search": search,
    }
