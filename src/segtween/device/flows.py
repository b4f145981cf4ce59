"""Flow estimators on a device. Views and flows are tensors of the shapes that `segtween.flow` has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segtween.device import search
from segtween.errors import ModelError, check_known
from segtween.flow import FlowOptions
from segtween.flow.grid import LEAST_SIDE, STRIDE_FOR_NETWORKS, FlowGrid, describe_search
from segtween.geometry import stride_grid
from segtween.interfaces import FlowEstimator, Selecting
from segtween.models.components import Component
from segtween.networks import FLOWS as NETWORKS
from segtween.networks import build_flow
from segtween.runtimes.openvino import weights_of
from segtween.types import SizeHW

if TYPE_CHECKING:
    from segtween.device.backend import Device


class DeviceStill:
    """No motion (`segtween.flow.zero`), on the grey view of `segtween.flow.dis`. `stays`, here and below: everything
    stays on the device, so that calls can be captured."""

    stays = True

    def __init__(self, *, kernels: Any, stride: int | None = None) -> None:
        self._kernels, self._grid = kernels, FlowGrid(stride=stride)

    def prepare(self, rgb: Tensor) -> Tensor:
        return self._kernels.grey_view(rgb, self._grid.grid((rgb.shape[0], rgb.shape[1])))

    def __call__(self, current: Tensor, previous: Tensor) -> Tensor:  # noqa: ARG002
        return torch.zeros((*current.shape[:2], 2), device=current.device)

    def describe(self) -> dict[str, Any]:
        return {"flow": "zero"}


class DeviceSearch(DeviceStill):
    """`segtween.device.search` on that view: the twin of `DisFlow`, with other numbers of rounds and steps."""

    def __init__(self, *, kernels: Any, by: Any = search, quality: str = "balanced", stride: int | None = None) -> None:
        check_known(f"flow quality {quality!r}", quality, search.FINEST)
        super().__init__(kernels=kernels, stride=stride)
        self._by, self.quality = by, quality

    def __call__(self, current: Tensor, previous: Tensor) -> Tensor:
        if min(current.shape) < LEAST_SIDE:
            return torch.zeros((*current.shape, 2), device=current.device)
        return search.dense_flow(current, previous, by=self._by, finest=search.FINEST[self.quality])

    def describe(self) -> dict[str, Any]:
        numbers = {
            "halved": search.FINEST[self.quality],
            "apart": search.STRIDE,
            "steps": search.STEPS,
            "rounds": search.ROUNDS,
        }
        return describe_search(self.quality, self._grid, implementation="torch", search=numbers)


class DeviceFlowNetwork:
    """A flow network of `segtween.networks` on images of 1/`stride` of the frame, as `segtween.flow.network` has it.

    `weights` are by its state dict's keys. Views are (h, w, 3) float32 of 0..255. Raises ModelError for weights of
    another network.
    """

    stays = True

    def __init__(
        self,
        component: Component,
        weights: Mapping[str, NDArray[np.float32]],
        *,
        device: torch.device,
        half: bool,
        stride: int | None = None,
    ) -> None:
        self.component, self.stride = component, stride or STRIDE_FOR_NETWORKS
        self._dtype = torch.float16 if half else torch.float32
        net = build_flow(component.network)
        try:
            tensors = {key: torch.from_numpy(value.copy()) for key, value in weights.items()}
            missing = [
                key for key in net.load_state_dict(tensors, strict=False).missing_keys if "num_batches" not in key
            ]
            if missing:
                raise RuntimeError(f"they lack {', '.join(missing[:3])}")
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()[:120]
            raise ModelError(
                f"the weights in {component.path} do not fit {component.network} ({reason})",
                expected="those that its record names",
                do="export the flow network again",
            ) from None
        self._net = (
            net.eval().requires_grad_(False).to(device=device, dtype=self._dtype, memory_format=torch.channels_last)
        )
        self._mean, self._std = (torch.tensor(values, device=device) for values in (component.mean, component.std))

    def prepare(self, rgb: Tensor) -> Tensor:
        grid = stride_grid((rgb.shape[0], rgb.shape[1]), self.stride)
        return _kept(rgb.permute(2, 0, 1).float(), grid).permute(1, 2, 0).contiguous()

    def __call__(self, current: Tensor, previous: Tensor) -> Tensor:
        h, w = current.shape[:2]
        pair = [self._features(view) for view in (current, previous)]
        answer = self._net(*pair)[0].float()
        planes = _kept(answer, (pair[0].shape[2], pair[0].shape[3]))[:, :h, :w]
        return planes.permute(1, 2, 0).contiguous() / self.component.units

    def describe(self) -> dict[str, Any]:
        return {"flow": self.component.describe(), "grid": self.stride, "by": "torch"}

    def _features(self, view: Tensor) -> Tensor:
        values = (view if self.component.channels == "RGB" else view.flip(2)) - self._mean
        planes = (values / self._std).permute(2, 0, 1)[None]
        below, right = (-side % self.component.multiple_of for side in view.shape[:2])
        return F.pad(planes, (0, right, 0, below), mode="replicate").to(self._dtype)


def _kept(planes: Tensor, grid_hw: SizeHW) -> Tensor:
    """(C, h, w) on another grid, bilinear, the corner samples staying in the corners (`ops.reference.resize_kept`)."""
    return F.interpolate(planes[None], size=grid_hw, mode="bilinear", align_corners=True)[0]


class ProcessorFlow:
    """Any other estimator, on the processor: views are fetched, flows sent. It says so in `notes`."""

    def __init__(self, inner: FlowEstimator, *, device: torch.device) -> None:
        self.inner, self.device = inner, device
        self.notes = ["flow is computed on the processor: images are fetched from the device for it"]
        if isinstance(inner, Selecting):
            self.select = inner.select

    def prepare(self, rgb: Tensor) -> Tensor:
        return torch.from_numpy(self.inner.prepare(rgb.cpu().numpy())).to(self.device)

    def __call__(self, current: Tensor, previous: Tensor) -> Tensor:
        flow = self.inner(current.cpu().numpy(), previous.cpu().numpy())
        return torch.from_numpy(flow).to(self.device)

    def describe(self) -> dict[str, Any]:
        return self.inner.describe()


def open_search(device: Device, options: FlowOptions, on_processor: Callable[[], FlowEstimator]) -> DeviceSearch:  # noqa: ARG001
    by = device.kernels if hasattr(device.kernels, "search") else search
    return DeviceSearch(kernels=device.kernels, by=by, quality=options.quality, stride=options.stride)


def open_zero(device: Device, options: FlowOptions, on_processor: Callable[[], FlowEstimator]) -> DeviceStill:  # noqa: ARG001
    return DeviceStill(kernels=device.kernels, stride=options.stride)


def open_network_flow(
    device: Device, options: FlowOptions, on_processor: Callable[[], FlowEstimator]
) -> FlowEstimator | None:
    """None for a network that torch has no definition of."""
    from segtween.flow.network import NetworkFlow

    inner = on_processor()
    if not isinstance(inner, NetworkFlow) or inner.component.network not in NETWORKS:
        return None
    return DeviceFlowNetwork(
        inner.component,
        weights_of(inner.component.path),
        device=device.arrays.device,
        half=device.fast.half,
        stride=options.stride,
    )
