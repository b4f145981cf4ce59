"""Flow estimators on a device. Views and flows are tensors of the shapes that `segtween.flow` has."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from segtween.device import search
from segtween.flow.view import MOST_CELLS, GreyView
from segtween.interfaces import FlowEstimator


class DeviceSearch:
    """`segtween.device.search` on the grey view that `segtween.flow.dis` has."""

    def __init__(self, *, kernels: Any, by: Any = search, stride: int | None = None) -> None:
        self._kernels, self._by, self._view = kernels, by, GreyView(stride=stride)

    def prepare(self, rgb: Tensor) -> Tensor:
        return self._kernels.grey_view(rgb, self._view.grid((rgb.shape[0], rgb.shape[1])))

    def __call__(self, current: Tensor, previous: Tensor) -> Tensor:
        if min(current.shape) < 2 * search.PATCH:  # as OpenCV's
            return torch.zeros((*current.shape, 2), device=current.device)
        return search.dense_flow(current, previous, by=self._by)

    def describe(self) -> dict[str, Any]:
        grid = self._view.stride or f"at most {MOST_CELLS} cells"
        return {"flow": "dis", "effort": f"torch, {search.ROUNDS} x {search.STEPS} steps", "grid": grid}


class DeviceStill:
    """No motion (`segtween.flow.zero`)."""

    def __init__(self, *, kernels: Any, stride: int | None = None) -> None:
        self._kernels, self._view = kernels, GreyView(stride=stride)

    def prepare(self, rgb: Tensor) -> Tensor:
        return self._kernels.grey_view(rgb, self._view.grid((rgb.shape[0], rgb.shape[1])))

    def __call__(self, current: Tensor, previous: Tensor) -> Tensor:  # noqa: ARG002
        return torch.zeros((*current.shape[:2], 2), device=current.device)

    def describe(self) -> dict[str, Any]:
        return {"flow": "zero"}


class ProcessorFlow:
    """Any other estimator, on the processor: views are fetched, flows sent. It says so in `notes`."""

    def __init__(self, inner: FlowEstimator, *, device: torch.device) -> None:
        self.inner, self.device = inner, device
        self.notes = ["flow is computed on the processor: images are fetched from the device for it"]

    def select(self, key: str | int) -> None:
        chosen = getattr(self.inner, "select", None)
        if chosen is not None:
            chosen(key)

    def prepare(self, rgb: Tensor) -> Tensor:
        return torch.from_numpy(self.inner.prepare(rgb.cpu().numpy())).to(self.device)

    def __call__(self, current: Tensor, previous: Tensor) -> Tensor:
        flow = self.inner(current.cpu().numpy(), previous.cpu().numpy())
        return torch.from_numpy(flow).to(self.device)

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()
