"""Small stand-ins for parts and pictures that many tests need."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.labels import LabelSet, numbered


def textured(size_hw: tuple[int, int], *, seed: int = 0, cell: int = 6) -> NDArray[np.uint8]:
    """A smooth random RGB picture that flow can follow."""
    import cv2

    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (size_hw[0] // cell + 2, size_hw[1] // cell + 2, 3), dtype=np.uint8)
    return np.ascontiguousarray(cv2.resize(coarse, size_hw[::-1], interpolation=cv2.INTER_CUBIC))


def panning(
    frames: int, size_hw: tuple[int, int], *, step: int = 2, seed: int = 0, cell: int = 6
) -> list[NDArray[np.uint8]]:
    """A textured picture that moves `step` pixels to the left from frame to frame."""
    wide = textured((size_hw[0], size_hw[1] + step * frames), seed=seed, cell=cell)
    return [np.ascontiguousarray(wide[:, i * step : i * step + size_hw[1]]) for i in range(frames)]


class BrightnessSegmenter:
    """Class = how bright the red channel is, on a grid of `stride`; counts its calls."""

    def __init__(self, classes: int = 4, *, stride: int = 4) -> None:
        self.labels: LabelSet = numbered(classes)
        self.stride, self.calls = stride, 0

    def __call__(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        import cv2

        self.calls += 1
        h, w = rgb.shape[:2]
        grid = max(1, w // self.stride), max(1, h // self.stride)
        red = cv2.resize(np.ascontiguousarray(rgb[..., 0]), grid, interpolation=cv2.INTER_AREA).astype(np.float32)
        centres = (np.arange(len(self.labels)) + 0.5) * 256 / len(self.labels)
        return -np.abs(red[None] - centres[:, None, None]).astype(np.float32) / 16

    def describe(self) -> dict[str, Any]:
        return {"model": "brightness", "classes": len(self.labels), "stride": self.stride}


def by_brightness(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What `--model tests/fakes.py:by_brightness` runs."""
    return BrightnessSegmenter()(rgb)


by_brightness.labels = ["dark", "dim", "light", "bright"]  # type: ignore[attr-defined]
