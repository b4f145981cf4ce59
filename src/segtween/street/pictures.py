"""Pictures of many drives, for what needs variety and no truth: the calibration of networks."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from segtween.street.clip import StreetClip
from segtween.types import Rgb

SEED = 1000
DRIVES = 8
"""Drives 1000 to 1007, one frame a second: seen in the training of shipped networks, in none of their figures."""


def calibration_pictures(count: int) -> Iterator[Rgb]:
    """`count` pictures (H, W, 3), evenly shared out among the drives."""
    drives = min(DRIVES, count)
    for i in range(drives):
        frames = count // drives + (i < count % drives)
        for frame in StreetClip(SEED + i, frame_rate=Fraction(1), frames=frames):
            yield frame.rgb
