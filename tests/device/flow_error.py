"""How far flow is from the true one on synthetic drives: `PYTHONPATH=src python tests/device/flow_error.py`.

End-point error in pixels where the previous frame shows the same thing, the share of errors above a pixel, and what the
motion leaves unexplained in grey levels; means over pairs of frames.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch

from segtween.device import eager
from segtween.device.flows import DeviceSearch
from segtween.flow.dis import DisFlow, OpenCvDisFlow
from segtween.ops.cpu import CpuOps
from segtween.street import StreetClip

SEEDS, FRAMES, SIZE, START = range(700, 712), 4, (360, 480), 40


class OnDevice:
    """`DeviceSearch` in NumPy."""

    def __init__(self) -> None:
        self._search = DeviceSearch(kernels=eager)

    def prepare(self, rgb: Any) -> Any:
        return self._search.prepare(torch.from_numpy(rgb)).numpy()

    def __call__(self, current: Any, previous: Any) -> Any:
        return self._search(torch.from_numpy(current), torch.from_numpy(previous)).numpy()


ESTIMATORS: dict[str, Any] = {
    "OpenCV, medium": OpenCvDisFlow(threads=1),
    "processor, fast": DisFlow(quality="fast", threads=1),
    "processor, balanced": DisFlow(quality="balanced", threads=1),
    "processor, fine": DisFlow(quality="fine", threads=1),
    "device": OnDevice(),
}


def errors(estimator: Any, before: Any, now: Any, ops: CpuOps) -> tuple[float, float, float]:
    views = estimator.prepare(now.rgb), estimator.prepare(before.rgb)
    flow = estimator(*views)
    off = np.linalg.norm(flow - now.flow, axis=2)[now.occlusion == 0]
    left = ops.residual(*views, flow)
    return float(off.mean()), float((off > 1).mean()), float(left[left < 255].mean())


if __name__ == "__main__":
    ops, found = CpuOps(threads=1), {name: list[tuple[float, float, float]]() for name in ESTIMATORS}
    for seed in SEEDS:
        for before, now in pairwise(StreetClip(seed, size_hw=SIZE, frames=FRAMES, start=START)):
            for name, estimator in ESTIMATORS.items():
                found[name].append(errors(estimator, before, now, ops))
    for name, values in found.items():
        off, far, left = np.mean(values, axis=0)
        print(f"{name}: {off:.2f} px, {100 * far:.1f}% above 1 px, {left:.2f} grey levels")  # noqa: T201
