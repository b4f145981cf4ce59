"""What a panel shows, drawn at the panel's own size. All panels are RGB uint8 (h, w, 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segtween.labels import Colour, LabelSet
from segtween.types import IGNORE, Flow, Labels, Rgb, SizeHW

DARK = 24
FOUND, MISSED, FALSE = (40, 200, 120), (235, 50, 150), (255, 165, 30)
"""Occlusion: estimated and exact, exact only, estimated only."""

Mask = NDArray[np.bool_]


def photo(rgb: Rgb, size_hw: SizeHW) -> Rgb:
    return _resize(rgb, size_hw)


def classes(labels: Labels, of: LabelSet, size_hw: SizeHW) -> Rgb:
    """Train ids in their colours; pixels without a class are black."""
    return _resize(of.colourise(labels), size_hw)


def judged(rgb: Rgb, labels: Labels, truth: Labels, *, of: LabelSet, size_hw: SizeHW) -> list[Rgb]:
    """Picture, labels, truth, and the wrong labels alone over the dimmed picture."""
    wrong = (labels != truth) & (truth != IGNORE)
    dim = np.rint(rgb.mean(2, keepdims=True) * 0.45 + 20).astype(np.uint8).repeat(3, axis=2)
    marked = np.where(wrong[..., None], of.colourise(labels), dim)
    return [photo(rgb, size_hw), classes(labels, of, size_hw), classes(truth, of, size_hw), photo(marked, size_hw)]


def edge(labels: Labels, size_hw: SizeHW) -> Rgb:
    """White where a 3x3 Laplacian of the label map, at the panel's size, is not 0: where the class changes."""
    import cv2

    small = cv2.resize(labels, size_hw[::-1], interpolation=cv2.INTER_NEAREST)
    changes = cv2.Laplacian(small.astype(np.float32), cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REPLICATE) != 0
    return np.where(changes[..., None], np.uint8(255), np.uint8(DARK)).repeat(3, axis=2)


def guiding_edge(edge: Mask, size_hw: SizeHW) -> Rgb:
    """White where an edge (h, w) of the scores' grid is, cell by cell; within a dark frame, because it may run along
    the border, and the paper is white."""
    import cv2

    large = cv2.resize(edge.astype(np.uint8), size_hw[::-1], interpolation=cv2.INTER_NEAREST) > 0
    large[[0, -1]] = large[:, [0, -1]] = False
    return np.where(large[..., None], np.uint8(255), np.uint8(DARK)).repeat(3, axis=2)


def occlusion(rgb: Rgb, estimate: Mask, exact: Mask | None, size_hw: SizeHW) -> Rgb:
    """The estimate over the dimmed picture; where the exact one is known, in the colours of hits, misses and errors."""
    import cv2

    grey = cv2.cvtColor(_resize(rgb, size_hw), cv2.COLOR_RGB2GRAY).astype(np.float32)
    out = np.repeat((0.45 * grey + 20)[..., None], 3, axis=2)
    full = exact.shape if exact is not None else estimate.shape
    found = cv2.resize(estimate.astype(np.uint8), full[::-1], interpolation=cv2.INTER_NEAREST) > 0
    parts: list[tuple[Mask, Colour]] = [(found, FALSE)]
    if exact is not None:
        parts = [(found & ~exact, FALSE), (exact & ~found, MISSED), (found & exact, FOUND)]
    for mask, colour in parts:
        # Slivers thinner than a pixel of the panel stay visible at half cover.
        share = np.minimum(1, 2 * _resize(mask.astype(np.float32), size_hw))[..., None]
        out += share * (np.array(colour, np.float32) - out)
    return out.astype(np.uint8)


def flow(vectors: Flow, size_hw: SizeHW, *, full: float) -> Rgb:
    """Direction as hue, length as saturation: white at rest, full colour from `full` pixels on.

    After the colour code of Baker et al.: A Database and Evaluation Methodology for Optical Flow, IJCV 2011.
    """
    import cv2

    small = _resize(vectors, size_hw)
    length, angle = cv2.cartToPolar(small[..., 0].copy(), small[..., 1].copy(), angleInDegrees=True)
    amount = np.minimum(1, length / max(full, 1e-6))
    hsv = np.stack([angle, amount, np.ones_like(amount)], axis=2).astype(np.float32)
    return np.asarray(np.rint(255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)), np.uint8)


def empty(size_hw: SizeHW) -> Rgb:
    return np.full((*size_hw, 3), 236, np.uint8)


def _resize(image: Any, size_hw: SizeHW) -> Any:
    import cv2

    if image.shape[:2] == size_hw:
        return image
    shrinks = size_hw[0] < image.shape[0]
    return cv2.resize(image, size_hw[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
