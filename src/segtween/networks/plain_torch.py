"""Whole pipelines in plain torch, as people write them, to be timed next to ours: frame in, labels out.

Both enlarge the score maps of all classes to the frame's size, bilinear, and take the argmax of what that gives.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from segtween.errors import ModelError
from segtween.networks import build, build_flow, build_refiner, network
from segtween.networks.bisenet import keep_corners
from segtween.networks.chain import Chain, small
from segtween.networks.propagation import FLOWS
from segtween.networks.swiftnet import enlarge
from segtween.types import SizeHW

MULTIPLE = 32


class EveryFrame:
    """The network on every frame. `weights` are the arrays of `weights.load_weights`, by the state dict's keys.

    It sees the frame at `input_hw`, normalised as its entry of `NETWORKS` says. With `compiled` it goes through
    torch.compile, at the first frame; ModelError where that fails. On another `device` than the processor, frames may
    be tensors there, and labels are.
    """

    def __init__(
        self,
        name: str,
        *,
        classes: int,
        weights: Mapping[str, NDArray[np.float32]],
        input_hw: SizeHW,
        threads: int,
        compiled: bool = False,
        device: Any = "cpu",
    ) -> None:
        self.spec, self.input_hw, self.threads = network(name), input_hw, threads
        self.device = torch.device(device)
        self.net = filled(name, classes=classes, weights=weights).to(self.device)
        self.compiled = compiled
        self._run = torch.compile(self.net) if compiled else self.net

    def __call__(self, rgb: Any, *, is_key: bool = True) -> Any:  # noqa: ARG002
        with torch.inference_mode(), of_threads(self.threads):
            return _argmax(enlarge(self.logits(_image(rgb, self.device)), rgb.shape[:2]))

    def logits(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) of 0..255 -> (1, C, h, w)."""
        if image.shape[-2:] != self.input_hw:
            image = enlarge(image, self.input_hw)
        normalised = _normalised(image, self.spec.mean, self.spec.std)
        if not self.compiled:
            return self._run(normalised)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return self._run(normalised)
        except Exception as error:  # torch.compile raises whatever its compilers do
            raise ModelError(
                f"torch.compile fails here ({str(error).strip().splitlines()[0][:160]})",
                expected="a C++ compiler that it can use",
                do="install one, or leave torch-compile out",
            ) from None


class ReferencePipeline:
    """The reference system: network on key frames, then a flow network, its warp and guided refinement on 1/8 of the
    frame (`networks.chain`), frame after frame.

    Flow and refinement have random weights: the time that they take does not depend on them.
    """

    def __init__(self, every: EveryFrame, *, classes: int, flow: str = "flow-light") -> None:
        self.every, self.spec = every, FLOWS[flow]
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.chain = Chain(build_flow(flow), build_refiner(classes=classes)).eval().to(every.device)
        self._scores: Tensor | None = None
        self._previous: Tensor | None = None

    def __call__(self, rgb: Any, *, is_key: bool) -> Any:
        height, width = rgb.shape[:2]
        with torch.inference_mode(), of_threads(self.every.threads):
            image = _image(rgb, self.every.device)
            below, right = -height % MULTIPLE, -width % MULTIPLE
            padded = F.pad(image, (0, right, 0, below), mode="replicate") if below or right else image
            whole = padded.shape[-2:]
            # Its images have blue first; mean and deviation are in that order.
            normalised = _normalised(small(padded).flip(1), self.spec.mean, self.spec.std)
            if is_key or self._scores is None or self._previous is None:
                logits = self.every.logits(image)
                enlarged = keep_corners(logits, (height, width))
                grid = whole[0] // 8, whole[1] // 8
                self._scores, self._previous = keep_corners(logits, grid), normalised
                return _argmax(enlarged)
            self._scores = self.chain.step(self._scores, normalised, self._previous).scores
            self._previous = normalised
            return _argmax(keep_corners(self._scores, whole)[..., :height, :width])


@contextmanager
def of_threads(threads: int) -> Any:
    """As many threads of torch within, as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def filled(name: str, *, classes: int, weights: Mapping[str, NDArray[np.float32]]) -> Any:
    """A network of `NETWORKS` with weights by its state dict's keys, ready to be run; ModelError for foreign keys."""
    net = build(name, classes=classes)
    tensors = {key: torch.from_numpy(value) for key, value in weights.items()}
    unknown = net.load_state_dict(tensors, strict=False).unexpected_keys
    if unknown:
        raise ModelError(
            f"weights of {name} hold {unknown[0]!r}", expected="the network's own keys", do="export the model again"
        )
    return net.eval().requires_grad_(False)


def _image(rgb: Any, device: torch.device) -> Tensor:
    image = rgb if isinstance(rgb, Tensor) else torch.from_numpy(np.ascontiguousarray(rgb))
    return image.to(device).permute(2, 0, 1)[None].float()


def _normalised(image: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    shift, scale = (torch.tensor(values, device=image.device).view(1, 3, 1, 1) for values in (mean, std))
    return (image - shift) / scale


def _argmax(scores: Tensor) -> Any:
    """(H, W) uint8, in NumPy where they are in the processor's memory."""
    labels = scores.argmax(1)[0].to(torch.uint8)
    return labels.numpy() if labels.device.type == "cpu" else labels
