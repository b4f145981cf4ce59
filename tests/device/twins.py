"""The engine's array operations on every device that there is, spoken to in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segtween.ops.cpu import CpuOps
from segtween.types import Appearance, ScoreMap


class Twin:
    """One device's operations: arguments are sent there, results fetched."""

    def __init__(self, ops: Any) -> None:
        self.ops = ops

    def put(self, value: Any) -> Any:
        if isinstance(value, ScoreMap):
            return ScoreMap(self.put(value.values), value.kind, value.image_hw)
        if isinstance(value, Appearance):
            return Appearance(self.put(value.fine), self.put(value.coarse))
        if isinstance(value, list | tuple):
            return type(value)(self.put(part) for part in value)
        if isinstance(self.ops, CpuOps) or not isinstance(value, np.ndarray):
            return value
        import torch

        return torch.from_numpy(np.ascontiguousarray(value)).to(self.ops.device)

    def get(self, value: Any) -> Any:
        if isinstance(value, ScoreMap):
            return ScoreMap(self.get(value.values), value.kind, value.image_hw)
        if isinstance(value, Appearance):
            return Appearance(self.get(value.fine), self.get(value.coarse))
        if isinstance(value, tuple):
            return tuple(self.get(part) for part in value)
        return value.cpu().numpy() if hasattr(value, "cpu") else value

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            sent = [self.put(value) for value in given]
            return self.get(getattr(self.ops, name)(*sent, **{key: self.put(value) for key, value in named.items()}))

        return call


def torch_twin(name: str) -> Twin:
    """`torch-cpu`, `cuda` or `cuda-kernels`; skips without such a card."""
    import torch

    from segtween.device import has_kernels
    from segtween.device.arrays import TorchOps

    if name == "torch-cpu":
        return Twin(TorchOps(torch.device("cpu")))
    if not torch.cuda.is_available():
        pytest.skip("needs a card that CUDA can use")
    if name == "cuda":
        return Twin(TorchOps(torch.device("cuda", 0)))
    if not has_kernels():
        pytest.skip("needs Triton")
    from segtween.device import kernels

    return Twin(TorchOps(torch.device("cuda", 0), kernels=kernels))


TWINS = [
    "cpu",
    *(pytest.param(name, marks=pytest.mark.train) for name in ("torch-cpu", "cuda", "cuda-kernels")),
]


def twin(name: str) -> Twin:
    return Twin(CpuOps(threads=1)) if name == "cpu" else torch_twin(name)
