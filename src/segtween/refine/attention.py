"""Refinement by attention of what a key frame cannot know: cells of a later frame aggregate scores of cells near them.

What a moving thing uncovers, what comes in from outside and what the flow got wrong is read from the wrong place of the
key frame. A small network sees the frame, the key frame moved onto it, and how certain the scores are that were read;
it says where they are to be replaced, and which cells near by look as if they showed the same thing. It knows nothing
of classes: what is aggregated are the scores that those cells read, of any number of classes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.geometry import shrink_to
from segtween.interfaces import ReadingOps
from segtween.models.components import Component
from segtween.runtimes.base import Runtime
from segtween.types import Correction, Flow, Rgb, ScoreMap, SizeHW

RADII = (1, 2, 4, 8)
OFFSETS = np.array(
    [(r * dx, r * dy) for r in RADII for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dx, dy) != (0, 0)], np.int64
)
"""(32, 2): the cells whose scores a cell may aggregate, x and y in cells, in the order of the network's `attention`."""

MOST_CELLS = 15_000
"""The frame is divided into cells of 4, 8, 16, ... pixels until there are no more than this."""

TOLERANCE = 10.0
"""Where the key frame, moved, differs from the frame by e grey levels, at most 1 - exp(-(e / TOLERANCE)^2) is replaced:
nothing where it shows the same."""

LEAST_SHARE = 0.05
"""A smaller share is taken as none: nothing is computed there."""

LEAST_WEIGHT = 0.02
"""Nor are scores aggregated of a cell of smaller weight."""


def cell_grid(size_hw: SizeHW) -> SizeHW:
    """The grid of cells for a frame of this size."""
    return shrink_to(size_hw, cells=MOST_CELLS, first=4)


class AttentionRefiner:
    """The network in a runtime, with what it needs computed before and done after."""

    def __init__(self, component: Component, runtime: Runtime, *, ops: ReadingOps) -> None:
        self.component, self.runtime, self.ops = component, runtime, ops

    def sibling(self, ops: ReadingOps) -> AttentionRefiner:
        """The same network with other array operations, for another stream."""
        return AttentionRefiner(self.component, self.runtime, ops=ops)

    def features(self, rgb: Rgb) -> NDArray[np.uint8]:
        """(2h, 2w, 3) uint8: the frame as the network sees it, two pixels to a cell's side."""
        height, width = (2 * side for side in cell_grid((rgb.shape[0], rgb.shape[1])))
        if rgb.shape[1] >= 4 * width:  # every second pixel of the way is enough, and takes a seventh of the time
            rgb = cv2.resize(rgb, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA))

    def __call__(
        self,
        scores: ScoreMap,
        composed: Flow,
        key_features: NDArray[np.uint8],
        features: NDArray[np.uint8],
        distance: int,
    ) -> Correction:
        """What is to stand in place of the key frame's scores, and for how much of them."""
        fine = features.shape[0], features.shape[1]
        fine_composed, composed = (
            self.ops.resize_flow(composed, fine),
            self.ops.resize_flow(composed, (fine[0] // 2, fine[1] // 2)),
        )
        read, reliability = self.ops.read(scores, composed)
        moved = _moved(key_features, fine_composed)
        inputs = [features[None], moved[None], np.concatenate([reliability, _about(composed, distance)])[None]]
        if self.component.classes:
            inputs.append(_centred(read))
        share, attention, *added = (np.asarray(out[0], np.float32) for out in self.runtime.run(*inputs))
        share = share[0] * _replacement_gate(features, moved)
        share[share < LEAST_SHARE] = 0
        read, _ = self.ops.read(scores, fine_composed, with_reliability=False)
        values = self.ops.aggregate(read, attention, OFFSETS, share, least=LEAST_WEIGHT)
        for planes in added:
            for value, plane in zip(values, planes, strict=True):
                value += self.ops.resize(plane, fine)
        return Correction(replace(scores, values=values), share)

    def describe(self) -> dict[str, Any]:
        return {
            "refine": {
                "attention": self.component.describe(),
                "cells": MOST_CELLS,
                "tolerance": TOLERANCE,
                "least": [LEAST_SHARE, LEAST_WEIGHT],
            }
        }


def _about(composed: Flow, distance: int) -> NDArray[np.float32]:
    """(6, h, w): whether the composed flow ends inside the image, its stretch along x and y, the distance, and where
    the cell lies."""
    h, w = composed.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    to_x, to_y = x + composed[..., 0], y + composed[..., 1]
    inside = (to_x >= -0.5) & (to_x <= w - 0.5) & (to_y >= -0.5) & (to_y <= h - 0.5)
    padded = np.pad(composed, ((1, 1), (1, 1), (0, 0)), mode="edge")
    along_x, along_y = padded[1:-1, 2:, 0] - padded[1:-1, :-2, 0], padded[2:, 1:-1, 1] - padded[:-2, 1:-1, 1]
    planes = (
        inside, np.clip(along_x, -3, 3), np.clip(along_y, -3, 3), np.full((h, w), distance / 8), 2 * x / w - 1,
        2 * y / h - 1,
    )  # fmt: skip
    return np.stack([np.asarray(plane, np.float32) for plane in planes])


def _moved(image: NDArray[np.uint8], composed: Flow) -> NDArray[np.uint8]:
    h, w = composed.shape[:2]
    y, x = np.mgrid[:h, :w].astype(np.float32)
    return np.asarray(
        cv2.remap(image, x + composed[..., 0], y + composed[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    )


def _replacement_gate(features: NDArray[np.uint8], moved: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(h, w) in 0..1: how far the pictures (2h, 2w, 3) let a cell be replaced."""
    error = cv2.absdiff(features, moved).mean(axis=2, dtype=np.float32)
    error = cv2.resize(error, (features.shape[1] // 2, features.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return np.asarray(1 - np.exp(-np.square(error / np.float32(TOLERANCE))), np.float32)


def _centred(read: NDArray[np.float32]) -> NDArray[np.float32]:
    """(1, C, h, w): scores (h, w, C) less their mean over the classes: shifts of all of them say nothing."""
    return np.ascontiguousarray(np.moveaxis(read - read.mean(axis=2, keepdims=True), 2, 0)[None], np.float32)
