"""Occlusion: which points of the current frame were hidden in the previous one, or outside of it.

Convention (docs/conventions.md): backward flow, current(x, y) = previous(x + dx, y + dy), in pixels of its own grid;
forward flow is the same with the frames exchanged, previous(x, y) = current(x + dx, y + dy). Pixel centres on
integers; a sample is inside where it lies in [0, w-1] x [0, h-1]. Masks are (h, w) bool on the flow's grid, True =
occluded. A vector that is not a number counts as occluded.

The thresholds below have the best F1 of those tried for DIS at its default quality on the synthetic street, drives 500
to 503, 480x360 at 15 Hz (`segtween table occlusion --seeds 500,501,502,503 --sweep`).

| name | what it looks at | costs |
| --- | --- | --- |
| `forward-backward` | whether the flow there and the flow back cancel out | one more flow |
| `photometric` | whether the moved previous image looks like the current one | one difference |
| `outside` | only whether the point came from outside the image (a baseline) | nothing |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from segtween.errors import SettingError, check_known
from segtween.flow.view import GreyView
from segtween.interfaces import ArrayOps, FlowEstimator, Selecting
from segtween.ops.reference import pad_image
from segtween.types import Flow, Rgb, SizeHW, covered

Mask = NDArray[np.bool_]
Grey = NDArray[np.uint8]

RELATIVE, ABSOLUTE = 0.1, 8.0
THRESHOLD, WINDOW = 11.0, 13


def outside(backward: Flow) -> Mask:
    """Where a point of the current frame came from outside the previous one."""
    h, w = backward.shape[:2]
    x = backward[..., 0] + np.arange(w, dtype=np.float64)
    y = backward[..., 1] + np.arange(h, dtype=np.float64)[:, None]
    return ~((x >= 0) & (x <= w - 1) & (y >= 0) & (y <= h - 1))


def forward_backward(backward: Flow, forward: Flow, *, relative: float = RELATIVE, absolute: float = ABSOLUTE) -> Mask:
    """Occluded where |b + f|^2 > relative (|b|^2 + |f|^2) + absolute, or outside.

    b is the backward flow of a pixel and f the forward flow where b leads to, sampled bilinearly. `absolute` is in
    squared pixels of the grid. The check is that of Sundaram, Brox, Keutzer: Dense Point Trajectories by
    GPU-accelerated Large Displacement Optical Flow, ECCV 2010, section 3.2 (there 0.01 and 0.5). Raises SettingError
    for flows of different grids and negative thresholds.
    """
    from segtween.ops import kernels

    if forward.shape != backward.shape or backward.shape[2:] != (2,):
        raise SettingError(
            f"flows of shapes {backward.shape} and {forward.shape}",
            expected="(height, width, 2), both on one grid",
            do="resize one of them",
        )
    _check(relative, absolute)
    flow = np.ascontiguousarray(backward, np.float32)
    planes = np.ascontiguousarray(np.moveaxis(forward, 2, 0), np.float32)
    back, inside = np.empty_like(planes), np.empty(flow.shape[:2], np.bool_)
    kernels.warp_rows(planes, flow, back, inside, 0, len(flow))
    flow = np.moveaxis(flow, 2, 0)
    gap = np.square(flow + back).sum(axis=0)
    length = np.square(flow).sum(axis=0) + np.square(back).sum(axis=0)
    agrees = gap <= np.float32(relative) * length + np.float32(absolute)
    return np.asarray(~(agrees & inside))


def photometric(
    current: Grey, previous: Grey, backward: Flow, *, threshold: float = THRESHOLD, window: int = WINDOW
) -> Mask:
    """Occluded where |current - previous moved along the flow|, in grey levels 0..255, is above `threshold` in the
    mean over `window` x `window` pixels (samples from outside count 0), or outside.

    Images are (h, w) uint8 on the flow's grid. Raises SettingError for other sizes, a negative threshold and an even
    window.
    """
    import cv2

    from segtween.ops import kernels

    if not current.shape == previous.shape == backward.shape[:2]:
        raise SettingError(
            f"images of shapes {current.shape} and {previous.shape}, flow of {backward.shape}",
            expected="images on the flow's grid",
            do="prepare them with the flow estimator",
        )
    _check(threshold)
    if window < 1 or window % 2 == 0:
        raise SettingError(f"window {window}", expected="an odd number of pixels", do="give 1, 3, 5, ...")
    error, away = np.empty(current.shape, np.float32), outside(backward)
    whole, whole_before = np.ascontiguousarray(current), np.ascontiguousarray(previous)
    kernels.residual_rows(whole, whole_before, np.ascontiguousarray(backward, np.float32), error, 0, len(error))
    error[away] = 0
    return np.asarray((cv2.blur(error, (window, window)) > threshold) | away)


def _check(*thresholds: float) -> None:
    if not all(value >= 0 for value in thresholds):
        raise SettingError(f"occlusion thresholds {thresholds}", expected="0 or more", do="raise them")


@dataclass(frozen=True)
class Pair:
    """Two frames as input of the estimates, on one grid over the frame: grey images (h, w), the backward flow
    (h, w, 2) and, when asked for, the forward flow."""

    current: Grey
    previous: Grey
    backward: Flow
    forward: Callable[[], Flow]


def look_at(current: Rgb, previous: Rgb, *, flow: FlowEstimator, ops: ArrayOps, spans_hw: SizeHW | None = None) -> Pair:
    """The pair on the grid of `GreyView`. Flow of another grid is brought to it by `ops`, so that thresholds in pixels
    mean the same with every estimator. `spans_hw` is the size to which the method pads its frames, if it does."""
    image_hw = current.shape[0], current.shape[1]
    spans = spans_hw or image_hw
    view = GreyView()
    shown = (current, previous) if spans == image_hw else (pad_image(current), pad_image(previous))
    now, before = map(view, shown)
    rows, columns = covered((now.shape[0], now.shape[1]), image_hw=image_hw, spans_hw=spans)

    def motion(to: Rgb, of: Rgb) -> Flow:
        found = ops.resize_flow(flow(flow.prepare(to), flow.prepare(of)), (now.shape[0], now.shape[1]))
        return np.ascontiguousarray(found[:rows, :columns])

    def forward() -> Flow:
        if isinstance(flow, Selecting):
            raise SettingError(
                "occlusion 'forward-backward' with stored flow",
                expected="a flow estimator, which knows the way back too",
                do="choose photometric, or another flow",
            )
        return motion(previous, current)

    return Pair(now[:rows, :columns], before[:rows, :columns], motion(current, previous), forward)


class Occlusion(Protocol):
    """An estimate for two frames, on their grid."""

    def __call__(self, pair: Pair) -> Mask: ...
    def describe(self) -> dict[str, Any]: ...


class ForwardBackward:
    """`forward_backward` with the forward flow of the same estimator; SettingError for stored flow, which has none."""

    def __init__(self, *, relative: float = RELATIVE, absolute: float = ABSOLUTE) -> None:
        _check(relative, absolute)
        self.relative, self.absolute = relative, absolute

    def __call__(self, pair: Pair) -> Mask:
        return forward_backward(pair.backward, pair.forward(), relative=self.relative, absolute=self.absolute)

    def describe(self) -> dict[str, Any]:
        return {"occlusion": "forward-backward", "relative": self.relative, "absolute": self.absolute}


class Photometric:
    """`photometric` on the grey images."""

    def __init__(self, *, threshold: float = THRESHOLD, window: int = WINDOW) -> None:
        _check(threshold)
        self.threshold, self.window = threshold, window

    def __call__(self, pair: Pair) -> Mask:
        return photometric(pair.current, pair.previous, pair.backward, threshold=self.threshold, window=self.window)

    def describe(self) -> dict[str, Any]:
        return {"occlusion": "photometric", "threshold": self.threshold, "window": self.window}


class Outside:
    """`outside`: what the image's border alone explains."""

    def __call__(self, pair: Pair) -> Mask:
        return outside(pair.backward)

    def describe(self) -> dict[str, Any]:
        return {"occlusion": "outside"}


OCCLUSIONS: dict[str, Callable[..., Occlusion]] = {
    "forward-backward": ForwardBackward,
    "photometric": Photometric,
    "outside": Outside,
}


def open_occlusion(name: str, **options: Any) -> Occlusion:
    """An estimate by name; SettingError lists the names."""
    check_known(f"occlusion {name!r}", name, OCCLUSIONS)
    return OCCLUSIONS[name](**options)
