"""The compiled loops that the demo needs: those of a run, and the street's (`run.kernels`).

`python -m segtween.demo.kernels` compiles all of them that are not on disk yet.
"""

from __future__ import annotations

import sys
from fractions import Fraction

from segtween.run import kernels
from segtween.run.kernels import SIZE_HW, Part


def _street() -> None:
    from segtween.street import StreetClip

    for _ in StreetClip(0, size_hw=SIZE_HW, frame_rate=Fraction(15), frames=2):
        pass


PARTS: dict[str, Part] = {
    "street": Part(_street, "segtween.street.truth.hidden", "segtween.demo.kernels"),
    **kernels.PARTS,
}

if __name__ == "__main__":
    kernels.main(sys.argv[1:], PARTS)
