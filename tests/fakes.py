"""Small stand-ins for parts and pictures that many tests need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.labels import CAMVID11, LabelSet, numbered
from segtween.runtimes.base import Array
from segtween.segmenters.scores import LABEL_LOGIT, Scores, logits_from_labels
from segtween.types import Labels, Rgb, SizeHW, check_rgb


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


def uncovering(frames: int, size_hw: tuple[int, int], *, step: int = 6, seed: int = 3) -> list[NDArray[np.uint8]]:
    """A bright block that moves to the right over a picture: what is behind it shows at its left edge."""
    clip, high = [], round(size_hw[0] * 0.4)
    block = 170 + textured((high, high), seed=seed + 1, cell=8) // 4
    for i in range(frames):
        rgb = (textured(size_hw, seed=seed, cell=10) // 3).astype(np.uint8)
        top, left = round(size_hw[0] * 0.3), 10 + step * i
        rgb[top : top + high, left : left + high] = block[:, : max(0, size_hw[1] - left)]
        clip.append(rgb)
    return clip


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


class FakeRuntime:
    """A runtime without a graph: `function` takes the inputs and returns one array, or a list of one for each of
    `outputs`. The shape of every call's first input is kept in `calls`.
    """

    def __init__(
        self, function: Callable[..., Array | Sequence[Array]], *, outputs: tuple[str, ...] = ("scores",)
    ) -> None:
        self.function, self.outputs = function, outputs
        self.notes: list[str] = []
        self.calls: list[tuple[int, ...]] = []

    @property
    def precision(self) -> str:
        return "float32"

    @property
    def threads(self) -> int:
        return 1

    def run(self, *inputs: Array) -> list[Array]:
        self.calls.append(inputs[0].shape)
        answer = self.function(*inputs)
        return list(answer) if isinstance(answer, (list, tuple)) else [answer]  # type: ignore[list-item]

    def describe(self) -> dict[str, Any]:
        return {"runtime": "fake", "provider": "numpy", "precision": self.precision}


class FakeSegmenter:
    """A segmenter without a network: logits from -4 to 4 on a grid of `stride`; the same for the same frame, always.

    With `frames`, label maps (H, W), the frame's own are used: those that `select` names, otherwise one
    after the other. Without, a pixel belongs to the class of the nearest colour of `labels`. `calls`
    counts.
    """

    def __init__(self, labels: LabelSet = CAMVID11, *, stride: int = 8, frames: Sequence[Labels] | None = None) -> None:
        self.labels, self.stride, self.frames = labels, stride, frames
        self.calls = 0
        self._next = 0

    def select(self, key: str | int) -> None:
        self._next = int(key)

    def __call__(self, rgb: Rgb) -> Scores:
        check_rgb(rgb)
        self.calls += 1
        size = rgb.shape[0], rgb.shape[1]
        grid = max(1, round(size[0] / self.stride)), max(1, round(size[1] / self.stride))
        if self.frames is None:
            return self._from_colours(rgb, grid)
        labels = self.frames[self._next]
        self._next += 1
        return logits_from_labels(labels, labels_of=self.labels, grid_hw=grid, who="the fake segmenter")

    def describe(self) -> dict[str, Any]:
        return {"name": "fake", "runtime": "fake", "labels": self.labels.name, "stride": self.stride}

    def _from_colours(self, rgb: Rgb, grid_hw: SizeHW) -> Scores:
        import cv2

        colours = np.array(self.labels.colours, np.float32)
        small = cv2.resize(rgb.astype(np.float32), grid_hw[::-1], interpolation=cv2.INTER_AREA)
        distance = np.square(small[None] - colours[:, None, None]).sum(axis=-1)
        near: Scores = np.exp(-distance / np.float32(2 * 20**2))
        return np.float32(LABEL_LOGIT) * (2 * near / np.maximum(near.sum(axis=0), 1e-6) - 1)
