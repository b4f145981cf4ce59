"""Zero flow: the baseline that repeats the last result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segtween.flow.view import GreyView
from segtween.types import Flow, Rgb

if TYPE_CHECKING:
    from segtween.flow import FlowOptions


class ZeroFlow:
    """Zero flow: nothing moves."""

    def __init__(self, *, stride: int | None = None) -> None:
        self._view = GreyView(stride=stride)

    def prepare(self, rgb: Rgb) -> NDArray[np.uint8]:
        return self._view(rgb)

    def __call__(self, current: NDArray[np.uint8], previous: NDArray[np.uint8]) -> Flow:  # noqa: ARG002
        return np.zeros((*current.shape, 2), np.float32)

    def describe(self) -> dict[str, Any]:
        return {"flow": "zero"}


def open_zero(flow: str, options: FlowOptions) -> ZeroFlow:  # noqa: ARG001
    return ZeroFlow(stride=options.stride)
