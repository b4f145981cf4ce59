"""Array operations as the reference propagation system (SwNet-seq) does them, quirks included.

Its published weights were trained with these, so they give their published numbers with nothing else. Everything
works on a grid of 1/8 of the frame, which is padded right and bottom to multiples of 32; every resizing keeps the
corners (`align_corners=True`). `segtween.networks.reference` is the same in torch.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from segtween.ops import kernels
from segtween.ops.cpu import CpuOps, Float, softmax
from segtween.types import Flow, ScoreKind, ScoreMap, SizeHW

STRIDE = 8
MULTIPLE = 32


class ReferenceOps(CpuOps):
    """The operations of `CpuOps` with the reference's grid, coordinates and resizing."""

    def score_map(self, logits: Float, *, kind: ScoreKind, most_cells: int | None, image_hw: SizeHW) -> ScoreMap:  # noqa: ARG002
        """Logits (C, h, w) of the frame on the grid of 1/8 of the padded one; `most_cells` is ignored here."""
        whole = padded_size(image_hw)
        values = pad_cells(np.ascontiguousarray(logits, np.float32), image_hw=image_hw, padded_hw=whole)
        values = resize_kept(values, (whole[0] // STRIDE, whole[1] // STRIDE))
        values = softmax(values) if kind == "probabilities" else values
        return ScoreMap(values, kind, image_hw, spans_hw=whole)

    def warp(self, values: Float, flow: Flow) -> tuple[Float, NDArray[np.bool_]]:
        """(C, h, w) gathered at column (x + dx) w/(w-1) - 1/2 and row (y + dy) h/(h-1) - 1/2, zeros outside.

        So a zero flow is not the identity: it stretches by up to half a pixel, and border pixels lose half of their
        value. Also says which samples lay inside the image, (h, w).
        """
        values, flow = np.ascontiguousarray(values, np.float32), np.ascontiguousarray(flow, np.float32)
        out, inside = np.empty_like(values), np.empty(values.shape[1:], np.bool_)
        self.rows(lambda a, b: kernels.warp_stretched_rows(values, flow, out, inside, a, b), values.shape[1])
        return out, inside

    def blend(self, fresh: Float, history: Float, composed: Flow | None, share: Float) -> Float:
        """(C, h, w): (1 - share) fresh + share history, read where the composed flow leads."""
        grid = fresh.shape[1], fresh.shape[2]
        if composed is not None:
            history, _ = self.warp(history, self.resize_flow(composed, grid))
        values: Float = fresh + self.resize(share, grid) * (history - fresh)
        return values

    def resize_flow(self, flow: Flow, grid_hw: SizeHW) -> Flow:
        """A flow on another grid; its vectors are scaled with it."""
        h, w = flow.shape[:2]
        if (h, w) == grid_hw:
            return flow
        planes = resize_kept(np.ascontiguousarray(np.moveaxis(flow, 2, 0)), grid_hw)
        planes *= np.array([grid_hw[1] / w, grid_hw[0] / h], np.float32)[:, None, None]
        return np.ascontiguousarray(np.moveaxis(planes, 0, 2))

    def resize(self, plane: Float, grid_hw: SizeHW) -> Float:
        """One plane (h, w) on another grid."""
        return plane if plane.shape == grid_hw else resize_kept(np.ascontiguousarray(plane[None]), grid_hw)[0]

    def _positions(self, size_hw: SizeHW, grid_hw: SizeHW) -> tuple[Any, ...]:
        return _kept_cells(size_hw, padded_size(size_hw), grid_hw)

    def describe(self) -> dict[str, Any]:
        return {"arrays": "as the reference"}


def padded_size(size_hw: SizeHW, *, multiple: int = MULTIPLE) -> SizeHW:
    """The next multiples in both directions."""
    return -(-size_hw[0] // multiple) * multiple, -(-size_hw[1] // multiple) * multiple


def pad_image(rgb: NDArray[Any], *, multiple: int = MULTIPLE) -> NDArray[Any]:
    """(H, W, 3) padded right and bottom by its last column and row to multiples; itself where it is such already."""
    h, w = rgb.shape[:2]
    whole = padded_size((h, w), multiple=multiple)
    if whole == (h, w):
        return rgb
    padded: NDArray[Any] = cv2.copyMakeBorder(rgb, 0, whole[0] - h, 0, whole[1] - w, cv2.BORDER_REPLICATE)
    return padded


def pad_cells(values: Float, *, image_hw: SizeHW, padded_hw: SizeHW) -> Float:
    """(C, h, w) that spans an image -> padded right and bottom like it, by whole cells."""
    if image_hw == padded_hw:
        return values
    h, w = values.shape[1:]
    more = [round(n * padded / size) - n for n, size, padded in zip((h, w), image_hw, padded_hw, strict=True)]
    return np.pad(values, ((0, 0), (0, more[0]), (0, more[1])), mode="edge")


def resize_kept(values: Float, grid_hw: SizeHW) -> Float:
    """(C, h, w) on another grid, bilinear, the corner samples staying in the corners."""
    if values.shape[1:] == grid_hw:
        return values
    top, weight_y = kept_positions(grid_hw[0], values.shape[1])
    left, weight_x = kept_positions(grid_hw[1], values.shape[2])
    out = np.empty((values.shape[0], *grid_hw), np.float32)
    kernels.resample_planes(values, top, weight_y, left, weight_x, out)
    return out


def shrink_image(rgb: NDArray[np.uint8], grid_hw: SizeHW) -> Float:
    """(H, W, 3) of 0..255 -> (h, w, 3) float32, bilinear, corners kept, unrounded."""
    top, weight_y = kept_positions(grid_hw[0], rgb.shape[0])
    left, weight_x = kept_positions(grid_hw[1], rgb.shape[1])
    out = np.empty((*grid_hw, 3), np.float32)
    kernels.resample_pixels(np.ascontiguousarray(rgb), top, weight_y, left, weight_x, out)
    return out


@lru_cache(maxsize=32)
def kept_positions(target: int, source: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Along one axis, corners kept: for each of `target` samples the left source sample and the right one's weight."""
    centre = np.arange(target, dtype=np.float64) * ((source - 1) / max(target - 1, 1))
    left = np.minimum(np.floor(centre), max(source - 2, 0)).astype(np.int32)
    return left, (centre - left).astype(np.float32)


@lru_cache(maxsize=8)
def _kept_cells(size_hw: SizeHW, padded_hw: SizeHW, grid_hw: SizeHW) -> tuple[Any, ...]:
    """What `kernels.enlarge_labels_rows` wants to know, for the part of the padded frame that is the frame."""
    left, weight_x = (a[: size_hw[1]] for a in kept_positions(padded_hw[1], grid_hw[1]))
    top, weight_y = (a[: size_hw[0]] for a in kept_positions(padded_hw[0], grid_hw[0]))
    cells = int(left[-1]) + 1
    starts_x = np.searchsorted(left, np.arange(cells + 1)).astype(np.int32)
    starts_x[-1] = size_hw[1]
    return weight_x, starts_x, top, weight_y
