"""Flow by a network, on a small image.

Convention: backward flow, current(x, y) = previous(x + dx, y + dy). The network is called with (current, previous).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segtween.errors import ModelError
from segtween.flow.grid import STRIDE_FOR_NETWORKS
from segtween.geometry import stride_grid
from segtween.models.component_search import find_flow_network
from segtween.models.components import Component
from segtween.ops.reference import pad_image, resize_kept, shrink_image
from segtween.runtimes import open_component
from segtween.runtimes.base import Runtime
from segtween.types import Flow, Rgb

if TYPE_CHECKING:
    from segtween.flow import FlowOptions


class NetworkFlow:
    """A flow network in a runtime. It sees images of 1/`stride` of the frame, bilinear with the corners kept, and
    its flow is enlarged to their size in the same way (as in SwNet-seq)."""

    def __init__(self, component: Component, runtime: Runtime, *, stride: int | None = None) -> None:
        self.component, self.runtime, self.stride = component, runtime, stride or STRIDE_FOR_NETWORKS

    def prepare(self, rgb: Rgb) -> NDArray[Any]:
        """(h, w, 3) float32 of 0..255."""
        return shrink_image(rgb, stride_grid((rgb.shape[0], rgb.shape[1]), self.stride))

    def __call__(self, current: NDArray[Any], previous: NDArray[Any]) -> Flow:
        h, w = current.shape[:2]
        pair = [
            self.component.preprocess(pad_image(view, multiple=self.component.multiple_of))
            for view in (current, previous)
        ]
        answer = self.runtime.run(*pair)[0]
        if answer.ndim != 4 or answer.shape[:2] != (1, 2):
            raise ModelError(
                f"{self.component.path.name} answers with shape {answer.shape}",
                expected="(1, 2, rows, columns)",
                do="export the flow network again",
            )
        planes = resize_kept(np.ascontiguousarray(answer[0], np.float32), pair[0].shape[2:])[:, :h, :w]
        return np.ascontiguousarray(np.moveaxis(planes, 0, 2) / np.float32(self.component.units))

    def describe(self) -> dict[str, Any]:
        return {"flow": self.component.describe(), "grid": self.stride}


def open_network_flow(flow: str, options: FlowOptions) -> NetworkFlow:
    """Of a name in `models.component_search.FLOW_NETWORKS` or a file. Raises ModelError where it is not found."""
    component = find_flow_network(flow, weights=options.weights, classes=options.classes, convert=options.convert)
    runtime = open_component(component, outputs=("flow",), threads=options.threads)
    return NetworkFlow(component, runtime, stride=options.stride)
