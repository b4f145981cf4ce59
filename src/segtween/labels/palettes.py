"""Colours that people with any kind of colour vision can tell apart."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

FIRST = ((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0), (204, 121, 167))
"""The seven colours, besides black, of Okabe and Ito, "Color Universal Design" (2008)."""

SIGHT = (
    ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
)
"""Linear RGB as it is seen: with usual colour vision, protanopia, deuteranopia and tritanopia (Machado, Oliveira and
Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009, severity 1)."""

_XYZ = np.array([[0.41246, 0.35758, 0.18044], [0.21267, 0.71515, 0.07218], [0.01933, 0.11919, 0.95030]])
_WHITE = np.array([0.95047, 1.0, 1.08883])
_LEVELS = np.linspace(0, 255, 16).round().astype(np.uint8)
_DARKEST = 20.0  # CIELAB lightness: black is ignore


def as_seen(colours: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, 3) sRGB -> (4, n, 3) CIELAB, once for each kind of colour vision in `SIGHT`."""
    share = colours.astype(np.float64) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.einsum("kij,nj->kni", np.array(SIGHT), linear), 0, 1)
    ratio = seen @ _XYZ.T / _WHITE
    root = np.where(ratio > 216 / 24389, np.cbrt(ratio), (24389 / 27 * ratio + 16) / 116)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack((116 * y - 16, 500 * (x - y), 200 * (y - z)), axis=-1)


@cache
def colour_blind_safe(count: int) -> tuple[Colour, ...]:
    """`count` colours, 254 at most: those of Okabe and Ito, then always the one that differs most, to the eye that sees
    least of the difference (CIE76), from all before it. More than about 20 are hard to tell apart for anybody."""
    grid = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS, indexing="ij"), axis=-1).reshape(-1, 3)
    grid = np.concatenate((np.array(FIRST, np.uint8), grid))
    seen = as_seen(grid)
    distance = np.where(seen[0, :, 0] < _DARKEST, 0.0, np.inf)
    chosen: list[int] = []
    for place in range(count):
        best = place if place < len(FIRST) else int(distance.argmax())
        chosen.append(best)
        distance = np.minimum(distance, np.linalg.norm(seen - seen[:, best : best + 1], axis=2).min(axis=0))
    return tuple((int(r), int(g), int(b)) for r, g, b in grid[chosen])
