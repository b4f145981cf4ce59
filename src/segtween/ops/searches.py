"""How thoroughly composed flow is matched by appearance, on every device the same (`ops.appearance`,
`device.matching`).

Raising a gate or a margin costs accuracy, lowering it time; both were chosen, like the steps, on synthetic drives (700
to 702, also with noise and compression).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

MOST_SIDE = 16
"""Pixels to a cell's side, at most, that the loops add up."""
CROSS = 15
"""Differences that a cost is the sum of."""
NEAR = 1
"""Half cells: what leads no farther from where a flow leads already is not tried."""
SIDES = ((1, 0), (-1, 0), (0, 1), (0, -1))
"""The neighbours in the order in which they are tried, x and y."""


@dataclass(frozen=True)
class Search:
    """Which cells are matched, and against which others.

    gate      mean difference of colour, in grey levels, above which a cell looks for another flow
    contrast  so many times the cell's mean difference from its neighbours is added to the gate: where a picture is
              busy, half a cell amiss is a large difference
    margin    grey levels by which another flow must be better
    steps     cells to the neighbours that are tried, round by round
    edge      where labels are known, only cells at most so many from another label
    """

    gate: float
    contrast: float
    margin: float
    steps: tuple[int, ...]
    edge: int = 0


class Searches(NamedTuple):
    """On the composed flow's grid, and on the flow's own."""

    coarse: Search
    fine: Search


SEARCHES = {
    "fast": Searches(
        Search(gate=6.0, contrast=0.5, margin=2.0, steps=(32, 8, 2)),
        Search(gate=6.0, contrast=0.5, margin=2.0, steps=(4, 1), edge=1),
    ),
    "fine": Searches(
        Search(gate=4.0, contrast=0.5, margin=2.0, steps=(32, 16, 8, 4, 2, 1)),
        Search(gate=4.0, contrast=0.5, margin=2.0, steps=(8, 4, 2, 1), edge=2),
    ),
}
"""By quality: `fine` takes about twice as long."""


def describe_matching(quality: str) -> dict[str, Any]:
    """Everything about matching that changes the numbers."""
    searches = SEARCHES[quality]
    return {"match": {"quality": quality, "coarse": asdict(searches.coarse), "fine": asdict(searches.fine)}}
