"""Composed flow (here: paths) from a frame to its key frame, made up for stills.

A path (h, w, 2) float32 leads from each cell to a place in the key frame, x first, in cells. It has the errors that
matching by appearance leaves: on a still it is not matched, because there every place has its exact match.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.types import Flow, SizeHW

Rng = np.random.Generator


def made_up_path(labels: NDArray[np.uint8], rng: Rng) -> Flow:
    """What a path may have of errors, on a picture of labels (2h, 2w): a smooth one, things that moved with what is
    around them, and a border that the camera saw only later."""
    h, w = labels.shape[0] // 2, labels.shape[1] // 2
    path = _smooth((h, w), rng, knots=8, size=0.15) + _smooth((h, w), rng, knots=20, size=0.1)
    cells = labels[::2, ::2]
    for _ in range(rng.integers(1, 5)):
        path[_thing(cells, rng)] += rng.normal(0, 2, 2).astype(np.float32)
    if rng.random() < 0.6:
        _uncover(path, rng)
    return path


def _smooth(grid: SizeHW, rng: Rng, *, knots: int, size: float) -> Flow:
    values = rng.standard_normal((knots, knots, 2)).astype(np.float32) * np.float32(size)
    return np.asarray(cv2.resize(values, grid[::-1], interpolation=cv2.INTER_CUBIC))


def _thing(cells: NDArray[np.uint8], rng: Rng) -> NDArray[np.bool_]:
    """Cells of one label in a box, or the whole box; widened, as a flow drags what is around a thing along."""
    h, w = cells.shape
    tall, wide = (int(rng.integers(min(6, side), min(40, side) + 1)) for side in (h, w))
    top, left = int(rng.integers(0, h - tall + 1)), int(rng.integers(0, w - wide + 1))
    found = np.zeros((h, w), np.uint8)
    box = (slice(top, top + tall), slice(left, left + wide))
    whole = rng.random() >= 0.6
    found[box] = 1 if whole else cells[box] == cells[top + tall // 2, left + wide // 2]
    around = int(rng.integers(0, 4))
    if around:
        found = np.asarray(cv2.dilate(found, np.ones((2 * around + 1, 2 * around + 1), np.uint8)))
    return found.astype(bool)


def _uncover(path: Flow, rng: Rng) -> None:
    """A strip along one side that leads out of the picture, the further out the nearer to the side."""
    h, w = path.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    wide, steep, side = int(rng.integers(1, 14)), rng.uniform(1.1, 1.75), int(rng.integers(4))
    near = (wide - x, x - (w - 1 - wide), wide / 2 - y, y - (h - 1 - wide))[side]
    out = np.float32(steep) * np.maximum(near, 0)
    path[..., 0 if side < 2 else 1] += -out if side in (0, 2) else out
