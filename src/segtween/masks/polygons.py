"""Polygons of masks.

Points are (x, y), x right, y down, with 0 at the left or upper border of the first pixel: a pixel belongs to a polygon
where its centre, at + 0.5, lies inside (even-odd rule). Outlines go along the borders of pixels, so that every mask
comes back exactly.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from segtween.masks.rle import Mask, box_of
from segtween.types import SizeHW

Polygon = NDArray[np.float64]
"""(n, 2) points, without the first one again at the end."""


def to_polygons(mask: Mask) -> list[Polygon]:
    """One polygon for each piece of a mask (pixels that touch with a side), its holes joined to it by a cut without
    width, because most formats have no holes."""
    import cv2

    if not mask.any():
        return []
    left, top, width, height = box_of(mask)
    mask = mask[top : top + height, left : left + width]
    pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4)[1]
    outer: dict[int, Polygon] = {}
    holes: list[tuple[int, Polygon]] = []
    for ring in _rings(mask):
        x, y = int(min(ring[0, 0], ring[1, 0])), int(ring[0, 1])
        if y < mask.shape[0] and mask[y, x]:  # below the topmost border: it is the outer one
            outer[int(pieces[y, x])] = ring
        else:
            holes.append((int(pieces[y - 1, x]), ring))
    for piece, ring in holes:
        outer[piece] = _joined(outer[piece], ring)
    return [outer[piece] + np.array((left, top), np.float64) for piece in sorted(outer)]


def from_polygons(polygons: Iterable[NDArray[np.floating]], size_hw: SizeHW) -> Mask:
    """(H, W): the pixels whose centre is in one of the polygons."""
    mask = np.zeros(size_hw, np.bool_)
    for polygon in polygons:
        points = np.asarray(polygon, np.float64).reshape(-1, 2)
        if len(points) < 3:
            continue
        low = np.clip(np.floor(points.min(axis=0)), 0, size_hw[::-1]).astype(int)
        high = np.clip(np.ceil(points.max(axis=0)), low, size_hw[::-1]).astype(int)
        box = mask[low[1] : high[1], low[0] : high[0]]
        box |= _filled(points - low, (box.shape[0], box.shape[1]))
    return mask


def _rings(mask: Mask) -> list[Polygon]:
    """The borders of a mask, each from its upper left corner to the right. At a corner a border turns, so that every
    corner has one neighbour in its row and one in its column; where two pixels touch with a corner alone, two corners
    lie in one place."""
    x, y, right, down = _corners(mask)
    across, along = _partners(y, x, right), _partners(x, y, down)
    order = np.lexsort((right, x, y))
    seen = np.zeros(x.size, np.bool_)
    rings = []
    for start in order.tolist():
        if seen[start]:
            continue
        ring, corner = [], start
        while not seen[corner]:
            other = across[corner]
            ring += [corner, other]
            seen[corner] = seen[other] = True
            corner = along[other]
        rings.append(np.stack((x[ring], y[ring]), axis=1).astype(np.float64))
    return rings


def _corners(mask: Mask) -> tuple[NDArray[np.int64], ...]:
    """x, y of all corners; and, of two in one place, which one's borders go right and which one's down."""
    padded = np.pad(mask, 1)
    a, b, c, d = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    y, x = np.nonzero((a != b) ^ (c != d))
    twice = (a == d) & (b == c) & (a != b)
    yy, xx = np.nonzero(twice)
    falling = a[yy, xx].astype(np.int64)  # the pixels above left and below right touch
    ones, zeros = np.ones(yy.size, np.int64), np.zeros(yy.size, np.int64)
    # The upper of the two pixels has the first corner, whose borders go up; the lower one the second.
    right = np.concatenate((np.zeros(y.size, np.int64), 1 - falling, falling))
    down = np.concatenate((np.zeros(y.size, np.int64), zeros, ones))
    return np.concatenate((x, xx, xx)), np.concatenate((y, yy, yy)), right, down


def _partners(line: NDArray[np.int64], place: NDArray[np.int64], second: NDArray[np.int64]) -> list[int]:
    """Of each corner the other end of its border in the same row or column: they come in pairs."""
    order = np.lexsort((second, place, line)).reshape(-1, 2)
    partners = np.empty(line.size, np.int64)
    partners[order[:, 0]], partners[order[:, 1]] = order[:, 1], order[:, 0]
    found: list[int] = partners.tolist()
    return found


def _joined(ring: Polygon, hole: Polygon) -> Polygon:
    """One polygon: along the ring to its corner nearest to the hole's first, around the hole, and back."""
    near = int(np.abs(ring - hole[0]).sum(axis=1).argmin())
    return np.concatenate((ring[: near + 1], hole, hole[:1], ring[near:]))


def _filled(points: Polygon, size_hw: SizeHW) -> Mask:
    """Every side changes inside to outside from where it crosses a row's centre line."""
    height, width = size_hw
    changes = np.zeros((height, width + 1), np.int64)
    ends = np.stack((points, np.roll(points, -1, axis=0)))
    # Downwards, so that a cut, which is passed in both directions, is crossed in the same place.
    upper = ends[:, :, 1].argmin(axis=0)
    (x0, y0), (x1, y1) = (ends[which, np.arange(len(points))].T for which in (upper, 1 - upper))
    first, last = (np.clip(np.ceil(y - 0.5), 0, height).astype(int) for y in (y0, y1))
    sides = np.repeat(np.arange(x0.size), last - first)
    rows = np.arange(sides.size) - np.repeat(np.cumsum(last - first) - (last - first), last - first) + first[sides]
    share = (rows + 0.5 - y0[sides]) / (y1 - y0)[sides]
    crossing = x0[sides] + share * (x1 - x0)[sides]
    np.add.at(changes, (rows, np.clip(np.ceil(crossing - 0.5), 0, width).astype(int)), 1)
    inside: Mask = np.cumsum(changes[:, :width], axis=1) % 2 == 1
    return inside
